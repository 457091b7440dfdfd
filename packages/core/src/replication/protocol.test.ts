import { describe, expect, it } from 'vitest';
import { isFieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import { SeededRandom } from '../testing/index.ts';
import * as encoding from 'lib0/encoding';
import { LIMITS } from '../limits.ts';
import type { Frame } from './protocol.ts';
import { decodeFrame, encodeFrame, FEED_ENTRIES, NAME_BYTES, STATE_VECTOR_BYTES } from './protocol.ts';

const name = 'book/größe/2026-11' as DocumentName;
const FRAMES: readonly Frame[] = [
  {
    kind: 'hello',
    hello: {
      versions: [1, 2],
      replica: 'r',
      device: 'd',
      workspace: 'w',
      workspaceName: 'Team',
      program: 'p/1',
      role: 'viewer',
    },
  },
  { kind: 'resume', seq: 2 ** 40 },
  { kind: 'feed', entries: [{ name, generation: 0, seq: 7 }], through: 9, more: true },
  { kind: 'feed', entries: [], through: 9, more: false },
  { kind: 'open', channel: 1, name, generation: 3 },
  { kind: 'sync', channel: 1, seq: 0, message: { type: 'step1', stateVector: new Uint8Array([0]) } },
  { kind: 'sync', channel: 1, seq: 9, message: { type: 'step2', update: new Uint8Array([0, 0]) } },
  { kind: 'sync', channel: 1, seq: 10, message: { type: 'update', update: new Uint8Array([1, 2, 3]) } },
  { kind: 'ack', channel: 1, seq: 9 },
  { kind: 'refuse', name, seq: 9, code: 'update_malformed', reason: 'It is broken.' },
  { kind: 'close', channel: 1 },
  { kind: 'cursor', seq: 9 },
  { kind: 'resume', seq: 3, partial: true },
  { kind: 'cursor', seq: 9, partial: true },
  { kind: 'ephemeral', name, bytes: new Uint8Array([0]) },
  { kind: 'ping', nonce: 5 },
  { kind: 'pong', nonce: 5 },
  { kind: 'proof', publicKey: new Uint8Array([1, 2]), signature: new Uint8Array([3]) },
  { kind: 'losses', losses: 300 },
];

const hex = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');

describe('frames', () => {
  it('[RPL-8] every frame reads back as it was written', () => {
    for (const frame of FRAMES) expect(decodeFrame(encodeFrame(frame))).toEqual(frame);
  });

  it('[RPL-8] the bytes are those of docs/protocol.md', () => {
    const bytes = FRAMES.slice(1).map((frame) => hex(encodeFrame(frame)));
    expect(bytes).toEqual([
      '01808080808020',
      '02090101' + '14626f6f6b2f6772c3b6c39f652f323032362d3131' + '0007',
      '02090000',
      '0301' + '14626f6f6b2f6772c3b6c39f652f323032362d3131' + '03',
      '040100' + '000100',
      '040109' + '01020000',
      '04010a' + '0203010203',
      '050109',
      '06' +
        '14626f6f6b2f6772c3b6c39f652f323032362d3131' +
        '09' +
        '107570646174655f6d616c666f726d6564' +
        '0d49742069732062726f6b656e2e',
      '0701',
      '0809',
      '010301',
      '080901',
      '09' + '14626f6f6b2f6772c3b6c39f652f323032362d3131' + '0100',
      '0a05',
      '0b05',
      '0c' + '020102' + '0103',
      '0dac02',
    ]);
  });

  it('[RPL-9] a kind or field of a newer version is skipped', () => {
    expect(decodeFrame(new Uint8Array([99, 1, 2, 3]))).toBeUndefined();
    expect(decodeFrame(new Uint8Array([200, 5]))).toBeUndefined();
    const longer = new Uint8Array([...encodeFrame({ kind: 'cursor', seq: 4 }), 0, 2, 3]);
    expect(decodeFrame(longer)).toEqual({ kind: 'cursor', seq: 4 });
  });

  it('[RPL-9] bytes behind the last field are skipped in every kind of frame, the greeting too, within its bound', () => {
    for (const frame of FRAMES) {
      // The optional last field of these two is read before what comes behind it.
      const bytes = encodeFrame(frame);
      const optional = (frame.kind === 'resume' || frame.kind === 'cursor') && frame.partial === undefined ? [0] : [];
      expect(decodeFrame(new Uint8Array([...bytes, ...optional, 0, 1, 255])), frame.kind).toEqual(frame);
    }
    const greeting = encodeFrame(FRAMES[0]!);
    const beyond = new Uint8Array(greeting.length + 16 * 1024);
    beyond.set(greeting);
    expect(() => decodeFrame(beyond)).toThrow('limit');
  });

  it('[RPL-9] bytes that are no frame are a protocol violation and nothing else', () => {
    const random = new SeededRandom(7);
    let broken = 0;
    for (let round = 0; round < 20_000; round++) {
      const bytes = random.chance(0.5) ? random.bytes(random.int(40)) : encodeFrame(random.pick(FRAMES)).slice();
      if (bytes.length > 0 && random.chance(0.8)) bytes[random.int(bytes.length)] = random.int(256);
      try {
        decodeFrame(random.chance(0.3) ? bytes.subarray(0, random.int(bytes.length + 1)) : bytes);
      } catch (error) {
        broken += 1;
        expect(isFieldbookError(error, 'protocol_violation')).toBe(true);
      }
    }
    expect(broken).toBeGreaterThan(5_000);
  });

  it('[RPL-70] names, texts, lists and state vectors in frames have a length, and what is longer ends the connection', () => {
    const named = (text: string): Frame[] => [
      { kind: 'open', channel: 1, name: text as DocumentName, generation: 0 },
      { kind: 'refuse', name: text as DocumentName, seq: 1, code: 'x', reason: 'y' },
      { kind: 'ephemeral', name: text as DocumentName, bytes: new Uint8Array([0]) },
      { kind: 'feed', entries: [{ name: text as DocumentName, generation: 0, seq: 1 }], through: 1, more: false },
    ];
    const isRead = (frame: Frame): boolean => {
      try {
        return decodeFrame(encodeFrame(frame)) !== undefined;
      } catch (error) {
        if (!isFieldbookError(error, 'protocol_violation')) throw error;
        return false;
      }
    };
    // The longest name of a document: 64 letters of three bytes.
    const longest = `book/${'\u4e00'.repeat(LIMITS.projectIdLength)}/2026-11`;
    for (const frame of named(longest)) expect(isRead(frame), frame.kind).toBe(true);
    for (const frame of named('x'.repeat(NAME_BYTES))) expect(isRead(frame), frame.kind).toBe(true);
    for (const frame of named('x'.repeat(NAME_BYTES + 1))) expect(isRead(frame), frame.kind).toBe(false);
    const refusal = (code: string, reason: string): Frame => ({ kind: 'refuse', name, seq: 1, code, reason });
    expect(isRead(refusal('update_too_large', '\u4e00'.repeat(500)))).toBe(true);
    expect(isRead(refusal('x'.repeat(300), ''))).toBe(false);
    const said = encoding.createEncoder();
    encoding.writeVarUint(said, 6);
    encoding.writeVarString(said, name);
    encoding.writeVarUint(said, 1);
    encoding.writeVarString(said, 'x');
    encoding.writeVarString(said, 'y'.repeat(5_000));
    expect(() => decodeFrame(encoding.toUint8Array(said))).toThrow('5000 bytes');
    const page = (count: number): Frame => ({
      kind: 'feed',
      entries: Array.from({ length: count }, (_, seq) => ({ name, generation: 0, seq })),
      through: count,
      more: true,
    });
    expect(isRead(page(FEED_ENTRIES))).toBe(true);
    expect(isRead(page(8 * FEED_ENTRIES + 1))).toBe(false);
    const asks = (stateVector: Uint8Array): Frame => ({
      kind: 'sync',
      channel: 1,
      seq: 0,
      message: { type: 'step1', stateVector },
    });
    // As many clients as a document may have, each with the longest id and clock.
    expect(isRead(asks(vectorOf(LIMITS.documentClients, 2 ** 32 - 1, 2 ** 40)))).toBe(true);
    // Short entries, and more of them than fit into any document.
    const many = vectorOf(3 * LIMITS.documentClients, 5, 1);
    expect(many.length).toBeLessThan(STATE_VECTOR_BYTES);
    expect(isRead(asks(many))).toBe(false);
    expect(isRead(asks(new Uint8Array(STATE_VECTOR_BYTES)))).toBe(true);
    expect(isRead(asks(new Uint8Array(STATE_VECTOR_BYTES + 1)))).toBe(false);
  });

  it('[RPL-70] what is kept of a frame does not keep the bytes that follow it', () => {
    const padded = (frame: Frame): Uint8Array => {
      const bytes = encodeFrame(frame);
      const message = new Uint8Array(bytes.length + 1_000_000);
      message.set(bytes);
      return message;
    };
    for (const type of ['step1', 'step2', 'update'] as const) {
      const bytes = new Uint8Array([0, 0]);
      const message = type === 'step1' ? { type, stateVector: bytes } : { type, update: bytes };
      const frame = decodeFrame(padded({ kind: 'sync', channel: 1, seq: 1, message }));
      if (frame?.kind !== 'sync') throw new Error('not read');
      const kept = frame.message.type === 'step1' ? frame.message.stateVector : frame.message.update;
      expect(kept.buffer.byteLength, type).toBeLessThan(100);
    }
  });
});

function vectorOf(clients: number, client: number, clock: number): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, clients);
  for (let index = 0; index < clients; index++) {
    encoding.writeVarUint(encoder, client);
    encoding.writeVarUint(encoder, clock);
  }
  return encoding.toUint8Array(encoder);
}
