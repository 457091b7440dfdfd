import { describe, expect, it } from 'vitest';
import type { PlotColumn } from '../../worker/plots-api.ts';
import { barsOfGroups, barsOfRuns, groupsBy } from './bars.ts';

const IDS = ['a', 'b', 'c', 'd', 'e'];
const ACC: PlotColumn = {
  id: 'm:acc.max',
  kind: 'number',
  values: Float64Array.of(0.5, 0.7, NaN, 0.9, 0.2),
  categories: [],
  missing: 1,
  nonFinite: 0,
};
const OPT: PlotColumn = {
  ...ACC,
  id: 'a:opt',
  kind: 'category',
  values: Float64Array.of(0, 0, 0, 0, 1),
  categories: [
    { label: 'adam', literal: '"adam"' },
    { label: 'sgd', literal: '"sgd"' },
  ],
};

describe('bars', () => {
  it('[PLT-6] stand in order, one per run that has a number', () => {
    expect(barsOfRuns(IDS, ACC, true).map(({ id }) => id)).toEqual(['d', 'b', 'a', 'e']);
    expect(barsOfRuns(IDS, ACC, false).map(({ value }) => value)).toEqual([0.2, 0.5, 0.7, 0.9]);
  });

  it('[PLT-6] of groups are means over all their runs, with how far those lie apart', () => {
    const groups = groupsBy(IDS, OPT);
    expect(groups.map(({ label, runs }) => [label, runs])).toEqual([
      ['adam', ['a', 'b', 'c', 'd']],
      ['sgd', ['e']],
    ]);
    const [adam, sgd] = barsOfGroups(IDS, ACC, groups, 'std', true) as [
      ReturnType<typeof barsOfGroups>[0],
      ReturnType<typeof barsOfGroups>[0],
    ];
    expect([adam.count, adam.value, adam.low, adam.high].map((value) => Number(value!.toFixed(9)))).toEqual([
      3, 0.7, 0.5, 0.9,
    ]);
    // One run has no deviation, and none is made up.
    expect(sgd).toMatchObject({ count: 1, value: 0.2, low: null, high: null });
    expect(barsOfGroups(IDS, ACC, groups, 'range', true)[0]).toMatchObject({ low: 0.5, high: 0.9 });
    const ci = barsOfGroups(IDS, ACC, groups, 'ci', true)[0]!;
    expect(ci.high! - ci.value).toBeCloseTo((4.303 * 0.2) / Math.sqrt(3), 6);
  });

  it('[PLT-6] runs without the value that groups are made by are a group of their own', () => {
    const by = { ...ACC, values: Float64Array.of(1, 1, NaN, NaN, 2) };
    expect(groupsBy(IDS, by).map(({ label, runs }) => [label, runs.length])).toEqual([
      ['1', 2],
      ['without', 2],
      ['2', 1],
    ]);
  });
});
