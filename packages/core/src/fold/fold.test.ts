import { describe, expect, it } from 'vitest';
import { HybridClock, makeHlc } from '../hlc.ts';
import type { AttributePath, DeviceId, ProjectId, RunId, WriterId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { BaseId, Card, Edit } from '../record/index.ts';
import { encodeCard, encodeEdit, cardKey } from '../record/index.ts';
import {
  FakeClock,
  makeCard,
  makeTestEdit,
  randomCard,
  SeededRandom,
  testDevice,
  testEditId,
  testHlc,
} from '../testing/index.ts';
import { Author, undoOf } from './author.ts';
import { canonicalState } from './canonical.ts';
import { ProjectFold } from './project.ts';
import { foldRun } from './run.ts';
import type { RunState } from './state.ts';

const RUN = 'run-1' as RunId;
const MNIST = 'mnist' as ProjectId;
const writerOf = (n: number): WriterId => `01kf${String(n).padStart(22, '0')}` as WriterId;
const deviceOf = (n: number): DeviceId => `d${String(n).padStart(24, '0')}` as DeviceId;
const fold = (cards: readonly Card[], edits: readonly Edit[] = []): RunState => foldRun(RUN, MNIST, cards, edits);
const path = (text: string): AttributePath => text as AttributePath;

function author(name: string, n: number, clock = new FakeClock()): Author {
  return new Author({
    device: deviceOf(n),
    by: name,
    hybrid: new HybridClock(clock),
    clock,
    random: new SeededRandom(n),
  });
}

describe('fold', () => {
  it('[FOLD-1] gives equal states for equal sets of records in any order and with repeats', () => {
    const random = new SeededRandom(101);
    let conflicts = 0;
    for (let round = 0; round < 200; round++) {
      const cards = Array.from({ length: 1 + random.int(4) }, () =>
        randomCard(random, { writer: writerOf(random.int(3)), device: deviceOf(random.int(2)) }),
      );
      const unique = [...new Map(cards.map((card) => [cardKey(card), card])).values()];
      const edits: Edit[] = [];
      for (let index = random.int(20); index > 0; index--) {
        const seen = random
          .shuffle(edits)
          .slice(0, random.int(3))
          .map((edit) => edit.id);
        edits.push(
          makeTestEdit({
            ...random.pick([
              { field: 'name', value: random.pick(['a', 'b', null]) },
              { field: 'star', value: random.chance(0.5) },
              { field: 'tags', op: 'add', value: random.pick(['x', 'y']) },
              { field: 'tags', op: 'remove', value: random.pick(['x', 'y']) },
              { field: 'attribute', path: path('params'), value: random.pick([1, 'one', Number.NaN, ['a']]) },
              { field: 'attribute', path: path('params'), op: random.pick(['remove', 'clear']), value: null },
            ]),
            base: random.chance(0.2) ? [...seen, `@${writerOf(0)}` as BaseId] : seen,
            device: deviceOf(random.int(3)),
            at: testHlc(random.int(50), random.int(3)),
          }),
        );
      }
      const projects = [unique, random.shuffle(unique)].map((order, index) => {
        const project = new ProjectFold(MNIST);
        const repeated = index === 0 ? edits : random.shuffle([...edits, ...random.shuffle(edits).slice(0, 5)]);
        for (const edit of repeated) project.addEdit(edit.id, encodeEdit(edit));
        for (const card of order) project.setCard('2026-01', cardKey(card), encodeCard(card));
        return project;
      }) as [ProjectFold, ProjectFold];
      expect(projects[0].canonical()).toBe(projects[1].canonical());
      expect(projects[0].digest()).toBe(projects[1].digest());
      expect(projects[0].malformed).toBe(0);
      conflicts += projects[0].run(RUN)!.conflicts.length;
    }
    expect(conflicts).toBeGreaterThan(50);
  });

  it('[FOLD-1] tells states apart by values that JSON writes alike', () => {
    const texts = [Number.NaN, Infinity, -Infinity, 0, -0, null, 'null', 'NaN', ''].map((value) =>
      canonicalState(fold([makeCard({ attributes: new Map([[path('x'), value]]) })])),
    );
    expect(new Set(texts).size).toBe(texts.length);
  });

  it('[FOLD-2] takes the card that has seen most of the journal', () => {
    const early = makeCard({ device: deviceOf(1), ordinal: 10, updated: 9e12, name: 'early' });
    const late = makeCard({ device: deviceOf(2), ordinal: 11, updated: 1, name: 'late' });
    expect(fold([early, late]).name).toBe('late');
    const guess = makeCard({ device: deviceOf(1), ordinal: 10, status: 'lost', ended: 5 });
    const alive = makeCard({ device: deviceOf(2), ordinal: 10 });
    const seen = makeCard({ device: deviceOf(0), ordinal: 10, status: 'crashed', ended: 4 });
    expect(fold([guess, alive]).status).toBe('running');
    expect(fold([guess, alive, seen]).status).toBe('crashed');
    expect(fold([seen, guess, alive]).writers).toHaveLength(1);
    // Two agents that say the same of the same journal: the later look holds, then the higher device, in any order.
    const looks = [
      makeCard({ device: deviceOf(9), ordinal: 10, updated: 5, host: 'earlier' }),
      makeCard({ device: deviceOf(1), ordinal: 10, updated: 6, host: 'lower' }),
      makeCard({ device: deviceOf(2), ordinal: 10, updated: 6, host: 'higher' }),
    ];
    expect(fold(looks).host).toBe('higher');
    expect(fold(looks.toReversed()).host).toBe('higher');
    expect(fold(looks.slice(0, 2)).host).toBe('lower');
  });

  it('[FOLD-3] shows the head with the highest clock, then device, then id, and falls back to the script', () => {
    const card = makeCard({ name: 'from the script' });
    expect(fold([card]).name).toBe('from the script');
    expect(fold([makeCard()]).name).toBe(RUN);
    expect(fold([makeCard()]).unnamed).toBe(true);
    const a = makeTestEdit({ value: 'a', at: testHlc(5), device: deviceOf(1) });
    const b = makeTestEdit({ value: 'b', at: testHlc(4), device: deviceOf(9) });
    const tie = makeTestEdit({ value: 'tie', at: testHlc(5), device: deviceOf(2) });
    expect(fold([card], [b, a]).name).toBe('a');
    expect(fold([card], [a, tie, b]).name).toBe('tie');
    // The device decides before the id does, and the id when one device made both.
    const ids = [testEditId(910_001), testEditId(910_002)] as const;
    const low = makeTestEdit({ value: 'low', id: ids[0], at: testHlc(9), device: deviceOf(2) });
    const high = makeTestEdit({ value: 'high', id: ids[1], at: testHlc(9), device: deviceOf(1) });
    expect(fold([card], [high, low]).name).toBe('low');
    expect(fold([card], [{ ...high, device: deviceOf(2) }, low]).name).toBe('high');
    // Of a script's own names the youngest writer's holds that gives one.
    const resumed = makeCard({ writer: writerOf(2), created: card.created + 1, name: 'resumed' });
    const silent = makeCard({ writer: writerOf(3), created: card.created + 2, name: '' });
    expect(fold([silent, resumed, card]).name).toBe('resumed');
    const cleared = makeTestEdit({ value: null, base: [a.id, b.id, tie.id], at: testHlc(6) });
    expect(fold([card], [a, b, tie, cleared]).name).toBe('from the script');
    // Causality beats the clock: a later edit by a machine whose clock is behind still holds.
    const behind = makeTestEdit({ value: 'behind', base: [a.id], at: testHlc(1) });
    expect(fold([card], [a, behind])).toMatchObject({ name: 'behind', conflicts: [] });
  });

  it('[FOLD-4] shows edits made without knowledge of each other as a conflict, unless they agree', () => {
    const a = makeTestEdit({ value: 'a', by: 'ada', at: testHlc(1) });
    const b = makeTestEdit({ value: 'b', by: 'bob', at: testHlc(2) });
    const state = fold([makeCard()], [a, b]);
    expect(state.name).toBe('b');
    expect(state.conflicts).toEqual([
      {
        field: 'name',
        sides: [b, a].map(({ id: edit, op, value, by, device, at }) => ({ edit, op, value, by, device, at })),
      },
    ]);
    expect(state.heads.name).toEqual([b.id, a.id]);
    expect(fold([makeCard()], [a, makeTestEdit({ value: 'a', by: 'bob' })]).conflicts).toEqual([]);
    // A forged circle hides nobody.
    const left = makeTestEdit({ value: 'l', id: testEditId(900_001), base: [testEditId(900_002)] });
    const right = makeTestEdit({ value: 'r', id: testEditId(900_002), base: [testEditId(900_001)] });
    expect(fold([makeCard()], [left, right]).conflicts[0]?.sides).toHaveLength(2);
    expect(
      fold([makeCard()], [makeTestEdit({ value: 'self', id: testEditId(900_003), base: [testEditId(900_003)] })]).name,
    ).toBe('self');
    const narcissist = makeTestEdit({ value: 'n', id: testEditId(900_004), base: [testEditId(900_004)] });
    expect(fold([makeCard()], [narcissist, a]).conflicts[0]?.sides).toHaveLength(2);
  });

  it('[FOLD-5] settles a conflict by an edit that names all sides, also when it arrives before them', () => {
    const a = makeTestEdit({ value: 'a' });
    const b = makeTestEdit({ value: 'b' });
    const settle = author('cyd', 3).edit(fold([makeCard()], [a, b]), { field: 'name', op: 'set', value: 'b' })!;
    expect([...settle.base].sort()).toEqual([a.id, b.id].sort());
    for (const order of [
      [a, b, settle],
      [settle, b, a],
    ]) {
      expect(fold([makeCard()], order)).toMatchObject({ name: 'b', conflicts: [] });
    }
    expect(fold([makeCard()], [settle, a])).toMatchObject({ name: 'b', conflicts: [] });
  });

  it('[FOLD-6] lets an add win over a concurrent remove, and a remove take what it saw', () => {
    const add = makeTestEdit({ field: 'tags', op: 'add', value: 'best' });
    const remove = makeTestEdit({ field: 'tags', op: 'remove', value: 'best', base: [add.id] });
    const concurrent = makeTestEdit({ field: 'tags', op: 'add', value: 'best' });
    expect(fold([makeCard()], [add]).tags).toEqual(['best']);
    expect(fold([makeCard()], [remove, add]).tags).toEqual([]);
    expect(fold([makeCard()], [add, remove, concurrent]).tags).toEqual(['best']);
    expect(fold([makeCard()], [add, remove, concurrent]).tagAdds.get('best')).toEqual([concurrent.id]);
    // A remove of another tag that names the same add takes nothing.
    const other = makeTestEdit({ field: 'tags', op: 'remove', value: 'worst', base: [add.id] });
    expect(fold([makeCard()], [add, other]).tags).toEqual(['best']);
  });

  it("[FOLD-7] lets people remove a script's tag and a new writer say it again", () => {
    const first = makeCard({ writer: writerOf(1), tags: ['smoke', 'smoke'] });
    const state = fold([first]);
    expect(state.tags).toEqual(['smoke']);
    const remove = author('ada', 1).edit(state, { field: 'tags', op: 'remove', value: 'smoke' })!;
    expect(remove.base).toEqual([`@${writerOf(1)}`]);
    expect(fold([first], [remove]).tags).toEqual([]);
    expect(fold([{ ...first, ordinal: 99 }], [remove]).tags).toEqual([]);
    const resumed = makeCard({ writer: writerOf(2), tags: ['smoke'] });
    expect(fold([first, resumed], [remove]).tags).toEqual(['smoke']);
  });

  it('[FOLD-8] keeps a purged run hidden from everything that arrives later', () => {
    const purge = makeTestEdit({ field: 'purge', value: true });
    const later = (override: Partial<Edit>): Edit =>
      makeTestEdit({ ...override, base: [purge.id], at: testHlc(1_000_000_000) });
    const secrets = makeCard({
      name: 'secret name',
      group: 'secret group',
      notes: 'secret notes',
      user: 'ada',
      host: 'secret-host',
      tags: ['secret-tag'],
      attributes: new Map([[path('secret/key'), 'v']]),
      metrics: new Map([
        [path('secret/loss'), { count: 1, last: 1, lastStep: 0, min: 1, minStep: 0, max: 1, maxStep: 0, nonFinite: 0 }],
      ]),
    });
    const late = [
      later({ value: 'back again' }),
      later({ value: 'here too' }),
      later({ field: 'notes', value: 'back again' }),
      later({ field: 'star', value: true }),
      later({ field: 'archived', value: true }),
      later({ field: 'tags', op: 'add', value: 'back' }),
      later({ field: 'attribute', path: path('secret/key'), value: 'back' }),
      later({ field: 'attribute', path: path('secret/key'), value: 'and another' }),
    ];
    // Exactly as if nothing of it were here but the purge.
    expect(canonicalState(fold([secrets], [purge, ...late]))).toBe(canonicalState(fold([], [purge])));
    expect(fold([], [purge])).toMatchObject({ purged: true, trashed: true, known: false, name: RUN, heads: {} });
  });

  it('[FOLD-14] leaves the end of a companion out of the run, unless there is nobody else', () => {
    const training = makeCard({ writer: writerOf(1), created: 100, updated: 900, status: 'running' });
    const ended = { ...training, ordinal: 9, ended: 900, status: 'finished' } as const;
    const companion = { writer: writerOf(2), created: 150, role: 'system' };
    const alive = makeCard({ ...companion, updated: 950, status: 'running' });
    const dead = makeCard({ ...companion, updated: 400, ended: 400, status: 'crashed' });
    const later = makeCard({ ...companion, updated: 999, ended: 999, status: 'crashed' });
    expect(fold([training, dead])).toMatchObject({ status: 'running', ended: null });
    expect(fold([ended, alive])).toMatchObject({ status: 'finished', ended: 900 });
    expect(fold([ended, later])).toMatchObject({ status: 'finished', ended: 900 });
    expect(fold([later])).toMatchObject({ status: 'crashed', ended: 999 });
    expect(fold([ended, later]).writers.map(({ role }) => role)).toEqual([null, 'system']);
  });

  it('[FOLD-15] a removal holds, with all below it, against older writers only', () => {
    const attributes = (...pairs: [string, number][]): Card['attributes'] =>
      new Map(pairs.map(([key, value]) => [path(key), value]));
    const oldest = makeCard({
      writer: writerOf(1),
      created: 100,
      attributes: attributes(['params', 1], ['params/lr', 2], ['paramsX', 3], ['kept', 4]),
    });
    const remover = makeCard({
      writer: writerOf(2),
      created: 200,
      removed: [path('params'), path('absent')],
      attributes: attributes(['params/seed', 5]),
    });
    const youngest = makeCard({ writer: writerOf(3), created: 300, attributes: attributes(['params/lr', 6]) });
    expect(Object.fromEntries(fold([youngest, remover, oldest]).attributes)).toEqual({
      kept: 4,
      'params/lr': 6,
      'params/seed': 5,
      paramsX: 3,
    });
    expect(fold([oldest, { ...remover, created: 50 }]).attributes.get(path('params/lr'))).toBe(2);
  });

  it('[FOLD-9] combines the writers of a run', () => {
    const metric = { count: 2, last: 0.5, lastStep: 2, min: 0.25, minStep: 1, max: 0.5, maxStep: 2, nonFinite: 1 };
    const one = makeCard({
      writer: writerOf(1),
      created: 100,
      updated: 200,
      ended: 200,
      status: 'crashed',
      name: 'first',
      attributes: new Map([
        [path('lr'), 0.1],
        [path('seed'), 1],
      ]),
      metrics: new Map([[path('loss'), metric]]),
    });
    const two = makeCard({
      writer: writerOf(2),
      created: 300,
      updated: 400,
      ended: 400,
      status: 'finished',
      attributes: new Map([[path('lr'), 0.2]]),
      metrics: new Map([
        [
          path('loss'),
          { ...metric, count: 3, last: Number.NaN, lastStep: 4, min: Number.NaN, minStep: 0, max: 9, maxStep: 3 },
        ],
      ]),
    });
    const state = fold([two, one]);
    expect(state).toMatchObject({ status: 'finished', created: 100, updated: 400, ended: 400, name: 'first' });
    expect(Object.fromEntries(state.attributes)).toEqual({ lr: 0.2, seed: 1 });
    expect(state.metrics.get(path('loss'))).toEqual({
      count: 5,
      last: Number.NaN,
      lastStep: 4,
      min: 0.25,
      minStep: 1,
      max: 9,
      maxStep: 3,
      nonFinite: 2,
    });
    // A writer that saw no finite value hides no extreme of another, whichever of them is older.
    expect(fold([{ ...two, created: 10 }, one]).metrics.get(path('loss'))).toEqual({
      ...metric,
      count: 5,
      max: 9,
      maxStep: 3,
      nonFinite: 2,
    });
    const running = makeCard({ writer: writerOf(3), created: 50, ended: null });
    expect(fold([two, one, running])).toMatchObject({ status: 'running', ended: null });
    expect(fold([one, { ...two, ended: 150 }]).status).toBe('crashed');
  });

  it('[FOLD-10] shows a run as it was at a time', () => {
    const project = new ProjectFold(MNIST);
    const card = makeCard({ created: 1_000 });
    project.setCard('b', cardKey(card), encodeCard(card));
    const rename = (name: string, ms: number, base: readonly BaseId[]): Edit =>
      makeTestEdit({ value: name, at: makeHlc(ms, 0), base });
    const first = rename('first', 2_000, []);
    const second = rename('second', 3_000, [first.id]);
    for (const edit of [second, first]) project.addEdit(edit.id, encodeEdit(edit));
    expect(project.run(RUN)!.name).toBe('second');
    expect(project.runAt(RUN, 3_000)!.name).toBe('second');
    expect(project.runAt(RUN, 2_999)!.name).toBe('first');
    expect(project.runAt(RUN, 1_500)!.name).toBe(RUN);
    expect(project.runAt(RUN, 500)!.known).toBe(false);
    expect(project.history(RUN).map((edit) => edit.value)).toEqual(['first', 'second']);
  });

  it('[FOLD-11] undoes an edit unless somebody changed the field since', () => {
    const me = author('ada', 1);
    const edits: Edit[] = [];
    const apply = (change: Parameters<Author['edit']>[1]): Edit => {
      const edit = me.edit(fold([makeCard({ name: 'script' })], edits), change)!;
      edits.push(edit);
      return edit;
    };
    const name = (): string => fold([makeCard({ name: 'script' })], edits).name;
    const first = apply({ field: 'name', op: 'set', value: 'one' });
    const second = apply({ field: 'name', op: 'set', value: 'two' });
    expect(undoOf(first, edits)).toBeNull();
    apply(undoOf(second, edits)!);
    expect(name()).toBe('one');
    const tag = apply({ field: 'tags', op: 'add', value: 'x' });
    const untag = apply(undoOf(tag, edits)!);
    expect(fold([makeCard()], edits).tags).toEqual([]);
    expect(undoOf(tag, edits)).toBeNull();
    apply(undoOf(untag, edits)!);
    expect(fold([makeCard()], edits).tags).toEqual(['x']);
    expect(undoOf(untag, edits), 'the tag is back already').toBeNull();
    const star = apply({ field: 'star', op: 'set', value: true });
    apply(undoOf(star, edits)!);
    expect(fold([makeCard()], edits).star).toBe(false);
    expect(undoOf(makeTestEdit({ field: 'purge', value: true }), edits)).toBeNull();
    const sitting = ['a', 'a b', 'a b c'].map((value) => apply({ field: 'name', op: 'set', value }));
    const together = new Set(sitting.map(({ id }) => id));
    expect(undoOf(sitting[1]!, edits, together)).toEqual({ field: 'name', op: 'set', value: 'one' });
    apply({ field: 'name', op: 'set', value: 'later' });
    expect(undoOf(sitting[1]!, edits, together), 'somebody changed it since').toBeNull();
  });

  it('[FOLD-12] makes no edit that would change nothing, and refuses what a field cannot hold', () => {
    const me = author('ada', 1);
    const state = fold([makeCard({ name: 'script', tags: ['x'] })]);
    for (const change of [
      { field: 'name', op: 'set', value: 'script' },
      { field: 'star', op: 'set', value: false },
      { field: 'group', op: 'set', value: null },
      { field: 'notes', op: 'set', value: '' },
      { field: 'tags', op: 'add', value: 'x' },
      { field: 'tags', op: 'remove', value: 'y' },
    ] as const) {
      expect(me.edit(state, change), JSON.stringify(change)).toBeNull();
    }
    expect(() => me.edit(state, { field: 'tags', op: 'add', value: '' })).toThrowError(/tag/);
    expect(() => me.edit(state, { field: 'name', op: 'add', value: 'x' })).toThrowError(/only be set/);
    const many = fold([makeCard({ tags: Array.from({ length: LIMITS.tagsPerRun }, (_, index) => `t${index}`) })]);
    expect(() => me.edit(many, { field: 'tags', op: 'add', value: 'one more' })).toThrowError(/already has/);
    // Choosing the value already in force is a change while there is a conflict: it settles it.
    const conflicted = fold([makeCard()], [makeTestEdit({ value: 'a' }), makeTestEdit({ value: 'b' })]);
    expect(me.edit(conflicted, { field: 'name', op: 'set', value: conflicted.name })?.base).toHaveLength(2);
  });

  it('[FOLD-13] keeps edits of the future in the history and out of the fold', () => {
    const project = new ProjectFold(MNIST);
    const card = makeCard();
    project.setCard('b', cardKey(card), encodeCard(card));
    const before = project.canonical();
    const future = makeTestEdit({ field: 'mood', op: 'swing', value: 'great' });
    const operation = makeTestEdit({ field: 'attribute', op: 'swing', path: path('params/lr'), value: 'great' });
    for (const edit of [future, operation]) expect(project.addEdit(edit.id, encodeEdit(edit))).toBe(RUN);
    expect(project.canonical()).toBe(before);
    expect(project.history(RUN)).toEqual([future, operation]);
    // Records under a key that is not theirs are left out.
    expect(project.addEdit('other', encodeEdit(makeTestEdit()))).toBeUndefined();
    project.setCard('b', `${card.run}/${writerOf(7)}/${card.device}`, encodeCard(card));
    const foreign = makeCard({ writer: writerOf(8), project: 'cifar' as ProjectId });
    project.setCard('b', cardKey(foreign), encodeCard(foreign));
    expect(project.canonical()).toBe(before);
    expect(testDevice(new SeededRandom(1))).toMatch(/^d[0-9a-z]{24}$/);
  });
});
