import type { AttributePath, RunId } from '@fieldbook/core';
import { foldRun } from '@fieldbook/core/fold';
import { parseQuery } from '@fieldbook/core/query';
import { makeCard, makeTestEdit } from '@fieldbook/core/testing';
import { describe, expect, it } from 'vitest';
import { inDrawer, ProjectTable } from './table.ts';

const NOW = 1_768_500_000_000;

function tableOf(): ProjectTable {
  const table = new ProjectTable();
  const add = (id: string, lr: number, ...fields: ('archived' | 'trashed')[]): void => {
    const run = id as RunId;
    const card = makeCard({
      run,
      attributes: new Map([['params/lr' as AttributePath, lr]]),
      tags: lr < 0.1 ? ['small'] : [],
    });
    table.upsert(
      foldRun(
        run,
        card.project,
        [card],
        fields.map((field) => makeTestEdit({ run, field, value: true })),
      ),
    );
  };
  add('a', 0.1);
  add('b', 0.01);
  add('c', 0.2, 'archived');
  add('d', 0.3, 'trashed');
  add('e', 0.4, 'archived', 'trashed');
  return table;
}

const ids = (drawer: 'runs' | 'archive' | 'trash', query = ''): readonly string[] => {
  const table = tableOf();
  const { rows } = table.select({ drawer, query, sort: [{ column: 'a:params/lr', descending: false }] }, NOW);
  return table.idsOf(rows);
};

describe('the table of a project', () => {
  it('[WEB-5] shows each run in one drawer, and what is asked for by name wherever it lies', () => {
    expect(ids('runs')).toEqual(['b', 'a']);
    expect(ids('archive')).toEqual(['c']);
    expect(ids('trash')).toEqual(['d', 'e']);
    expect(ids('runs', 'params/lr > 0.05')).toEqual(['a']);
    expect(ids('runs', 'trashed')).toEqual(['d']);
    expect(ids('runs', 'archived or not archived')).toEqual(['b', 'a', 'c']);
    expect(inDrawer(parseQuery('a or b'), 'runs').root).toMatchObject({
      kind: 'and',
      terms: [{ kind: 'not' }, { kind: 'not' }, { kind: 'or' }],
    });
  });

  it('[WEB-20] shows of a row what its state says, and counts the drawers', () => {
    const table = tableOf();
    const rows = table.rows(
      table.rowsOf(['b' as RunId, 'd' as RunId]),
      ['a:params/lr', 'm:val/acc.last', 'nonsense', 'tags'],
      NOW,
      (run) => run === 'b' && 'browser',
      () => undefined,
    );
    expect(rows.map(({ id, unsaved, trashed, tags, cells }) => ({ id, unsaved, trashed, tags, cells }))).toEqual([
      { id: 'b', unsaved: 'browser', trashed: false, tags: ['small'], cells: [0.01, undefined, undefined, ['small']] },
      { id: 'd', unsaved: false, trashed: true, tags: [], cells: [0.3, undefined, undefined, undefined] },
    ]);
    expect(table.tally()).toMatchObject({ runs: 2, archived: 1, trashed: 2, running: 3, conflicts: 0 });
    expect(table.tally().updated).toBeGreaterThan(0);
  });

  it('says where a query goes wrong and what could stand there', () => {
    const { error } = tableOf().select({ drawer: 'runs', query: 'params/lr <', sort: [] }, NOW);
    expect(error).toMatchObject({ position: 11 });
    expect(error!.message).not.toBe('');
  });

  it('takes a query apart into chips and completes it from the data', () => {
    const table = tableOf();
    expect(table.read('tags has small and params/lr < 1').chips.map(({ text }) => text)).toEqual([
      'tags has small',
      'params/lr < 1',
    ]);
    expect(table.complete('params', 6, NOW).map(({ text }) => text)).toContain('params/lr');
    expect(table.complete('tags has ', 9, NOW).map(({ text }) => text)).toContain('"small"');
    expect(table.tags()).toEqual(['small']);
    expect(table.columns().find(({ id }) => id === 'a:params/lr')).toMatchObject({
      numeric: true,
      filled: 5,
      varies: true,
    });
  });
});
