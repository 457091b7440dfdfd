import type { SegmentEntry } from '@fieldbook/core/record';
import { SeriesReader } from '@fieldbook/core/series';

/** What series-read-browser.ts asks of the page in Chromium. */
export interface PageRequest {
  series: { entries: SegmentEntry[]; spikes: { step: number; value: number }[] }[];
  metric: string;
  maxPoints: number;
  points: number;
}

export interface PageTimes {
  cold: number;
  warm: number;
  scan: number;
  /** Points that were not counted, and spikes that are not shown at their step. */
  lost: number;
  requests: number;
  bytes: number;
}

let requests = 0;
let bytes = 0;

/** Blobs by ranges over HTTP, never from the browser's cache: a cold read is one. */
const blobs = {
  async read(digest: string, range?: { start: number; end: number }): Promise<Uint8Array> {
    const headers: Record<string, string> =
      range === undefined ? {} : { range: `bytes=${range.start}-${range.end - 1}` };
    const answer = await fetch(`/blobs/${digest}`, { headers, cache: 'no-store' });
    const read = new Uint8Array(await answer.arrayBuffer());
    requests++;
    bytes += read.length;
    return read;
  },
};

async function readSeries({ series, metric, maxPoints, points }: PageRequest): Promise<PageTimes> {
  requests = 0;
  bytes = 0;
  const reader = new SeriesReader(blobs);
  const readAll = async (): Promise<{ took: number; lost: number }> => {
    const began = performance.now();
    const read = await Promise.all(series.map(({ entries }) => reader.read({ entries, metric, maxPoints })));
    const took = performance.now() - began;
    let lost = 0;
    read.forEach(({ buckets, total }, index) => {
      lost += Math.abs(points - total) + Math.abs(points - buckets!.count.reduce((sum, count) => sum + count, 0));
      for (const { step, value } of series[index]!.spikes) {
        const [extremes, places] = value > 0 ? [buckets!.max, buckets!.maxX] : [buckets!.min, buckets!.minX];
        if (!extremes.some((extreme, row) => extreme === value && places[row] === step)) lost++;
      }
    });
    return { took, lost };
  };
  const cold = await readAll();
  const asked = { requests, bytes };
  const warm = await readAll();
  return { cold: cold.took, warm: warm.took, scan: scan(series.length, points), lost: cold.lost + warm.lost, ...asked };
}

/** Least and greatest value per bucket of as many columns in memory, nothing else; ms. */
function scan(series: number, points: number): number {
  const values = Float64Array.from({ length: points }, (_, step) => Math.sin(step));
  const began = performance.now();
  for (let round = 0; round < series; round++) {
    const least = new Float64Array(1_000).fill(Infinity);
    const most = new Float64Array(1_000).fill(-Infinity);
    for (let step = 0; step < points; step++) {
      const bucket = Math.floor((step * 1_000) / points);
      const value = values[step]!;
      if (value < least[bucket]!) least[bucket] = value;
      if (value > most[bucket]!) most[bucket] = value;
    }
  }
  return performance.now() - began;
}

Object.assign(globalThis, { readSeries });
