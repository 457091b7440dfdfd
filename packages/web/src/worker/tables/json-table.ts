import { FieldbookError } from '@fieldbook/core';
import type { Table, TableCell, TableColumn } from './table.ts';
import { CELL_CHARACTERS, COLUMNS_MAX, SAMPLE_CELLS } from './table.ts';

/** A table as the client records it: `{"columns": […], "rows": [[…], …]}`. */
export class JsonTable implements Table {
  readonly columns: readonly TableColumn[];
  readonly rows: number;
  readonly note = null;
  readonly #rows: readonly unknown[][];

  /** Throws `invalid_value` for JSON that is no table. */
  constructor(json: string) {
    let value: unknown;
    try {
      value = JSON.parse(json);
    } catch (error) {
      throw refused('is no JSON', error);
    }
    const { columns, rows } = (value ?? {}) as { columns?: unknown; rows?: unknown };
    if (!Array.isArray(columns) || !Array.isArray(rows) || columns.length > COLUMNS_MAX)
      throw refused('has no columns and rows');
    if (!rows.every((row) => Array.isArray(row))) throw refused('has a row that is no list');
    this.#rows = rows as unknown[][];
    this.rows = rows.length;
    // Empty rows of many columns are few bytes and many cells.
    const sample = this.#rows.slice(
      0,
      Math.max(1, Math.min(10_000, Math.floor(SAMPLE_CELLS / Math.max(1, columns.length)))),
    );
    this.columns = columns.map((name, index) => {
      const types = new Set<string>();
      for (const row of sample) {
        const cell = row[index];
        if (cell !== null && cell !== undefined)
          types.add(typeof cellOf(cell) === 'number' ? 'number' : typeof cell === 'boolean' ? 'truth' : 'text');
        if (types.size > 1) break;
      }
      const type = types.size === 1 ? [...types][0]! : types.size === 0 ? 'empty' : 'mixed';
      return { name: String(cellOf(name) ?? ''), type, numeric: type === 'number' };
    });
  }

  async read(rows: ArrayLike<number>, columns: readonly number[]): Promise<TableCell[][]> {
    return Array.from(rows, (row) => columns.map((column) => cellOf(this.#rows[row]?.[column])));
  }

  async column(index: number): Promise<TableCell[]> {
    return this.#rows.map((row) => cellOf(row[index]));
  }
}

/** What JSON cannot say has one key in the client's records: `{"f": "nan"}`, `{"i": "…"}`, `{"t": ms}`. */
export function cellOf(value: unknown): TableCell {
  if (value === null || value === undefined) return null;
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  if (typeof value === 'string') return value.length > CELL_CHARACTERS ? `${value.slice(0, CELL_CHARACTERS)}…` : value;
  if (value instanceof Date)
    return Number.isNaN(value.getTime())
      ? null
      : value
          .toISOString()
          .replace('T', ' ')
          .replace(/(\.000)?Z$/, '');
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  const single = value as Record<string, unknown>;
  if (Object.keys(single).length === 1) {
    if (typeof single['f'] === 'string') return FLOATS[single['f']] ?? single['f'];
    if (typeof single['i'] === 'string') return single['i'];
    if (typeof single['t'] === 'number') return cellOf(new Date(single['t']));
  }
  let text: string;
  try {
    text = JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? Number(inner) : inner)) ?? '';
  } catch (error) {
    if (error instanceof RangeError) return 'nested too deeply to be shown';
    throw error;
  }
  return text.length > CELL_CHARACTERS ? `${text.slice(0, CELL_CHARACTERS)}…` : text;
}

const FLOATS: Readonly<Record<string, number>> = { nan: Number.NaN, inf: Infinity, '-inf': -Infinity };

function refused(why: string, cause?: unknown): FieldbookError {
  return new FieldbookError('invalid_value', `This is called a table and ${why}. Download it to see what it is.`, {
    cause,
  });
}
