import { upperPlace, lowerPlace } from './places.ts';
import type { DrawnLine, OddMarks } from './api.ts';

export type Drawn = Pick<DrawnLine, 'x' | 'y' | 'band' | 'total' | 'buckets' | 'odd' | 'nonFinite' | 'ascending'>;

/**
 * What is drawn of points within `[from, to]`: all of them when they are at most `points`; else half as many buckets of equal width
 * on the axis (of equal ratio on a logarithmic one), each with its first, least, greatest and last point. `x` is ascending.
 */
export function envelope(
  x: Float64Array,
  y: Float64Array,
  range: { from: number | null; to: number | null; logX: boolean; points: number },
): Drawn {
  const start = range.from === null ? (range.logX ? upperPlace(x, 0) : 0) : lowerPlace(x, range.from);
  const end = range.to === null ? x.length : upperPlace(x, range.to);
  const total = Math.max(0, end - start);
  if (total <= range.points) {
    // One more at each end, so that a line goes on beyond the frame.
    const [first, last] = [Math.max(range.logX ? upperPlace(x, 0) : 0, start - 1), Math.min(x.length, end + 1)];
    const [px, py] = [x.slice(first, last), y.slice(first, last)];
    return { x: px, y: py, ascending: true, band: null, total, buckets: 0, ...oddOf(px, py) };
  }
  const size = Math.max(1, Math.floor(range.points / 2));
  const place = placing(range.from ?? x[start]!, range.to ?? x[end - 1]!, size, range.logX);
  const corners = new Corners(size);
  for (let row = start; row < end;) {
    const bucket = place(x[row]!);
    const first = row;
    let [least, greatest] = [-1, -1];
    let odd = 0;
    let kind = -1;
    for (; row < end && (row === first || place(x[row]!) === bucket); row++) {
      const value = y[row]!;
      if (value - value !== 0) {
        odd += 1;
        const its = kindOf(value);
        kind = kind === -1 || kind === its ? its : 3;
        continue;
      }
      if (least === -1 || value < y[least]!) least = row;
      if (greatest === -1 || value > y[greatest]!) greatest = row;
    }
    corners.add(x, y, first, least, greatest, row - 1, odd, kind);
  }
  return corners.drawn(total);
}

/**
 * The same of points whose x goes back and forth, in the order given: buckets are stretches of that order, and each has the extremes of
 * x as well, so that the outline of the path stays.
 */
export function pathEnvelope(x: Float64Array, y: Float64Array, points: number): Drawn {
  const total = x.length;
  if (total <= points) return { x, y, ascending: false, band: null, total, buckets: 0, ...oddOf(x, y) };
  const size = Math.max(1, Math.floor(points / 3));
  const [xs, ys]: [number[], number[]] = [[], []];
  for (let bucket = 0; bucket < size; bucket++) {
    const start = Math.floor((bucket * total) / size);
    const end = Math.floor(((bucket + 1) * total) / size);
    const rows = new Set([start, end - 1]);
    let [left, right, low, high] = [start, start, -1, -1];
    for (let row = start; row < end; row++) {
      if (x[row]! < x[left]!) left = row;
      if (x[row]! > x[right]!) right = row;
      if (!Number.isFinite(y[row]!)) continue;
      if (low === -1 || y[row]! < y[low]!) low = row;
      if (high === -1 || y[row]! > y[high]!) high = row;
    }
    for (const row of [left, right, low, high]) if (row !== -1) rows.add(row);
    for (const row of [...rows].sort((a, b) => a - b)) {
      xs.push(x[row]!);
      ys.push(y[row]!);
    }
  }
  const odd = oddOf(x, y);
  return {
    x: Float64Array.from(xs),
    y: Float64Array.from(ys),
    ascending: false,
    band: null,
    total,
    buckets: size,
    ...odd,
  };
}

/** The bucket of an x, of `size` from `from` to `to`. */
export function placing(from: number, to: number, size: number, log: boolean): (x: number) => number {
  const [low, high] = log ? [Math.log(from), Math.log(to)] : [from, to];
  const scale = high > low ? size / (high - low) : 0;
  return log
    ? (x) => Math.min(size - 1, Math.floor((Math.log(x) - low) * scale))
    : (x) => Math.min(size - 1, Math.floor((x - low) * scale));
}

/** Non-finite values with their places. */
export function oddOf(x: Float64Array, y: Float64Array): { odd: OddMarks; nonFinite: number } {
  const rows: number[] = [];
  for (let row = 0; row < y.length; row++) if (!Number.isFinite(y[row]!)) rows.push(row);
  return {
    odd: {
      x: Float64Array.from(rows, (row) => x[row]!),
      kind: Uint8Array.from(rows, (row) => kindOf(y[row]!)),
    },
    nonFinite: rows.length,
  };
}

function kindOf(value: number): number {
  return Number.isNaN(value) ? 0 : value > 0 ? 1 : 2;
}

/** Corners of buckets as a polyline. */
class Corners {
  readonly #x: number[] = [];
  readonly #y: number[] = [];
  readonly #band: [number[], number[], number[]] = [[], [], []];
  readonly #odd: [number[], number[]] = [[], []];
  readonly #size: number;
  #nonFinite = 0;

  constructor(size: number) {
    this.#size = size;
  }

  add(
    x: Float64Array,
    y: Float64Array,
    first: number,
    least: number,
    greatest: number,
    last: number,
    odd: number,
    kind: number,
  ): void {
    const inner = least < greatest ? [least, greatest] : [greatest, least];
    let before = -1;
    for (const row of [first, ...inner, last]) {
      if (row === -1 || row === before) continue;
      this.#x.push(x[row]!);
      this.#y.push(y[row]!);
      before = row;
    }
    const middle = (x[first]! + x[last]!) / 2;
    const [bx, low, high] = this.#band;
    bx.push(middle);
    low.push(least === -1 ? NaN : y[least]!);
    high.push(greatest === -1 ? NaN : y[greatest]!);
    if (odd === 0) return;
    this.#nonFinite += odd;
    this.#odd[0].push(middle);
    this.#odd[1].push(kind);
  }

  drawn(total: number): Drawn {
    const [x, low, high] = this.#band.map((column) => Float64Array.from(column)) as [
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    return {
      x: Float64Array.from(this.#x),
      y: Float64Array.from(this.#y),
      ascending: true,
      band: { x, low, high },
      total,
      buckets: this.#size,
      odd: { x: Float64Array.from(this.#odd[0]), kind: Uint8Array.from(this.#odd[1]) },
      nonFinite: this.#nonFinite,
    };
  }
}
