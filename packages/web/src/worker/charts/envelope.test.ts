import { SeededRandom } from '@fieldbook/core/testing';
import { describe, expect, it } from 'vitest';
import { census, middleOf } from './census.ts';
import { envelope, pathEnvelope } from './envelope.ts';
import { joinBySteps } from './join.ts';
import { matches, readMeanings } from './definitions.ts';

const floats = (values: readonly number[]): Float64Array => Float64Array.from(values);
const ALL = { from: null, to: null, logX: false, points: 100 };

describe('what is drawn of a whole series', () => {
  it.each([1, 2, 3, 4])('[CHT-7] has every spike of one point at every zoom, seed %d', (seed) => {
    const random = new SeededRandom(seed);
    const x = Float64Array.from({ length: 50_000 }, (_, index) => index);
    const y = x.map((at) => Math.sin(at / 300));
    // So far apart that no two share a bucket of either axis.
    const spikes = Array.from(
      { length: 30 },
      (_, index) => Math.floor(((index + 0.3) * 50_000) / 30) + random.int(400),
    );
    for (const [index, at] of spikes.entries()) y[at] = (index % 2 === 0 ? 1 : -1) * (100 + index);
    for (const [from, to] of [
      [null, null],
      [10_000, 30_000],
      [20_000, 22_700],
      [25_000, 25_900],
    ] as const) {
      for (const logX of [false, true]) {
        const drawn = envelope(x, y, { from, to, logX, points: 1_000 });
        const shown = new Set(Array.from(drawn.x, (at, row) => `${at} ${drawn.y[row]}`));
        const within = spikes.filter((at) => at >= (from ?? 1) && at <= (to ?? Infinity));
        expect(within.filter((at) => !shown.has(`${at} ${y[at]}`))).toEqual([]);
      }
    }
  });

  it('[CHT-7] is every point when they are few, with one more at each end, and says how many are in view', () => {
    const x = floats([0, 1, 2, 3, 4, 5]);
    const drawn = envelope(x, x, { from: 2, to: 3, logX: false, points: 100 });
    expect([...drawn.x]).toEqual([1, 2, 3, 4]);
    expect([drawn.total, drawn.buckets, drawn.band]).toEqual([2, 0, null]);
    expect(envelope(x, x, { ...ALL, logX: true }).x[0]).toBe(1);
    expect(envelope(floats([]), floats([]), ALL).total).toBe(0);
  });

  it('[CHT-7] has buckets of equal ratio on a logarithmic axis, so that the first decades keep their points', () => {
    const x = Float64Array.from({ length: 1_000_000 }, (_, index) => index);
    const drawn = envelope(x, x, { from: null, to: null, logX: true, points: 1_000 });
    for (const at of [1, 2, 3, 5, 10, 50]) expect(drawn.x.includes(at), String(at)).toBe(true);
  });

  it('[CHT-8] marks NaN and infinities where they are, whether points or buckets are drawn', () => {
    const x = Float64Array.from({ length: 1_000 }, (_, index) => index);
    const y = x.map((at) => (at === 100 ? NaN : at === 200 ? Infinity : at === 201 ? -Infinity : 1));
    const points = envelope(x, y, { ...ALL, points: 1_000 });
    expect([[...points.odd.x], [...points.odd.kind], points.nonFinite]).toEqual([[100, 200, 201], [0, 1, 2], 3]);
    const buckets = envelope(x, y, ALL);
    expect([[...buckets.odd.kind], buckets.nonFinite]).toEqual([[0, 3], 3]);
    expect(Math.abs(buckets.odd.x[0]! - 100)).toBeLessThan(20);
  });

  it('[CHT-9] keeps the outline of a path that goes back and forth', () => {
    const angle = Float64Array.from({ length: 100_000 }, (_, index) => index / 1_000);
    const x = angle.map(Math.cos);
    const y = angle.map(Math.sin);
    x[77_777] = 9;
    const drawn = pathEnvelope(x, y, 2_000);
    expect(drawn.ascending).toBe(false);
    expect(Math.max(...drawn.x)).toBe(9);
    expect(Math.max(...drawn.y)).toBe(Math.max(...y));
    expect(drawn.x.length).toBeLessThan(5_000);
  });
});

describe('metric against metric', () => {
  it('[CHT-9] joins by step, makes nothing up, and says what has no place', () => {
    const epoch = { steps: floats([0, 2, 4, 4, 6]), values: floats([0, 1, 2, 2.5, NaN]) };
    const loss = { steps: floats([0, 1, 2, 4, 6, 8]), values: floats([9, 8, 7, 6, 5, 4]) };
    const joined = joinBySteps(epoch, loss);
    expect([[...joined.x], [...joined.y], [...joined.steps]]).toEqual([
      [0, 1, 2.5],
      [9, 7, 6],
      [0, 2, 4],
    ]);
    expect([joined.ascending, joined.unplaced]).toEqual([true, 3]);
    expect(
      joinBySteps({ steps: floats([0, 1]), values: floats([5, 3]) }, { steps: floats([0, 1]), values: floats([1, 2]) })
        .ascending,
    ).toBe(false);
    expect(joinBySteps({ steps: floats([]), values: floats([]) }, loss).unplaced).toBe(6);
  });
});

describe('counts on all points', () => {
  it('[CHT-10] say what a frame of the middle hides, and each kind of value that cannot be shown', () => {
    const values = Float64Array.from({ length: 1_000 }, (_, index) => index - 10);
    values.set([NaN, Infinity, -Infinity, 1e9], 500);
    const within = middleOf([values], 99);
    expect(within).toEqual({ min: -6, max: 986 });
    expect(census([values], within)).toEqual({
      values: 997,
      within,
      above: 4,
      below: 4,
      nonPositive: 11,
      nan: 1,
      plusInfinity: 1,
      minusInfinity: 1,
    });
    expect(middleOf([floats([NaN])], 99)).toBeNull();
    expect(middleOf([floats([1, 2, 3])], 100)).toEqual({ min: 1, max: 3 });
  });
});

describe('what define_metric says', () => {
  it('[CHT-11] is read of attributes: whole names before patterns, longer patterns before shorter', () => {
    const meaningOf = readMeanings(
      new Map<string, string | number>([
        ['metric/val/acc/goal', 'max'],
        ['metric/val/*/x', 'epoch'],
        ['metric/val/*/unit', '%'],
        ['metric/*/x', 'tokens'],
        ['metric/val/acc/unit', 'points'],
        ['metric/odd/goal', 'sideways'],
        ['params/metric/x', 'no'],
      ]),
    );
    expect(meaningOf('val/acc')).toEqual({ unit: 'points', goal: 'max', x: 'epoch' });
    expect(meaningOf('val/loss')).toEqual({ unit: '%', goal: null, x: 'epoch' });
    expect(meaningOf('odd')).toEqual({ unit: null, goal: null, x: 'tokens' });
    expect([
      matches('a*b*c', 'a1b2c'),
      matches('a*bc', 'abc'),
      matches('ab*ba', 'aba'),
      matches('*', ''),
      matches('a', 'ab'),
    ]).toEqual([true, true, false, true, false]);
  });
});
