import { parquetHeader } from 'hyparquet/src/column.js';
import { parquetMetadata, parquetScan } from 'hyparquet/src/index.js';
import type { DecodedArray, FileMetaData } from 'hyparquet';
import { ByteWriter } from 'hyparquet-writer/src/bytewriter.js';
import { parquetWrite } from 'hyparquet-writer/src/write.js';
import { FieldbookError } from '../errors.ts';
import type { RunId, WriterId } from '../ids.ts';
import type { BlobDigest } from '../ports.ts';
import type { ObjectCount, ObjectRow } from '../record/index.ts';
import { isDigest } from '../record/index.ts';
import { checkThrift } from '../series/thrift.ts';

/** Object segments: the Parquet files that object rows are sealed into. docs/formats/objects.md states columns and keys. */
export const OBJECTS_VERSION = 1;

/** Rows of a row group: to show some lines out of 50,000, no more than these are decoded. */
const GROUP_ROWS = 4_096;
/** A backlog of empty lines makes 1 M rows in 1 MB; bounds what a foreign footer makes us allocate. */
const ROWS_MAX = 4 * 1024 * 1024;
/** The longest texts of one row group: those of a whole backlog, at four bytes a unit. */
const PAGE_BYTES_MAX = 64 * 1024 * 1024;

export interface ObjectsHeader {
  run: RunId;
  writer: WriterId;
  /** First and last sequence number covered, inclusive. */
  first: number;
  last: number;
}

export interface SealedObjects {
  bytes: Uint8Array;
  rows: number;
  /** ms since the epoch. */
  startTime: number;
  endTime: number;
  paths: ObjectCount[];
  /** Blobs that the rows name, each once, sorted. */
  files: BlobDigest[];
}

/** Seals rows, of which there must be at least one, into the bytes of an object segment. Costs about 2 µs a row. */
export async function sealObjects(
  header: ObjectsHeader,
  rows: readonly ObjectRow[],
  pause?: () => Promise<void>,
): Promise<SealedObjects> {
  if (rows.length === 0) throw new FieldbookError('internal', 'An object segment without rows is never made.');
  const sorted = [...rows].sort(compareRows);
  const writer = new PausingWriter(pause);
  const texts = (name: 'text' | 'mime' | 'name' | 'meta'): ReturnType<typeof text> => text(name, sorted);
  await parquetWrite({
    writer,
    codec: 'SNAPPY',
    // One page per column and row group: page boundaries would be looked for value by value.
    pageSize: 0,
    rowGroupSize: GROUP_ROWS,
    statisticsTruncateLength: 512,
    createdBy: 'fieldbook',
    kvMetadata: [
      { key: 'fieldbook.objects', value: String(OBJECTS_VERSION) },
      { key: 'fieldbook.run', value: header.run },
      { key: 'fieldbook.writer', value: header.writer },
      { key: 'fieldbook.first', value: String(header.first) },
      { key: 'fieldbook.last', value: String(header.last) },
      { key: 'fieldbook.paths', value: JSON.stringify(directoryOf(sorted)) },
    ],
    columnData: [
      { ...text('path', sorted), statistics: true },
      double('step', sorted),
      double('time', sorted),
      text('kind', sorted),
      texts('text'),
      text('digest', sorted),
      { ...integer('size', sorted), encoding: 'PLAIN' },
      texts('mime'),
      texts('name'),
      texts('meta'),
      integer('ordinal', sorted),
      { name: 'part', data: Int32Array.from(sorted, (row) => row.part), type: 'INT32', nullable: false },
    ],
  });
  let startTime = Infinity;
  let endTime = -Infinity;
  const files = new Set<BlobDigest>();
  for (const { time, digest } of sorted) {
    startTime = Math.min(startTime, time);
    endTime = Math.max(endTime, time);
    if (digest !== '') files.add(digest);
  }
  return {
    bytes: writer.getBytes().slice(),
    rows: sorted.length,
    startTime,
    endTime,
    paths: countRows(sorted),
    files: [...files].sort(),
  };
}

/** By path, step, ordinal and part: the order of a segment's rows. */
export function compareRows(a: ObjectRow, b: ObjectRow): number {
  if (a.path !== b.path) return a.path < b.path ? -1 : 1;
  return a.step - b.step || a.ordinal - b.ordinal || a.part - b.part;
}

/** How many rows of which kinds each path has, sorted by path and kind. */
export function countRows(rows: Iterable<ObjectRow>): ObjectCount[] {
  const counts = new Map<string, ObjectCount>();
  for (const { path, kind, step } of rows) {
    const key = `${path}\n${kind}`;
    const count = counts.get(key);
    if (count === undefined) counts.set(key, { path, kind, rows: 1, firstStep: step, lastStep: step });
    else {
      count.rows++;
      count.firstStep = Math.min(count.firstStep, step);
      count.lastStep = Math.max(count.lastStep, step);
    }
  }
  const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return [...counts.values()].sort((a, b) => compare(a.path, b.path) || compare(a.kind, b.kind));
}

function directoryOf(sorted: readonly ObjectRow[]): [path: string, rows: number][] {
  const directory: [string, number][] = [];
  for (const { path } of sorted) {
    const last = directory.at(-1);
    if (last?.[0] === path) last[1]++;
    else directory.push([path, 1]);
  }
  return directory;
}

type Column = NonNullable<Parameters<typeof parquetWrite>[0]['columnData']>[number];

function text(
  name: 'path' | 'kind' | 'text' | 'digest' | 'mime' | 'name' | 'meta',
  rows: readonly ObjectRow[],
): Column {
  return { name, data: rows.map((row) => row[name]), type: 'STRING', nullable: false, statistics: false };
}

function double(name: 'step' | 'time', rows: readonly ObjectRow[]): Column {
  const data = Float64Array.from(rows, (row) => row[name]);
  return { name, data, type: 'DOUBLE', encoding: 'BYTE_STREAM_SPLIT', nullable: false };
}

function integer(name: 'size' | 'ordinal', rows: readonly ObjectRow[]): Column {
  const data = BigInt64Array.from(rows, (row) => BigInt(row[name]));
  return { name, data, type: 'INT64', encoding: 'DELTA_BINARY_PACKED', nullable: false };
}

/** Columns of a path's rows, parallel. */
export interface RowMarks {
  ordinal: Float64Array;
  part: Float64Array;
  /** ms since the epoch. */
  time: Float64Array;
}

/** A row as far as it is a line of text. */
export type LineRow = Pick<ObjectRow, 'step' | 'time' | 'text' | 'meta'>;

/** An object segment whose bytes are in memory: its footer is read, its columns are not. */
export class ObjectSegment {
  /** Path → first row and number of rows. */
  readonly paths: ReadonlyMap<string, { start: number; count: number }>;
  /** Bytes of the file. */
  readonly size: number;
  readonly #bytes: ArrayBuffer;
  readonly #metadata: FileMetaData;
  readonly #steps = new Map<string, Float64Array>();

  /** Throws `segment_corrupt`. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes.slice().buffer as ArrayBuffer;
    this.size = bytes.length;
    try {
      const end = bytes.length - 8;
      const length = end < 4 ? -1 : new DataView(this.#bytes).getUint32(end, true);
      if (length < 0 || length > end - 4) throw corrupt('has a footer longer than itself');
      checkThrift(bytes.subarray(0, end), end - length);
      this.#metadata = parquetMetadata(this.#bytes, { geoparquet: false });
      checkPages(bytes, this.#metadata);
      const keys = new Map(this.#metadata.key_value_metadata?.map(({ key, value }) => [key, value ?? '']));
      if (keys.get('fieldbook.objects') !== String(OBJECTS_VERSION)) {
        throw corrupt('is not an object segment of this version');
      }
      this.paths = parseDirectory(keys.get('fieldbook.paths') ?? '', Number(this.#metadata.num_rows));
    } catch (error) {
      throw asCorrupt(error);
    }
  }

  /** Steps of a path's rows, ascending; kept for the next time. Throws `segment_corrupt`. */
  async steps(path: string): Promise<Float64Array> {
    const known = this.#steps.get(path);
    if (known !== undefined) return known;
    const { start, count } = this.paths.get(path) ?? { start: 0, count: 0 };
    const columns = await this.#columns(['step'], start, start + count);
    const steps = Float64Array.from(columns.get('step')!, Number);
    this.#steps.set(path, steps);
    return steps;
  }

  /** Of the rows `[from, to)` of a path's, those whose text is accepted: of the others nothing but the text is decoded. Throws `segment_corrupt`. */
  async rowsWith(path: string, from: number, to: number, accept: (text: string) => boolean): Promise<ObjectRow[]> {
    const place = this.paths.get(path);
    if (place === undefined) return [];
    const [start, end] = [place.start + from, place.start + Math.min(to, place.count)];
    const found: ObjectRow[] = [];
    // Row group by row group: no part of one is decoded by itself.
    for (let at = start; at < end; at += GROUP_ROWS - (at % GROUP_ROWS)) {
      const stop = Math.min(end, at + GROUP_ROWS - (at % GROUP_ROWS));
      const texts = (await this.#columns(['text'], at, stop)).get('text')!;
      const fits = Array.from(texts, (text) => accept(String(text)));
      const [first, last] = [fits.indexOf(true), fits.lastIndexOf(true)];
      if (first === -1) continue;
      const rows = await this.#rows(at + first, at + last + 1);
      for (const [index, row] of rows.entries()) if (fits[first + index] === true) found.push(row);
    }
    return found;
  }

  /** Whose and which all rows of a path are, and when, without what they hold. Throws `segment_corrupt`. */
  async marks(path: string): Promise<RowMarks> {
    const { start, count } = this.paths.get(path) ?? { start: 0, count: 0 };
    const columns = await this.#columns(['ordinal', 'part', 'time'], start, start + count);
    const numbers = (name: string): Float64Array => Float64Array.from(columns.get(name)!, Number);
    return { ordinal: numbers('ordinal'), part: numbers('part'), time: numbers('time') };
  }

  /** What a reader of lines wants of the rows `[from, to)` of a path's. Throws `segment_corrupt`. */
  async lines(path: string, from: number, to: number): Promise<LineRow[]> {
    const place = this.paths.get(path);
    if (place === undefined) return [];
    const [start, end] = [place.start + from, place.start + Math.min(to, place.count)];
    const columns = await this.#columns(['step', 'time', 'text', 'meta'], start, end);
    const at = (name: string, row: number): unknown => columns.get(name)![row];
    return Array.from({ length: Math.max(0, end - start) }, (_, row) => ({
      step: Number(at('step', row)),
      time: Number(at('time', row)),
      text: String(at('text', row)),
      meta: String(at('meta', row)),
    }));
  }

  /** The texts of all rows of a path's, a row group at a time: `from` is the place of the first. Throws `segment_corrupt`. */
  async *texts(path: string): AsyncGenerator<{ from: number; texts: ArrayLike<unknown> }> {
    const place = this.paths.get(path);
    if (place === undefined) return;
    const end = place.start + place.count;
    for (let at = place.start; at < end; at += GROUP_ROWS - (at % GROUP_ROWS)) {
      const stop = Math.min(end, at + GROUP_ROWS - (at % GROUP_ROWS));
      const columns = await this.#columns(['text'], at, stop);
      yield { from: at - place.start, texts: columns.get('text')! };
    }
  }

  /** The rows `[from, to)` of a path's. Throws `segment_corrupt`. */
  async rows(path: string, from: number, to: number): Promise<ObjectRow[]> {
    const place = this.paths.get(path);
    if (place === undefined) return [];
    return await this.#rows(place.start + from, place.start + Math.min(to, place.count));
  }

  /** Every row, in file order. Throws `segment_corrupt`. */
  async all(): Promise<ObjectRow[]> {
    return await this.#rows(0, Number(this.#metadata.num_rows));
  }

  async #rows(start: number, end: number): Promise<ObjectRow[]> {
    const columns = await this.#columns(COLUMNS, start, end);
    const at = (name: (typeof COLUMNS)[number], row: number): unknown => columns.get(name)![row];
    return Array.from({ length: Math.max(0, end - start) }, (_, row) => {
      const digest = at('digest', row);
      return {
        path: String(at('path', row)),
        step: Number(at('step', row)),
        time: Number(at('time', row)),
        kind: String(at('kind', row)),
        text: String(at('text', row)),
        digest: isDigest(digest) ? digest : '',
        size: Number(at('size', row)),
        mime: String(at('mime', row)),
        name: String(at('name', row)),
        meta: String(at('meta', row)),
        ordinal: Number(at('ordinal', row)),
        part: Number(at('part', row)),
      };
    });
  }

  async #columns(names: readonly string[], start: number, end: number): Promise<Map<string, DecodedArray>> {
    try {
      const scan = await parquetScan({ file: this.#bytes, metadata: this.#metadata, useOffsetIndex: false });
      const columns = new Map<string, DecodedArray>();
      for (const column of names) {
        const values: unknown[] = [];
        for (const { rowStart, rowEnd } of scan.ranges) {
          const from = Math.max(rowStart, start);
          const to = Math.min(rowEnd, end);
          if (from >= to) continue;
          const part = await scan.readColumn({ column, rowStart: from, rowEnd: to });
          if (part.length !== to - from) throw corrupt('has a column that ends early');
          for (const value of part) values.push(value);
        }
        columns.set(column, values);
      }
      return columns;
    } catch (error) {
      throw asCorrupt(error);
    }
  }
}

const COLUMNS = [
  'path',
  'step',
  'time',
  'kind',
  'text',
  'digest',
  'size',
  'mime',
  'name',
  'meta',
  'ordinal',
  'part',
] as const;

class PausingWriter extends ByteWriter {
  readonly #pause: (() => Promise<void>) | undefined;

  constructor(pause: (() => Promise<void>) | undefined) {
    super(64 * 1024);
    this.#pause = pause;
  }

  /** Called by the Parquet writer after each row group. */
  flush(): Promise<void> | void {
    return this.#pause?.();
  }
}

/**
 * Holds every page to what its row group may have, before anything is decoded: a few bytes of a page can stand for any number of
 * rows, and its header may promise any size.
 */
function checkPages(bytes: Uint8Array, metadata: FileMetaData): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const group of metadata.row_groups) {
    const rows = Number(group.num_rows);
    if (!(rows > 0 && rows <= GROUP_ROWS)) throw corrupt('has a row group of an impossible size');
    for (const { meta_data: chunk } of group.columns) {
      if (chunk === undefined) throw corrupt('has a column without its place');
      const data = Number(chunk.data_page_offset);
      const dictionary = Number(chunk.dictionary_page_offset ?? data);
      const reader = { view, offset: dictionary > 0 && dictionary < data ? dictionary : data };
      const end = reader.offset + Number(chunk.total_compressed_size);
      if (!(reader.offset >= 4 && end <= bytes.length)) throw corrupt('has a column outside of itself');
      let left = rows;
      while (reader.offset < end) {
        checkThrift(bytes.subarray(0, end), reader.offset);
        const page = parquetHeader(reader);
        const { compressed_page_size: stored, uncompressed_page_size: size } = page;
        if (!(stored >= 0 && reader.offset + stored <= end && size >= 0 && size <= PAGE_BYTES_MAX)) {
          throw corrupt('has a page that reaches beyond its column');
        }
        reader.offset += stored;
        const dictionaryValues = page.dictionary_page_header?.num_values ?? 0;
        const values = page.data_page_header?.num_values ?? page.data_page_header_v2?.num_values ?? 0;
        if (dictionaryValues < 0 || dictionaryValues > GROUP_ROWS || values < 0) throw corrupt('has a broken page');
        left -= values;
      }
      if (left !== 0) throw corrupt('has a column that does not fit its rows');
    }
  }
}

function parseDirectory(json: string, rows: number): Map<string, { start: number; count: number }> {
  const list: unknown = JSON.parse(json);
  if (!Array.isArray(list) || rows > ROWS_MAX) throw corrupt('has a broken list of paths');
  const directory = new Map<string, { start: number; count: number }>();
  let start = 0;
  for (const element of list as unknown[]) {
    const [path, count] = Array.isArray(element) ? (element as unknown[]) : [];
    if (typeof path !== 'string' || typeof count !== 'number' || !Number.isSafeInteger(count) || count < 1) {
      throw corrupt('has a broken list of paths');
    }
    directory.set(path, { start, count });
    start += count;
  }
  if (start !== rows) throw corrupt('has a list of paths that does not fit its rows');
  return directory;
}

function asCorrupt(error: unknown): FieldbookError {
  if (error instanceof FieldbookError) return error;
  return new FieldbookError('segment_corrupt', 'An object segment cannot be decoded.', { cause: error });
}

function corrupt(what: string): FieldbookError {
  return new FieldbookError('segment_corrupt', `An object segment ${what}.`);
}
