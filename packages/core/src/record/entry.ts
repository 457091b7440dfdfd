import { FieldbookError } from '../errors.ts';
import type { AttributePath, DeviceId, WriterId } from '../ids.ts';
import { parseDeviceId, parseWriterId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { BlobDigest } from '../ports.ts';
import type { MetricSummary } from './card.ts';
import { decodeMetrics, encodeMetrics } from './card.ts';
import { isDigest, parseDigest } from './digest.ts';
import { FieldReader } from './fields.ts';
import type { CaptureEntry, FileEntry } from './file-entry.ts';
import { captureBody, decodeCapture, decodeFile, fileBody } from './file-entry.ts';
import type { ObjectsEntry, ObjectTailEntry } from './object-entry.ts';
import { decodeObjects, decodeObjectTail, objectsBody, objectTailBody } from './object-entry.ts';
import type { Value, ValueObject } from './value.ts';
import { decodeRecord, encodeRecord, isValueObject } from './value.ts';

/**
 * Entries of a run document's `entries` map. Each is written by one device for one writer, under
 * `<kind>/<writer>/<device>/<rest>`, so replicas never write the same key.
 */
export type Entry = SegmentEntry | TailEntry | WriterEntry | FileEntry | ObjectsEntry | ObjectTailEntry | CaptureEntry;

/** One coarse level of a segment: min, max, mean, first, last, count per `factor` points. */
export interface SegmentLevel {
  factor: number;
  digest: BlobDigest;
  size: number;
}

/**
 * A sealed segment: a Parquet blob with the points of the journal records `[first, last]` of one writer.
 * Key: `segment/<writer>/<device>/<first>`.
 */
export interface SegmentEntry {
  kind: 'segment';
  writer: WriterId;
  device: DeviceId;
  /** First and last sequence number covered, inclusive; every scalar record between them is in the blob. */
  first: number;
  last: number;
  digest: BlobDigest;
  /** Bytes of the blob. */
  size: number;
  /** Points in the blob. */
  points: number;
  /** ms since the epoch of the earliest and latest point. */
  startTime: number;
  endTime: number;
  levels: readonly SegmentLevel[];
  extra: ValueObject;
}

/**
 * Points not yet sealed, so that viewers see them live; removed in the transaction that adds the segment which
 * covers them. Key: `tail/<writer>/<device>/<slot>`; slots are reused. Columns are parallel; metrics index `names`.
 */
export interface TailEntry {
  kind: 'tail';
  writer: WriterId;
  device: DeviceId;
  first: number;
  last: number;
  names: readonly string[];
  /** Per point: index into `names`. */
  metric: Uint16Array;
  step: Float64Array;
  value: Float64Array;
  /** ms since the epoch. */
  time: Float64Array;
  /** Sequence number of the journal record. */
  ordinal: Float64Array;
  extra: ValueObject;
}

/**
 * Everything a writer said that is too long for its card: all attributes, environment, traceback, journal damage.
 * Key: `writer/<writer>/<device>`.
 */
export interface WriterEntry {
  kind: 'writer';
  writer: WriterId;
  device: DeviceId;
  ordinal: number;
  /** Attribute path → value, complete. */
  attributes: ValueObject;
  /** What the client captured about its process: argv, cwd, versions … */
  environment: ValueObject;
  exitCode: number | null;
  /** The signal that ended the writer or announced its end. */
  signal: number | null;
  /** What announced the end of a preempted writer. */
  reason: string | null;
  traceback: string | null;
  /** Records that a failing disk dropped (gap records) and journal bytes that could not be read. */
  dropped: number;
  damage: string | null;
  /**
   * Summaries of the writer's metrics under `sys/`: of the machine, not of the training. They are here and not on the card, which
   * every viewer of the project loads.
   */
  system: ReadonlyMap<AttributePath, MetricSummary>;
  extra: ValueObject;
}

export function segmentKey(entry: Pick<SegmentEntry, 'writer' | 'device' | 'first'>): string {
  return `segment/${entry.writer}/${entry.device}/${entry.first}`;
}

export function tailKey(writer: WriterId, device: DeviceId, slot: number): string {
  return `tail/${writer}/${device}/${slot}`;
}

export function writerKey(entry: Pick<WriterEntry, 'writer' | 'device'>): string {
  return `writer/${entry.writer}/${entry.device}`;
}

const KNOWN = new Set([
  'k',
  'w',
  'd',
  'f',
  'l',
  'b',
  'z',
  'n',
  's',
  'e',
  'L',
  'N',
  'M',
  'S',
  'V',
  'T',
  'O',
  'o',
  'a',
  'E',
  'x',
  't',
  'D',
  'g',
  'y',
  'i',
  'm',
]);

/** Bytes of an entry. Throws `record_too_large`. */
export function encodeEntry(entry: Entry): Uint8Array {
  const bytes = encodeRecord({ ...entry.extra, k: entry.kind, w: entry.writer, d: entry.device, ...body(entry) });
  if (bytes.length > LIMITS.entryBytes) {
    throw new FieldbookError(
      'record_too_large',
      `A ${entry.kind} entry has ${bytes.length} bytes; the limit is ${LIMITS.entryBytes}.`,
    );
  }
  return bytes;
}

/** An entry from its bytes; undefined for a kind or version that this program does not know. Throws `record_malformed`, `record_too_large`. */
export function decodeEntry(bytes: Uint8Array): Entry | undefined {
  const object = decodeRecord(bytes, LIMITS.entryBytes);
  if (object === undefined) return undefined;
  const fields = new FieldReader(object, 'An entry');
  const head = (): { writer: WriterId; device: DeviceId; extra: ValueObject } => ({
    writer: fields.id('w', parseWriterId),
    device: fields.id('d', parseDeviceId),
    extra: fields.rest(KNOWN),
  });
  switch (object.k) {
    case 'segment':
      return {
        kind: 'segment',
        ...head(),
        ...covered(fields),
        digest: fields.id('b', parseDigest),
        size: fields.count('z'),
        points: fields.count('n'),
        startTime: fields.number('s'),
        endTime: fields.number('e'),
        levels: fields.array('L').map(decodeLevel),
      };
    case 'tail':
      return decodeTail(fields, head());
    case 'writer':
      return {
        kind: 'writer',
        ...head(),
        ordinal: fields.count('o'),
        attributes: object_(fields.value('a')),
        environment: object_(fields.value('E')),
        exitCode: fields.optionalNumber('x'),
        signal: fields.optionalNumber('i'),
        reason: fields.optionalString('y', 1_024),
        traceback: fields.optionalString('t', LIMITS.entryBytes),
        dropped: fields.optionalNumber('D') ?? 0,
        damage: fields.optionalString('g', LIMITS.attributeValueBytes),
        system: decodeMetrics(fields.bytes('m')),
      };
    case 'file':
      return decodeFile(fields);
    case 'objects':
      return decodeObjects(fields);
    case 'objecttail':
      return decodeObjectTail(fields);
    case 'capture':
      return decodeCapture(fields);
    default:
      return undefined;
  }
}

function body(entry: Entry): ValueObject {
  switch (entry.kind) {
    case 'segment':
      return {
        f: entry.first,
        l: entry.last,
        b: entry.digest,
        z: entry.size,
        n: entry.points,
        s: entry.startTime,
        e: entry.endTime,
        L:
          entry.levels.length === 0 ? undefined : entry.levels.map((level) => [level.factor, level.digest, level.size]),
      };
    case 'tail':
      return {
        f: entry.first,
        l: entry.last,
        N: [...entry.names],
        M: bytesOf(entry.metric),
        S: bytesOf(entry.step),
        V: bytesOf(entry.value),
        T: bytesOf(entry.time),
        O: bytesOf(entry.ordinal),
      };
    case 'writer':
      return {
        o: entry.ordinal,
        a: entry.attributes,
        E: entry.environment,
        x: entry.exitCode ?? undefined,
        i: entry.signal ?? undefined,
        y: entry.reason ?? undefined,
        t: entry.traceback ?? undefined,
        D: entry.dropped === 0 ? undefined : entry.dropped,
        g: entry.damage ?? undefined,
        m: entry.system.size === 0 ? undefined : encodeMetrics(entry.system),
      };
    case 'file':
      return fileBody(entry);
    case 'objects':
      return objectsBody(entry);
    case 'objecttail':
      return objectTailBody(entry);
    case 'capture':
      return captureBody(entry);
  }
}

function covered(fields: FieldReader): { first: number; last: number } {
  const first = fields.count('f');
  const last = fields.count('l');
  if (last < first) throw new FieldbookError('record_malformed', 'An entry covers a negative range.');
  return { first, last };
}

function decodeLevel(value: Value): SegmentLevel {
  if (
    !Array.isArray(value) ||
    typeof value[0] !== 'number' ||
    typeof value[1] !== 'string' ||
    !isDigest(value[1]) ||
    typeof value[2] !== 'number'
  ) {
    throw new FieldbookError('record_malformed', 'An entry has a broken level.');
  }
  return { factor: value[0], digest: value[1], size: value[2] };
}

function decodeTail(fields: FieldReader, head: { writer: WriterId; device: DeviceId; extra: ValueObject }): TailEntry {
  const names = fields.strings('N', 65_536, LIMITS.pathBytes);
  const metric = new Uint16Array(bufferOf(fields.bytes('M'), 2));
  const columns = ['S', 'V', 'T', 'O'].map((key) => new Float64Array(bufferOf(fields.bytes(key), 8)));
  const [step, value, time, ordinal] = columns as [Float64Array, Float64Array, Float64Array, Float64Array];
  if (columns.some((column) => column.length !== metric.length) || metric.some((index) => index >= names.length)) {
    throw new FieldbookError('record_malformed', 'A tail entry has columns that do not fit together.');
  }
  return { kind: 'tail', ...head, ...covered(fields), names, metric, step, value, time, ordinal };
}

/** Little-endian, as every platform that runs a JavaScript engine is. */
function bytesOf(column: Uint16Array | Float64Array): Uint8Array {
  return new Uint8Array(column.buffer, column.byteOffset, column.byteLength);
}

function bufferOf(bytes: Uint8Array | null, elementSize: number): ArrayBuffer {
  if (bytes === null || bytes.length % elementSize !== 0) {
    throw new FieldbookError('record_malformed', 'A tail entry has a broken column.');
  }
  return bytes.slice().buffer as ArrayBuffer;
}

function object_(value: Value): ValueObject {
  return isValueObject(value) ? value : {};
}
