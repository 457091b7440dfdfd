import { FieldbookError } from '../errors.ts';
import type { DeviceId, WriterId } from '../ids.ts';
import type { BlobDigest, BlobStore } from '../ports.ts';
import type { Entry, ObjectsEntry } from '../record/index.ts';
import { ByteCache } from '../series/cache.ts';
import type { Piece } from '../series/coverage.ts';
import { lowerBound } from '../series/merge.ts';
import type { PlacedRow, RowPlace } from './place.ts';
import { comparePlaces, placeOf } from './place.ts';
import { countRows, ObjectSegment } from './segment.ts';
import type { ObjectSource } from './sources.ts';
import { ObjectSources } from './sources.ts';

export type { PlacedRow, RowPlace } from './place.ts';
export { GAP_META, OPEN_META } from './sources.ts';

export interface ObjectRequest {
  /** The run document's manifest: entries of other kinds are ignored. */
  entries: Iterable<Entry>;
  path: string;
  /** What rows are ordered and chosen by; `step` unless said otherwise. Lines of several writers are read by `time`. */
  x?: 'step' | 'time';
  /** Only rows with `from <= x <= to`. */
  from?: number;
  to?: number;
  /** The first or the last rows; `first` unless said otherwise. */
  end?: 'first' | 'last';
  /** At most so many rows, 1 to 10,000. */
  limit: number;
  /** At most so many UTF-16 units of text and data, but always a row; as many as there are without it. */
  characters?: number;
  /** Go on where an answer to the same question stopped: its `next`. */
  after?: RowPlace;
  /** Rows of one writer only. */
  writer?: WriterId;
  /** Only rows whose text has this in it, in whatever case. */
  contains?: string;
}

export interface ObjectAnswer {
  /** In ascending order, whichever end they are of. */
  rows: PlacedRow[];
  /** Where to go on; null when that was all. A search may stop early, with few rows or none. */
  next: RowPlace | null;
  /** Segments that the answer needed and that are not here, or cannot be read. */
  missing: AbsentObjects[];
  corrupt: AbsentObjects[];
}

/** Rows that are known to be and cannot be shown. */
export interface AbsentObjects {
  writer: WriterId;
  device: DeviceId;
  first: number;
  last: number;
  digest: BlobDigest;
  size: number;
  rows: number;
}

/** A path of object rows. */
export interface ObjectPath {
  path: string;
  /** Kind → rows. */
  kinds: Record<string, number>;
  rows: number;
  firstStep: number;
  lastStep: number;
}

/** 64 MB: some segments of a backlog, or a day of a chatty run. */
const CACHE_BYTES = 64 * 1024 * 1024;
const LIMIT_MAX = 10_000;
/** A search looks through so many rows at once: about a second. */
const SEARCH_ROWS = 500_000;

/** Reads object rows from manifests and blobs. Segments are immutable and named by digest, so nothing kept can become wrong. */
export class ObjectReader {
  readonly #blobs: Pick<BlobStore, 'read'>;
  readonly #segments: ByteCache<ObjectSegment>;
  readonly #searchRows: number;

  constructor(blobs: Pick<BlobStore, 'read'>, options: { cacheBytes?: number; searchRows?: number } = {}) {
    this.#blobs = blobs;
    this.#segments = new ByteCache(
      options.cacheBytes ?? CACHE_BYTES,
      (segment) => segment.size + 4_096 + segment.paths.size * 96,
    );
    this.#searchRows = options.searchRows ?? SEARCH_ROWS;
  }

  /** Rows of one path over all writers. Throws `invalid_argument`. */
  async read(request: ObjectRequest): Promise<ObjectAnswer> {
    const { limit, from = -Infinity, to = Infinity } = request;
    if (Number.isNaN(from) || Number.isNaN(to) || from > to) {
      throw new FieldbookError('invalid_argument', 'The range of a series must have from <= to.');
    }
    if (!Number.isSafeInteger(limit) || limit < 1 || limit > LIMIT_MAX) {
      throw new FieldbookError('invalid_argument', `The number of rows must be between 1 and ${LIMIT_MAX}.`);
    }
    const sources = new ObjectSources(request.entries, request.writer);
    const absent = new Map<BlobDigest, 'missing' | 'corrupt'>();
    // A blob that proves absent lets the next best source speak for its ordinals, so begin again without it.
    for (;;) {
      const known = absent.size;
      const pieces = sources.pieces(new Set(absent.keys()));
      const answer = await this.#scan(request, pieces, sources.openRows(), absent);
      if (answer !== undefined && absent.size === known) return answer;
    }
  }

  /** All paths with their kinds and numbers of rows, sorted. Segments that are elsewhere count by what their entries say. */
  async list(entries: Iterable<Entry>): Promise<ObjectPath[]> {
    const paths = new Map<string, ObjectPath>();
    const add = (counts: ReturnType<typeof countRows>): void => {
      for (const { path, kind, rows, firstStep, lastStep } of counts) {
        const known = paths.get(path) ?? { path, kinds: {}, rows: 0, firstStep, lastStep };
        known.kinds[kind] = (known.kinds[kind] ?? 0) + rows;
        known.rows += rows;
        known.firstStep = Math.min(known.firstStep, firstStep);
        known.lastStep = Math.max(known.lastStep, lastStep);
        paths.set(path, known);
      }
    };
    const sources = new ObjectSources(entries);
    for (const { source, from, to, whole } of sources.pieces(new Set())) {
      const inside = ({ ordinal }: { ordinal: number }): boolean => ordinal >= from && ordinal <= to;
      if (source.kind === 'objecttail') add(countRows(source.rows.filter(inside)));
      else if (whole) add([...source.paths]);
      else {
        const segment = await this.#open(source);
        if (typeof segment !== 'string') add(countRows((await segment.all()).filter(inside)));
      }
    }
    add(countRows(sources.openRows()));
    return [...paths.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  /** Undefined when a blob proved absent: then `absent` has grown. */
  async #scan(
    request: ObjectRequest,
    pieces: readonly Piece<ObjectSource>[],
    open: readonly PlacedRow[],
    absent: Map<BlobDigest, 'missing' | 'corrupt'>,
  ): Promise<ObjectAnswer | undefined> {
    const { path, x = 'step', from = -Infinity, to = Infinity, end = 'first', limit, after, contains } = request;
    const sign = end === 'first' ? 1 : -1;
    const order = (a: RowPlace, b: RowPlace): number => sign * comparePlaces(a, b);
    const wanted = contains?.toLowerCase();
    const fits = (row: PlacedRow): boolean =>
      row[x] >= from &&
      row[x] <= to &&
      (after === undefined || order(placeOf(row, x), after) > 0) &&
      (wanted === undefined || row.text.toLowerCase().includes(wanted));
    const result: ObjectAnswer = { rows: [], next: null, missing: [], corrupt: [] };

    const candidates = pieces
      .flatMap((piece) => candidateOf(piece, path, x) ?? [])
      .filter(({ low, high }) => low <= to && high >= from)
      .filter(({ low, high }) => after === undefined || (sign > 0 ? high >= after.key : low <= after.key))
      .sort((a, b) => (sign > 0 ? a.low - b.low : b.high - a.high));
    const inOrder = (a: PlacedRow, b: PlacedRow): number => order(placeOf(a, x), placeOf(b, x));
    let rows = open.filter((row) => row.path === path && fits(row)).sort(inOrder);
    const begun = after?.key ?? (candidates[0] === undefined ? 0 : sign > 0 ? candidates[0].low : candidates[0].high);
    let searched = 0;
    for (const { piece, low, high } of candidates) {
      const nearest = sign > 0 ? low : high;
      // Nothing that is still to be looked at can come before what there is.
      if (rows.length > limit && sign * (rows[limit]![x] - nearest) < 0) break;
      // Unless it comes further, an answer that stops would be the same for ever.
      if (wanted !== undefined && searched >= this.#searchRows && sign * (nearest - begun) > 0) {
        // Everything nearer than this is known; what was found beyond it is found again.
        result.next = { key: nearest, writer: sign > 0 ? '' : '\uffff', ordinal: -1, part: -1 };
        rows = rows.filter((row) => sign * (row[x] - nearest) < 0);
        break;
      }
      const found = await this.#rowsOf(piece, path, {
        x,
        from,
        to,
        sign,
        after,
        limit: wanted === undefined ? limit + 1 : null,
        wanted,
      });
      if (typeof found === 'string') {
        const { source } = piece;
        if (source.kind === 'objecttail') continue;
        if (!absent.has(source.digest)) {
          absent.set(source.digest, found);
          return undefined;
        }
        const { writer, device, digest, size, paths } = source;
        const count = paths.reduce((sum, each) => sum + (each.path === path ? each.rows : 0), 0);
        const list = absent.get(digest) === 'missing' ? result.missing : result.corrupt;
        list.push({ writer, device, first: piece.from, last: piece.to, digest, size, rows: count });
        continue;
      }
      searched += found.examined;
      rows = [...rows, ...found.rows.filter(fits)].sort(inOrder).slice(0, limit + 1);
    }
    const room = Math.min(limit, roomFor(rows, request.characters ?? Infinity));
    if (rows.length > room) {
      rows = rows.slice(0, room);
      result.next = placeOf(rows.at(-1)!, x);
    }
    result.rows = sign > 0 ? rows : rows.reverse();
    return result;
  }

  /** The rows of a piece that may fit: with a limit no more than that many from the end that is asked for. */
  async #rowsOf(
    piece: Piece<ObjectSource>,
    path: string,
    ask: {
      x: 'step' | 'time';
      from: number;
      to: number;
      sign: number;
      after: RowPlace | undefined;
      limit: number | null;
      wanted: string | undefined;
    },
  ): Promise<{ rows: PlacedRow[]; examined: number } | 'missing' | 'corrupt'> {
    const { source, from, to, whole } = piece;
    const { writer } = source;
    const inside = (ordinal: number): boolean => ordinal >= from && ordinal <= to;
    if (source.kind === 'objecttail') {
      const own = source.rows.filter((row) => row.path === path && inside(row.ordinal));
      return { rows: own.map((row) => ({ ...row, writer })), examined: own.length };
    }
    const segment = await this.#open(source);
    if (typeof segment === 'string') return segment;
    try {
      const { wanted } = ask;
      let [start, stop] = [0, segment.paths.get(path)?.count ?? 0];
      // Rows lie in order of step, so a range of them is a range of rows; times need not.
      if (ask.x === 'step') {
        const steps = await segment.steps(path);
        const low = ask.sign > 0 && ask.after !== undefined ? Math.max(ask.from, ask.after.key) : ask.from;
        const high = ask.sign < 0 && ask.after !== undefined ? Math.min(ask.to, ask.after.key) : ask.to;
        start = lowerBound(steps, (step) => step >= low);
        stop = lowerBound(steps, (step) => step > high);
        if (whole && ask.limit !== null) {
          // Rows at the key of `after` may all lie before it.
          const key = ask.after?.key;
          const same = key === undefined ? 0 : steps.reduce((sum, step) => sum + (step === key ? 1 : 0), 0);
          if (ask.sign > 0) stop = Math.min(stop, start + same + ask.limit);
          else start = Math.max(start, stop - same - ask.limit);
        }
      }
      const rows =
        wanted === undefined
          ? await segment.rows(path, start, stop)
          : await segment.rowsWith(path, start, stop, (text) => text.toLowerCase().includes(wanted));
      const own = rows.filter((row) => whole || inside(row.ordinal));
      return { rows: own.map((row) => ({ ...row, writer })), examined: Math.max(0, stop - start) };
    } catch (error) {
      if (error instanceof FieldbookError && error.code === 'segment_corrupt') return 'corrupt';
      throw error;
    }
  }

  async #open(entry: ObjectsEntry): Promise<ObjectSegment | 'missing' | 'corrupt'> {
    try {
      const segment = await this.#segments.get(entry.digest, async () => {
        const bytes = await this.#blobs.read(entry.digest);
        return bytes === undefined ? undefined : new ObjectSegment(bytes);
      });
      return segment ?? 'missing';
    } catch (error) {
      if (!(error instanceof FieldbookError)) throw error;
      if (error.code === 'blob_missing') return 'missing';
      if (error.code === 'segment_corrupt' || error.code === 'blob_corrupt') return 'corrupt';
      throw error;
    }
  }
}

/** How many rows, from the first on, have no more text than that; at least one. */
function roomFor(rows: readonly PlacedRow[], characters: number): number {
  let left = characters;
  for (let index = 0; index < rows.length; index++) {
    left -= rows[index]!.text.length + rows[index]!.meta.length;
    if (left < 0) return Math.max(1, index);
  }
  return Infinity;
}

interface Candidate {
  piece: Piece<ObjectSource>;
  /** Bounds of the key of its rows of the path. */
  low: number;
  high: number;
}

function candidateOf(piece: Piece<ObjectSource>, path: string, x: 'step' | 'time'): Candidate | undefined {
  const { source } = piece;
  const counts = source.kind === 'objects' ? source.paths : countRows(source.rows);
  const own = counts.filter((count) => count.path === path);
  if (own.length === 0) return undefined;
  if (x === 'step') {
    const low = Math.min(...own.map((count) => count.firstStep));
    return { piece, low, high: Math.max(...own.map((count) => count.lastStep)) };
  }
  if (source.kind === 'objects') return { piece, low: source.startTime, high: source.endTime };
  const times = source.rows.filter((row) => row.path === path).map((row) => row.time);
  return { piece, low: Math.min(...times), high: Math.max(...times) };
}
