import type { Cell, Column } from './columns.ts';
import { cellAt } from './columns.ts';
import { sortRows } from './sort.ts';

/** A column to summarise in each group; `goal` says which run of the group is the best one. */
export interface AggregateRequest {
  column: string;
  goal?: 'min' | 'max';
}

/** Over the finite numbers of a group. All null but the counts where there is none. */
export interface Summary {
  count: number;
  /** NaN and infinities, left out of everything else. */
  nonFinite: number;
  mean: number | null;
  /** Of a sample (n - 1); null for fewer than two. */
  std: number | null;
  min: number | null;
  max: number | null;
  /** The row with the best number by the goal, the first of the group among equals; null without a goal. */
  best: number | null;
}

export interface Group {
  /** One cell per column grouped by; undefined where the group's runs have none. */
  key: readonly Cell[];
  /** In the order of the selection. */
  rows: Uint32Array;
  /** One per requested aggregate. */
  summaries: readonly Summary[];
}

/**
 * Rows by equal values of all columns, groups in order of their keys (numbers, times, flags, texts in natural order;
 * missing last). NaN equals NaN, and 0 equals -0.
 */
export function groupRows(
  rows: Uint32Array,
  by: readonly Column[],
  aggregates: readonly { column: Column; goal?: 'min' | 'max' }[],
): Group[] {
  const numbers = new Uint32Array(rows.length);
  let groups = rows.length === 0 ? 0 : 1;
  for (const column of by) {
    const seen = new Map<string | number, number>();
    const codes = new Map<number, number>();
    let next = 0;
    for (let index = 0; index < rows.length; index++) {
      const value = keyOf(column, rows[index]!);
      let code = seen.get(value);
      if (code === undefined) seen.set(value, (code = seen.size));
      // Below 2^53 for any two counts of rows that fit an array.
      const pair = code * groups + numbers[index]!;
      let group = codes.get(pair);
      if (group === undefined) codes.set(pair, (group = next++));
      numbers[index] = group;
    }
    groups = next;
  }
  const counts = new Uint32Array(groups);
  for (const number of numbers) counts[number]! += 1;
  const members = Array.from(counts, (count) => new Uint32Array(count));
  const filled = new Uint32Array(groups);
  for (let index = 0; index < rows.length; index++) {
    const group = numbers[index]!;
    members[group]![filled[group]!++] = rows[index]!;
  }
  const firsts = Uint32Array.from(members, (list) => list[0]!);
  const order = new Map(Array.from(firsts, (row, group) => [row, group]));
  sortRows(
    firsts,
    by.map((column) => ({ column, descending: false })),
  );
  return Array.from(firsts, (first) => {
    const list = members[order.get(first)!]!;
    return {
      key: by.map((column) => cellAt(column, first)),
      rows: list,
      summaries: aggregates.map(({ column, goal }) => summarise(list, column, goal)),
    };
  });
}

/** A value that is equal for equal cells of any kind. */
function keyOf(column: Column, row: number): string | number {
  const number = column.numbers?.get(row);
  if (number !== undefined) return number;
  const cell = cellAt(column, row);
  if (cell === undefined) return '';
  if (typeof cell === 'string') return `t${cell}`;
  return `j${JSON.stringify(cell)}`;
}

/** Mean and deviation by Welford's recurrence, which does not cancel. */
export function summarise(rows: Uint32Array, column: Column, goal?: 'min' | 'max'): Summary {
  let count = 0;
  let nonFinite = 0;
  let mean = 0;
  let squares = 0;
  let min = Infinity;
  let max = -Infinity;
  let best: number | null = null;
  let bestValue = 0;
  const store = column.numbers ?? column.times;
  for (const row of rows) {
    const value = store?.get(row);
    if (value === undefined) continue;
    if (!Number.isFinite(value)) {
      nonFinite += 1;
      continue;
    }
    count += 1;
    const distance = value - mean;
    mean += distance / count;
    squares += distance * (value - mean);
    if (value < min) min = value;
    if (value > max) max = value;
    if (goal !== undefined && (best === null || (goal === 'min' ? value < bestValue : value > bestValue))) {
      best = row;
      bestValue = value;
    }
  }
  if (count === 0) return { count, nonFinite, mean: null, std: null, min: null, max: null, best };
  return { count, nonFinite, mean, std: count < 2 ? null : Math.sqrt(squares / (count - 1)), min, max, best };
}
