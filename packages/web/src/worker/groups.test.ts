import type { AttributePath, RunId } from '@fieldbook/core';
import { foldRun } from '@fieldbook/core/fold';
import type { AttributeValue } from '@fieldbook/core/record';
import { RunTable } from '@fieldbook/core/query';
import { makeCard, SeededRandom } from '@fieldbook/core/testing';
import { describe, expect, it } from 'vitest';
import type { Layout } from './groups-api.ts';
import { GroupTree } from './groups.ts';

const NOW = 1_768_500_000_000;
const path = (text: string): AttributePath => text as AttributePath;

interface Made {
  id: string;
  opt: string | undefined;
  lr: number | undefined;
  acc: number;
}

function make(seed: number, runs: number): { table: RunTable; made: Made[] } {
  const random = new SeededRandom(seed);
  const made = Array.from({ length: runs }, (_, index): Made => {
    const opt = random.chance(0.1) ? undefined : random.pick(['adam', 'sgd', 'lion 10', 'lion 9']);
    const lr = random.chance(0.1) ? undefined : random.pick([0.1, 0.01, Number.NaN, 0, -0]);
    return { id: `r${index}`, opt, lr, acc: random.chance(0.1) ? Number.NaN : random.float() };
  });
  const table = RunTable.from(
    made.map(({ id, opt, lr, acc }) => {
      const card = makeCard({
        run: id as RunId,
        created: NOW - 1_000,
        attributes: new Map<AttributePath, string | number>([
          ...(opt === undefined ? [] : [[path('opt'), opt] as const]),
          ...(lr === undefined ? [] : [[path('lr'), lr] as const]),
          [path('acc'), acc],
          [path('metric/acc/goal'), 'max'],
        ]),
        metrics: new Map([
          [
            path('loss'),
            { count: 1, last: acc, lastStep: 1, min: acc, minStep: 1, max: acc, maxStep: 1, nonFinite: 0 },
          ],
        ]),
      });
      return foldRun(card.run, card.project, [card], []);
    }),
  );
  return { table, made };
}

function layout(change: Partial<Layout>): Layout {
  return { drawer: 'runs', query: '', sort: [], by: ['a:opt'], summary: 'mean', open: [], ...change };
}

function treeOf(table: RunTable, change: Partial<Layout>): GroupTree {
  const of = layout(change);
  const sort = of.sort.filter(({ column }) => column !== 'runs');
  return new GroupTree(table, table.select({ sort, now: NOW }).rows, of, NOW);
}

const linesOf = (tree: GroupTree): { id: string; depth: number; key: unknown; run: string | null }[] =>
  Array.from({ length: tree.total }, (_, line) => {
    const { node, run } = tree.at(line);
    return { id: run ?? node.id, depth: node.depth, key: node.key, run };
  });

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const same = (a: unknown, b: unknown): boolean => a === b || (Number.isNaN(a) && Number.isNaN(b));

describe('a grouped table', () => {
  it.each([1, 2, 3, 4])('[GRP-1] holds every run once, and any line can be found again (seed %i)', (seed) => {
    const { table, made } = make(seed, 200);
    const tree = treeOf(table, { by: ['a:opt', 'a:lr'], open: 'all', sort: [{ column: 'a:acc', descending: true }] });
    const lines = linesOf(tree);
    const runs = lines.flatMap(({ run }) => run ?? []);
    expect([...runs].sort(byText)).toEqual(made.map(({ id }) => id).sort(byText));
    lines.forEach(({ id }, line) => expect(tree.lineOf(id)).toBe(line));
    expect(new Set(lines.map(({ id }) => id)).size).toBe(lines.length);
    // The runs below each head are those that have its values, in the order of the view.
    const order = table.select({ sort: [{ column: 'a:acc', descending: true }], now: NOW }).rows;
    const place = new Map(Array.from(order, (row, index) => [table.id(row)!, index]));
    for (const top of tree.top) {
      const members = made.filter(({ opt }) => opt === top.key);
      expect([...tree.runsOf(top)].sort(byText)).toEqual(members.map(({ id }) => id).sort(byText));
      const places = tree.runsOf(top).map((run) => place.get(run)!);
      expect(places).toEqual([...places].sort((a, b) => a - b));
      for (const inner of top.children!)
        expect([...tree.runsOf(inner)].sort(byText)).toEqual(
          members
            .filter(({ lr }) => same(lr === 0 ? 0 : lr, inner.key === 0 ? 0 : inner.key))
            .map(({ id }) => id)
            .sort(byText),
        );
    }
  });

  it('[GRP-1] shows of closed groups their heads alone, and of ranges the runs that they hide', () => {
    const { table, made } = make(5, 60);
    const closed = treeOf(table, { by: ['a:opt', 'a:lr'] });
    expect(closed.total).toBe(closed.top.length);
    expect(closed.runsBetween(0, closed.total)).toHaveLength(made.length);
    const [first, second] = closed.top;
    const open = treeOf(table, { by: ['a:opt', 'a:lr'], open: [first!.id] });
    expect(open.total).toBe(closed.total + open.top[0]!.children!.length);
    expect(open.runsBetween(1, 1)).toEqual(open.runsOf(open.top[0]!.children![0]!));
    expect(open.find([second!.id]).map((node) => node.key)).toEqual([second!.key]);
    open.lay([]);
    expect(open.total).toBe(closed.total);
  });

  it('[WEB-83] opens all groups but those named after a star', () => {
    const { table, made } = make(6, 80);
    const tree = treeOf(table, { by: ['a:opt', 'a:lr'], open: 'all' });
    const all = tree.total;
    const [first] = tree.top;
    const inner = first!.children!.length;
    tree.lay(['*', first!.id]);
    expect(tree.total).toBe(all - inner - first!.rows.length);
    expect(tree.isOpen(first!.id)).toBe(false);
    expect(tree.isOpen(tree.top[1]!.id)).toBe(true);
    expect(tree.runsBetween(0, tree.total)).toHaveLength(made.length);
    tree.lay(['*']);
    expect(tree.total).toBe(all);
  });

  it('[GRP-1] sums up what a plain computation does', () => {
    const { table, made } = make(6, 100);
    const tree = treeOf(table, {});
    for (const node of tree.top) {
      const members = made.filter(({ opt }) => opt === node.key);
      const values = members.map(({ acc }) => acc).filter((acc) => !Number.isNaN(acc));
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const std = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
      const [acc, loss, opt, lr, gone] = tree.cells(node, ['a:acc', 'm:loss.last', 'a:opt', 'status', 'a:nothing']);
      expect(acc).toMatchObject({ kind: 'numbers', count: values.length, nonFinite: members.length - values.length });
      if (acc?.kind !== 'numbers' || loss?.kind !== 'numbers') throw new Error('no numbers');
      expect(acc.mean).toBeCloseTo(mean, 12);
      expect(acc.std).toBeCloseTo(std, 12);
      expect([acc.min, acc.max]).toEqual([Math.min(...values), Math.max(...values)]);
      // Nobody said what is good of an attribute; of a loss its name does.
      expect(acc.best).toBeNull();
      expect(loss.best).toEqual({
        value: Math.min(...values),
        run: members.find((run) => run.acc === Math.min(...values))!.id,
      });
      expect(opt).toEqual(node.key === undefined ? null : { kind: 'same', value: node.key });
      expect([lr, gone]).toEqual([{ kind: 'same', value: 'running' }, null]);
    }
  });

  it('[GRP-1] sums up times as times, also where the first runs say none', () => {
    const table = RunTable.from(
      [undefined, 'never', { time: NOW - 2_000 }, { time: NOW }].map((best, index) => {
        const card = makeCard({
          run: `r${index}` as RunId,
          attributes: new Map<AttributePath, AttributeValue>([
            [path('opt'), 'adam'],
            ...(best === undefined ? [] : [[path('best'), best] as const]),
          ]),
        });
        return foldRun(card.run, card.project, [card], []);
      }),
    );
    const tree = treeOf(table, { sort: [{ column: 'id', descending: false }] });
    expect(tree.runsOf(tree.top[0]!)[0]).toBe('r0');
    const [best] = tree.cells(tree.top[0]!, ['a:best']);
    expect(best).toMatchObject({ kind: 'numbers', time: true, count: 2, min: NOW - 2_000, max: NOW });
  });

  it('[CHT-26] gives charts the first groups and says how many there are', () => {
    const { table } = make(3, 200);
    const tree = treeOf(table, {});
    const { groups, total } = tree.charted(2, (_column, key) => JSON.stringify(key));
    expect([groups.length, total]).toEqual([2, tree.top.length]);
    expect(total).toBe(5);
    expect(groups.map(({ runs }) => runs.length)).toEqual(tree.top.slice(0, 2).map(({ rows }) => rows.length));
  });

  it('[GRP-2] orders groups by value in natural order, by size, and by the summary that is shown', () => {
    const { table, made } = make(7, 120);
    const keys = (change: Partial<Layout>): unknown[] => treeOf(table, change).top.map(({ key }) => key);
    expect(keys({})).toEqual(['adam', 'lion 9', 'lion 10', 'sgd', undefined]);
    expect(keys({ sort: [{ column: 'a:opt', descending: true }] })).toEqual([
      'sgd',
      'lion 10',
      'lion 9',
      'adam',
      undefined,
    ]);
    const size = (key: unknown): number => made.filter(({ opt }) => opt === key).length;
    const bySize = keys({ sort: [{ column: 'runs', descending: true }] }).map(size);
    expect(bySize).toEqual([...bySize].sort((a, b) => b - a));
    const of = (key: unknown): number[] =>
      made.filter(({ opt, acc }) => opt === key && !Number.isNaN(acc)).map(({ acc }) => acc);
    const mean = (key: unknown): number => of(key).reduce((sum, value) => sum + value, 0) / of(key).length;
    const best = (key: unknown): number => Math.min(...of(key));
    const means = keys({ sort: [{ column: 'm:loss.last', descending: false }] }).map(mean);
    expect(means).toEqual([...means].sort((a, b) => a - b));
    const bests = keys({ summary: 'best', sort: [{ column: 'm:loss.last', descending: true }] }).map(best);
    expect(bests).toEqual([...bests].sort((a, b) => b - a));
  });

  it('[GRP-2] puts groups without a value last, whichever way', () => {
    const table = RunTable.from(
      ['a', 'b', 'c'].map((id, index) => {
        const card = makeCard({
          run: id as RunId,
          attributes: new Map<AttributePath, string | number>([
            [path('opt'), id],
            ...(index === 1 ? [] : [[path('acc'), index] as const]),
          ]),
        });
        return foldRun(card.run, card.project, [card], []);
      }),
    );
    for (const descending of [true, false])
      expect(treeOf(table, { sort: [{ column: 'a:acc', descending }] }).top.at(-1)!.key).toBe('b');
  });
});
