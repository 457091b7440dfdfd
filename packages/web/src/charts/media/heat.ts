import type { Histogram } from '../../components/preview/histogram.ts';
import type { Rgb } from '../scatter/paint.ts';
import { between } from '../scatter/paint.ts';

/** Histograms over steps: a column per step, a row per value, darkness for how much lies there. */
export interface Heat {
  columns: number;
  rows: number;
  /** Share of its step's values, by column and then row from the least value up. */
  shares: Float64Array;
  /** The greatest share. */
  most: number;
  low: number;
  high: number;
}

export const HEAT_ROWS = 48;

/** What all of several lists of histograms reach over; null without any. */
export function reachOf(histograms: Iterable<Histogram | null>): { low: number; high: number } | null {
  let low = Infinity;
  let high = -Infinity;
  for (const histogram of histograms) {
    if (histogram === null) continue;
    low = Math.min(low, histogram.edges[0]!);
    high = Math.max(high, histogram.edges.at(-1)!);
  }
  return low < high ? { low, high } : null;
}

/**
 * One common grid for histograms of different edges: what lies in a bin is spread evenly over it, so each column adds up to one
 * within the reach. A step whose histogram cannot be read is an empty column.
 */
export function heatOf(
  histograms: readonly (Histogram | null)[],
  reach: { low: number; high: number },
  rows = HEAT_ROWS,
): Heat {
  const { low, high } = reach;
  const columns = histograms.length;
  const shares = new Float64Array(columns * rows);
  const height = (high - low) / rows;
  let most = 0;
  for (const [column, histogram] of histograms.entries()) {
    if (histogram === null || histogram.total === 0) continue;
    for (const [bin, found] of histogram.counts.entries()) {
      if (found === 0) continue;
      const [from, to] = [histogram.edges[bin]!, histogram.edges[bin + 1]!];
      const [first, last] = [Math.floor((from - low) / height), Math.ceil((to - low) / height)];
      for (let row = Math.max(0, first); row < Math.min(rows, last); row++) {
        const overlap = Math.min(to, low + (row + 1) * height) - Math.max(from, low + row * height);
        if (overlap > 0) shares[column * rows + row]! += (found / histogram.total) * (overlap / (to - from));
      }
    }
    for (let row = 0; row < rows; row++) most = Math.max(most, shares[column * rows + row]!);
  }
  return { columns, rows, shares, most, low, high };
}

/** The grid as a picture, a pixel each; the least value is its lowest row. */
export function heatImage({ columns, rows, shares, most }: Heat, stops: readonly Rgb[]): ImageData {
  const image = new ImageData(Math.max(1, columns), rows);
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) {
      const share = shares[column * rows + row]!;
      if (share === 0) continue;
      // Square roots: tails are what one looks for.
      const [red, green, blue] = between(stops, Math.sqrt(share / most));
      image.data.set([red, green, blue, 255], ((rows - 1 - row) * columns + column) * 4);
    }
  }
  return image;
}
