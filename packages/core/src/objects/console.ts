import { isFieldbookError } from '../errors.ts';
import type { WriterId } from '../ids.ts';
import type { BlobDigest, BlobStore } from '../ports.ts';
import type { Entry, ObjectRow, ObjectsEntry } from '../record/index.ts';
import { ByteCache } from '../series/cache.ts';
import type { Piece } from '../series/coverage.ts';
import type { Block, Part } from './console-blocks.ts';
import { blocksOf } from './console-blocks.ts';
import { inverseOf, orderOf } from './console-order.ts';
import type { LineRow, RowMarks } from './segment.ts';
import { compareRows, countRows, ObjectSegment } from './segment.ts';
import type { ObjectSource } from './sources.ts';
import { GAP_META, ObjectSources, OPEN_META } from './sources.ts';

/** Paths of console lines: `console/stdout`, `console/stderr`, `console/output`. */
export const CONSOLE_PREFIX = 'console/';

/** Which lines; all of them when nothing is said. */
export interface ConsoleChoice {
  streams?: ReadonlySet<string> | undefined;
  writers?: ReadonlySet<string> | undefined;
}

export interface ConsoleLine {
  /** Place among all lines of the view, from 0. */
  index: number;
  /** `stdout`, `stderr` or `output`. */
  stream: string;
  writer: WriterId;
  /** ms since the epoch; NaN of a line that is not here. */
  time: number;
  text: string;
  /** It is still being written. */
  open: boolean;
  /** Not what was printed, but a notice of what was left out. */
  gap: boolean;
  /** Why its text is not shown: the bytes are on another machine, nobody answers who may have them, they are damaged. */
  absent: Absence | null;
}

export type Absence = 'missing' | 'unreachable' | 'corrupt';

/** Lines of one stream of one writer. */
export interface ConsoleSource {
  writer: WriterId;
  stream: string;
  lines: number;
}

export interface SearchOptions {
  /** First line that is looked at. */
  from?: number;
  /** Called between pieces with how many lines were looked at, and what was found since the last call, ascending. */
  onProgress: (searched: number, found: Uint32Array) => void;
  /** Lets others have their turn; a search of a million lines takes seconds. */
  pause: () => Promise<void>;
  isCancelled: () => boolean;
}

export interface ConsoleReaderOptions {
  /** Segments in memory, as they are stored. */
  cacheBytes?: number;
  /** Orders of lines in memory: four bytes a line where several streams or writers are in one piece. */
  orderBytes?: number;
}

const CACHE_BYTES = 48 * 1024 * 1024;
const ORDER_BYTES = 32 * 1024 * 1024;

/** Reads consoles as lines by number, whoever wrote them, from manifests and blobs: what is not looked at is not decoded. */
export class ConsoleReader {
  readonly #blobs: Pick<BlobStore, 'read'>;
  readonly #segments: ByteCache<ObjectSegment>;
  readonly #orders: ByteCache<Uint32Array>;
  readonly #absent = new Map<BlobDigest, Absence>();

  constructor(blobs: Pick<BlobStore, 'read'>, options: ConsoleReaderOptions = {}) {
    this.#blobs = blobs;
    this.#segments = new ByteCache(options.cacheBytes ?? CACHE_BYTES, (segment) => segment.size + 4_096);
    this.#orders = new ByteCache(options.orderBytes ?? ORDER_BYTES, (order) => order.byteLength);
  }

  /** Lets blobs that were not to be had be asked for again. */
  retry(): void {
    this.#absent.clear();
  }

  /** The lines that a manifest lists. A piece that only some of its lines are taken from is opened to count them. */
  async view(entries: Iterable<Entry>, choice: ConsoleChoice = {}): Promise<ConsoleView> {
    const sources = new ObjectSources(entries);
    const parts: Part[] = [];
    for (const piece of sources.pieces(new Set(this.#absent.keys()))) parts.push(...(await this.#partsOf(piece)));
    const open = sources.openRows().filter(({ path }) => path.startsWith(CONSOLE_PREFIX));
    for (const row of open.sort((a, b) => a.time - b.time)) {
      const { path, writer, time } = row;
      parts.push({
        writer,
        path,
        count: 1,
        rows: [row],
        digest: null,
        picked: null,
        start: time,
        end: time,
        open: true,
      });
    }
    return new ConsoleView(this, parts, choice);
  }

  /** @internal Rows `[from, to)` of a part. */
  async linesOf(part: Part, from: number, to: number): Promise<LineRow[] | Absence> {
    if (part.rows !== null) return part.rows.slice(from, to);
    return this.#within(part, async (segment) => {
      const { picked } = part;
      if (picked === null) return segment.lines(part.path, from, to);
      const first = picked[from] ?? 0;
      const lines = await segment.lines(part.path, first, (picked[to - 1] ?? -1) + 1);
      return Array.from(picked.subarray(from, to), (row) => lines[row - first]!);
    });
  }

  /** @internal Texts of a whole part, some thousand at a time. */
  async *textsOf(part: Part): AsyncGenerator<{ from: number; texts: ArrayLike<unknown> }> {
    if (part.rows !== null) {
      yield { from: 0, texts: part.rows.map(({ text }) => text) };
      return;
    }
    const segment = await this.#open(part.digest!);
    if (typeof segment === 'string') return;
    const { picked } = part;
    let next = 0;
    for await (const { from, texts } of segment.texts(part.path)) {
      if (picked === null) {
        yield { from, texts };
        continue;
      }
      const first = next;
      while (next < picked.length && picked[next]! < from + texts.length) next += 1;
      yield { from: first, texts: Array.from(picked.subarray(first, next), (row) => texts[row - from]) };
    }
  }

  /** @internal The order of a block's lines; null when they lie in it already. */
  async orderOf(block: Block): Promise<Uint32Array | null> {
    if (block.parts.length === 1) return null;
    const order = await this.#orders.get(block.key, async () => {
      const marks: RowMarks[] = [];
      for (const part of block.parts) marks.push(await this.#marksOf(part));
      return orderOf(block.parts, marks);
    });
    return order!;
  }

  async #marksOf(part: Part): Promise<RowMarks> {
    const { rows, picked, count } = part;
    if (rows !== null) {
      const column = (pick: (row: ObjectRow) => number): Float64Array => Float64Array.from(rows, pick);
      return {
        ordinal: column((row) => row.ordinal),
        part: column((row) => row.part),
        time: column((row) => row.time),
      };
    }
    const marks = await this.#within(part, (segment) => segment.marks(part.path));
    if (typeof marks === 'string') {
      // Lines that cannot be read stand together, where their piece begins.
      const all = (value: number): Float64Array => new Float64Array(count).fill(value);
      return {
        ordinal: all(part.first ?? 0),
        part: Float64Array.from({ length: count }, (_, at) => at),
        time: all(part.start),
      };
    }
    if (picked === null) return marks;
    const pick = (column: Float64Array): Float64Array => Float64Array.from(picked, (row) => column[row]!);
    return { ordinal: pick(marks.ordinal), part: pick(marks.part), time: pick(marks.time) };
  }

  async #partsOf({ source, from, to, whole }: Piece<ObjectSource>): Promise<Part[]> {
    const { writer } = source;
    if (source.kind === 'objecttail') {
      const rows = source.rows.filter(
        ({ path, ordinal }) => path.startsWith(CONSOLE_PREFIX) && ordinal >= from && ordinal <= to,
      );
      return countRows(rows).map(({ path }) => {
        const own = rows.filter((row) => row.path === path).sort(compareRows);
        const times = own.map(({ time }) => time);
        const [start, end] = [Math.min(...times), Math.max(...times)];
        return { writer, path, count: own.length, rows: own, digest: null, picked: null, start, end, first: from };
      });
    }
    const counts = new Map<string, number>();
    for (const { path, rows } of source.paths)
      if (path.startsWith(CONSOLE_PREFIX)) counts.set(path, (counts.get(path) ?? 0) + rows);
    const parts: Part[] = [];
    for (const [path, rows] of counts) {
      const picked = whole ? null : await this.#pickedOf(source, path, from, to);
      const count = picked === null ? rows : picked.length;
      const { startTime: start, endTime: end, digest } = source;
      if (count > 0) parts.push({ writer, path, count, rows: null, digest, picked, start, end, first: from });
    }
    return parts;
  }

  /** Rows of a path that lie in a part of what their segment covers; none where it cannot be read. */
  async #pickedOf({ digest }: ObjectsEntry, path: string, from: number, to: number): Promise<Uint32Array> {
    const segment = await this.#open(digest);
    if (typeof segment === 'string') return new Uint32Array();
    const { ordinal } = await segment.marks(path);
    const rows: number[] = [];
    for (let row = 0; row < ordinal.length; row++) if (ordinal[row]! >= from && ordinal[row]! <= to) rows.push(row);
    return Uint32Array.from(rows);
  }

  async #within<T>(part: Part, work: (segment: ObjectSegment) => Promise<T>): Promise<T | Absence> {
    const segment = await this.#open(part.digest!);
    if (typeof segment === 'string') return segment;
    try {
      return await work(segment);
    } catch (error) {
      if (!isFieldbookError(error, 'segment_corrupt')) throw error;
      this.#absent.set(part.digest!, 'corrupt');
      return 'corrupt';
    }
  }

  async #open(digest: BlobDigest): Promise<ObjectSegment | Absence> {
    const known = this.#absent.get(digest);
    if (known !== undefined) return known;
    let absence: Absence = 'missing';
    try {
      const segment = await this.#segments.get(digest, async () => {
        const bytes = await this.#blobs.read(digest);
        return bytes === undefined ? undefined : new ObjectSegment(bytes);
      });
      if (segment !== undefined) return segment;
    } catch (error) {
      if (isFieldbookError(error, 'peer_unreachable')) absence = 'unreachable';
      else if (isFieldbookError(error, 'segment_corrupt') || isFieldbookError(error, 'blob_corrupt'))
        absence = 'corrupt';
      else if (!isFieldbookError(error, 'blob_missing')) throw error;
    }
    this.#absent.set(digest, absence);
    return absence;
  }
}

/** A console as it stands at one moment: its lines have numbers, and what was printed later is in the next view. */
export class ConsoleView {
  /** Lines in it. */
  readonly count: number;
  /** Lines by writer and stream, those that were not chosen too. */
  readonly sources: readonly ConsoleSource[];
  readonly #reader: ConsoleReader;
  readonly #blocks: readonly Block[];

  /** @internal */
  constructor(reader: ConsoleReader, parts: readonly Part[], { streams, writers }: ConsoleChoice) {
    this.#reader = reader;
    const sources = new Map<string, ConsoleSource>();
    for (const { writer, path, count } of parts) {
      const stream = streamOf(path);
      const key = `${writer}/${stream}`;
      const known = sources.get(key) ?? { writer, stream, lines: 0 };
      known.lines += count;
      sources.set(key, known);
    }
    this.sources = [...sources.keys()].sort().map((key) => sources.get(key)!);
    const chosen = parts.filter(
      ({ writer, path }) => (streams?.has(streamOf(path)) ?? true) && (writers?.has(writer) ?? true),
    );
    this.#blocks = blocksOf(chosen);
    this.count = this.#blocks.reduce((sum, { count }) => sum + count, 0);
  }

  /** The lines `[from, to)`, as far as there are any. */
  async read(from: number, to: number): Promise<ConsoleLine[]> {
    const lines: ConsoleLine[] = [];
    for (const block of this.#blocks) {
      const first = Math.max(from, block.start);
      const last = Math.min(to, block.start + block.count);
      if (first < last) lines.push(...(await this.#readBlock(block, first - block.start, last - block.start)));
    }
    return lines;
  }

  /** Looks through all lines; `accept` is asked of each text. Resolves false when it was cancelled. */
  async search(accept: (text: string) => boolean, options: SearchOptions): Promise<boolean> {
    const { from = 0, onProgress, pause, isCancelled } = options;
    let searched = 0;
    for (const block of this.#blocks) {
      if (block.start + block.count <= from) continue;
      const order = await this.#reader.orderOf(block);
      const places = order === null ? null : inverseOf(order);
      const found: number[] = [];
      let offset = 0;
      for (const part of block.parts) {
        for await (const { from: first, texts } of this.#reader.textsOf(part)) {
          for (let at = 0; at < texts.length; at++) {
            if (!accept(String(texts[at]))) continue;
            const slot = offset + first + at;
            const index = block.start + (places === null ? slot : places[slot]!);
            if (index >= from) found.push(index);
          }
          onProgress(searched + offset + first + texts.length, NOTHING);
          await pause();
          if (isCancelled()) return false;
        }
        offset += part.count;
      }
      searched += block.count;
      onProgress(searched, Uint32Array.from(found).sort());
    }
    return true;
  }

  async #readBlock(block: Block, from: number, to: number): Promise<ConsoleLine[]> {
    const order = await this.#reader.orderOf(block);
    const slots = Array.from({ length: to - from }, (_, at) => (order === null ? from + at : order[from + at]!));
    const lines = new Array<ConsoleLine>(slots.length);
    let offset = 0;
    for (const part of block.parts) {
      const own = slots.flatMap((slot, at) =>
        slot >= offset && slot < offset + part.count ? [{ at, row: slot - offset }] : [],
      );
      offset += part.count;
      if (own.length === 0) continue;
      // Rows of one part keep their order, so those of a window lie together.
      const first = own[0]!.row;
      const rows = await this.#reader.linesOf(part, first, own.at(-1)!.row + 1);
      for (const { at, row } of own) {
        const { writer, path } = part;
        const line = typeof rows === 'string' ? undefined : rows[row - first];
        lines[at] = {
          index: block.start + from + at,
          stream: streamOf(path),
          writer,
          time: line?.time ?? NaN,
          text: line?.text ?? '',
          open: line?.meta === OPEN_META,
          gap: line?.meta === GAP_META,
          absent: typeof rows === 'string' ? rows : null,
        };
      }
    }
    return lines;
  }
}

const NOTHING = new Uint32Array();

function streamOf(path: string): string {
  return path.slice(CONSOLE_PREFIX.length);
}
