import type { RunId } from '@fieldbook/core';
import { describe, expect, it } from 'vitest';
import type { DrawnBand } from '../worker/charts/api.ts';
import { censusOfBands } from '../worker/charts/census.ts';
import { rangeY } from './line.ts';
import { saysOf, shownBands } from './shown.ts';

const floats = (...values: number[]): Float64Array => Float64Array.from(values);
/** Ten runs, of which some are NaN from step 2 on. */
const band = (odd: number, override: Partial<DrawnBand> = {}): DrawnBand & { metric: string } => ({
  metric: 'loss',
  group: 'g',
  x: floats(0, 1, 2, 3),
  centre: floats(1, 2, 3, 4),
  low: floats(0.5, -1, 0, 1),
  high: floats(2, 3, 4, 1_000),
  runs: Uint32Array.of(10, 10, 10 - odd, 10 - odd),
  oddRuns: Uint32Array.of(0, 0, odd, odd),
  odd: odd === 0 ? { x: floats(), kind: new Uint8Array() } : { x: floats(2, 3), kind: Uint8Array.of(0, 0) },
  withOdd: odd,
  total: 10,
  read: 10,
  pending: 0,
  absent: 0,
  points: 40,
  ...override,
});
const groups = [{ id: 'g', label: 'g', runs: [] as readonly RunId[] }];
const options = { logY: false, clip: 100, axis: 'step', zoom: null } as const;

describe('what a chart of groups says of itself', () => {
  it('[CHT-8] has how many runs are NaN or infinite, by the marks that show where, and from where', () => {
    const says = (bands: ReturnType<typeof band>[]) => saysOf([], bands, groups, null, options).plain;
    expect(says([band(3)])).toEqual(['3 of 10 runs have NaN (×), first at step 2', 'All 10 runs with it']);
    expect(says([band(0)])).toEqual(['All 10 runs with it']);
    const diverged = band(1, { odd: { x: floats(3), kind: Uint8Array.of(1) } });
    expect(says([diverged])[0]).toBe('1 of 10 runs has +∞ (⌃), first at step 3');
    expect(says([diverged, band(2)])[0]).toBe('3 of 20 runs have NaN or ∞ (× ⌃), first at step 2');
    // With two metrics a run has two series; nobody is counted twice as a run.
    expect(says([band(3), { ...band(1), metric: 'val' }])).toEqual([
      '4 of 20 series have NaN (×), first at step 2',
      'All 20 series of 2 metrics',
    ]);
    const reading = [band(0, { pending: 4, read: 6 }), { ...band(0), metric: 'val' }];
    expect(says(reading)).toEqual(['16 of 20 series read…']);
    const looks = { metrics: ['loss'], nameOf: (id: string) => id, colourOf: () => '--run-0' };
    const [line] = shownBands([band(3)], looks);
    expect([...line!.odd.x]).toEqual([2, 3]);
    expect([...line!.oddRuns!]).toEqual([0, 0, 3, 3]);
  });

  it('[CHT-10] has what a logarithmic axis and a frame of the middle values hide of lines and bands', () => {
    const bands = [band(0)];
    const log = saysOf([], bands, groups, censusOfBands(bands, 100), { ...options, logY: true }).plain;
    expect(log[1]).toBe('2 values of lines and bands of 0 or less cannot be on a log axis');
    const census = censusOfBands(bands, 80);
    expect(census.within).toEqual({ min: 0, max: 4 });
    expect(saysOf([], bands, groups, census, { ...options, clip: 80 }).plain[1]).toBe(
      '2 of 12 values of lines and bands hidden: 1 above, 1 below',
    );
    const looks = { metrics: ['loss'], nameOf: (id: string) => id, colourOf: () => '--run-0' };
    expect(rangeY(shownBands(bands, looks), 0, 3, false)).toEqual({ min: -1, max: 1_000 });
  });
});
