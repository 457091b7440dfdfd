import type { RunId } from '@fieldbook/core';
import { describe, expect, it } from 'vitest';
import type { Cell } from '../worker/api.ts';
import type { Line } from '../worker/groups-api.ts';
import { sameLines } from './lines.ts';

function line(id: string, cells: Cell[], changes: object = {}): Line {
  const row = {
    id: id as RunId,
    name: id,
    unnamed: false,
    status: 'finished' as const,
    created: 1,
    ended: 2,
    star: false,
    archived: false,
    trashed: false,
    notes: '',
    tags: ['paper'],
    conflicts: [],
    unsaved: false,
    cells,
    ...changes,
  };
  return { kind: 'run', id: id as RunId, depth: 0, group: null, row };
}

/** What comes over from a worker: nothing of it is the object that was sent. */
const sent = (lines: readonly Line[]): Line[] => structuredClone(lines) as Line[];

describe('lines of a new answer', () => {
  const cells: Cell[] = [1, Number.NaN, undefined, null, 'text', true, { time: 5 }, ['a', 'b']];

  it('[WEB-61] are the objects that they were where they say the same, wherever they stand', () => {
    const before = [line('a', cells), line('b', cells), line('c', cells)];
    const after = sameLines(before, sent([before[1]!, before[2]!, before[0]!]));
    expect(after.map((each) => before.indexOf(each))).toEqual([1, 2, 0]);
  });

  it.each<[string, Line]>([
    ['a cell', line('a', [2, ...cells.slice(1)])],
    ['a time', line('a', [...cells.slice(0, 6), { time: 6 }, ['a', 'b']])],
    ['a list', line('a', [...cells.slice(0, 7), ['a']])],
    ['nothing and None', line('a', [1, Number.NaN, null, null, ...cells.slice(4)])],
    ['another column', line('a', [...cells, 1])],
    ['a tag', line('a', cells, { tags: ['paper', 'best'] })],
    ['a name', line('a', cells, { name: 'b' })],
    ['an edit that is not saved', line('a', cells, { unsaved: 'browser' })],
    ['a level', { ...line('a', cells), depth: 1 } as Line],
  ])('[WEB-61] are new where they differ in %s', (_what, changed) => {
    const before = [line('a', cells)];
    const [after] = sameLines(before, sent([changed]));
    expect(after).not.toBe(before[0]);
    expect(after).toEqual(changed);
  });
});
