import type { Inks } from '../scatter/paint.ts';
import type { Placed } from './lines.ts';

export interface Painting {
  lines: Placed;
  /** Pixels of the axes from the left. */
  axes: readonly number[];
  /** 1 for the lines that stand out. */
  inside: Uint8Array;
  inks: Inks;
  width: number;
  height: number;
}

/** Of one frame: what is left of 16 ms goes to whoever scrolls or types meanwhile. */
const SLICE_MS = 7;
/** Lines between two looks at the clock. */
const BATCH = 64;

/** Paints lines, a part of them in each frame: faint ones first, so that those that stand out lie on top. */
export class LinePainter {
  readonly #canvas: HTMLCanvasElement;
  readonly #painting: Painting;
  #frame = 0;

  constructor(canvas: HTMLCanvasElement, painting: Painting) {
    this.#canvas = canvas;
    this.#painting = painting;
  }

  start(): void {
    this.#frame = requestAnimationFrame(() => {
      const ratio = devicePixelRatio || 1;
      const { width, height, lines, inside } = this.#painting;
      this.#canvas.width = Math.round(width * ratio);
      this.#canvas.height = Math.round(height * ratio);
      delete this.#canvas.dataset['painted'];
      // Software GPUs take seconds for what a processor strokes in milliseconds.
      const context = this.#canvas.getContext('2d', { willReadFrequently: true })!;
      context.scale(ratio, ratio);
      const order: number[] = [];
      for (let run = 0; run < lines.count; run++) if (inside[run] !== 1) order.push(run);
      const faint = order.length;
      for (let run = 0; run < lines.count; run++) if (inside[run] === 1) order.push(run);
      this.#paint(context, order, faint, 0);
    });
  }

  stop(): void {
    cancelAnimationFrame(this.#frame);
  }

  #paint(context: CanvasRenderingContext2D, order: readonly number[], faint: number, from: number): void {
    const end = performance.now() + SLICE_MS;
    const kept = order.length - faint;
    let at = from;
    while (at < order.length && performance.now() < end) {
      for (const stop = Math.min(order.length, at + BATCH); at < stop; at++) {
        const bright = at >= faint;
        // Many lines show by their density, few by themselves.
        context.globalAlpha = bright ? Math.min(0.65, 8 / Math.sqrt(kept)) : Math.min(0.1, 2 / Math.sqrt(faint));
        this.#line(context, order[at]!, bright);
      }
    }
    this.#canvas.dataset['painted'] = String(at);
    if (at < order.length) this.#frame = requestAnimationFrame(() => this.#paint(context, order, faint, at));
  }

  #line(context: CanvasRenderingContext2D, run: number, bright: boolean): void {
    const { lines, axes, inks, height } = this.#painting;
    const [red, green, blue] = inks.colours[bright ? inks.ink[run]! : 0]!;
    context.strokeStyle = `rgb(${red} ${green} ${blue})`;
    context.beginPath();
    let gap = true;
    for (let axis = 0; axis < axes.length; axis++) {
      const place = lines.at[axis]![run]!;
      if (place !== place) {
        gap = true;
        continue;
      }
      const y = (1 - place) * height;
      if (gap) context.moveTo(axes[axis]!, y);
      else context.lineTo(axes[axis]!, y);
      gap = false;
    }
    context.stroke();
  }
}
