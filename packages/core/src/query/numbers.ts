import { Bitset } from './bitset.ts';
import { holds, markRange, missingOf, numberPage, PAGE, PAGE_BITS, readNumber, widened } from './pages.ts';
import type { NumberPage } from './pages.ts';
import type { PackedNumbers, PartReader, PartWriter } from './part.ts';

const IN_PAGE = PAGE - 1;

/** Numbers by row. What both stored and computed columns answer. */
export interface NumberStore {
  /** The number, NaN included; undefined when the row has none. */
  get(row: number): number | undefined;
  /** Adds the rows with `low ≤ number ≤ high`. */
  range(low: number, high: number, into: Bitset): void;
  /** Adds the rows that hold NaN. */
  notNumbers(into: Bitset): void;
  /** Adds the rows that hold anything. */
  present(into: Bitset): void;
}

/**
 * Numbers by row in pages that are made when first written, each as narrow as its numbers allow: one byte a row for
 * small integers, four for what is a float32, eight for the rest.
 */
export class NumberColumn implements NumberStore {
  readonly #pages: (NumberPage | undefined)[] = [];
  #nans: Bitset | null = null;
  /** Rows that hold something. */
  filled = 0;
  /** Whether two rows differ; null when nobody has looked since that may have changed. */
  #several: boolean | null = false;
  /** What all rows hold while they do not differ. */
  #one: number | undefined;

  get(row: number): number | undefined {
    const page = this.#pages[row >>> PAGE_BITS];
    if (page === undefined) return undefined;
    const value = readNumber(page, row & IN_PAGE);
    if (value !== value) return this.#nans !== null && this.#nans.has(row) ? value : undefined;
    return value;
  }

  /** Whether that changed anything. */
  set(row: number, value: number): boolean {
    const index = row >>> PAGE_BITS;
    let page = this.#pages[index];
    if (page === undefined) {
      page = numberPage(value);
      this.#pages[index] = page;
    } else if (!holds(page, value)) {
      page = widened(page, value);
      this.#pages[index] = page;
    }
    const before = readNumber(page, row & IN_PAGE);
    const wasPresent = before === before || (this.#nans !== null && this.#nans.has(row));
    if (wasPresent && Object.is(before, value)) return false;
    this.#note(value, wasPresent);
    if (!wasPresent) this.filled += 1;
    page[row & IN_PAGE] = value === value ? value : missingOf(page);
    if (value !== value) (this.#nans ??= new Bitset()).add(row);
    else this.#nans?.delete(row);
    return true;
  }

  /** Whether there was anything. */
  clear(row: number): boolean {
    const page = this.#pages[row >>> PAGE_BITS];
    if (page === undefined || this.get(row) === undefined) return false;
    page[row & IN_PAGE] = missingOf(page);
    this.#nans?.delete(row);
    this.filled -= 1;
    // What was one value everywhere still is.
    if (this.filled === 0) this.#several = false;
    else if (this.#several !== false) this.#several = null;
    return true;
  }

  /** Whether rows hold different numbers. NaN counts as one. Kept: a list of columns asks it of hundreds. */
  get several(): boolean {
    if (this.#several === null) {
      const seen = new Set<number>();
      this.distinct(seen, 2);
      this.#several = seen.size > 1;
      this.#one = seen.values().next().value;
    }
    return this.#several;
  }

  #note(value: number, replaced: boolean): void {
    if (this.filled === (replaced ? 1 : 0)) {
      this.#one = value;
      this.#several = false;
    } else if (this.#several === true) {
      if (replaced) this.#several = null;
    } else if (this.#several === false && !same(this.#one, value)) this.#several = true;
  }

  range(low: number, high: number, into: Bitset): void {
    this.#pages.forEach((page, index) => {
      if (page !== undefined) markRange(page, low, high, into.words, index << (PAGE_BITS - 5));
    });
  }

  notNumbers(into: Bitset): void {
    if (this.#nans !== null) into.or(this.#nans);
  }

  present(into: Bitset): void {
    this.range(-Infinity, Infinity, into);
    this.notNumbers(into);
  }

  /** Least and greatest number, infinities included, NaN left out; undefined without any. */
  extent(): { min: number; max: number } | undefined {
    let min = Infinity;
    let max = -Infinity;
    let any = false;
    for (const page of this.#pages) {
      if (page === undefined) continue;
      for (let at = 0; at < PAGE; at++) {
        const value = readNumber(page, at);
        if (value !== value) continue;
        any = true;
        if (value < min) min = value;
        if (value > max) max = value;
      }
    }
    return any ? { min, max } : undefined;
  }

  /** Adds distinct numbers to `into` until it holds `limit`. NaN counts as one, and so do 0 and -0. */
  distinct(into: Set<number>, limit: number): void {
    if (this.#nans !== null && !this.#nans.isEmpty) into.add(Number.NaN);
    for (const page of this.#pages) {
      if (page === undefined) continue;
      let before = Number.NaN;
      for (let at = 0; at < PAGE; at++) {
        const value = readNumber(page, at);
        if (value === before || value !== value) continue;
        before = value;
        into.add(value);
        if (into.size >= limit) return;
      }
    }
  }

  /** Rows by number, until there are more different ones than `limit`: then undefined. */
  counts(limit: number): Map<number, number> | undefined {
    const counts = new Map<number, number>();
    const nans = this.#nans?.count() ?? 0;
    if (nans > 0) counts.set(Number.NaN, nans);
    for (const page of this.#pages) {
      if (page === undefined) continue;
      for (let at = 0; at < PAGE; at++) {
        const value = readNumber(page, at);
        if (value !== value) continue;
        counts.set(value, (counts.get(value) ?? 0) + 1);
        if (counts.size > limit) return undefined;
      }
    }
    return counts;
  }

  /** Bytes of its pages. */
  get bytes(): number {
    return this.#pages.reduce((sum, page) => sum + (page?.byteLength ?? 0), 0);
  }

  /** Puts its pages into a part; `unpack` reads them back. */
  pack(into: PartWriter): PackedNumbers {
    return {
      pages: into.pages(this.#pages),
      nans: this.#nans === null || this.#nans.isEmpty ? null : into.words(this.#nans.words),
      filled: this.filled,
      several: this.several,
    };
  }

  /** Its pages are those of the part: a copy would double what is read at a start. */
  static unpack(packed: PackedNumbers, from: PartReader): NumberColumn {
    const column = new NumberColumn();
    from.numberPages(packed.pages).forEach((page, index) => (column.#pages[index] = page));
    if (packed.nans !== null) {
      column.#nans = new Bitset();
      column.#nans.words = from.words(packed.nans);
    }
    column.filled = packed.filled;
    // The one value is not known; who asks next finds it.
    column.#several = packed.several ? true : null;
    return column;
  }
}

/** As NaN equals NaN, and 0 equals -0. */
function same(a: number | undefined, b: number): boolean {
  return a === b || (a !== a && b !== b);
}

const float = new Float64Array(1);
const bits = new BigInt64Array(float.buffer);

/** The next float64 above (`up`) or below a number: makes a strict comparison an inclusive range. */
export function beside(value: number, up: boolean): number {
  if (Number.isNaN(value) || value === (up ? Infinity : -Infinity)) return value;
  if (value === 0) return up ? Number.MIN_VALUE : -Number.MIN_VALUE;
  float[0] = value;
  bits[0]! += value > 0 === up ? 1n : -1n;
  return float[0];
}
