import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../testing/random.ts';
import type { Sealed } from './merge-plan.ts';
import { FULL_POINTS, planMerge, REWRITES_MAX } from './merge-plan.ts';

interface Counted extends Sealed {
  /** How often the points of the segment were written again, at most. */
  rewrites: number;
}

/** Merges as planned until nothing is left to do; the points written. */
function settle(segments: Counted[], ended: boolean): number {
  let written = 0;
  for (;;) {
    const plan = planMerge(segments, ended);
    if (plan === undefined) return written;
    const [start, end] = plan;
    const part = segments.slice(start, end);
    expect(part.length).toBeGreaterThanOrEqual(2);
    part.forEach((segment, index) => index > 0 && expect(segment.first).toBe(part[index - 1]!.last + 1));
    const points = part.reduce((sum, segment) => sum + segment.points, 0);
    expect(points).toBeLessThan(2 * FULL_POINTS);
    written += points;
    const rewrites = Math.max(...part.map((segment) => segment.rewrites)) + 1;
    segments.splice(start, end - start, { first: part[0]!.first, last: part.at(-1)!.last, points, rewrites });
  }
}

function live(
  count: number,
  size: (index: number) => number,
  hole = -1,
): { segments: Counted[]; written: number; all: number } {
  const segments: Counted[] = [];
  let next = 0;
  let written = 0;
  let all = 0;
  for (let index = 0; index < count; index++) {
    if (index === hole) next += 5;
    const points = size(index);
    segments.push({ first: next, last: next + points - 1, points, rewrites: 0 });
    next += points;
    all += points;
    written += settle(segments, false);
  }
  return { segments, written, all };
}

describe('merging segments', () => {
  it('[ING-36] rewrites each point a bounded number of times, whatever the sizes, and leaves few segments', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = new SeededRandom(seed);
      const most = 10 ** (1 + random.int(5));
      const { segments } = live(2_000, () => 1 + random.int(most));
      for (const { rewrites } of segments) expect(rewrites, `seed ${seed}`).toBeLessThan(REWRITES_MAX);
      const full = segments.filter(({ points }) => points >= FULL_POINTS).length;
      expect(segments.length - full, `seed ${seed}`).toBeLessThan(100);
      settle(segments, true);
      for (const { rewrites } of segments) expect(rewrites, `seed ${seed}`).toBeLessThanOrEqual(REWRITES_MAX);
      expect(segments.filter(({ points }) => points < FULL_POINTS).length, `seed ${seed}`).toBeLessThanOrEqual(
        1 + full,
      );
    }
  });

  it('[ING-36] costs in all a number of points that grows with the run and not with its square', () => {
    const cost = [250, 1_000, 4_000].map((count) => live(count, () => 5_000)).map(({ written, all }) => written / all);
    expect(cost[2]!).toBeLessThan(REWRITES_MAX);
    expect(cost[2]! / cost[0]!).toBeLessThan(1.5);
    // A usual run, sealed every 50,000 points, is rewritten once.
    const usual = live(100, () => 50_000);
    expect(usual.written / usual.all).toBeLessThanOrEqual(1);
    expect(usual.segments.length).toBeLessThan(25);
  });

  it('[ING-36] never merges across ordinals that are in no segment', () => {
    const { segments } = live(100, () => 1_000, 50);
    settle(segments, true);
    const gap = segments.findIndex((segment, index) => index > 0 && segment.first !== segments[index - 1]!.last + 1);
    expect(segments).toHaveLength(2);
    expect(gap).toBe(1);
    expect(planMerge([], true)).toBeUndefined();
    expect(planMerge([{ first: 0, last: 9, points: 10 }], true)).toBeUndefined();
  });
});
