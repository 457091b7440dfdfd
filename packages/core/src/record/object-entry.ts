import { FieldbookError } from '../errors.ts';
import type { DeviceId, WriterId } from '../ids.ts';
import { parseDeviceId, parseWriterId, utf8Length } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { BlobDigest } from '../ports.ts';
import { isDigest, packDigests, parseDigest, unpackDigests } from './digest.ts';
import type { FieldReader } from './fields.ts';
import { META_BYTES } from './file-entry.ts';
import type { Value, ValueObject } from './value.ts';

/** One row of a series whose values are not numbers: a text, a console line, an image. The columns of docs/formats/objects.md. */
export interface ObjectRow {
  path: string;
  step: number;
  /** Whole ms since the epoch. */
  time: number;
  kind: string;
  /** The text, or the data as JSON; '' of a file. */
  text: string;
  /** Of the blob with the file's bytes; '' when there is none. */
  digest: BlobDigest | '';
  /** Bytes of the file, or 0. */
  size: number;
  mime: string;
  name: string;
  /** A JSON object as text, or ''. */
  meta: string;
  /** Sequence number of the journal record, and the place within it. */
  ordinal: number;
  part: number;
}

/** Rows of a path of one kind in a segment, and the least and greatest of their steps. */
export interface ObjectCount {
  path: string;
  kind: string;
  rows: number;
  firstStep: number;
  lastStep: number;
}

/**
 * A sealed object segment: a Parquet blob with the object rows of the journal records `[first, last]` of one writer.
 * Key: `objects/<writer>/<device>/<first>`.
 */
export interface ObjectsEntry {
  kind: 'objects';
  writer: WriterId;
  device: DeviceId;
  /** First and last sequence number covered, inclusive; every object and console record between them is in the blob. */
  first: number;
  last: number;
  digest: BlobDigest;
  /** Bytes of the blob. */
  size: number;
  rows: number;
  /** ms since the epoch of the earliest and latest row. */
  startTime: number;
  endTime: number;
  paths: readonly ObjectCount[];
  /** Blobs of the files of its rows, each once, sorted: whoever moves or removes blobs need not open the segment. */
  files: readonly BlobDigest[];
  extra: ValueObject;
}

/**
 * Object rows not yet sealed. Key: `objecttail/<writer>/<device>/<slot>`; slots are reused. That of the slot `open` has the
 * lines that are still being written, and covers nothing.
 */
export interface ObjectTailEntry {
  kind: 'objecttail';
  writer: WriterId;
  device: DeviceId;
  first: number;
  last: number;
  rows: readonly ObjectRow[];
  extra: ValueObject;
}

/** UTF-8 bytes of the text of one row. */
export const ROW_TEXT_BYTES = 256 * 1024;
/** UTF-8 bytes of the name of a kind. */
export const KIND_BYTES = 64;
export const MIME_BYTES = 256;
/** A segment has at most 5,000 rows of ours; newer versions have room. */
const COUNTS_MAX = 20_000;

export function objectsKey(entry: Pick<ObjectsEntry, 'writer' | 'device' | 'first'>): string {
  return `objects/${entry.writer}/${entry.device}/${entry.first}`;
}

export function objectTailKey(writer: WriterId, device: DeviceId, slot: number | 'open'): string {
  return `objecttail/${writer}/${device}/${slot}`;
}

export function objectsBody(entry: ObjectsEntry): ValueObject {
  return {
    f: entry.first,
    l: entry.last,
    b: entry.digest,
    z: entry.size,
    n: entry.rows,
    s: entry.startTime,
    e: entry.endTime,
    P: entry.paths.flatMap(({ path, kind, rows, firstStep, lastStep }) => [path, kind, rows, firstStep, lastStep]),
    B: entry.files.length === 0 ? undefined : packDigests(entry.files),
  };
}

const OBJECTS_FIELDS: ReadonlySet<string> = new Set('kwdflbznsePB');

export function decodeObjects(fields: FieldReader): ObjectsEntry {
  const files = fields.bytes('B');
  return {
    kind: 'objects',
    writer: fields.id('w', parseWriterId),
    device: fields.id('d', parseDeviceId),
    ...covered(fields),
    digest: fields.id('b', parseDigest),
    size: fields.count('z'),
    rows: fields.count('n'),
    startTime: fields.number('s'),
    endTime: fields.number('e'),
    paths: decodeCounts(fields.array('P')),
    files: files === null ? [] : unpackDigests(files),
    extra: fields.rest(OBJECTS_FIELDS),
  };
}

function decodeCounts(array: Value[]): ObjectCount[] {
  if (array.length % 5 !== 0 || array.length > COUNTS_MAX * 5) throw broken('a broken list of paths');
  const counts: ObjectCount[] = [];
  for (let index = 0; index < array.length; index += 5) {
    const [path, kind, rows, firstStep, lastStep] = array.slice(index, index + 5);
    if (!isText(path, LIMITS.pathBytes) || !isText(kind, KIND_BYTES) || !isCount(rows)) {
      throw broken('a broken list of paths');
    }
    if (!isNumber(firstStep) || !isNumber(lastStep)) throw broken('a broken list of paths');
    counts.push({ path, kind, rows, firstStep, lastStep });
  }
  return counts;
}

export function objectTailBody(entry: ObjectTailEntry): ValueObject {
  return { f: entry.first, l: entry.last, r: entry.rows.map(encodeRow) };
}

const TAIL_FIELDS: ReadonlySet<string> = new Set('kwdflr');

export function decodeObjectTail(fields: FieldReader): ObjectTailEntry {
  return {
    kind: 'objecttail',
    writer: fields.id('w', parseWriterId),
    device: fields.id('d', parseDeviceId),
    ...covered(fields),
    rows: fields.array('r').map(decodeRow),
    extra: fields.rest(TAIL_FIELDS),
  };
}

function encodeRow(row: ObjectRow): Value[] {
  return [
    row.path,
    row.step,
    row.time,
    row.kind,
    row.text,
    row.digest,
    row.size,
    row.mime,
    row.name,
    row.meta,
    row.ordinal,
    row.part,
  ];
}

function decodeRow(value: Value): ObjectRow {
  // A newer version may add columns at the end.
  if (!Array.isArray(value) || value.length < 12) throw broken('a broken row');
  const [path, step, time, kind, text, digest, size, mime, name, meta, ordinal, part] = value;
  if (
    !isText(path, LIMITS.pathBytes) ||
    !isNumber(step) ||
    !isNumber(time) ||
    !isText(kind, KIND_BYTES) ||
    !isText(text, ROW_TEXT_BYTES) ||
    !(digest === '' || isDigest(digest)) ||
    !isCount(size) ||
    !isText(mime, MIME_BYTES) ||
    !isText(name, LIMITS.nameBytes) ||
    !isText(meta, META_BYTES) ||
    !isCount(ordinal) ||
    !isCount(part)
  ) {
    throw broken('a broken row');
  }
  return { path, step, time, kind, text, digest, size, mime, name, meta, ordinal, part };
}

function covered(fields: FieldReader): { first: number; last: number } {
  const first = fields.count('f');
  const last = fields.count('l');
  if (last < first) throw broken('a negative range');
  return { first, last };
}

function isText(value: Value, limitBytes: number): value is string {
  return typeof value === 'string' && utf8Length(value) <= limitBytes;
}

function isNumber(value: Value): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isCount(value: Value): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function broken(what: string): FieldbookError {
  return new FieldbookError('record_malformed', `An object entry has ${what}.`);
}
