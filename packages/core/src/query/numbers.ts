import { Bitset } from './bitset.ts';

/** Rows of one page. A column that only some runs have takes memory only where they are. */
export const PAGE_BITS = 10;
export const PAGE = 1 << PAGE_BITS;
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

// Stands for "no number" in a page of integers; in a page of floats NaN does, and rows that really hold NaN are a set.
const MISSING = -(2 ** 31);

/**
 * Numbers by row in pages that are made when first written: 4 bytes a row while a page holds only small integers,
 * 8 from its first other number on.
 */
export class NumberColumn implements NumberStore {
  readonly #pages: (Int32Array | Float64Array | undefined)[] = [];
  #nans: Bitset | null = null;
  /** Rows that hold something. */
  filled = 0;

  get(row: number): number | undefined {
    const page = this.#pages[row >>> PAGE_BITS];
    if (page === undefined) return undefined;
    const value = page[row & IN_PAGE]!;
    if (value === MISSING && page instanceof Int32Array) return undefined;
    if (value !== value) return this.#nans !== null && this.#nans.has(row) ? value : undefined;
    return value;
  }

  set(row: number, value: number): void {
    const index = row >>> PAGE_BITS;
    let page = this.#pages[index];
    const small = (value | 0) === value && value !== MISSING && (value !== 0 || 1 / value > 0);
    if (page === undefined) {
      page = small ? new Int32Array(PAGE).fill(MISSING) : new Float64Array(PAGE).fill(Number.NaN);
      this.#pages[index] = page;
    } else if (!small && page instanceof Int32Array) {
      page = widen(page);
      this.#pages[index] = page;
    }
    const before = page[row & IN_PAGE]!;
    const wasPresent =
      page instanceof Int32Array
        ? before !== MISSING
        : before === before || (this.#nans !== null && this.#nans.has(row));
    if (!wasPresent) this.filled += 1;
    page[row & IN_PAGE] = value;
    if (value !== value) (this.#nans ??= new Bitset()).add(row);
    else this.#nans?.delete(row);
  }

  clear(row: number): void {
    const page = this.#pages[row >>> PAGE_BITS];
    if (page === undefined || this.get(row) === undefined) return;
    page[row & IN_PAGE] = page instanceof Int32Array ? MISSING : Number.NaN;
    this.#nans?.delete(row);
    this.filled -= 1;
  }

  range(low: number, high: number, into: Bitset): void {
    this.#pages.forEach((page, index) => {
      if (page === undefined) return;
      // The stand-in for "no number" is below every number that a page of integers can hold.
      const least = page instanceof Int32Array ? Math.max(low, MISSING + 1) : low;
      markRange(page, least, high, into.words, index << (PAGE_BITS - 5));
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
      const integers = page instanceof Int32Array;
      for (let index = 0; index < PAGE; index++) {
        const value = page[index]!;
        if (value !== value || (integers && value === MISSING)) continue;
        any = true;
        if (value < min) min = value;
        if (value > max) max = value;
      }
    }
    return any ? { min, max } : undefined;
  }

  /** Adds distinct numbers to `into` until it holds `limit`. NaN counts as one. */
  distinct(into: Set<number>, limit: number): void {
    if (this.#nans !== null && !this.#nans.isEmpty) into.add(Number.NaN);
    for (const page of this.#pages) {
      if (page === undefined) continue;
      const integers = page instanceof Int32Array;
      let before = Number.NaN;
      for (let index = 0; index < PAGE; index++) {
        const value = page[index]!;
        if (value === before || value !== value || (integers && value === MISSING)) continue;
        before = value;
        into.add(value);
        if (into.size >= limit) return;
      }
    }
  }

  /** Bytes of its pages. */
  get bytes(): number {
    return this.#pages.reduce((sum, page) => sum + (page?.byteLength ?? 0), 0);
  }
}

function widen(page: Int32Array): Float64Array {
  const wide = new Float64Array(PAGE);
  for (let index = 0; index < PAGE; index++) wide[index] = page[index] === MISSING ? Number.NaN : page[index]!;
  return wide;
}

/** Sets the bits of rows within the range. Two loops of one shape, so that each array type has its own machine code. */
function markRange(
  page: Int32Array | Float64Array,
  low: number,
  high: number,
  words: Uint32Array,
  firstWord: number,
): void {
  const count = Math.min(PAGE >>> 5, words.length - firstWord);
  if (page instanceof Int32Array) {
    for (let word = 0; word < count; word++) {
      let bits = 0;
      const base = word << 5;
      for (let bit = 0; bit < 32; bit++) {
        const value = page[base + bit]!;
        bits |= (value >= low && value <= high ? 1 : 0) << bit;
      }
      words[firstWord + word]! |= bits;
    }
    return;
  }
  for (let word = 0; word < count; word++) {
    let bits = 0;
    const base = word << 5;
    for (let bit = 0; bit < 32; bit++) {
      const value = page[base + bit]!;
      bits |= (value >= low && value <= high ? 1 : 0) << bit;
    }
    words[firstWord + word]! |= bits;
  }
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
