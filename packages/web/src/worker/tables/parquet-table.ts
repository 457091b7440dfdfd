import { FieldbookError } from '@fieldbook/core';
import { decompressBrotli } from 'hyparquet-compressors/src/brotli.js';
import { gunzip } from 'hyparquet-compressors/src/gzip.js';
import { decompressLz4, decompressLz4Raw } from 'hyparquet-compressors/src/lz4.js';
import { parquetMetadataAsync, parquetRead, parquetSchema } from 'hyparquet/src/index.js';
import { snappyUncompress } from 'hyparquet/src/snappy.js';
import type { AsyncBuffer, Compressors, FileMetaData } from 'hyparquet';
import { decompress as decompressZstd } from 'fzstd';
import { cellOf } from './json-table.ts';
import type { Table, TableBytes, TableCell, TableColumn } from './table.ts';
import { COLUMNS_MAX } from './table.ts';

/** A footer of a thousand row groups of a hundred columns has a few megabytes; a claim of more is none that is read. */
const FOOTER_MAX = 64 * 1024 * 1024;
/** What one page may become: a few bytes of a forged one can claim anything. */
const PAGE_MAX = 256 * 1024 * 1024;
/** Rows of a group: pandas writes a million, DuckDB 122,880. */
const GROUP_MAX = 8_000_000;
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
  readonly #cells = new Map<string, Promise<Decoded>>();

  private constructor(file: AsyncBuffer, metadata: FileMetaData) {
    this.#file = file;
    this.#metadata = metadata;
    this.rows = Number(metadata.num_rows);
    this.#groups = [0];
    for (const { num_rows: rows } of metadata.row_groups) this.#groups.push(this.#groups.at(-1)! + Number(rows));
    if (!Number.isSafeInteger(this.rows) || this.rows < 0 || this.#groups.at(-1) !== this.rows)
      throw new FieldbookError('invalid_value', 'This Parquet file has row groups that do not add up to its rows.');
    const { children } = parquetSchema(metadata);
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
      return new ParquetTable(file, await parquetMetadataAsync(file));
    } catch (error) {
      throw broken(error);
    }
  }

  async read(rows: ArrayLike<number>, columns: readonly number[]): Promise<TableCell[][]> {
    const needed = new Set(Array.from(rows, (row) => this.#groupOf(row)));
    const decoded = new Map<string, Decoded>();
    // One column after the other: what is read beside each other shares chunks.
    for (const group of needed)
      for (const column of columns) decoded.set(`${group}/${column}`, await this.#column(group, column));
    return Array.from(rows, (row) => {
      const group = this.#groupOf(row);
      return columns.map((column) => cellAt(decoded.get(`${group}/${column}`)!, row));
    });
  }

  async column(index: number): Promise<TableCell[]> {
    const cells = new Array<TableCell>(this.rows).fill(null);
    for (let group = 0; group < this.#groups.length - 1; group++)
      for (const { from, data } of await this.#column(group, index))
        for (let at = 0; at < data.length && from + at < this.rows; at++) cells[from + at] = sortable(data[at]);
    return cells;
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

  #column(group: number, index: number): Promise<Decoded> {
    const key = `${group}/${index}`;
    const there = this.#cells.get(key);
    if (there !== undefined) {
      this.#cells.delete(key);
      this.#cells.set(key, there);
      return there;
    }
    const reading = this.#decode(group, index);
    this.#cells.set(key, reading);
    reading.catch(() => this.#cells.delete(key));
    let kept = 0;
    for (const each of [...this.#cells.keys()].reverse()) {
      const at = Number(each.split('/')[0]);
      kept += this.#groups[at + 1]! - this.#groups[at]!;
      if (kept > CELLS_KEPT && each !== key) this.#cells.delete(each);
    }
    return reading;
  }

  async #decode(group: number, index: number): Promise<Decoded> {
    const from = this.#groups[group]!;
    const to = this.#groups[group + 1]!;
    if (to - from > GROUP_MAX)
      throw new FieldbookError(
        'too_large',
        `A row group of this file has ${to - from} rows; at most ${GROUP_MAX} are decoded here. Download it.`,
      );
    const { name } = this.columns[index]!;
    const pieces: { from: number; data: ArrayLike<unknown> }[] = [];
    try {
      await parquetRead({
        file: this.#file,
        metadata: this.#metadata,
        columns: [name],
        rowStart: from,
        rowEnd: to,
        compressors: COMPRESSORS,
        onChunk: ({ columnData, rowStart }) => pieces.push({ from: rowStart, data: columnData }),
      });
    } catch (error) {
      throw broken(error);
    }
    return pieces.sort((a, b) => a.from - b.from);
  }
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

function bounded(decompress: (input: Uint8Array, length: number) => Uint8Array) {
  return (input: Uint8Array, length: number): Uint8Array => {
    if (length > PAGE_MAX) throw new FieldbookError('too_large', `A page of this file claims ${length} bytes.`);
    return decompress(input, length);
  };
}

/** In plain JavaScript: the policy that the page is served with lets no WebAssembly be compiled. */
const COMPRESSORS: Compressors = {
  SNAPPY: bounded((input, length) => {
    const output = new Uint8Array(length);
    snappyUncompress(input, output);
    return output;
  }),
  GZIP: bounded((input, length) => gunzip(input, new Uint8Array(length))),
  BROTLI: bounded(decompressBrotli),
  ZSTD: bounded((input, length) => decompressZstd(input, new Uint8Array(length))),
  LZ4: bounded(decompressLz4),
  LZ4_RAW: bounded(decompressLz4Raw),
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
  if (error instanceof FieldbookError) return error;
  return new FieldbookError(
    'invalid_value',
    `This Parquet file cannot be read: ${(error as Error).message.slice(0, 200)}`,
    { cause: error },
  );
}
