import type { RunId } from '@fieldbook/core';
import type { RunState } from '@fieldbook/core/fold';
import type { MetricSummary } from '@fieldbook/core/record';
import { describe, expect, it } from 'vitest';
import type { SeriesAnswer, SeriesQuery } from '../api.ts';
import type { BandsRequest, DrawnBand } from './api.ts';
import { BandSource } from './bands.ts';
import { ColumnStore } from './columns.ts';
import { oddOf } from './envelope.ts';
import { LineSource } from './lines.ts';

const RUNS = 1_000;
const POINTS = 60;
const at = (run: number): RunId => `r${run}` as RunId;
/** Runs of different lengths: the n-th ends after 10 to 59 steps. */
const lengthOf = (run: number): number => 10 + (run % 50);
const valueOf = (run: number, step: number): number => ((run * 7_919) % 1_000) / 100 + step;

function machine(absent: ReadonlySet<number> = new Set(), value = valueOf, now = (): number => 0) {
  const reads: SeriesQuery[] = [];
  const stateOf = (run: RunId): RunState => {
    const number = Number(run.slice(1));
    const length = lengthOf(number);
    const summary: MetricSummary = {
      count: length,
      last: 0,
      lastStep: length - 1,
      min: 0,
      minStep: 0,
      max: 0,
      maxStep: 0,
      nonFinite: 0,
    };
    return {
      id: run,
      status: 'finished',
      created: 0,
      updated: 1,
      ended: 1,
      metrics: new Map([['loss', summary]]),
    } as unknown as RunState;
  };
  const series = {
    read: async (query: SeriesQuery): Promise<SeriesAnswer> => {
      reads.push(query);
      const run = Number(query.run.slice(1));
      const gone = absent.has(run);
      const x = Float64Array.from({ length: gone ? 0 : lengthOf(run) }, (_, step) => step);
      const y = x.map((step) => value(run, step));
      return {
        x,
        y,
        total: x.length,
        buckets: 0,
        band: null,
        ...oddOf(x, y),
        origin: gone ? 'absent' : 'fresh',
        note: null,
      };
    },
  };
  const columns = new ColumnStore(
    async () => Promise.reject(new Error('not asked for')),
    () => 0,
  );
  const bands = new BandSource(series, new LineSource(series, columns, stateOf), stateOf, now);
  return { bands, reads };
}

const request = (override: Partial<BandsRequest> = {}): BandsRequest => ({
  groups: [
    { id: 'even', label: 'even', runs: Array.from({ length: RUNS / 2 }, (_, run) => at(2 * run)) },
    { id: 'odd', label: 'odd', runs: Array.from({ length: RUNS / 2 }, (_, run) => at(2 * run + 1)) },
  ],
  metric: 'loss',
  axis: 'step',
  from: null,
  to: null,
  logX: false,
  smoothing: null,
  centre: 'mean',
  spread: 'minmax',
  ...override,
});

async function whole(source: BandSource, asked: BandsRequest): Promise<DrawnBand[]> {
  for (;;) {
    const answer = await source.bands(asked);
    if (answer.every(({ pending }) => pending === 0)) return answer;
  }
}

describe('bands of groups', () => {
  it('[CHT-12] are finished of more charts than are kept, asked in turn, and let go when nobody looks', async () => {
    let time = 0;
    const { bands, reads } = machine(new Set(), valueOf, () => time);
    const charts = Array.from({ length: 40 }, (_, place) => request({ axis: 'step', from: place, to: 100 + place }));
    const pending = async (): Promise<number> => {
      const answers = await Promise.all(charts.map((chart) => bands.bands(chart)));
      return answers.flat().reduce((sum, band) => sum + band.pending, 0);
    };
    while ((await pending()) > 0);
    expect(reads.length).toBe(charts.length * RUNS);
    expect(bands.held).toBe(40);
    time = 6_000;
    await bands.bands(request({ from: 500, to: 501 }));
    expect(bands.held).toBeLessThanOrEqual(24);
  });

  it('[CHT-12] are over all of a thousand runs, and say how many count at each place', async () => {
    const { bands, reads } = machine();
    const [even] = await whole(bands, request());
    expect(reads.length).toBe(RUNS);
    expect([even!.total, even!.read, even!.absent]).toEqual([500, 500, 0]);
    for (const step of [0, 5, 30, 57]) {
      const values = request()
        .groups[0]!.runs.map((run) => Number(run.slice(1)))
        .filter((run) => step < lengthOf(run))
        .map((run) => valueOf(run, step));
      const row = even!.x.indexOf(step);
      expect(even!.runs[row]).toBe(values.length);
      expect(even!.centre[row]).toBeCloseTo(values.reduce((sum, value) => sum + value, 0) / values.length, 9);
      expect([even!.low[row], even!.high[row]]).toEqual([Math.min(...values), Math.max(...values)]);
    }
    expect(even!.x.length).toBeLessThanOrEqual(POINTS);
  });

  it('[CHT-12] of one group are the same whatever other groups are shown, and read runs once', async () => {
    const { bands, reads } = machine();
    const [even] = await whole(bands, request());
    await whole(bands, request({ spread: 'ci' }));
    expect(reads.length).toBe(RUNS);
    const [alone] = await whole(bands, request({ groups: [request().groups[0]!] }));
    expect([...alone!.centre]).toEqual([...even!.centre]);
    const [median] = await whole(bands, request({ centre: 'median', spread: 'none' }));
    const values = request()
      .groups[0]!.runs.map((run) => valueOf(Number(run.slice(1)), 0))
      .sort((a, b) => a - b);
    expect(median!.centre[0]).toBeCloseTo((values[249]! + values[250]!) / 2, 12);
    expect(median!.low.every(Number.isNaN)).toBe(true);
  });

  it('[CHT-8] say how many runs have NaN or infinities, from where, and go on to their end', async () => {
    // Every run is NaN from step 20 on, and of those that get there each fourth is infinite first.
    const { bands } = machine(new Set(), (run, step) =>
      step < 20 ? valueOf(run, step) : step === 20 && run % 4 === 0 ? Infinity : NaN,
    );
    const [even] = await whole(bands, request());
    const longer = request().groups[0]!.runs.filter((run) => lengthOf(Number(run.slice(1))) > 20).length;
    expect(even!.withOdd).toBe(longer);
    expect([even!.odd.x[0], even!.odd.x.at(-1), even!.x.at(-1)]).toEqual([20, 57, 57]);
    expect([...even!.odd.kind].slice(0, 2)).toEqual([3, 0]);
    const row = even!.x.indexOf(20);
    expect([even!.runs[row], even!.oddRuns[row], even!.centre[row]]).toEqual([0, longer, NaN]);
    const smoothing = { kind: 'gaussian', width: 10, unit: 'share' } as const;
    const [smoothed] = await whole(bands, request({ smoothing }));
    expect(Number.isFinite(smoothed!.centre[row - 1])).toBe(true);
    expect(smoothed!.centre.subarray(row).every(Number.isNaN)).toBe(true);
    const [before] = await whole(bands, request({ to: 19 }));
    expect([before!.withOdd, before!.odd.x.length]).toEqual([0, 0]);
  });

  it('[CHT-12] leave out what cannot be had and say so; smoothing does not depend on the stretch that is shown', async () => {
    const { bands } = machine(new Set([0, 2, 4]));
    const [even] = await whole(bands, request());
    expect([even!.read, even!.absent, even!.runs[0]]).toEqual([497, 3, 497]);
    const smoothing = { kind: 'ema', width: 10, unit: 'share' } as const;
    const [all] = await whole(bands, request({ smoothing }));
    const [part] = await whole(bands, request({ smoothing, from: 20, to: 40 }));
    const row = all!.x.indexOf(30);
    expect(part!.centre[part!.x.indexOf(30)]).toBe(all!.centre[row]);
    expect([part!.x[0], part!.x.at(-1)]).toEqual([20, 40]);
  });
});
