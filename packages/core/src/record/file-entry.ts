import type { AttributePath, DeviceId, WriterId } from '../ids.ts';
import { parseDeviceId, parsePath, parseWriterId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { BlobDigest } from '../ports.ts';
import { parseDigest } from './digest.ts';
import type { FieldReader } from './fields.ts';
import type { ValueObject } from './value.ts';

/**
 * One version of a file at an attribute path, of the FILE record `ordinal`; or, with the kind `removed`, the removal of what was at
 * the path and below it, of an ATTRS record. The newest by time, writer, ordinal and place holds; the others are its history.
 * Key: `file/<writer>/<device>/<ordinal>`, of a removal `file/<writer>/<device>/<ordinal>.<place>`.
 *
 * `digest` null and `spool` not null: pending, the bytes lie in the spool folder of the device. Both null: only named (`source`),
 * or removed.
 */
export interface FileEntry {
  kind: 'file';
  writer: WriterId;
  device: DeviceId;
  ordinal: number;
  /** Index in the `del` of its record; null of a file. */
  place: number | null;
  path: AttributePath;
  /** As its writer calls it, without folders; '' of a removal. */
  name: string;
  /** Bytes; null when nobody knows them. */
  size: number | null;
  /** When it was said, ms since the epoch. */
  time: number;
  /** When the content was changed last, ms since the epoch. */
  modified: number | null;
  /** `file`, `model`, `data`, `source`, `environment`, `config`, `notebook`, `removed`, or of a newer version. */
  fileKind: string;
  mime: string | null;
  /** A JSON object as text. */
  meta: string | null;
  /** What the writer wants of its travel; null: as the agent is set up. */
  travel: 'now' | 'request' | 'never' | null;
  /** SHA-256 of the whole content, once its bytes are stored. */
  digest: BlobDigest | null;
  /** SHA-256 of the chunk list of a file of more than one chunk. */
  chunks: BlobDigest | null;
  /** Name in the spool folder of `writer` on `device`, until the bytes are stored. */
  spool: string | null;
  /** SHA-256 that the writer said before anybody stored the bytes. */
  expected: BlobDigest | null;
  /** Absolute path or URL of a file that is only named. */
  source: string | null;
  /** Why the bytes could not be stored. */
  failure: string | null;
  extra: ValueObject;
}

/** What was captured about the run in one section. Key: `capture/<writer>/<device>/<section>`. */
export interface CaptureEntry {
  kind: 'capture';
  writer: WriterId;
  device: DeviceId;
  /** Of the CAPTURE record. */
  ordinal: number;
  section: string;
  /** A JSON object as text. */
  data: string;
  extra: ValueObject;
}

/** A name in a writer's spool folder: never a path. */
export const SPOOL_NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,119}$/;
/** The name of a section of captures: a word. */
export const SECTION_NAME = /^[a-z][a-z0-9_-]{0,63}$/;
/** UTF-8 bytes of the JSON beside a file or an object. */
export const META_BYTES = 16 * 1024;
/** UTF-8 bytes of one section of captures: 512 KiB of data. */
export const CAPTURE_BYTES = 512 * 1024;
const SOURCE_BYTES = 4 * 1024;
const TRAVELS = ['now', 'request', 'never'] as const;

export function fileKey(entry: Pick<FileEntry, 'writer' | 'device' | 'ordinal' | 'place'>): string {
  return `file/${entry.writer}/${entry.device}/${entry.ordinal}${entry.place === null ? '' : `.${entry.place}`}`;
}

export function captureKey(entry: Pick<CaptureEntry, 'writer' | 'device' | 'section'>): string {
  return `capture/${entry.writer}/${entry.device}/${entry.section}`;
}

export function fileBody(entry: FileEntry): ValueObject {
  return {
    o: entry.ordinal,
    i: entry.place ?? undefined,
    p: entry.path,
    n: entry.name,
    z: entry.size ?? undefined,
    T: entry.time,
    M: entry.modified ?? undefined,
    y: entry.fileKind,
    Y: entry.mime ?? undefined,
    m: entry.meta ?? undefined,
    v: entry.travel ?? undefined,
    b: entry.digest ?? undefined,
    c: entry.chunks ?? undefined,
    q: entry.spool ?? undefined,
    e: entry.expected ?? undefined,
    u: entry.source ?? undefined,
    g: entry.failure ?? undefined,
  };
}

const FILE_FIELDS: ReadonlySet<string> = new Set('kwdoipnzTMyYmvbcqeug');

export function decodeFile(fields: FieldReader): FileEntry {
  const travel = fields.optionalString('v', 32);
  const spool = fields.optionalString('q', 120);
  const count = (key: string): number | null => (fields.optionalNumber(key) === null ? null : fields.count(key));
  return {
    kind: 'file',
    writer: fields.id('w', parseWriterId),
    device: fields.id('d', parseDeviceId),
    ordinal: fields.count('o'),
    place: count('i'),
    path: fields.id('p', parsePath),
    name: fields.string('n', LIMITS.nameBytes),
    size: count('z'),
    time: fields.number('T'),
    modified: fields.optionalNumber('M'),
    fileKind: fields.string('y', 64),
    mime: fields.optionalString('Y', 256),
    meta: fields.optionalString('m', META_BYTES),
    // A travel of a newer version is as if nothing had been said.
    travel: TRAVELS.find((known) => known === travel) ?? null,
    digest: fields.optionalId('b', parseDigest),
    chunks: fields.optionalId('c', parseDigest),
    spool: spool !== null && SPOOL_NAME.test(spool) ? spool : null,
    expected: fields.optionalId('e', parseDigest),
    source: fields.optionalString('u', SOURCE_BYTES),
    failure: fields.optionalString('g', LIMITS.attributeValueBytes),
    extra: fields.rest(FILE_FIELDS),
  };
}

export function captureBody(entry: CaptureEntry): ValueObject {
  return { o: entry.ordinal, s: entry.section, D: entry.data };
}

const CAPTURE_FIELDS: ReadonlySet<string> = new Set('kwdosD');

export function decodeCapture(fields: FieldReader): CaptureEntry {
  return {
    kind: 'capture',
    writer: fields.id('w', parseWriterId),
    device: fields.id('d', parseDeviceId),
    ordinal: fields.count('o'),
    section: fields.id('s', parseSection),
    data: fields.string('D', CAPTURE_BYTES),
    extra: fields.rest(CAPTURE_FIELDS),
  };
}

function parseSection(text: string): string {
  if (!SECTION_NAME.test(text)) throw new TypeError('not a word');
  return text;
}
