import { FieldbookError } from '@fieldbook/core';
import { decompressBrotli } from 'hyparquet-compressors/src/brotli.js';
import { gunzip } from 'hyparquet-compressors/src/gzip.js';
import { decompressLz4, decompressLz4Raw } from 'hyparquet-compressors/src/lz4.js';
import { checkThrift } from '@fieldbook/core/series';
import { parquetMetadata, parquetSchema } from 'hyparquet/src/index.js';
import { parquetPlan } from 'hyparquet/src/plan.js';
import { assembleAsync, readRowGroup } from 'hyparquet/src/rowgroup.js';
import { getTreePath, isFlatColumn } from 'hyparquet/src/schema.js';
import { snappyUncompress } from 'hyparquet/src/snappy.js';
import type { AsyncBuffer, ColumnMetaData, Compressors, FileMetaData, SchemaTree } from 'hyparquet';
import { decompress as decompressZstd } from 'fzstd';
import { cellOf } from './json-table.ts';
import type { CheckedColumn } from './parquet-guard.ts';
import { checkColumn } from './parquet-guard.ts';
import type { Table, TableBytes, TableCell, TableColumn } from './table.ts';
import { COLUMNS_MAX } from './table.ts';

/** A footer of a thousand row groups of a hundred columns has a few megabytes; a claim of more is none that is read. */
const FOOTER_MAX = 64 * 1024 * 1024;
/** Parts of a footer that are decoded; each takes some sixty bytes. */
const FOOTER_PARTS = 10_000_000;
/** Rows of a group: pandas writes a million, DuckDB 122,880. */
const GROUP_MAX = 8_000_000;
/** Rows of a group that are decoded for its beginning to be seen, and each time more; then all of it. */
const STEPS = [10_000, 100_000] as const;
/** Cells kept decoded: some columns of some groups, which a person scrolls through. */
const CELLS_KEPT = 12_000_000;

/** A Parquet file of anybody: the footer is read at once, of the rest the columns of the row groups that are looked at. */
export class ParquetTable implements Table {
  readonly columns: readonly TableColumn[];
  readonly rows: number;
  readonly note = null;
  readonly #file: AsyncBuffer;
  readonly #metadata: FileMetaData;
  /** First row of each group, and the end of the last. */
  readonly #groups: number[];
  readonly #cells = new Map<string, { end: number; pieces: Promise<Decoded> }>();
  readonly #schema: SchemaTree;

  private constructor(file: AsyncBuffer, metadata: FileMetaData) {
    this.#file = file;
    this.#metadata = metadata;
    this.rows = Number(metadata.num_rows);
    this.#groups = [0];
    for (const { num_rows: rows } of metadata.row_groups) this.#groups.push(this.#groups.at(-1)! + Number(rows));
    if (!Number.isSafeInteger(this.rows) || this.rows < 0 || this.#groups.at(-1) !== this.rows)
      throw new FieldbookError('invalid_value', 'This Parquet file has row groups that do not add up to its rows.');
    this.#schema = parquetSchema(metadata);
    const { children } = this.#schema;
    if (children.length > COLUMNS_MAX)
      throw new FieldbookError(
        'too_large',
        `The table has ${children.length} columns; at most ${COLUMNS_MAX} are shown.`,
      );
    this.columns = children.map(({ element, children: parts }) => {
      const type = parts.length > 0 ? (element.converted_type ?? 'struct').toLowerCase() : typeWords(element);
      return { name: element.name, type, numeric: /^(u?int|float|double|decimal|half)/.test(type) };
    });
  }

  /** Throws `invalid_value` for what is no Parquet file, `too_large`, and what `bytes` throws. */
  static async open(bytes: TableBytes): Promise<ParquetTable> {
    const file: AsyncBuffer = {
      byteLength: bytes.size,
      slice: async (start: number, end = bytes.size): Promise<ArrayBuffer> => {
        const from = start < 0 ? bytes.size + start : start;
        const part = await bytes.read(from, end);
        return part.buffer.slice(part.byteOffset, part.byteOffset + part.byteLength) as ArrayBuffer;
      },
    };
    if (bytes.size < 12)
      throw new FieldbookError('invalid_value', 'This is called a Parquet file and is too short for one.');
    const tail = new DataView(await file.slice(bytes.size - 8));
    if (tail.getUint32(4, true) !== 0x31524150)
      throw new FieldbookError('invalid_value', 'This is called a Parquet file and does not end as one.');
    if (tail.getUint32(0, true) > Math.min(FOOTER_MAX, bytes.size))
      throw new FieldbookError('too_large', 'The footer of this Parquet file claims more bytes than a footer has.');
    try {
      const footer = await file.slice(Math.max(0, bytes.size - 8 - tail.getUint32(0, true)));
      checkThrift(new Uint8Array(footer, 0, footer.byteLength - 8), 0, FOOTER_PARTS);
      return new ParquetTable(file, parquetMetadata(footer));
    } catch (error) {
      throw broken(error);
    }
  }

  async read(rows: ArrayLike<number>, columns: readonly number[]): Promise<TableCell[][]> {
    const needed = new Map<number, number>();
    for (let index = 0; index < rows.length; index++) {
      const group = this.#groupOf(rows[index]!);
      needed.set(group, Math.max(needed.get(group) ?? 0, rows[index]! + 1 - this.#groups[group]!));
    }
    const decoded = new Map<string, Decoded>();
    // One column after the other: what is read beside each other shares chunks.
    for (const [group, end] of needed)
      for (const column of columns) decoded.set(`${group}/${column}`, await this.#column(group, column, end));
    return Array.from(rows, (row) => {
      const group = this.#groupOf(row);
      return columns.map((column) => cellAt(decoded.get(`${group}/${column}`)!, row));
    });
  }

  async column(index: number): Promise<TableCell[]> {
    const cells = new Array<TableCell>(this.rows).fill(null);
    for (let group = 0; group < this.#groups.length - 1; group++)
      for (const { from, data } of await this.#column(group, index, Infinity))
        for (let at = 0; at < data.length && from + at < this.rows; at++) cells[from + at] = sortable(data[at]);
    return cells;
  }

  /** The bytes of the physical columns of one column in a group, checked, by where they begin in the file. */
  async #checked(group: number, name: string, end: number): Promise<Map<number, CheckedColumn>> {
    const checked = new Map<number, CheckedColumn>();
    for (const { meta_data: chunk } of this.#metadata.row_groups[group]?.columns ?? []) {
      if (chunk === undefined || chunk.path_in_schema[0] !== name) continue;
      const { start, end: behind } = placeOf(chunk);
      if (!(start >= 4 && start < behind && behind <= this.#file.byteLength))
        throw new RangeError('a column lies outside of the file');
      const path = getTreePath(this.#schema, chunk.path_in_schema);
      // Lists are read whole: how many rows their values are is known when all are decoded.
      const rows = isFlatColumn(path) ? end : Infinity;
      const { codec, type } = chunk;
      const buffer = await this.#file.slice(start, behind);
      checked.set(start, checkColumn({ buffer, path, codec, type, compressors: COMPRESSORS }, rows));
    }
    return checked;
  }

  #groupOf(row: number): number {
    let low = 0;
    let high = this.#groups.length - 2;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#groups[middle]! <= row) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The column as far as row `wanted` of its group, and some: a million rows take seconds, the first of them do not. */
  #column(group: number, index: number, wanted: number): Promise<Decoded> {
    const key = `${group}/${index}`;
    const there = this.#cells.get(key);
    const rows = this.#groups[group + 1]! - this.#groups[group]!;
    if (there !== undefined && there.end >= Math.min(wanted, rows)) {
      this.#cells.delete(key);
      this.#cells.set(key, there);
      return there.pieces;
    }
    const end = Math.min(rows, STEPS.find((step) => step >= wanted) ?? rows);
    const reading = this.#decode(group, index, end);
    this.#cells.set(key, { end, pieces: reading });
    reading.catch(() => this.#cells.get(key)?.pieces === reading && this.#cells.delete(key));
    let kept = 0;
    for (const each of [...this.#cells.keys()].reverse()) {
      const at = Number(each.split('/')[0]);
      kept += this.#groups[at + 1]! - this.#groups[at]!;
      if (kept > CELLS_KEPT && each !== key) this.#cells.delete(each);
    }
    return reading;
  }

  async #decode(group: number, index: number, end: number): Promise<Decoded> {
    const from = this.#groups[group]!;
    const rows = this.#groups[group + 1]! - from;
    if (rows > GROUP_MAX)
      throw new FieldbookError(
        'too_large',
        `A row group of this file has ${rows} rows; at most ${GROUP_MAX} are decoded here. Download it.`,
      );
    const { name } = this.columns[index]!;
    const pieces: { from: number; data: ArrayLike<unknown> }[] = [];
    try {
      const checked = await this.#checked(group, name, end);
      const options = {
        metadata: this.#metadata,
        columns: [name],
        rowStart: from,
        rowEnd: from + end,
        compressors: opened([...checked.values()]),
        file: {
          byteLength: this.#file.byteLength,
          // Only what was checked is decoded.
          slice: (start: number) => checked.get(start)?.buffer ?? new ArrayBuffer(0),
        },
      };
      const plan = parquetPlan(options);
      for (const planned of plan.groups) {
        const { asyncColumns } = assembleAsync(readRowGroup(options, plan, planned), this.#schema);
        for (const { data } of asyncColumns) {
          const column = await data;
          let at = from + column.skipped;
          for (const piece of column.data) {
            pieces.push({ from: at, data: piece });
            at += piece.length;
          }
        }
      }
    } catch (error) {
      throw broken(error);
    }
    return pieces.sort((a, b) => a.from - b.from);
  }
}

/** Where a column of a row group begins and ends in the file. */
function placeOf(chunk: ColumnMetaData): { start: number; end: number } {
  const start = Number(chunk.dictionary_page_offset || chunk.data_page_offset);
  return { start, end: start + Number(chunk.total_compressed_size) };
}

/** Those pages that were decompressed to be checked, again. */
function opened(columns: readonly CheckedColumn[]): Compressors {
  const page = (input: Uint8Array): Uint8Array => {
    const found = columns.find(({ buffer }) => buffer === input.buffer)?.pages.get(input.byteOffset);
    if (found === undefined) throw new RangeError('a page was not checked');
    return found;
  };
  return Object.fromEntries(Object.keys(COMPRESSORS).map((codec) => [codec, page]));
}

/** A column of a row group as it was decoded, in the pieces that it came in; cells are made of those that are looked at. */
type Decoded = readonly { from: number; data: ArrayLike<unknown> }[];

function cellAt(pieces: Decoded, row: number): TableCell {
  const piece = pieces.findLast(({ from }) => from <= row);
  return piece === undefined ? null : cellOf(piece.data[row - piece.from]);
}

/** Times as numbers: a million dates as texts take seconds. */
function sortable(value: unknown): TableCell {
  return value instanceof Date ? value.getTime() : cellOf(value);
}

/** `checkColumn` has bounded what a page may become. */
function exact(decompress: (input: Uint8Array, length: number) => Uint8Array) {
  return (input: Uint8Array, length: number): Uint8Array => {
    const page = decompress(input, length);
    if (page.length !== length) throw new RangeError('a page has another size than it claims');
    return page;
  };
}

/** In plain JavaScript: the policy that the page is served with lets no WebAssembly be compiled. */
const COMPRESSORS: Compressors = {
  SNAPPY: exact((input, length) => {
    const output = new Uint8Array(length);
    snappyUncompress(input, output);
    return output;
  }),
  GZIP: exact((input, length) => gunzip(input, new Uint8Array(length))),
  BROTLI: exact(decompressBrotli),
  ZSTD: exact((input, length) => decompressZstd(input, new Uint8Array(length))),
  LZ4: exact(decompressLz4),
  LZ4_RAW: exact(decompressLz4Raw),
};

function typeWords(element: {
  type?: string;
  converted_type?: string;
  logical_type?: { type: string } | undefined;
}): string {
  const { type, converted_type: converted, logical_type: logical } = element;
  if (converted === 'UTF8' || logical?.type === 'STRING') return 'string';
  if (logical !== undefined && logical.type !== 'INTEGER') return logical.type.toLowerCase();
  if (converted !== undefined) return converted.toLowerCase();
  return (type ?? 'unknown').toLowerCase().replace('byte_array', 'bytes');
}

/** Whatever a foreign file makes the reader throw, in one form. */
function broken(error: unknown): FieldbookError {
  if (error instanceof FieldbookError && error.code !== 'segment_corrupt') return error;
  return new FieldbookError(
    'invalid_value',
    `This Parquet file cannot be read: ${(error as Error).message.slice(0, 200)}`,
    { cause: error },
  );
}
