import type { AttributePath } from '../ids.ts';
import { utf8Length } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { BlobDigest } from '../ports.ts';
import { isDigest } from '../record/digest.ts';
import { CAPTURE_BYTES, META_BYTES, SECTION_NAME, SPOOL_NAME } from '../record/file-entry.ts';
import { KIND_BYTES, MIME_BYTES } from '../record/object-entry.ts';
import { JOURNAL } from './format.ts';
import type { Json, JsonObject, RecordBody } from './records.ts';
import { isObject, number, parseText, pathOf, text } from './records.ts';

/**
 * What minor 1 of the journal brought: files, objects, the console and captures. `is…` say whether a payload is what its type
 * says, as both languages judge it; `…Of` make of it what a run keeps, and undefined where something is beyond a limit.
 */
export const CONSOLE_STREAMS: Readonly<Record<number, string>> = { 1: 'stdout', 2: 'stderr', 3: 'output' };
/** `open`: an unfinished line, which the next record of the stream replaces. `gap`: a notice of what was left out. */
export const CONSOLE_FLAGS = { open: 1, gap: 2 } as const;

export function isFile(data: JsonObject): boolean {
  const { path, name, spool } = data;
  return typeof path === 'string' && typeof name === 'string' && (isNone(spool) || isSpooled(spool));
}

export function isObjectRecord(data: JsonObject): boolean {
  const { path, kind, step, file, text: said } = data;
  if (typeof path !== 'string' || typeof kind !== 'string') return false;
  if (typeof step !== 'number' || !Number.isFinite(step)) return false;
  if (!isNone(file) && !(isObject(file) && isSpooled(file.spool))) return false;
  if (kind === 'text' && typeof said !== 'string') return false;
  return typeof said !== 'string' || utf8Length(said) <= JOURNAL.textBytes;
}

export function isCapture(data: JsonObject): boolean {
  return typeof data.section === 'string' && SECTION_NAME.test(data.section) && isObject(data.data);
}

/** CONSOLE from `bytes[start, end)`; undefined when it is malformed. */
export function decodeConsole(bytes: Uint8Array, view: DataView, start: number, end: number): RecordBody | undefined {
  if (end - start < 10 || end - start - 10 > JOURNAL.consoleBytes) return undefined;
  const stream = bytes[start + 8]!;
  if (CONSOLE_STREAMS[stream] === undefined) return undefined;
  const said = parseText(bytes.subarray(start + 10, end));
  if (said === undefined) return undefined;
  return { type: 'CONSOLE', time: view.getFloat64(start, true), stream, flags: bytes[start + 9]!, text: said };
}

export interface FileRecord {
  /** ms since the epoch; null when the record does not say. */
  time: number | null;
  path: AttributePath;
  name: string;
  /** Name in the writer's spool folder; null of a file that is only named. */
  spool: string | null;
  size: number | null;
  modified: number | null;
  digest: BlobDigest | null;
  mime: string | null;
  kind: string;
  /** A JSON object as text. */
  meta: string | null;
  travel: 'now' | 'request' | 'never' | null;
  source: string | null;
}

/** FILE; undefined when its path cannot be one. What is beyond a limit is left out or cut. */
export function fileOf(data: JsonObject): FileRecord | undefined {
  const path = pathOf(text(data.path) ?? '');
  if (path === undefined) return undefined;
  const { travel } = data;
  return {
    time: number(data.time),
    path,
    name: within(text(data.name), LIMITS.nameBytes) ?? lastPart(path),
    spool: isSpooled(data.spool) ? (data.spool as string) : null,
    size: countOf(data.size),
    modified: number(data.mtime),
    digest: isDigest(data.sha256) ? data.sha256 : null,
    mime: within(text(data.mime), MIME_BYTES),
    kind: within(text(data.kind), KIND_BYTES) ?? 'file',
    meta: metaOf(data.meta),
    travel: travel === 'now' || travel === 'request' || travel === 'never' ? travel : null,
    source: within(text(data.source), LIMITS.attributeValueBytes),
  };
}

/** The file of an object: always with its digest, and small enough to be one blob. */
export interface ObjectFile {
  spool: string;
  name: string;
  size: number;
  mime: string;
  digest: BlobDigest;
}

export interface ObjectRecord {
  time: number | null;
  path: AttributePath;
  step: number;
  kind: string;
  /** The text, or the data as JSON; '' of a file. */
  text: string;
  file: ObjectFile | null;
  /** A JSON object as text, or ''. */
  meta: string;
}

/** OBJECT; undefined when it is beyond the limits or has nothing to show. */
export function objectOf(data: JsonObject): ObjectRecord | undefined {
  const path = pathOf(text(data.path) ?? '');
  const kind = within(text(data.kind), KIND_BYTES);
  if (path === undefined || kind === null || kind === '') return undefined;
  const file = isObject(data.file) ? objectFileOf(data.file) : null;
  const said = text(data.text) ?? (isNone(data.data) ? '' : JSON.stringify(data.data));
  if (file === undefined || utf8Length(said) > JOURNAL.textBytes) return undefined;
  if (file === null && said === '' && kind !== 'text') return undefined;
  return {
    time: number(data.time),
    path,
    step: data.step as number,
    kind,
    text: said,
    file,
    meta: metaOf(data.meta) ?? '',
  };
}

function objectFileOf(data: JsonObject): ObjectFile | undefined {
  const { spool, sha256 } = data;
  const size = countOf(data.size);
  if (!isSpooled(spool) || !isDigest(sha256) || size === null || size > LIMITS.blobBytes) return undefined;
  return {
    spool: spool as string,
    name: within(text(data.name), LIMITS.nameBytes) ?? '',
    size,
    mime: within(text(data.mime), MIME_BYTES) ?? '',
    digest: sha256,
  };
}

export interface CaptureRecord {
  time: number | null;
  section: string;
  /** A JSON object as text. */
  data: string;
}

/** CAPTURE; undefined when its data are too many. */
export function captureOf(data: JsonObject): CaptureRecord | undefined {
  const json = JSON.stringify(data.data);
  if (utf8Length(json) > CAPTURE_BYTES) return undefined;
  return { time: number(data.time), section: data.section as string, data: json };
}

function metaOf(value: Json | undefined): string | null {
  return isObject(value) ? within(JSON.stringify(value), META_BYTES) : null;
}

function within(value: string | null, limitBytes: number): string | null {
  return value !== null && utf8Length(value) <= limitBytes ? value : null;
}

function countOf(value: Json | undefined): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null;
}

function isSpooled(value: Json | undefined): boolean {
  return typeof value === 'string' && SPOOL_NAME.test(value);
}

function isNone(value: Json | undefined): boolean {
  return value === undefined || value === null;
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
