import { describe, expect, it } from 'vitest';
import { medianGap, smooth } from './smoothing.ts';

const steps = (count: number) => Float64Array.from({ length: count }, (_, index) => index);

describe('smoothing', () => {
  it('[WEB-3] leaves a constant and its first value alone: no pull towards zero at the start', () => {
    expect([...smooth(steps(5), [3, 3, 3, 3, 3], 0.9)].every((value) => Math.abs(value - 3) < 1e-12)).toBe(true);
    expect(smooth(steps(2), [7, 0], 0.99)[0]).toBeCloseTo(7, 12);
  });

  it('[WEB-3] is the debiased moving average on even steps', () => {
    const y = [1, 2, 4, 8];
    const weight = 0.6;
    let average = 0;
    const expected = y.map((value, index) => {
      average = average * weight + value * (1 - weight);
      return average / (1 - weight ** (index + 1));
    });
    smooth(steps(4), y, weight).forEach((value, index) => expect(value).toBeCloseTo(expected[index]!, 12));
  });

  it('[WEB-3] lets the past fade with distance: a far point forgets more than a near one', () => {
    const near = smooth([0, 1, 2, 3, 4], [0, 0, 0, 0, 1], 0.9).at(-1)!;
    const far = smooth([0, 1, 2, 3, 40], [0, 0, 0, 0, 1], 0.9).at(-1)!;
    expect(far).toBeGreaterThan(near);
  });

  it('[WEB-3] passes over NaN and infinities without being poisoned', () => {
    const result = smooth(steps(4), [1, NaN, Infinity, 1], 0.5);
    expect(result[1]).toBeNaN();
    expect(result[2]).toBe(Infinity);
    expect(result[3]).toBeCloseTo(1, 12);
  });

  it('knows the typical distance, and 0 without one', () => {
    expect(medianGap([0, 10, 20, 500])).toBe(10);
    expect(medianGap([1])).toBe(0);
  });
});
