import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { DeviceId, RunId, WriterId } from '../ids.ts';
import type { BlobDigest } from '../ports.ts';
import type { Entry, SegmentEntry, TailEntry } from '../record/index.ts';
import { SeededRandom } from '../testing/random.ts';
import { PointBuffer } from './points.ts';
import { sealSegment } from './segment.ts';
import { SeriesReader } from './series.ts';

const T0 = 1_768_478_400_000;
const RUN = 'run-1' as RunId;
const W1 = '01kf0000000000000000000001' as WriterId;
const W2 = '01kf0000000000000000000002' as WriterId;
const D1 = 'd000000000000000000000001' as DeviceId;
const D2 = 'd000000000000000000000002' as DeviceId;

interface Point {
  metric: number;
  step: number;
  value: number;
  ordinal: number;
}

class Blobs {
  readonly held = new Map<BlobDigest, Uint8Array>();
  reads = 0;

  async read(digest: BlobDigest, range?: { start: number; end: number }): Promise<Uint8Array | undefined> {
    this.reads++;
    return this.held.get(digest)?.slice(range?.start, range?.end);
  }
}

const NAMES = ['loss', 'acc'];

async function segment(
  blobs: Blobs,
  points: readonly Point[],
  first: number,
  last: number,
  writer = W1,
  device = D1,
): Promise<SegmentEntry> {
  const buffer = new PointBuffer();
  for (const { metric, step, value, ordinal } of points) {
    if (ordinal >= first && ordinal <= last) buffer.push(metric, step, value, T0 + ordinal * 10, ordinal);
  }
  const sealed = await sealSegment({ run: RUN, writer, first, last }, buffer.from(0), NAMES);
  const digest = createHash('sha256').update(sealed.bytes).digest('hex') as BlobDigest;
  blobs.held.set(digest, sealed.bytes);
  const { points: count, startTime, endTime } = sealed;
  return {
    kind: 'segment',
    writer,
    device,
    first,
    last,
    digest,
    size: sealed.bytes.length,
    points: count,
    startTime,
    endTime,
    levels: [],
    extra: {},
  };
}

function tail(points: readonly Point[], first: number, last: number, writer = W1, device = D1): TailEntry {
  const inside = points.filter(({ ordinal }) => ordinal >= first && ordinal <= last);
  return {
    kind: 'tail',
    writer,
    device,
    first,
    last,
    names: NAMES,
    metric: Uint16Array.from(inside, (point) => point.metric),
    step: Float64Array.from(inside, (point) => point.step),
    value: Float64Array.from(inside, (point) => point.value),
    time: Float64Array.from(inside, (point) => T0 + point.ordinal * 10),
    ordinal: Float64Array.from(inside, (point) => point.ordinal),
    extra: {},
  };
}

/** Two metrics, steps in every order and repeated, all kinds of values; one record per ordinal. */
function history(seed: number, length: number): Point[] {
  const random = new SeededRandom(seed);
  return Array.from({ length: length * 2 }, (_, index) => ({
    metric: index % 2,
    step: random.chance(0.1) ? random.int(length) : index >> 1,
    value: random.pick([random.float(), random.float(), random.float(), Number.NaN, Infinity, -0]),
    ordinal: index >> 1,
  }));
}

function expected(points: readonly Point[], metric: number): [number, number, number][] {
  return points
    .filter((point) => point.metric === metric)
    .map((point): [number, number, number] => [point.step, point.ordinal, point.value])
    .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
}

async function read(blobs: Blobs, entries: Entry[], metric = 'loss'): Promise<[number, number, number][]> {
  const { points } = await new SeriesReader(blobs).read({ entries, metric, identities: true });
  return Array.from(points!.steps, (step, index) => [step, points!.ordinals![index]!, points!.values[index]!]);
}

describe('a series', () => {
  it('[SER-5] holds every point once, whatever two devices sealed, left in tails or both', async () => {
    for (let seed = 1; seed <= 25; seed++) {
      const random = new SeededRandom(seed);
      const points = history(seed, 60);
      const blobs = new Blobs();
      const entries: Entry[] = [];
      for (const device of [D1, D2]) {
        for (let first = 0; first < 60;) {
          const last = Math.min(59, first + random.int(20));
          entries.push(
            random.chance(0.3)
              ? tail(points, first, last, W1, device)
              : await segment(blobs, points, first, last, W1, device),
          );
          first = last + 1;
        }
      }
      expect(await read(blobs, random.shuffle(entries)), `seed ${seed}`).toEqual(expected(points, 0));
      expect(await read(blobs, random.shuffle(entries), 'acc'), `seed ${seed}`).toEqual(expected(points, 1));
    }
  });

  it('[SER-6] merges writers by step, keeping repeated and unordered steps', async () => {
    const blobs = new Blobs();
    const first = [0, 2, 1, 2].map((step, ordinal) => ({ metric: 0, step, value: ordinal, ordinal }));
    const second = [1, 2, 9].map((step, ordinal) => ({ metric: 0, step, value: 100 + ordinal, ordinal }));
    const entries = [tail(second, 0, 2, W2), await segment(blobs, first, 0, 3)];
    const { points, total } = await new SeriesReader(blobs).read({ entries, metric: 'loss', identities: true });
    expect(total).toBe(7);
    expect([...points!.steps]).toEqual([0, 1, 1, 2, 2, 2, 9]);
    expect([...points!.values]).toEqual([0, 2, 100, 1, 3, 101, 102]);
    expect(points!.writers).toEqual([W1, W2]);
    expect([...points!.writer!]).toEqual([0, 0, 1, 0, 0, 1, 1]);
  });

  it('[SER-7] says which points are elsewhere, unless another source has them', async () => {
    const points = history(3, 30);
    const blobs = new Blobs();
    const gone = await segment(blobs, points, 0, 19);
    blobs.held.delete(gone.digest);
    const here = await segment(blobs, points, 5, 9, W1, D2);
    const entries = [gone, here, tail(points, 20, 29)];
    const series = await new SeriesReader(blobs).read({ entries, metric: 'loss', identities: true });
    expect(series.missing.map(({ first, last, digest }) => [first, last, digest])).toEqual([
      [0, 4, gone.digest],
      [10, 19, gone.digest],
    ]);
    const kept = points.filter(({ ordinal }) => (ordinal >= 5 && ordinal <= 9) || ordinal >= 20);
    expect([...series.points!.ordinals!].sort((a, b) => a - b)).toEqual(
      kept.filter((p) => p.metric === 0).map((p) => p.ordinal),
    );
    entries.push(await segment(blobs, points, 0, 4, W1, D2), await segment(blobs, points, 10, 19, W1, D2));
    const whole = await new SeriesReader(blobs).read({ entries, metric: 'loss' });
    expect([whole.total, whole.missing]).toEqual([30, []]);
  });

  it('[SER-7] reports a broken segment and still gives the rest', async () => {
    const points = history(4, 20);
    const blobs = new Blobs();
    const broken = await segment(blobs, points, 0, 9);
    blobs.held.get(broken.digest)!.fill(0xff);
    const series = await new SeriesReader(blobs).read({
      entries: [broken, await segment(blobs, points, 10, 19)],
      metric: 'loss',
    });
    expect(series.corrupt.map(({ first, last }) => [first, last])).toEqual([[0, 9]]);
    expect(series.total).toBe(10);
  });

  it('[SER-8] shows every extreme when it comes as buckets', async () => {
    const points: Point[] = Array.from({ length: 5000 }, (_, step) => ({
      metric: 0,
      step,
      value: Math.sin(step / 50),
      ordinal: step,
    }));
    points[1234]!.value = 50;
    points[4321]!.value = -60;
    points[17]!.value = Number.NaN;
    const blobs = new Blobs();
    const entries = [await segment(blobs, points, 0, 2999), tail(points, 3000, 4999)];
    const {
      buckets,
      points: raw,
      total,
    } = await new SeriesReader(blobs).read({ entries, metric: 'loss', maxPoints: 200 });
    expect([raw, total, buckets!.size]).toEqual([null, 5000, 100]);
    expect(buckets!.count.reduce((sum, count) => sum + count, 0)).toBe(5000);
    expect([Math.max(...buckets!.max), buckets!.maxX[buckets!.max.indexOf(50)]]).toEqual([50, 1234]);
    expect([Math.min(...buckets!.min), buckets!.minX[buckets!.min.indexOf(-60)]]).toEqual([-60, 4321]);
    expect(buckets!.nonFinite.reduce((sum, count) => sum + count, 0)).toBe(1);
    expect([buckets!.firstX[0], buckets!.lastX.at(-1)]).toEqual([0, 4999]);
  });

  it('[SER-8] draws on the grid of the range asked for', async () => {
    const points: Point[] = Array.from({ length: 100 }, (_, step) => ({ metric: 0, step, value: step, ordinal: step }));
    const { buckets, total } = await new SeriesReader(new Blobs()).read({
      entries: [tail(points, 0, 99)],
      metric: 'loss',
      from: 50,
      to: 149,
      maxPoints: 20,
    });
    expect(total).toBe(50);
    expect([buckets!.from, buckets!.to, buckets!.size]).toEqual([50, 149, 10]);
    expect([...buckets!.index]).toEqual([0, 1, 2, 3, 4]);
  });

  it('[SER-6] reads by time and within a range', async () => {
    const points: Point[] = [5, 4, 3, 2, 1].map((step, ordinal) => ({ metric: 0, step, value: step, ordinal }));
    const series = await new SeriesReader(new Blobs()).read({
      entries: [tail(points, 0, 4)],
      metric: 'loss',
      x: 'time',
      from: T0 + 10,
      to: T0 + 30,
    });
    expect([...series.points!.steps]).toEqual([4, 3, 2]);
    expect([...series.points!.times]).toEqual([T0 + 10, T0 + 20, T0 + 30]);
  });

  it('[SER-9] reads a segment once for requests that come together, and not again while it is cached', async () => {
    const blobs = new Blobs();
    const entries = [await segment(blobs, history(5, 50), 0, 49)];
    const reader = new SeriesReader(blobs);
    await Promise.all([1, 2, 3].map(() => reader.read({ entries, metric: 'loss' })));
    const reads = blobs.reads;
    await reader.read({ entries, metric: 'loss', maxPoints: 10 });
    expect(blobs.reads).toBe(reads);
    expect(await reader.metrics(entries)).toEqual(['acc', 'loss']);
  });

  it('[SER-9] keeps no more decoded bytes than it was allowed', async () => {
    const blobs = new Blobs();
    const points = history(6, 400);
    const entries = await Promise.all([0, 100, 200, 300].map((first) => segment(blobs, points, first, first + 99)));
    const cacheBytes = 5 * (100 * 24 + 300);
    const reader = new SeriesReader(blobs, { cacheBytes });
    await reader.read({ entries, metric: 'loss' });
    expect((await reader.read({ entries, metric: 'loss' })).total).toBe(400);
    expect(reader.bytes.columns).toBeGreaterThan(100 * 24);
    expect(reader.bytes.columns).toBeLessThanOrEqual(cacheBytes / 5);
  });

  it('[SER-10] refuses ranges and numbers of points that make no sense', async () => {
    const reader = new SeriesReader(new Blobs());
    for (const bad of [
      { from: 2, to: 1 },
      { from: Number.NaN },
      { maxPoints: 1 },
      { maxPoints: Number.NaN },
      { maxPoints: 1e9 },
    ]) {
      await expect(reader.read({ entries: [], metric: 'loss', ...bad })).rejects.toMatchObject({
        code: 'invalid_argument',
      });
    }
    expect(await reader.read({ entries: [], metric: 'loss', maxPoints: 100 })).toMatchObject({ total: 0, missing: [] });
  });
});
