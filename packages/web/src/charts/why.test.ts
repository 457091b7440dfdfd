import type { RunId } from '@fieldbook/core';
import { describe, expect, it } from 'vitest';
import { whyOf } from './why.ts';

const groups = (count: number, runs: number) =>
  Array.from({ length: count }, () => ({ runs: Array.from({ length: runs }, (_, run) => `r${run}` as RunId) }));

describe('which runs charts are of', () => {
  it('[CHT-26] is said with how many groups and selected runs are on none', () => {
    const none = { groups: null, total: 0, selected: 0, runs: 8 };
    expect(whyOf(none)).toBe('the first 8 runs of the table');
    expect(whyOf({ ...none, selected: 1, runs: 1 })).toBe('1 selected run');
    expect(whyOf({ ...none, selected: 1_200, runs: 50 })).toBe('the first 50 of 1,200 selected runs');
    expect(whyOf({ groups: groups(3, 4), total: 3, selected: 0, runs: 9 })).toBe('3 groups');
    expect(whyOf({ groups: groups(10, 4), total: 37, selected: 0, runs: 9 })).toBe('the first 10 of 37 groups');
    expect(whyOf({ groups: groups(2, 4), total: 2, selected: 8, runs: 8 })).toBe('8 selected runs in 2 groups');
    expect(whyOf({ groups: groups(10, 4), total: 14, selected: 200, runs: 50 })).toBe(
      '40 of 200 selected runs in the first 10 of 14 groups',
    );
  });
});
