import type { AttributePath, DeviceId } from '../ids.ts';
import { utf8Length } from '../ids.ts';
import { isFieldbookError } from '../errors.ts';
import type { Json, JsonObject } from '../journal/index.ts';
import { LIMITS } from '../limits.ts';
import type { AttributeValue, Card, MetricSummary, Value, ValueObject, WriterEntry } from '../record/index.ts';
import { encodeCard, encodeEntry } from '../record/index.ts';
import type { WriterState } from './writer-state.ts';

/** The card of a writer as it stands. What is beyond a card's limits is left out: the run document has all of it. */
export function cardOf(state: WriterState, device: DeviceId): Card {
  const { run, project, meta } = state;
  if (run === null || project === null) throw new TypeError('a writer without a run has no card');
  const card = {
    run,
    project,
    writer: state.writer,
    device,
    ordinal: Math.max(0, state.next - 1),
    created: state.created,
    updated: Math.max(state.updated, state.created),
    ended: state.ended,
    status: state.status,
    name: cut(state.name, LIMITS.nameBytes),
    group: cut(state.group, LIMITS.nameBytes),
    notes: cut(state.notes, LIMITS.notesBytes),
    tags: [...state.tags].slice(0, LIMITS.tagsPerRun),
    user: cut(meta?.user ?? null, LIMITS.nameBytes),
    host: cut(meta?.host ?? null, LIMITS.nameBytes),
    role: meta?.role === 'system' ? 'system' : null,
    removed: [...state.removed],
    extra: {},
  };
  // Halving what is shown finds a card that fits in a few tries; nearly every card fits at once.
  for (let share = 1; ; share /= 2) {
    const whole: Card = {
      ...card,
      attributes: attributesFor(state, Math.floor(LIMITS.cardAttributes * share)),
      metrics: metricsFor(state, Math.floor(LIMITS.cardMetrics * share), isOwn),
    };
    if (share < 1 / 1024) return { ...whole, attributes: new Map(), metrics: new Map() };
    if (fits(() => encodeCard(whole))) return whole;
  }
}

/** The writer's entry in the run document. */
export function writerEntryOf(state: WriterState, device: DeviceId): WriterEntry {
  const attributes = [...state.attributes];
  // As for cards: halving what is told finds an entry that fits in a few tries.
  for (let share = 1; ; share /= 2) {
    const count = Math.floor(attributes.length * share);
    const metrics = Math.floor(LIMITS.cardMetrics * share);
    const entry: WriterEntry = {
      kind: 'writer',
      writer: state.writer,
      device,
      ordinal: Math.max(0, state.next - 1),
      attributes: Object.fromEntries(
        attributes.slice(0, count).map(([path, value]) => [path, attributeToValue(value)]),
      ),
      environment: environmentOf(state.meta?.all ?? {}),
      exitCode: state.exitCode,
      signal: state.signal,
      reason: state.reason,
      traceback: cut(state.traceback, 128 * 1024),
      dropped: state.dropped,
      damage: cut(state.damage, LIMITS.attributeValueBytes),
      system: metricsFor(state, metrics, isSystem),
      extra: {},
    };
    if (count + metrics === 0 || fits(() => encodeEntry(entry))) return entry;
  }
}

/** An attribute as a value of a record: times keep their wrapper. */
export function attributeToValue(value: AttributeValue): Value {
  if (typeof value !== 'object' || value === null) return value;
  return Array.isArray(value) ? [...(value as readonly string[])] : { t: (value as { time: number }).time };
}

export function attributeFromValue(value: Value): AttributeValue {
  if (Array.isArray(value)) return value.filter((item) => typeof item === 'string');
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array) && typeof value.t === 'number') {
    return { time: value.t };
  }
  return null;
}

/** JSON as a value of a record, cut off below `depth` and beyond 64 kB of text, so that whatever META says can be read back. */
export function jsonToValue(json: Json, depth = 6): Value {
  if (typeof json === 'string') return cut(json, 64 * 1024);
  if (typeof json !== 'object' || json === null) return json;
  if (depth === 0) return null;
  if (Array.isArray(json)) return json.slice(0, 4_096).map((item) => jsonToValue(item, depth - 1));
  const entries = Object.entries(json).slice(0, 4_096);
  return Object.fromEntries(entries.map(([key, value]) => [key, jsonToValue(value, depth - 1)]));
}

/** What META says of the process; what the card shows already is not repeated. */
function environmentOf(meta: JsonObject): ValueObject {
  const environment: ValueObject = {};
  for (const [key, value] of Object.entries(meta)) {
    if (!ON_CARD.has(key) && value !== null) environment[key] = jsonToValue(value);
  }
  return fits(() => {
    if (JSON.stringify(environment).length > LIMITS.entryBytes / 4) throw new RangeError('too large');
  })
    ? environment
    : {};
}

const ON_CARD = new Set([
  'project',
  'project_id',
  'run',
  'writer',
  'created',
  'name',
  'group',
  'notes',
  'tags',
  'user',
  'host',
]);

function attributesFor(state: WriterState, limit: number): Map<AttributePath, AttributeValue> {
  const shown = new Map<AttributePath, AttributeValue>();
  for (const [path, value] of state.attributes) {
    if (shown.size >= limit) break;
    shown.set(path, typeof value === 'string' ? (cut(value, LIMITS.attributeValueBytes) ?? '') : value);
  }
  return shown;
}

function metricsFor(
  state: WriterState,
  limit: number,
  wanted: (path: string) => boolean,
): Map<AttributePath, MetricSummary> {
  const shown = new Map<AttributePath, MetricSummary>();
  for (let slot = 0; slot < state.metrics.size && shown.size < limit; slot++) {
    const name = state.metrics.names[slot]!;
    if (wanted(name) && state.metrics.count(slot) > 0) shown.set(name, state.metrics.summary(slot));
  }
  return shown;
}

const SYSTEM = 'sys/';
const isSystem = (path: string): boolean => path.startsWith(SYSTEM);
const isOwn = (path: string): boolean => !path.startsWith(SYSTEM);

/** Whether the writer has metrics of the machine: they are told in its entry, as often as a card is written. */
export function hasSystemMetrics(state: WriterState): boolean {
  return metricsFor(state, 1, isSystem).size > 0;
}

/**
 * False for a companion that has nothing to say but the machine's metrics: a card of it would cost every viewer of the
 * project as much as that of the training.
 */
export function hasCard(state: WriterState): boolean {
  if (state.meta?.role !== 'system') return true;
  const { attributes, tags, removed, name, group, notes } = state;
  const said = attributes.size + tags.size + removed.size > 0 || (name ?? group ?? notes) !== null;
  return said || metricsFor(state, 1, isOwn).size > 0;
}

/** The longest beginning of a text that has at most so many UTF-8 bytes and does not cut a character. */
function cut(text: string | null, limitBytes: number): string | null {
  if (text === null || utf8Length(text) <= limitBytes) return text;
  let bytes = 0;
  let end = 0;
  for (const character of text) {
    bytes += utf8Length(character);
    if (bytes > limitBytes) break;
    end += character.length;
  }
  return text.slice(0, end);
}

function fits(encode: () => unknown): boolean {
  try {
    encode();
    return true;
  } catch (error) {
    if (isFieldbookError(error, 'record_too_large') || error instanceof RangeError) return false;
    throw error;
  }
}
