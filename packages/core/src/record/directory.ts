import { sha256 } from '@noble/hashes/sha2.js';
import { FieldbookError } from '../errors.ts';
import type { Hlc } from '../hlc.ts';
import { parseHlc } from '../hlc.ts';
import type { DeviceId, ProjectId } from '../ids.ts';
import { base32, parseDeviceId, parseEditId, parseProjectId, utf8 } from '../ids.ts';
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

/**
 * What somebody said of a saved view of a project: its name, what it shows, that it is taken away, that it is the one
 * the project opens with. A record says some of these; of each the highest clock holds, so that a new name and a new
 * content made apart both stay. Key in `x-views`: any unique id.
 */
export interface ViewRecord {
  kind: 'view';
  /** The view, minted by the record that made it. */
  view: string;
  project: ProjectId;
  name: string | null;
  /** The search part of the project page's address, as in `?q=status:running`. */
  search: string | null;
  removed: boolean | null;
  /** True: the project opens with it. False: with none. */
  usual: boolean | null;
  by: string;
  device: DeviceId;
  at: Hlc;
  extra: ValueObject;
}

/**
 * A page's address under a short id. Key in `x-links`: `linkId` of the address, so that nobody can make an id lead
 * elsewhere and two people who copy one address write one record.
 */
export interface LinkRecord {
  kind: 'link';
  /** Path and search of one of the UI's pages. */
  target: string;
  extra: ValueObject;
}

export type DirectoryRecord = BookRecord | DeviceRecord | WorkspaceNameRecord | ViewRecord | LinkRecord;

const KNOWN = new Set(['k', 't', 'c', 'd', 'r', 'n', 'P', 'y', 'h', 'i', 'p', 's', 'x', 'D']);
/** What the kinds of the first version had: their `extra` keeps every other field as it is. */
const FIRST = new Set(['k', 't', 'c', 'd', 'r', 'n', 'P', 'y', 'h']);

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
    case 'view':
      return checked(
        encodeRecord({
          ...record.extra,
          k: 'view',
          i: record.view,
          p: record.project,
          ...(record.name === null ? {} : { n: record.name }),
          ...(record.search === null ? {} : { s: record.search }),
          ...(record.removed === null ? {} : { x: record.removed }),
          ...(record.usual === null ? {} : { D: record.usual }),
          y: record.by,
          d: record.device,
          h: record.at,
        }),
        'The view',
      );
    case 'link':
      return checked(encodeRecord({ ...record.extra, k: 'link', t: record.target }), 'The link');
  }
}

/** What could not be read back is not written. */
function checked(bytes: Uint8Array, what: string): Uint8Array {
  const record = decodeDirectoryRecord(bytes);
  if (record === undefined) throw new FieldbookError('invalid_value', `${what} could not be read back.`);
  return bytes;
}

/** The id of an address: 60 bits of its SHA-256 as 12 base32 characters. */
export function linkId(target: string): string {
  return base32(sha256(utf8(target)).subarray(0, 8)).slice(0, 12);
}

/** Whether a text can be the path and search of a page: from the root of the site, and nowhere else. */
export function isPageAddress(text: string): boolean {
  return /^\/(?![/\\])[^\u0000-\u0020\u007f\\]*$/.test(text);
}

/** Throws `record_malformed`, `record_too_large`; undefined for a kind or version that this program does not know. */
export function decodeDirectoryRecord(bytes: Uint8Array): DirectoryRecord | undefined {
  const object = decodeRecord(bytes, LIMITS.editBytes);
  if (object === undefined) return undefined;
  const fields = new FieldReader(object, 'A directory record');
  const extra = fields.rest(object.k === 'view' || object.k === 'link' ? KNOWN : FIRST);
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
    case 'view':
      return {
        kind: 'view',
        view: fields.id('i', parseEditId),
        project: fields.id('p', parseProjectId),
        name: fields.optionalString('n', LIMITS.nameBytes),
        search: fields.optionalId('s', parseSearch),
        removed: fields.optionalFlag('x'),
        usual: fields.optionalFlag('D'),
        by: fields.string('y', LIMITS.nameBytes),
        device: fields.id('d', parseDeviceId),
        at: fields.id('h', parseHlc),
        extra,
      };
    case 'link':
      return { kind: 'link', target: fields.id('t', parseTarget), extra };
    default:
      return undefined;
  }
}

function parseSearch(text: string): string {
  if (text !== '' && !(text.startsWith('?') && isPageAddress(`/${text}`)))
    throw new FieldbookError('record_malformed', 'A view shows what is no part of an address.');
  if (text.length > LIMITS.addressLength)
    throw new FieldbookError('record_too_large', `A view's address has at most ${LIMITS.addressLength} characters.`);
  return text;
}

function parseTarget(text: string): string {
  if (!isPageAddress(text)) throw new FieldbookError('record_malformed', 'A link leads to what is no page.');
  if (text.length > LIMITS.addressLength)
    throw new FieldbookError('record_too_large', `A link's address has at most ${LIMITS.addressLength} characters.`);
  return text;
}
