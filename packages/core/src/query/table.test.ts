import { describe, expect, it } from 'vitest';
import { isFieldbookError } from '../errors.ts';
import { foldRun } from '../fold/run.ts';
import type { RunState } from '../fold/state.ts';
import type { AttributePath, ProjectId, RunId } from '../ids.ts';
import type { AttributeValue, Card, MetricSummary } from '../record/index.ts';
import { makeCard } from '../testing/records.ts';
import type { SelectRequest } from './table.ts';
import { RunTable } from './table.ts';

/** 2026-01-15T12:00:00Z. */
const T0 = 1_768_478_400_000;
const HOUR = 3_600_000;
const frame = { now: T0 + 10 * HOUR };

interface Given extends Partial<Omit<Card, 'run' | 'attributes' | 'metrics'>> {
  state?: Partial<RunState>;
  attributes?: Record<string, AttributeValue>;
  metrics?: Record<string, number | Partial<MetricSummary>>;
}

function run(id: string, { attributes = {}, metrics = {}, state = {}, ...card }: Given = {}): RunState {
  const summaries = Object.entries(metrics).map(([path, given]) => {
    const last = typeof given === 'number' ? given : (given.last ?? 0);
    const summary = { count: 1, last, lastStep: 1, min: last, minStep: 1, max: last, maxStep: 1, nonFinite: 0 };
    return [path as AttributePath, typeof given === 'number' ? summary : { ...summary, ...given }] as const;
  });
  const made = makeCard({
    ...card,
    run: id as RunId,
    attributes: new Map(Object.entries(attributes) as [AttributePath, AttributeValue][]),
    metrics: new Map(summaries),
  });
  return { ...foldRun(made.run, 'mnist' as ProjectId, [made], []), ...state };
}

function table(...states: RunState[]): RunTable {
  return RunTable.from(states);
}

function idsOf(runs: RunTable, request: Omit<SelectRequest, 'now'> & { now?: number }): string[] {
  return [...runs.select({ ...frame, ...request }).rows].map((row) => runs.id(row)!);
}

/** Ids that a query finds, in the order of ids. */
function find(runs: RunTable, query: string): string {
  return idsOf(runs, { query, sort: [{ column: 'id' }] }).join(' ');
}

describe('what a query finds', () => {
  it('[QRY-6] compares numbers, and finds NaN and infinities by name', () => {
    const runs = table(
      run('a', { attributes: { x: 1 }, metrics: { loss: 0.5 } }),
      run('b', { attributes: { x: -0 }, metrics: { loss: Number.NaN } }),
      run('c', { attributes: { x: 2.5 }, metrics: { loss: Infinity } }),
      run('d', { attributes: { x: 2 ** 31 } }),
      run('e', { attributes: { x: -(2 ** 31) } }),
    );
    expect(find(runs, 'x < 1')).toBe('b e');
    expect(find(runs, 'x <= 1')).toBe('a b e');
    expect(find(runs, 'x > 0')).toBe('a c d');
    expect(find(runs, 'x = 0')).toBe('b');
    expect(find(runs, 'x = -2147483648')).toBe('e');
    expect(find(runs, 'x >= 2147483648')).toBe('d');
    expect(find(runs, 'x in (1, 2.5, 7)')).toBe('a c');
    expect(find(runs, 'x != 1')).toBe('b c d e');
    expect(find(runs, 'loss = nan')).toBe('b');
    expect(find(runs, 'loss = inf')).toBe('c');
    expect(find(runs, 'loss < inf')).toBe('a');
    expect(find(runs, 'loss > inf or loss < -inf')).toBe('');
    expect(find(runs, 'loss > -inf')).toBe('a c');
    expect(find(runs, 'loss != nan')).toBe('a c');
  });

  it('[QRY-7] tells runs that lack a value from runs that have another', () => {
    const runs = table(run('a', { attributes: { x: 1 } }), run('b', { attributes: { x: null } }), run('c'));
    expect(find(runs, 'x != 1')).toBe('b');
    expect(find(runs, 'not x = 1')).toBe('b c');
    expect(find(runs, 'x not in (1)')).toBe('b');
    expect(find(runs, 'x exists')).toBe('a b');
    expect(find(runs, 'x missing')).toBe('c');
    expect(find(runs, 'x = null')).toBe('b');
    expect(find(runs, 'group missing')).toBe('a b c');
    expect(find(runs, 'tags missing')).toBe('a b c');
    expect(find(runs, 'nobody/has/it missing')).toBe('a b c');
    expect(find(runs, 'not nobody/has/it = 3')).toBe('a b c');
    expect(runs.select({ ...frame, query: 'x = 1 or nobody < 3' }).unknown.map(({ text }) => text)).toEqual(['nobody']);
  });

  it('[QRY-8] reads an unquoted value as whatever the run holds, a quoted one as text', () => {
    const runs = table(
      run('a', { attributes: { v: 10 } }),
      run('b', { attributes: { v: '10' } }),
      run('c', { attributes: { v: true } }),
      run('d', { attributes: { v: 'true' } }),
      run('e', { attributes: { v: { time: T0 } } }),
      run('f', { attributes: { v: ['10', 'x'] } }),
    );
    expect(find(runs, 'v = 10')).toBe('a b f');
    expect(find(runs, 'v = "10"')).toBe('b f');
    expect(find(runs, 'v = true')).toBe('c d');
    expect(find(runs, 'v < 11')).toBe('a');
    expect(find(runs, 'v < "11"')).toBe('b');
    expect(find(runs, 'v = 2026-01-15')).toBe('e');
    expect(find(runs, 'v != 10')).toBe('c d e');
  });

  it('[QRY-9] finds texts exactly, by parts, by pattern and in natural order', () => {
    const runs = table(run('a', { name: 'ResNet-10' }), run('b', { name: 'resnet-9' }), run('c', { name: 'vgg' }));
    expect(find(runs, 'name = resnet-9')).toBe('b');
    expect(find(runs, 'name:RESNET')).toBe('a b');
    expect(find(runs, 'name has net')).toBe('a b');
    expect(find(runs, 'name ~ /^res.*\\d$/')).toBe('b');
    expect(find(runs, 'name ~ /^res.*\\d$/i')).toBe('a b');
    expect(find(runs, 'name !~ /^v/')).toBe('a b');
    expect(find(runs, 'name < "ResNet-10"')).toBe('b');
    expect(find(runs, 'name in (vgg, "resnet-9")')).toBe('b c');
    expect(find(runs, 'status:RUNNING')).toBe('a b c');
  });

  it('[QRY-10] finds tags and lists by element', () => {
    const runs = table(run('a', { tags: ['baseline', 'b 2'] }), run('b', { tags: ['Baseline'] }), run('c'));
    expect(find(runs, 'tags has "baseline"')).toBe('a');
    expect(find(runs, 'tags:baseline')).toBe('a b');
    expect(find(runs, 'tags:base')).toBe('');
    expect(find(runs, 'tags = "b 2"')).toBe('a');
    expect(find(runs, 'tags in (Baseline, x)')).toBe('b');
    expect(find(runs, 'tags ~ /line$/')).toBe('a b');
    expect(find(runs, 'tags != baseline')).toBe('b');
    expect(find(runs, 'tags exists')).toBe('a b');
  });

  it('[QRY-11] finds free words in names, tags and notes, each word anywhere', () => {
    const runs = table(
      run('a', { name: 'ResNet large', tags: ['best'] }),
      run('b', { name: 'vgg', notes: 'like a RESNET\nbut large' }),
      run('c', { name: 'vgg large' }),
    );
    expect(find(runs, 'resnet LARGE')).toBe('a b');
    expect(find(runs, 'resnet best')).toBe('a');
    expect(find(runs, '"net large"')).toBe('a');
    expect(find(runs, 'vgg not resnet')).toBe('c');
  });

  it('[QRY-12] reads relative times against now, dates as whole periods in a zone', () => {
    const runs = table(
      run('a', { created: T0, updated: T0 + HOUR, ended: T0 + HOUR, status: 'finished' }),
      run('b', { created: T0 - 24 * HOUR, updated: T0 - 24 * HOUR }),
      run('c', { created: T0 + 9.5 * HOUR, updated: T0 + 9.5 * HOUR }),
    );
    expect(find(runs, 'created > -1h')).toBe('c');
    expect(find(runs, 'created < -1d')).toBe('b');
    expect(find(runs, 'created = 2026-01-15')).toBe('a c');
    expect(find(runs, 'created > 2026-01-14')).toBe('a c');
    expect(find(runs, 'created >= 2026-01-14')).toBe('a b c');
    expect(find(runs, 'created < 2026-01-15')).toBe('b');
    expect(find(runs, 'created <= 2026-01-15')).toBe('a b c');
    expect(find(runs, 'created = 2026-01-15T12:00')).toBe('a');
    expect(find(runs, 'created = 2026-01-15T13:00+01:00')).toBe('a');
    expect(find(runs, 'created = 2026-01 created:today')).toBe('a c');
    expect(find(runs, 'created = yesterday')).toBe('b');
    expect(find(runs, 'created > 2026 or created < 2026')).toBe('');
    // East of UTC the 16th has begun.
    expect(idsOf(runs, { query: 'created = 2026-01-16', zone: 180 })).toEqual(['c']);
    expect(find(runs, 'ended missing')).toBe('b c');
  });

  it('[QRY-13] measures durations until the end, or until now', () => {
    const runs = table(
      run('a', { created: T0, updated: T0 + HOUR, ended: T0 + HOUR, status: 'finished' }),
      run('b', { created: T0, updated: T0 + 1_000 }),
      run('c', { created: T0, updated: T0 - 5, ended: T0 - 5, status: 'crashed' }),
    );
    expect(find(runs, 'duration > 1h')).toBe('b');
    expect(find(runs, 'duration >= 1h')).toBe('a b');
    expect(find(runs, 'duration = 3600')).toBe('a');
    expect(find(runs, 'duration < 1s')).toBe('c');
    expect(idsOf(runs, { query: 'duration > 1h', now: T0 + HOUR })).toEqual([]);
    expect(runs.value(runs.row('b' as RunId)!, 'duration', frame)).toBe(10 * HOUR);
  });

  it('[QRY-14] resolves a path to the longest that exists, an attribute before a metric, a field before both', () => {
    const runs = table(
      run('a', {
        attributes: { loss: 1, status: 'odd', 'x.y': 5 },
        metrics: {
          loss: { last: 2, min: 0.5 },
          'acc.min': 7,
          acc: { last: 3, min: 0, count: 9, lastStep: 40 },
          val: { min: Number.NaN, max: Number.NaN, last: Number.NaN },
        },
      }),
    );
    const value = (column: string) => runs.value(0, column, frame);
    expect(value('loss')).toBe(1);
    expect(value('loss.last')).toBe(2);
    expect(value('m:loss')).toBe(2);
    expect(value('acc.min')).toBe(7);
    expect(value('m:acc.min')).toBe(0);
    expect(value('acc')).toBe(3);
    expect(value('acc.count')).toBe(9);
    expect(value('acc.step')).toBe(40);
    expect(value('x.y')).toBe(5);
    expect(value('status')).toBe('running');
    expect(value('a:status')).toBe('odd');
    expect(value('val')).toBeNaN();
    expect(value('val.min')).toBeUndefined();
    expect(find(runs, '"status" = odd acc.min = 7 m:acc.min = 0 loss = 1 loss.min = 0.5 val.min missing')).toBe('a');
  });
});

describe('order, groups and columns', () => {
  const runs = table(
    run('a', {
      name: 'run 10',
      attributes: { lr: 0.1, opt: 'adam' },
      created: T0 + 1,
      updated: T0 + 1,
      metrics: { acc: 0.5 },
    }),
    run('b', {
      name: 'run 9',
      attributes: { lr: Number.NaN, opt: 'sgd' },
      created: T0 + 3,
      updated: T0 + 3,
      metrics: { acc: 0.9 },
    }),
    run('c', { name: 'Run 1', attributes: { opt: 'adam' }, created: T0 + 2, updated: T0 + 2, metrics: { acc: 0.7 } }),
    run('d', {
      name: 'run',
      attributes: { lr: -5, opt: 'adam' },
      created: T0,
      updated: T0,
      metrics: { acc: Infinity },
    }),
    run('e', { name: 'other', attributes: { lr: 'high' }, created: T0, updated: T0 }),
  );

  it('[QRY-15] sorts by several keys, missing last both ways, ties by id', () => {
    expect(idsOf(runs, {})).toEqual(['b', 'c', 'a', 'd', 'e']);
    expect(idsOf(runs, { sort: [{ column: 'lr' }] })).toEqual(['d', 'a', 'e', 'b', 'c']);
    expect(idsOf(runs, { sort: [{ column: 'lr', descending: true }] })).toEqual(['e', 'a', 'd', 'b', 'c']);
    expect(idsOf(runs, { sort: [{ column: 'opt' }, { column: 'acc', descending: true }] })).toEqual([
      'd',
      'c',
      'a',
      'b',
      'e',
    ]);
    expect(idsOf(runs, { sort: [{ column: 'name' }] })).toEqual(['e', 'd', 'c', 'b', 'a']);
    expect(idsOf(runs, { sort: [{ column: 'name', descending: true }] })).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(idsOf(runs, { sort: [{ column: 'opt', descending: true }] })).toEqual(['b', 'a', 'c', 'd', 'e']);
    expect(idsOf(runs, { sort: [{ column: 'nothing', descending: true }] })).toEqual(['a', 'b', 'c', 'd', 'e']);
    // NaN is worse than every number and better than none at all, whatever the direction and the ids.
    const broken = table(
      run('a'),
      run('b', { metrics: { loss: Number.NaN } }),
      run('c', { metrics: { loss: -Infinity } }),
      run('d', { metrics: { loss: 1 } }),
    );
    expect(idsOf(broken, { sort: [{ column: 'loss' }] })).toEqual(['c', 'd', 'b', 'a']);
    expect(idsOf(broken, { sort: [{ column: 'loss', descending: true }] })).toEqual(['d', 'c', 'b', 'a']);
    expect(idsOf(runs, { offset: 1, limit: 2 })).toEqual(['c', 'a']);
    expect(runs.select({ ...frame, limit: 2 }).total).toBe(5);
  });

  it('[QRY-16] groups by several columns with aggregates over finite numbers', () => {
    const { groups, total } = runs.group({
      ...frame,
      sort: [{ column: 'id' }],
      by: ['opt', 'status'],
      aggregates: [{ column: 'acc', goal: 'max' }, { column: 'lr' }],
    });
    expect(total).toBe(5);
    expect(groups.map(({ key }) => key)).toEqual([
      ['adam', 'running'],
      ['sgd', 'running'],
      [undefined, 'running'],
    ]);
    expect(groups.map(({ rows }) => [...rows].map((row) => runs.id(row)))).toEqual([['a', 'c', 'd'], ['b'], ['e']]);
    const [adam, sgd, none] = groups.map(({ summaries }) => summaries);
    expect(adam![0]).toEqual({
      count: 2,
      nonFinite: 1,
      mean: 0.6,
      std: expect.closeTo(Math.SQRT2 / 10),
      min: 0.5,
      max: 0.7,
      best: runs.row('c' as RunId),
    });
    expect(sgd![1]).toEqual({ count: 0, nonFinite: 1, mean: null, std: null, min: null, max: null, best: null });
    expect(none![0]).toMatchObject({ count: 0, mean: null, best: null });
  });

  it('[QRY-17] knows which columns there are, what they hold and which vary', () => {
    const infos = runs.columns();
    expect(infos.filter(({ source }) => source === 'attribute')).toEqual([
      {
        id: 'a:lr',
        source: 'attribute',
        path: 'lr',
        aggregate: null,
        kinds: ['number', 'text'],
        filled: 4,
        varies: true,
      },
      { id: 'a:opt', source: 'attribute', path: 'opt', aggregate: null, kinds: ['text'], filled: 4, varies: true },
    ]);
    expect(infos.find(({ id }) => id === 'm:acc.max')).toMatchObject({ filled: 4, varies: true });
    expect(infos.find(({ id }) => id === 'm:acc.count')).toMatchObject({ filled: 4, varies: false });
    expect(runs.stats('opt', frame)).toEqual({
      kinds: ['text'],
      filled: 4,
      min: null,
      max: null,
      distinct: 2,
      values: [
        { value: 'adam', runs: 3 },
        { value: 'sgd', runs: 1 },
      ],
    });
    expect(runs.stats('lr', frame)).toMatchObject({ min: -5, max: 0.1, distinct: 4 });
  });

  it('[QRY-18] follows every change of a run and forgets one that is gone', () => {
    const changing = table(
      run('a', { attributes: { x: 1, y: 'old' }, tags: ['t'] }),
      run('b', { attributes: { x: 2 } }),
    );
    changing.upsert(run('a', { attributes: { x: 'one' }, metrics: { m: 1 } }));
    expect(find(changing, 'x = one')).toBe('a');
    expect(find(changing, 'x = 1')).toBe('');
    expect(find(changing, 'y exists or tags exists')).toBe('');
    expect(changing.columns().map(({ path }) => path)).not.toContain('y');
    const before = changing.version;
    changing.remove('b' as RunId);
    expect(changing.version).toBeGreaterThan(before);
    expect(find(changing, 'not x = nothing')).toBe('a');
    changing.upsert(run('c'));
    expect(changing.size).toBe(2);
    expect(find(changing, 'x missing')).toBe('c');
    changing.upsert(run('c', { state: { purged: true } }));
    changing.upsert(run('d', { state: { known: false } }));
    expect(find(changing, '')).toBe('a');
  });

  it('throws only what says where', () => {
    let caught: unknown;
    try {
      runs.select({ ...frame, query: 'name =' });
    } catch (error) {
      caught = error;
    }
    expect(isFieldbookError(caught, 'query_syntax')).toBe(true);
  });
});
