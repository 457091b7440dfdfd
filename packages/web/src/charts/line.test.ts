import { describe, expect, it } from 'vitest';
import type { Line } from './line.ts';
import { nearest, nextPlace, padded, rangeX, rangeY } from './line.ts';

const NONE = { x: new Float64Array(), kind: new Uint8Array() };
const line = (x: number[], y: number[], ascending = true): Line => ({
  id: 'a',
  metric: 'loss',
  name: 'a',
  colour: '#000',
  dash: [],
  ascending,
  x: Float64Array.from(x),
  y: Float64Array.from(y),
  smooth: null,
  band: null,
  odd: NONE,
  runs: null,
  oddRuns: null,
});

describe('lines of a chart', () => {
  it('find the point next to a place, also where x goes back and forth', () => {
    expect([nearest(line([0, 10], [0, 0]), 4), nearest(line([0, 10], [0, 0]), 6), nearest(line([], []), 1)]).toEqual([
      0, 1, -1,
    ]);
    expect(nearest(line([0, 10, 4], [0, 0, 0], false), 5)).toBe(2);
    expect([nextPlace(line([0, 10], [0, 0]), 0, true), nextPlace(line([0, 10], [0, 0]), 0, false)]).toEqual([10, null]);
  });

  it('take their height from what is visible and finite, and on a log axis positive', () => {
    const lines = [line([0, 1, 2, 3], [-5, 0.1, Infinity, 100]), line([1], [NaN])];
    expect(rangeX(lines)).toEqual({ min: 0, max: 3 });
    expect(rangeX(lines, true)).toEqual({ min: 1, max: 3 });
    expect(rangeY(lines, 0, 2, false)).toEqual({ min: -5, max: 0.1 });
    expect(rangeY(lines, 0, 3, true)).toEqual({ min: 0.1, max: 100 });
    expect(rangeY(lines, 2, 2, false)).toBeNull();
    expect(rangeX([])).toBeNull();
    const group = {
      ...line([0, 1], [1, 2]),
      band: { x: Float64Array.of(0, 1), low: Float64Array.of(-3, 0), high: Float64Array.of(2, 9) },
    };
    expect(rangeY([group], 0, 1, false)).toEqual({ min: -3, max: 9 });
  });

  it('leave air above and below, also around a constant and between the ends of a double', () => {
    expect(padded({ min: 0, max: 1 }, false)).toEqual({ min: -0.05, max: 1.05 });
    expect(padded({ min: 0, max: 0 }, false)).toEqual({ min: -1, max: 1 });
    expect(padded({ min: -1.7e308, max: 1.7e308 }, false)).toEqual({ min: -1.7e308, max: 1.7e308 });
    const log = padded({ min: 1, max: 100 }, true);
    expect(log.min).toBeGreaterThan(0.5);
    expect(log.max).toBeLessThan(200);
  });
});
