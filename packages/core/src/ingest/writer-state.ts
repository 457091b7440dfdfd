import type { AttributePath, ProjectId, RunId, WriterId } from '../ids.ts';
import { parsePath, parseRunId, projectIdOf } from '../ids.ts';
import { FieldbookError } from '../errors.ts';
import type { JournalMeta, JournalRecord, JournalSink, JsonObject } from '../journal/index.ts';
import {
  attributesOf,
  captureOf,
  closeOf,
  CONSOLE_FLAGS,
  fileOf,
  gapOf,
  metaOf,
  objectOf,
  tagsOf,
} from '../journal/index.ts';
import type { AttributeValue, ObjectRow, RunStatus } from '../record/index.ts';
import { isTag } from '../record/index.ts';
import { PointBuffer } from '../series/points.ts';
import { Attachments } from './attachments.ts';
import { MetricTable } from './metric-table.ts';
import { consolePath, ObjectBuffer, openLine } from './object-buffer.ts';

/** More attributes than this are a table, not parameters; the entry that holds them has 1 MB. */
const ATTRIBUTES_MAX = 20_000;
/** Removed paths on a card; a script that removes more has a table of its own. */
const REMOVED_MAX = 256;

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
  /** The signal that ended it or announced its end, as it said. */
  signal: number | null = null;
  /** Why it was preempted, in the scheduler's word. */
  reason: string | null = null;
  traceback: string | null = null;
  /** A scheduler has announced the end: if no other word follows, that is how it ended. */
  preempted = false;
  /** Points that a failing disk dropped, as the writer counted them. */
  dropped = 0;
  /** What could not be read, in a person's words. */
  damage: string | null = null;
  name: string | null = null;
  group: string | null = null;
  notes: string | null = null;
  readonly tags = new Set<string>();
  readonly attributes = new Map<AttributePath, AttributeValue>();
  /** Paths that the writer removed: they hold against what older writers of the run set. */
  readonly removed = new Set<AttributePath>();
  readonly attachments = new Attachments();
  metrics = new MetricTable();
  /** Sequence number of the next record to take in. */
  next = 0;
  /** The first ordinal that no segment covers. */
  coverFrom = 0;
  /** Points with ordinals from `coverFrom` on, by slot of `metrics`, in ordinal order. */
  readonly points = new PointBuffer();
  /** The first ordinal that no object segment covers. */
  objectsFrom = 0;
  /** Object rows with ordinals from `objectsFrom` on. */
  readonly objects = new ObjectBuffer();
  /** Lines so far of each console stream, by path. */
  readonly lines = new Map<string, number>();
  /** Lines that are still being written, by path. */
  readonly openLines = new Map<string, ObjectRow>();
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
        this.#setAttributes(record.data, record.sequence);
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
        this.#endLines(record.sequence);
        this.closed = true;
        this.status = close.status;
        this.ended = close.time === null ? this.updated : Math.round(close.time);
        this.exitCode = close.exitCode;
        this.signal = close.signal ?? this.signal;
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
        this.preempted = record.data.status === 'preempted';
        this.signal = typeof record.data.signal === 'number' ? record.data.signal : null;
        this.reason = typeof record.data.reason === 'string' ? record.data.reason.slice(0, 256) : null;
        this.entryChanges++;
        break;
      case 'FILE': {
        const file = fileOf(record.data);
        if (file === undefined) this.note('Some files had paths that cannot be kept.');
        else if (!this.attachments.addFile(this.writer, record.sequence, file, this.#at(file.time))) {
          this.note('The run names too many files; the later ones are not shown. A data version can list them.');
        }
        break;
      }
      case 'OBJECT': {
        const object = objectOf(record.data);
        if (object === undefined) this.note('Some values of series were too large or empty, and are not kept.');
        else this.objects.pushObject(object, record.sequence, this.#at(object.time));
        break;
      }
      case 'CONSOLE':
        this.#addConsole(record);
        break;
      case 'CAPTURE': {
        const capture = captureOf(record.data);
        this.#seen(capture?.time ?? null);
        if (capture === undefined || !this.attachments.addCapture(this.writer, record.sequence, capture)) {
          this.note('Some of what was captured was too much, and is not kept.');
        }
        break;
      }
      default:
        break;
    }
  }

  /** What a look from outside says of a writer that has not closed. A later word of the writer itself overrules it. */
  judge(verdict: 'running' | 'crashed' | 'lost', now: number): boolean {
    if (this.closed) return false;
    let status: RunStatus = verdict;
    if (verdict !== 'running' && this.preempted) status = 'preempted';
    // A forked child that ends without a word is usual: its parent goes on.
    else if (verdict === 'crashed' && this.meta?.forked === true) status = 'finished';
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

  #setAttributes(data: JsonObject, ordinal: number): void {
    const { time, set, del, refused } = attributesOf(data);
    del.forEach((path, place) => this.#remove(path, ordinal, place, this.#at(time)));
    for (const [path, value] of set) {
      if (this.attributes.has(path) || this.attributes.size < ATTRIBUTES_MAX) this.attributes.set(path, value);
      else this.note(`Only the first ${ATTRIBUTES_MAX} attributes are kept.`);
    }
    if (refused > 0) this.note('Some attributes had paths or values that cannot be kept.');
    this.details++;
    this.entryChanges++;
    this.#seen(time);
  }

  #remove(path: AttributePath, ordinal: number, place: number, time: number): void {
    const known = this.attributes.size;
    this.attributes.delete(path);
    for (const key of this.attributes.keys()) if (key.startsWith(`${path}/`)) this.attributes.delete(key);
    // What it set itself was an attribute and no file, unless it has files at all.
    if (this.attributes.size === known || this.attachments.count > 0) {
      if (!this.attachments.addRemoval(this.writer, ordinal, place, path, time)) {
        this.note('Too many removals; files at the later ones are still shown.');
      }
    }
    if (this.removed.has(path)) return;
    if (this.removed.size < REMOVED_MAX) this.removed.add(path);
    else this.note(`Only the first ${REMOVED_MAX} removed attributes hold against older writers of the run.`);
  }

  #addConsole(record: { sequence: number; time: number; stream: number; flags: number; text: string }): void {
    const { sequence: ordinal, stream, flags, text } = record;
    const path = consolePath(stream);
    const step = this.lines.get(path) ?? 0;
    const line = { ordinal, time: this.#at(record.time), path, step, text };
    if ((flags & CONSOLE_FLAGS.open) !== 0) {
      this.openLines.set(path, openLine(line));
      return;
    }
    this.openLines.delete(path);
    this.lines.set(path, step + this.objects.pushLines({ ...line, gap: (flags & CONSOLE_FLAGS.gap) !== 0 }));
  }

  /** Nothing replaces an unfinished line after the last word: it is a line, of the record that says so. */
  #endLines(ordinal: number): void {
    for (const { path, step, text } of this.openLines.values()) {
      const line = { ordinal, time: this.updated, path, step, text: text.replaceAll('\n', ' '), gap: false };
      this.lines.set(path, step + this.objects.pushLines(line));
    }
    this.openLines.clear();
  }

  /** The time of a record in whole ms; that of the newest record before it when it does not say. */
  #at(time: number | null): number {
    this.#seen(time);
    return time !== null && Number.isFinite(time) ? Math.round(time) : this.updated;
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
