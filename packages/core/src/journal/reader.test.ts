import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../testing/index.ts';
import type { WriterId } from '../ids.ts';
import { crc32, crc32Of64 } from './crc32.ts';
import { encodeHeader, JOURNAL } from './format.ts';
import { PointColumns } from './points.ts';
import type { JournalSink } from './reader.ts';
import { JournalReader } from './reader.ts';
import type { JournalRecord } from './records.ts';
import { attributesOf, closeOf, metaOf } from './records.ts';
import { salvage } from './salvage.ts';
import { JournalWriter } from './writer.ts';

const WRITER = '01kaq5r0000123456789abcdef' as WriterId;
const NONCE = Uint8Array.from({ length: 16 }, (_, index) => index * 7);

class Collected implements JournalSink {
  records: JournalRecord[] = [];
  points: number[][] = [];
  point(...point: [number, number, number, number, number]): void {
    this.points.push(point);
  }
  record(record: JournalRecord): void {
    this.records.push(record);
  }
}

function written(points = 10): JournalWriter {
  const writer = new JournalWriter({ writer: WRITER, nonce: NONCE });
  writer.json('META', { run: 'r', project: 'p' });
  writer.declare([
    [0, 'loss'],
    [1, 'acc'],
  ]);
  for (let step = 0; step < points; step++) writer.scalars(1000 + step, step, [0, 1], [step / 2, NaN]);
  return writer;
}

/** Offsets at which records begin, and the end. */
function boundaries(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer);
  const result: number[] = [];
  let offset: number = JOURNAL.headerBytes;
  while (offset < bytes.length) {
    result.push(offset);
    offset += 8 + view.getUint32(offset, true);
  }
  return [...result, offset];
}

describe('crc32', () => {
  it('is that of zlib', () => {
    const bytes = new TextEncoder().encode('123456789');
    expect(crc32(bytes)).toBe(0xcbf43926);
    expect(crc32(bytes.subarray(5), crc32(bytes.subarray(0, 5)))).toBe(0xcbf43926);
    const long = new SeededRandom(1).bytes(1000);
    for (const cut of [0, 1, 7, 8, 9, 500, 1000]) {
      expect(crc32(long.subarray(cut), crc32(long.subarray(0, cut)))).toBe(crc32(long));
    }
  });

  it('goes over a number as over its eight bytes', () => {
    for (const value of [0, 1, 255, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
      expect(crc32Of64(value, 0x1234567)).toBe(crc32(bytes, 0x1234567));
    }
  });
});

describe('a journal reader', () => {
  it('[JRN-3] waits for the rest of a record that is being written, and takes it in once it is whole', () => {
    const bytes = written().bytes();
    for (let cut = 0; cut <= bytes.length; cut++) {
      const reader = new JournalReader();
      const sink = new Collected();
      expect(reader.push(bytes.slice(0, cut), sink)).toBe('open');
      expect(reader.next).toBe(cut);
      expect(reader.push(bytes.slice(cut), sink)).toBe('open');
      expect(sink.records.length).toBe(2);
      expect(sink.points.length).toBe(20);
      expect(reader.finish().state).toBe('clean');
    }
  });

  it('[JRN-3] drops a torn tail at the end of a finished file, and only that', () => {
    const bytes = written().bytes();
    const ends = boundaries(bytes);
    for (let cut = ends[0]!; cut < bytes.length; cut++) {
      const reader = new JournalReader();
      reader.push(bytes.slice(0, cut), new Collected());
      const end = reader.finish();
      const whole = Math.max(...ends.filter((end) => end <= cut));
      expect(end).toEqual({
        state: whole === cut ? 'clean' : 'torn',
        offset: whole,
        sequence: ends.indexOf(whole),
        salvage: undefined,
      });
    }
  });

  it('[JRN-3] reads again what was not yet there: zeros and half-written pages', () => {
    const bytes = written().bytes();
    const last = boundaries(bytes).at(-2)!;
    for (const [from, state] of [
      [last, 'zeros'],
      [last + 20, 'torn'],
    ] as const) {
      const early = bytes.slice();
      early.fill(0, from);
      const reader = new JournalReader();
      const sink = new Collected();
      expect(reader.push(early, sink)).toBe(state);
      expect(reader.offset).toBe(last);
      expect(reader.next).toBe(bytes.length);
      reader.rewind();
      expect(reader.next).toBe(last);
      expect(reader.push(bytes.slice(last), sink)).toBe('open');
      expect(sink.points.length).toBe(20);
    }
  });

  it('[JRN-4] stops at damage, says where, and keeps what is before', () => {
    const bytes = written().bytes();
    const ends = boundaries(bytes);
    bytes[ends[5]! + 12]! ^= 1;
    const reader = new JournalReader();
    const sink = new Collected();
    expect(reader.push(bytes, sink)).toBe('corrupt');
    expect(reader.damage?.code).toBe('journal_corrupt');
    expect(reader.damage?.details).toMatchObject({ offset: ends[5], sequence: 5, writer: WRITER });
    expect(sink.points.length).toBe(6);
    expect(reader.push(bytes, sink)).toBe('corrupt');
    expect(sink.points.length).toBe(6);
  });

  it('[JRN-4] a file that is no journal, or of another version, is left alone with its reason', () => {
    const head = encodeHeader({ writer: WRITER, nonce: NONCE, number: 0, first: 0 });
    const cases: [string, (bytes: Uint8Array) => void][] = [
      ['journal_corrupt', (bytes) => bytes.set([80, 75], 0)],
      ['journal_corrupt', (bytes) => bytes.set([1], 30)],
      ['journal_corrupt', (bytes) => bytes.set([255, 255], 6)],
      ['journal_version', (bytes) => bytes.set([2], 4)],
    ];
    for (const [code, damage] of cases) {
      const bytes = head.slice();
      damage(bytes);
      const reader = new JournalReader();
      expect(reader.push(bytes, new Collected())).toBe('corrupt');
      expect(reader.damage?.code).toBe(code);
      expect(reader.finish().state).toBe('corrupt');
    }
  });

  it('[JRN-5] goes on from any position and takes in every record exactly once', () => {
    const bytes = written().bytes();
    const whole = new Collected();
    new JournalReader().push(bytes, whole);
    for (const cut of boundaries(bytes)) {
      const sink = new Collected();
      const first = new JournalReader();
      first.push(bytes.slice(0, cut + (cut % 7)), sink);
      const second = JournalReader.resume(bytes.slice(0, JOURNAL.headerBytes), structuredClone(first.position!));
      expect(second.next).toBe(first.offset);
      second.push(bytes.slice(second.next), sink);
      expect(sink).toEqual(whole);
    }
  });

  it('[JRN-5] does not go on in a file that is not the one it was', () => {
    const reader = new JournalReader();
    reader.push(written().bytes(), new Collected());
    const other = new JournalWriter({ writer: WRITER, nonce: NONCE.map((byte) => byte + 1) }).bytes();
    expect(() => JournalReader.resume(other, reader.position!)).toThrowError(
      expect.objectContaining({ code: 'journal_corrupt' }),
    );
  });

  it('[JRN-6] goes on behind damage with the sequence numbers that the records had', () => {
    const bytes = written(50).bytes();
    const ends = boundaries(bytes);
    bytes.fill(0xee, ends[10]! + 3, ends[13]! + 5);
    const sink = new Collected();
    const reader = new JournalReader();
    expect(reader.push(bytes, sink)).toBe('corrupt');
    const found = salvage(bytes.subarray(reader.offset), reader.position!);
    expect(found).toEqual({ offset: ends[14], sequence: 14, lost: 4 });
    reader.skipTo(found!);
    expect(reader.push(bytes.slice(reader.next), sink)).toBe('open');
    expect(sink.points.length).toBe(2 * 46);
    for (const [, step, , , ordinal] of sink.points) expect(ordinal).toBe(step! + 2);
  });

  it('[JRN-7] skips and counts what a newer version wrote', () => {
    const writer = written(1);
    writer.raw(200, new Uint8Array(5));
    writer.scalars(5, 1, [0], [1]);
    const sink = new Collected();
    const reader = new JournalReader();
    expect(reader.push(writer.bytes(), sink)).toBe('open');
    expect(reader.unknown).toBe(1);
    expect(sink.points.at(-1)).toEqual([0, 1, 5, 1, 4]);
  });

  it('[JRN-8] keeps NaN, infinities, -0, repeated and out-of-order float64 steps', () => {
    const writer = written(0);
    const points: [number, number][] = [
      [5, NaN],
      [5, Infinity],
      [-1.5, -Infinity],
      [2 ** 53, -0],
      [0, 5e-324],
    ];
    for (const [step, value] of points) writer.scalars(0, step, [0], [value]);
    const columns = new PointColumns(1);
    new JournalReader().push(writer.bytes(), { point: columns.point.bind(columns), record: () => {} });
    expect(Array.from(columns.step.subarray(0, columns.length))).toEqual(points.map(([step]) => step));
    for (const [index, [, value]] of points.entries()) expect(columns.value[index]).toBe(value);
    expect(columns.ordinal[4]).toBe(6);
  });

  it('does not keep the pushed bytes: a caller may reuse its buffer', () => {
    const bytes = written().bytes();
    const buffer = new Uint8Array(100);
    const reader = new JournalReader();
    const sink = new Collected();
    while (reader.next < bytes.length) {
      const piece = bytes.subarray(reader.next, reader.next + buffer.length);
      buffer.fill(0xff);
      buffer.set(piece);
      reader.push(buffer.subarray(0, piece.length), sink);
    }
    expect(sink.points.length).toBe(20);
  });
});

describe('record contents', () => {
  it('META keys of the wrong kind read as null', () => {
    expect(metaOf({ run: 5, tags: ['a', 1], parent: 'x', pid: '1', name: 'n' })).toMatchObject({
      run: null,
      tags: ['a'],
      parent: null,
      pid: null,
      name: 'n',
      forked: false,
    });
  });

  it('ATTRS values come out of their wrappers; unusable ones are counted', () => {
    const change = attributesOf({
      set: {
        a: { f: 'nan' },
        b: { f: '-inf' },
        c: { i: '123456789012345678901' },
        d: { t: 5 },
        e: ['x'],
        f: { new: 1 },
        'bad//path': 1,
        g: [1],
        h: { i: 'x' },
      },
      del: ['gone', ''],
    });
    expect(Object.fromEntries(change.set)).toEqual({
      a: NaN,
      b: -Infinity,
      c: '123456789012345678901',
      d: { time: 5 },
      e: ['x'],
    });
    expect(change.del).toEqual(['gone']);
    expect(change.refused).toBe(5);
  });

  it('CLOSE of an unknown status is a failure', () => {
    expect(closeOf({ status: 'exploded' })).toMatchObject({ status: 'failed', exitCode: null, dropped: 0 });
  });
});
