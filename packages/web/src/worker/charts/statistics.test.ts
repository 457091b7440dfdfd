import { SeededRandom } from '@fieldbook/core/testing';
import { describe, expect, it } from 'vitest';
import { oddOf } from './envelope.ts';
import type { Sample } from './statistics.ts';
import { evenGrid, exactGrid, GroupStatistics, resample, studentT95, medianWithin, quantile } from './statistics.ts';

const floats = (values: readonly number[]): Float64Array => Float64Array.from(values);
const run = (x: number[], y: number[]): Sample => ({
  x: floats(x),
  mean: floats(y),
  low: floats(y),
  high: floats(y),
  count: floats(y.map(() => 1)),
  odd: oddOf(floats(x), floats(y)).odd,
});

describe('statistics of a group', () => {
  it('[CHT-12] count each run with its mean there, else with the straight line, and not beyond its ends', () => {
    const grid = exactGrid(floats([0, 1, 2, 3, 4]));
    const { mean } = resample(run([1, 3], [10, 20]), grid);
    expect([...mean]).toEqual([NaN, 10, 15, 20, NaN]);
    const cells = evenGrid(0, 4, 2, false);
    expect([...resample(run([0, 1, 3], [1, 3, 9]), cells).mean]).toEqual([2, 9]);
    expect([...resample(run([0, 2, 4], [1, NaN, 5]), exactGrid(floats([0, 1, 2, 3, 4]))).mean]).toEqual([
      1,
      NaN,
      NaN,
      NaN,
      5,
    ]);
    expect([...resample(run([], []), grid).mean].every(Number.isNaN)).toBe(true);
  });

  it('[CHT-12] are mean and median with least to greatest, deviation or confidence, and say how many runs', () => {
    const statistics = new GroupStatistics(exactGrid(floats([0, 1])), true);
    for (const values of [[1, 10], [2, 20], [6]])
      statistics.add(
        run(
          values.map((_, index) => index),
          values,
        ),
      );
    const band = statistics.read('mean', 'minmax');
    expect([[...band.centre], [...band.low], [...band.high], [...band.runs]]).toEqual([
      [3, 15],
      [1, 10],
      [6, 20],
      [3, 2],
    ]);
    expect([...statistics.read('median', 'none').centre]).toEqual([2, 15]);
    const deviation = Math.sqrt(7);
    expect(statistics.read('mean', 'std').high[0]).toBeCloseTo(3 + deviation, 12);
    expect(statistics.read('mean', 'ci').low[0]).toBeCloseTo(3 - (4.303 * deviation) / Math.sqrt(3), 9);
    const alone = new GroupStatistics(exactGrid(floats([0])), false);
    alone.add(run([0], [5]));
    expect([alone.read('mean', 'std').centre[0], alone.read('mean', 'std').low[0]]).toEqual([5, NaN]);
  });

  it('[CHT-12] have a band around the median that is of the median: ranks, not deviations from the mean', () => {
    const of = (values: readonly number[]): GroupStatistics => {
      const statistics = new GroupStatistics(exactGrid(floats([0])), true);
      for (const value of values) statistics.add(run([0], [value]));
      return statistics;
    };
    const skewed = of([1, 1, 1, 1, 1, 1, 1, 1, 1, 50]);
    for (const spread of ['std', 'ci'] as const) {
      const { centre, low, high } = skewed.read('median', spread);
      expect([centre[0], low[0], high[0]]).toEqual([1, 1, 1]);
    }
    // From the binomial table: of 10 values the 2nd and the 9th hold the median with 97.9 %, of 25 the 8th and the 18th with 95.7 %.
    const ranks = (count: number): [number, number] =>
      medianWithin(Float64Array.from({ length: count }, (_, place) => place + 1));
    expect([ranks(2), ranks(5), ranks(6), ranks(10), ranks(25), ranks(100)]).toEqual([
      [1, 2],
      [1, 5],
      [1, 6],
      [2, 9],
      [8, 18],
      [40, 61],
    ]);
    // The approximation goes on where the sum ends.
    const [low, high] = ranks(201);
    expect([low >= 86 && low <= 87, high >= 115 && high <= 116]).toEqual([true, true]);
    expect([0, 0.16, 0.5, 1].map((share) => quantile(floats([1, 2, 3, 4]), share))).toEqual([1, 1.48, 2.5, 4]);
  });

  it('[CHT-8] count the runs that have NaN or infinities at each place and in a stretch, and no run where it has none', () => {
    const statistics = new GroupStatistics(evenGrid(0, 8, 4, false), false);
    const x = [0, 1, 2, 3, 4, 5, 6, 7];
    statistics.add(run(x, [1, 1, 1, 1, NaN, NaN, NaN, NaN]));
    statistics.add(run(x, [3, 3, 3, 3, 3, Infinity, 3, 3]));
    statistics.add(run(x, [5, 5, 5, 5, 5, 5, -Infinity, -Infinity]));
    const { centre, runs, odd, oddKind } = statistics.read('mean', 'minmax');
    expect([[...centre], [...runs], [...odd]]).toEqual([
      [3, 3, 4, 3],
      [3, 3, 2, 1],
      [0, 0, 2, 2],
    ]);
    expect([...oddKind].slice(2)).toEqual([3, 3]);
    expect([statistics.oddRuns(0, 2), statistics.oddRuns(2, 3), statistics.oddRuns(0, 4)]).toEqual([0, 2, 3]);
  });

  it('[CHT-12] do not depend on the order of runs, nor on what other groups hold', () => {
    const random = new SeededRandom(3);
    const runs = Array.from({ length: 200 }, () => {
      const length = 50 + random.int(100);
      return run(
        Array.from({ length }, (_, index) => index),
        Array.from({ length }, () => random.float() * 1e6),
      );
    });
    const make = (list: readonly Sample[]) => {
      const statistics = new GroupStatistics(evenGrid(0, 149, 60, false), true);
      for (const each of list) statistics.add(each);
      return statistics.read('mean', 'std');
    };
    const [a, b] = [make(runs), make(runs.toReversed())];
    a.centre.forEach((value, cell) => expect(b.centre[cell]! / value).toBeCloseTo(1, 12));
    a.low.forEach((value, cell) => expect(Math.abs(b.low[cell]! - value)).toBeLessThan(1e-6));
    expect([...a.runs]).toEqual([...b.runs]);
  });

  it('[CHT-12] keep a spike of one point of one run in the band of least and greatest', () => {
    const statistics = new GroupStatistics(evenGrid(0, 9_999, 40, false), false);
    const x = Array.from({ length: 10_000 }, (_, index) => index);
    statistics.add(
      run(
        x,
        x.map((at) => (at === 4_321 ? 1e6 : 0)),
      ),
    );
    statistics.add(
      run(
        x,
        x.map(() => 0),
      ),
    );
    expect(Math.max(...statistics.read('mean', 'minmax').high)).toBe(1e6);
  });

  it('[CHT-12] use quantiles of Student’s t', () => {
    for (const [freedom, real] of [
      [1, 12.706],
      [30, 2.042],
      [40, 2.021],
      [60, 2.0],
      [120, 1.98],
      [1_000, 1.962],
    ] as const)
      expect(Math.abs(studentT95(freedom) - real), String(freedom)).toBeLessThan(0.001);
  });
});
