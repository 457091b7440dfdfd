/** A cell as it is shown: what has another type in its file is a text here. */
export type TableCell = string | number | boolean | null;

export interface TableColumn {
  name: string;
  /** As the file calls it: `int64`, `string`; of a text file what its cells look like. */
  type: string;
  /** Sorted as numbers and aligned to the right. */
  numeric: boolean;
}

/** A table of somebody's, read a window at a time. */
export interface Table {
  readonly columns: readonly TableColumn[];
  readonly rows: number;
  /** What of it is not there to be read, in words; null when it is whole. */
  readonly note: string | null;
  /** Cells of some rows in the order given, each with the columns asked for. Throws `too_large`, `invalid_value`. */
  read(rows: ArrayLike<number>, columns: readonly number[]): Promise<TableCell[][]>;
  /** All cells of one column; for sorting. */
  column(index: number): Promise<ArrayLike<TableCell>>;
}

/** Bytes of a content, wherever they are. */
export interface TableBytes {
  size: number;
  read(start: number, end: number): Promise<Uint8Array>;
}

/** Characters of a cell that are shown; the whole is in the file. */
export const CELL_CHARACTERS = 2_000;
/** More columns than a screen is ever scrolled through. */
export const COLUMNS_MAX = 10_000;
/** Cells from which types are guessed. */
export const SAMPLE_CELLS = 200_000;

/** Row numbers in the order of a column's cells: numbers before texts, empty cells last whichever way. Equal ones stay in their order. */
export function orderBy(cells: ArrayLike<TableCell>, descending: boolean): Uint32Array {
  const order = new Uint32Array(cells.length);
  const collator = new Intl.Collator('en', { numeric: true });
  const numbers: number[] = [];
  const texts: number[] = [];
  const empty: number[] = [];
  for (let row = 0; row < cells.length; row++) {
    const cell = cells[row];
    if (cell === null || cell === undefined || cell === '' || Number.isNaN(cell)) empty.push(row);
    else if (typeof cell === 'string') texts.push(row);
    else numbers.push(row);
  }
  const sign = descending ? -1 : 1;
  const parts = [
    numbers.sort((a, b) => sign * (Number(cells[a]) - Number(cells[b])) || a - b),
    texts.sort((a, b) => sign * collator.compare(cells[a] as string, cells[b] as string) || a - b),
  ];
  if (descending) parts.reverse();
  let at = 0;
  for (const part of [...parts, empty]) for (const row of part) order[at++] = row;
  return order;
}
