import { describe, expect, it } from 'vitest';
import type { Line } from './lines.ts';
import { lower, nearest, niceTicks, padded, rangeX, rangeY, upper, withoutOutliers } from './lines.ts';

const line = (x: number[], y: number[]): Line => {
  const raw = Float64Array.from(y);
  return { id: 'a', name: 'a', colour: '#000', x: Float64Array.from(x), raw, y: raw, band: null };
};

describe('lines of a chart', () => {
  it('finds places in ascending x, doubles included', () => {
    const x = Float64Array.from([0, 1, 1, 2]);
    expect([lower(x, 1), upper(x, 1), lower(x, -1), upper(x, 9)]).toEqual([1, 3, 0, 4]);
    expect([nearest(line([0, 10], [0, 0]), 4), nearest(line([0, 10], [0, 0]), 6), nearest(line([], []), 1)]).toEqual([
      0, 1, -1,
    ]);
  });

  it('takes its height from what is visible and finite, and on a log axis positive', () => {
    const lines = [line([0, 1, 2, 3], [-5, 0.1, Infinity, 100]), line([1], [NaN])];
    expect(rangeX(lines)).toEqual({ min: 0, max: 3 });
    expect(rangeY(lines, 0, 2, false)).toEqual({ min: -5, max: 0.1 });
    expect(rangeY(lines, 0, 3, true)).toEqual({ min: 0.1, max: 100 });
    expect(rangeY(lines, 2, 2, false)).toBeNull();
    expect(rangeX([])).toBeNull();
  });

  it('leaves air above and below, also around a constant', () => {
    expect(padded({ min: 0, max: 1 }, false)).toEqual({ min: -0.05, max: 1.05 });
    expect(padded({ min: 0, max: 0 }, false)).toEqual({ min: -1, max: 1 });
    const log = padded({ min: 1, max: 100 }, true);
    expect(log.min).toBeGreaterThan(0.5);
    expect(log.max).toBeLessThan(200);
  });

  it('puts ticks at round values of any size', () => {
    expect(niceTicks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(niceTicks(-3, 12, 4)).toEqual([0, 5, 10]);
    expect(niceTicks(0, 3e250, 3)).toEqual([0, 1e250, 2e250, 3e250]);
    expect(niceTicks(1, 1, 5)).toEqual([1]);
    expect(niceTicks(1e-9, 3e-9, 2)).toEqual([1e-9, 2e-9, 3e-9]);
  });

  it('sets a few far extremes aside and says how many, and never what is merely wide', () => {
    const steps = Array.from({ length: 100 }, (_, index) => index);
    const loss = steps.map((step) => 2 - step / 100);
    const range = (values: number[]) =>
      withoutOutliers([line(steps, values)], 0, 99, rangeY([line(steps, values)], 0, 99, false)!);
    expect(range(loss)).toEqual({ range: { min: 1.01, max: 2 }, beyond: 0 });
    const burst = loss.with(50, 1e296);
    expect(range(burst).beyond).toBe(1);
    expect(range(burst).range.max).toBeLessThan(2.1);
    expect(range(steps.map(() => 3)).beyond).toBe(0);
    expect(range(steps.map((step) => (step < 10 ? 1000 : 1))).beyond).toBe(0);
  });
});
