import { describe, expect, it } from 'vitest';
import { histogramOf } from '../../components/preview/histogram.ts';
import type { PreviewItem } from '../../worker/files-api.ts';
import { heatOf, reachOf } from './heat.ts';
import { nearestStep, offersOf, shownAt, stepsOf, trackOf } from './steps.ts';

const item = (step: number, name = 'x.png') => ({ step, name }) as PreviewItem;

describe('a grid of objects with one slider', () => {
  it('[PLT-7] stands only at steps that exist, and each run shows what it logged there or last before', () => {
    const a = trackOf([item(20), item(0), item(10), item(10, 'second.png')], false, 0);
    const b = trackOf([item(5), item(25)], false, 0);
    expect(a.steps).toEqual([0, 10, 20]);
    expect(a.items[1]!.map(({ name }) => name)).toEqual(['x.png', 'second.png']);
    const steps = stepsOf([a, b]);
    expect(steps).toEqual([0, 5, 10, 20, 25]);
    expect(steps.map((step) => shownAt(a, step))).toEqual([0, 0, 1, 2, 2]);
    expect(steps.map((step) => shownAt(b, step))).toEqual([-1, 0, 0, 0, 1]);
    expect([null, 12, 17, -3, 1e9].map((wish) => steps[nearestStep(steps, wish)])).toEqual([25, 10, 20, 0, 25]);
    expect(nearestStep([], 4)).toBe(-1);
  });

  it('[PLT-7] offers images first, then what most runs have', () => {
    const path = (name: string, kind: string) => ({
      path: name,
      kinds: { [kind]: 3 },
      rows: 3,
      firstStep: 0,
      lastStep: 2,
    });
    expect(
      offersOf([
        [path('notes', 'text'), path('samples', 'image')],
        [path('notes', 'text'), path('weights', 'histogram')],
      ]).map((offer) => [offer.path, offer.runs]),
    ).toEqual([
      ['samples', 1],
      ['notes', 2],
      ['weights', 1],
    ]);
  });

  it('[PLT-8] histograms of different edges share one grid, and nothing of them is lost or made up', () => {
    const histograms = [
      histogramOf(JSON.stringify({ edges: [0, 1, 3], counts: [2, 6] })),
      histogramOf(JSON.stringify({ edges: [-1, 7], counts: [5] })),
      histogramOf('broken'),
      histogramOf(JSON.stringify({ edges: [2, 2.000001], counts: [9] })),
    ];
    const reach = reachOf(histograms)!;
    expect(reach).toEqual({ low: -1, high: 7 });
    const heat = heatOf(histograms, reach, 16);
    const column = (at: number): number[] => Array.from(heat.shares.subarray(at * 16, (at + 1) * 16));
    const sum = (values: readonly number[]): number => values.reduce((all, each) => all + each, 0);
    expect([0, 1, 2, 3].map((at) => Number(sum(column(at)).toFixed(9)))).toEqual([1, 1, 0, 1]);
    // 0 to 1 are the rows 2 and 3, with a quarter of the values; 1 to 3 the next four with the rest.
    expect(
      column(0)
        .slice(2, 8)
        .map((share) => Number(share.toFixed(4))),
    ).toEqual([0.125, 0.125, 0.1875, 0.1875, 0.1875, 0.1875]);
    expect(column(3).filter((share) => share > 0)).toHaveLength(1);
    expect(heat.most).toBeCloseTo(1, 9);
    expect(reachOf([null])).toBeNull();
  });
});
