import { describe, expect, it } from 'vitest';
import { HybridClock, makeHlc } from '../hlc.ts';
import type { AttributePath, DeviceId, ProjectId, RunId, WriterId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { AttributeValue, Card, Edit } from '../record/index.ts';
import { cardKey, encodeCard, encodeEdit } from '../record/index.ts';
import { FakeClock, makeCard, makeTestEdit, SeededRandom, testHlc } from '../testing/index.ts';
import type { Change } from './author.ts';
import { Author, changeOf, undoOf } from './author.ts';
import { ProjectFold } from './project.ts';
import { foldRun } from './run.ts';
import type { RunState } from './state.ts';

const RUN = 'run-1' as RunId;
const MNIST = 'mnist' as ProjectId;
const LR = 'params/lr' as AttributePath;
const BEST = 'eval/best' as AttributePath;
const REGISTER = 'attribute:params/lr';
const deviceOf = (n: number): DeviceId => `d${String(n).padStart(24, '0')}` as DeviceId;
const fold = (edits: readonly Edit[], ...cards: readonly Card[]): RunState => foldRun(RUN, MNIST, cards, edits);
const card = (lr: AttributeValue, override: Partial<Card> = {}): Card =>
  makeCard({ attributes: new Map([[LR, lr]]), ...override });
const edit = (override: Partial<Edit>): Edit => makeTestEdit({ field: 'attribute', path: LR, ...override });

function author(): Author {
  const clock = new FakeClock();
  const hybrid = new HybridClock(clock);
  return new Author({ device: deviceOf(1), by: 'ada', hybrid, clock, random: new SeededRandom(1) });
}

describe('edited attributes', () => {
  it('[FOLD-17] shows the edit in force over what scripts say, now and later', () => {
    const set = edit({ value: 0.5, at: testHlc(5), device: deviceOf(1) });
    expect(fold([set], card(0.1)).attributes.get(LR)).toBe(0.5);
    expect(fold([set]).attributes.get(LR), 'before any card has come').toBe(0.5);
    const late = makeCard({
      writer: '01kf0000000000000000000009' as WriterId,
      created: 9e12,
      attributes: new Map([[LR, 0.9]]),
    });
    expect(fold([set], card(0.1), late).attributes.get(LR), 'a later writer').toBe(0.5);
    // The tie is broken by the device, and a younger edit holds whatever the order of arrival.
    const tie = edit({ value: 0.6, at: testHlc(5), device: deviceOf(2) });
    for (const edits of [
      [set, tie],
      [tie, set],
    ])
      expect(fold(edits, card(0.1)).attributes.get(LR)).toBe(0.6);
    const removed = edit({ op: 'remove', value: null, base: [set.id, tie.id] });
    const gone = fold([set, tie, removed], card(0.1), late);
    expect([gone.attributes.has(LR), gone.conflicts]).toEqual([false, []]);
    const cleared = edit({ op: 'clear', value: null, base: [removed.id] });
    expect(fold([set, tie, removed, cleared], card(0.1)).attributes.get(LR)).toBe(0.1);
    expect(fold([set, tie, removed, cleared], card(0.1), late).attributes.get(LR)).toBe(0.9);
    expect(fold([set, tie, removed, cleared]).attributes.has(LR)).toBe(false);
    // Other paths are other registers.
    const best = edit({ path: BEST, value: { time: 5 }, base: [] });
    const both = fold([set, best], card(0.1));
    expect([...both.attributes]).toEqual([
      [LR, 0.5],
      [BEST, { time: 5 }],
    ]);
  });

  it('[FOLD-18] shows edits made without knowledge of each other as a conflict of that path', () => {
    const a = edit({ value: 1, by: 'ada', at: testHlc(1) });
    const b = edit({ value: 2, by: 'bob', at: testHlc(2) });
    const state = fold([a, b], card(0));
    expect(
      state.conflicts.map(({ field, sides }) => [field, sides.map(({ by, op, value }) => [by, op, value])]),
    ).toEqual([
      [
        REGISTER,
        [
          ['bob', 'set', 2],
          ['ada', 'set', 1],
        ],
      ],
    ]);
    expect(state.heads).toEqual({ [REGISTER]: [b.id, a.id] });
    const differ = (...sides: Partial<Edit>[]): boolean => fold(sides.map((side) => edit(side))).conflicts.length > 0;
    const nothing = { op: 'remove', value: null };
    expect(differ({ value: Number.NaN }, { value: Number.NaN })).toBe(false);
    expect(differ({ value: ['a', 'b'] }, { value: ['a', 'b'] })).toBe(false);
    expect(differ({ value: { time: 1 } }, { value: { time: 1 } })).toBe(false);
    expect(differ(nothing, nothing)).toBe(false);
    expect(differ({ value: ['a', 'b'] }, { value: ['b', 'a'] })).toBe(true);
    expect(differ({ value: { time: 1 } }, { value: { time: 2 } })).toBe(true);
    expect(differ({ value: '1' }, { value: 1 })).toBe(true);
    expect(differ({ value: null }, nothing)).toBe(true);
    expect(differ({ value: 1 }, { path: BEST, value: 2 })).toBe(false);
    // Settled by one side, on whichever replica has the edit, whatever came first.
    const settled = author().edit(state, changeOf(REGISTER, state.conflicts[0]!.sides[1]!))!;
    expect(settled).toMatchObject({ field: 'attribute', path: LR, op: 'set', value: 1, base: [b.id, a.id] });
    for (const edits of [[a, b, settled], [settled, b, a], [settled]])
      expect(fold(edits, card(0))).toMatchObject({ conflicts: [], heads: { [REGISTER]: [settled.id] } });
  });

  it('[FOLD-19] tells whose edit holds and what the scripts said, and nothing after a purge', () => {
    const set = edit({ value: 0.5, by: 'bob', at: makeHlc(2_000, 0) });
    const added = edit({ path: BEST, value: 'epoch 7', by: 'ada', at: makeHlc(3_000, 0) });
    const { device, at } = set;
    const state = fold([set, added], card(0.1));
    expect(state.edited).toEqual(
      new Map([
        [BEST, { edit: added.id, op: 'set', by: 'ada', device, at: added.at, scripted: undefined }],
        [LR, { edit: set.id, op: 'set', by: 'bob', device, at, scripted: 0.1 }],
      ]),
    );
    const removed = edit({ op: 'remove', value: null, base: [set.id] });
    expect(fold([set, removed], card(0.1)).edited.get(LR)).toMatchObject({ op: 'remove', scripted: 0.1 });
    const cleared = edit({ op: 'clear', value: null, base: [removed.id] });
    expect(fold([set, removed, cleared], card(0.1)).edited.size).toBe(0);
    const purge = makeTestEdit({ field: 'purge', value: true });
    expect(fold([set, added, purge], card(0.1))).toMatchObject({ attributes: new Map(), edited: new Map(), heads: {} });

    const project = new ProjectFold(MNIST);
    const first = card(0.1, { created: 1_000 });
    project.setCard('b', cardKey(first), encodeCard(first));
    for (const each of [set, added]) project.addEdit(each.id, encodeEdit(each));
    const lrAt = (ms: number): unknown[] => [...project.runAt(RUN, ms)!.attributes.values()];
    expect([lrAt(1_999), lrAt(2_000), lrAt(3_000)]).toEqual([[0.1], [0.5], [0.5, 'epoch 7']]);
    expect(project.run(RUN)!.edited).toEqual(state.edited);
  });

  it('[FOLD-20] undoes an edit of a path unless somebody edited that path since', () => {
    const me = author();
    const edits: Edit[] = [];
    const apply = (change: Change): Edit => {
      const made = me.edit(fold(edits, card(0.1)), change)!;
      edits.push(made);
      return made;
    };
    const lr = (): AttributeValue | undefined => fold(edits, card(0.1)).attributes.get(LR);
    const first = apply({ field: 'attribute', op: 'set', path: LR, value: 1 });
    apply({ field: 'attribute', op: 'set', path: BEST, value: 5 });
    const second = apply({ field: 'attribute', op: 'remove', path: LR, value: null });
    expect(undoOf(first, edits)).toBeNull();
    const undo = apply(undoOf(second, edits)!);
    expect(lr()).toBe(1);
    apply(undoOf(undo, edits)!);
    expect(lr(), 'redone').toBeUndefined();
    // The only edit of a path: back to what the script says, also when that changes later.
    const [only] = [edits[1]!];
    apply(undoOf(only, edits)!);
    expect(fold(edits, card(0.1)).attributes.has(BEST)).toBe(false);
    const later = makeCard({ attributes: new Map([[BEST, 'said later']]) });
    expect(fold(edits, later).attributes.get(BEST)).toBe('said later');
  });

  it('[FOLD-21] makes no edit that would change nothing, that cannot be, or that is one too many', () => {
    const me = author();
    const state = fold([], card(Number.NaN));
    const change = (override: Partial<Change>): Change => ({
      field: 'attribute',
      op: 'set',
      path: LR,
      value: 1,
      ...override,
    });
    expect(me.edit(state, change({ value: Number.NaN }))).toBeNull();
    expect(me.edit(state, change({ op: 'clear', value: null }))).toBeNull();
    expect(me.edit(state, change({ op: 'remove', path: BEST, value: null }))).toBeNull();
    const removed = fold([edit({ op: 'remove', value: null })], card(1));
    expect(me.edit(removed, change({ op: 'remove', value: null }))).toBeNull();
    expect(me.edit(removed, change({ value: 1 })), 'what the script said is shown again').not.toBeNull();
    // What is in force is a choice while there is a conflict.
    const torn = fold([edit({ value: 1 }), edit({ value: 2 })]);
    expect(me.edit(torn, change({ value: torn.attributes.get(LR)! }))?.base).toHaveLength(2);
    for (const wrong of [
      change({ value: 'x'.repeat(LIMITS.attributeValueBytes + 1) }),
      change({ value: { time: Infinity } }),
      change({ op: 'add' }),
      change({ op: 'remove' }),
      { field: 'attribute', op: 'set', value: 1 } as const,
      { field: 'name', op: 'set', path: LR, value: 'x' } as const,
    ]) {
      expect(() => me.edit(state, wrong), JSON.stringify(wrong).slice(0, 80)).toThrowError(
        expect.objectContaining({ code: 'invalid_value' }),
      );
    }
    const many = Array.from({ length: LIMITS.editedAttributes }, (_, index) =>
      edit({ path: `p/${index}` as AttributePath, value: index }),
    );
    const full = fold(many, card(0.1));
    expect(() => me.edit(full, change({}))).toThrowError(/already has 1000 edited attributes/);
    expect(me.edit(full, change({ path: 'p/7' as AttributePath, value: -1 }))?.base).toEqual([many[7]!.id]);
  });
});
