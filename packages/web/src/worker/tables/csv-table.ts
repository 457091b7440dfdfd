import { FieldbookError } from '@fieldbook/core';
import type { Table, TableBytes, TableCell, TableColumn } from './table.ts';
import { CELL_CHARACTERS, COLUMNS_MAX, SAMPLE_CELLS } from './table.ts';

/** What is read of a text table: a million rows of a hundred characters. */
export const CSV_BYTES = 128 * 1024 * 1024;
/** Rows that are found: a file of line feeds has as many as bytes. */
const ROWS_MAX = 10_000_000;
/** Rows from which types are guessed. */
const SAMPLE = 1_000;
const DELIMITERS = [',', ';', '\t', '|'] as const;
const QUOTE = 34;
const RETURN = 13;
const FEED = 10;
const PIECE = 8 * 1024 * 1024;

/**
 * A table of comma-, semicolon-, tab- or bar-separated texts (RFC 4180, and what spreadsheets make of it). Its rows are found once;
 * cells are made of those that are looked at. Of a larger file than `CSV_BYTES` the beginning is read.
 */
export class CsvTable implements Table {
  readonly columns: readonly TableColumn[];
  readonly rows: number;
  readonly note: string | null;
  readonly #bytes: Uint8Array;
  readonly #starts: Uint32Array;
  readonly #delimiter: number;
  readonly #first: number;

  private constructor(bytes: Uint8Array, starts: Uint32Array, delimiter: number, note: string | null) {
    this.#bytes = bytes;
    this.#starts = starts;
    this.#delimiter = delimiter;
    this.note = note;
    const lines = starts.length - 1;
    const head = lines === 0 ? [] : this.#cells(0);
    if (head.length > COLUMNS_MAX)
      throw new FieldbookError(
        'too_large',
        `The table has more than ${COLUMNS_MAX.toLocaleString('en')} columns, which is as many as are shown. Download it.`,
      );
    const most = Math.max(1, Math.min(SAMPLE, Math.floor(SAMPLE_CELLS / Math.max(1, head.length))));
    const sample = Array.from({ length: Math.min(most, Math.max(0, lines - 1)) }, (_, index) => this.#cells(index + 1));
    // A first row that has a number where the others have one is a row as they are, and not their names.
    const named = head.length > 0 && head.every((cell) => cell !== '' && typeOf(cell) === 'text');
    this.#first = named || lines === 0 ? 1 : 0;
    this.rows = Math.max(0, lines - this.#first);
    this.columns = head.map((cell, index) => {
      const cells = sample.map((row) => row[index] ?? '');
      const type = typeOfAll(named ? cells : [cell, ...cells]);
      return { name: named ? cell : `column ${index + 1}`, type, numeric: type === 'integer' || type === 'number' };
    });
  }

  /** Reads and indexes. `delimiter` null: the one that divides the first lines most evenly. Throws what `bytes` throws, and `too_large`. */
  static async open(bytes: TableBytes, delimiter: string | null = null): Promise<CsvTable> {
    const size = Math.min(bytes.size, CSV_BYTES);
    const whole = new Uint8Array(size);
    for (let at = 0; at < size; at += PIECE) whole.set(await bytes.read(at, Math.min(size, at + PIECE)), at);
    const from = whole[0] === 0xef && whole[1] === 0xbb && whole[2] === 0xbf ? 3 : 0;
    let starts = startsOf(whole, from);
    const many = starts.length > ROWS_MAX + 1;
    const cut = many || size < bytes.size;
    // The last row of a piece is a part of one.
    if (cut && starts.length > 2) starts = starts.subarray(0, starts.length - 1);
    const note = many
      ? `The first ${(starts.length - 2).toLocaleString('en')} rows. Download it for the rest.`
      : cut
        ? `The first ${(starts.length - 2).toLocaleString('en')} rows: the first ${Math.round(size / 1e6)} MB of ${Math.round(bytes.size / 1e6)} MB. Download it for the rest.`
        : null;
    const by = delimiter ?? delimiterOf(new TextDecoder().decode(whole.subarray(from, Math.min(size, 64 * 1024))));
    return new CsvTable(whole, starts, by.charCodeAt(0), note);
  }

  async read(rows: ArrayLike<number>, columns: readonly number[]): Promise<TableCell[][]> {
    const last = Math.max(0, ...columns);
    return Array.from(rows, (row) => {
      const cells = this.#cells(row + this.#first, last);
      return columns.map((column) => {
        const cell = cells[column];
        return cell === undefined || cell === ''
          ? null
          : cell.length > CELL_CHARACTERS
            ? `${cell.slice(0, CELL_CHARACTERS)}…`
            : cell;
      });
    });
  }

  async column(index: number): Promise<TableCell[]> {
    const numeric = this.columns[index]?.numeric === true;
    const result: TableCell[] = [];
    for (let row = 0; row < this.rows; row++) {
      const cell = this.#cells(row + this.#first, index)[index] ?? '';
      const value = numeric && cell !== '' ? Number(cell) : cell;
      // What is no number among numbers is sorted as the text that it is.
      result.push(
        cell === ''
          ? null
          : typeof value === 'number' && Number.isNaN(value) && !/^[+-]?nan$/i.test(cell)
            ? cell
            : value,
      );
    }
    return result;
  }

  /** Cells of a line, as far as `last` when it is given. */
  #cells(line: number, last = COLUMNS_MAX + 1): string[] {
    const bytes = this.#bytes;
    let at = this.#starts[line] ?? 0;
    let end = this.#starts[line + 1] ?? at;
    if (end > at && bytes[end - 1] === FEED) end -= 1;
    if (end > at && bytes[end - 1] === RETURN) end -= 1;
    const cells: string[] = [];
    for (;;) {
      if (bytes[at] === QUOTE && at < end) {
        const open = at + 1;
        let escaped = false;
        let close = open;
        for (; close < end; close++) {
          if (bytes[close] !== QUOTE) continue;
          if (bytes[close + 1] !== QUOTE || close + 1 >= end) break;
          escaped = true;
          close += 1;
        }
        const text = decoder.decode(bytes.subarray(open, close));
        cells.push(escaped ? text.replaceAll('""', '"') : text);
        at = close + 1;
        while (at < end && bytes[at] !== this.#delimiter) at += 1;
      } else {
        const open = at;
        while (at < end && bytes[at] !== this.#delimiter) at += 1;
        cells.push(decoder.decode(bytes.subarray(open, at)));
      }
      if (at >= end || cells.length > last) return cells;
      at += 1;
    }
  }
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Where lines begin, and where the last one ends; line feeds within quotes are part of a cell. Empty lines at the end are none. */
function startsOf(bytes: Uint8Array, from: number): Uint32Array {
  let starts = new Uint32Array(Math.max(1_024, Math.ceil(bytes.length / 64)));
  let count = 0;
  const push = (at: number): void => {
    if (count === starts.length) {
      const larger = new Uint32Array(starts.length * 2);
      larger.set(starts);
      starts = larger;
    }
    starts[count++] = at;
  };
  let end = bytes.length;
  while (end > from && (bytes[end - 1] === FEED || bytes[end - 1] === RETURN)) end -= 1;
  push(from);
  if (end === from) return starts.slice(0, 1);
  // A quote opens a cell only at its beginning; one inside of a text is itself.
  const quoted = bytes.indexOf(QUOTE, from) !== -1;
  let inside = false;
  for (let at = from; at < end; at++) {
    const byte = bytes[at];
    if (byte === FEED && !inside) {
      push(at + 1);
      if (count > ROWS_MAX + 1) return starts.slice(0, count);
    } else if (quoted && byte === QUOTE) {
      if (inside) {
        if (bytes[at + 1] === QUOTE) at += 1;
        else inside = false;
      } else {
        const before = at === from ? FEED : bytes[at - 1];
        inside =
          before === FEED || before === RETURN || before === 44 || before === 59 || before === 9 || before === 124;
      }
    }
  }
  push(end);
  return starts.slice(0, count);
}

function delimiterOf(head: string): string {
  const lines = head
    .replace(/"(?:[^"]|"")*"/g, '')
    .split(/\r?\n/)
    .filter((line) => line !== '')
    .slice(0, 20);
  let best: { delimiter: string; score: number } = { delimiter: ',', score: 0 };
  for (const delimiter of DELIMITERS) {
    const counts = lines.map((line) => line.split(delimiter).length - 1);
    const least = Math.min(...counts);
    const even = counts.every((count) => count === counts[0]);
    const score = least * (even ? 2 : 1);
    if (score > best.score) best = { delimiter, score };
  }
  return best.delimiter;
}

const INTEGER = /^[+-]?\d{1,15}$/;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const TIME = /^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

function typeOf(cell: string): 'integer' | 'number' | 'truth' | 'time' | 'text' {
  if (INTEGER.test(cell)) return 'integer';
  if (NUMBER.test(cell) || /^[+-]?(nan|inf|infinity)$/i.test(cell)) return 'number';
  if (/^(true|false)$/i.test(cell)) return 'truth';
  return TIME.test(cell) ? 'time' : 'text';
}

function typeOfAll(cells: readonly string[]): string {
  const types = new Set(cells.filter((cell) => cell !== '').map(typeOf));
  if (types.size === 1) return [...types][0]!;
  return types.size === 2 && types.has('integer') && types.has('number')
    ? 'number'
    : types.size === 0
      ? 'empty'
      : 'text';
}
