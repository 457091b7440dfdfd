import type { Points } from './points.ts';

/** From so many points on, discs are stamped into the picture's own bytes: paths would take a frame or more. */
const STAMPED = 3_000;

export interface Inks {
  /** By point, a place in `colours`. */
  ink: Uint8Array;
  colours: readonly Rgb[];
}

export type Rgb = readonly [red: number, green: number, blue: number];

/** Draws every point that has a place, those with a colour over those without. `ratio` is canvas pixels per CSS pixel. */
export function paintPoints(
  context: CanvasRenderingContext2D,
  { x, y, placed }: Points,
  { ink, colours }: Inks,
  radius: number,
  ratio: number,
): void {
  if (placed > STAMPED) {
    stamp(context, x, y, ink, colours, radius * ratio, ratio);
    return;
  }
  context.globalAlpha = 0.78;
  for (const index of backToFront(x, ink)) {
    const [red, green, blue] = colours[ink[index]!]!;
    context.fillStyle = `rgb(${red} ${green} ${blue})`;
    context.beginPath();
    context.arc(x[index]! * ratio, y[index]! * ratio, radius * ratio, 0, 2 * Math.PI);
    context.fill();
  }
  context.globalAlpha = 1;
}

function* backToFront(x: Float64Array, ink: Uint8Array): Generator<number> {
  for (let index = 0; index < x.length; index++) if (x[index]! === x[index]! && ink[index] === 0) yield index;
  for (let index = 0; index < x.length; index++) if (x[index]! === x[index]! && ink[index] !== 0) yield index;
}

/** Discs with soft edges, blended into the bytes of the canvas. */
function stamp(
  context: CanvasRenderingContext2D,
  x: Float64Array,
  y: Float64Array,
  ink: Uint8Array,
  colours: readonly Rgb[],
  radius: number,
  ratio: number,
): void {
  const { width, height } = context.canvas;
  const image = context.getImageData(0, 0, width, height);
  const { data } = image;
  const reach = Math.ceil(radius);
  const mask: { dx: number; dy: number; alpha: number }[] = [];
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const alpha = Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(dx, dy)));
      if (alpha > 0.05) mask.push({ dx, dy, alpha: alpha * 0.8 });
    }
  }
  for (const index of backToFront(x, ink)) {
    const [red, green, blue] = colours[ink[index]!]!;
    const [cx, cy] = [Math.round(x[index]! * ratio), Math.round(y[index]! * ratio)];
    for (const { dx, dy, alpha } of mask) {
      const [px, py] = [cx + dx, cy + dy];
      if (px < 0 || py < 0 || px >= width || py >= height) continue;
      const at = (py * width + px) * 4;
      // Over what is there: straight alpha, as ImageData has it.
      const under = (data[at + 3]! / 255) * (1 - alpha);
      const total = alpha + under;
      data[at] = (red * alpha + data[at]! * under) / total;
      data[at + 1] = (green * alpha + data[at + 1]! * under) / total;
      data[at + 2] = (blue * alpha + data[at + 2]! * under) / total;
      data[at + 3] = total * 255;
    }
  }
  context.putImageData(image, 0, 0);
}

/** A colour of the style sheet as numbers. */
export function rgbOf(style: CSSStyleDeclaration, token: string): Rgb {
  const hex = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(style.getPropertyValue(token).trim());
  return hex === null ? [128, 128, 128] : [parse(hex[1]!), parse(hex[2]!), parse(hex[3]!)];
}

function parse(pair: string): number {
  return Number.parseInt(pair, 16);
}

/** A colour between the stops of a scale, `at` from 0 to 1. */
export function between(stops: readonly Rgb[], at: number): Rgb {
  const place = Math.min(1, Math.max(0, at)) * (stops.length - 1);
  const low = Math.min(stops.length - 2, Math.floor(place));
  const share = place - low;
  const [a, b] = [stops[low]!, stops[low + 1]!];
  return [0, 1, 2].map((part) => Math.round(a[part]! + (b[part]! - a[part]!) * share)) as unknown as Rgb;
}
