import { Bitset } from './bitset.ts';
import type { Aggregate, AttributeColumn, Cell, Column, MetricColumn, ValueKind } from './columns.ts';
import { markPresent } from './columns.ts';
import type { NumberStore } from './numbers.ts';
import { NumberColumn } from './numbers.ts';
import { columnId } from './reference.ts';

/** What a list of columns shows of one. */
export interface ColumnInfo {
  /** `a:params/lr` or `m:val/acc.max`. */
  id: string;
  source: 'attribute' | 'metric';
  path: string;
  aggregate: Aggregate | null;
  /** Kinds of values in it; more than one where runs disagree. */
  kinds: readonly ValueKind[];
  /** Runs that have it. */
  filled: number;
  /** False when all runs that have it say the same. */
  varies: boolean;
}

export interface ColumnStats {
  kinds: readonly ValueKind[];
  filled: number;
  /** Over numbers and times (ms), infinities included and NaN not; null without any. */
  min: number | null;
  max: number | null;
  /** Distinct values, counted up to `DISTINCT_COUNTED`. */
  distinct: number;
  /** The most frequent values, at most `VALUES_LISTED`; empty when there are more distinct ones than counted. */
  values: readonly { value: Cell; runs: number }[];
}

export const DISTINCT_COUNTED = 10_000;
export const VALUES_LISTED = 100;

/** Aggregates that a list of columns offers; the others can be asked for by name. */
const LISTED: readonly Aggregate[] = ['last', 'min', 'max', 'count', 'step'];

export function attributeInfo(path: string, column: AttributeColumn): ColumnInfo {
  return {
    id: columnId({ source: 'attribute', path }),
    source: 'attribute',
    path,
    aggregate: null,
    kinds: kindsOf(column),
    filled: column.filled,
    varies: varies(column),
  };
}

export function metricInfo(path: string, metric: MetricColumn): ColumnInfo[] {
  return LISTED.map((aggregate) => ({
    id: columnId({ source: 'metric', path, aggregate }),
    source: 'metric',
    path,
    aggregate,
    kinds: ['number'],
    filled: metric[aggregate].filled,
    varies: metric[aggregate].several,
  }));
}

/** Of the rows that are in a column: one of a run that is gone is in none. */
export function statsOf(column: Column, live: Bitset, size: number): ColumnStats {
  const { numbers, times, flags, texts, lists, nulls } = column;
  const present = new Bitset(size);
  markPresent(column, present);
  const counts: { value: Cell; runs: number }[] = [];
  let more = false;
  let min = Infinity;
  let max = -Infinity;
  for (const [store, cellOf] of [
    [numbers, (value: number): Cell => value],
    [times, (time: number): Cell => ({ time })],
  ] as const) {
    if (store === null) continue;
    const found = store instanceof NumberColumn ? store.counts(DISTINCT_COUNTED) : countsOf(store, live, size);
    const extent = extentOf(store, found?.keys());
    if (extent !== undefined) {
      min = Math.min(min, extent.min);
      max = Math.max(max, extent.max);
    }
    if (found === undefined) more = true;
    else for (const [value, runs] of found) counts.push({ value: cellOf(value), runs });
  }
  if (flags !== null)
    for (const [value, rows] of [
      [true, flags.yes],
      [false, flags.no],
    ] as const)
      if (!rows.isEmpty) counts.push({ value, runs: rows.count() });
  for (const [store, cellOf] of [
    [texts, (text: string): Cell => text],
    [lists?.texts ?? null, (text: string): Cell => lists!.list(text)],
  ] as const) {
    if (store === null) continue;
    if (store.distinct > DISTINCT_COUNTED) {
      more = true;
      continue;
    }
    for (let code = 1; code < store.codes; code++) {
      const text = store.text(code);
      if (text !== undefined) counts.push({ value: cellOf(text), runs: store.holders(code) });
    }
  }
  if (nulls !== null && !nulls.isEmpty) counts.push({ value: null, runs: nulls.count() });
  more ||= counts.length > DISTINCT_COUNTED;
  return {
    kinds: kindsOf(column),
    filled: present.and(live).count(),
    // Of 0 and -0, which are equal, it is 0 that is said.
    min: min <= max ? min + 0 : null,
    max: min <= max ? max + 0 : null,
    distinct: more ? DISTINCT_COUNTED : counts.length,
    values: more ? [] : counts.sort((a, b) => b.runs - a.runs).slice(0, VALUES_LISTED),
  };
}

/** The same as `NumberColumn.counts` of numbers that are computed. */
function countsOf(store: NumberStore, live: Bitset, size: number): Map<number, number> | undefined {
  const counts = new Map<number, number>();
  for (let row = 0; row < size; row++) {
    const value = live.has(row) ? store.get(row) : undefined;
    if (value === undefined) continue;
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return counts;
}

function extentOf(store: NumberStore, values?: Iterable<number>): { min: number; max: number } | undefined {
  if (store instanceof NumberColumn) return store.extent();
  let min = Infinity;
  let max = -Infinity;
  for (const value of values ?? []) {
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return min <= max ? { min, max } : undefined;
}

/** Kinds of values that a column holds, most useful first. */
export function kindsOf({ numbers, times, flags, texts, lists, nulls }: Column): ValueKind[] {
  const kinds: ValueKind[] = [];
  if (holdsNumbers(numbers)) kinds.push('number');
  if (holdsNumbers(times)) kinds.push('time');
  if (flags !== null && !(flags.yes.isEmpty && flags.no.isEmpty)) kinds.push('flag');
  if (texts !== null && texts.filled > 0) kinds.push('text');
  if (lists !== null && lists.filled > 0) kinds.push('list');
  if (nulls !== null && !nulls.isEmpty) kinds.push('null');
  return kinds;
}

function holdsNumbers(store: Column['numbers']): boolean {
  return store !== null && (!(store instanceof NumberColumn) || store.filled > 0);
}

function varies(column: AttributeColumn): boolean {
  const { numbers, times, flags, texts, lists } = column;
  if (kindsOf(column).length > 1) return true;
  if (numbers?.several === true || times?.several === true) return true;
  if (flags !== null && !flags.yes.isEmpty && !flags.no.isEmpty) return true;
  return (texts?.distinct ?? 0) > 1 || (lists?.texts.distinct ?? 0) > 1;
}
