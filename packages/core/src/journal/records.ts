import type { AttributePath } from '../ids.ts';
import { parsePath } from '../ids.ts';
import type { AttributeValue } from '../record/attribute.ts';
import { decodeConsole, isCapture, isFile, isObjectRecord } from './attachments.ts';
import { JOURNAL, TYPE } from './format.ts';

/** What JSON gives. */
export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** A record other than points. All times are ms since the epoch. */
export type JournalRecord = { sequence: number; offset: number } & RecordBody;

export type RecordBody =
  | { type: 'META'; data: JsonObject }
  | { type: 'DECLARE'; names: readonly (readonly [number: number, path: string])[] }
  | { type: 'ATTRS' | 'TAGS' | 'STATUS' | 'GAP' | 'CLOSE' | 'FILE' | 'OBJECT' | 'CAPTURE'; data: JsonObject }
  | { type: 'CONSOLE'; time: number; stream: number; flags: number; text: string }
  | { type: 'HEARTBEAT'; time: number }
  | { type: 'ROTATED'; time: number; number: number }
  /** Written by a newer version. */
  | { type: 'unknown'; code: number; size: number }
  /** Validated, but its payload is not what its type says. */
  | { type: 'malformed'; code: number };

type JsonType = 'META' | 'ATTRS' | 'TAGS' | 'STATUS' | 'GAP' | 'CLOSE' | 'FILE' | 'OBJECT' | 'CAPTURE';

const JSON_TYPES: Readonly<Record<number, JsonType>> = {
  [TYPE.META]: 'META',
  [TYPE.ATTRS]: 'ATTRS',
  [TYPE.TAGS]: 'TAGS',
  [TYPE.STATUS]: 'STATUS',
  [TYPE.GAP]: 'GAP',
  [TYPE.CLOSE]: 'CLOSE',
  [TYPE.FILE]: 'FILE',
  [TYPE.OBJECT]: 'OBJECT',
  [TYPE.CAPTURE]: 'CAPTURE',
};

/** What a reader cannot do without must be there; the rest is checked where it is used. */
function isSound(type: JsonType, data: JsonObject, size: number): boolean {
  switch (type) {
    case 'FILE':
      return isFile(data);
    case 'OBJECT':
      return isObjectRecord(data);
    case 'CAPTURE':
      return size <= JOURNAL.captureBytes && isCapture(data);
    default:
      return true;
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The body of any record but SCALARS and STEPPED, whose payload is `bytes[start, end)`. Never throws. */
export function decodeBody(code: number, bytes: Uint8Array, view: DataView, start: number, end: number): RecordBody {
  const size = end - start;
  const json = JSON_TYPES[code];
  if (json !== undefined) {
    const data = parseObject(bytes.subarray(start, end));
    return data === undefined || !isSound(json, data, size) ? { type: 'malformed', code } : { type: json, data };
  }
  switch (code) {
    case TYPE.DECLARE: {
      const names = decodeNames(bytes, view, start, end);
      return names === undefined ? { type: 'malformed', code } : { type: 'DECLARE', names };
    }
    case TYPE.HEARTBEAT:
      return size === 8 ? { type: 'HEARTBEAT', time: view.getFloat64(start, true) } : { type: 'malformed', code };
    case TYPE.ROTATED:
      return size === 12
        ? { type: 'ROTATED', time: view.getFloat64(start, true), number: view.getUint32(start + 8, true) }
        : { type: 'malformed', code };
    case TYPE.CONSOLE:
      return decodeConsole(bytes, view, start, end) ?? { type: 'malformed', code };
    default:
      return { type: 'unknown', code, size };
  }
}

function decodeNames(bytes: Uint8Array, view: DataView, start: number, end: number): [number, string][] | undefined {
  const names: [number, string][] = [];
  for (let position = start; position < end;) {
    if (position + 6 > end) return undefined;
    const number = view.getUint32(position, true);
    const size = view.getUint16(position + 4, true);
    position += 6;
    if (position + size > end || size > JOURNAL.pathBytes || number >= JOURNAL.metricLimit) return undefined;
    const path = parseText(bytes.subarray(position, position + size));
    if (path === undefined) return undefined;
    names.push([number, path]);
    position += size;
  }
  return names;
}

/** UTF-8 as text; undefined when it is not that. */
export function parseText(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

function parseObject(bytes: Uint8Array): JsonObject | undefined {
  try {
    const value = JSON.parse(decoder.decode(bytes)) as Json;
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** META, with every key of the wrong kind read as null: the journal stays usable whatever its writer put there. */
export interface JournalMeta {
  project: string | null;
  projectId: string | null;
  run: string | null;
  writer: string | null;
  created: number | null;
  name: string | null;
  group: string | null;
  notes: string | null;
  tags: readonly string[];
  parent: string | null;
  forked: boolean;
  host: string | null;
  user: string | null;
  pid: number | null;
  pidStart: number | null;
  boot: string | null;
  pidNs: number | null;
  lock: string | null;
  heartbeat: number | null;
  rank: number | null;
  /** `system`: a companion that captures and samples for another writer. */
  role: string | null;
  /** Everything, as it was written. */
  all: JsonObject;
}

export function metaOf(data: JsonObject): JournalMeta {
  const parent = data.parent;
  return {
    project: text(data.project),
    projectId: text(data.project_id),
    run: text(data.run),
    writer: text(data.writer),
    created: number(data.created),
    name: text(data.name),
    group: text(data.group),
    notes: text(data.notes),
    tags: texts(data.tags),
    parent: isObject(parent) ? text(parent.writer) : null,
    forked: data.forked === true,
    host: text(data.host),
    user: text(data.user),
    pid: number(data.pid),
    pidStart: number(data.pid_start),
    boot: text(data.boot),
    pidNs: number(data.pid_ns),
    lock: text(data.lock),
    heartbeat: number(data.heartbeat),
    rank: number(data.rank),
    role: text(data.role),
    all: data,
  };
}

export interface AttributeChange {
  time: number | null;
  set: ReadonlyMap<AttributePath, AttributeValue>;
  /** Each removes the path and everything below it, before `set`. */
  del: readonly AttributePath[];
  /** Paths that are not usable and values of a kind this program does not know. */
  refused: number;
}

/** ATTRS. Integers beyond 2^53 come as strings of digits: an attribute shows them, nothing calculates with them. */
export function attributesOf(data: JsonObject): AttributeChange {
  const set = new Map<AttributePath, AttributeValue>();
  let refused = 0;
  for (const [key, json] of Object.entries(isObject(data.set) ? data.set : {})) {
    const path = pathOf(key);
    const value = attributeValue(json);
    if (path === undefined || value === undefined) refused++;
    else set.set(path, value);
  }
  const del: AttributePath[] = [];
  for (const key of texts(data.del)) {
    const path = pathOf(key);
    if (path === undefined) refused++;
    else del.push(path);
  }
  return { time: number(data.time), set, del, refused };
}

export interface TagChange {
  time: number | null;
  add: readonly string[];
  remove: readonly string[];
}

export function tagsOf(data: JsonObject): TagChange {
  return { time: number(data.time), add: texts(data.add), remove: texts(data.remove) };
}

export interface GapRecord {
  time: number | null;
  records: number;
  points: number;
  reason: string;
}

export function gapOf(data: JsonObject): GapRecord {
  return {
    time: number(data.time),
    records: number(data.records) ?? 0,
    points: number(data.points) ?? 0,
    reason: text(data.reason) ?? 'unknown',
  };
}

export interface CloseRecord {
  time: number | null;
  status: 'finished' | 'failed' | 'preempted';
  exitCode: number | null;
  signal: number | null;
  error: string | null;
  traceback: string | null;
  /** Points lost in all gaps of the writer. */
  dropped: number;
}

export function closeOf(data: JsonObject): CloseRecord {
  return {
    time: number(data.time),
    status: data.status === 'finished' || data.status === 'preempted' ? data.status : 'failed',
    exitCode: number(data.exit_code),
    signal: number(data.signal),
    error: text(data.error),
    traceback: text(data.traceback),
    dropped: number(data.dropped) ?? 0,
  };
}

function attributeValue(json: Json): AttributeValue | undefined {
  if (json === null || typeof json === 'string' || typeof json === 'number' || typeof json === 'boolean') return json;
  if (Array.isArray(json)) return json.every((item) => typeof item === 'string') ? json : undefined;
  const keys = Object.keys(json);
  if (keys.length !== 1) return undefined;
  if (json.f === 'nan') return NaN;
  if (json.f === 'inf') return Infinity;
  if (json.f === '-inf') return -Infinity;
  if (typeof json.i === 'string' && /^-?\d{1,400}$/.test(json.i)) return json.i;
  if (typeof json.t === 'number') return { time: json.t };
  return undefined;
}

export function pathOf(key: string): AttributePath | undefined {
  try {
    return parsePath(key);
  } catch {
    return undefined;
  }
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function text(value: Json | undefined): string | null {
  return typeof value === 'string' ? value : null;
}

export function number(value: Json | undefined): number | null {
  return typeof value === 'number' ? value : null;
}

function texts(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
