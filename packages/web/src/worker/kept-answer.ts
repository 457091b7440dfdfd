import type { SeriesAnswer } from './api.ts';

/*
 * Answers as a browser keeps them: exact, but in the narrowest columns that hold their numbers, and in two pieces. A stored value of more than 64 kB
 * is put into a file of its own by the browser, and reading ten of those takes longer than drawing them.
 */

/** Whole numbers as distances from the least of them, single floats where that loses nothing, else doubles. */
type PackedColumn = { base: number; distances: Uint32Array } | Float32Array | Float64Array;

interface PackedBand {
  x: PackedColumn;
  low: PackedColumn;
  high: PackedColumn;
  mean: PackedColumn;
  count: PackedColumn;
}

export interface PackedLine {
  updated: number;
  answer: Omit<SeriesAnswer, 'x' | 'y' | 'band'>;
  x: PackedColumn;
  y: PackedColumn;
}

export interface Kept {
  updated: number;
  answer: SeriesAnswer;
}

export function packAnswer({ updated, answer }: Kept): { line: PackedLine; band: PackedBand | null } {
  const { x, y, band, ...rest } = answer;
  const line = { updated, answer: rest, x: packColumn(x), y: packColumn(y) };
  if (band === null) return { line, band: null };
  const { low, high, mean, count } = band;
  const columns = { low: packColumn(low), high: packColumn(high), mean: packColumn(mean), count: packColumn(count) };
  return { line, band: { x: packColumn(band.x), ...columns } };
}

/** Undefined when a piece is absent: the browser may have dropped it. */
export function unpackAnswer(line: unknown, band: unknown): Kept | undefined {
  if (line === undefined) return undefined;
  const { updated, answer, x, y } = line as PackedLine;
  if (answer.buckets > 0 && band === undefined) return undefined;
  const columns = answer.buckets > 0 ? (band as PackedBand) : null;
  return {
    updated,
    answer: {
      ...answer,
      x: unpackColumn(x),
      y: unpackColumn(y),
      band:
        columns === null
          ? null
          : {
              x: unpackColumn(columns.x),
              low: unpackColumn(columns.low),
              high: unpackColumn(columns.high),
              mean: unpackColumn(columns.mean),
              count: unpackColumn(columns.count),
            },
    },
  };
}

export function packColumn(column: Float64Array): PackedColumn {
  let [least, most, whole, single] = [Infinity, -Infinity, true, true];
  for (let row = 0; row < column.length && (whole || single); row++) {
    const value = column[row]!;
    // −0 is a number of its own.
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) whole = false;
    if (!Object.is(Math.fround(value), value)) single = false;
    if (value < least) least = value;
    if (value > most) most = value;
  }
  if (whole && column.length > 0 && most - least < 2 ** 32)
    return { base: least, distances: Uint32Array.from(column, (value) => value - least) };
  return single ? Float32Array.from(column) : column.slice();
}

export function unpackColumn(column: PackedColumn): Float64Array {
  if (column instanceof Float64Array) return column;
  if (column instanceof Float32Array) return Float64Array.from(column);
  const { base, distances } = column;
  const values = new Float64Array(distances.length);
  for (let row = 0; row < values.length; row++) values[row] = base + distances[row]!;
  return values;
}
