import { createHash, randomFillSync } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeviceId, RunId, WriterId } from '@fieldbook/core';
import { FileBlobStore } from '@fieldbook/core/blobs';
import type { SegmentEntry } from '@fieldbook/core/record';
import type { Series } from '@fieldbook/core/series';
import { PointBuffer, sealSegment, SeriesReader } from '@fieldbook/core/series';
import { gunzip, pageCompressor } from '../packages/node-agent/src/machine/ports.ts';
import { makeCurve } from './curves.ts';
import { interleave, medianRow, repeatsFor } from './harness.ts';
import type { Bench, Row } from './harness.ts';
import { measureInChromium } from './series-read-browser.ts';

const BUCKETS = 1_000;
const WRITER = '01kf0000000000000000000001' as WriterId;
const DEVICE = 'd000000000000000000000001' as DeviceId;
const METRIC = 'train/loss';

/** A run of one metric, sealed in pieces of half a million as an agent seals a backlog, and what must be seen of it. */
export interface StoredSeries {
  entries: SegmentEntry[];
  /** The points themselves, for the floor and to hold answers against. */
  steps: Float64Array;
  values: Float64Array;
  /** Spikes that were put in: none may be missed. */
  spikes: { step: number; value: number }[];
}

const bench: Bench = {
  name: 'series-read',
  about: 'How long 1, 10 and 100 series of a million points take to 1,000 buckets, from Node and in Chromium.',
  async run({ smoke }): Promise<Row[]> {
    const root = mkdtempSync(join(tmpdir(), 'fieldbook-bench-'));
    const points = smoke ? 300_000 : 1_000_000;
    try {
      const blobs = new FileBlobStore({
        fs,
        root,
        random: { bytes: (length) => randomFillSync(new Uint8Array(length)) },
        sha256: (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest()),
      } as ConstructorParameters<typeof FileBlobStore>[0]);
      const most = smoke ? 2 : 100;
      const stored: StoredSeries[] = [];
      for (let seed = 1; seed <= most; seed++) stored.push(await store(blobs, points, seed));
      const counts = smoke ? [1, 2] : [1, 10, 100];
      const rows = await measureInNode(blobs, stored, counts, points, smoke);
      return [...rows, ...(await measureInChromium(root, stored, counts, points, smoke))];
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  },
};

let shared = new Float64Array(0);
/** The same for all: a hundred of them would be most of a gigabyte. */
function stepsOf(points: number): Float64Array {
  if (shared.length !== points) shared = Float64Array.from({ length: points }, (_, step) => step);
  return shared;
}

async function store(blobs: FileBlobStore, points: number, seed: number): Promise<StoredSeries> {
  const { values, times } = makeCurve('float32 loss', points, seed);
  const spikes = Array.from({ length: 40 }, (_, index) => {
    const step = Math.floor(((index + 0.37) * points) / 40) + seed;
    const value = Math.fround((index % 2 === 0 ? 10 : -10) - index / 64);
    values[step] = value;
    return { step, value };
  });
  const entries: SegmentEntry[] = [];
  const piece = Math.min(points, 500_000);
  for (let first = 0; first < points; first += piece) {
    const buffer = new PointBuffer(piece);
    for (let step = first; step < first + piece; step++) buffer.push(0, step, values[step]!, times[step]!, step);
    const cover = { writer: WRITER, first, last: first + piece - 1 };
    const header = { run: `run-${seed}` as RunId, ...cover };
    const options = { compressor: pageCompressor, effort: 'fast' } as const;
    const sealed = await sealSegment(header, buffer.from(0), [METRIC], options);
    const digest = await blobs.write(sealed.bytes);
    const { startTime, endTime } = sealed;
    const size = sealed.bytes.length;
    const entry = { ...cover, device: DEVICE, digest, size, points: piece, startTime, endTime };
    entries.push({ kind: 'segment', ...entry, levels: [], extra: {} });
  }
  return { entries, values, spikes, steps: stepsOf(points) };
}

async function measureInNode(
  blobs: FileBlobStore,
  stored: readonly StoredSeries[],
  counts: readonly number[],
  points: number,
  smoke: boolean,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const count of counts) {
    const some = stored.slice(0, count);
    const readAll = async (reader: SeriesReader): Promise<number> => {
      const began = performance.now();
      const read = await Promise.all(
        some.map(({ entries }) => reader.read({ entries, metric: METRIC, maxPoints: BUCKETS * 2 })),
      );
      const took = performance.now() - began;
      // Outside of the time that is measured.
      read.forEach((series, index) => check(series, some[index]!, points));
      return took;
    };
    const warm = new SeriesReader(blobs, { gunzip });
    await readAll(warm);
    const measured = await interleave(
      {
        cold: () => readAll(new SeriesReader(blobs, { gunzip })),
        warm: () => readAll(warm),
        zoom: async () => {
          const began = performance.now();
          const range = { from: points / 2, to: points / 2 + points / 20 };
          await Promise.all(
            some.map(({ entries }) =>
              new SeriesReader(blobs, { gunzip }).read({ entries, metric: METRIC, maxPoints: BUCKETS * 2, ...range }),
            ),
          );
          return performance.now() - began;
        },
        scan: () => {
          const began = performance.now();
          for (const one of some) scan(one.steps, one.values);
          return performance.now() - began;
        },
      },
      repeatsFor(smoke),
    );
    const name = `${count} × ${points} points to ${BUCKETS} buckets`;
    const note = 'every extreme kept, asserted';
    rows.push(
      medianRow(measured.cold, { system: 'fieldbook in Node', case: `${name}, cold`, figure: 'read_ms', note }),
      medianRow(measured.warm, { system: 'fieldbook in Node', case: `${name}, warm`, figure: 'read_ms', note }),
      medianRow(measured.zoom, {
        system: 'fieldbook in Node',
        case: `${count} × a twentieth of ${points} points to ${BUCKETS} buckets, cold`,
        figure: 'read_ms',
        note: 'exact: from the points',
      }),
      medianRow(measured.scan, {
        system: 'floor: scan of the columns in memory',
        case: name,
        figure: 'read_ms',
      }),
    );
  }
  return rows;
}

/** Least and greatest value per bucket, nothing else. */
function scan(steps: Float64Array, values: Float64Array): Float64Array {
  const least = new Float64Array(BUCKETS).fill(Infinity);
  const most = new Float64Array(BUCKETS).fill(-Infinity);
  const scale = BUCKETS / (steps.at(-1)! - steps[0]!);
  for (let row = 0; row < steps.length; row++) {
    const bucket = Math.min(BUCKETS - 1, Math.floor((steps[row]! - steps[0]!) * scale));
    const value = values[row]!;
    if (value < least[bucket]!) least[bucket] = value;
    if (value > most[bucket]!) most[bucket] = value;
  }
  return least;
}

/** @throws {Error} when an answer misses a point, a spike, or the place of one */
function check(series: Series, { spikes }: StoredSeries, points: number): void {
  const { buckets, total } = series;
  if (total !== points || buckets === null) throw new Error(`${total} of ${points} points were counted`);
  const counted = buckets.count.reduce((sum, count) => sum + count, 0);
  if (counted !== points) throw new Error(`${counted} of ${points} points are in buckets`);
  for (const { step, value } of spikes) {
    const [extremes, places] = value > 0 ? [buckets.max, buckets.maxX] : [buckets.min, buckets.minX];
    if (!extremes.some((extreme, row) => extreme === value && places[row] === step)) {
      throw new Error(`The spike ${value} at step ${step} is not shown.`);
    }
  }
}

export default bench;
