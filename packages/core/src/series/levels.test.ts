import { gzipSync } from 'node:zlib';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { describe, expect, it } from 'vitest';
import type { RunId, WriterId } from '../ids.ts';
import { SeededRandom } from '../testing/random.ts';
import type { PageCompressor } from './compression.ts';
import { LEVEL_POINTS } from './levels.ts';
import { mergeSegments } from './merge-segments.ts';
import { PointBuffer } from './points.ts';
import { readSegment, segmentOf } from './segment-reader.ts';
import { sealSegment } from './segment.ts';

const T0 = 1_768_478_400_000;
const RUN = 'run-1' as RunId;
const WRITER = '01kf0000000000000000000001' as WriterId;
const compressor: PageCompressor = { gzip: (bytes) => Promise.resolve(new Uint8Array(gzipSync(bytes))) };
const cover = (first: number, last: number) => ({ run: RUN, writer: WRITER, first, last });

/** Steps out of order and repeated, values of every kind. */
function noisy(seed: number, count: number, metrics = 1): PointBuffer {
  const random = new SeededRandom(seed);
  const points = new PointBuffer(count * metrics);
  for (let ordinal = 0; ordinal < count; ordinal++) {
    const step = random.chance(0.01) ? random.int(count) : ordinal / 2;
    for (let metric = 0; metric < metrics; metric++) {
      const value = random.chance(0.02) ? random.pick([Number.NaN, Infinity, -Infinity, -0]) : random.float() - 0.5;
      points.push(metric, step, value, T0 + ordinal * 37 + random.int(20), ordinal);
    }
  }
  return points;
}

describe('columns', () => {
  it('[SER-11] stores float32 as FLOAT and few values by dictionary, and gives back every bit', async () => {
    const special = [0, -0, Number.NaN, Infinity, -Infinity, 1, -1];
    const kinds: [string, (index: number, random: SeededRandom) => number, string, string][] = [
      ['float32', (_, random) => Math.fround(random.float()), 'FLOAT', 'BYTE_STREAM_SPLIT'],
      ['4 decimals', (_, random) => Math.round(random.float() * 1000) / 1e4, 'DOUBLE', 'RLE_DICTIONARY'],
      ['double', (_, random) => random.float(), 'DOUBLE', 'BYTE_STREAM_SPLIT'],
      ['special', (index) => special[index % special.length]!, 'FLOAT', 'RLE_DICTIONARY'],
      ['constant', () => 0.1, 'DOUBLE', 'RLE_DICTIONARY'],
      ['denormal', (index) => (index % 2 === 0 ? 5e-324 : 1), 'DOUBLE', 'RLE_DICTIONARY'],
    ];
    for (const [name, make, type, encoding] of kinds) {
      const random = new SeededRandom(3);
      const points = new PointBuffer();
      for (let ordinal = 0; ordinal < 9_000; ordinal++)
        points.push(0, ordinal, make(ordinal, random), T0 + ordinal, ordinal);
      for (const port of [compressor, undefined]) {
        const { bytes } = await sealSegment(cover(0, 8_999), points.from(0), [name], { compressor: port });
        const { parquetMetadata } = await import('hyparquet');
        const chunk = parquetMetadata(bytes.slice().buffer).row_groups[0]!.columns[3]!.meta_data!;
        expect([name, chunk.type, chunk.encodings.at(-1)]).toEqual([name, type, encoding]);
        const read = (await readSegment(bytes, name))!;
        for (let row = 0; row < 9_000; row++) {
          if (!Object.is(read.value[row], points.value[row]))
            expect([name, row, read.value[row]]).toEqual([name, row, points.value[row]]);
        }
        expect(read.step).toEqual(points.from(0).step);
        expect(read.time).toEqual(points.from(0).time);
        expect(read.ordinal).toEqual(points.from(0).ordinal);
        // Another reader than ours agrees.
        const rows = await parquetReadObjects({
          file: bytes.slice().buffer,
          compressors,
          rowStart: 32_000,
          rowEnd: 32_100,
        });
        rows.forEach((row, index) => expect(Object.is(row['value'], points.value[8_000 + index])).toBe(true));
      }
    }
  });

  it('[SER-11] keeps times and steps of any size', async () => {
    const times = [T0, -T0, 2 ** 52, 0.5, T0 + 1, 1e300];
    for (const some of [times.slice(0, 2), times]) {
      const points = new PointBuffer();
      some.forEach((time, ordinal) => points.push(0, time, ordinal, time, ordinal * 2 ** 40));
      const { bytes } = await sealSegment(cover(0, 2 ** 43), points.from(0), ['a'], { compressor });
      const read = (await readSegment(bytes, 'a'))!;
      const order = some.map((_, row) => row).sort((a, b) => some[a]! - some[b]!);
      expect([...read.time]).toEqual(order.map((row) => some[row]));
      expect([...read.step]).toEqual(order.map((row) => some[row]));
      expect([...read.ordinal!]).toEqual(order.map((row) => row * 2 ** 40));
    }
  });
});

describe('levels', () => {
  it('[SER-12] say of each block what its points amount to', async () => {
    for (const [seed, count] of [
      [1, 20_000],
      [2, 70_001],
    ] as const) {
      const points = noisy(seed, count, 2);
      const sealed = await sealSegment(cover(0, count - 1), points.from(0), ['a', 'b'], { compressor });
      const segment = await segmentOf(sealed.bytes);
      const levels = (await segment.levels())!;
      for (const metric of ['a', 'b']) {
        const rows = (await segment.read(metric))!;
        for (const factor of [64, 4096] as const) {
          expect(levels.has(factor, metric)).toBe(true);
          for (const x of ['step', 'time'] as const) {
            const blocks = (await levels.read(factor, metric, x))!;
            expect(blocks.count.length).toBe(Math.ceil(count / factor));
            for (let block = 0; block < blocks.count.length; block++) {
              const [from, to] = [block * factor, Math.min(count, (block + 1) * factor)];
              const values = rows.value.subarray(from, to);
              const keys = rows[x].subarray(from, to);
              const finite = [...values].filter(Number.isFinite);
              const at = (value: number): number => keys[values.indexOf(value)]!;
              const [min, max] = [Math.min(...finite), Math.max(...finite)];
              const got = [blocks.count[block], blocks.nonFinite[block], blocks.from[block], blocks.to[block]];
              expect(got).toEqual([to - from, to - from - finite.length, Math.min(...keys), Math.max(...keys)]);
              expect([blocks.min[block], blocks.max[block]]).toEqual([min, max]);
              expect([blocks.minX[block], blocks.maxX[block]]).toEqual([at(min), at(max)]);
              expect([blocks.first[block], blocks.last[block]]).toEqual([values[0], values.at(-1)]);
              const mean = finite.reduce((sum, value) => sum + value, 0) / finite.length;
              expect(Math.abs(blocks.mean[block]! - mean)).toBeLessThan(1e-6);
            }
          }
        }
      }
    }
  });

  it('[SER-12] are a Parquet file inside the segment; small metrics and small segments have none', async () => {
    const points = noisy(4, LEVEL_POINTS);
    for (let ordinal = 0; ordinal < 100; ordinal++) points.push(1, ordinal, 1, T0, LEVEL_POINTS + ordinal);
    const sealed = await sealSegment(cover(0, LEVEL_POINTS + 99), points.from(0), ['big', 'small'], { compressor });
    const { parquetMetadata } = await import('hyparquet');
    const keys = new Map(
      parquetMetadata(sealed.bytes.slice().buffer).key_value_metadata!.map(({ key, value }) => [key, value!]),
    );
    const [start, end] = JSON.parse(keys.get('fieldbook.levels')!) as [number, number];
    expect(end - start).toBe(sealed.levelBytes);
    const rows = await parquetReadObjects({ file: sealed.bytes.slice(start, end).buffer, compressors });
    expect(new Set(rows.map((row) => row['metric']))).toEqual(new Set(['big']));
    expect(rows).toHaveLength(LEVEL_POINTS / 64);
    expect(rows.reduce((sum, row) => sum + Number(row['count']), 0)).toBe(LEVEL_POINTS);
    const few = await sealSegment(cover(0, 99), noisy(5, 100).from(0), ['a'], { compressor });
    expect(few.levelBytes).toBe(0);
    expect(await (await segmentOf(few.bytes)).levels()).toBeNull();
  });

  it('[SER-17] ten thousand metrics cost a few bytes each', async () => {
    const points = new PointBuffer();
    const names = Array.from({ length: 10_000 }, (_, metric) => `layers/${metric % 100}/block-${metric}/grad_norm`);
    for (let ordinal = 0; ordinal < 3; ordinal++)
      for (let metric = 0; metric < names.length; metric++)
        points.push(metric, ordinal, metric + ordinal, T0 + ordinal, ordinal);
    const sealed = await sealSegment(cover(0, 2), points.from(0), names, { compressor });
    const footer = new DataView(sealed.bytes.buffer).getUint32(sealed.bytes.length - 8, true);
    expect(footer / names.length).toBeLessThan(8);
    const segment = await segmentOf(sealed.bytes);
    expect(segment.metrics.size).toBe(10_000);
    expect([...(await segment.read(names[7_777]!))!.value]).toEqual([7_777, 7_778, 7_779]);
  });

  it('[SER-18] merging gives what sealing all at once would have given', async () => {
    const points = noisy(6, 30_000, 3);
    const names = ['b', 'a', 'c'];
    const whole = await sealSegment(cover(0, 29_999), points.from(0), names, { compressor });
    const parts: Uint8Array[] = [];
    for (let first = 0; first < 30_000; first += 7_500) {
      const part = new PointBuffer();
      for (let row = first * 3; row < (first + 7_500) * 3; row++)
        part.push(points.metric[row]!, points.step[row]!, points.value[row]!, points.time[row]!, points.ordinal[row]!);
      // One of them as an agent without compression would have sealed it.
      const options = first === 0 ? {} : { compressor };
      parts.push((await sealSegment(cover(first, first + 7_499), part.from(0), names, options)).bytes);
    }
    const merged = await mergeSegments(cover(0, 29_999), parts, { compressor });
    expect(Buffer.from(merged.bytes).equals(whole.bytes)).toBe(true);
    expect(merged).toMatchObject({ points: 90_000, startTime: whole.startTime, endTime: whole.endTime });
    await expect(mergeSegments(cover(0, 29_999), parts.slice(1), { compressor })).rejects.toMatchObject({
      code: 'segment_corrupt',
    });
    const gap = [parts[0]!, parts[2]!];
    await expect(mergeSegments(cover(0, 22_499), gap, { compressor })).rejects.toMatchObject({
      code: 'segment_corrupt',
    });
  });

  it('[SER-4] broken levels are refused with segment_corrupt or read, never anything else', async () => {
    const random = new SeededRandom(9);
    const sealed = await sealSegment(cover(0, 9_999), noisy(7, 10_000).from(0), ['a'], { compressor });
    let refused = 0;
    for (let round = 0; round < 200; round++) {
      const broken = sealed.bytes.slice();
      const start = broken.length - sealed.levelBytes - 2_000;
      for (let flips = 1 + random.int(3); flips > 0; flips--)
        broken[start + random.int(broken.length - start)]! ^= 1 << random.int(8);
      await segmentOf(broken)
        .then(async (segment) => await (await segment.levels())?.read(64, 'a', 'step'))
        .catch((error: { code?: string }) => {
          refused++;
          expect(error.code).toBe('segment_corrupt');
        });
    }
    expect(refused).toBeGreaterThan(20);
  });
});
