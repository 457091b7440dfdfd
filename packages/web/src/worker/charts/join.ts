import type { Columns } from './columns.ts';

/** Points of one metric placed by another. */
export interface Joined {
  x: Float64Array;
  y: Float64Array;
  steps: Float64Array;
  /** True when x never goes back, so that it is an axis like any other. */
  ascending: boolean;
  /** Points of `y` at whose step the other metric has no finite value. */
  unplaced: number;
}

/**
 * Metric against metric, by step: each point of `y` is placed at the value that `x` has at the same step (the last one, where a
 * step was logged twice). Nothing is made up: a point at a step without one is left out and counted.
 */
export function joinBySteps(x: Pick<Columns, 'steps' | 'values'>, y: Pick<Columns, 'steps' | 'values'>): Joined {
  const size = y.steps.length;
  const [px, py, steps] = [new Float64Array(size), new Float64Array(size), new Float64Array(size)];
  let count = 0;
  let at = 0;
  let ascending = true;
  for (let row = 0; row < size; row++) {
    const step = y.steps[row]!;
    while (at + 1 < x.steps.length && x.steps[at + 1]! <= step) at += 1;
    const place = x.steps[at] === step ? x.values[at]! : NaN;
    if (!Number.isFinite(place)) continue;
    if (count > 0 && place < px[count - 1]!) ascending = false;
    px[count] = place;
    py[count] = y.values[row]!;
    steps[count] = step;
    count += 1;
  }
  return {
    x: px.slice(0, count),
    y: py.slice(0, count),
    steps: steps.slice(0, count),
    ascending,
    unplaced: size - count,
  };
}
