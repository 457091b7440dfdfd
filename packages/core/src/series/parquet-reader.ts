import { parquetHeader } from 'hyparquet/src/column.js';
import { parquetMetadata } from 'hyparquet/src/metadata.js';
import { snappyUncompress } from 'hyparquet/src/snappy.js';
import type { ColumnMetaData, FileMetaData } from 'hyparquet';
import { FieldbookError } from '../errors.ts';
import type { Gunzip } from './compression.ts';
import { portableGunzip } from './compression.ts';
import { decodeByteStreamSplit, decodeDeltas, decodeIndexes } from './encodings.ts';
import { checkThrift } from './thrift.ts';

/**
 * Reads the Parquet files that `ParquetWriter` makes, and those of earlier versions: required columns of numbers, one row group
 * at a time, into typed arrays. A footer is kept as columns of numbers, because a long run's segments have thousands of row groups.
 * Everything is checked against foreign bytes; what does not fit throws `segment_corrupt`.
 */

/** A file's bytes, wherever they are. `read` rejects when it cannot give the whole range `[start, end)`. */
export interface SegmentFile {
  size: number;
  read(start: number, end: number): Promise<Uint8Array>;
}

export type Numbers = Float64Array | Float32Array;

/** More rows than any segment of ours has; bounds what a foreign footer makes us allocate. */
const ROWS_MAX = 16 * 1024 * 1024;
/** Twice the largest row groups, those of version 1: a few bytes of a page can stand for any number of rows. */
const GROUP_ROWS_MAX = 256 * 1024;
/** A segment of half a million points of many metrics has 40; what is kept of each column grows with their number. */
const GROUPS_MAX = 16 * 1024;
/** Levels have 17. */
const COLUMNS_MAX = 32;
/** The largest pages are dictionaries of 16,384 names of 512 bytes. */
const PAGE_BYTES_MAX = 16 * 1024 * 1024;
/** A footer of 4,000 row groups and 10,000 names has 2 MB. */
const FOOTER_BYTES_MAX = 64 * 1024 * 1024;
/** One read at the end of a file brings the footer of most files, and what is embedded before it. */
const FOOTER_GUESS = 32 * 1024;
/** Chunks nearer to each other than this are read at once. */
const GAP = 64 * 1024;

const CODECS = ['UNCOMPRESSED', 'SNAPPY', 'GZIP'] as const;

interface ColumnPlaces {
  type: string;
  /** Per group. */
  start: Float64Array;
  length: Float64Array;
  codec: Uint8Array;
  min: Float64Array;
  max: Float64Array;
}

/** An open file: its footer is read, its columns are not. */
export class ParquetFile {
  readonly rows: number;
  /** First row of each group, and the end of the last. */
  readonly groups: Float64Array;
  readonly keys: ReadonlyMap<string, string>;
  readonly #file: SegmentFile;
  readonly #columns = new Map<string, ColumnPlaces>();
  readonly #gunzip: Gunzip;

  readonly #held: number;

  /** `held`: bytes that `file` keeps in memory. */
  constructor(file: SegmentFile, metadata: FileMetaData, gunzip: Gunzip, held = 0) {
    this.#file = file;
    this.#held = held;
    this.#gunzip = gunzip;
    this.rows = Number(metadata.num_rows);
    if (!(this.rows >= 0) || this.rows > ROWS_MAX) throw broken('has an impossible number of rows');
    this.keys = new Map(metadata.key_value_metadata?.map(({ key, value }) => [key, value ?? '']));
    const count = metadata.row_groups.length;
    if (count > GROUPS_MAX) throw broken('has too many row groups');
    this.groups = new Float64Array(count + 1);
    metadata.row_groups.forEach((group, index) => {
      const rows = Number(group.num_rows);
      if (!(rows > 0) || rows > GROUP_ROWS_MAX) throw broken('has a row group of an impossible size');
      this.groups[index + 1] = this.groups[index]! + rows;
      for (const { meta_data: chunk } of group.columns) if (chunk !== undefined) this.#place(chunk, index, count);
    });
    if (this.groups[count] !== this.rows) throw broken('has row groups that do not add up');
  }

  /** Bytes that this holds in memory, about. */
  get bytes(): number {
    return 512 + this.#held + this.#columns.size * this.groups.length * 41;
  }

  /** The type of a column; undefined when there is none of that name. */
  type(column: string): string | undefined {
    return this.#columns.get(column)?.type;
  }

  /** Bounds of a column in a group; −∞ and ∞ where the file does not say. */
  bounds(column: string, group: number): { min: number; max: number } {
    const places = this.#columns.get(column);
    return places === undefined
      ? { min: -Infinity, max: Infinity }
      : { min: places.min[group]!, max: places.max[group]! };
  }

  /**
   * Rows `[from, to)`, counted in the file and all within `group`, of some columns: FLOAT as Float32Array, everything else as
   * doubles. One read where the columns lie beside each other.
   */
  async read(group: number, columns: readonly string[], from: number, to: number): Promise<Numbers[]> {
    const base = this.groups[group]!;
    const rows = this.groups[group + 1]! - base;
    const places = columns.map((name) => {
      const found = this.#columns.get(name);
      if (found === undefined || found.length[group] === 0) throw broken(`has no column ${name}`);
      return found;
    });
    const read = await this.#bytes(places.map(({ start, length }) => [start[group]!, start[group]! + length[group]!]));
    return places.map((place, index) =>
      decodeChunk(read[index]!, place.type, CODECS[place.codec[group]!]!, rows, from - base, to - base, this.#gunzip),
    );
  }

  /** Bytes of the file, from memory where they came with the footer. */
  async bytesAt(start: number, end: number): Promise<Uint8Array> {
    return await this.#file.read(start, end);
  }

  async #bytes(ranges: readonly [number, number][]): Promise<Uint8Array[]> {
    const order = ranges.map((_, index) => index).sort((a, b) => ranges[a]![0] - ranges[b]![0]);
    const result = new Array<Uint8Array>(ranges.length);
    for (let first = 0; first < order.length;) {
      const start = ranges[order[first]!]![0];
      let end = ranges[order[first]!]![1];
      let next = first + 1;
      for (; next < order.length && ranges[order[next]!]![0] - end <= GAP; next++)
        end = Math.max(end, ranges[order[next]!]![1]);
      const bytes = await this.#file.read(start, end);
      for (; first < next; first++) {
        const [from, to] = ranges[order[first]!]!;
        result[order[first]!] = bytes.subarray(from - start, to - start);
      }
    }
    return result;
  }

  #place(chunk: ColumnMetaData, group: number, count: number): void {
    const name = chunk.path_in_schema.join('.');
    let places = this.#columns.get(name);
    if (places === undefined) {
      if (this.#columns.size >= COLUMNS_MAX) throw broken('has too many columns');
      places = {
        type: chunk.type,
        start: new Float64Array(count),
        length: new Float64Array(count),
        codec: new Uint8Array(count),
        min: new Float64Array(count).fill(-Infinity),
        max: new Float64Array(count).fill(Infinity),
      };
      this.#columns.set(name, places);
    }
    const codec = CODECS.indexOf(chunk.codec as (typeof CODECS)[number]);
    const data = Number(chunk.data_page_offset);
    const dictionary = chunk.dictionary_page_offset === undefined ? data : Number(chunk.dictionary_page_offset);
    const start = dictionary > 0 && dictionary < data ? dictionary : data;
    const length = Number(chunk.total_compressed_size);
    if (codec < 0 || chunk.type !== places.type || !(start >= 4) || !(length > 0) || start + length > this.#file.size) {
      throw broken(`has a column ${name} that cannot be read`);
    }
    places.start[group] = start;
    places.length[group] = length;
    places.codec[group] = codec;
    const { min_value: min, max_value: max } = chunk.statistics ?? {};
    if (isNumeric(min)) places.min[group] = Number(min);
    if (isNumeric(max)) places.max[group] = Number(max);
  }
}

/** Reads a file's footer, with the `most` bytes before its end. Throws `segment_corrupt`, and what `file.read` throws. */
export async function openParquet(
  file: SegmentFile,
  gunzip: Gunzip = portableGunzip,
  most: number = FOOTER_GUESS,
): Promise<ParquetFile> {
  const guess = Math.min(file.size, most);
  if (guess < 12) throw broken('is too short');
  let tail = await file.read(file.size - guess, file.size);
  return await guarded(async () => {
    const length = new DataView(tail.buffer, tail.byteOffset, tail.byteLength).getUint32(tail.length - 8, true) + 8;
    if (length > Math.min(file.size - 4, FOOTER_BYTES_MAX)) throw broken('has a footer longer than itself');
    if (length > tail.length) tail = await file.read(file.size - length, file.size);
    const footer = tail.slice(tail.length - length);
    const start = file.size - tail.length;
    // What came with the footer is not read again.
    const held: SegmentFile = {
      size: file.size,
      read: async (from, to) => (from >= start ? tail.subarray(from - start, to - start) : await file.read(from, to)),
    };
    checkThrift(footer.subarray(0, -8), 0);
    const keep = tail.length <= 2 * FOOTER_GUESS;
    return new ParquetFile(
      keep ? held : file,
      parquetMetadata(footer.buffer, { geoparquet: false }),
      gunzip,
      keep ? tail.length : 0,
    );
  });
}

/** Everything that broken bytes make throw becomes `segment_corrupt`; known errors, of reading for example, pass. */
export async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof FieldbookError) throw error;
    throw new FieldbookError('segment_corrupt', 'A segment cannot be decoded.', { cause: error });
  }
}

export function broken(what: string): FieldbookError {
  return new FieldbookError('segment_corrupt', `A segment ${what}.`);
}

function isNumeric(value: unknown): value is number | bigint {
  return (typeof value === 'number' && value === value) || typeof value === 'bigint';
}

function decodeChunk(
  bytes: Uint8Array,
  type: string,
  codec: (typeof CODECS)[number],
  rows: number,
  from: number,
  to: number,
  gunzip: Gunzip,
): Numbers {
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 };
  let dictionary: Numbers | undefined;
  for (;;) {
    checkThrift(bytes, reader.offset);
    const header = parquetHeader(reader);
    const { uncompressed_page_size: size, compressed_page_size: stored } = header;
    if (!(stored >= 0) || reader.offset + stored > bytes.length || !(size >= 0) || size > PAGE_BYTES_MAX) {
      throw broken('has a page that reaches beyond its column');
    }
    const packed = bytes.subarray(reader.offset, reader.offset + stored);
    reader.offset += stored;
    if (header.type === 'DICTIONARY_PAGE') {
      dictionary = plain(inflate(packed, size, codec, gunzip), type);
      continue;
    }
    const page = header.data_page_header_v2;
    if (page === undefined || page.num_values !== rows || page.num_nulls !== 0) {
      throw broken('has a page of another kind');
    }
    const data = page.is_compressed === false ? packed : inflate(packed, size, codec, gunzip);
    switch (page.encoding) {
      case 'BYTE_STREAM_SPLIT':
        return decodeByteStreamSplit(data, rows, from, to, numbers(type, to - from));
      case 'DELTA_BINARY_PACKED':
        return decodeDeltas(data, rows, from, to);
      case 'RLE_DICTIONARY': {
        if (dictionary === undefined) throw broken('has a page without its dictionary');
        const indexes = decodeIndexes(data, rows, from, to);
        const result = numbers(type, to - from);
        for (let row = 0; row < result.length; row++) {
          const index = indexes[row]!;
          if (index >= dictionary.length) throw broken('has a page that does not fit its dictionary');
          result[row] = dictionary[index]!;
        }
        return result;
      }
      default:
        throw broken(`has a page in the encoding ${page.encoding}`);
    }
  }
}

function inflate(bytes: Uint8Array, size: number, codec: (typeof CODECS)[number], gunzip: Gunzip): Uint8Array {
  if (codec === 'UNCOMPRESSED') return bytes;
  if (codec === 'GZIP') return gunzip(bytes, size);
  const page = new Uint8Array(size);
  snappyUncompress(bytes, page);
  return page;
}

function numbers(type: string, length: number): Numbers {
  if (type === 'FLOAT') return new Float32Array(length);
  if (type === 'DOUBLE') return new Float64Array(length);
  throw broken(`has a column of the type ${type}`);
}

/** Copied, because pages are not aligned. */
function plain(page: Uint8Array, type: string): Numbers {
  const { buffer } = page.slice();
  if (type === 'FLOAT') return new Float32Array(buffer);
  if (type === 'DOUBLE') return new Float64Array(buffer);
  throw broken(`has a dictionary of the type ${type}`);
}
