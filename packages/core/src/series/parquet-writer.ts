import type { ColumnChunk, Encoding, FileMetaData, RowGroup, SchemaElement } from 'hyparquet';
import { ByteWriter } from 'hyparquet-writer/src/bytewriter.js';
import { writePageHeader } from 'hyparquet-writer/src/datapage.js';
import { writeMetadata } from 'hyparquet-writer/src/metadata.js';
import { snappyCompress } from 'hyparquet-writer/src/snappy.js';
import { utf8 } from '../ids.ts';
import type { PageCompressor, Texture } from './compression.ts';
import { bitWidth, encodeByteStreamSplit, encodeDeltas, encodeIndexes, encodeRuns } from './encodings.ts';
import { dictionaryOf } from './value-dictionary.ts';

/** A column of a file, all of its rows or those of one row group. */
export type Column =
  /** Names, and how many rows each has; no two of a group alike. */
  | { name: string; type: 'names'; names: readonly string[]; counts: readonly number[] }
  /** Whole numbers within ±2^51. */
  | { name: string; type: 'whole'; values: Float64Array }
  /** `steady` numbers follow one another, others are noise or few. */
  | { name: string; type: 'float'; values: Float64Array | Float32Array; steady?: boolean };

export interface ParquetOptions {
  compressor?: PageCompressor | undefined;
  effort?: 'fast' | 'small';
}

interface Page {
  encoding: Encoding;
  /** Uncompressed, and as stored. */
  size: number;
  bytes: Uint8Array;
}

interface EncodedColumn {
  element: SchemaElement;
  codec: 'GZIP' | 'SNAPPY' | 'UNCOMPRESSED';
  dictionary: { page: Page; values: number } | null;
  data: Page;
  min: number | bigint | string | undefined;
  max: number | bigint | string | undefined;
}

/** Where a row group's bytes lie in its file, and how many rows it has. */
export interface WrittenGroup {
  rows: number;
  bytes: number;
}

/**
 * Writes one Parquet file row group by row group: required columns, one data page (V2) per column and group. Column
 * chunks are compressed on the platform's threads where it has them, while the next ones are being encoded.
 */
export class ParquetWriter {
  readonly #writer = new ByteWriter(64 * 1024);
  readonly #options: ParquetOptions;
  readonly #groups: RowGroup[] = [];
  #schema: SchemaElement[] = [];
  #rows = 0;

  constructor(options: ParquetOptions = {}) {
    this.#options = options;
    this.#writer.appendUint32(MAGIC);
  }

  /** Bytes written so far. */
  get offset(): number {
    return this.#writer.offset;
  }

  get rows(): number {
    return this.#rows;
  }

  /** Every group has the same columns, of the same types. */
  async writeGroup(columns: readonly Column[]): Promise<void> {
    const rows = rowsOf(columns[0]!);
    const encoded = await Promise.all(columns.map((column) => encodeColumn(column, this.#options)));
    if (this.#schema.length === 0) {
      this.#schema = [{ name: 'root', num_children: columns.length }, ...encoded.map(({ element }) => element)];
    }
    const start = this.#writer.offset;
    const chunks = encoded.map((column) => this.#writeChunk(column, rows));
    this.#rows += rows;
    this.#groups.push({
      columns: chunks,
      num_rows: BigInt(rows),
      total_byte_size: chunks.reduce((sum, { meta_data }) => sum + meta_data!.total_uncompressed_size, 0n),
      total_compressed_size: BigInt(this.#writer.offset - start),
    });
  }

  /** Bytes between row groups and footer that readers of Parquet pass over; where they begin. */
  embed(bytes: Uint8Array): number {
    const at = this.#writer.offset;
    this.#writer.appendBytes(bytes);
    return at;
  }

  /** The whole file. */
  finish(keys: readonly (readonly [key: string, value: string])[]): Uint8Array {
    const metadata: FileMetaData = {
      version: 2,
      created_by: 'fieldbook',
      schema: this.#schema,
      num_rows: BigInt(this.#rows),
      row_groups: this.#groups,
      metadata_length: 0,
      key_value_metadata: keys.map(([key, value]) => ({ key, value })),
    };
    // Bounds of paths are never truncated: readers compare whole ones.
    writeMetadata(this.#writer, metadata, 512);
    this.#writer.appendUint32(MAGIC);
    return this.#writer.getBytes().slice();
  }

  #writeChunk(column: EncodedColumn, rows: number): ColumnChunk {
    const { element, codec, dictionary, data, min, max } = column;
    const writer = this.#writer;
    const start = writer.offset;
    let size = 0;
    if (dictionary !== null) {
      const { page, values } = dictionary;
      const header = {
        type: 'DICTIONARY_PAGE' as const,
        uncompressed_page_size: page.size,
        compressed_page_size: page.bytes.length,
        dictionary_page_header: { num_values: values, encoding: 'PLAIN' as const },
      };
      writePageHeader(writer, header);
      size += writer.offset - start + page.size;
      writer.appendBytes(page.bytes);
    }
    const dataStart = writer.offset;
    writePageHeader(writer, {
      type: 'DATA_PAGE_V2',
      uncompressed_page_size: data.size,
      compressed_page_size: data.bytes.length,
      data_page_header_v2: {
        num_values: rows,
        num_nulls: 0,
        num_rows: rows,
        encoding: data.encoding,
        definition_levels_byte_length: 0,
        repetition_levels_byte_length: 0,
        is_compressed: codec !== 'UNCOMPRESSED',
      },
    });
    size += writer.offset - dataStart + data.size;
    writer.appendBytes(data.bytes);
    return {
      file_offset: BigInt(start),
      meta_data: {
        type: element.type!,
        encodings: dictionary === null ? [data.encoding] : ['PLAIN', data.encoding],
        path_in_schema: [element.name],
        codec,
        num_values: BigInt(rows),
        total_uncompressed_size: BigInt(size),
        total_compressed_size: BigInt(writer.offset - start),
        data_page_offset: BigInt(dataStart),
        ...(dictionary === null ? {} : { dictionary_page_offset: BigInt(start) }),
        statistics: { null_count: 0n, ...(min === undefined ? {} : { min_value: min, max_value: max! }) },
      },
    };
  }
}

const MAGIC = 0x31524150;

function rowsOf(column: Column): number {
  return column.type === 'names' ? column.counts.reduce((sum, count) => sum + count, 0) : column.values.length;
}

async function encodeColumn(column: Column, options: ParquetOptions): Promise<EncodedColumn> {
  switch (column.type) {
    case 'names': {
      const { names, counts } = column;
      const texts = names.map(utf8);
      const [least, most] = extremes(texts);
      const element: SchemaElement = {
        name: column.name,
        type: 'BYTE_ARRAY',
        converted_type: 'UTF8',
        repetition_type: 'REQUIRED',
      };
      return await compressed(
        element,
        { bytes: plainTexts(texts), values: texts.length },
        { encoding: 'RLE_DICTIONARY', bytes: encodeRuns(counts, Math.max(1, bitWidth(texts.length - 1))) },
        'plain',
        { min: names[least]!, max: names[most]! },
        options,
      );
    }
    case 'whole': {
      const element: SchemaElement = { name: column.name, type: 'INT64', repetition_type: 'REQUIRED' };
      const { min, max } = bounds(column.values);
      const page = { encoding: 'DELTA_BINARY_PACKED' as const, bytes: encodeDeltas(column.values) };
      return await compressed(element, null, page, 'plain', { min: BigInt(min!), max: BigInt(max!) }, options);
    }
    case 'float': {
      const { values, steady = false } = column;
      const type = values instanceof Float32Array ? 'FLOAT' : 'DOUBLE';
      const element: SchemaElement = { name: column.name, type, repetition_type: 'REQUIRED' };
      const few = steady ? undefined : dictionaryOf(values);
      const { min, max } = bounds(values);
      const limits = { min: min === 0 ? -0 : min, max: max === 0 ? 0 : max };
      if (few !== undefined) {
        const width = Math.max(1, bitWidth(few.values.length - 1));
        const bytes = new Uint8Array(few.values.buffer, few.values.byteOffset, few.values.byteLength);
        const page = { encoding: 'RLE_DICTIONARY' as const, bytes: encodeIndexes(few.indexes, width) };
        return await compressed(element, { bytes, values: few.values.length }, page, 'plain', limits, options);
      }
      const page = { encoding: 'BYTE_STREAM_SPLIT' as const, bytes: encodeByteStreamSplit(values) };
      return await compressed(element, null, page, steady ? 'plain' : 'noise', limits, options);
    }
  }
}

async function compressed(
  element: SchemaElement,
  dictionary: { bytes: Uint8Array; values: number } | null,
  data: { encoding: Encoding; bytes: Uint8Array },
  texture: Texture,
  { min, max }: Pick<EncodedColumn, 'min' | 'max'>,
  { compressor, effort = 'small' }: ParquetOptions,
): Promise<EncodedColumn> {
  const shrink = async (bytes: Uint8Array): Promise<Uint8Array> =>
    compressor === undefined ? snappyCompress(bytes) : await compressor.gzip(bytes, texture, effort);
  const [first, second] = await Promise.all([
    dictionary === null ? null : shrink(dictionary.bytes),
    shrink(data.bytes),
  ]);
  const before = (dictionary?.bytes.length ?? 0) + data.bytes.length;
  const won = (first?.length ?? 0) + second.length < before;
  return {
    element,
    codec: !won ? 'UNCOMPRESSED' : compressor === undefined ? 'SNAPPY' : 'GZIP',
    dictionary:
      dictionary === null
        ? null
        : {
            values: dictionary.values,
            page: { encoding: 'PLAIN', size: dictionary.bytes.length, bytes: won ? first! : dictionary.bytes },
          },
    data: { encoding: data.encoding, size: data.bytes.length, bytes: won ? second : data.bytes },
    min,
    max,
  };
}

/** Least and greatest, NaN left out; undefined when there is nothing else. */
function bounds(values: Float64Array | Float32Array): { min: number | undefined; max: number | undefined } {
  let min = Infinity;
  let max = -Infinity;
  for (const value of values) {
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return min > max ? { min: undefined, max: undefined } : { min, max };
}

function plainTexts(texts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(texts.reduce((sum, text) => sum + 4 + text.length, 0));
  const view = new DataView(result.buffer);
  let at = 0;
  for (const text of texts) {
    view.setUint32(at, text.length, true);
    result.set(text, at + 4);
    at += 4 + text.length;
  }
  return result;
}

/** Places of the least and the greatest text by bytes, as Parquet orders them. */
function extremes(texts: readonly Uint8Array[]): [least: number, most: number] {
  let least = 0;
  let most = 0;
  for (let index = 1; index < texts.length; index++) {
    if (compare(texts[index]!, texts[least]!) < 0) least = index;
    if (compare(texts[index]!, texts[most]!) > 0) most = index;
  }
  return [least, most];
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) if (a[index] !== b[index]) return a[index]! - b[index]!;
  return a.length - b.length;
}
