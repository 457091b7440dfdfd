import type { RunState } from '@fieldbook/core/fold';
import { describe, expect, it } from 'vitest';
import type { Surroundings } from '../../worker/compare-api.ts';
import { dataLines, dataVerdict } from './data.ts';
import {
  compareLines,
  differenceWords,
  hasPackages,
  packageCounts,
  packageLines,
  samePackagesWords,
  surroundingLines,
} from './lines.ts';

const metric = (last: number, min = last, max = last) => ({
  count: 1,
  last,
  lastStep: 0,
  min,
  minStep: 0,
  max,
  maxStep: 0,
  nonFinite: 0,
});
const state = (
  attributes: Record<string, unknown>,
  metrics: Record<string, ReturnType<typeof metric>> = {},
): RunState =>
  ({
    status: 'finished',
    created: 5,
    updated: 9,
    ended: 9,
    user: null,
    host: 'a',
    group: null,
    tags: [],
    notes: '',
    attributes: new Map(Object.entries(attributes)),
    metrics: new Map(Object.entries(metrics)),
  }) as unknown as RunState;
const digest = (letter: string): string => `data:sha256:${letter.repeat(64)}`;
const surroundings = (packages: Record<string, string>, sections = {}): Surroundings => ({
  run: 'r' as Surroundings['run'],
  here: true,
  sections: { packages: { packages }, ...sections },
  exitCode: 0,
  signal: null,
  reason: null,
  traceback: null,
});

describe('runs side by side', () => {
  it('[CMP-2] differ where their values do, and the best is marked by the goal that was given', () => {
    const lines = compareLines(
      [
        state({ 'params/lr': 0.1, same: 'x', nan: NaN }, { cost: metric(3, 1, 5), accuracy: metric(0.5) }),
        state({ 'params/lr': 0.2, same: 'x', nan: NaN }, { cost: metric(2, 2, 9), accuracy: metric(0.5) }),
        state({ same: 'x', nan: NaN }, { cost: metric(NaN) }),
      ],
      [{ name: 'cost', goal: 'min' }],
      0,
    );
    const of = (label: string) => lines.find((line) => line.label === label)!;
    expect(lines.filter(({ differs }) => differs).map(({ label }) => label)).toEqual([
      'params/lr',
      'accuracy · max',
      'accuracy',
      'cost · min',
      'cost',
    ]);
    expect(of('nan').differs).toBe(false);
    expect(of('cost · min').best).toBe(0);
    expect(of('cost').best).toBe(1);
    // Both are as good: nobody is best.
    expect(of('accuracy').best).toBeNull();
    expect(of('params/lr').best).toBeNull();
    expect(of('user')).toBeUndefined();
  });

  it('[CMP-2] a number stands beside the baseline with its difference', () => {
    expect(differenceWords(0.12, 0.1)).toBe('+0.02 (+20 %)');
    expect(differenceWords(1, 4)).toBe('−3 (−75 %)');
    expect(differenceWords(1, 0)).toBe('+1');
    expect([
      differenceWords(1, 1),
      differenceWords(NaN, 1),
      differenceWords('a', 1),
      differenceWords(1, undefined),
    ]).toEqual(['', '', '', '']);
  });

  it('[CMP-3] packages are compared by name as PyPI has it; added, removed and changed are told apart', () => {
    const lines = packageLines([
      surroundings({ numpy: '1.26', Jinja2: '3.1', typing_extensions: '4' }),
      surroundings({ numpy: '2.0', 'typing-extensions': '4', torch: '2.5' }),
    ]);
    expect(lines.filter(({ differs }) => differs).map(({ label, values }) => [label, ...values])).toEqual([
      ['Jinja2', '3.1', undefined],
      ['numpy', '1.26', '2.0'],
      ['torch', undefined, '2.5'],
    ]);
    expect(packageCounts(lines, 0, 1)).toEqual({ added: 1, removed: 1, changed: 1 });
    expect(packageCounts(lines, 1, 0)).toEqual({ added: 1, removed: 1, changed: 1 });
  });

  it('[CMP-3] a run whose packages were not captured differs in none, and is not said to have the same', () => {
    const without: Surroundings = { ...surroundings({}), sections: { machine: { cores: 2 } } };
    const one = surroundings({ numpy: '2.0', torch: '2.5' });
    const other = surroundings({ numpy: '2.0' });
    const differing = (...runs: Surroundings[]) =>
      packageLines(runs).flatMap(({ label, differs }) => (differs ? [label] : []));
    expect(packageLines([one, without]).map(({ values }) => values)).toEqual([
      ['2.0', undefined],
      ['2.5', undefined],
    ]);
    expect(differing(one, without)).toEqual([]);
    expect(differing(one, without, other)).toEqual(['torch']);
    // Captured and empty is not the same as not captured.
    expect(differing(one, surroundings({}))).toEqual(['numpy', 'torch']);
    expect([one, without, surroundings({})].map(hasPackages)).toEqual([true, false, true]);
    expect(samePackagesWords([one, one])).toBe('All of these runs had the same packages.');
    expect(samePackagesWords([one, without])).toBe('The packages of only one of these runs are known.');
    expect(samePackagesWords([one, without, one])).toBe('The 2 runs whose packages are known had the same.');
  });

  it('[CMP-3] what was captured is one line per value, without what differs by nature', () => {
    const lines = surroundingLines(
      [
        surroundings(
          {},
          { machine: { cores: 2, disks: [{ filesystem: 'ext4', free_bytes: 1 }], empty: [], flags: ['a', 'b'] } },
        ),
        surroundings({}, { machine: { cores: 2, disks: [{ filesystem: 'xfs', free_bytes: 2 }] } }),
      ],
      ['machine'],
    );
    expect(lines.map(({ label, values, differs }) => [label, values, differs])).toEqual([
      ['cores', [2, 2], false],
      ['disks.0.filesystem', ['ext4', 'xfs'], true],
      ['flags', [['a', 'b'], undefined], true],
    ]);
  });

  it('[CMP-4] runs on different data are warned of; silence of some is said, equal digests are the same data', () => {
    const verdict = (...runs: Record<string, unknown>[]) => dataVerdict(dataLines(runs.map((each) => state(each))));
    expect(verdict({ 'data/train': digest('a') }, { 'data/train': digest('b') })).toEqual({
      warns: true,
      words: 'These runs did not train on the same data: data/train (2 versions) differs.',
    });
    expect(verdict({ 'data/train': digest('a') }, { other: 1 })).toEqual({
      warns: true,
      words: 'Not all of these runs say what data they saw: data/train is recorded by 1 of 2.',
    });
    expect(verdict({ 'data/train': digest('a') }, { 'data/train': digest('a') })).toEqual({
      warns: false,
      words: 'All of these runs saw the same data: data/train.',
    });
    // A text that only looks like one.
    expect(verdict({ 'data/train': 'data:sha256:abc' }, {})).toBeNull();
  });
});
