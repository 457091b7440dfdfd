import { parquetMetadata, parquetMetadataAsync, parquetScan } from 'hyparquet/src/index.js';
import type { DecodedArray, FileMetaData } from 'hyparquet';
import { ByteWriter } from 'hyparquet-writer/src/bytewriter.js';
import { parquetWrite } from 'hyparquet-writer/src/write.js';
import { FieldbookError } from '../errors.ts';
import type { RunId, WriterId } from '../ids.ts';
import type { PointColumns } from './points.ts';
import { gather, storageOrder } from './points.ts';

/**
 * Segments: the Parquet files that points are sealed into. docs/formats/segments.md states columns, encodings and keys.
 * Rows are sorted by metric, then step, then ordinal. Row groups begin and end with metrics where metrics are
 * large, and the footer tells where each metric begins, so that one metric is read without decoding the others.
 */
export const SEGMENT_VERSION = 1;

/** Small metrics share a row group of at least this many rows: a footer entry of 500 bytes per group stays below 1 % of it. */
const GROUP_ROWS = 16_384;
/** A larger metric is cut here: decoding a part of it holds 4 MB, and writing it takes 40 ms between two pauses. */
const GROUP_ROWS_MAX = 131_072;
/** More rows than any segment of ours has; bounds what a foreign footer makes us allocate. */
const SEGMENT_ROWS_MAX = 16 * 1024 * 1024;

export interface SegmentHeader {
  run: RunId;
  writer: WriterId;
  /** First and last sequence number covered, inclusive. */
  first: number;
  last: number;
}

export interface SealedSegment {
  bytes: Uint8Array;
  points: number;
  /** ms since the epoch. */
  startTime: number;
  endTime: number;
}

/**
 * Seals points into the bytes of a segment. `names[metric]` is the path of a metric number. The points must be in ordinal order;
 * there must be at least one. `pause` is awaited between row groups so that sealing a million points does not hold up a server.
 * Costs about 0.4 µs a point.
 */
export async function sealSegment(
  header: SegmentHeader,
  points: PointColumns,
  names: readonly (string | undefined)[],
  pause?: () => Promise<void>,
): Promise<SealedSegment> {
  const used = usedMetrics(points.metric, names);
  const rank = new Uint32Array(names.length);
  used.forEach((metric, index) => (rank[metric] = index));
  const { order, starts } = storageOrder(points, rank, used.length);

  const column = new Array<string>(order.length);
  const directory: [string, number][] = [];
  used.forEach((metric, index) => {
    const name = names[metric]!;
    const [start, end] = [starts[index]!, starts[index + 1]!];
    column.fill(name, start, end);
    directory.push([name, end - start]);
  });

  const writer = new PausingWriter(pause);
  await parquetWrite({
    writer,
    codec: 'SNAPPY',
    // One page per column and row group: page boundaries would be looked for value by value.
    pageSize: 0,
    rowGroupSize: rowGroups(directory.map(([, count]) => count)),
    statisticsTruncateLength: 512,
    createdBy: 'fieldbook',
    kvMetadata: [
      { key: 'fieldbook.segment', value: String(SEGMENT_VERSION) },
      { key: 'fieldbook.run', value: header.run },
      { key: 'fieldbook.writer', value: header.writer },
      { key: 'fieldbook.first', value: String(header.first) },
      { key: 'fieldbook.last', value: String(header.last) },
      { key: 'fieldbook.metrics', value: JSON.stringify(directory) },
    ],
    columnData: [
      { name: 'metric', data: column, type: 'STRING', encoding: 'RLE_DICTIONARY', nullable: false },
      {
        name: 'step',
        data: gather(points.step, order),
        type: 'DOUBLE',
        encoding: 'BYTE_STREAM_SPLIT',
        nullable: false,
      },
      {
        name: 'time',
        data: gather(points.time, order),
        type: 'DOUBLE',
        encoding: 'BYTE_STREAM_SPLIT',
        nullable: false,
      },
      {
        name: 'value',
        data: gather(points.value, order),
        type: 'DOUBLE',
        encoding: 'BYTE_STREAM_SPLIT',
        nullable: false,
      },
      {
        name: 'ordinal',
        data: gather(points.ordinal, order),
        type: 'INT64',
        encoding: 'DELTA_BINARY_PACKED',
        nullable: false,
      },
    ],
  });

  let startTime = Infinity;
  let endTime = -Infinity;
  for (const time of points.time) {
    if (time < startTime) startTime = time;
    if (time > endTime) endTime = time;
  }
  return { bytes: writer.getBytes().slice(), points: order.length, startTime, endTime };
}

/** Columns of one metric in a segment, by step and then ordinal. */
export interface MetricColumns {
  step: Float64Array;
  time: Float64Array;
  value: Float64Array;
  /** Null when not asked for. */
  ordinal: Float64Array | null;
}

/** A segment's bytes, wherever they are. `read` rejects when it cannot give the whole range `[start, end)`. */
export interface SegmentFile {
  size: number;
  read(start: number, end: number): Promise<Uint8Array>;
}

/** An open segment: its footer is read, its columns are not. */
export class Segment {
  readonly header: { writer: string; run: string; first: number; last: number };
  /** Path → first row and number of rows. */
  readonly metrics: ReadonlyMap<string, { start: number; count: number }>;
  readonly #metadata: FileMetaData;
  readonly #file: SegmentFile;

  constructor(file: SegmentFile, metadata: FileMetaData) {
    this.#file = file;
    this.#metadata = metadata;
    const keys = new Map(metadata.key_value_metadata?.map(({ key, value }) => [key, value ?? '']));
    if (keys.get('fieldbook.segment') !== String(SEGMENT_VERSION)) throw corrupt('is not a segment of this version');
    this.header = {
      writer: keys.get('fieldbook.writer') ?? '',
      run: keys.get('fieldbook.run') ?? '',
      first: Number(keys.get('fieldbook.first')),
      last: Number(keys.get('fieldbook.last')),
    };
    this.metrics = parseDirectory(keys.get('fieldbook.metrics') ?? '', Number(metadata.num_rows));
  }

  /** The points of one metric; null when it has none here. Throws `segment_corrupt`. */
  async read(metric: string, options: { ordinals?: boolean } = {}): Promise<MetricColumns | null> {
    const place = this.metrics.get(metric);
    if (place === undefined) return null;
    return await guarded(async () => {
      const scan = await parquetScan({
        file: asyncBuffer(this.#file),
        metadata: this.#metadata,
        useOffsetIndex: false,
      });
      const column = async (name: string): Promise<Float64Array> => {
        const result = new Float64Array(place.count);
        for (const { rowStart, rowEnd } of scan.ranges) {
          const start = Math.max(rowStart, place.start);
          const end = Math.min(rowEnd, place.start + place.count);
          if (start < end)
            copy(
              await scan.readColumn({ column: name, rowStart: start, rowEnd: end }),
              result,
              start - place.start,
              end - start,
            );
        }
        return result;
      };
      return {
        step: await column('step'),
        time: await column('time'),
        value: await column('value'),
        ordinal: options.ordinals === true ? await column('ordinal') : null,
      };
    });
  }
}

/** Reads a segment's footer. Throws `segment_corrupt`. */
export async function openSegment(file: SegmentFile): Promise<Segment> {
  return await guarded(async () => new Segment(file, await parquetMetadataAsync(asyncBuffer(file))));
}

/** A segment whose bytes are all in memory. Throws `segment_corrupt`. */
export async function segmentOf(bytes: Uint8Array): Promise<Segment> {
  const file = {
    size: bytes.length,
    read: (start: number, end: number) => Promise.resolve(bytes.subarray(start, end)),
  };
  return await guarded(() => Promise.resolve(new Segment(file, parquetMetadata(bytes.slice().buffer))));
}

/** The points of one metric in a segment's bytes; null when it has none. Throws `segment_corrupt`. */
export async function readSegment(bytes: Uint8Array, metric: string): Promise<MetricColumns | null> {
  return await (await segmentOf(bytes)).read(metric, { ordinals: true });
}

/** Row counts of the groups: whole metrics until `GROUP_ROWS` is reached, larger ones alone and cut at `GROUP_ROWS_MAX`. */
export function rowGroups(counts: readonly number[]): number[] {
  const groups: number[] = [];
  let open = 0;
  for (const count of counts) {
    if (count >= GROUP_ROWS && open > 0) {
      groups.push(open);
      open = 0;
    }
    open += count;
    while (open > GROUP_ROWS_MAX) {
      groups.push(GROUP_ROWS_MAX);
      open -= GROUP_ROWS_MAX;
    }
    if (open >= GROUP_ROWS) {
      groups.push(open);
      open = 0;
    }
  }
  if (open > 0) groups.push(open);
  return groups;
}

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

/** The metric numbers that occur, sorted by name. Two numbers of one name cannot be: a path is declared once. */
function usedMetrics(metric: Uint32Array, names: readonly (string | undefined)[]): number[] {
  const seen = new Uint8Array(names.length);
  for (const number of metric) seen[number] = 1;
  const used: number[] = [];
  for (let number = 0; number < seen.length; number++) {
    if (seen[number] === 0) continue;
    if (names[number] === undefined) throw new FieldbookError('internal', `Metric ${number} has no name.`);
    used.push(number);
  }
  return used.sort((a, b) => (names[a]! < names[b]! ? -1 : names[a]! > names[b]! ? 1 : 0));
}

function parseDirectory(json: string, rows: number): Map<string, { start: number; count: number }> {
  const directory = new Map<string, { start: number; count: number }>();
  const list: unknown = JSON.parse(json);
  if (!Array.isArray(list) || rows > SEGMENT_ROWS_MAX) throw corrupt('has a broken list of metrics');
  let start = 0;
  for (const element of list as unknown[]) {
    const [name, count] = Array.isArray(element) ? (element as unknown[]) : [];
    if (typeof name !== 'string' || typeof count !== 'number' || !Number.isSafeInteger(count) || count < 1) {
      throw corrupt('has a broken list of metrics');
    }
    directory.set(name, { start, count });
    start += count;
  }
  if (start !== rows) throw corrupt('has a list of metrics that does not fit its rows');
  return directory;
}

function copy(from: DecodedArray, to: Float64Array, at: number, count: number): void {
  if (from.length !== count) throw corrupt('has a column that ends early');
  if (from instanceof Float64Array || from instanceof Float32Array || from instanceof Int32Array) to.set(from, at);
  else for (let index = 0; index < count; index++) to[at + index] = Number(from[index]);
}

function asyncBuffer(file: SegmentFile): {
  byteLength: number;
  slice(start: number, end?: number): Promise<ArrayBuffer>;
} {
  return {
    byteLength: file.size,
    async slice(start, end = file.size) {
      const bytes = await file.read(start < 0 ? Math.max(0, file.size + start) : start, Math.min(end, file.size));
      return bytes.slice().buffer as ArrayBuffer;
    },
  };
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof FieldbookError) throw error;
    throw new FieldbookError('segment_corrupt', 'A segment cannot be decoded.', { cause: error });
  }
}

function corrupt(what: string): FieldbookError {
  return new FieldbookError('segment_corrupt', `A segment ${what}.`);
}
