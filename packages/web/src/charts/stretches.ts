import type { DrawnBand } from '../worker/charts/api.ts';

/** Some neighbouring places of a group's line as one row: nothing that it reaches there is left out. */
export interface Stretch {
  from: number;
  to: number;
  places: number;
  /** Least and greatest of the line; of the band, how low and how high it reaches; NaN without any. */
  centre: [number, number];
  low: number;
  high: number;
  runs: [number, number];
  /** The most runs that have NaN or infinities at one place. */
  odd: number;
}

/** A group's line in at most so many rows, each of as many places. */
export function stretchesOf(
  { x, centre, low, high, runs, oddRuns }: Pick<DrawnBand, 'x' | 'centre' | 'low' | 'high' | 'runs' | 'oddRuns'>,
  most: number,
): Stretch[] {
  const size = Math.max(1, Math.ceil(x.length / most));
  return Array.from({ length: Math.ceil(x.length / size) }, (_, row) => {
    const [start, end] = [row * size, Math.min(x.length, (row + 1) * size)];
    const [least] = extremes(low.subarray(start, end));
    const [, greatest] = extremes(high.subarray(start, end));
    return {
      from: x[start]!,
      to: x[end - 1]!,
      places: end - start,
      centre: extremes(centre.subarray(start, end)),
      low: least,
      high: greatest,
      runs: extremes(runs.subarray(start, end)),
      odd: extremes(oddRuns.subarray(start, end))[1],
    };
  });
}

function extremes(values: Float64Array | Uint32Array): [number, number] {
  let [min, max] = [NaN, NaN];
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    if (!(value >= min)) min = value;
    if (!(value <= max)) max = value;
  }
  return [min, max];
}
