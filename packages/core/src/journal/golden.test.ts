import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { projectIdOf } from '../ids.ts';
import type { JournalRecord } from './records.ts';
import { metaOf } from './records.ts';
import { JournalReader } from './reader.ts';
import { salvage } from './salvage.ts';
import { TYPE } from './format.ts';

const folder = new URL('../../../../tests/golden/journal/', import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith('.fbj'));

interface Expected {
  header: { writer: string; nonce: string; number: number; first: number; minor: number };
  records: { sequence: number; offset: number; type: string; malformed?: boolean; data?: Record<string, unknown> }[];
  state: string;
  offset: number;
  sequence: number;
  salvage: { offset: number; sequence: number } | null;
  unknown: number;
  malformed: number;
}

const CODES: Record<number, string> = Object.fromEntries(Object.entries(TYPE).map(([name, code]) => [code, name]));

/** Floats that JSON cannot say, and -0, as the golden files write them. */
function plain(value: number): number | string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  return Object.is(value, -0) ? '-0' : value;
}

/** The record as the golden files describe it. */
function described(record: JournalRecord): unknown {
  const { sequence, offset } = record;
  switch (record.type) {
    case 'malformed':
      return { sequence, offset, type: CODES[record.code], malformed: true };
    case 'unknown':
      return { sequence, offset, type: String(record.code), data: { size: record.size } };
    case 'DECLARE':
      return { sequence, offset, type: record.type, data: { names: record.names } };
    case 'HEARTBEAT':
      return { sequence, offset, type: record.type, data: { time: record.time } };
    case 'ROTATED':
      return { sequence, offset, type: record.type, data: { time: record.time, number: record.number } };
    case 'CONSOLE': {
      const { time, stream, flags, text } = record;
      return { sequence, offset, type: record.type, data: { time, stream, flags, text } };
    }
    default:
      return { sequence, offset, type: record.type, data: record.data };
  }
}

function read(bytes: Uint8Array, chunk: number): { reader: JournalReader; records: unknown[]; points: unknown[] } {
  const reader = new JournalReader();
  const records: unknown[] = [];
  const points: unknown[] = [];
  for (let start = 0; start < bytes.length && reader.state !== 'corrupt'; start += chunk) {
    expect(reader.next).toBe(start);
    reader.push(bytes.slice(start, start + chunk), {
      point: (metric, step, time, value, ordinal) => points.push([ordinal, time, metric, plain(step), plain(value)]),
      record: (record) => records.push(described(record)),
    });
  }
  return { reader, records, points };
}

describe('golden journals', () => {
  it('are there', () => {
    expect(files.length).toBeGreaterThanOrEqual(25);
  });

  for (const name of files) {
    const bytes = new Uint8Array(readFileSync(new URL(name, folder)));
    const expected = JSON.parse(readFileSync(new URL(name.replace('.fbj', '.json'), folder), 'utf8')) as Expected;
    const scalars = expected.records.filter((record) => Array.isArray(record.data?.points));

    for (const chunk of [bytes.length, 1, 61]) {
      it(`[JRN-1] ${name} in pieces of ${chunk} bytes says what the Python reader says`, () => {
        const { reader, records, points } = read(bytes, chunk);
        const end = reader.finish();

        expect(reader.header).toMatchObject({
          ...expected.header,
          nonce: Uint8Array.from(Buffer.from(expected.header.nonce, 'hex')),
        });
        expect(records).toEqual(expected.records.filter((record) => !scalars.includes(record)));
        expect(points).toEqual(
          scalars.flatMap(({ sequence, data }) =>
            (data!.points as [number, unknown, unknown][]).map((point) => [sequence, data!.time, ...point]),
          ),
        );
        expect(end).toMatchObject({ state: expected.state, offset: expected.offset, sequence: expected.sequence });
        expect(reader.unknown).toBe(expected.unknown);
        expect(reader.malformed).toBe(expected.malformed);
        expect(reader.dropped).toBe(scalars.reduce((sum, { data }) => sum + (data!.dropped as number), 0));
        if (expected.state === 'corrupt') expect(reader.damage?.code).toBe('journal_corrupt');
      });
    }

    it(`[JRN-6] ${name} can be salvaged exactly where the Python reader says`, () => {
      const { reader } = read(bytes, bytes.length);
      if (reader.finish().state === 'clean') return expect(expected.salvage).toBeNull();
      const { offset, sequence } = reader;
      const found = salvage(bytes.subarray(offset), { offset, sequence, nonce: reader.header!.nonce });
      if (expected.salvage === null) expect(found).toBeUndefined();
      else expect(found).toEqual({ ...expected.salvage, lost: expected.salvage.sequence - sequence });
      return undefined;
    });
  }
});

describe('project ids', () => {
  const cases = JSON.parse(readFileSync(new URL('project-ids.json', folder), 'utf8')) as [string, string | null][];
  for (const [name, id] of cases) {
    it(`[JRN-2] ${JSON.stringify(name)} is ${id} in both languages`, () => {
      if (id === null) expect(() => projectIdOf(name)).toThrow('project');
      else expect(projectIdOf(name)).toBe(id);
    });
  }
});

describe('recorded runs', () => {
  const runs = new URL('../../../../examples/digits/recorded/digits/', import.meta.url);
  for (const run of readdirSync(runs)) {
    it(`[JRN-1] the client's journal of ${run} is read to its end`, () => {
      const place = new URL(`${run}/`, runs);
      const [file] = readdirSync(place);
      const bytes = new Uint8Array(readFileSync(new URL(file!, place)));
      const reader = new JournalReader();
      const records: JournalRecord[] = [];
      let points = 0;
      reader.push(bytes, { point: () => points++, record: (record) => records.push(record) });
      expect(reader.finish().state).toBe('clean');
      expect([reader.unknown, reader.malformed, reader.dropped]).toEqual([0, 0, 0]);
      const [meta, close] = [records[0]!, records.at(-1)!];
      expect(meta.type === 'META' && metaOf(meta.data)).toMatchObject({
        run,
        projectId: 'digits',
        writer: reader.header!.writer,
      });
      expect(close.type === 'CLOSE' && close.data.points).toBe(points);
    });
  }
});
