import { describe, expect, it } from 'vitest';
import { isFieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import { SeededRandom } from '../testing/index.ts';
import type { Frame } from './protocol.ts';
import { decodeFrame, encodeFrame } from './protocol.ts';

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
});
