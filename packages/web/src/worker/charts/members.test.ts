import type { AttributePath, RunId } from '@fieldbook/core';
import { foldRun } from '@fieldbook/core/fold';
import { makeCard } from '@fieldbook/core/testing';
import { describe, expect, it } from 'vitest';
import { ProjectTable } from '../table.ts';
import type { ChartedMetric } from './api.ts';
import { addMembers } from './members.ts';

const path = (text: string): AttributePath => text as AttributePath;
const at = (run: number): RunId => `r${run}` as RunId;
const RUNS = 5_000;
/** Beyond the first stretch that is looked at. */
const LATE = 4_321;

/** All have `loss`; one late run has `late`, with a unit, and the greatest loss; the last run is of no group and has `foreign`. */
function tableOf(): ProjectTable {
  const table = new ProjectTable();
  for (let run = 0; run <= RUNS; run++) {
    const summary = (value: number) => ({
      count: 1,
      last: value,
      lastStep: 1,
      min: value,
      minStep: 1,
      max: value,
      maxStep: 1,
      nonFinite: 0,
    });
    const metrics = new Map([[path('loss'), summary(run === LATE ? 1_000 : run % 7)]]);
    if (run === LATE) metrics.set(path('late'), summary(5));
    if (run === RUNS) metrics.set(path('foreign'), summary(1));
    const card = makeCard({
      run: at(run),
      attributes: new Map(run === LATE ? [[path('metric/late/unit'), 'ms']] : []),
      metrics,
    });
    table.upsert(foldRun(card.run, card.project, [card], []));
  }
  return table;
}

describe('metrics of the runs of groups', () => {
  it('[CHT-27] are those of all of them, with what is said of a metric and the extremes of all', () => {
    const table = tableOf();
    const runs = Array.from({ length: RUNS }, (_, run) => at(run));
    const sampled = (): Map<string, ChartedMetric> =>
      new Map([['loss', { path: 'loss', min: 0, max: 6, unit: null, goal: null, x: null }]]);
    const known = sampled();
    addMembers(known, table, { runs, extremes: false });
    expect([...known.keys()]).toEqual(['loss', 'late']);
    expect(known.get('late')).toMatchObject({ unit: 'ms', min: 5, max: 5 });
    expect(known.get('loss')!.max).toBe(6);
    const whole = sampled();
    addMembers(whole, table, { runs, extremes: true });
    expect(whole.get('loss')).toMatchObject({ min: 0, max: 1_000 });
  });
});
