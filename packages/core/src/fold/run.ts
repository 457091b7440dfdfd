import type { AttributePath, ProjectId, RunId } from '../ids.ts';
import type { AttributeValue, BaseId, Card, Edit, MetricSummary, RegisterName, RunStatus } from '../record/index.ts';
import { isOfText } from '../notes/mark.ts';
import { REGISTER_FIELDS } from '../record/index.ts';
import { editAttributes } from './attributes.ts';
import { compare, headsOf, tagAddsOf } from './register.ts';
import type { Conflict, RunState, WriterState } from './state.ts';

/**
 * The fold: what a person sees of a run, from all of its cards and edits in any order. Pure; equal sets of records
 * give equal states.
 */
export function foldRun(id: RunId, project: ProjectId, cards: readonly Card[], edits: readonly Edit[]): RunState {
  const writers = foldWriters(cards);
  const byField = new Map<string, Edit[]>();
  let purged = false;
  for (const edit of edits) {
    if (edit.field === 'purge') purged = true;
    const list = byField.get(edit.field);
    if (list === undefined) byField.set(edit.field, [edit]);
    else list.push(edit);
  }
  const conflicts: Conflict[] = [];
  const heads: Partial<Record<RegisterName, readonly BaseId[]>> = {};
  const inForce: Partial<Record<RegisterName, AttributeValue>> = {};
  for (const field of REGISTER_FIELDS) {
    const fieldEdits = byField.get(field);
    if (fieldEdits === undefined) continue;
    const sides = headsOf(fieldEdits);
    heads[field] = sides.map((edit) => edit.id);
    inForce[field] = sides[0]!.value;
    // What several people wrote in one text is merged there, letter by letter.
    if (sides.some((edit) => edit.value !== sides[0]!.value) && !sides.every(isOfText)) {
      conflicts.push({
        field,
        sides: sides.map(({ id: edit, op, value, by, device, at }) => ({ edit, op, value, by, device, at })),
      });
    }
  }
  const attributes = editAttributes(foldAttributes(writers), byField.get('attribute') ?? []);
  const scriptedTags = new Map<string, BaseId[]>();
  for (const card of writers) {
    for (const tag of new Set(card.tags)) {
      const ids = scriptedTags.get(tag);
      if (ids === undefined) scriptedTags.set(tag, [`@${card.writer}`]);
      else ids.push(`@${card.writer}`);
    }
  }
  const tagAdds = tagAddsOf(byField.get('tags') ?? [], scriptedTags);
  const name = text(inForce.name) ?? scripted(writers, 'name');
  const { status, ended } = foldStatus(writers);
  const state: RunState = {
    id,
    project,
    name: name ?? id,
    unnamed: name === null,
    group: text(inForce.group) ?? scripted(writers, 'group'),
    notes: text(inForce.notes) ?? scripted(writers, 'notes') ?? '',
    tags: [...tagAdds.keys()].sort(),
    star: inForce.star === true,
    archived: inForce.archived === true,
    trashed: inForce.trashed === true,
    purged,
    status,
    created: writers.reduce((least, card) => Math.min(least, card.created), writers[0]?.created ?? 0),
    updated: writers.reduce((most, card) => Math.max(most, card.updated), 0),
    ended,
    user: scripted(writers, 'user'),
    host: scripted(writers, 'host'),
    attributes: attributes.attributes,
    edited: attributes.edited,
    metrics: foldMetrics(writers),
    writers: writers.map(writerState),
    conflicts: [...conflicts, ...attributes.conflicts],
    heads: { ...heads, ...attributes.heads },
    tagAdds,
    known: writers.length > 0,
  };
  return purged ? purgedState(state) : state;
}

/** One card per writer, oldest writer first: the highest ordinal, then what is better known, then the later, then the device. */
function foldWriters(cards: readonly Card[]): Card[] {
  const best = new Map<string, Card>();
  for (const card of cards) {
    const other = best.get(card.writer);
    if (other === undefined || compareCards(card, other) > 0) best.set(card.writer, card);
  }
  return [...best.values()].sort((a, b) => a.created - b.created || compare(a.writer, b.writer));
}

/** Positive when `a` says more of its writer than `b`; FOLD-2. */
export function compareCards(a: Card, b: Card): number {
  return (
    a.ordinal - b.ordinal ||
    certainty(a.status) - certainty(b.status) ||
    a.updated - b.updated ||
    compare(a.device, b.device)
  );
}

/** Two agents that read one journal may differ in what they could ask the kernel: an end that was seen beats a guess. */
function certainty(status: RunStatus): number {
  return status === 'lost' ? 0 : status === 'running' ? 1 : 2;
}

/**
 * Running while any writer runs, else what the writer that ended last said. A companion that samples for another writer says nothing
 * of the run, unless there is nobody else.
 */
function foldStatus(writers: readonly Card[]): { status: RunStatus; ended: number | null } {
  const own = writers.filter((card) => card.role === null);
  let last: Card | undefined;
  for (const card of own.length > 0 ? own : writers) {
    if (card.status === 'running') return { status: 'running', ended: null };
    const end = card.ended ?? card.updated;
    const lastEnd = last === undefined ? -Infinity : (last.ended ?? last.updated);
    if (end > lastEnd || (end === lastEnd && compare(card.writer, last!.writer) > 0)) last = card;
  }
  return last === undefined
    ? { status: 'lost', ended: null }
    : { status: last.status, ended: last.ended ?? last.updated };
}

/** What the youngest writer that says anything says. */
function scripted(writers: readonly Card[], field: 'name' | 'group' | 'notes' | 'user' | 'host'): string | null {
  for (let index = writers.length - 1; index >= 0; index--) {
    const value = writers[index]![field];
    if (value !== null && value !== '') return value;
  }
  return null;
}

function foldAttributes(writers: readonly Card[]): ReadonlyMap<AttributePath, AttributeValue> {
  if (writers.length === 1) return writers[0]!.attributes;
  const merged = new Map<AttributePath, AttributeValue>();
  for (const card of writers) {
    // What a writer removed is gone from what older ones set, whatever it said of the path before or after.
    for (const gone of card.removed) {
      if (merged.size === 0) break;
      merged.delete(gone);
      for (const path of merged.keys()) if (path.startsWith(`${gone}/`)) merged.delete(path);
    }
    for (const [path, value] of card.attributes) merged.set(path, value);
  }
  return merged;
}

/** Counts add, extremes combine, `last` is that of the youngest writer that has the metric. */
function foldMetrics(writers: readonly Card[]): ReadonlyMap<AttributePath, MetricSummary> {
  if (writers.length === 1) return writers[0]!.metrics;
  const merged = new Map<AttributePath, MetricSummary>();
  for (const card of writers) {
    for (const [path, metric] of card.metrics) {
      const before = merged.get(path);
      merged.set(path, before === undefined ? metric : mergeMetrics(before, metric));
    }
  }
  return merged;
}

/** Two writers' summaries as one; `younger` gives `last`. */
export function mergeMetrics(older: MetricSummary, younger: MetricSummary): MetricSummary {
  // NaN stands for "no finite value yet", and loses every comparison.
  const olderMin = !(younger.min <= older.min) && !Number.isNaN(older.min);
  const olderMax = !(younger.max >= older.max) && !Number.isNaN(older.max);
  return {
    count: older.count + younger.count,
    last: younger.last,
    lastStep: younger.lastStep,
    min: olderMin ? older.min : younger.min,
    minStep: olderMin ? older.minStep : younger.minStep,
    max: olderMax ? older.max : younger.max,
    maxStep: olderMax ? older.maxStep : younger.maxStep,
    nonFinite: older.nonFinite + younger.nonFinite,
  };
}

function writerState(card: Card): WriterState {
  const { writer, device, status, created, updated, ended, host, user, ordinal, role } = card;
  return { writer, device, status, created, updated, ended, host, user, ordinal, role };
}

/** Nothing of a purged run is shown, whatever arrives later; only that it was. */
function purgedState(state: RunState): RunState {
  return {
    ...state,
    name: state.id,
    unnamed: true,
    group: null,
    notes: '',
    tags: [],
    star: false,
    archived: false,
    trashed: true,
    status: 'lost',
    created: 0,
    updated: 0,
    ended: null,
    user: null,
    host: null,
    attributes: new Map(),
    edited: new Map(),
    metrics: new Map(),
    writers: [],
    conflicts: [],
    heads: {},
    tagAdds: new Map(),
    known: false,
  };
}

function text(value: AttributeValue | undefined): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}
