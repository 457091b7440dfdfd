import { SeededRandom } from '@fieldbook/core/testing';
import { describe, expect, it } from 'vitest';
import type { SmoothingKind } from '../../charts/settings.ts';
import { smooth } from './smoothing.ts';

const KINDS: readonly SmoothingKind[] = ['ema', 'gaussian', 'mean'];
const steps = (count: number, gap = 1): Float64Array => Float64Array.from({ length: count }, (_, index) => index * gap);
const floats = (values: readonly number[]): Float64Array => Float64Array.from(values);
const wave = (x: number): number => Math.sin(x / 40) + 0.3 * Math.sin(x / 3);

/** The definition, by brute force: the mean over the window of values that hold half way to their neighbours. */
function slowMean(x: Float64Array, y: Float64Array, width: number): number[] {
  const edge = (index: number): number =>
    index <= 0 ? x[0]! : index >= x.length ? x[x.length - 1]! : (x[index - 1]! + x[index]!) / 2;
  return [...x].map((at) => {
    const [from, to] = [Math.max(x[0]!, at - width / 2), Math.min(x[x.length - 1]!, at + width / 2)];
    let sum = 0;
    for (let index = 0; index < x.length; index++) {
      const covered = Math.min(to, edge(index + 1)) - Math.max(from, edge(index));
      if (covered > 0) sum += covered * y[index]!;
    }
    return sum / (to - from);
  });
}

describe('smoothing', () => {
  it.each(KINDS)('[CHT-2] %s leaves a constant alone, its first value too: no pull towards zero', (kind) => {
    const x = floats([0, 1, 5, 5, 5.5, 100]);
    for (const value of smooth(kind, x, floats([3, 3, 3, 3, 3, 3]), 4)) expect(value).toBeCloseTo(3, 10);
    expect(smooth(kind, floats([7]), floats([2]), 4)[0]).toBe(2);
    expect(smooth(kind, floats([7, 7]), floats([2, 4]), 4)[1]).toBeCloseTo(3, 12);
  });

  it('[CHT-2] ema is the debiased moving average on even steps', () => {
    const y = [1, 2, 4, 8];
    const kept = Math.exp(-1 / 3);
    let average = 0;
    const expected = y.map((value, index) => {
      average = average * kept + value * (1 - kept);
      return average / (1 - kept ** (index + 1));
    });
    smooth('ema', steps(4), floats(y), 3).forEach((value, index) => expect(value).toBeCloseTo(expected[index]!, 12));
  });

  it.each([0.3, 1, 2.5, 7, 50, 1e4])('[CHT-2] mean is the mean over the window, of width %d', (width) => {
    const random = new SeededRandom(7);
    let at = 0;
    const x = Float64Array.from({ length: 120 }, () => (at += 0.1 + random.float() * 3));
    const y = x.map(() => random.float() * 10 - 5);
    const expected = slowMean(x, y, width);
    smooth('mean', x, y, width).forEach((value, index) =>
      expect(value, `at ${index}`).toBeCloseTo(expected[index]!, 9),
    );
  });

  it('[CHT-2] gaussian is near the real one away from the ends', () => {
    const x = steps(400);
    const y = x.map((at) => (at === 200 ? 1 : 0));
    const sigma = 12;
    const result = smooth('gaussian', x, y, sigma);
    for (let at = 150; at <= 250; at++) {
      const real = Math.exp(-((at - 200) ** 2) / (2 * sigma * sigma)) / (sigma * Math.sqrt(2 * Math.PI));
      expect(Math.abs(result[at]! - real)).toBeLessThan(0.05 / (sigma * Math.sqrt(2 * Math.PI)));
    }
    expect(result.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 6);
  });

  it.each(KINDS)('[CHT-3] %s does not depend on how often was logged, nor where it was logged more often', (kind) => {
    const coarse = steps(1_001);
    const dense = steps(10_001, 0.1);
    // Logged ten times as often in the second half only.
    const mixed = floats([...coarse.filter((at) => at < 500), ...dense.filter((at) => at >= 500)]);
    const [a, b, c] = [coarse, dense, mixed].map((x) => smooth(kind, x, x.map(wave), 25));
    const at = (x: Float64Array, y: Float64Array, where: number): number =>
      y[x.findIndex((each) => Math.abs(each - where) < 1e-6)]!;
    for (const where of [100, 480, 500, 510, 700, 950]) {
      expect(Math.abs(at(dense, b!, where) - at(coarse, a!, where))).toBeLessThan(0.03);
      expect(Math.abs(at(mixed, c!, where) - at(dense, b!, where))).toBeLessThan(0.03);
    }
  });

  it.each(KINDS)(
    '[CHT-2] %s passes over NaN and infinities, and one huge value does not spoil what comes later',
    (kind) => {
      const y = floats([1, NaN, Infinity, 1, -Infinity, 1]);
      const result = smooth(kind, steps(6), y, 2);
      expect([...result].map((value) => (Number.isFinite(value) ? Math.round(value * 1e9) / 1e9 : value))).toEqual([
        1,
        NaN,
        Infinity,
        1,
        -Infinity,
        1,
      ]);
      const burst = Float64Array.from({ length: 3_000 }, (_, index) => (index === 100 ? 1e300 : 1));
      expect(smooth(kind, steps(3_000), burst, 2).at(-1)).toBeCloseTo(1, 9);
      expect(smooth(kind, steps(3), floats([NaN, NaN, NaN]), 2).every(Number.isNaN)).toBe(true);
      expect(smooth(kind, floats([]), floats([]), 2).length).toBe(0);
    },
  );

  it.each(KINDS)('[CHT-2] %s takes a million points in one go', (kind) => {
    const x = steps(1_000_000);
    const result = smooth(kind, x, x.map(wave), 20_000);
    expect(Math.abs(result[600_000]!)).toBeLessThan(0.02);
  });
});
