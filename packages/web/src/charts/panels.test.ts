import { describe, expect, it } from 'vitest';
import type { ChartedMetric } from '../worker/charts/api.ts';
import { layout, sectionsOf, visibleBlocks } from './panels.ts';

const metrics = (...paths: string[]): ChartedMetric[] =>
  paths.map((path) => ({ path, min: 0, max: 1, unit: null, goal: null, x: null }));
const shown = (...given: Parameters<typeof sectionsOf>): [string, string[]][] =>
  sectionsOf(...given).map(({ label, panels }) => [label, panels.map(({ id }) => id)]);

describe('metrics as sections of panels', () => {
  const few = metrics('train/loss', 'sys/gpu', 'loss', 'val/loss', 'val/acc');

  it('[CHT-4] flow as one while they are few: validation first, pinned on top, only those asked for', () => {
    expect(shown(few, '', [], [])).toEqual([['', ['val/acc', 'val/loss', 'loss', 'train/loss', 'sys/gpu']]]);
    expect(shown(few, 'LOSS', ['val/loss', 'gone'], [])).toEqual([
      ['Pinned', ['val/loss']],
      ['All others', ['loss', 'train/loss']],
    ]);
    expect(shown(few, 'train loss', [], [])).toEqual([['', ['train/loss']]]);
    expect(shown(few, 'nothing', [], [])).toEqual([]);
  });

  it('[CHT-4] come by namespace when they are many, numbers in their names by size', () => {
    const many = metrics(...Array.from({ length: 30 }, (_, index) => `layer${index % 2}/grad${29 - index}`));
    const sections = shown(many, '', [], []);
    expect(sections.map(([label, panels]) => [label, panels.length])).toEqual([
      ['layer0', 15],
      ['layer1', 15],
    ]);
    expect(sections[0]![1].slice(0, 3)).toEqual(['layer0/grad1', 'layer0/grad3', 'layer0/grad5']);
  });

  it('[CHT-4] that were put together share a panel, as far as the runs have them', () => {
    expect(
      shown(
        few,
        '',
        [],
        [
          ['train/loss', 'val/loss'],
          ['loss', 'gone'],
        ],
      ),
    ).toEqual([['', ['val/acc', 'loss', 'train/loss + val/loss', 'sys/gpu']]]);
  });

  it('[CHT-5] of ten thousand are laid out at once, and only those on screen are mounted', () => {
    const paths = Array.from({ length: 10_000 }, (_, index) => `layer${index % 100}/grad${index}`);
    const began = performance.now();
    const sections = sectionsOf(metrics(...paths), '', [], []);
    const { blocks, height } = layout(sections, ['layer1'], 3, { head: 30, panel: 250 });
    const visible = visibleBlocks(blocks, 100_000, 101_000);
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(visible.length).toBeLessThan(7);
    expect(visible.every(({ top, height: high }) => top <= 101_000 && top + high >= 100_000)).toBe(true);
    const panels = blocks.flatMap(({ row }) => row ?? []);
    expect(panels.length).toBe(9_900);
    expect(blocks.at(-1)!.top + blocks.at(-1)!.height).toBe(height);
  });
});
