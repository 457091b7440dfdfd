import { describe, expect, it } from 'vitest';
import { rateOf, timeLeft, withSample } from './rate.ts';
import type { Sample } from './rate.ts';

function samplesOf(...points: readonly (readonly [at: number, bytes: number])[]): Sample[] {
  let samples: Sample[] = [];
  for (const [at, bytes] of points) samples = withSample(samples, { at, bytes });
  return samples;
}

describe('the rate of an exchange', () => {
  it('[SYN-3] is told over seconds, ends with the movement, and begins anew with the program', () => {
    const moving = samplesOf([0, 0], [1_000, 500], [2_000, 4_000]);
    expect(rateOf(moving, 2_100)).toBe(2_000);
    expect(timeLeft(10_000, rateOf(moving, 2_100))).toBe(5_000);
    // Nothing came for a while: no rate is better than an old one.
    expect(rateOf(moving, 8_000)).toBeNull();
    expect(timeLeft(10_000, null)).toBeNull();
    expect(timeLeft(0, 2_000)).toBeNull();
    expect(rateOf(samplesOf([0, 5_000], [1_000, 9_000], [2_000, 100]), 2_000)).toBeNull();
    // What is older than the window has no say.
    expect(rateOf(samplesOf([0, 0], [20_000, 1_000], [21_000, 3_000]), 21_000)).toBe(2_000);
    expect(rateOf(samplesOf([0, 0]), 0)).toBeNull();
  });
});
