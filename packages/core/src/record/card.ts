import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import { FieldbookError } from '../errors.ts';
import type { AttributePath, DeviceId, ProjectId, RunId, WriterId } from '../ids.ts';
import { parseDeviceId, parsePath, parseProjectId, parseRunId, parseWriterId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { AttributeValue } from './attribute.ts';
import { decodeAttribute, encodeAttribute } from './attribute.ts';
import { FieldReader } from './fields.ts';
import type { Value, ValueObject } from './value.ts';
import { decodeRecord, encodeRecord, readFloat32, readFloat64, readText } from './value.ts';

export const RUN_STATUSES = ['running', 'finished', 'failed', 'crashed', 'lost', 'preempted'] as const;
/**
 * `finished` and `failed` are said by the script; `crashed`: it ended without a word on a machine that can tell;
 * `lost`: no word for long and nobody can tell; `preempted`: ended by its scheduler.
 */
export type RunStatus = (typeof RUN_STATUSES)[number];

/** What a runs table needs of one metric. Steps are the x of the extreme; NaN and infinities are counted, not folded. */
export interface MetricSummary {
  count: number;
  /** The value of the highest ordinal, which may be NaN or infinite. */
  last: number;
  lastStep: number;
  /** Extremes over finite values; NaN while there is none. */
  min: number;
  minStep: number;
  max: number;
  maxStep: number;
  nonFinite: number;
}

/**
 * The small summary of one writer of one run: who, where, when, status, parameters, metrics. Rewritten by the device
 * that ingests the writer's journal, under the key `run/writer/device`; among the cards of one writer the one with
 * the highest `ordinal` holds (then the highest `updated`, then the device id).
 */
export interface Card {
  run: RunId;
  writer: WriterId;
  device: DeviceId;
  project: ProjectId;
  /** How far into the writer's journal this card looks: the sequence number of the last record taken in. */
  ordinal: number;
  /** ms since the epoch. */
  created: number;
  updated: number;
  /** When the writer closed or was seen dead; null while it runs. */
  ended: number | null;
  status: RunStatus;
  /** What the script gave; people's edits override. */
  name: string | null;
  group: string | null;
  notes: string | null;
  tags: readonly string[];
  user: string | null;
  host: string | null;
  attributes: ReadonlyMap<AttributePath, AttributeValue>;
  metrics: ReadonlyMap<AttributePath, MetricSummary>;
  /** `system`: a companion that captures and samples for another writer; how it ends says nothing of the run. Null else. */
  role: string | null;
  /** Paths that the writer removed: each holds, with all below it, against what older writers set. */
  removed: readonly AttributePath[];
  /** Fields written by a newer version, kept as they were. */
  extra: ValueObject;
}

/** The card's key in a book. */
export function cardKey(card: Pick<Card, 'run' | 'writer' | 'device'>): string {
  return `${card.run}/${card.writer}/${card.device}`;
}

/** Splits a card's key; undefined when it is not one. */
export function parseCardKey(key: string): { run: RunId; writer: WriterId; device: DeviceId } | undefined {
  const [run, writer, device, rest] = key.split('/');
  if (run === undefined || writer === undefined || device === undefined || rest !== undefined) return undefined;
  try {
    return { run: parseRunId(run), writer: parseWriterId(writer), device: parseDeviceId(device) };
  } catch {
    return undefined;
  }
}

const KNOWN = new Set([
  'k',
  'r',
  'w',
  'd',
  'p',
  'o',
  'c',
  'u',
  'e',
  's',
  'n',
  'g',
  'N',
  't',
  'U',
  'h',
  'a',
  'm',
  'R',
  'X',
]);

/**
 * Bytes of a card. Paths are front-coded (shared prefix length, rest) in sorted order and metrics are packed,
 * which is what keeps 20 parameters and 15 metrics under 1 kB. Throws `record_too_large`.
 */
export function encodeCard(card: Card): Uint8Array {
  const attributes: Value[] = [];
  let previous = '';
  for (const path of [...card.attributes.keys()].sort()) {
    attributes.push(...frontCode(previous, path), encodeAttribute(card.attributes.get(path) ?? null));
    previous = path;
  }
  const bytes = encodeRecord({
    ...card.extra,
    k: 'card',
    r: card.run,
    w: card.writer,
    d: card.device,
    p: card.project,
    o: card.ordinal,
    c: card.created,
    u: card.updated - card.created,
    e: card.ended === null ? undefined : card.ended - card.created,
    s: card.status,
    n: card.name ?? undefined,
    g: card.group ?? undefined,
    N: card.notes ?? undefined,
    t: card.tags.length === 0 ? undefined : [...card.tags],
    U: card.user ?? undefined,
    h: card.host ?? undefined,
    a: attributes.length === 0 ? undefined : attributes,
    m: card.metrics.size === 0 ? undefined : encodeMetrics(card.metrics),
    R: card.role ?? undefined,
    X: card.removed.length === 0 ? undefined : [...card.removed],
  });
  if (bytes.length > LIMITS.cardBytes) {
    throw new FieldbookError(
      'record_too_large',
      `The card of run ${card.run} has ${bytes.length} bytes; the limit is ${LIMITS.cardBytes}.`,
    );
  }
  return bytes;
}

/** A card from its bytes; undefined for a kind or version that this program does not know. Throws `record_malformed`, `record_too_large`. */
export function decodeCard(bytes: Uint8Array): Card | undefined {
  const object = decodeRecord(bytes, LIMITS.cardBytes);
  if (object === undefined || object.k !== 'card') return undefined;
  const fields = new FieldReader(object, 'A card');
  const created = fields.number('c');
  const ended = fields.optionalNumber('e');
  const status = fields.string('s', 32);
  return {
    run: fields.id('r', parseRunId),
    writer: fields.id('w', parseWriterId),
    device: fields.id('d', parseDeviceId),
    project: fields.id('p', parseProjectId),
    ordinal: fields.count('o'),
    created,
    updated: created + fields.number('u'),
    ended: ended === null ? null : created + ended,
    // A status of a newer version is shown as running or ended, whichever it is.
    status: (RUN_STATUSES as readonly string[]).includes(status)
      ? (status as RunStatus)
      : ended === null
        ? 'running'
        : 'finished',
    name: fields.optionalString('n', LIMITS.nameBytes),
    group: fields.optionalString('g', LIMITS.nameBytes),
    notes: fields.optionalString('N', LIMITS.notesBytes),
    tags: fields.strings('t', LIMITS.tagsPerRun, LIMITS.tagBytes),
    user: fields.optionalString('U', LIMITS.nameBytes),
    host: fields.optionalString('h', LIMITS.nameBytes),
    attributes: decodeAttributes(fields.array('a')),
    metrics: decodeMetrics(fields.bytes('m')),
    role: fields.optionalString('R', 32),
    removed: fields.strings('X', LIMITS.cardAttributes, LIMITS.pathBytes).map((path) => frontDecode('', 0, path)),
    extra: fields.rest(KNOWN),
  };
}

function frontCode(previous: string, path: string): [number, string] {
  let shared = 0;
  while (shared < previous.length && shared < path.length && previous[shared] === path[shared]) shared++;
  // Never cut a surrogate pair in two: half of one has no UTF-8.
  const unit = path.charCodeAt(shared - 1);
  if (shared > 0 && unit >= 0xd800 && unit <= 0xdbff) shared--;
  return [shared, path.slice(shared)];
}

/** Cards of a project repeat the same paths: checked once, and one string for all of them. At most about 1 MB. */
const knownPaths = new Map<string, AttributePath>();
const PATHS_KEPT = 10_000;

function frontDecode(previous: string, shared: Value, rest: Value): AttributePath {
  if (typeof shared !== 'number' || typeof rest !== 'string' || shared < 0 || shared > previous.length) {
    throw new FieldbookError('record_malformed', 'A card has a broken path.');
  }
  const text = previous.slice(0, shared) + rest;
  const known = knownPaths.get(text);
  if (known !== undefined) return known;
  try {
    const path = parsePath(text);
    if (knownPaths.size >= PATHS_KEPT) knownPaths.clear();
    knownPaths.set(text, path);
    return path;
  } catch (error) {
    throw new FieldbookError('record_malformed', 'A card has a broken path.', { cause: error });
  }
}

function decodeAttributes(array: Value[]): Map<AttributePath, AttributeValue> {
  const attributes = new Map<AttributePath, AttributeValue>();
  if (array.length % 3 !== 0) throw new FieldbookError('record_malformed', 'A card has a broken list of attributes.');
  let path = '';
  for (let index = 0; index < array.length; index += 3) {
    path = frontDecode(path, array[index], array[index + 1]);
    attributes.set(path as AttributePath, decodeAttribute(array[index + 2]));
  }
  return attributes;
}

// Flags of one packed metric.
const SAME_MIN = 1;
const SAME_MAX = 2;
const HAS_NON_FINITE = 4;
const INTEGER_STEPS = 8;
const FLOAT32 = 16;

/**
 * Metrics as one byte string, in path order: varuint shared prefix, varstring rest, u8 flags, varint count relative
 * to the metric before, then the values (float64, or float32 when that loses nothing) last, min unless it is the last
 * point, max likewise, then their steps (varints relative to the last step, which is relative to that of the metric
 * before; or float64), then varuint nonFinite when there are any.
 */
/** Summaries, packed as docs/formats/record.md says. */
export function encodeMetrics(metrics: ReadonlyMap<AttributePath, MetricSummary>): Uint8Array {
  const encoder = encoding.createEncoder();
  let path = '';
  let count = 0;
  let step = 0;
  for (const next of [...metrics.keys()].sort()) {
    const metric = metrics.get(next)!;
    const [shared, rest] = frontCode(path, next);
    const sameMin = Object.is(metric.min, metric.last) && Object.is(metric.minStep, metric.lastStep);
    const sameMax = Object.is(metric.max, metric.last) && Object.is(metric.maxStep, metric.lastStep);
    const values = [metric.last, ...(sameMin ? [] : [metric.min]), ...(sameMax ? [] : [metric.max])];
    const steps = [...(sameMin ? [] : [metric.minStep]), ...(sameMax ? [] : [metric.maxStep])];
    const integerSteps =
      deltaCodes(step, metric.lastStep) && steps.every((other) => deltaCodes(metric.lastStep, other));
    const float32 = values.every((value) => Object.is(Math.fround(value), value));
    encoding.writeVarUint(encoder, shared);
    encoding.writeVarString(encoder, rest);
    encoding.writeUint8(
      encoder,
      (sameMin ? SAME_MIN : 0) |
        (sameMax ? SAME_MAX : 0) |
        (metric.nonFinite > 0 ? HAS_NON_FINITE : 0) |
        (integerSteps ? INTEGER_STEPS : 0) |
        (float32 ? FLOAT32 : 0),
    );
    encoding.writeVarInt(encoder, metric.count - count);
    for (const value of values) {
      if (float32) encoding.writeFloat32(encoder, value);
      else encoding.writeFloat64(encoder, value);
    }
    if (integerSteps) {
      encoding.writeVarInt(encoder, metric.lastStep - step);
      for (const other of steps) encoding.writeVarInt(encoder, other - metric.lastStep);
    } else {
      for (const other of [metric.lastStep, ...steps]) encoding.writeFloat64(encoder, other);
    }
    if (metric.nonFinite > 0) encoding.writeVarUint(encoder, metric.nonFinite);
    path = next;
    count = metric.count;
    step = integerSteps ? metric.lastStep : step;
  }
  return encoding.toUint8Array(encoder);
}

/** What `encodeMetrics` packed; none of nothing. Throws `record_malformed`. */
export function decodeMetrics(bytes: Uint8Array | null): Map<AttributePath, MetricSummary> {
  const metrics = new Map<AttributePath, MetricSummary>();
  if (bytes === null) return metrics;
  const decoder = decoding.createDecoder(bytes);
  let path = '';
  let count = 0;
  let step = 0;
  try {
    while (decoding.hasContent(decoder)) {
      const shared = decoding.readVarUint(decoder);
      const next = frontDecode(path, shared, readText(decoder));
      const flags = decoding.readUint8(decoder);
      count += decoding.readVarInt(decoder);
      const value = (): number => ((flags & FLOAT32) !== 0 ? readFloat32(decoder) : readFloat64(decoder));
      const last = value();
      const min = (flags & SAME_MIN) !== 0 ? last : value();
      const max = (flags & SAME_MAX) !== 0 ? last : value();
      const integerSteps = (flags & INTEGER_STEPS) !== 0;
      const readStep = (base: number): number =>
        integerSteps ? base + decoding.readVarInt(decoder) : readFloat64(decoder);
      const lastStep = readStep(step);
      const minStep = (flags & SAME_MIN) !== 0 ? lastStep : readStep(lastStep);
      const maxStep = (flags & SAME_MAX) !== 0 ? lastStep : readStep(lastStep);
      const nonFinite = (flags & HAS_NON_FINITE) !== 0 ? decoding.readVarUint(decoder) : 0;
      metrics.set(next, { count, last, lastStep, min, minStep, max, maxStep, nonFinite });
      path = next;
      step = integerSteps ? lastStep : step;
    }
  } catch (error) {
    if (error instanceof FieldbookError) throw error;
    throw new FieldbookError('record_malformed', 'A card has a broken list of metrics.', { cause: error });
  }
  return metrics;
}

/** Whether `to` can be written as a difference to `from` and read back to the very same number. */
function deltaCodes(from: number, to: number): boolean {
  return Number.isSafeInteger(to) && !Object.is(to, -0) && Number.isSafeInteger(to - from);
}
