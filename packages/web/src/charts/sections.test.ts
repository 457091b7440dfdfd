import type { MetricSummary } from '@fieldbook/core/record';
import { describe, expect, it } from 'vitest';
import type { ChartedRun } from './sections.ts';
import { groupMetrics } from './sections.ts';

const run = (...paths: string[]): ChartedRun => ({
  id: 'a',
  name: 'a',
  status: 'finished',
  created: 0,
  updated: 0,
  beat: 0,
  metrics: new Map(paths.map((path) => [path, {} as MetricSummary])),
});

describe('metrics as groups of charts', () => {
  it('flow as one while they are few: validation first, pinned on top, only those asked for', () => {
    const runs = [run('train/loss', 'sys/gpu', 'loss'), run('val/loss', 'val/acc', 'train/loss')];
    expect(groupMetrics(runs, '', [])).toEqual([
      { space: '', metrics: ['val/acc', 'val/loss', 'loss', 'train/loss', 'sys/gpu'] },
    ]);
    expect(groupMetrics(runs, 'LOSS', ['val/loss', 'gone'])).toEqual([
      { space: 'Pinned', metrics: ['val/loss'] },
      { space: '', metrics: ['loss', 'train/loss'] },
    ]);
    expect(groupMetrics(runs, 'nothing', [])).toEqual([]);
  });

  it('come by namespace when they are many', () => {
    const many = run(...Array.from({ length: 30 }, (_, index) => `layer${index % 2}/grad${index}`));
    expect(groupMetrics([many], '', []).map(({ space, metrics }) => [space, metrics.length])).toEqual([
      ['layer0', 15],
      ['layer1', 15],
    ]);
  });
});
