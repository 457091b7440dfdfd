import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../testing/index.ts';
import { decodeAnnouncement, SERVICE } from './announcement.ts';
import type { DnsRecord, Message } from './message.ts';
import { decodeMessage, encodeMessage, MESSAGE_BYTES, nameKey, TYPE } from './message.ts';

const INSTANCE = ['gpu.1 (Büro)', ...SERVICE];
const RECORDS: DnsRecord[] = [
  { name: SERVICE, ttl: 4_500, flush: false, data: { kind: 'pointer', target: INSTANCE } },
  { name: INSTANCE, ttl: 120, flush: true, data: { kind: 'service', port: 4_270, target: ['a', 'local'] } },
  { name: INSTANCE, ttl: 4_294_967_295, flush: true, data: { kind: 'text', bytes: Uint8Array.of(3, 97, 61, 98) } },
  { name: ['a', 'local'], ttl: 0, flush: true, data: { kind: 'address', address: '10.0.0.7' } },
  { name: ['a', 'local'], ttl: 120, flush: true, data: { kind: 'address', address: 'fd00::7' } },
];
const MESSAGE: Message = {
  id: 7,
  isResponse: true,
  questions: [{ name: SERVICE, type: TYPE.PTR, unicast: true }],
  answers: RECORDS.slice(0, 1),
  authorities: RECORDS.slice(1, 2),
  additionals: RECORDS.slice(2),
};

/** A head with so many questions, answers, authorities and additionals. */
const head = (...counts: readonly number[]): number[] => [
  0,
  0,
  0x84,
  0,
  ...counts.flatMap((count) => [count >> 8, count & 255]),
];
const bytesOf = (text: string): number[] => [...new TextEncoder().encode(text)];
const label = (text: string): number[] => [text.length, ...bytesOf(text)];

describe('messages of multicast DNS', () => {
  it('[DSC-3] are read as they were written, and as another program compresses them', () => {
    expect(decodeMessage(encodeMessage(MESSAGE))).toEqual(MESSAGE);
    // PTR _fieldbook._tcp.local → x._fieldbook._tcp.local with pointers to offset 12, as Avahi writes it.
    const service = [...label('_fieldbook'), ...label('_tcp'), ...label('local'), 0];
    const compressed = [...head(0, 1, 0, 0), ...service, 0, 12, 0, 1, 0, 0, 0, 9, 0, 4, ...label('x'), 0xc0, 12];
    expect(decodeMessage(Uint8Array.from(compressed))?.answers).toEqual([
      { name: SERVICE, ttl: 9, flush: false, data: { kind: 'pointer', target: ['x', ...SERVICE] } },
    ]);
    expect(nameKey(['A.b', 'LOCAL'])).toBe(nameKey(['a.B', 'local']));
    expect(nameKey(['a', 'b', 'local'])).not.toBe(nameKey(['a.b', 'local']));
  });

  it('[DSC-3] that are torn, too long, circular or of too many records are none', () => {
    const whole = encodeMessage(MESSAGE);
    for (let length = 0; length < whole.length; length++) expect(decodeMessage(whole.subarray(0, length))).toBeNull();
    expect(decodeMessage(new Uint8Array(MESSAGE_BYTES + 1))).toBeNull();
    // A pointer to itself, to what comes later, and two that point to each other.
    for (const name of [
      [0xc0, 12],
      [0xc0, 14, 0],
      [0xc0, 14, 0xc0, 12],
      [1, 97, 0xc0, 12],
    ])
      expect(decodeMessage(Uint8Array.from([...head(1, 0, 0, 0), ...name, 0, 12, 0, 1]))).toBeNull();
    // A name of so many labels, each a pointer to the rest: one of more than 255 bytes is none.
    const chained = (count: number): Uint8Array => {
      const place = (index: number): number => (index === 0 ? 23 : 22 + 4 * index);
      const labels = [1, 97, 0];
      for (let index = 1; index < count; index++)
        labels.push(1, 97, 0xc0 | (place(index - 1) >> 8), place(index - 1) & 255);
      const last = place(count - 1);
      const data = [0, 0, 99, 0, 1, 0, 0, 0, 9, labels.length >> 8, labels.length & 255, ...labels];
      const record = [0xc0 | (last >> 8), last & 255, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 1];
      return Uint8Array.from([...head(0, 2, 0, 0), ...data, ...record]);
    };
    expect(decodeMessage(chained(127))?.answers[0]?.name).toHaveLength(127);
    expect(decodeMessage(chained(128))).toBeNull();
    expect(decodeMessage(Uint8Array.from(head(0, 0xffff, 0, 0)))).toBeNull();
    const empty = [0, 0, 1, 0, 1];
    const many = (count: number): Uint8Array =>
      Uint8Array.from([...head(count, 0, 0, 0), ...Array.from({ length: count }, () => empty).flat()]);
    expect([decodeMessage(many(256))?.questions.length, decodeMessage(many(257))]).toEqual([256, null]);
    // A record whose data is shorter, or longer, than it says.
    const of = (length: number): number[] => [0, 0, 12, 0, 1, 0, 0, 0, 9, 0, length, 1, 97, 0];
    expect(decodeMessage(Uint8Array.from([...head(0, 1, 0, 0), ...of(3)]))?.answers).toHaveLength(1);
    for (const length of [0, 2, 4])
      expect(decodeMessage(Uint8Array.from([...head(0, 1, 0, 0), ...of(length)]))).toBeNull();
  });

  it('[DSC-3] of any bytes, whole ones with some changed among them, are read or none', () => {
    const random = new SeededRandom(6762);
    const whole = encodeMessage(MESSAGE);
    let read = 0;
    for (let round = 0; round < 20_000; round++) {
      const bytes = round % 2 === 0 ? whole.slice() : random.bytes(random.int(400));
      for (let change = random.int(4); change >= 0; change--) bytes[random.int(bytes.length)] = random.int(256);
      const message = decodeMessage(bytes);
      if (message === null) continue;
      read += 1;
      for (const { data, name } of [...message.answers, ...message.additionals])
        if (data.kind === 'text') decodeAnnouncement(name[0] ?? '', data.bytes);
    }
    expect(read).toBeGreaterThan(1_000);
  });

  it('[DSC-3] that are little to send and much to read are none', () => {
    // Each record a pointer to a name of 126 parts, and pointing there.
    const name = [...Array.from({ length: 126 }, () => [1, 97]).flat(), 0];
    const pointing = (count: number): Uint8Array => {
      const bytes = [...head(1, count, 0, 0), ...name, 0, 12, 0, 1];
      for (let index = 0; index < count; index++) bytes.push(0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12);
      return Uint8Array.from(bytes);
    };
    expect(pointing(255).length).toBeLessThan(MESSAGE_BYTES);
    expect([decodeMessage(pointing(15))?.answers.length, decodeMessage(pointing(255))]).toEqual([15, null]);
  });
});
