import { ROLES } from '../access/index.ts';
import { hlcMs } from '../hlc.ts';
import type { Conflict, RunState } from '../fold/index.ts';
import { mergeMetrics } from '../fold/index.ts';
import type { AttributePath, WriterId } from '../ids.ts';
import type { Edit, Entry, MetricSummary, WriterEntry } from '../record/index.ts';
import type { Series } from '../series/index.ts';
import {
  attachmentCounts,
  capturesSchema,
  captureViews,
  filesSchema,
  OBJECT_COMPONENTS,
  objectsSchema,
} from './object-views.ts';
import type { Elsewhere } from './options.ts';
import type { Schema } from './schema.ts';
import { array, mapOf, object, orNull, ref } from './schema.ts';

/** How folded state looks in JSON, and the schemas that say so, side by side. Times are ms since the epoch. */

const time: Schema = { type: 'number', description: 'ms since the epoch' };
const text: Schema = { type: 'string' };
const flag: Schema = { type: 'boolean' };
const count: Schema = { type: 'integer', minimum: 0 };
const float: Schema = ref('Float');
const status: Schema = { type: 'string', enum: ['running', 'finished', 'failed', 'crashed', 'lost', 'preempted'] };

/** A run as lists show it: everything but history, writers and conflicts' sides. */
export function runView(state: RunState): object {
  return { ...runHead(state), attributes: state.attributes, metrics: state.metrics };
}

/** A run in a list with chosen columns: `values` instead of all attributes and metrics. */
export function runRow(state: RunState, values: Readonly<Record<string, unknown>>): object {
  return { ...runHead(state), values };
}

function runHead(state: RunState): object {
  const { id, project, name, unnamed, group, notes, tags, star, archived, trashed } = state;
  const { status: runStatus, created, updated, ended, user, host } = state;
  return {
    id,
    project,
    name,
    unnamed,
    group,
    notes,
    tags,
    star,
    archived,
    trashed,
    status: runStatus,
    created,
    updated,
    ended,
    user,
    host,
    conflicts: state.conflicts.map((conflict) => conflict.field),
  };
}

const headProperties = {
  id: text,
  project: text,
  name: text,
  unnamed: { type: 'boolean', description: 'Nobody named it: the name is the id.' } as Schema,
  group: orNull(text),
  notes: text,
  tags: array(text),
  star: flag,
  archived: flag,
  trashed: flag,
  status,
  created: time,
  updated: time,
  ended: orNull(time),
  user: orNull(text),
  host: orNull(text),
  conflicts: array(text, 'Fields on which concurrent edits disagree; an attribute is `attribute:<path>`.'),
};

/** Everything about one run. `environment` comes from the run document's writer entries. */
export function runDetail(
  state: RunState,
  entries: readonly Entry[],
  holders: readonly string[],
  elsewhere: Elsewhere | null,
): object {
  const writers = state.writers.map((writer) => {
    const entry = entries.find(
      (one) => one.kind === 'writer' && one.writer === writer.writer && one.device === writer.device,
    );
    const said = entry?.kind === 'writer' ? entry : undefined;
    return {
      ...writer,
      environment: said?.environment ?? {},
      exitCode: said?.exitCode ?? null,
      signal: said?.signal ?? null,
      reason: said?.reason ?? null,
      traceback: said?.traceback ?? null,
      dropped: said?.dropped ?? 0,
      damage: said?.damage ?? null,
    };
  });
  let segments = 0;
  let bytes = 0;
  for (const entry of entries) {
    if (entry.kind !== 'segment') continue;
    segments += 1;
    bytes += entry.size;
  }
  return {
    ...runView(state),
    metrics: withSystemMetrics(state, entries),
    conflicts: state.conflicts.map(conflictView),
    heads: state.heads,
    edited: new Map([...state.edited].map(([path, edit]) => [path, { ...edit, at: hlcMs(edit.at) }])),
    writers,
    segments: { count: segments, bytes },
    ...attachmentCounts(entries),
    captures: captureViews(entries),
    holders,
    elsewhere,
  };
}

/** A run's metrics with those of its machines, which are in the writers' entries and not in lists. */
function withSystemMetrics(state: RunState, entries: readonly Entry[]): ReadonlyMap<AttributePath, MetricSummary> {
  // Of two agents that took in one journal, the one that came further.
  const told = new Map<WriterId, WriterEntry>();
  for (const entry of entries) {
    if (entry.kind !== 'writer' || entry.system.size === 0) continue;
    const other = told.get(entry.writer);
    if (other === undefined || entry.ordinal > other.ordinal) told.set(entry.writer, entry);
  }
  const metrics = new Map(state.metrics);
  for (const { system } of told.values()) {
    for (const [path, summary] of system) {
      const before = metrics.get(path);
      metrics.set(path, before === undefined ? summary : mergeMetrics(before, summary));
    }
  }
  return metrics;
}

export function conflictView(conflict: Conflict): object {
  return {
    field: conflict.field,
    sides: conflict.sides.map(({ edit, op, value, by, device, at }) => ({
      edit,
      op,
      value,
      by,
      device,
      at: hlcMs(at),
    })),
  };
}

export function editView(edit: Edit): object {
  const { id, run, field, op, path, value, base, by, device, at } = edit;
  return { id, run, field, op, path, value, base, by, device, at: hlcMs(at) };
}

export function seriesView(run: string, series: Series): object {
  const { points, buckets } = series;
  return {
    run,
    metric: series.metric,
    x: series.x,
    total: series.total,
    points: points === null ? null : { steps: points.steps, times: points.times, values: points.values },
    buckets,
    missing: series.missing,
    corrupt: series.corrupt,
  };
}

const floats: Schema = array(float);
const counts: Schema = array(count);
const covered: Schema = object({
  writer: text,
  device: text,
  first: count,
  last: count,
  digest: text,
  size: count,
  points: count,
});

/** `components.schemas` of the OpenAPI document. */
export const COMPONENTS: Readonly<Record<string, Schema>> = {
  Float: {
    description: 'A number; NaN and infinities, which JSON lacks, are strings.',
    anyOf: [{ type: 'number' }, { type: 'string', enum: ['NaN', 'Infinity', '-Infinity'] }],
  },
  Attribute: {
    description: 'A single value; a moment is {"time": ms}.',
    anyOf: [{ type: ['string', 'number', 'boolean', 'null'] }, object({ time: float }), array(text)],
  },
  Metric: object({
    count,
    last: float,
    lastStep: float,
    min: float,
    minStep: float,
    max: float,
    maxStep: float,
    nonFinite: count,
  }),
  Error: object({
    error: object({
      code: { type: 'string', description: 'Stable; programs read this.' },
      message: { type: 'string', description: 'For people; may change.' },
      details: { type: 'object' },
    }),
  }),
  Project: object({
    id: text,
    title: { type: 'string', description: 'The name as first typed.' },
    runs: { ...count, description: 'Trashed ones not counted.' },
    running: count,
    trashed: count,
    updated: time,
    books: array(text, 'Documents that hold its cards and edits.'),
  }),
  Run: object({ ...headProperties, attributes: mapOf(ref('Attribute')), metrics: mapOf(ref('Metric')) }),
  RunRow: object({ ...headProperties, values: mapOf({}, 'By column as asked for; null when the run lacks it.') }),
  Conflict: object({
    field: text,
    sides: array(
      object({ edit: text, op: text, value: ref('Attribute'), by: text, device: text, at: time }),
      'The first is in force.',
    ),
  }),
  RunDetail: object({
    ...headProperties,
    conflicts: array(ref('Conflict')),
    attributes: mapOf(ref('Attribute')),
    metrics: mapOf(ref('Metric')),
    heads: mapOf(
      array(text),
      'What the next edit of each field must name as seen; of an attribute under `attribute:<path>`.',
    ),
    edited: mapOf(
      object(
        {
          edit: text,
          op: { type: 'string', enum: ['set', 'remove'] },
          by: text,
          device: text,
          at: time,
          scripted: ref('Attribute'),
        },
        ['scripted'],
      ),
      'Attributes that show what a person said, by path; `scripted` is what the scripts say there, absent when nothing.',
    ),
    writers: array(
      object({
        writer: text,
        device: text,
        status,
        created: time,
        updated: time,
        ended: orNull(time),
        host: orNull(text),
        user: orNull(text),
        ordinal: count,
        role: orNull({ type: 'string', description: '`system`: a companion, whose end says nothing of the run.' }),
        environment: { type: 'object' },
        exitCode: orNull({ type: 'number' }),
        signal: orNull({ type: 'number', description: 'What ended it or announced its end.' }),
        reason: orNull({ type: 'string', description: 'What announced the end of a preempted writer.' }),
        traceback: orNull(text),
        dropped: count,
        damage: orNull(text),
      }),
    ),
    segments: object({ count, bytes: count }),
    files: filesSchema,
    objects: objectsSchema,
    captures: capturesSchema,
    holders: array(text, 'Peers that have acknowledged all of it.'),
    elsewhere: orNull({
      ...object({
        message: text,
        peers: array(object({ url: text, name: orNull(text), connected: flag, since: orNull(time) })),
      }),
      description: 'Where that is which the run recorded, when it is not here and cannot be had now.',
    }),
  }),
  Edit: object({
    id: text,
    run: text,
    field: text,
    op: text,
    path: orNull({ type: 'string', description: 'Of the attribute, when the field is `attribute`.' }),
    value: ref('Attribute'),
    base: array(text, 'What the author saw in force.'),
    by: text,
    device: text,
    at: time,
  }),
  Series: object({
    run: text,
    metric: text,
    x: { type: 'string', enum: ['step', 'time'] },
    total: { ...count, description: 'Points in the range.' },
    points: orNull(object({ steps: floats, times: floats, values: floats })),
    buckets: orNull(
      object({
        from: float,
        to: float,
        size: count,
        index: counts,
        count: counts,
        min: floats,
        minX: floats,
        max: floats,
        maxX: floats,
        first: floats,
        firstX: floats,
        last: floats,
        lastX: floats,
        mean: floats,
        nonFinite: counts,
      }),
    ),
    missing: array(covered, 'Recorded, but the bytes are not on this machine.'),
    corrupt: array(covered),
  }),
  ...OBJECT_COMPONENTS,
  Peer: object({
    url: text,
    name: orNull(text),
    connected: flag,
    since: orNull(time),
    problem: orNull(object({ code: text, message: text })),
    pushedThrough: orNull({ ...count, description: 'Null for tokens of some projects.' }),
    pulledThrough: orNull(count),
    pendingDocuments: count,
    pendingBlobs: count,
    pendingBytes: count,
    sentBytes: orNull({ ...count, description: 'Since this program began.' }),
    receivedBytes: orNull(count),
    paused: flag,
    limitBytesPerS: orNull({ ...count, description: 'The most in each direction.' }),
    incoming: { ...flag, description: 'It dialled this replica, and is listed while it is connected.' },
    clockAheadMs: orNull({
      type: 'integer',
      description: 'How far its clock is ahead of this one’s, negative when it is behind.',
    }),
  }),
  Follow: object({
    projects: { anyOf: [{ type: 'string', enum: ['all'] }, array(text)] },
    runDocuments: { type: 'string', enum: ['all', 'on-demand'] },
    pinned: array(text, 'Runs that are kept here because somebody said so.'),
    elsewhere: array(object({ url: text, documents: count }), 'Documents of each peer that are not here.'),
  }),
  Sync: object({ lastSeq: orNull(count), peers: array(ref('Peer')), settled: flag }),
  Group: object({
    key: mapOf({}, 'By column grouped by; null where its runs have none.'),
    count,
    summaries: mapOf(
      object({
        count,
        nonFinite: count,
        mean: orNull(float),
        std: orNull(float),
        min: orNull(float),
        max: orNull(float),
        best: orNull({ type: 'string', description: 'The run with the best value.' }),
      }),
    ),
  }),
  Health: object({
    documents: count,
    bytes: { ...count, description: 'Stored for documents; blobs not counted.' },
    quarantined: array(text, 'Documents set aside because their bytes are damaged.'),
    clockAheadMs: { type: 'number', description: 'How far the most advanced clock of another machine was ahead.' },
    journals: orNull(
      object({ writers: count, running: count, problems: array(object({ path: text, code: text, message: text })) }),
    ),
    files: orNull(
      object({
        pending: { ...count, description: 'Files that wait in the spool.' },
        pendingBytes: count,
        problem: orNull(object({ code: text, message: text })),
        failures: array(object({ run: text, path: text, code: text, message: text })),
      }),
    ),
  }),
  File: object({
    version: { ...text, description: 'Names this version on every machine.' },
    path: text,
    name: text,
    kind: {
      ...text,
      description: '`file`, `model`, `data`, `source`, `environment`, `config`, `notebook`, or of a newer version.',
    },
    size: orNull(count),
    digest: orNull({ ...text, description: 'SHA-256 of the whole, once stored.' }),
    mime: orNull(text),
    meta: orNull({ type: 'object' }),
    at: time,
    modified: orNull(time),
    writer: text,
    device: { ...text, description: 'The device that took it in.' },
    current: { type: 'boolean', description: 'The file at its path now.' },
    state: {
      type: 'string',
      enum: ['here', 'elsewhere', 'pending', 'named', 'removed'],
      description: '`pending`: in the spool of its device; `named`: nobody has its bytes.',
    },
    travel: {
      type: 'string',
      enum: ['now', 'request', 'never'],
      description: 'When its bytes go to a relay, as set up here.',
    },
    requested: { type: 'boolean', description: 'Somebody has asked for it.' },
    source: orNull(text),
    failure: orNull({ ...text, description: 'Why the bytes could not be stored.' }),
    holders: array(text, 'Peers that are known to have the bytes; others may, too.'),
  }),
  Workspace: object({
    id: text,
    name: orNull(text),
    private: { type: 'boolean', description: 'Not shared with any other machine yet.' },
    devices: array(object({ device: text, role: text, name: text, created: time })),
    books: array(object({ document: text, project: text, month: text, title: text, created: time })),
  }),
  Device: object(
    {
      device: text,
      replica: text,
      role: { type: 'string', enum: ['agent', 'relay'] },
      by: { type: 'string', description: 'The name that edits are made under.' },
      program: text,
      version: text,
      api: text,
      access: { type: 'string', enum: ['owner', ...ROLES], description: 'What whoever asks may do here.' },
      losses: {
        type: 'integer',
        minimum: 0,
        description: 'How often it has found that it lost blobs which it had: who sent some may ask for them again.',
      },
    },
    ['losses'],
  ),
};
