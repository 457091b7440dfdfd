import type { AttributeValue, MetricSummary } from '../record/index.ts';
import { Bitset } from './bitset.ts';
import type { NumberStore } from './numbers.ts';
import { NumberColumn } from './numbers.ts';
import type { PackedNumbers, PackedTexts, PackedWords, PartReader, PartWriter } from './part.ts';
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

  /** Whether that changed anything. */
  set(row: number, value: boolean): boolean {
    if (this.get(row) === value) return false;
    this.yes.put(row, value);
    this.no.put(row, !value);
    return true;
  }

  /** Whether there was anything. */
  clear(row: number): boolean {
    const held = this.get(row) !== undefined;
    this.yes.delete(row);
    this.no.delete(row);
    return held;
  }

  pack(into: PartWriter): PackedFlags {
    return { yes: into.words(this.yes.words), no: into.words(this.no.words) };
  }

  static unpack(packed: PackedFlags, from: PartReader): FlagColumn {
    const column = new FlagColumn();
    column.yes.words = from.words(packed.yes);
    column.no.words = from.words(packed.no);
    return column;
  }
}

interface PackedFlags {
  yes: PackedWords;
  no: PackedWords;
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

  /** Whether that changed anything. */
  set(row: number, value: AttributeValue): boolean {
    const before = cellAt(this, row);
    if (before === undefined) this.filled += 1;
    else if (kindOf(before) !== kindOf(value)) this.#clearKinds(row);
    if (typeof value === 'number') return (this.numbers ??= new NumberColumn()).set(row, value);
    if (typeof value === 'string') return (this.texts ??= new TextColumn()).set(row, value);
    if (typeof value === 'boolean') return (this.flags ??= new FlagColumn()).set(row, value);
    if (value === null) {
      (this.nulls ??= new Bitset()).add(row);
      return before !== null;
    }
    if ('time' in value) return (this.times ??= new NumberColumn()).set(row, value.time);
    return (this.lists ??= new ListColumn()).set(row, value);
  }

  /** Whether there was anything. */
  clear(row: number): boolean {
    if (cellAt(this, row) === undefined) return false;
    this.filled -= 1;
    this.#clearKinds(row);
    return true;
  }

  pack(into: PartWriter): unknown {
    const packed: PackedAttribute = {
      filled: this.filled,
      numbers: this.numbers?.pack(into) ?? null,
      times: this.times?.pack(into) ?? null,
      flags: this.flags?.pack(into) ?? null,
      texts: this.texts?.pack(into) ?? null,
      lists: this.lists?.texts.pack(into) ?? null,
      nulls: this.nulls === null ? null : into.words(this.nulls.words),
    };
    return packed;
  }

  static unpack(from: PartReader): AttributeColumn {
    const packed = from.header as PackedAttribute;
    const column = new AttributeColumn();
    column.filled = packed.filled;
    if (packed.numbers !== null) column.numbers = NumberColumn.unpack(packed.numbers, from);
    if (packed.times !== null) column.times = NumberColumn.unpack(packed.times, from);
    if (packed.flags !== null) column.flags = FlagColumn.unpack(packed.flags, from);
    if (packed.texts !== null) column.texts = TextColumn.unpack(packed.texts, from);
    if (packed.lists !== null) column.lists = ListColumn.unpack(packed.lists, from);
    if (packed.nulls !== null) {
      column.nulls = new Bitset();
      column.nulls.words = from.words(packed.nulls);
    }
    return column;
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

interface PackedAttribute {
  filled: number;
  numbers: PackedNumbers | null;
  times: PackedNumbers | null;
  flags: PackedFlags | null;
  texts: PackedTexts | null;
  lists: PackedTexts | null;
  nulls: PackedWords | null;
}

export const AGGREGATES = ['last', 'min', 'max', 'count', 'step', 'minStep', 'maxStep', 'nonFinite'] as const;
/** `step` is that of the last point; `minStep` and `maxStep` those of the extremes. */
export type Aggregate = (typeof AGGREGATES)[number];

/** Summaries of one metric path. */
export class MetricColumn implements Record<Aggregate, NumberColumn> {
  last = new NumberColumn();
  min = new NumberColumn();
  max = new NumberColumn();
  count = new NumberColumn();
  step = new NumberColumn();
  minStep = new NumberColumn();
  maxStep = new NumberColumn();
  nonFinite = new NumberColumn();

  /** Runs that have the metric. */
  get filled(): number {
    return this.last.filled;
  }

  get(row: number): MetricSummary | undefined {
    const last = this.last.get(row);
    if (last === undefined) return undefined;
    const of = (column: NumberColumn): number => column.get(row) ?? Number.NaN;
    return {
      count: of(this.count),
      last,
      lastStep: of(this.step),
      min: of(this.min),
      minStep: of(this.minStep),
      max: of(this.max),
      maxStep: of(this.maxStep),
      nonFinite: of(this.nonFinite),
    };
  }

  /** Whether that changed anything. */
  set(row: number, summary: MetricSummary): boolean {
    let changed = this.last.set(row, summary.last);
    changed = this.count.set(row, summary.count) || changed;
    changed = this.step.set(row, summary.lastStep) || changed;
    changed = this.nonFinite.set(row, summary.nonFinite) || changed;
    // NaN stands for "no finite value yet": then there is no extreme, and no step of it.
    changed = put(this.min, row, summary.min, summary.min) || changed;
    changed = put(this.minStep, row, summary.minStep, summary.min) || changed;
    changed = put(this.max, row, summary.max, summary.max) || changed;
    return put(this.maxStep, row, summary.maxStep, summary.max) || changed;
  }

  /** Whether there was anything. */
  clear(row: number): boolean {
    let held = false;
    for (const aggregate of AGGREGATES) held = this[aggregate].clear(row) || held;
    return held;
  }

  pack(into: PartWriter): unknown {
    return Object.fromEntries(AGGREGATES.map((aggregate) => [aggregate, this[aggregate].pack(into)]));
  }

  static unpack(from: PartReader): MetricColumn {
    const packed = from.header as Record<Aggregate, PackedNumbers>;
    const column = new MetricColumn();
    for (const aggregate of AGGREGATES) column[aggregate] = NumberColumn.unpack(packed[aggregate], from);
    return column;
  }
}

function put(column: NumberColumn, row: number, value: number, unless: number): boolean {
  return Number.isNaN(unless) ? column.clear(row) : column.set(row, value);
}
