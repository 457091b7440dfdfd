import { foldRun } from '@fieldbook/core/fold';
import type { AttributePath, RunId } from '@fieldbook/core';
import { parseQuery, RunTable } from '@fieldbook/core/query';
import { makeCard } from '@fieldbook/core/testing';
import { describe, expect, it } from 'vitest';
import type { Cell, TermKind } from '../worker/api.ts';
import { chipsOf, refined, termOf } from '../worker/terms.ts';
import { replaced, termText, without } from './terms.ts';

const NOW = 1_768_500_000_000;
const path = (text: string): AttributePath => text as AttributePath;

function tableOf(): RunTable {
  const metric = { count: 2, last: 0.5, lastStep: 1, min: 0.25, minStep: 0, max: 0.5, maxStep: 1, nonFinite: 0 };
  const card = (id: string, lr: number, tags: string[]) =>
    makeCard({
      run: id as RunId,
      tags,
      attributes: new Map<AttributePath, number | string | null>([
        [path('params/lr'), lr],
        [path('status'), `state "${id}"`],
        [path('both'), 1],
        [path('nothing'), null],
      ]),
      metrics: new Map([
        [path('val/acc'), { ...metric, last: lr }],
        [path('both'), metric],
      ]),
    });
  const runs = [card('a', 0.1, ['x', 'y z']), card('b', 0.2, []), card('c', Number.NaN, ['x'])];
  return RunTable.from(runs.map((run) => foldRun(run.run, run.project, [run], [])));
}

describe('terms from cells', () => {
  const table = tableOf();
  const found = (column: string, run: string, kind: TermKind): [string, string] => {
    const row = table.row(run as RunId)!;
    const term = termOf(column, table.value(row, column, { now: NOW }), kind, table)!;
    const { rows } = table.select({ query: term, now: NOW, sort: [{ column: 'id' }] });
    return [term, Array.from(rows, (each) => table.id(each)).join('')];
  };

  it('[WEB-42] find the runs that they say, by the shortest name that means the column', () => {
    expect(found('a:params/lr', 'a', 'only')).toEqual(['params/lr = 0.1', 'a']);
    expect(found('a:params/lr', 'a', 'not')).toEqual(['params/lr != 0.1', 'bc']);
    expect(found('a:params/lr', 'a', 'above')).toEqual(['params/lr > 0.1', 'b']);
    expect(found('a:params/lr', 'c', 'only')).toEqual(['params/lr = nan', 'c']);
    expect(found('m:val/acc.last', 'b', 'below')).toEqual(['val/acc < 0.2', 'a']);
    expect(found('m:val/acc.max', 'b', 'only')).toEqual(['val/acc.max = 0.5', 'abc']);
    expect(found('a:status', 'b', 'only')).toEqual(['a:status = "state \\"b\\""', 'b']);
    expect(found('m:both.last', 'b', 'only')).toEqual(['both.last = 0.5', 'abc']);
    expect(found('tags', 'a', 'only')).toEqual(['tags has "x" and tags has "y z"', 'a']);
    expect(found('tags', 'a', 'not')).toEqual(['not (tags has "x" and tags has "y z")', 'bc']);
    expect(found('tags', 'b', 'only')).toEqual(['tags missing', 'b']);
    expect(found('a:nothing', 'b', 'only')).toEqual(['nothing = null', 'abc']);
    expect(found('created', 'a', 'only')).toEqual(['created = 2026-01-15', 'abc']);
    expect(termOf('a:params/lr', Number.NaN as Cell, 'above', table)).toBeNull();
  });

  it('[WEB-42] join a query without changing what it means', () => {
    expect(refined('', 'a = 1')).toBe('a = 1');
    expect(refined('b = 2', 'a = 1')).toBe('b = 2 and a = 1');
    expect(refined('b = 2 or c = 3', 'a = 1')).toBe('(b = 2 or c = 3) and a = 1');
    expect(refined('(b = 2 or c = 3)', 'a = 1')).toBe('(b = 2 or c = 3) and a = 1');
    expect(refined('(b = 2) or (c = 3)', 'a = 1')).toBe('((b = 2) or (c = 3)) and a = 1');
    expect(refined('(b = 2 or c = 3) or d = 4', 'a = 1')).toBe('((b = 2 or c = 3) or d = 4) and a = 1');
    expect(refined('b = 2 and a = 1', 'a = 1')).toBe('b = 2 and a = 1');
  });
});

describe('chips', () => {
  it('[WEB-42] are taken apart, edited and put back, and nothing else of the query changes', () => {
    const query = 'resnet params/lr < 0.01 and tags has "a b" and name ~ /x\\/y/i and s in (a, "b c") and not z exists';
    const chips = chipsOf(query);
    expect(chips.map(({ test }) => test)).toEqual([
      null,
      { path: 'params/lr', op: '<', value: '0.01' },
      { path: 'tags', op: 'has', value: '"a b"' },
      { path: 'name', op: '~', value: '/x\\/y/i' },
      { path: 's', op: 'in', value: 'a, "b c"' },
      null,
    ]);
    for (const chip of chips.filter(({ test }) => test !== null)) expect(termText(chip.test!)).toBe(chip.text);
    const edited = replaced(query, chips[1]!, termText({ path: 'params/lr', op: '>=', value: ' 0.5 ' }));
    expect(edited).toBe(query.replace('< 0.01', '>= 0.5'));
    expect(termText({ path: 'name', op: '=', value: 'two words' })).toBe('name = "two words"');
    expect(termText({ path: 'name', op: '~', value: 'a/b' })).toBe('name ~ /a\\/b/');
    expect(termText({ path: 'x', op: 'exists', value: null })).toBe('x exists');
  });

  it('[WEB-42] are taken out with the word that joined them', () => {
    const query = 'resnet params/lr < 0.01 and tags has "a b"';
    const outs = chipsOf(query).map((_, at) => without(query, chipsOf(query), at));
    expect(outs).toEqual([
      'params/lr < 0.01 and tags has "a b"',
      'resnet and tags has "a b"',
      'resnet params/lr < 0.01',
    ]);
    for (const out of outs) expect(() => parseQuery(out)).not.toThrow();
    expect(without('a = 1', chipsOf('a = 1'), 0)).toBe('');
  });
});
