import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { DeviceId, RunId, WriterId } from '../ids.ts';
import type { BlobDigest } from '../ports.ts';
import type { SegmentEntry } from '../record/index.ts';
import { SeededRandom } from '../testing/random.ts';
import type { PageCompressor } from './compression.ts';
import { BucketGrid, bucketise } from './buckets.ts';
import { PointBuffer } from './points.ts';
import { sealSegment } from './segment.ts';
import type { Series } from './series.ts';
import { SeriesReader } from './series.ts';

const T0 = 1_768_478_400_000;
const RUN = 'run-1' as RunId;
const W1 = '01kf0000000000000000000001' as WriterId;
const W2 = '01kf0000000000000000000002' as WriterId;
const DEVICE = 'd000000000000000000000001' as DeviceId;
const compressor: PageCompressor = {
  gzip: (bytes) => Promise.resolve(new Uint8Array(gzipSync(bytes, { level: 1 }))),
};

/** Columns of one writer in ordinal order. */
interface Log {
  writer: WriterId;
  step: Float64Array;
  time: Float64Array;
  value: Float64Array;
}

/** A noisy curve with spikes, some values that are none, and optionally steps that repeat, jump and go back. */
function curve(seed: number, length: number, writer = W1, unruly = false): Log {
  const random = new SeededRandom(seed);
  const log = {
    writer,
    step: new Float64Array(length),
    time: new Float64Array(length),
    value: new Float64Array(length),
  };
  let step = 0;
  for (let row = 0; row < length; row++) {
    step += unruly && random.chance(0.0005) ? random.int(5_000) : unruly && random.chance(0.1) ? 0 : 1;
    log.step[row] = unruly && random.chance(0.0002) ? random.int(length) : step;
    log.time[row] = T0 + row * 40 + random.int(30);
    log.value[row] = Math.fround(
      random.chance(0.0003)
        ? random.pick([Number.NaN, Infinity, 50, -50]) * random.float()
        : Math.sin(row / 9_000) + random.float() / 5,
    );
  }
  return log;
}

class Blobs {
  readonly held = new Map<BlobDigest, Uint8Array>();
  reads: [BlobDigest, number, number][] = [];

  read(digest: BlobDigest, range?: { start: number; end: number }): Promise<Uint8Array | undefined> {
    const bytes = this.held.get(digest);
    if (bytes !== undefined) this.reads.push([digest, range?.start ?? 0, range?.end ?? bytes.length]);
    return Promise.resolve(bytes?.slice(range?.start, range?.end));
  }

  get bytesRead(): number {
    return this.reads.reduce((sum, [, start, end]) => sum + end - start, 0);
  }

  async seal(log: Log, first = 0, last = log.step.length - 1): Promise<SegmentEntry> {
    const points = new PointBuffer(last - first + 1);
    for (let row = first; row <= last; row++) points.push(0, log.step[row]!, log.value[row]!, log.time[row]!, row);
    const { writer } = log;
    const sealed = await sealSegment({ run: RUN, writer, first, last }, points.from(0), ['loss'], { compressor });
    const digest = `${this.held.size}`.padStart(64, '0') as BlobDigest;
    this.held.set(digest, sealed.bytes);
    const size = sealed.bytes.length;
    const { points: count, startTime, endTime } = sealed;
    const cover = { writer, device: DEVICE, first, last };
    return { kind: 'segment', ...cover, digest, size, points: count, startTime, endTime, levels: [], extra: {} };
  }
}

const reader = (blobs: Blobs): SeriesReader => new SeriesReader(blobs, { gunzip: (bytes) => gunzipSync(bytes) });

/** What the points themselves say, in buckets on the grid of an answer. */
function exact(
  logs: readonly Log[],
  x: 'step' | 'time',
  from: number,
  to: number,
  size: number,
): ReturnType<typeof bucketise> {
  const rows = logs.flatMap((log) => Array.from(log.value, (value, row) => [log[x][row]!, value] as const));
  const inside = rows.filter(([key]) => key >= from && key <= to);
  return bucketise(
    Float64Array.from(inside, ([key]) => key),
    Float64Array.from(inside, ([, value]) => value),
    from,
    to,
    size,
  );
}

/** Holds an answer made of levels against the points: totals, every extreme of a block at its exact x, bounds of what is approximate. */
function hold(series: Series, logs: readonly Log[], x: 'step' | 'time', from: number, to: number): void {
  const buckets = series.buckets!;
  const truth = exact(logs, x, buckets.from, buckets.to, buckets.size);
  const total = truth.count.reduce((sum, count) => sum + count, 0);
  expect(series.total).toBe(total);
  expect(buckets.count.reduce((sum, count) => sum + count, 0)).toBe(total);
  expect(buckets.nonFinite.reduce((a, b) => a + b, 0)).toBe(truth.nonFinite.reduce((a, b) => a + b, 0));
  expect([...buckets.index]).toEqual([...truth.index]);
  expect([buckets.firstX[0], buckets.lastX.at(-1)]).toEqual([truth.firstX[0], truth.lastX.at(-1)]);
  expect(Math.max(...buckets.max.filter(Number.isFinite))).toBe(Math.max(...truth.max.filter(Number.isFinite)));
  expect(Math.min(...buckets.min.filter(Number.isFinite))).toBe(Math.min(...truth.min.filter(Number.isFinite)));
  // Every point that is the extreme of the 2 × factor points around it is the extreme of a block, so some bucket shows it or better.
  const at = new Map(Array.from(buckets.index, (bucket, row) => [bucket, row]));
  const scale = buckets.size / (buckets.to - buckets.from);
  for (const log of logs) {
    const order = Uint32Array.from(log.value.keys()).sort((a, b) => log.step[a]! - log.step[b]! || a - b);
    const { factor } = series;
    let spikes = 0;
    for (let place = 0; place < order.length; place++) {
      const row = order[place]!;
      const y = log.value[row]!;
      const key = log[x][row]!;
      if (!Number.isFinite(y) || Math.abs(y) < 1.5 || key < from || key > to) continue;
      let extreme = true;
      for (
        let near = Math.max(0, place - factor);
        near <= Math.min(order.length - 1, place + factor) && extreme;
        near++
      ) {
        const other = log.value[order[near]!]!;
        if (near !== place && (y > 0 ? other >= y : other <= y)) extreme = false;
      }
      if (!extreme) continue;
      spikes++;
      const bucket = at.get(Math.min(buckets.size - 1, Math.floor((key - buckets.from) * scale)))!;
      if (y > 0) {
        expect(buckets.max[bucket]).toBeGreaterThanOrEqual(y);
        if (buckets.max[bucket] === y) expect(buckets.maxX[bucket]).toBe(key);
      } else {
        expect(buckets.min[bucket]).toBeLessThanOrEqual(y);
        if (buckets.min[bucket] === y) expect(buckets.minX[bucket]).toBe(key);
      }
    }
    expect(spikes).toBeGreaterThan(0);
  }
  // A bucket's extremes are points of the bucket, and never beyond the true ones; counts and means are off by two blocks at most.
  for (let row = 0; row < buckets.index.length; row++) {
    if (buckets.count[row]! > buckets.nonFinite[row]!) {
      expect(buckets.min[row]).toBeGreaterThanOrEqual(truth.min[row]!);
      expect(buckets.max[row]).toBeLessThanOrEqual(truth.max[row]!);
    }
    const blocks = 2 * series.factor * logs.length;
    expect(Math.abs(buckets.count[row]! - truth.count[row]!)).toBeLessThanOrEqual(blocks);
  }
}

describe('zooming', () => {
  it('[SER-13] a block across a border leaves points on both sides, however little of it lies on one', () => {
    // Two points just below 10 and one at 10, where a bucket begins; then nearly all of a block beyond the border.
    for (const [from, to, inLeft] of [
      [9.999, 10, 2],
      [9.999, 19, 1],
      [1, 10, 2],
    ] as const) {
      const grid = new BucketGrid(0, 100, 10);
      const one = (value: number): Float64Array => Float64Array.of(value);
      const block = {
        factor: 64,
        least: from,
        most: to,
        count: Uint16Array.of(3),
        nonFinite: Uint16Array.of(1),
      } as const;
      const ends = { from: one(from), to: one(to), first: one(1), last: one(3), mean: one(2) };
      grid.addBlock({ ...block, ...ends, min: one(1), minX: one(from), max: one(3), maxX: one(to) }, 0);
      const { index, count, min, max, maxX, nonFinite } = grid.buckets();
      expect([...index]).toEqual([0, 1]);
      expect([...count]).toEqual([inLeft, 3 - inLeft]);
      expect([min[0], max[1], maxX[1]]).toEqual([1, 3, to]);
      expect(nonFinite[0]! + nonFinite[1]!).toBe(1);
    }
  });

  it('[SER-13] a wide request is answered from the levels, without the points, and keeps every extreme', async () => {
    const log = curve(1, 300_000);
    const blobs = new Blobs();
    const entry = await blobs.seal(log);
    for (const x of ['step', 'time'] as const) {
      blobs.reads = [];
      const series = await reader(blobs).read({ entries: [entry], metric: 'loss', x, maxPoints: 400 });
      expect(series).toMatchObject({ factor: 64, points: null, missing: [] });
      hold(series, [log], x, -Infinity, Infinity);
      expect(blobs.bytesRead).toBeLessThan(entry.size / 4);
      // One request for both footers, one for the level.
      expect(blobs.reads).toHaveLength(2);
    }
    const coarse = await reader(blobs).read({ entries: [entry], metric: 'loss', maxPoints: 30 });
    expect(coarse.factor).toBe(4096);
    hold(coarse, [log], 'step', -Infinity, Infinity);
  });

  it('[SER-13] holds for steps that repeat, jump and go back, and for a range', async () => {
    const log = curve(2, 300_000, W1, true);
    const blobs = new Blobs();
    const entry = await blobs.seal(log);
    for (const x of ['step', 'time'] as const) {
      const [from, to] = x === 'step' ? [20_123, 260_789] : [T0 + 1_234_567, T0 + 10_000_000];
      const series = await reader(blobs).read({ entries: [entry], metric: 'loss', x, from, to, maxPoints: 300 });
      expect(series.factor).toBe(64);
      hold(series, [log], x, from, to);
    }
  });

  it('[SER-14] a zoomed request reads the row groups that its range touches, and is exact', async () => {
    const log = curve(3, 300_000);
    const blobs = new Blobs();
    const entry = await blobs.seal(log);
    const one = reader(blobs);
    await one.read({ entries: [entry], metric: 'loss', maxPoints: 400 });
    blobs.reads = [];
    const zoomed = await one.read({ entries: [entry], metric: 'loss', from: 150_000, to: 150_999, maxPoints: 400 });
    expect(zoomed).toMatchObject({ factor: 1, total: 1_000 });
    const truth = exact([log], 'step', 150_000, 150_999, 200);
    expect(zoomed.buckets).toEqual(truth);
    expect(blobs.bytesRead).toBeLessThan(entry.size / 5);
    const points = await one.read({ entries: [entry], metric: 'loss', from: 150_000, to: 150_099, maxPoints: 400 });
    expect(points.points!.values).toEqual(log.value.slice(150_000 - 1, 150_099));
    expect(points.points!.times).toEqual(log.time.slice(150_000 - 1, 150_099));
    // What was decoded for one request serves the next.
    blobs.reads = [];
    await one.read({ entries: [entry], metric: 'loss', from: 150_200, to: 150_300, maxPoints: 400 });
    expect(blobs.reads).toEqual([]);
  });

  it('[SER-15] several writers, many segments and what two devices sealed alike are one series', async () => {
    const logs = [curve(4, 150_000, W1), curve(5, 120_000, W2)];
    const blobs = new Blobs();
    const entries: SegmentEntry[] = [];
    for (let first = 0; first < 150_000; first += 30_000)
      entries.push(await blobs.seal(logs[0]!, first, first + 29_999));
    entries.push(await blobs.seal(logs[1]!));
    const other = { device: 'd000000000000000000000002' as DeviceId };
    // The other device sealed the same journal elsewhere: only part of this one is used.
    entries.push({ ...(await blobs.seal(logs[0]!, 100_000, 149_999)), ...other });
    entries.push({ ...(await blobs.seal(logs[0]!, 0, 9_999)), ...other });
    for (const x of ['step', 'time'] as const) {
      const series = await reader(blobs).read({ entries, metric: 'loss', x, maxPoints: 200 });
      expect(series.factor).toBe(64);
      hold(series, logs, x, -Infinity, Infinity);
    }
    blobs.reads = [];
    await reader(blobs).read({ entries: entries.slice(0, 5), metric: 'loss', from: 0, to: 30_000, maxPoints: 100 });
    // Of the segments beside the range the footer is read and nothing else.
    const rest = new Set(entries.slice(2, 5).map(({ digest }) => digest));
    expect(blobs.reads.filter(([digest]) => rest.has(digest))).toHaveLength(3);
    blobs.held.delete(entries[2]!.digest);
    const less = await reader(blobs).read({ entries, metric: 'loss', maxPoints: 200 });
    expect(less.missing).toMatchObject([{ first: 60_000, last: 89_999 }]);
    expect(less.total).toBe(240_000);
  });

  it('[SER-13] reads points where the levels are too coarse for a stretch of the axis', async () => {
    const length = 200_000;
    const log = curve(6, length);
    // Half of the axis has a hundredth of the points.
    for (let row = 0; row < length; row++) log.step[row] = row < 2_000 ? row * 100 : 200_000 + row;
    const blobs = new Blobs();
    const series = await reader(blobs).read({ entries: [await blobs.seal(log)], metric: 'loss', maxPoints: 400 });
    expect(series.factor).toBe(64);
    const truth = exact([log], 'step', series.buckets!.from, series.buckets!.to, 200);
    const sparse = truth.index.findIndex((bucket) => bucket >= 95);
    for (const column of ['count', 'min', 'max', 'first', 'last'] as const)
      expect(series.buckets![column].slice(0, sparse - 1)).toEqual(truth[column].slice(0, sparse - 1));
    hold(series, [log], 'step', -Infinity, Infinity);
  });

  it('[SER-7] broken levels make a segment corrupt, not the request', async () => {
    const log = curve(7, 100_000);
    const blobs = new Blobs();
    const entries = [await blobs.seal(log, 0, 49_999), await blobs.seal(log, 50_000, 99_999)];
    const bytes = blobs.held.get(entries[0]!.digest)!;
    const text = Buffer.from(bytes).toString('latin1');
    const [start, end] = /fieldbook\.levels.{1,3}\[(\d+),(\d+)\]/s.exec(text)!.slice(1).map(Number) as [number, number];
    bytes.fill(0xff, start, end - 100);
    const series = await reader(blobs).read({ entries, metric: 'loss', maxPoints: 100 });
    expect(series.corrupt).toMatchObject([{ first: 0, last: 49_999 }]);
    expect(series.total).toBe(50_000);
  });

  it('[SER-16] keeps no more than its bounds, however much is asked', async () => {
    const blobs = new Blobs();
    const entries: SegmentEntry[] = [];
    for (let seed = 1; seed <= 6; seed++)
      entries.push(await blobs.seal(curve(seed, 40_000, `01kf000000000000000000000${seed}` as WriterId)));
    const cacheBytes = 400_000;
    const one = new SeriesReader(blobs, { cacheBytes });
    for (const entry of entries) {
      await one.read({ entries: [entry], metric: 'loss', maxPoints: 20 });
      for (let from = 0; from < 40_000; from += 8_000)
        await one.read({ entries: [entry], metric: 'loss', from, to: from + 100, maxPoints: 20 });
      const { columns, levels, footers } = one.bytes;
      expect(columns).toBeLessThanOrEqual(cacheBytes * 0.2 + 1);
      expect(levels).toBeLessThanOrEqual(cacheBytes * 0.8);
      expect(columns + levels).toBeGreaterThan(0);
      expect(footers).toBeLessThan(64 * 1024 * 1024);
    }
  });
});
