import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import type { RunId, WriterId } from '../ids.ts';
import { PointBuffer } from './points.ts';
import { readSegment, segmentOf } from './segment-reader.ts';
import { sealSegment } from './segment.ts';

const FOLDER = new URL('../../../../tests/golden/segment/', import.meta.url);
const HEADER = { run: 'run-1' as RunId, writer: '01kf0000000000000000000000' as WriterId, first: 3, last: 9 };
const T0 = 1_768_478_400_000;

type Point = readonly [metric: number, step: number, value: number, time: number, ordinal: number];

/** In the order they were logged: steps out of order and twice, and every number that is easy to get wrong. */
const FEW: readonly Point[] = [
  [0, 2, 0.1, T0, 3],
  [1, 0.5, -0, T0, 3],
  [0, 1, Number.NaN, T0 + 1, 5],
  [0, 1, Infinity, T0 + 2, 6],
  [1, -3, 5e-324, T0 + 3, 9],
];
const NAMES = ['val/loss', 'train/größe 🙂'];

/** A metric that is float32 throughout and large enough for both levels, and a small one; from a generator in 32-bit arithmetic. */
function many(): Point[] {
  let state = 1;
  const random = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 2 ** 32;
  };
  return Array.from({ length: 17_000 }, (_, index): Point[] => [
    [
      0,
      index,
      index % 500 === 3 ? Number.NaN : Math.fround(random()),
      T0 + index * 37 + Math.floor(random() * 8),
      index + 3,
    ],
    ...(index % 100 === 0 ? [[1, index / 4, index / 8, T0 + index * 37, index + 3] as const] : []),
  ]).flat();
}

const VERSIONS: readonly { file: string; points: readonly Point[]; last: number; levels: boolean }[] = [
  { file: 'v1', points: FEW, last: 9, levels: false },
  { file: 'v2', points: FEW, last: 9, levels: false },
  { file: 'v2-levels', points: many(), last: 17_002, levels: true },
];

for (const { file, points, last, levels } of VERSIONS) {
  it(`[SER-1] [SER-19] the golden segment ${file} reads back as its points`, async () => {
    const path = new URL(`${file}.parquet`, FOLDER);
    // FIELDBOOK_GOLDEN=write makes what is missing; a file that is there stays, whatever the code writes today.
    if (process.env.FIELDBOOK_GOLDEN === 'write' && !existsSync(path)) {
      const buffer = new PointBuffer();
      for (const point of points) buffer.push(...point);
      const compressor = { gzip: (bytes: Uint8Array) => Promise.resolve(new Uint8Array(gzipSync(bytes))) };
      writeFileSync(path, (await sealSegment({ ...HEADER, last }, buffer.from(0), NAMES, { compressor })).bytes);
    }
    const bytes = new Uint8Array(readFileSync(path));
    for (const [metric, name] of NAMES.entries()) {
      const expected = points.filter((point) => point[0] === metric).sort((a, b) => a[1] - b[1] || a[4] - b[4]);
      const read = (await readSegment(bytes, name))!;
      expect([...read.step]).toEqual(expected.map((point) => point[1]));
      expect([...read.value]).toEqual(expected.map((point) => point[2]));
      expect([...read.time]).toEqual(expected.map((point) => point[3]));
      expect([...read.ordinal!]).toEqual(expected.map((point) => point[4]));
    }
    const segment = await segmentOf(bytes);
    expect(segment.header).toEqual({ run: 'run-1', writer: HEADER.writer, first: 3, last });
    const coarse = await (await segment.levels())?.read(4096, 'val/loss', 'step');
    expect(coarse === undefined ? undefined : [...coarse.count]).toEqual(
      levels ? [4096, 4096, 4096, 4096, 616] : undefined,
    );
  });
}

it('[SER-1] the first golden segment and its points as JSON, which other languages read, say the same', () => {
  const rows = JSON.parse(readFileSync(new URL('v1.json', FOLDER), 'utf8')) as Record<string, number | string>[];
  const plain = (value: number): number | string =>
    Object.is(value, -0) ? '-0' : Number.isFinite(value) ? value : String(value);
  const expected = FEW.map(([metric, step, value, time, ordinal]) => ({
    metric: NAMES[metric]!,
    step,
    time,
    value: plain(value),
    ordinal,
  }));
  expected.sort((a, b) =>
    a.metric < b.metric ? -1 : a.metric > b.metric ? 1 : a.step - b.step || a.ordinal - b.ordinal,
  );
  expect(rows).toEqual(expected);
});
