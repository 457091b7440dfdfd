import type { AttributeValue, MetricSummary } from '../record/index.ts';
import { Bitset } from './bitset.ts';
import type { NumberStore } from './numbers.ts';
import { NumberColumn } from './numbers.ts';
import { ListColumn, TextColumn } from './texts.ts';

/** What a cell shows; undefined where the run lacks it. Durations are numbers of ms. */
export type Cell = AttributeValue | undefined;

export type ValueKind = 'number' | 'time' | 'flag' | 'text' | 'list' | 'null';

/**
 * A column as tests, sorts and groups see it: for each kind of value that it may hold, where to find it. A row has
 * at most one of them.
 */
export interface Column {
  readonly numbers: NumberStore | null;
  /** ms since the epoch. */
  readonly times: NumberStore | null;
  readonly flags: FlagColumn | null;
  readonly texts: TextColumn | null;
  readonly lists: ListColumn | null;
  readonly nulls: Bitset | null;
  /** Numbers are ms, and literals may be durations. */
  readonly duration: boolean;
}

/** A column that no run has. */
export const NO_VALUES: Column = {
  numbers: null,
  times: null,
  flags: null,
  texts: null,
  lists: null,
  nulls: null,
  duration: false,
};

/** True or false by row. */
export class FlagColumn {
  readonly yes = new Bitset();
  readonly no = new Bitset();

  get(row: number): boolean | undefined {
    return this.yes.has(row) ? true : this.no.has(row) ? false : undefined;
  }

  set(row: number, value: boolean): void {
    this.yes.put(row, value);
    this.no.put(row, !value);
  }

  clear(row: number): void {
    this.yes.delete(row);
    this.no.delete(row);
  }
}

export function kindOf(value: AttributeValue): ValueKind {
  if (value === null) return 'null';
  if (typeof value === 'number') return 'number';
  if (typeof value === 'string') return 'text';
  if (typeof value === 'boolean') return 'flag';
  return 'time' in value ? 'time' : 'list';
}

/** The cell of a row. */
export function cellAt(column: Column, row: number): Cell {
  const number = column.numbers?.get(row);
  if (number !== undefined) return number;
  const text = column.texts?.get(row);
  if (text !== undefined) return text;
  const time = column.times?.get(row);
  if (time !== undefined) return { time };
  const flag = column.flags?.get(row);
  if (flag !== undefined) return flag;
  const list = column.lists?.get(row);
  if (list !== undefined) return list;
  return column.nulls?.has(row) === true ? null : undefined;
}

/** Adds the rows that hold anything, null included. */
export function markPresent(column: Column, into: Bitset): void {
  column.numbers?.present(into);
  column.times?.present(into);
  if (column.flags !== null) into.or(column.flags.yes).or(column.flags.no);
  column.texts?.present(into);
  column.lists?.texts.present(into);
  if (column.nulls !== null) into.or(column.nulls);
}

/** Values of one attribute path. Most hold one kind; a path that was a number here and a text there holds both. */
export class AttributeColumn implements Column {
  numbers: NumberColumn | null = null;
  times: NumberColumn | null = null;
  flags: FlagColumn | null = null;
  texts: TextColumn | null = null;
  lists: ListColumn | null = null;
  nulls: Bitset | null = null;
  readonly duration = false;
  filled = 0;

  set(row: number, value: AttributeValue): void {
    const before = cellAt(this, row);
    if (before === undefined) this.filled += 1;
    else if (kindOf(before) !== kindOf(value)) this.#clearKinds(row);
    if (typeof value === 'number') (this.numbers ??= new NumberColumn()).set(row, value);
    else if (typeof value === 'string') (this.texts ??= new TextColumn()).set(row, value);
    else if (typeof value === 'boolean') (this.flags ??= new FlagColumn()).set(row, value);
    else if (value === null) (this.nulls ??= new Bitset()).add(row);
    else if ('time' in value) (this.times ??= new NumberColumn()).set(row, value.time);
    else (this.lists ??= new ListColumn()).set(row, value);
  }

  clear(row: number): void {
    if (cellAt(this, row) === undefined) return;
    this.filled -= 1;
    this.#clearKinds(row);
  }

  #clearKinds(row: number): void {
    this.numbers?.clear(row);
    this.times?.clear(row);
    this.flags?.clear(row);
    this.texts?.clear(row);
    this.lists?.clear(row);
    this.nulls?.delete(row);
  }
}

export const AGGREGATES = ['last', 'min', 'max', 'count', 'step', 'minStep', 'maxStep', 'nonFinite'] as const;
/** `step` is that of the last point; `minStep` and `maxStep` those of the extremes. */
export type Aggregate = (typeof AGGREGATES)[number];

/** Summaries of one metric path. */
export class MetricColumn {
  readonly last = new NumberColumn();
  readonly min = new NumberColumn();
  readonly max = new NumberColumn();
  readonly count = new NumberColumn();
  readonly step = new NumberColumn();
  readonly minStep = new NumberColumn();
  readonly maxStep = new NumberColumn();
  readonly nonFinite = new NumberColumn();

  /** Runs that have the metric. */
  get filled(): number {
    return this.last.filled;
  }

  set(row: number, summary: MetricSummary): void {
    this.last.set(row, summary.last);
    this.count.set(row, summary.count);
    this.step.set(row, summary.lastStep);
    this.nonFinite.set(row, summary.nonFinite);
    // NaN stands for "no finite value yet": then there is no extreme, and no step of it.
    if (Number.isNaN(summary.min)) {
      this.min.clear(row);
      this.minStep.clear(row);
    } else {
      this.min.set(row, summary.min);
      this.minStep.set(row, summary.minStep);
    }
    if (Number.isNaN(summary.max)) {
      this.max.clear(row);
      this.maxStep.clear(row);
    } else {
      this.max.set(row, summary.max);
      this.maxStep.set(row, summary.maxStep);
    }
  }

  clear(row: number): void {
    for (const aggregate of AGGREGATES) this[aggregate].clear(row);
  }
}
