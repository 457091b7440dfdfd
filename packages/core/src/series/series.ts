import { FieldbookError } from '../errors.ts';
import type { DeviceId, WriterId } from '../ids.ts';
import type { BlobDigest, BlobStore } from '../ports.ts';
import type { Entry, SegmentEntry, TailEntry } from '../record/index.ts';
import type { Buckets } from './buckets.ts';
import { bucketise } from './buckets.ts';
import { ByteCache } from './cache.ts';
import { divide } from './coverage.ts';
import type { MetricColumns, Segment } from './segment.ts';
import { openSegment } from './segment.ts';

export interface SeriesRequest {
  /** The run document's manifest: entries of other kinds are ignored. */
  entries: Iterable<Entry>;
  metric: string;
  /** What lies along the axis; `step` unless said otherwise. */
  x?: 'step' | 'time';
  /** Only points with `from <= x <= to`; also the grid of the buckets, so that series of one request share it. */
  from?: number;
  to?: number;
  /** Up to so many points come as they are; more come as half as many buckets (each shows a minimum and a maximum). All without it. */
  maxPoints?: number;
  /** Also return each point's writer and ordinal. */
  identities?: boolean;
}

/** The series of one metric of one run, over all its writers. */
export interface Series {
  metric: string;
  x: 'step' | 'time';
  /** Points in the range asked for, missing ones not counted. */
  total: number;
  /** All of them, ascending by x, then by writer, then in the order logged; null when they came as buckets. */
  points: SeriesPoints | null;
  buckets: Buckets | null;
  /** Points that are recorded but whose bytes are not on this machine. */
  missing: readonly MissingSegment[];
  /** Segments whose bytes are here and broken. */
  corrupt: readonly MissingSegment[];
}

export interface SeriesPoints {
  steps: Float64Array;
  /** ms since the epoch. */
  times: Float64Array;
  values: Float64Array;
  /** Only with `identities`: per point the index into `writers`, and the ordinal. */
  writer: Uint32Array | null;
  ordinals: Float64Array | null;
  writers: readonly WriterId[];
}

/** Ordinals `[first, last]` of a writer that only an absent blob covers. `points` counts all metrics of the whole segment. */
export interface MissingSegment {
  writer: WriterId;
  device: DeviceId;
  first: number;
  last: number;
  digest: BlobDigest;
  size: number;
  points: number;
}

/** 64 MB hold the columns of 2.7 million points: a screen of charts. */
const COLUMN_CACHE_BYTES = 64 * 1024 * 1024;
/** A footer costs about 2 kB and 64 bytes per metric; 16 MB are some thousand segments. */
const FOOTER_CACHE_BYTES = 16 * 1024 * 1024;
/** Beyond this a request is a mistake: no chart has as many pixels. */
const MAX_POINTS = 10_000_000;

/**
 * Reads series from manifests and blobs, keeping decoded columns for the next time. Segments are immutable and named
 * by digest, so nothing kept can become wrong.
 */
export class SeriesReader {
  readonly #blobs: Pick<BlobStore, 'read'>;
  readonly #columns: ByteCache<MetricColumns | 'none'>;
  readonly #segments: ByteCache<Segment>;

  constructor(blobs: Pick<BlobStore, 'read'>, options: { cacheBytes?: number } = {}) {
    this.#blobs = blobs;
    this.#columns = new ByteCache(options.cacheBytes ?? COLUMN_CACHE_BYTES, columnBytes);
    this.#segments = new ByteCache(FOOTER_CACHE_BYTES, (segment) => 2_048 + segment.metrics.size * 64);
  }

  /** Throws `invalid_argument` for a range or a number of points that makes no sense. */
  async read(request: SeriesRequest): Promise<Series> {
    const { metric, x = 'step', from = -Infinity, to = Infinity, maxPoints = Infinity } = request;
    if (Number.isNaN(from) || Number.isNaN(to) || from > to) {
      throw new FieldbookError('invalid_argument', 'The range of a series must have from <= to.');
    }
    if (Number.isNaN(maxPoints) || maxPoints < 2 || (maxPoints > MAX_POINTS && maxPoints !== Infinity)) {
      throw new FieldbookError('invalid_argument', `The number of points must be between 2 and ${MAX_POINTS}.`);
    }
    const gathered = await this.#gather(request.entries, metric, request.identities === true);
    const merged = merge(gathered.parts, x, from, to, request.identities === true);
    const keys = x === 'step' ? merged.steps : merged.times;
    const total = keys.length;
    const few = total <= maxPoints;
    return {
      metric,
      x,
      total,
      points: few ? merged : null,
      buckets: few
        ? null
        : bucketise(
            keys,
            merged.values,
            from === -Infinity ? keys[0]! : from,
            to === Infinity ? keys[total - 1]! : to,
            Math.max(1, Math.floor(maxPoints / 2)),
          ),
      missing: gathered.missing,
      corrupt: gathered.corrupt,
    };
  }

  /** Paths of all metrics that the manifest's segments and tails hold, sorted; segments that are elsewhere are skipped. */
  async metrics(entries: Iterable<Entry>): Promise<string[]> {
    const paths = new Set<string>();
    for (const entry of entries) {
      if (entry.kind === 'tail') for (const name of entry.names) paths.add(name);
      if (entry.kind === 'segment') {
        const segment = await this.#open(entry);
        if (segment !== undefined) for (const path of segment.metrics.keys()) paths.add(path);
      }
    }
    return [...paths].sort();
  }

  /** The parts to merge, in order of writer and ordinal. */
  async #gather(
    entries: Iterable<Entry>,
    metric: string,
    identities: boolean,
  ): Promise<{ parts: Part[]; missing: MissingSegment[]; corrupt: MissingSegment[] }> {
    const writers = new Map<WriterId, (SegmentEntry | TailEntry)[]>();
    for (const entry of entries) {
      if (entry.kind !== 'segment' && entry.kind !== 'tail') continue;
      const list = writers.get(entry.writer);
      if (list === undefined) writers.set(entry.writer, [entry]);
      else list.push(entry);
    }
    const parts: Part[] = [];
    const missing: MissingSegment[] = [];
    const corrupt: MissingSegment[] = [];
    for (const writer of [...writers.keys()].sort()) {
      const absent = new Map<BlobDigest, 'missing' | 'corrupt'>();
      // A blob that proves absent lets the next best source speak for its ordinals, so divide again without it.
      for (;;) {
        const known = absent.size;
        const pieces = divide(writers.get(writer)!, (a, b) => preferred(a, b, absent));
        const found: Part[] = [];
        for (const piece of pieces) {
          const { source, from, to } = piece;
          if (source.kind === 'tail') {
            found.push({ writer, ...tailColumns(source, metric, from, to) });
            continue;
          }
          if (absent.has(source.digest)) continue;
          const columns = await this.#load(source, metric, identities || !piece.whole);
          if (columns === 'missing' || columns === 'corrupt') absent.set(source.digest, columns);
          else if (columns !== 'none') found.push({ writer, ...(piece.whole ? columns : clip(columns, from, to)) });
        }
        if (absent.size > known) continue;
        parts.push(...found);
        for (const { source, from, to } of pieces) {
          if (source.kind !== 'segment' || !absent.has(source.digest)) continue;
          const { device, digest, size, points } = source;
          const list = absent.get(digest) === 'missing' ? missing : corrupt;
          list.push({ writer, device, first: from, last: to, digest, size, points });
        }
        break;
      }
    }
    return { parts, missing, corrupt };
  }

  async #load(
    entry: SegmentEntry,
    metric: string,
    ordinals: boolean,
  ): Promise<MetricColumns | 'none' | 'missing' | 'corrupt'> {
    try {
      const key = `${entry.digest}/${ordinals ? 'o' : '-'}/${metric}`;
      const columns = await this.#columns.get(key, async () => {
        const segment = await this.#open(entry);
        return segment === undefined ? undefined : ((await segment.read(metric, { ordinals })) ?? 'none');
      });
      return columns ?? 'missing';
    } catch (error) {
      if (error instanceof FieldbookError && error.code === 'blob_missing') return 'missing';
      if (error instanceof FieldbookError && (error.code === 'segment_corrupt' || error.code === 'blob_corrupt'))
        return 'corrupt';
      throw error;
    }
  }

  async #open(entry: SegmentEntry): Promise<Segment | undefined> {
    const { digest, size } = entry;
    const read = async (start: number, end: number): Promise<Uint8Array> => {
      const bytes = await this.#blobs.read(digest, { start, end });
      if (bytes === undefined) throw new FieldbookError('blob_missing', `The blob ${digest} is not on this machine.`);
      return bytes;
    };
    try {
      return await this.#segments.get(digest, () => openSegment({ size, read }));
    } catch (error) {
      if (error instanceof FieldbookError && error.code === 'blob_missing') return undefined;
      throw error;
    }
  }
}

/** Points of one writer, ascending by step, then ordinal; all ordinals of a part lie behind those of the one before. */
interface Part extends MetricColumns {
  writer: WriterId;
}

/** Sealed and present before tails before absent; then the longer, so that few pieces result; then anything that is the same everywhere. */
function preferred(
  a: SegmentEntry | TailEntry,
  b: SegmentEntry | TailEntry,
  absent: ReadonlyMap<BlobDigest, unknown>,
): number {
  const rank = (entry: SegmentEntry | TailEntry): number =>
    entry.kind === 'tail' ? 1 : absent.has(entry.digest) ? 2 : 0;
  return (
    rank(a) - rank(b) || b.last - b.first - (a.last - a.first) || a.first - b.first || (a.device < b.device ? -1 : 1)
  );
}

function tailColumns(tail: TailEntry, metric: string, from: number, to: number): MetricColumns {
  const number = tail.names.indexOf(metric);
  const rows: number[] = [];
  if (number >= 0) {
    for (let row = 0; row < tail.metric.length; row++) {
      const ordinal = tail.ordinal[row]!;
      if (tail.metric[row] === number && ordinal >= from && ordinal <= to) rows.push(row);
    }
  }
  rows.sort((a, b) => tail.step[a]! - tail.step[b]! || tail.ordinal[a]! - tail.ordinal[b]!);
  const pick = (column: Float64Array): Float64Array => Float64Array.from(rows, (row) => column[row]!);
  return { step: pick(tail.step), time: pick(tail.time), value: pick(tail.value), ordinal: pick(tail.ordinal) };
}

function clip(columns: MetricColumns, from: number, to: number): MetricColumns {
  const inside = (_: number, row: number): boolean => {
    const ordinal = columns.ordinal![row]!;
    return ordinal >= from && ordinal <= to;
  };
  return {
    step: columns.step.filter(inside),
    time: columns.time.filter(inside),
    value: columns.value.filter(inside),
    ordinal: columns.ordinal!.filter(inside),
  };
}

function merge(
  parts: readonly Part[],
  x: 'step' | 'time',
  from: number,
  to: number,
  identities: boolean,
): SeriesPoints {
  const writers = [...new Set(parts.map((part) => part.writer))];
  const length = parts.reduce((sum, part) => sum + part.step.length, 0);
  const all = {
    steps: new Float64Array(length),
    times: new Float64Array(length),
    values: new Float64Array(length),
    writer: identities ? new Uint32Array(length) : null,
    ordinals: identities ? new Float64Array(length) : null,
  };
  let at = 0;
  for (const part of parts) {
    all.steps.set(part.step, at);
    all.times.set(part.time, at);
    all.values.set(part.value, at);
    all.writer?.fill(writers.indexOf(part.writer), at, at + part.step.length);
    if (part.ordinal !== null) all.ordinals?.set(part.ordinal, at);
    at += part.step.length;
  }
  const keys = x === 'step' ? all.steps : all.times;
  if (isAscending(keys)) {
    const start = lowerBound(keys, (key) => key >= from);
    const end = lowerBound(keys, (key) => key > to);
    if (start === 0 && end === length) return { ...all, writers };
    return {
      steps: all.steps.slice(start, end),
      times: all.times.slice(start, end),
      values: all.values.slice(start, end),
      writer: all.writer?.slice(start, end) ?? null,
      ordinals: all.ordinals?.slice(start, end) ?? null,
      writers,
    };
  }
  const order = Uint32Array.from({ length }, (_, row) => row)
    .filter((row) => keys[row]! >= from && keys[row]! <= to)
    .sort((a, b) => keys[a]! - keys[b]! || a - b);
  const pick = (column: Float64Array): Float64Array => Float64Array.from(order, (row) => column[row]!);
  return {
    steps: pick(all.steps),
    times: pick(all.times),
    values: pick(all.values),
    writer: all.writer === null ? null : Uint32Array.from(order, (row) => all.writer![row]!),
    ordinals: all.ordinals === null ? null : pick(all.ordinals),
    writers,
  };
}

function isAscending(keys: Float64Array): boolean {
  for (let index = 1; index < keys.length; index++) if (keys[index]! < keys[index - 1]!) return false;
  return true;
}

function lowerBound(keys: Float64Array, reached: (key: number) => boolean): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (reached(keys[middle]!)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function columnBytes(columns: MetricColumns | 'none'): number {
  if (columns === 'none') return 64;
  return 256 + columns.step.length * (columns.ordinal === null ? 24 : 32);
}
