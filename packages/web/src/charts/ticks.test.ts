import { describe, expect, it } from 'vitest';
import { logTicks, niceTicks, tickX, tickY, timeTicks, wordsX } from './ticks.ts';

const HOUR = 3_600_000;

describe('ticks of an axis', () => {
  it('[CHT-6] lie at round values of any size', () => {
    expect(niceTicks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(niceTicks(-3, 12, 4)).toEqual([0, 5, 10]);
    expect(niceTicks(0, 3e250, 3)).toEqual([0, 1e250, 2e250, 3e250]);
    expect(niceTicks(1, 1, 5)).toEqual([1]);
    expect(niceTicks(1e-9, 3e-9, 2)).toEqual([1e-9, 2e-9, 3e-9]);
  });

  it('[CHT-6] lie at powers of ten on a log axis, fewer or more as there is room', () => {
    expect(logTicks(1, 1000, 4)).toEqual([1, 10, 100, 1000]);
    expect(logTicks(1, 100, 8)).toEqual([1, 2, 5, 10, 20, 50, 100]);
    expect(logTicks(1e-12, 1, 4)).toEqual([1e-12, 1e-9, 1e-6, 1e-3, 1]);
    expect(logTicks(20, 50, 3)).toEqual([20, 30, 40, 50]);
    expect(logTicks(0.9, 11, 4).every((tick) => tick >= 0.9 && tick <= 11)).toBe(true);
    expect(logTicks(3, 3, 4)).toEqual([3]);
  });

  it('[CHT-6] lie at round stretches of time', () => {
    expect(timeTicks(0, 2 * HOUR, 4, false)).toEqual([0, HOUR / 2, HOUR, 1.5 * HOUR, 2 * HOUR]);
    expect(tickX('relative', 1.5 * HOUR, [0, 2 * HOUR])).toBe('1.5 h');
    expect(tickX('relative', 0, [0, 2 * HOUR])).toBe('0');
    expect(tickX('metric:epoch', 20_000, [0])).toBe('20k');
  });

  it('[CHT-6] have short words with a real minus', () => {
    expect([0, 0.5, -20_000, 1e-7, 123_456_789, -1e300].map(tickY)).toEqual([
      '0',
      '0.5',
      '−20k',
      '1e-7',
      '1.235e8',
      '−1e300',
    ]);
    expect(wordsX('metric:epoch', 3)).toBe('epoch 3');
    expect(wordsX('step', 12_000)).toBe('step 12,000');
  });
});
