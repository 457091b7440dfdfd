import { sha256 } from '@noble/hashes/sha2.js';
import * as Y from 'yjs';
import { FieldbookError } from '../errors.ts';
import type { DeviceId } from '../ids.ts';
import { utf8 } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { Value } from './value.ts';
import { decodeRecord, encodeRecord } from './value.ts';

/** The map of every document in which rebuildings of it are noted. */
export const REPAIRS = 'x-repairs';

/** What a late replica has to know of one rebuilding, in pieces of bounded size. */
export interface Repair {
  /** Generations before and after. */
  from: number;
  to: number;
  /** ms since the epoch. */
  time: number;
  /** Where it was done, or `compaction` in `reason`. */
  device: DeviceId;
  reason: string;
  /** How far the document had each Yjs client: what lies below and is not in the new one was left out knowingly. */
  seen: ReadonlyMap<number, number>;
  /** Nothing that these clients wrote, or of these devices, comes back. */
  clients: readonly number[];
  devices: readonly string[];
  /** Nor any of these records: `removalDigest`s in hexadecimal. */
  removed: ReadonlySet<string>;
}

const DIGEST_BYTES = 8;
/** Digests in one record; with the rest it stays below `LIMITS.entryBytes`. */
const DIGESTS = 50_000;
/** Clients in one record. */
const CLIENTS = 50_000;

/** Names a record that was removed, by where it was and what it said. */
export function removalDigest(map: string, key: string, bytes: Uint8Array): string {
  const head = utf8(`${map}\0${key}\0`);
  const all = new Uint8Array(head.length + bytes.length);
  all.set(head);
  all.set(bytes, head.length);
  return hex(sha256(all).subarray(0, DIGEST_BYTES));
}

/** The records of one rebuilding, by key. */
export function encodeRepair(repair: Repair): Map<string, Uint8Array> {
  const { from, to, time, device, reason, clients, devices } = repair;
  const seen = [...repair.seen];
  const removed = [...repair.removed];
  const pieces = Math.max(1, Math.ceil(seen.length / CLIENTS), Math.ceil(removed.length / DIGESTS));
  const records = new Map<string, Uint8Array>();
  for (let piece = 0; piece < pieces; piece++) {
    const vector = Y.encodeStateVector(new Map(seen.slice(piece * CLIENTS, (piece + 1) * CLIENTS)));
    const digests = removed.slice(piece * DIGESTS, (piece + 1) * DIGESTS);
    const x = new Uint8Array(digests.length * DIGEST_BYTES);
    for (const [index, digest] of digests.entries()) x.set(unhex(digest), index * DIGEST_BYTES);
    const head = piece === 0 ? { c: [...clients], s: [...devices] } : {};
    records.set(
      `${to}/${piece}`,
      encodeRecord({ k: 'repair', f: from, t: time, d: device, r: reason, v: vector, x, ...head }),
    );
  }
  return records;
}

/** Whether bytes are a piece of a rebuilding that belongs under `key`. Throws `record_*`. */
export function isRepairPiece(key: string, bytes: Uint8Array): boolean {
  const [to, piece, more] = key.split('/');
  if (more !== undefined || !/^\d{1,16}$/.test(to ?? '') || !/^\d{1,4}$/.test(piece ?? '')) return false;
  const fields = decodeRecord(bytes, LIMITS.entryBytes);
  if (fields === undefined) return true;
  if (fields['k'] !== 'repair' || typeof fields['f'] !== 'number') return false;
  readPiece(fields);
  return true;
}

/** All rebuildings that a document notes, in no order. Pieces that cannot be read are left out. */
export function readRepairs(doc: Y.Doc): Repair[] {
  const repairs = new Map<number, Repair>();
  for (const [key, bytes] of doc.getMap<Uint8Array>(REPAIRS).entries()) {
    try {
      const fields = decodeRecord(bytes, LIMITS.entryBytes);
      if (fields === undefined || !isRepairPiece(key, bytes)) continue;
      const to = Number(key.slice(0, key.indexOf('/')));
      const piece = readPiece(fields);
      const before = repairs.get(to);
      repairs.set(to, {
        from: Number(fields['f']),
        to,
        time: Number(fields['t'] ?? 0),
        device: textOf(fields['d']) as DeviceId,
        reason: textOf(fields['r']),
        seen: new Map([...(before?.seen ?? []), ...piece.seen]),
        clients: [...(before?.clients ?? []), ...piece.clients],
        devices: [...(before?.devices ?? []), ...piece.devices],
        removed: new Set([...(before?.removed ?? []), ...piece.removed]),
      });
    } catch (error) {
      if (!(error instanceof FieldbookError)) throw error;
    }
  }
  return [...repairs.values()];
}

function readPiece(
  fields: NonNullable<ReturnType<typeof decodeRecord>>,
): Pick<Repair, 'seen' | 'clients' | 'devices' | 'removed'> {
  const { v, c = [], s = [], x } = fields;
  const broken = (): FieldbookError => new FieldbookError('record_malformed', 'A note of a repair is broken.');
  if (!(v instanceof Uint8Array) || !(x instanceof Uint8Array) || x.length % DIGEST_BYTES !== 0) throw broken();
  if (!Array.isArray(c) || !c.every((one) => typeof one === 'number')) throw broken();
  if (!Array.isArray(s) || !s.every((one) => typeof one === 'string')) throw broken();
  let seen: Map<number, number>;
  try {
    seen = Y.decodeStateVector(v);
  } catch {
    throw broken();
  }
  const removed = new Set<string>();
  for (let at = 0; at < x.length; at += DIGEST_BYTES) removed.add(hex(x.subarray(at, at + DIGEST_BYTES)));
  return { seen, clients: c, devices: s, removed };
}

function textOf(value: Value): string {
  return typeof value === 'string' ? value : '';
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function unhex(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length / 2 }, (_, index) =>
    Number.parseInt(text.slice(index * 2, index * 2 + 2), 16),
  );
}
