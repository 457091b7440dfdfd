import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { RunId, WriterId } from '../ids.ts';
import { PointBuffer } from './points.ts';
import { readSegment } from './segment-reader.ts';
import { sealSegment } from './segment.ts';

const FOLDER = new URL('../../../../tests/golden/segment/', import.meta.url);
const NAMES = ['val/loss', 'train/größe 🙂'];
const HEADER = { run: 'run-1' as RunId, writer: '01kf0000000000000000000000' as WriterId, first: 3, last: 9 };

/** In the order they were logged: steps out of order and twice, and every number that is easy to get wrong. */
const POINTS: readonly [metric: number, step: number, value: number, time: number, ordinal: number][] = [
  [0, 2, 0.1, 1_768_478_400_000, 3],
  [1, 0.5, -0, 1_768_478_400_000, 3],
  [0, 1, Number.NaN, 1_768_478_400_001, 5],
  [0, 1, Infinity, 1_768_478_400_002, 6],
  [1, -3, 5e-324, 1_768_478_400_003, 9],
];

const plain = (value: number): number | string =>
  Number.isFinite(value) && !Object.is(value, -0) ? value : Object.is(value, -0) ? '-0' : String(value);

it('[SER-1] [SER-2] the golden segment reads back as its points, in both languages', async () => {
  // FIELDBOOK_GOLDEN=write makes the files anew; do that only with a new version number.
  if (process.env.FIELDBOOK_GOLDEN === 'write') {
    const points = new PointBuffer();
    for (const point of POINTS) points.push(...point);
    writeFileSync(new URL('v1.parquet', FOLDER), (await sealSegment(HEADER, points.from(0), NAMES)).bytes);
    const sorted = [...POINTS].sort((a, b) =>
      NAMES[a[0]]! < NAMES[b[0]]! ? -1 : NAMES[a[0]]! > NAMES[b[0]]! ? 1 : a[1] - b[1] || a[4] - b[4],
    );
    const rows = sorted.map(([metric, step, value, time, ordinal]) => ({
      metric: NAMES[metric],
      step,
      time,
      value: plain(value),
      ordinal,
    }));
    writeFileSync(new URL('v1.json', FOLDER), `${JSON.stringify(rows, null, 2)}\n`);
  }
  const bytes = new Uint8Array(readFileSync(new URL('v1.parquet', FOLDER)));
  const rows = JSON.parse(readFileSync(new URL('v1.json', FOLDER), 'utf8')) as {
    metric: string;
    step: number;
    time: number;
    value: number | string;
    ordinal: number;
  }[];
  expect(rows).toHaveLength(POINTS.length);
  for (const name of NAMES) {
    const read = (await readSegment(bytes, name))!;
    const expected = rows.filter(({ metric }) => metric === name);
    expect([...read.step]).toEqual(expected.map(({ step }) => step));
    expect([...read.value].map(plain)).toEqual(expected.map(({ value }) => value));
    expect([...read.time]).toEqual(expected.map(({ time }) => time));
    expect([...read.ordinal!]).toEqual(expected.map(({ ordinal }) => ordinal));
  }
});
