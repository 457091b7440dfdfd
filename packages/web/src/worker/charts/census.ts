import type { Census } from './api.ts';

/** Beyond this many values percentiles are taken of every n-th: 4 million doubles are 32 MB. */
const SORTED = 4_000_000;

/** The values between which the middle `percent` of all finite values lie; null when there are none. */
export function middleOf(columns: readonly Float64Array[], percent: number): { min: number; max: number } | null {
  const all = columns.reduce((sum, { length }) => sum + length, 0);
  const stride = Math.max(1, Math.ceil(all / SORTED));
  const values = new Float64Array(Math.ceil(all / stride) + columns.length);
  let count = 0;
  for (const column of columns)
    for (let row = 0; row < column.length; row += stride)
      if (Number.isFinite(column[row]!)) values[count++] = column[row]!;
  if (count === 0) return null;
  const sorted = values.subarray(0, count).sort();
  const beyond = (1 - percent / 100) / 2;
  const low = Math.floor(beyond * (count - 1));
  return { min: sorted[low]!, max: sorted[count - 1 - low]! };
}

/** The same of groups: values are those of their lines and both ends of their bands. */
export function censusOfBands(
  bands: readonly { centre: Float64Array; low: Float64Array; high: Float64Array }[],
  percent: number,
): Census {
  const columns = bands.flatMap(({ centre, low, high }) => [centre, low, high]);
  // Where no run counts there is no value at all, and what runs have of NaN they say themselves.
  return { ...census(columns, middleOf(columns, percent)), nan: 0, complete: true };
}

/** Counts of all values, against a range. */
export function census(
  columns: readonly Float64Array[],
  within: { min: number; max: number } | null,
): Omit<Census, 'complete'> {
  const found = { values: 0, within, above: 0, below: 0, nonPositive: 0, nan: 0, plusInfinity: 0, minusInfinity: 0 };
  const { min, max } = within ?? { min: -Infinity, max: Infinity };
  for (const column of columns) {
    for (const value of column) {
      if (value - value !== 0) {
        if (Number.isNaN(value)) found.nan += 1;
        else if (value > 0) found.plusInfinity += 1;
        else found.minusInfinity += 1;
        continue;
      }
      found.values += 1;
      if (value > max) found.above += 1;
      else if (value < min) found.below += 1;
      if (value <= 0) found.nonPositive += 1;
    }
  }
  return found;
}
