import { Bitset } from './bitset.ts';
import type { Aggregate, AttributeColumn, Cell, Column, MetricColumn, ValueKind } from './columns.ts';
import { cellAt, markPresent } from './columns.ts';
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
    varies: severalNumbers(metric[aggregate]),
  }));
}

export function statsOf(column: Column, live: Bitset, size: number): ColumnStats {
  const present = new Bitset(size);
  markPresent(column, present);
  const counts = new Map<string, { value: Cell; runs: number }>();
  let min = Infinity;
  let max = -Infinity;
  let filled = 0;
  for (let row = 0; row < size; row++) {
    if (!present.has(row) || !live.has(row)) continue;
    filled += 1;
    const value = cellAt(column, row);
    const number =
      typeof value === 'number'
        ? value
        : typeof value === 'object' && value !== null && 'time' in value
          ? value.time
          : Number.NaN;
    if (number < min) min = number;
    if (number > max) max = number;
    if (counts.size > DISTINCT_COUNTED) continue;
    const key = typeof value === 'number' ? String(value) : JSON.stringify(value);
    const seen = counts.get(key);
    if (seen === undefined) counts.set(key, { value, runs: 1 });
    else seen.runs += 1;
  }
  const listed =
    counts.size > DISTINCT_COUNTED ? [] : [...counts.values()].sort((a, b) => b.runs - a.runs).slice(0, VALUES_LISTED);
  return {
    kinds: kindsOf(column),
    filled,
    min: min <= max ? min : null,
    max: min <= max ? max : null,
    distinct: Math.min(counts.size, DISTINCT_COUNTED),
    values: listed,
  };
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
  if (numbers !== null && severalNumbers(numbers)) return true;
  if (times !== null && severalNumbers(times)) return true;
  if (flags !== null && !flags.yes.isEmpty && !flags.no.isEmpty) return true;
  return (texts?.distinct ?? 0) > 1 || (lists?.texts.distinct ?? 0) > 1;
}

function severalNumbers(column: NumberColumn): boolean {
  const seen = new Set<number>();
  column.distinct(seen, 2);
  return seen.size > 1;
}
