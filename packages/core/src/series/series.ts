import { FieldbookError } from '../errors.ts';
import type { DeviceId, WriterId } from '../ids.ts';
import type { BlobDigest, BlobStore } from '../ports.ts';
import type { Entry, SegmentEntry } from '../record/index.ts';
import type { Buckets } from './buckets.ts';
import { BucketGrid } from './buckets.ts';
import { ByteCache } from './cache.ts';
import type { Gunzip } from './compression.ts';
import { portableGunzip } from './compression.ts';
import type { LevelBlocks, LevelFactor } from './levels.ts';
import { blocksBytes } from './levels.ts';
import { merge } from './merge.ts';
import type { Part } from './merge.ts';
import type { Numbers } from './parquet-reader.ts';
import type { Segment } from './segment-reader.ts';
import { openSegment } from './segment-reader.ts';
import type { Origin, SegmentOrigin } from './origins.ts';
import { Absent, originsOf, tailColumns } from './origins.ts';

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
  /** How many points each piece of the answer is made of: 1, or 64 or 4096 where it came from coarse levels. */
  factor: 1 | 64 | 4096;
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

/** Levels of 100 series of a million points are 90 to 110 MB; the other 32 MB hold 1.6 million points as they are. */
const CACHE_BYTES = 160 * 1024 * 1024;
/** What of it levels may fill. */
const LEVEL_SHARE = 0.8;
/** A footer costs 40 kB a million points and 160 bytes per metric; 64 MB are a thousand segments. */
const FOOTER_CACHE_BYTES = 64 * 1024 * 1024;
/** Beyond this a request is a mistake: no chart has as many pixels. */
const MAX_POINTS = 10_000_000;
/** Levels are exact enough where a bucket holds so many blocks; finer ones are read where it holds fewer. */
const BLOCKS_PER_BUCKET = 4;
/** Blobs read at once: hides the latency of a disk or a network, and holds a few MB. */
const READS = 8;

export interface SeriesReaderOptions {
  /** Bound of what decoded columns and levels hold in memory. */
  cacheBytes?: number;
  /** The platform's inflation, where it is faster than the portable one. */
  gunzip?: Gunzip;
}

/** What a request found: points as they are, and blocks of the levels, all within the range. */
interface Found {
  total: number;
  factor: 1 | LevelFactor;
  parts: Part[];
  blocks: { blocks: LevelBlocks; rows: Uint32Array }[];
}

/**
 * Reads series from manifests and blobs, from the coarsest level that is exact enough, keeping what it decoded for the next
 * time. Segments are immutable and named by digest, so nothing kept can become wrong. `blobs` may be a disk or HTTP: all
 * it needs is ranges. A request costs O(points shown + blocks in range), never O(points recorded), where segments have levels.
 */
export class SeriesReader {
  readonly #blobs: Pick<BlobStore, 'read'>;
  readonly #gunzip: Gunzip;
  readonly #columns: ByteCache<Numbers[]>;
  readonly #levels: ByteCache<LevelBlocks>;
  readonly #segments: ByteCache<Segment>;

  constructor(blobs: Pick<BlobStore, 'read'>, options: SeriesReaderOptions = {}) {
    const { cacheBytes = CACHE_BYTES, gunzip = portableGunzip } = options;
    this.#blobs = blobs;
    this.#gunzip = gunzip;
    this.#columns = new ByteCache(cacheBytes * (1 - LEVEL_SHARE), (columns) =>
      columns.reduce((sum, { byteLength }) => sum + byteLength, 256),
    );
    this.#levels = new ByteCache(cacheBytes * LEVEL_SHARE, blocksBytes);
    this.#segments = new ByteCache(FOOTER_CACHE_BYTES, (segment) => segment.bytes);
  }

  /** Bytes that the caches hold, about: decoded columns, levels, and footers. */
  get bytes(): { columns: number; levels: number; footers: number } {
    return { columns: this.#columns.bytes, levels: this.#levels.bytes, footers: this.#segments.bytes };
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
    const absent = new Absent();
    const entries = [...request.entries];
    const size = Math.max(1, Math.floor(maxPoints / 2));
    const identities = request.identities === true;
    for (;;) {
      const origins = await originsOf(entries, metric, absent, (entry) => this.#open(entry));
      const query: Query = { metric, x, from, to, identities: false };
      try {
        const found =
          maxPoints === Infinity
            ? await this.#gather(origins, { ...query, identities }, 1)
            : await this.#coarsest(origins, query, size);
        const { total, factor } = found;
        const common = { metric, x, total, missing: absent.missing, corrupt: absent.corrupt };
        if (total > maxPoints) return { ...common, factor, points: null, buckets: draw(found, query, size) };
        const { parts } = maxPoints === Infinity ? found : await this.#gather(origins, { ...query, identities }, 1);
        return { ...common, factor: 1, points: merge(parts, x, from, to, identities), buckets: null };
      } catch (error) {
        // A blob that proves absent lets the next best origin speak for its ordinals, so everything is divided again.
        if (!absent.note(error)) throw error;
      }
    }
  }

  /** Paths of all metrics that the manifest's segments and tails hold, sorted; segments that are elsewhere are skipped. */
  async metrics(entries: Iterable<Entry>): Promise<string[]> {
    const paths = new Set<string>();
    for (const entry of entries) {
      if (entry.kind === 'tail') for (const name of entry.names) paths.add(name);
      if (entry.kind === 'segment') {
        const segment = await this.#open(entry).catch((error: unknown) => {
          if (error instanceof FieldbookError && error.code === 'blob_missing') return undefined;
          throw error;
        });
        if (segment !== undefined) for (const path of segment.metrics.keys()) paths.add(path);
      }
    }
    return [...paths].sort();
  }

  /** From the coarsest level of which every bucket still has several blocks. */
  async #coarsest(origins: readonly Origin[], query: Query, size: number): Promise<Found> {
    const most = origins.reduce((sum, origin) => sum + rowsWithin(origin, query), 0);
    for (const factor of [4_096, 64] as const) {
      if (most / factor < size * BLOCKS_PER_BUCKET) continue;
      const found = await this.#gather(origins, query, factor, size);
      // Row groups overlap the range by more than they hold of it when it is narrow.
      if (found.total / factor >= size * BLOCKS_PER_BUCKET) return found;
    }
    return await this.#gather(origins, query, 1);
  }

  async #gather(all: readonly Origin[], query: Query, factor: 1 | LevelFactor, size = 1): Promise<Found> {
    // Of a long run most segments lie outside of a range.
    const origins = all.filter((origin) => rowsWithin(origin, query) > 0);
    const pieces = await inOrder(origins, (origin) => this.#piece(origin, query, factor));
    const found: Found = { total: 0, factor, parts: [], blocks: [] };
    const grid = factor === 1 ? undefined : gridOf(pieces, query, size);
    for (const [index, piece] of pieces.entries()) {
      found.parts.push(...piece.parts);
      if (piece.blocks === undefined) continue;
      const { blocks } = piece;
      const inside: number[] = [];
      const across: [number, number][] = [];
      let at = 0;
      for (let row = 0; row < blocks.count.length; row++) {
        const from = blocks.from[row]!;
        const to = blocks.to[row]!;
        const rows = blocks.count[row]!;
        if (to >= query.from && from <= query.to) {
          if (from >= query.from && to <= query.to && grid!.fits(from, to)) {
            inside.push(row);
            found.total += rows;
          } else if (across.at(-1)?.[1] === at) across.at(-1)![1] = at + rows;
          else across.push([at, at + rows]);
        }
        at += rows;
      }
      found.blocks.push({ blocks, rows: Uint32Array.from(inside) });
      // What lies across the ends of the range, or across several buckets, is read as it is.
      for (const [from, to] of across)
        found.parts.push(...(await this.#rows(origins[index] as SegmentOrigin, query, from, to)));
    }
    for (const part of found.parts) found.total += countWithin(query.x === 'step' ? part.step : part.time, query);
    return found;
  }

  /** What one origin has: blocks where it has the level, points otherwise. */
  async #piece(origin: Origin, query: Query, factor: 1 | LevelFactor): Promise<Piece> {
    if (origin.kind === 'tail') {
      const { writer, entry, from, to } = origin;
      return { parts: [{ writer, ...tailColumns(entry, query.metric, from, to) }], blocks: undefined };
    }
    if (factor !== 1 && origin.whole) {
      const blocks = await this.#blocks(origin, query, factor);
      if (blocks !== undefined) return { parts: [], blocks };
    }
    return { parts: await this.#rows(origin, query, 0, Infinity), blocks: undefined };
  }

  async #blocks(origin: SegmentOrigin, query: Query, factor: LevelFactor): Promise<LevelBlocks | undefined> {
    const { metric, x } = query;
    const { digest } = origin.entry;
    const load = async (): Promise<LevelBlocks | undefined> => {
      const levels = await origin.segment.levels();
      const best = levels === null ? undefined : ([factor, 64] as const).find((level) => levels.has(level, metric));
      return best === undefined ? undefined : await levels!.read(best, metric, x);
    };
    return await told(digest, () => this.#levels.get(`${digest}/${x}/${factor}/${metric}`, load));
  }

  /** Rows `[from, to)` of the metric within its segment, group by group, as far as the groups touch the range. */
  async #rows(origin: SegmentOrigin, query: Query, from: number, to: number): Promise<Part[]> {
    const { metric, x, identities } = query;
    const { segment, entry, writer } = origin;
    const first = segment.metrics.get(metric)!.start;
    const exact = identities || !origin.whole;
    const parts = segment.parts(metric).filter((part) => {
      const { min, max } = part[x];
      return part.to > first + from && part.from < first + to && max >= query.from && min <= query.to;
    });
    const columns = exact ? (['step', 'time', 'value', 'ordinal'] as const) : (['step', 'time', 'value'] as const);
    return await inOrder(parts, async (part) => {
      const key = `${entry.digest}/${exact ? 'o' : '-'}/${part.from}`;
      const load = (): Promise<Numbers[]> => segment.readRows(part.group, columns, part.from, part.to);
      const read = await told(entry.digest, () => this.#columns.get(key, load));
      const [start, end] = [Math.max(0, first + from - part.from), Math.min(part.to, first + to) - part.from];
      const cut = read!.map((column) => column.subarray(start, end));
      const [step, time, value, ordinal = null] = cut as [Numbers, Numbers, Numbers, Numbers?];
      const whole: Part = { writer, step, time, value, ordinal };
      return origin.whole ? whole : clip(whole, origin.from, origin.to);
    });
  }

  async #open(entry: SegmentEntry): Promise<Segment> {
    const { digest, size } = entry;
    const read = async (start: number, end: number): Promise<Uint8Array> => {
      const bytes = await this.#blobs.read(digest, { start, end });
      if (bytes === undefined) throw new FieldbookError('blob_missing', `The blob ${digest} is not on this machine.`);
      return bytes;
    };
    return (await told(digest, () => this.#segments.get(digest, () => openSegment({ size, read }, this.#gunzip))))!;
  }
}

interface Query {
  metric: string;
  x: 'step' | 'time';
  from: number;
  to: number;
  identities: boolean;
}

interface Piece {
  parts: Part[];
  blocks: LevelBlocks | undefined;
}

/** Errors of a blob carry its digest, so that the request can go on without it. */
async function told<T>(digest: BlobDigest, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw Absent.named(error, digest);
  }
}

/** Results in the order of the items, a few at a time, flat where they are lists. */
async function inOrder<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index]!);
    }
  };
  await Promise.all(Array.from({ length: Math.min(READS, items.length) }, worker));
  return results;
}

/** At most so many rows of an origin lie within the range. */
function rowsWithin(origin: Origin, { metric, x, from, to }: Query): number {
  if (origin.kind === 'tail') return origin.entry.metric.length;
  let rows = 0;
  for (const part of origin.segment.parts(metric))
    if (part[x].max >= from && part[x].min <= to) rows += part.to - part.from;
  return rows;
}

function countWithin(keys: Numbers, { from, to }: Query): number {
  if (from === -Infinity && to === Infinity) return keys.length;
  let count = 0;
  for (const key of keys) if (key >= from && key <= to) count++;
  return count;
}

/** The grid of what is asked for, or of what there is. */
function gridOf(pieces: readonly Piece[], { x, from, to }: Query, size: number): BucketGrid {
  let least = from;
  let most = to;
  if (from === -Infinity || to === Infinity) {
    let [low, high] = [Infinity, -Infinity];
    const take = (a: number, b: number): void => {
      if (a < low && a >= from) low = a;
      if (b > high && b <= to) high = b;
    };
    for (const { parts, blocks } of pieces) {
      for (const part of parts) for (const key of x === 'step' ? part.step : part.time) take(key, key);
      if (blocks === undefined) continue;
      if (blocks.least < low) low = blocks.least;
      if (blocks.most > high) high = blocks.most;
    }
    if (from === -Infinity) least = low;
    if (to === Infinity) most = high;
  }
  return new BucketGrid(least, most, size);
}

function draw(found: Found, query: Query, size: number): Buckets {
  const { x, from, to } = query;
  const pieces = [
    { parts: found.parts, blocks: undefined },
    ...found.blocks.map(({ blocks }) => ({ parts: [], blocks })),
  ];
  const grid = gridOf(pieces, query, size);
  for (const { blocks, rows } of found.blocks) for (const row of rows) grid.addBlock(blocks, row);
  for (const part of found.parts) {
    const keys = x === 'step' ? part.step : part.time;
    if (from === -Infinity && to === Infinity) {
      grid.addPoints(keys, part.value);
      continue;
    }
    for (let start = 0; start < keys.length;) {
      while (start < keys.length && !(keys[start]! >= from && keys[start]! <= to)) start++;
      let end = start;
      while (end < keys.length && keys[end]! >= from && keys[end]! <= to) end++;
      grid.addPoints(keys, part.value, start, end);
      start = end;
    }
  }
  return grid.buckets();
}

function clip(part: Part, from: number, to: number): Part {
  const inside = (_: number, row: number): boolean => part.ordinal![row]! >= from && part.ordinal![row]! <= to;
  return {
    writer: part.writer,
    step: part.step.filter(inside),
    time: part.time.filter(inside),
    value: part.value.filter(inside),
    ordinal: part.ordinal!.filter(inside),
  };
}
