import type { WriterId } from '../ids.ts';
import type { ObjectRow } from '../record/index.ts';

/** One row of a path, and whose it is. */
export interface PlacedRow extends ObjectRow {
  writer: WriterId;
}

/** Where a row stands among all rows of its path: no two stand at the same place. */
export interface RowPlace {
  /** Step, or time in ms, whichever the rows are read by. */
  key: number;
  writer: string;
  ordinal: number;
  part: number;
}

export function placeOf(row: PlacedRow, x: 'step' | 'time'): RowPlace {
  return { key: row[x], writer: row.writer, ordinal: row.ordinal, part: row.part };
}

export function comparePlaces(a: RowPlace, b: RowPlace): number {
  if (a.key !== b.key) return a.key < b.key ? -1 : 1;
  if (a.writer !== b.writer) return a.writer < b.writer ? -1 : 1;
  return a.ordinal - b.ordinal || a.part - b.part;
}
