import type { AttributePath, ProjectId, RunId, WriterId } from '../ids.ts';
import { parsePath, parseRunId, projectIdOf } from '../ids.ts';
import { FieldbookError } from '../errors.ts';
import type { JournalMeta, JournalRecord, JournalSink, JsonObject } from '../journal/index.ts';
import { attributesOf, closeOf, gapOf, metaOf, tagsOf } from '../journal/index.ts';
import type { AttributeValue, RunStatus } from '../record/index.ts';
import { isTag } from '../record/index.ts';
import { PointBuffer } from '../series/points.ts';
import { MetricTable } from './metric-table.ts';

/** More attributes than this are a table, not parameters; the entry that holds them has 1 MB. */
const ATTRIBUTES_MAX = 20_000;

/** Where in the writer's files everything before was taken in. */
export interface FilePosition {
  /** Rotation number. */
  file: number;
  offset: number;
  sequence: number;
  nonce: Uint8Array;
  /** Metric number → path, of this file. */
  names: readonly (readonly [number: number, path: string])[];
}

/**
 * What a writer's journal has said so far, as a fold over its records: everything that cards and entries are made of, and the points
 * that are not sealed yet. Records with a sequence number below `next` change nothing, so the same bytes may be taken in twice.
 */
export class WriterState implements JournalSink {
  readonly writer: WriterId;
  run: RunId | null = null;
  project: ProjectId | null = null;
  /** The project as typed. */
  title = '';
  meta: JournalMeta | null = null;
  /** Times are ms since the epoch. */
  created = 0;
  /** Of the newest record that carries a time. */
  updated = 0;
  status: RunStatus = 'running';
  ended: number | null = null;
  /** True once the writer said its last word. */
  closed = false;
  exitCode: number | null = null;
  traceback: string | null = null;
  /** Points that a failing disk dropped, as the writer counted them. */
  dropped = 0;
  /** What could not be read, in a person's words. */
  damage: string | null = null;
  name: string | null = null;
  group: string | null = null;
  notes: string | null = null;
  readonly tags = new Set<string>();
  readonly attributes = new Map<AttributePath, AttributeValue>();
  metrics = new MetricTable();
  /** Sequence number of the next record to take in. */
  next = 0;
  /** The first ordinal that no segment covers. */
  coverFrom = 0;
  /** Points with ordinals from `coverFrom` on, by slot of `metrics`, in ordinal order. */
  readonly points = new PointBuffer();
  /** Counts changes that a card shows besides metrics: name, tags, attributes. */
  details = 0;
  /** Counts changes that the writer entry shows. */
  entryChanges = 0;

  /** Metric number of the current file → slot, -1 where there is none. */
  #slots = new Int32Array(64).fill(-1);

  constructor(writer: WriterId) {
    this.writer = writer;
  }

  /** Starts on a file: metric numbers are declared anew in each. */
  startFile(names: readonly (readonly [number: number, path: string])[] = []): void {
    this.#slots.fill(-1);
    for (const [number, path] of names) this.#declare(number, path);
  }

  point(metric: number, step: number, time: number, value: number, ordinal: number): void {
    if (ordinal < this.next) return;
    const slot = this.#slots[metric]!;
    if (slot < 0) return;
    this.metrics.add(slot, step, value);
    const ms = Math.round(time);
    this.points.push(slot, step, value, ms, ordinal);
    if (ms > this.updated) this.updated = ms;
  }

  record(record: JournalRecord): void {
    if (record.type === 'DECLARE') for (const [number, path] of record.names) this.#declare(number, path);
    if (record.sequence < this.next) return;
    switch (record.type) {
      case 'META':
        if (this.meta === null) this.#begin(metaOf(record.data));
        break;
      case 'ATTRS':
        this.#setAttributes(record.data);
        break;
      case 'TAGS': {
        const { time, add, remove } = tagsOf(record.data);
        for (const tag of remove) this.tags.delete(tag);
        for (const tag of add) if (isTag(tag)) this.tags.add(tag);
        this.details++;
        this.#seen(time);
        break;
      }
      case 'GAP': {
        const gap = gapOf(record.data);
        this.dropped += Math.max(gap.points, 0);
        this.entryChanges++;
        this.#seen(gap.time);
        break;
      }
      case 'CLOSE': {
        const close = closeOf(record.data);
        this.#seen(close.time);
        this.closed = true;
        this.status = close.status;
        this.ended = close.time === null ? this.updated : Math.round(close.time);
        this.exitCode = close.exitCode;
        this.traceback = close.traceback ?? close.error;
        this.dropped = Math.max(this.dropped, close.dropped);
        this.entryChanges++;
        break;
      }
      case 'HEARTBEAT':
      case 'ROTATED':
        this.#seen(record.time);
        break;
      case 'STATUS':
        if (typeof record.data.time === 'number') this.#seen(record.data.time);
        break;
      default:
        break;
    }
  }

  /** What a look from outside says of a writer that has not closed. A later word of the writer itself overrules it. */
  judge(verdict: 'running' | 'crashed' | 'lost', now: number): boolean {
    if (this.closed) return false;
    // A forked child that ends without a word is usual: its parent goes on.
    const status = verdict === 'crashed' && this.meta?.forked === true ? 'finished' : verdict;
    if (status === this.status) return false;
    this.status = status;
    this.ended = status === 'running' ? null : Math.max(this.updated, this.created) || now;
    return true;
  }

  /** Notes what could not be read; the first notes are kept. */
  note(damage: string): void {
    const text = this.damage === null ? damage : `${this.damage} ${damage}`;
    if (text.length > 2_000 || this.damage?.includes(damage) === true) return;
    this.damage = text;
    this.entryChanges++;
  }

  #begin(meta: JournalMeta): void {
    this.meta = meta;
    try {
      this.run = parseRunId(meta.run ?? '');
      this.title = meta.project ?? meta.projectId ?? '';
      this.project = projectIdOf(this.title);
    } catch (error) {
      if (!(error instanceof FieldbookError)) throw error;
      this.run = null;
      this.project = null;
    }
    this.created = Math.round(meta.created ?? this.updated);
    this.#seen(meta.created);
    this.name = meta.name;
    this.group = meta.group;
    this.notes = meta.notes;
    for (const tag of meta.tags) if (isTag(tag)) this.tags.add(tag);
    this.details++;
    this.entryChanges++;
  }

  #setAttributes(data: JsonObject): void {
    const { time, set, del, refused } = attributesOf(data);
    for (const path of del) {
      this.attributes.delete(path);
      for (const key of this.attributes.keys()) if (key.startsWith(`${path}/`)) this.attributes.delete(key);
    }
    for (const [path, value] of set) {
      if (this.attributes.has(path) || this.attributes.size < ATTRIBUTES_MAX) this.attributes.set(path, value);
      else this.note(`Only the first ${ATTRIBUTES_MAX} attributes are kept.`);
    }
    if (refused > 0) this.note('Some attributes had paths or values that cannot be kept.');
    this.details++;
    this.entryChanges++;
    this.#seen(time);
  }

  #declare(number: number, path: string): void {
    if (number >= this.#slots.length) {
      const grown = new Int32Array(Math.max(number + 1, this.#slots.length * 2)).fill(-1);
      grown.set(this.#slots);
      this.#slots = grown;
    }
    try {
      this.#slots[number] = this.metrics.slot(parsePath(path));
    } catch {
      this.note('Some metrics had paths that cannot be kept.');
    }
  }

  #seen(time: number | null): void {
    if (time !== null && Number.isFinite(time) && time > this.updated) this.updated = Math.round(time);
  }
}
