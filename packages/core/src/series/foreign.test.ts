import { ByteWriter } from 'hyparquet-writer/src/bytewriter.js';
import { writeMetadata } from 'hyparquet-writer/src/metadata.js';
import { describe, expect, it } from 'vitest';
import type { RunId, WriterId } from '../ids.ts';
import { ObjectSegment } from '../objects/segment.ts';
import { portableGunzip } from './compression.ts';
import { unpackDirectory } from './directory.ts';
import { buildLevels, Levels } from './levels.ts';
import type { ParquetFile } from './parquet-reader.ts';
import { openParquet } from './parquet-reader.ts';
import { ParquetWriter } from './parquet-writer.ts';
import { PointBuffer } from './points.ts';
import { readSegment, segmentOf } from './segment-reader.ts';
import { sealSegment } from './segment.ts';
import { checkThrift } from './thrift.ts';

const MAGIC = [0x50, 0x41, 0x52, 0x31];

function varint(value: number): number[] {
  const bytes = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return [...bytes, rest];
}

/** A Parquet file that is nothing but this footer. */
function fileOf(footer: ArrayLike<number>): Uint8Array {
  const file = new Uint8Array(footer.length + 12);
  file.set(MAGIC);
  file.set(footer, 4);
  new DataView(file.buffer).setUint32(footer.length + 4, footer.length, true);
  file.set(MAGIC, footer.length + 8);
  return file;
}

/** Footers that would end a process or hold it for minutes if they were decoded as they say. */
const BOMBS: Record<string, Uint8Array> = {
  'arrays of thirty million elements inside each other': Uint8Array.from([
    0x19,
    ...Array.from({ length: 12 }, () => [0xf9, ...varint(30_000_000)]).flat(),
  ]),
  'an array of more elements than there are bytes': Uint8Array.from([0x19, 0xfc, ...varint(2 ** 31 - 1), 0, 0, 0]),
  'a number of 300,000 bytes': new Uint8Array(300_000).fill(0xff).with(0, 0x16),
  'structs inside each other': new Uint8Array(200_000).fill(0x1c),
  'more empty structs than fit into memory': Uint8Array.from([
    0x19,
    0xfc,
    ...varint(4_000_000),
    ...new Array<number>(4_000_001).fill(0),
  ]),
  'a text that is longer than the file': Uint8Array.from([0x18, ...varint(2 ** 31 - 1)]),
  'a text of a length that 32 bits read as another': Uint8Array.from([0x18, 0x81, 0x80, 0x80, 0x80, 0x80, 0x01, 0, 0]),
};

describe('a segment of a stranger', () => {
  it.each(Object.keys(BOMBS))('[SER-4] is refused before memory or time are spent on %s', async (name) => {
    const footer = BOMBS[name]!;
    expect(() => checkThrift(footer, 0)).toThrow(expect.objectContaining({ code: 'segment_corrupt' }));
    const began = performance.now();
    await expect(readSegment(fileOf(footer), 'a')).rejects.toMatchObject({ code: 'segment_corrupt' });
    expect(() => new ObjectSegment(fileOf(footer))).toThrow(expect.objectContaining({ code: 'segment_corrupt' }));
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  it('[SER-4] is refused when a page header is such a bomb', async () => {
    const points = new PointBuffer();
    for (let step = 0; step < 2_000; step++) points.push(0, step, Math.sin(step), step, step);
    const header = { run: 'run-1' as RunId, writer: '01kf0000000000000000000000' as WriterId, first: 0, last: 1_999 };
    const { bytes } = await sealSegment(header, points.from(0), ['a']);
    const segment = await segmentOf(bytes);
    expect((await segment.read('a'))?.step).toHaveLength(2_000);
    // The first page of the first column that is read begins somewhere in the file: every place is tried.
    const bomb = BOMBS['arrays of thirty million elements inside each other']!;
    let refused = 0;
    for (let at = 4; at < 120; at++) {
      const broken = bytes.slice();
      broken.set(bomb.subarray(0, 40), at);
      await readSegment(broken, 'a').catch((error: { code?: string }) => {
        refused++;
        expect(error.code).toBe('segment_corrupt');
      });
    }
    expect(refused).toBeGreaterThan(10);
  });

  it('[SER-4] is refused when its levels are not those of its points', async () => {
    const count = 20_000;
    const step = Float64Array.from({ length: count }, (_, index) => index);
    const points = { directory: [['a', count]] as const, step, time: step, value: step };
    const bytes = (await buildLevels(points, {}))!;
    const file = { size: bytes.length, read: async (from: number, to: number) => bytes.subarray(from, to) };
    const open = (rows: number) =>
      Levels.open(file, portableGunzip, new Map([['a', { path: 'a', start: 0, count: rows }]]));
    expect((await (await open(count)).read(64, 'a', 'step'))?.count).toHaveLength(313);
    await expect(open(count + 64)).rejects.toMatchObject({ code: 'segment_corrupt' });
    await expect(open(100)).rejects.toMatchObject({ code: 'segment_corrupt' });
  });

  it('[SER-4] is refused when a row group stands for more rows than any of ours', async () => {
    const make = async (rows: number): Promise<ParquetFile> => {
      const writer = new ParquetWriter({});
      await writer.writeGroup([{ name: 'step', type: 'whole', values: new Float64Array(rows) }]);
      const bytes = writer.finish([]);
      return await openParquet({ size: bytes.length, read: async (from, to) => bytes.subarray(from, to) });
    };
    expect((await make(262_144)).rows).toBe(262_144);
    await expect(make(262_145)).rejects.toMatchObject({ code: 'segment_corrupt' });
  });

  it.each([
    ['columns', 12_000, (group: number) => `c${group}`],
    ['row groups', 40_000, () => 'step'],
  ] as const)('[SER-4] is refused when it has more %s than any of ours', async (_, count, nameOf) => {
    const writer = new ByteWriter();
    const chunk = (name: string) => ({
      file_offset: 4n,
      meta_data: {
        type: 'DOUBLE' as const,
        encodings: ['PLAIN' as const],
        path_in_schema: [name],
        codec: 'UNCOMPRESSED' as const,
        num_values: 1n,
        total_uncompressed_size: 8n,
        total_compressed_size: 8n,
        data_page_offset: 4n,
      },
    });
    writeMetadata(writer, {
      version: 2,
      schema: [
        { name: 'root', num_children: 1 },
        { name: 'step', type: 'DOUBLE', repetition_type: 'REQUIRED' },
      ],
      num_rows: BigInt(count),
      row_groups: Array.from({ length: count }, (__, group) => ({
        columns: [chunk(nameOf(group))],
        num_rows: 1n,
        total_byte_size: 8n,
      })),
      metadata_length: 0,
    });
    const footer = writer.getBytes();
    const bytes = fileOf(footer.subarray(0, footer.length - 4));
    const file = { size: bytes.length, read: async (from: number, to: number) => bytes.subarray(from, to) };
    await expect(openParquet(file)).rejects.toMatchObject({ message: expect.stringContaining('too many') as string });
  });

  it('[SER-4] is refused when its list of metrics would fill the memory', async () => {
    const fits = [['a"[', 1], ...Array.from({ length: 99_999 }, (_, index) => [`m\\[${index}`, 1])] as [
      string,
      number,
    ][];
    expect(unpackDirectory(JSON.stringify(fits))).toEqual(fits);
    const began = performance.now();
    for (const element of ['{}', '["a",1]', '[]']) {
      const text = `[${`${element},`.repeat(1_000_001)}${element}]`;
      expect(() => unpackDirectory(text)).toThrow(
        expect.objectContaining({ message: expect.stringContaining('too long') as string }),
      );
    }
    expect(performance.now() - began).toBeLessThan(5_000);
  });
});
