import { describe, expect, it } from 'vitest';
import { utf8 } from '../ids.ts';
import type { WriterId } from '../ids.ts';
import { captureOf, fileOf, objectOf } from './attachments.ts';
import { JOURNAL, TYPE } from './format.ts';
import { JournalReader } from './reader.ts';
import type { JournalRecord, JsonObject } from './records.ts';
import { closeOf } from './records.ts';
import { JournalWriter } from './writer.ts';

const DIGEST = '3f'.repeat(32);

/** What a reader makes of one record. */
function readBack(write: (writer: JournalWriter) => void): JournalRecord {
  const writer = new JournalWriter({ writer: '01kaq5r0000123456789abcdef' as WriterId, nonce: new Uint8Array(16) });
  write(writer);
  const records: JournalRecord[] = [];
  new JournalReader().push(writer.bytes(), { point: () => {}, record: (record) => records.push(record) });
  expect(records).toHaveLength(1);
  return records[0]!;
}

describe('records of minor 1', () => {
  it('[JRN-16] are malformed beyond their limits, and whole at them', () => {
    const text = (size: number): JsonObject => ({ path: 'a', step: 0, kind: 'text', text: 'é'.repeat(size / 2) });
    expect(readBack((writer) => writer.json('OBJECT', text(JOURNAL.textBytes))).type).toBe('OBJECT');
    expect(readBack((writer) => writer.json('OBJECT', text(JOURNAL.textBytes + 2))).type).toBe('malformed');
    const lines = (size: number): string => 'x'.repeat(size);
    expect(readBack((writer) => writer.console(1, 1, 0, lines(JOURNAL.consoleBytes))).type).toBe('CONSOLE');
    expect(readBack((writer) => writer.console(1, 1, 0, lines(JOURNAL.consoleBytes + 1))).type).toBe('malformed');
    const capture = (size: number): Uint8Array => utf8(`{"section":"git","data":{}}`.padEnd(size));
    expect(readBack((writer) => writer.raw(TYPE.CAPTURE, capture(JOURNAL.captureBytes))).type).toBe('CAPTURE');
    expect(readBack((writer) => writer.raw(TYPE.CAPTURE, capture(JOURNAL.captureBytes + 1))).type).toBe('malformed');
  });

  it('[JRN-16] keep what is usable and leave out what is beyond a limit', () => {
    const file = { path: 'a/b', name: 'x'.repeat(600), spool: 'ok', size: 1.5, sha256: 'nonsense', travel: 'soon' };
    expect(fileOf({ ...file, meta: { a: 'x'.repeat(20_000) } })).toEqual({
      time: null,
      path: 'a/b',
      name: 'b',
      spool: 'ok',
      size: null,
      modified: null,
      digest: null,
      mime: null,
      kind: 'file',
      meta: null,
      travel: null,
      source: null,
    });
    expect(fileOf({ ...file, path: 'a//b' })).toBeUndefined();
    const image = { spool: 'a.png', name: 'a.png', size: 5, mime: 'image/png', sha256: DIGEST };
    const object = { time: 5, path: 'images', step: 2, kind: 'image', file: image, meta: { caption: 'a' } };
    expect(objectOf(object)).toEqual({
      time: 5,
      path: 'images',
      step: 2,
      kind: 'image',
      text: '',
      file: { spool: 'a.png', name: 'a.png', size: 5, mime: 'image/png', digest: DIGEST },
      meta: '{"caption":"a"}',
    });
    for (const change of [
      { file: { ...image, sha256: null } },
      { file: { ...image, size: 64 * 1024 * 1024 + 1 } },
      { file: null },
      { path: '' },
      { kind: '' },
      { file: null, kind: 'table', data: { rows: ['x'.repeat(70_000)] } },
    ]) {
      expect(objectOf({ ...object, ...change } as JsonObject), JSON.stringify(change)).toBeUndefined();
    }
    expect(captureOf({ section: 'git', data: { a: 'x'.repeat(525_000) } })).toBeUndefined();
    expect(captureOf({ section: 'git', data: { a: 1 } })).toEqual({ time: null, section: 'git', data: '{"a":1}' });
  });

  it('[JRN-17] a writer may close as preempted', () => {
    expect(closeOf({ status: 'preempted', signal: 15 })).toMatchObject({ status: 'preempted', signal: 15 });
    expect(closeOf({ status: 'something newer' })).toMatchObject({ status: 'failed' });
  });
});
