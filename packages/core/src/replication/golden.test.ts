import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { DocumentName } from '../ids.ts';
import type { Frame } from './protocol.ts';
import { decodeFrame, encodeFrame } from './protocol.ts';

const FILE = new URL('../../../../tests/golden/wire/v1.json', import.meta.url);
const BOOK = 'book/größe/2026-11' as DocumentName;
const bytes = (...values: number[]): Uint8Array => new Uint8Array(values);

/** Every frame of version 1, with numbers on both sides of a varuint's byte borders. */
const FRAMES: Readonly<Record<string, Frame>> = {
  hello: {
    kind: 'hello',
    hello: {
      versions: [1],
      replica: 'abc',
      device: 'd000000000000000000000000',
      workspace: '01kf0000000000000000000000',
      workspaceName: null,
      program: 'fieldbook/0.1.0',
      role: 'member',
    },
  },
  resume: { kind: 'resume', seq: 127 },
  feed: { kind: 'feed', entries: [{ name: BOOK, generation: 0, seq: 128 }], through: 2 ** 40, more: true },
  open: { kind: 'open', channel: 3, name: BOOK, generation: 0 },
  step1: { kind: 'sync', channel: 3, seq: 0, message: { type: 'step1', stateVector: bytes(0) } },
  step2: { kind: 'sync', channel: 3, seq: 16_384, message: { type: 'step2', update: bytes(0, 0) } },
  update: { kind: 'sync', channel: 3, seq: 16_385, message: { type: 'update', update: bytes(1, 2, 3) } },
  ack: { kind: 'ack', channel: 3, seq: 16_385 },
  refuse: { kind: 'refuse', name: BOOK, seq: 9, code: 'record_immutable', reason: 'An edit was changed.' },
  close: { kind: 'close', channel: 3 },
  cursor: { kind: 'cursor', seq: 2 ** 32 },
  ephemeral: { kind: 'ephemeral', name: BOOK, bytes: bytes(255, 0) },
  ping: { kind: 'ping', nonce: 7 },
  pong: { kind: 'pong', nonce: 7 },
  /** A greeting with the fields that came after the first programs of version 1. */
  helloExact: {
    kind: 'hello',
    hello: {
      versions: [1],
      replica: 'abc',
      device: 'd000000000000000000000000',
      workspace: '01kf0000000000000000000000',
      workspaceName: 'Team',
      program: 'fieldbook-relay/0.1.0',
      role: 'contributor',
      nonce: new Uint8Array(32).fill(7),
    },
  },
  proof: { kind: 'proof', publicKey: new Uint8Array(32).fill(1), signature: new Uint8Array(64).fill(2) },
  losses: { kind: 'losses', losses: 128 },
};

const hex = (frame: Uint8Array): string => Buffer.from(frame).toString('hex');

// FIELDBOOK_GOLDEN=write makes the file anew; do that only with a new protocol version.
if (process.env.FIELDBOOK_GOLDEN === 'write') {
  const golden = Object.fromEntries(Object.entries(FRAMES).map(([name, frame]) => [name, hex(encodeFrame(frame))]));
  writeFileSync(FILE, `${JSON.stringify(golden, null, 2)}\n`);
}
const golden = JSON.parse(readFileSync(FILE, 'utf8')) as Record<string, string>;

it.each(Object.keys(FRAMES))(
  '[RPL-27] version 1 of the frame %s is written and read as the golden bytes say',
  (name) => {
    expect(hex(encodeFrame(FRAMES[name]!))).toBe(golden[name]);
    expect(decodeFrame(Uint8Array.from(Buffer.from(golden[name]!, 'hex')))).toEqual(FRAMES[name]);
  },
);
