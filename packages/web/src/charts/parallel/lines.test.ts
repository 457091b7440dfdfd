import { describe, expect, it } from 'vitest';
import type { PlotColumn } from '../../worker/plots-api.ts';
import { scaleOf } from '../scale.ts';
import { brushed, moved, nearestLine, placeLines } from './lines.ts';

const numbers = (id: string, values: number[]): PlotColumn => ({
  id,
  kind: 'number',
  values: Float64Array.from(values),
  categories: [],
  missing: 0,
  nonFinite: 0,
});
const OPT: PlotColumn = {
  ...numbers('a:opt', [0, 1, 1, NaN]),
  kind: 'category',
  categories: [
    { label: 'adam', literal: '"adam"' },
    { label: 'sgd', literal: '"sgd"' },
  ],
};
const LR = numbers('a:lr', [0.1, 0.01, 0.001, 0.01]);

describe('lines of parallel coordinates', () => {
  it('[PLT-5] a brush keeps the runs that its query finds: those with a value within it, on every brushed axis', () => {
    const kept = (...brushes: Parameters<typeof brushed>[1]): number[] => [...brushed([LR, OPT], brushes)];
    expect(kept(null, null)).toEqual([1, 1, 1, 1]);
    expect(kept({ low: 0.001, high: 0.01 }, null)).toEqual([0, 1, 1, 1]);
    expect(kept(null, { values: ['"sgd"'] })).toEqual([0, 1, 1, 0]);
    expect(kept({ low: 0.01, high: 1 }, { values: ['"sgd"', '"adam"'] })).toEqual([1, 1, 0, 0]);
  });

  it('[PLT-5] every run has its place on each axis, on log ones too, and none where it has no value', () => {
    const columns = [LR, OPT];
    const placed = placeLines(columns, [scaleOf(LR, true), scaleOf(OPT, false)]);
    const [lr, opt] = placed.at as [Float64Array, Float64Array];
    expect(lr[1]! - lr[2]!).toBeCloseTo(lr[0]! - lr[1]!, 9);
    expect(Math.abs(opt[0]! - 0.25)).toBeLessThan(0.1);
    expect(Math.abs(opt[1]! - 0.75)).toBeLessThan(0.1);
    expect(opt[3]).toBeNaN();
    const zero = numbers('z', [0, 10]);
    expect(placeLines([zero], [scaleOf(zero, true)]).at[0]![0]).toBeNaN();
  });

  it('[PLT-5] the line under the pointer is the nearest of those that are kept', () => {
    const placed = { count: 3, at: [Float64Array.of(0, 0.5, 1), Float64Array.of(1, 0.5, 0)] };
    const all = Uint8Array.of(1, 1, 1);
    expect(nearestLine(placed, [0, 100], 100, 10, 88, 20, all)).toBe(0);
    expect(nearestLine(placed, [0, 100], 100, 10, 52, 20, all)).toBe(1);
    expect(nearestLine(placed, [0, 100], 100, 50, 50, 20, Uint8Array.of(0, 0, 1))).toBe(2);
    expect(nearestLine(placed, [0, 100], 100, 10, 30, 5, all)).toBe(-1);
  });

  it('[PLT-5] axes change their order', () => {
    expect(moved(['a', 'b', 'c'], 0, 2)).toEqual(['b', 'c', 'a']);
    expect(moved(['a', 'b', 'c'], 2, -4)).toEqual(['c', 'a', 'b']);
  });
});
