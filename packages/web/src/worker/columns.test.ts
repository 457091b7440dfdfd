import { foldRun } from '@fieldbook/core/fold';
import { makeCard } from '@fieldbook/core/testing';
import type { AttributePath, ProjectId, RunId } from '@fieldbook/core';
import { describe, expect, it } from 'vitest';
import { cellOf, metricColumn, parseColumn } from './columns.ts';

const card = makeCard({
  attributes: new Map([['params/lr' as AttributePath, 0.1]]),
  metrics: new Map([
    [
      'val/acc.top' as AttributePath,
      { count: 2, last: 0.8, lastStep: 2, min: 0.5, minStep: 1, max: 0.9, maxStep: 1, nonFinite: 0 },
    ],
  ]),
});
const state = foldRun('run-1' as RunId, 'mnist' as ProjectId, [card], []);

describe('columns', () => {
  it('finds a value by the name of its column, dots in paths included', () => {
    const value = (id: string) => cellOf(state, parseColumn(id)!, card.created + 5_000);
    expect(value('a:params/lr')).toBe(0.1);
    expect(value(metricColumn('val/acc.top', 'max'))).toBe(0.9);
    expect(value('m:val/acc.top.last')).toBe(0.8);
    expect(value('a:params/momentum')).toBeUndefined();
    expect(value('duration')).toBe(5_000);
    expect(value('created')).toEqual({ time: card.created });
  });

  it('knows no other columns', () => {
    for (const id of ['', 'a:', 'm:x', 'm:.last', 'm:x.median', 'nonsense']) expect(parseColumn(id)).toBeUndefined();
  });
});
