import { foldRun } from '@fieldbook/core/fold';
import type { RunState } from '@fieldbook/core/fold';
import type { AttributeValue, Edit } from '@fieldbook/core/record';
import type { AttributePath, DeviceId, ProjectId, RunId } from '@fieldbook/core';
import { makeCard, makeTestEdit, testHlc } from '@fieldbook/core/testing';
import { describe, expect, it } from 'vitest';
import { differences, linesOf, registerOf, valueAfter, valueBefore } from './history.ts';
import { historyAt, timeOf, timeText } from './past.ts';
import { valueWords } from './words.ts';

const run = 'run-1' as RunId;
const minute = 60_000;

describe('a history', () => {
  const name = makeTestEdit({ field: 'name', value: 'one', at: testHlc(0) });
  const notes = ['a', 'a b', 'a b c'].map((value, index) =>
    makeTestEdit({ field: 'notes', value, at: testHlc((index + 1) * minute) }),
  );
  notes[1]!.base = [notes[0]!.id];
  notes[2]!.base = [notes[1]!.id];
  const later = makeTestEdit({ field: 'notes', value: 'd', base: [notes[2]!.id], at: testHlc(40 * minute) });
  const tags = ['x', 'y'].map((value, index) =>
    makeTestEdit({ field: 'tags', op: 'add', value, at: testHlc(50 * minute + index) }),
  );
  const other = makeTestEdit({ field: 'tags', op: 'add', value: 'z', by: 'bob', at: testHlc(50 * minute + 5) });
  const attribute = makeTestEdit({
    field: 'attribute',
    path: 'lr' as AttributePath,
    value: 0.1,
    at: testHlc(51 * minute),
  });
  const history = [name, ...notes, later, ...tags, other, attribute];

  it('[HIS-1] has one line for a sitting and for tags set together, and none for what does not belong together', () => {
    const lines = linesOf(history, [], { who: null, what: null });
    expect(lines.map(({ edits }) => edits.map(({ value }) => value))).toEqual([
      [0.1],
      ['z'],
      ['x', 'y'],
      ['d'],
      ['a', 'a b', 'a b c'],
      ['one'],
    ]);
    const state = foldRun(run, 'mnist' as ProjectId, [makeCard()], history);
    expect(valueBefore(lines[3]!, history, state)).toBe('a b c');
    expect(valueBefore(lines[4]!, history, state)).toBeUndefined();
    const elsewhere = history.map((edit, index) =>
      index === 2 ? { ...edit, device: 'd000000000000000000000009' as DeviceId } : edit,
    );
    expect(linesOf(elsewhere, [], { who: null, what: 'notes' })).toHaveLength(4);
  });

  it('[HIS-1] an attribute was before its first edit, and is after edits are taken back, what the script says', () => {
    const path = 'lr' as AttributePath;
    const make = (op: Edit['op'], value: AttributeValue, seconds: number, base: Edit[]): Edit =>
      makeTestEdit({
        field: 'attribute',
        path,
        op,
        value,
        at: testHlc(seconds * 1_000),
        base: base.map(({ id }) => id),
      });
    const set = make('set', 0.02, 1, []);
    const removed = make('remove', null, 2, [set]);
    const cleared = make('clear', null, 3, [removed]);
    const again = make('set', 0.5, 4, [cleared]);
    const fold = (edits: Edit[], script: boolean): RunState =>
      foldRun(run, 'mnist' as ProjectId, [makeCard({ attributes: new Map(script ? [[path, 0.01]] : []) })], edits);
    const changes = (edits: Edit[], script: boolean): unknown[] => {
      const state = fold(edits, script);
      return linesOf(edits, [], { who: null, what: null })
        .reverse()
        .map((line) => [valueBefore(line, edits, state), valueAfter(line, state)]);
    };
    const edits = [set, removed, cleared, again];
    const said = [
      [0.01, 0.02],
      [0.02, undefined],
      [null, 0.01],
      [0.01, 0.5],
    ];
    expect(changes(edits, true)).toEqual(said);
    // Nothing of it is edited any more: it is what the script says.
    expect(changes(edits.slice(0, 3), true)).toEqual(said.slice(0, 3));
    expect(changes(edits.slice(0, 1), false)).toEqual([[undefined, 0.02]]);
  });

  it('[HIS-1] is filtered by person and by field, an attribute by its path', () => {
    expect(linesOf(history, [], { who: 'bob', what: null }).map(({ key }) => key)).toEqual([other.id]);
    expect(linesOf(history, [], { who: 'ada', what: 'tags' })).toHaveLength(1);
    expect(linesOf(history, [], { who: null, what: registerOf(attribute) }).map(({ key }) => key)).toEqual([
      attribute.id,
    ]);
    const { writers } = foldRun(run, 'mnist' as ProjectId, [makeCard({ ended: 5, user: 'ada' })], []);
    expect(
      linesOf([], writers, { who: 'ada', what: null })
        .map(({ process }) => process?.what)
        .sort((a, b) => (a! < b! ? -1 : 1)),
    ).toEqual(['ended', 'started']);
    expect(linesOf([], writers, { who: 'bob', what: null })).toEqual([]);
  });

  it('[HIS-2] a time survives its address, and anything else is none', () => {
    for (const time of [0, 1_768_478_400_000, 1_768_478_400_123]) expect(timeOf(timeText(time))).toBe(time);
    expect(timeText(1_768_478_400_000)).toBe('2026-01-15T12:00:00');
    expect(timeOf('2026-01-15')).toBe(Date.parse('2026-01-15T23:59:59.999Z'));
    for (const text of [null, '', 'now', '2026-13-45', '2026-01-15T99:00', '1768478400000'])
      expect(timeOf(text)).toBeNull();
    expect(historyAt(history, 1_768_478_400_000 + 2 * minute)).toEqual(history.slice(0, 3));
  });

  it('[HIS-2] differences of then and now name what changed, and only that', () => {
    const cards = [makeCard({ attributes: new Map([['lr' as AttributePath, 1]]) })];
    const then = foldRun(run, 'mnist' as ProjectId, cards, [name]);
    const now = foldRun(run, 'mnist' as ProjectId, cards, history);
    expect(differences(then, then, valueWords)).toEqual([]);
    expect(differences(then, now, valueWords)).toEqual([
      { what: 'Tags', was: '', is: 'x, y, z' },
      { what: 'Notes', was: '', is: 'd' },
      { what: 'lr', was: '1', is: '0.1' },
    ]);
  });
});
