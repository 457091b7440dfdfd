import { describe, expect, it } from 'vitest';
import { parquetReadObjects } from 'hyparquet';
import type { RunId, WriterId } from '../ids.ts';
import { SeededRandom } from '../testing/random.ts';
import { PointBuffer } from './points.ts';
import { readSegment, segmentOf } from './segment-reader.ts';
import { rowGroups, sealSegment } from './segment.ts';

const T0 = 1_768_478_400_000;
const header = { run: 'run-1' as RunId, writer: '01kf0000000000000000000000' as WriterId, first: 0, last: 99 };

function buffer(
  points: readonly (readonly [metric: number, step: number, value: number, ordinal: number])[],
): PointBuffer {
  const result = new PointBuffer(2);
  for (const [metric, step, value, ordinal] of points) result.push(metric, step, value, T0 + ordinal, ordinal);
  return result;
}

describe('a segment', () => {
  it('[SER-1] gives back every point bit for bit, sorted by metric, then step, then ordinal', async () => {
    const points = buffer([
      [1, 5, 0.1, 1],
      [0, 3, -0, 2],
      [1, 2, Number.NaN, 3],
      [1, 5, Infinity, 4],
      [1, 5, -Infinity, 5],
      [0, 0.5, 1e-300, 6],
      [1, -7, Number.MAX_VALUE, 2 ** 31 + 7],
    ]);
    const sealed = await sealSegment(header, points.from(0), ['b', 'a/loss']);
    expect(sealed).toMatchObject({ points: 7, startTime: T0 + 1, endTime: T0 + 2 ** 31 + 7 });
    expect(await readSegment(sealed.bytes, 'a/loss')).toEqual({
      step: Float64Array.of(-7, 2, 5, 5, 5),
      time: Float64Array.of(T0 + 2 ** 31 + 7, T0 + 3, T0 + 1, T0 + 4, T0 + 5),
      value: Float64Array.of(Number.MAX_VALUE, Number.NaN, 0.1, Infinity, -Infinity),
      ordinal: Float64Array.of(2 ** 31 + 7, 3, 1, 4, 5),
    });
    const b = await readSegment(sealed.bytes, 'b');
    expect(b?.step).toEqual(Float64Array.of(0.5, 3));
    expect(Object.is(b?.value[1], -0)).toBe(true);
    expect(await readSegment(sealed.bytes, 'absent')).toBeNull();
  });

  it('[SER-1] holds any mix of metrics over many row groups', async () => {
    const random = new SeededRandom(7);
    const points = new PointBuffer();
    const sizes = [3, 20_000, 70_000, 1, 17_000, 500];
    const expected: number[][] = sizes.map(() => []);
    const left = sizes.slice();
    for (let ordinal = 0; left.some((count) => count > 0); ordinal++) {
      const metric = random.int(sizes.length);
      if (left[metric] === 0) continue;
      left[metric]!--;
      const value = random.float();
      points.push(metric, expected[metric]!.length, value, T0 + ordinal, ordinal);
      expected[metric]!.push(value);
    }
    let pauses = 0;
    const names = ['m0', 'm1', 'm2', 'm3', 'm4', 'm5'];
    const sealed = await sealSegment(header, points.from(0), names, { pause: async () => void pauses++ });
    expect(pauses).toBeGreaterThan(3);
    const segment = await segmentOf(sealed.bytes);
    for (const [metric, name] of names.entries()) {
      const columns = await segment.read(name);
      expect(columns?.ordinal).toBeNull();
      expect(columns?.value).toEqual(Float64Array.from(expected[metric]!));
      expect(columns?.step).toEqual(Float64Array.from(expected[metric]!, (_, index) => index));
    }
  });

  it('[SER-2] is a Parquet file that other readers understand', async () => {
    const sealed = await sealSegment(
      header,
      buffer([
        [1, 5, 0.5, 1],
        [0, 3, 1, 2],
      ]).from(0),
      ['z', 'größe/🙂'],
    );
    const rows = await parquetReadObjects({ file: sealed.bytes.slice().buffer });
    expect(rows).toEqual([
      { metric: 'größe/🙂', step: 5, time: BigInt(T0 + 1), value: 0.5, ordinal: 1n },
      { metric: 'z', step: 3, time: BigInt(T0 + 2), value: 1, ordinal: 2n },
    ]);
  });

  it('[SER-3] reads one metric without decoding the others', async () => {
    const points = new PointBuffer();
    for (let ordinal = 0; ordinal < 20_000; ordinal++) {
      for (let metric = 0; metric < 10; metric++)
        points.push(metric, ordinal, Math.sin(ordinal * metric), T0 + ordinal, ordinal);
    }
    const sealed = await sealSegment(
      header,
      points.from(0),
      Array.from({ length: 10 }, (_, index) => `m${index}`),
    );
    let read = 0;
    const { Segment, openSegment } = await import('./segment-reader.ts');
    const segment = await openSegment({
      size: sealed.bytes.length,
      read: async (start, end) => ((read += end - start), sealed.bytes.subarray(start, end)),
    });
    expect(segment).toBeInstanceOf(Segment);
    read = 0;
    await segment.read('m4');
    expect(read).toBeLessThan(sealed.bytes.length / 5);
  });

  it('[SER-4] that is broken anywhere is refused with segment_corrupt or read, never anything else', async () => {
    const random = new SeededRandom(11);
    const points = buffer(
      Array.from({ length: 200 }, (_, index) => [index % 3, index, Math.sin(index), index] as const),
    );
    const { bytes } = await sealSegment(header, points.from(0), ['a', 'b', 'c']);
    let refused = 0;
    for (let round = 0; round < 300; round++) {
      const broken = round % 3 === 0 ? bytes.slice(0, random.int(bytes.length)) : bytes.slice();
      for (let flips = 1 + random.int(4); flips > 0 && broken.length > 0; flips--) {
        const at = random.chance(0.5)
          ? random.int(broken.length)
          : broken.length - 1 - random.int(Math.min(600, broken.length));
        broken[at]! ^= 1 << random.int(8);
      }
      await readSegment(broken, 'b').catch((error: { code?: string }) => {
        refused++;
        expect(error.code).toBe('segment_corrupt');
      });
    }
    expect(refused).toBeGreaterThan(100);
  });

  it('[SER-3] cuts row groups at metrics', () => {
    expect(rowGroups([10, 20, 30])).toEqual([60]);
    expect(rowGroups([10_000, 10_000, 10_000])).toEqual([20_000, 10_000]);
    expect(rowGroups([10, 30_000, 10])).toEqual([10, 30_000, 10]);
    expect(rowGroups([300_000])).toEqual([...new Array<number>(9).fill(32_768), 5_088]);
    expect(rowGroups([])).toEqual([]);
  });
});
