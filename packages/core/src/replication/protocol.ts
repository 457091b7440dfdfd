import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import type { Role } from '../grant.ts';
import { isRole, reaches } from '../grant.ts';
import { FieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { decodeRecord, encodeRecord } from '../record/index.ts';

/**
 * The frames of replication, one per message: a lib0 varuint that says the kind, then the body. docs/protocol.md
 * states the bytes and what each frame means; this file is their only reader and writer. A kind that is not known
 * is skipped, so that newer programs may say more.
 */
export type Frame =
  | { kind: 'hello'; hello: Hello }
  | { kind: 'resume'; seq: number; partial?: true }
  | { kind: 'feed'; entries: readonly ListedDocument[]; through: number; more: boolean }
  | { kind: 'open'; channel: number; name: DocumentName; generation: number }
  | { kind: 'sync'; channel: number; seq: number; message: SyncMessage }
  | { kind: 'ack'; channel: number; seq: number }
  | { kind: 'refuse'; name: DocumentName; seq: number; code: string; reason: string }
  | { kind: 'close'; channel: number }
  | { kind: 'cursor'; seq: number; partial?: true }
  | { kind: 'ephemeral'; name: DocumentName; bytes: Uint8Array }
  | { kind: 'ping' | 'pong'; nonce: number }
  | { kind: 'proof'; publicKey: Uint8Array; signature: Uint8Array }
  | { kind: 'losses'; losses: number };

/** Who is speaking. */
export interface Hello {
  /** Protocol versions that the speaker knows. */
  versions: readonly number[];
  replica: string;
  device: string;
  workspace: string;
  workspaceName: string | null;
  /** `fieldbook/0.1.0` */
  program: string;
  /** What the side spoken to may do here; null when the speaker grants nothing (it dialled). */
  role: Role | null;
  /** The speaker's wall clock when it said this, ms since the epoch; absent from programs that do not say. */
  time?: number;
  /** What the other side signs, with its own, to prove which device it is; older programs prove nothing and have none. */
  nonce?: Uint8Array;
}

export interface ListedDocument {
  name: DocumentName;
  generation: number;
  seq: number;
}

/** The messages of y-protocols/sync, byte for byte. */
export type SyncMessage = { type: 'step1'; stateVector: Uint8Array } | { type: 'step2' | 'update'; update: Uint8Array };

export const PROTOCOL_VERSION = 1;
/** What this program speaks; docs/protocol.md says what each is. */
export const PROTOCOL_VERSIONS: readonly number[] = [PROTOCOL_VERSION];

/** The highest version that both speak, whichever of them asks; undefined when there is none. */
export function commonVersion(ours: readonly number[], theirs: readonly number[]): number | undefined {
  let best: number | undefined;
  for (const version of ours) if (theirs.includes(version) && version > (best ?? 0)) best = version;
  return best;
}
/** The WebSocket subprotocol; a token may travel in a second one with this prefix. */
export const SUBPROTOCOL = 'fieldbook.v1';
export const TOKEN_SUBPROTOCOL = 'fieldbook.token.';
/** And a ticket, which a relay gives to whoever is signed in: good for one socket. */
export const TICKET_SUBPROTOCOL = 'fieldbook.ticket.';

const KIND = {
  hello: 0,
  resume: 1,
  feed: 2,
  open: 3,
  sync: 4,
  ack: 5,
  refuse: 6,
  close: 7,
  cursor: 8,
  ephemeral: 9,
  ping: 10,
  pong: 11,
  proof: 12,
  losses: 13,
} as const;

const STEP_1 = 0;
const STEP_2 = 1;
const UPDATE = 2;

/** Bytes of the nonce in a greeting. */
export const NONCE_BYTES = 32;
/** Enough for every field with room for what newer versions say; bounds what a stranger makes us decode. */
const HELLO_BYTES = 16 * 1024;
/** A page of the feed; 512 names of 80 bytes are 40 kB. */
export const FEED_ENTRIES = 512;
/** More than any program puts into one page. */
const FEED_ENTRIES_MAX = 8 * FEED_ENTRIES;
/** Names of ours are 205 bytes at most; newer kinds of documents have room. */
export const NAME_BYTES = 1_024;
const CODE_BYTES = 256;
/** 500 characters are sent. */
const REASON_BYTES = 4_096;
/** A client and its clock are 13 bytes at most; a document has as many clients as admission lets in, and those of its own machine. */
export const STATE_VECTOR_BYTES = 16 * LIMITS.documentClients;
const STATE_VECTOR_CLIENTS = 2 * LIMITS.documentClients;

export function encodeFrame(frame: Frame): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, KIND[frame.kind]);
  switch (frame.kind) {
    case 'hello':
      encoding.writeUint8Array(encoder, encodeHello(frame.hello));
      break;
    case 'resume':
    case 'cursor':
      encoding.writeVarUint(encoder, frame.seq);
      if (frame.partial === true) encoding.writeUint8(encoder, 1);
      break;
    case 'feed':
      encoding.writeVarUint(encoder, frame.through);
      encoding.writeUint8(encoder, frame.more ? 1 : 0);
      encoding.writeVarUint(encoder, frame.entries.length);
      for (const { name, generation, seq } of frame.entries) {
        encoding.writeVarString(encoder, name);
        encoding.writeVarUint(encoder, generation);
        encoding.writeVarUint(encoder, seq);
      }
      break;
    case 'open':
      encoding.writeVarUint(encoder, frame.channel);
      encoding.writeVarString(encoder, frame.name);
      encoding.writeVarUint(encoder, frame.generation);
      break;
    case 'sync':
      encoding.writeVarUint(encoder, frame.channel);
      encoding.writeVarUint(encoder, frame.seq);
      writeSyncMessage(encoder, frame.message);
      break;
    case 'ack':
      encoding.writeVarUint(encoder, frame.channel);
      encoding.writeVarUint(encoder, frame.seq);
      break;
    case 'refuse':
      encoding.writeVarString(encoder, frame.name);
      encoding.writeVarUint(encoder, frame.seq);
      encoding.writeVarString(encoder, frame.code);
      encoding.writeVarString(encoder, frame.reason.slice(0, 500));
      break;
    case 'close':
      encoding.writeVarUint(encoder, frame.channel);
      break;
    case 'ephemeral':
      encoding.writeVarString(encoder, frame.name);
      encoding.writeVarUint8Array(encoder, frame.bytes);
      break;
    case 'ping':
    case 'pong':
      encoding.writeVarUint(encoder, frame.nonce);
      break;
    case 'proof':
      encoding.writeVarUint8Array(encoder, frame.publicKey);
      encoding.writeVarUint8Array(encoder, frame.signature);
      break;
    case 'losses':
      encoding.writeVarUint(encoder, frame.losses);
      break;
  }
  return encoding.toUint8Array(encoder);
}

/** The frame in a message; undefined for a kind of a newer version. Throws `protocol_violation` for anything broken. */
export function decodeFrame(message: Uint8Array): Frame | undefined {
  try {
    // Bytes after the last known field are a newer version's and are left unread.
    return readFrame(decoding.createDecoder(message));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new FieldbookError('protocol_violation', `A frame cannot be read: ${why}.`, { cause: error });
  }
}

function readFrame(decoder: decoding.Decoder): Frame | undefined {
  const number = () => decoding.readVarUint(decoder);
  // Names are parsed where they are used: a newer peer may list kinds of documents that we do not know.
  const name = () => readText(decoder, NAME_BYTES) as DocumentName;
  switch (number()) {
    case KIND.hello:
      return { kind: 'hello', hello: decodeHello(decoding.readTailAsUint8Array(decoder)) };
    case KIND.resume:
      return { kind: 'resume', seq: number(), ...readPartial(decoder) };
    case KIND.feed: {
      const through = number();
      const more = decoding.readUint8(decoder) !== 0;
      const entries: ListedDocument[] = [];
      const count = number();
      if (count > FEED_ENTRIES_MAX) throw new Error(`${count} entries in one page`);
      for (let left = count; left > 0; left--) entries.push({ name: name(), generation: number(), seq: number() });
      return { kind: 'feed', entries, through, more };
    }
    case KIND.open:
      return { kind: 'open', channel: number(), name: name(), generation: number() };
    case KIND.sync:
      return { kind: 'sync', channel: number(), seq: number(), message: readSyncMessage(decoder) };
    case KIND.ack:
      return { kind: 'ack', channel: number(), seq: number() };
    case KIND.refuse:
      return {
        kind: 'refuse',
        name: name(),
        seq: number(),
        code: readText(decoder, CODE_BYTES).slice(0, 64),
        reason: readText(decoder, REASON_BYTES).slice(0, 500),
      };
    case KIND.close:
      return { kind: 'close', channel: number() };
    case KIND.cursor:
      return { kind: 'cursor', seq: number(), ...readPartial(decoder) };
    case KIND.ephemeral:
      return { kind: 'ephemeral', name: name(), bytes: copy(decoding.readVarUint8Array(decoder)) };
    case KIND.ping:
      return { kind: 'ping', nonce: number() };
    case KIND.pong:
      return { kind: 'pong', nonce: number() };
    case KIND.proof: {
      const bytes = () => copy(decoding.readVarUint8Array(decoder));
      return { kind: 'proof', publicKey: bytes(), signature: bytes() };
    }
    case KIND.losses:
      return { kind: 'losses', losses: number() };
    default:
      return undefined;
  }
}

/** A text of at most so many bytes, looked at before any of it is decoded: the part of a string that is kept keeps all of it. */
function readText(decoder: decoding.Decoder, most: number): string {
  const start = decoder.pos;
  const length = decoding.readVarUint(decoder);
  if (length > most) throw new Error(`a text of ${length} bytes where ${most} are the most`);
  decoder.pos = start;
  return decoding.readVarString(decoder);
}

/** A side that takes everything says nothing of it, as all of them did once. */
function readPartial(decoder: decoding.Decoder): { partial?: true } {
  return decoding.hasContent(decoder) && decoding.readUint8(decoder) === 1 ? { partial: true } : {};
}

/** Writes one message of y-protocols/sync. */
export function writeSyncMessage(encoder: encoding.Encoder, message: SyncMessage): void {
  encoding.writeVarUint(encoder, message.type === 'step1' ? STEP_1 : message.type === 'step2' ? STEP_2 : UPDATE);
  encoding.writeVarUint8Array(encoder, message.type === 'step1' ? message.stateVector : message.update);
}

/**
 * Reads one message of y-protocols/sync; throws for anything else, and for a state vector of more clients than a document
 * may have. Unlike that package it applies nothing and swallows nothing. What is returned keeps no more than its own bytes in memory.
 */
export function readSyncMessage(decoder: decoding.Decoder): SyncMessage {
  const type = decoding.readVarUint(decoder);
  const bytes = decoding.readVarUint8Array(decoder);
  if (type === STEP_1) {
    // Decoding one costs milliseconds per 10,000 clients and nothing else happens meanwhile.
    const isTooLong =
      bytes.length > STATE_VECTOR_BYTES ||
      (bytes.length > 0 && decoding.readVarUint(decoding.createDecoder(bytes)) > STATE_VECTOR_CLIENTS);
    if (isTooLong) throw new Error('a state vector of more clients than a document may have');
    return { type: 'step1', stateVector: copy(bytes) };
  }
  if (type === STEP_2) return { type: 'step2', update: alone(bytes) };
  if (type === UPDATE) return { type: 'update', update: alone(bytes) };
  throw new Error(`unknown sync message ${type}`);
}

function encodeHello(hello: Hello): Uint8Array {
  const { role, nonce } = hello;
  // Programs that know two roles are told the one that they know; what it does not cover is refused with a reason.
  const known = role === null ? null : reaches(role, 'contributor') ? 'member' : 'viewer';
  return encodeRecord({
    v: [...hello.versions],
    r: hello.replica,
    d: hello.device,
    w: hello.workspace,
    n: hello.workspaceName,
    p: hello.program,
    a: known,
    ...(hello.time !== undefined && { t: hello.time }),
    ...(role === known ? {} : { x: role }),
    ...(nonce === undefined ? {} : { c: nonce }),
  });
}

function decodeHello(bytes: Uint8Array): Hello {
  const fields = decodeRecord(bytes, HELLO_BYTES, 'skipped');
  if (fields === undefined) throw new Error('a greeting of an unknown version');
  const text = (key: string): string => {
    const value = fields[key];
    if (typeof value !== 'string' || value.length === 0 || value.length > 256) throw new Error(`greeting field ${key}`);
    return value;
  };
  const { v, n, a, t, x, c } = fields;
  if (!Array.isArray(v) || v.length > 64 || !v.every((version) => typeof version === 'number')) {
    throw new Error('greeting field v');
  }
  return {
    versions: v,
    replica: text('r'),
    device: text('d'),
    workspace: text('w'),
    workspaceName: typeof n === 'string' ? n.slice(0, 512) : null,
    program: text('p'),
    role: isRole(x) ? x : a === 'member' || a === 'viewer' ? a : null,
    ...(typeof t === 'number' && Number.isFinite(t) && { time: t }),
    ...(c instanceof Uint8Array && c.length === NONCE_BYTES ? { nonce: copy(c) } : {}),
  };
}

/** Without a buffer that is much larger: what follows a field is skipped, and may be all of a message. */
function alone(bytes: Uint8Array): Uint8Array {
  return bytes.buffer.byteLength > bytes.length + bytes.length / 2 ? copy(bytes) : bytes;
}

/** A message's buffer may be large; what is kept must not keep all of it alive. */
function copy(bytes: Uint8Array): Uint8Array {
  return bytes.slice();
}
