import type { MetricSummary } from '@fieldbook/core/record';
import { describe, expect, it } from 'vitest';
import type { ChartedRun } from './settings.ts';
import { groupMetrics } from './settings.ts';

const run = (...paths: string[]): ChartedRun => ({ id: 'a', name: 'a', status: 'finished', created: 0, updated: 0, metrics: new Map(paths.map((path) => [path, {} as MetricSummary])) });

describe('metrics as groups of charts', () => {
  it('come by namespace, validation first, pinned on top, and only those asked for', () => {
    const runs = [run('train/loss', 'sys/gpu', 'loss'), run('val/loss', 'val/acc', 'train/loss')];
    expect(groupMetrics(runs, '', [])).toEqual([
      { space: 'val', metrics: ['val/acc', 'val/loss'] },
      { space: '', metrics: ['loss'] },
      { space: 'train', metrics: ['train/loss'] },
      { space: 'sys', metrics: ['sys/gpu'] },
    ]);
    expect(groupMetrics(runs, 'LOSS', ['val/loss', 'gone'])).toEqual([
      { space: 'Pinned', metrics: ['val/loss'] },
      { space: '', metrics: ['loss'] },
      { space: 'train', metrics: ['train/loss'] },
    ]);
  });
});
