import type { Hlc } from '../hlc.ts';
import { parseHlc } from '../hlc.ts';
import type { DeviceId } from '../ids.ts';
import { parseDeviceId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { FieldReader } from './fields.ts';
import type { ValueObject } from './value.ts';
import { decodeRecord, encodeRecord } from './value.ts';

/** A line of the workspace's directory: this book exists. Key in `books`: `<project>/<yyyy-mm>`; the first display name wins the fold. */
export interface BookRecord {
  kind: 'book';
  /** The project's name as it was first typed, before normalisation. */
  title: string;
  /** ms since the epoch when this device first saw the book. */
  created: number;
  extra: ValueObject;
}

/** What a device says of itself. Key in `devices`: the device id; only that device writes it. */
export interface DeviceRecord {
  kind: 'device';
  device: DeviceId;
  /** `agent`, `browser` or `relay`. */
  role: string;
  /** The name people know the machine by. */
  name: string;
  /** Ed25519 public key, 32 bytes. */
  publicKey: Uint8Array;
  /** ms since the epoch. */
  created: number;
  extra: ValueObject;
}

/** The workspace's name. Key in `names`: any unique id; the highest clock wins the fold. */
export interface WorkspaceNameRecord {
  kind: 'workspace-name';
  name: string;
  by: string;
  device: DeviceId;
  at: Hlc;
  extra: ValueObject;
}

export type DirectoryRecord = BookRecord | DeviceRecord | WorkspaceNameRecord;

const KNOWN = new Set(['k', 't', 'c', 'd', 'r', 'n', 'P', 'y', 'h']);

export function encodeDirectoryRecord(record: DirectoryRecord): Uint8Array {
  switch (record.kind) {
    case 'book':
      return encodeRecord({ ...record.extra, k: 'book', t: record.title, c: record.created });
    case 'device':
      return encodeRecord({
        ...record.extra,
        k: 'device',
        d: record.device,
        r: record.role,
        n: record.name,
        P: record.publicKey,
        c: record.created,
      });
    case 'workspace-name':
      return encodeRecord({
        ...record.extra,
        k: 'workspace-name',
        n: record.name,
        y: record.by,
        d: record.device,
        h: record.at,
      });
  }
}

/** Throws `record_malformed`, `record_too_large`; undefined for a kind or version that this program does not know. */
export function decodeDirectoryRecord(bytes: Uint8Array): DirectoryRecord | undefined {
  const object = decodeRecord(bytes, LIMITS.editBytes);
  if (object === undefined) return undefined;
  const fields = new FieldReader(object, 'A directory record');
  const extra = fields.rest(KNOWN);
  switch (object.k) {
    case 'book':
      return { kind: 'book', title: fields.string('t', LIMITS.nameBytes), created: fields.number('c'), extra };
    case 'device':
      return {
        kind: 'device',
        device: fields.id('d', parseDeviceId),
        role: fields.string('r', 32),
        name: fields.string('n', LIMITS.nameBytes),
        publicKey: fields.bytes('P') ?? new Uint8Array(0),
        created: fields.number('c'),
        extra,
      };
    case 'workspace-name':
      return {
        kind: 'workspace-name',
        name: fields.string('n', LIMITS.nameBytes),
        by: fields.string('y', LIMITS.nameBytes),
        device: fields.id('d', parseDeviceId),
        at: fields.id('h', parseHlc),
        extra,
      };
    default:
      return undefined;
  }
}
