import { FieldbookError } from '../errors.ts';
import type { AttributePath, WriterId } from '../ids.ts';
import { parseRunId, projectIdOf, utf8 } from '../ids.ts';
import type { JsonObject } from '../journal/index.ts';
import { metaOf } from '../journal/index.ts';
import type { BatchOperation } from '../ports.ts';
import type { RunStatus, Value, ValueObject } from '../record/index.ts';
import { decodeRecord, encodeRecord, isValueObject } from '../record/index.ts';
import { attributeFromValue, attributeToValue, jsonToValue } from './card.ts';
import { MetricTable } from './metric-table.ts';
import type { ObjectMark } from './object-keeper.ts';
import type { FilePosition } from './writer-state.ts';
import { WriterState } from './writer-state.ts';

/**
 * A writer's state as kept under `x/ingest/w/<writer>`, in the same batch as the run document's change. Everything before its
 * position is in segments and tail entries; the unsealed points themselves are in the tail entries and not repeated here.
 */
export interface SavedWriter {
  state: WriterState;
  position: FilePosition;
  /** Tail slots in use, 0 … n − 1. */
  tailSlots: number;
  /** Points in those slots. */
  tailPoints: number;
  /** The same of object rows. */
  objects: ObjectMark;
}

/** How far a writer is, under `x/ingest/f/<writer>`: small, because all of them are read at every start. */
export interface Progress {
  file: number;
  offset: number;
  /** Nothing more is to be done unless a file grows. */
  done: boolean;
  purged: boolean;
}

/** When a writer's card was written last and what it said, under `x/ingest/c/<writer>`. */
export interface CardMark {
  at: number;
  wait: number;
  detailWait: number;
  ordinal: number;
  status: string;
  details: number;
}

/** Ours alone, never from a peer: the bound is against a damaged store, and holds a million metrics. */
const SAVED_BYTES_MAX = 256 * 1024 * 1024;

export const stateKey = (writer: WriterId): string => `ingest/w/${writer}`;
export const progressKey = (writer: WriterId): string => `ingest/f/${writer}`;
export const cardMarkKey = (writer: WriterId): string => `ingest/c/${writer}`;
export const PROGRESS_PREFIX = 'ingest/f/';

/** One of the keys above, for the batch of a transaction. */
export function putPrivate(key: string, value: Uint8Array): BatchOperation {
  return { type: 'put', key: utf8(`x/${key}`), value };
}

export function encodeSaved({ state, position, tailSlots, tailPoints, objects }: SavedWriter): Uint8Array {
  const metrics = state.metrics.save();
  const slots = new Map<string, number>(state.metrics.names.map((name, slot) => [name, slot]));
  const declared = position.names.flatMap(([number, path]) => {
    const slot = slots.get(path);
    return slot === undefined ? [] : [number, slot];
  });
  return encodeRecord({
    W: state.writer,
    R: state.run,
    T: state.title,
    M: state.meta === null ? null : jsonToValue(state.meta.all),
    c: state.created,
    u: state.updated,
    s: state.status,
    e: state.ended,
    C: state.closed,
    x: state.exitCode,
    i: state.signal,
    y: state.reason,
    t: state.traceback,
    D: state.dropped,
    g: state.damage,
    n: state.name,
    G: state.group,
    N: state.notes,
    k: [...state.tags],
    a: Object.fromEntries([...state.attributes].map(([path, value]) => [path, attributeToValue(value)])),
    m: metrics.names,
    S: metrics.summaries,
    o: state.next,
    f: state.coverFrom,
    h: state.details,
    F: position.file,
    O: position.offset,
    Q: position.sequence,
    z: position.nonce,
    d: new Uint8Array(Uint32Array.from(declared).buffer),
    L: tailSlots,
    P: tailPoints,
    p: state.preempted ? true : undefined,
    X: state.removed.size === 0 ? undefined : [...state.removed],
    A: state.attachments.count === 0 ? undefined : state.attachments.count,
    K: state.attachments.sections.size === 0 ? undefined : [...state.attachments.sections],
    B: { f: state.objectsFrom, s: objects.slots, n: objects.rows, o: objects.open, l: Object.fromEntries(state.lines) },
  });
}

/** Throws `store_corrupt` when the bytes are not what `encodeSaved` made. */
export function decodeSaved(bytes: Uint8Array): SavedWriter {
  try {
    const saved = decodeRecord(bytes, SAVED_BYTES_MAX);
    if (saved === undefined) throw new TypeError('an unknown version');
    const state = new WriterState(string(saved.W) as WriterId);
    const meta = saved.M ?? null;
    state.meta = isValueObject(meta) ? metaOf(meta as JsonObject) : null;
    state.title = string(saved.T);
    if (typeof saved.R === 'string') {
      state.run = parseRunId(saved.R);
      state.project = projectIdOf(state.title);
    }
    state.created = number(saved.c);
    state.updated = number(saved.u);
    state.status = string(saved.s) as RunStatus;
    state.ended = numberOrNull(saved.e);
    state.closed = saved.C === true;
    state.exitCode = numberOrNull(saved.x);
    state.signal = numberOrNull(saved.i);
    state.reason = stringOrNull(saved.y);
    state.traceback = stringOrNull(saved.t);
    state.dropped = number(saved.D);
    state.damage = stringOrNull(saved.g);
    state.name = stringOrNull(saved.n);
    state.group = stringOrNull(saved.G);
    state.notes = stringOrNull(saved.N);
    for (const tag of array(saved.k)) state.tags.add(string(tag));
    for (const [path, value] of Object.entries(saved.a as ValueObject)) {
      state.attributes.set(path as AttributePath, attributeFromValue(value));
    }
    state.metrics = MetricTable.load(string(saved.m), binary(saved.S));
    state.next = number(saved.o);
    state.coverFrom = number(saved.f);
    state.details = number(saved.h);
    const declared = new Uint32Array(binary(saved.d).slice().buffer);
    const names: [number, string][] = [];
    for (let index = 0; index < declared.length; index += 2) {
      names.push([declared[index]!, state.metrics.names[declared[index + 1]!]!]);
    }
    const position: FilePosition = {
      file: number(saved.F),
      offset: number(saved.O),
      sequence: number(saved.Q),
      nonce: binary(saved.z),
      names,
    };
    state.preempted = saved.p === true;
    for (const path of array(saved.X)) state.removed.add(string(path) as AttributePath);
    state.attachments.count = numberOrNull(saved.A) ?? 0;
    for (const section of array(saved.K)) state.attachments.sections.add(string(section));
    const objects = decodeObjects(state, saved.B);
    return { state, position, tailSlots: number(saved.L), tailPoints: number(saved.P), objects };
  } catch (error) {
    throw new FieldbookError('store_corrupt', 'What was kept of a journal being taken in is damaged.', {
      cause: error,
    });
  }
}

/** What is kept of object rows. An older program kept nothing and took none in, so nothing before its position is covered. */
function decodeObjects(state: WriterState, value: Value): ObjectMark {
  if (value === undefined) {
    state.objectsFrom = state.next;
    return { slots: 0, rows: 0, open: false };
  }
  if (!isValueObject(value) || !isValueObject(value.l)) throw new TypeError('not what was kept of objects');
  state.objectsFrom = number(value.f);
  for (const [path, lines] of Object.entries(value.l)) state.lines.set(path, number(lines));
  return { slots: number(value.s), rows: number(value.n), open: value.o === true };
}

export function encodeProgress({ file, offset, done, purged }: Progress): Uint8Array {
  return encodeRecord({ f: file, o: offset, d: done ? true : undefined, p: purged ? true : undefined });
}

/** Undefined when it cannot be read: the writer is then looked at in full. */
export function decodeProgress(bytes: Uint8Array): Progress | undefined {
  const saved = tryDecode(bytes);
  if (saved === undefined || typeof saved.f !== 'number' || typeof saved.o !== 'number') return undefined;
  return { file: saved.f, offset: saved.o, done: saved.d === true, purged: saved.p === true };
}

export function encodeCardMark(mark: CardMark): Uint8Array {
  return encodeRecord({ ...mark });
}

/** Undefined when it cannot be read: the card is then written again. */
export function decodeCardMark(bytes: Uint8Array): CardMark | undefined {
  const saved = tryDecode(bytes);
  if (saved === undefined) return undefined;
  try {
    return {
      at: number(saved.at),
      wait: number(saved.wait),
      detailWait: number(saved.detailWait),
      ordinal: number(saved.ordinal),
      status: string(saved.status),
      details: number(saved.details),
    };
  } catch {
    return undefined;
  }
}

function tryDecode(bytes: Uint8Array): ValueObject | undefined {
  try {
    return decodeRecord(bytes, 4096);
  } catch {
    return undefined;
  }
}

function number(value: Value): number {
  if (typeof value !== 'number') throw new TypeError('not a number');
  return value;
}

function numberOrNull(value: Value): number | null {
  return typeof value === 'number' ? value : null;
}

function string(value: Value): string {
  if (typeof value !== 'string') throw new TypeError('not a text');
  return value;
}

function array(value: Value): Value[] {
  return Array.isArray(value) ? value : [];
}

function stringOrNull(value: Value): string | null {
  return typeof value === 'string' ? value : null;
}

function binary(value: Value): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new TypeError('not bytes');
  return value;
}
