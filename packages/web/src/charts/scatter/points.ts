import type { Direction } from '../definition.ts';
import type { Scale } from '../scale.ts';

/** Points of a scatter in pixels of its frame; NaN where a run has no place in it. */
export interface Points {
  x: Float64Array;
  y: Float64Array;
  /** Points that have a place. */
  placed: number;
}

export function placePoints(
  xs: Float64Array,
  ys: Float64Array,
  scaleX: Scale,
  scaleY: Scale,
  width: number,
  height: number,
): Points {
  const x = new Float64Array(xs.length);
  const y = new Float64Array(xs.length);
  let placed = 0;
  for (let index = 0; index < xs.length; index++) {
    const [px, py] = [scaleX.place(xs[index]!) * width, (1 - scaleY.place(ys[index]!)) * height];
    if (px !== px || py !== py) x[index] = y[index] = NaN;
    else {
      x[index] = px;
      y[index] = py;
      placed += 1;
    }
  }
  return { x, y, placed };
}

/**
 * Places of the points that no other beats: none is as good in both and better in one. In the order of x, from its best end;
 * equal points are all in it. Takes n log n.
 */
export function paretoFront(xs: Float64Array, ys: Float64Array, wayX: Direction, wayY: Direction): Uint32Array {
  const signX = wayX === 'min' ? 1 : -1;
  const signY = wayY === 'min' ? 1 : -1;
  let [leastX, mostX, leastY, mostY] = [Infinity, -Infinity, Infinity, -Infinity];
  const finite = (index: number): boolean => Number.isFinite(xs[index]!) && Number.isFinite(ys[index]!);
  for (let index = 0; index < xs.length; index++) {
    if (!finite(index)) continue;
    const [x, y] = [signX * xs[index]!, signY * ys[index]!];
    if (x < leastX) leastX = x;
    if (x > mostX) mostX = x;
    if (y < leastY) leastY = y;
    if (y > mostY) mostY = y;
  }
  // A run that is good in both beats nearly all others; what it beats need not be sorted.
  const distance = (index: number): number =>
    (signX * xs[index]! - leastX) / (mostX - leastX || 1) + (signY * ys[index]! - leastY) / (mostY - leastY || 1);
  let [pivot, nearest] = [-1, Infinity];
  for (let index = 0; index < xs.length; index++) {
    if (!finite(index)) continue;
    const away = distance(index);
    if (away < nearest) [pivot, nearest] = [index, away];
  }
  const order: number[] = [];
  const [pivotX, pivotY] = [signX * (xs[pivot] ?? 0), signY * (ys[pivot] ?? 0)];
  for (let index = 0; index < xs.length; index++) {
    if (!finite(index)) continue;
    const [x, y] = [signX * xs[index]!, signY * ys[index]!];
    if (x < pivotX || y < pivotY || (x === pivotX && y === pivotY)) order.push(index);
  }
  order.sort((a, b) => signX * (xs[a]! - xs[b]!) || signY * (ys[a]! - ys[b]!) || a - b);
  const front: number[] = [];
  let best = Infinity;
  let [lastX, lastY] = [NaN, NaN];
  for (const index of order) {
    const value = signY * ys[index]!;
    const equal = xs[index] === lastX && ys[index] === lastY;
    if (!(value < best) && !equal) continue;
    best = Math.min(best, value);
    [lastX, lastY] = [xs[index]!, ys[index]!];
    front.push(index);
  }
  return Uint32Array.from(front);
}

const CELL = 16;

/** Finds the point nearest to a place among 100,000 by looking at the squares around it. */
export class PointIndex {
  readonly #points: Points;
  readonly #columns: number;
  readonly #rows: number;
  /** By square, where its points begin in `#order`. */
  readonly #starts: Uint32Array;
  readonly #order: Uint32Array;

  constructor(points: Points, width: number, height: number) {
    this.#points = points;
    this.#columns = Math.max(1, Math.ceil(width / CELL));
    this.#rows = Math.max(1, Math.ceil(height / CELL));
    const counts = new Uint32Array(this.#columns * this.#rows + 1);
    const { x } = points;
    for (let index = 0; index < x.length; index++) if (x[index]! === x[index]!) counts[this.#cell(index) + 1]! += 1;
    for (let cell = 1; cell < counts.length; cell++) counts[cell]! += counts[cell - 1]!;
    this.#starts = counts.slice();
    this.#order = new Uint32Array(points.placed);
    for (let index = 0; index < x.length; index++)
      if (x[index]! === x[index]!) this.#order[counts[this.#cell(index)]!++] = index;
  }

  /** Place of the nearest point within `reach` pixels; -1 where there is none. Of equal ones the first in the table. */
  nearest(x: number, y: number, reach: number): number {
    const span = Math.ceil(reach / CELL);
    const [column, row] = [Math.floor(x / CELL), Math.floor(y / CELL)];
    let best = -1;
    let least = reach * reach;
    for (let r = Math.max(0, row - span); r <= Math.min(this.#rows - 1, row + span); r++) {
      for (let c = Math.max(0, column - span); c <= Math.min(this.#columns - 1, column + span); c++) {
        const cell = r * this.#columns + c;
        for (let at = this.#starts[cell]!; at < this.#starts[cell + 1]!; at++) {
          const index = this.#order[at]!;
          const away = (this.#points.x[index]! - x) ** 2 + (this.#points.y[index]! - y) ** 2;
          if (away < least || (away === least && (best === -1 || index < best))) {
            least = away;
            best = index;
          }
        }
      }
    }
    return best;
  }

  #cell(index: number): number {
    const column = Math.min(this.#columns - 1, Math.max(0, Math.floor(this.#points.x[index]! / CELL)));
    const row = Math.min(this.#rows - 1, Math.max(0, Math.floor(this.#points.y[index]! / CELL)));
    return row * this.#columns + column;
  }
}

export interface Spot {
  x: number;
  y: number;
}

/** Places of the points within a closed line, by the even-odd rule. */
export function within({ x, y }: Points, line: readonly Spot[]): number[] {
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const spot of line) {
    left = Math.min(left, spot.x);
    right = Math.max(right, spot.x);
    top = Math.min(top, spot.y);
    bottom = Math.max(bottom, spot.y);
  }
  const found: number[] = [];
  for (let index = 0; index < x.length; index++) {
    const [px, py] = [x[index]!, y[index]!];
    if (!(px >= left && px <= right && py >= top && py <= bottom)) continue;
    let inside = false;
    for (let a = 0, b = line.length - 1; a < line.length; b = a++) {
      const [from, to] = [line[a]!, line[b]!];
      if (from.y > py !== to.y > py && px < ((to.x - from.x) * (py - from.y)) / (to.y - from.y) + from.x)
        inside = !inside;
    }
    if (inside) found.push(index);
  }
  return found;
}

export interface GroupMean {
  id: string;
  label: string;
  /** Runs with both values. */
  count: number;
  x: number;
  y: number;
  /** Of a sample; NaN for fewer than two. */
  stdX: number;
  stdY: number;
}

/** Where each group is on average, over all its runs that have both values. Groups without any are left out. */
export function meansOf(
  ids: readonly string[],
  xs: Float64Array,
  ys: Float64Array,
  groups: readonly { id: string; label: string; runs: readonly string[] }[],
): GroupMean[] {
  const places = new Map(ids.map((id, at) => [id, at]));
  return groups.flatMap(({ id, label, runs }) => {
    let [count, x, y, squaresX, squaresY] = [0, 0, 0, 0, 0];
    for (const run of runs) {
      const at = places.get(run);
      if (at === undefined || !Number.isFinite(xs[at]!) || !Number.isFinite(ys[at]!)) continue;
      count += 1;
      const [dx, dy] = [xs[at]! - x, ys[at]! - y];
      x += dx / count;
      y += dy / count;
      squaresX += dx * (xs[at]! - x);
      squaresY += dy * (ys[at]! - y);
    }
    const std = (squares: number): number => (count < 2 ? NaN : Math.sqrt(squares / (count - 1)));
    return count === 0 ? [] : [{ id, label, count, x, y, stdX: std(squaresX), stdY: std(squaresY) }];
  });
}
