import { lowerPlace, upperPlace } from '../worker/charts/places.ts';
import type { Line } from './line.ts';

/** The part of a canvas context that lines need; a picture in vectors has the same. */
export type Brush = Pick<
  CanvasRenderingContext2D,
  | 'beginPath'
  | 'moveTo'
  | 'lineTo'
  | 'closePath'
  | 'stroke'
  | 'fill'
  | 'arc'
  | 'setLineDash'
  | 'strokeStyle'
  | 'fillStyle'
  | 'globalAlpha'
  | 'lineWidth'
  | 'lineJoin'
>;

/** Where values are on a surface. */
export interface Place {
  px: (x: number) => number;
  py: (y: number) => number;
  from: number;
  to: number;
  width: number;
  height: number;
  /** Pixels of the surface per CSS pixel. */
  ratio: number;
  logX: boolean;
  logY: boolean;
}

/** Linear or logarithmic, without a call more than needed for each of a hundred thousand points. */
export function projection(
  min: number,
  max: number,
  start: number,
  end: number,
  log: boolean,
): (value: number) => number {
  const [low, high] = log ? [Math.log10(min), Math.log10(max)] : [min, max];
  const scale = (end - start) / (high - low || 1);
  // Extremes of a double lie further apart than a double can say; halves do not.
  if (!Number.isFinite(scale) || scale === 0)
    return (value) => start + ((value / 2 - low / 2) / (high / 2 - low / 2)) * (end - start);
  return log ? (value) => start + (Math.log10(value) - low) * scale : (value) => start + (value - low) * scale;
}

/**
 * So many corners on one surface are drawn one pixel wide. Browsers that paint on the CPU fill the outline of anything wider, which takes
 * thirty times as long: 100 lines of 2,000 points 0.8 s instead of 0.03 s; and that many lines are told apart better when they are thin.
 */
const CROWDED = 12_000;

/** Whether lines are so many, or have so many corners in sight, that they are drawn thin. */
export function isCrowded(lines: readonly Pick<Line, 'x' | 'ascending'>[], from: number, to: number): boolean {
  let corners = 0;
  for (const { x, ascending } of lines) {
    corners += ascending ? upperPlace(x, to) - lowerPlace(x, from) : x.length;
    if (corners > CROWDED) return true;
  }
  return false;
}

/** Draws one line: envelope or band, raw behind when smoothed, the line, single points as dots, and marks for NaN and infinities. */
export function drawLine(
  brush: Brush,
  place: Place,
  line: Line,
  options: { envelope: boolean; strong?: boolean; thin?: boolean },
): void {
  const { ratio } = place;
  brush.strokeStyle = brush.fillStyle = line.colour;
  brush.lineJoin = 'round';
  const group = line.runs !== null;
  if (line.band !== null && (group || options.envelope)) {
    brush.globalAlpha = group ? 0.18 : 0.14;
    fillBand(brush, place, line.band);
  }
  if (line.smooth !== null) {
    brush.globalAlpha = 0.28;
    brush.lineWidth = ratio;
    stroke(brush, place, line.x, line.y, line.ascending);
  }
  brush.globalAlpha = 1;
  brush.lineWidth = (options.strong === true ? 2.25 : options.thin === true ? 1 : 1.5) * ratio;
  brush.setLineDash(line.dash.map((length) => length * ratio));
  const front = line.smooth ?? line;
  stroke(brush, place, front.x, front.y, line.ascending);
  brush.setLineDash([]);
  marks(brush, place, line);
}

function drawable(value: number, log: boolean): boolean {
  return value - value === 0 && (!log || value > 0);
}

/**
 * A polyline with gaps where there is no value. Points that share a column of pixels are drawn as the first, least, greatest and last of them,
 * which is the same picture with fewer strokes.
 */
function stroke(brush: Brush, place: Place, x: Float64Array, y: Float64Array, ascending: boolean): void {
  const { px, py, logX, logY, ratio, width } = place;
  // One point more at each end, so that the line enters and leaves the frame.
  const start = ascending ? Math.max(0, lowerPlace(x, place.from) - 1) : 0;
  const end = ascending ? Math.min(x.length, upperPlace(x, place.to) + 1) : x.length;
  const dense = ascending && end - start > 4 * width;
  brush.beginPath();
  let before = false;
  const alone = (atX: number, atY: number): void => {
    brush.moveTo(atX + 2.2 * ratio, atY);
    brush.arc(atX, atY, 2.2 * ratio, 0, 2 * Math.PI);
    brush.moveTo(atX, atY);
  };
  for (let index = start; index < end; index++) {
    if (!drawable(y[index]!, logY) || (logX && !(x[index]! > 0))) {
      before = false;
      continue;
    }
    const atX = px(x[index]!);
    const atY = py(y[index]!);
    if (before) brush.lineTo(atX, atY);
    else {
      brush.moveTo(atX, atY);
      if (index + 1 >= y.length || !drawable(y[index + 1]!, logY)) alone(atX, atY);
    }
    before = true;
    if (!dense) continue;
    const column = Math.floor(atX);
    let [low, high, last, many] = [atY, atY, atY, false];
    while (index + 1 < end && drawable(y[index + 1]!, logY) && Math.floor(px(x[index + 1]!)) === column) {
      index += 1;
      last = py(y[index]!);
      if (last < low) low = last;
      if (last > high) high = last;
      many = true;
    }
    if (!many) continue;
    brush.lineTo(atX, low);
    brush.lineTo(atX, high);
    brush.lineTo(atX, last);
  }
  brush.stroke();
}

/** One area for each stretch that has both ends; what a logarithmic axis cannot show of it ends at the floor. */
function fillBand(brush: Brush, place: Place, band: NonNullable<Line['band']>): void {
  const { px, py, logX, logY, height } = place;
  const start = Math.max(0, lowerPlace(band.x, place.from) - 1);
  const end = Math.min(band.x.length, upperPlace(band.x, place.to) + 1);
  const has = (index: number): boolean => drawable(band.high[index]!, logY) && (!logX || band.x[index]! > 0);
  for (let index = start; index < end; index++) {
    if (!has(index)) continue;
    let stop = index;
    while (stop < end && has(stop)) stop += 1;
    brush.beginPath();
    brush.moveTo(px(band.x[index]!), py(band.high[index]!));
    for (let at = index + 1; at < stop; at++) brush.lineTo(px(band.x[at]!), py(band.high[at]!));
    for (let at = stop - 1; at >= index; at--)
      brush.lineTo(px(band.x[at]!), drawable(band.low[at]!, logY) ? py(band.low[at]!) : height);
    brush.closePath();
    brush.fill();
    index = stop;
  }
}

/** × for NaN and for several kinds at the floor, an arrow at the ceiling for +∞ and at the floor for −∞. */
function marks(brush: Brush, place: Place, { odd }: Line): void {
  if (odd.x.length === 0) return;
  const { px, height, ratio, logX } = place;
  const size = 2.5 * ratio;
  brush.lineWidth = ratio;
  brush.beginPath();
  let drawn = NaN;
  for (let index = 0; index < odd.x.length; index++) {
    const x = odd.x[index]!;
    if (!(x >= place.from && x <= place.to) || (logX && !(x > 0))) continue;
    const at = px(x);
    // Thousands of them lie on each other.
    if (Math.abs(at - drawn) < ratio) continue;
    drawn = at;
    const kind = odd.kind[index];
    const y = kind === 1 ? 2 * size : height - 2 * size;
    if (kind === 1 || kind === 2) {
      const tip = kind === 1 ? y - size : y + size;
      brush.moveTo(at - size, y);
      brush.lineTo(at, tip);
      brush.lineTo(at + size, y);
      continue;
    }
    brush.moveTo(at - size, y - size);
    brush.lineTo(at + size, y + size);
    brush.moveTo(at - size, y + size);
    brush.lineTo(at + size, y - size);
  }
  brush.stroke();
}
