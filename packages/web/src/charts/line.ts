import { lowerPlace, upperPlace } from '../worker/charts/places.ts';
import type { OddMarks } from '../worker/charts/api.ts';

/**
 * What is drawn of one series, or of one group of runs, in one panel. uPlot does axes, zoom and crosshair; lines
 * are drawn here, because each run keeps its own x: no shared grid, no invented points, no gaps filled in.
 */
export interface Line {
  /** Of the run or the group. */
  id: string;
  metric: string;
  name: string;
  /** A colour as CSS has it. */
  colour: string;
  /** One for each metric of a panel; empty is solid. */
  dash: readonly number[];
  /** False where x goes back and forth. */
  ascending: boolean;
  x: Float64Array;
  /** As recorded; of a group, its centre. */
  y: Float64Array;
  smooth: { x: Float64Array; y: Float64Array } | null;
  band: { x: Float64Array; low: Float64Array; high: Float64Array } | null;
  odd: OddMarks;
  /** Of a group: how many runs count at each x. */
  runs: Uint32Array | null;
  /** Of a group: how many runs have NaN or infinities at each x. */
  oddRuns: Uint32Array | null;
}

export interface Range {
  min: number;
  max: number;
}

/** The x of all lines; null when there is nothing to show. Of a logarithmic axis, what is above 0. */
export function rangeX(lines: readonly Line[], log = false): Range | null {
  let min = Infinity;
  let max = -Infinity;
  const take = (value: number): void => {
    if (!Number.isFinite(value) || (log && !(value > 0))) return;
    if (value < min) min = value;
    if (value > max) max = value;
  };
  for (const { x, ascending } of lines) {
    if (x.length === 0) continue;
    if (!ascending) x.forEach(take);
    else {
      take(x[log ? upperPlace(x, 0) : 0] ?? NaN);
      take(x[x.length - 1]!);
    }
  }
  return min > max ? null : { min, max };
}

/** Finite values within `[from, to]`, raw and smoothed, and the bands of groups; with `log`, positive ones. Null when there are none. */
export function rangeY(lines: readonly Line[], from: number, to: number, log: boolean): Range | null {
  let min = Infinity;
  let max = -Infinity;
  const look = (x: Float64Array, y: Float64Array, ascending: boolean): void => {
    const end = ascending ? upperPlace(x, to) : x.length;
    for (let index = ascending ? lowerPlace(x, from) : 0; index < end; index++) {
      const value = y[index]!;
      if (value - value !== 0 || (log && value <= 0)) continue;
      if (!ascending && !(x[index]! >= from && x[index]! <= to)) continue;
      if (value < min) min = value;
      if (value > max) max = value;
    }
  };
  for (const { x, y, ascending, smooth, band } of lines) {
    look(x, y, ascending);
    if (smooth !== null) look(smooth.x, smooth.y, ascending);
    if (band !== null) {
      look(band.x, band.low, true);
      look(band.x, band.high, true);
    }
  }
  return min > max ? null : { min, max };
}

/** A range with air at both ends, and some height even for a constant. */
export function padded({ min, max }: Range, log: boolean): Range {
  if (log)
    return min === max
      ? { min: min / 2, max: max * 2 }
      : { min: min / (max / min) ** 0.04, max: max * (max / min) ** 0.04 };
  if (min === max) {
    const air = Math.abs(min) * 0.1 || 1;
    return { min: min - air, max: max + air };
  }
  const air = (max - min) * 0.05;
  // Of extremes that lie further apart than a double can say, air would be infinite.
  return Number.isFinite(air) ? { min: min - air, max: max + air } : { min, max };
}

/** Place of the point nearest to `x` among those that have a height; -1 without any. */
export function nearest({ x, y, ascending }: Pick<Line, 'x' | 'y' | 'ascending'>, at: number): number {
  const { length } = x;
  if (length === 0) return -1;
  if (!ascending) {
    let best = -1;
    for (let row = 0; row < length; row++)
      if (Number.isFinite(y[row]!) && (best === -1 || Math.abs(x[row]! - at) < Math.abs(x[best]! - at))) best = row;
    return best;
  }
  const place = lowerPlace(x, at);
  if (place === 0) return 0;
  if (place === length) return length - 1;
  return at - x[place - 1]! <= x[place]! - at ? place - 1 : place;
}

/** The place after or before `at`, one point of a line further; null at its end. */
export function nextPlace({ x }: Pick<Line, 'x'>, at: number, forward: boolean): number | null {
  const place = forward ? upperPlace(x, at) : lowerPlace(x, at) - 1;
  return x[place] ?? null;
}

/** Dashes for metrics of one panel, the first one solid. */
export const DASHES: readonly (readonly number[])[] = [[], [6, 4], [2, 3], [9, 3, 2, 3], [4, 2, 4, 6], [12, 4]];
