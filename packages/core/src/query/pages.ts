/** Rows of one page. A column that only some runs have takes memory only where they are. */
export const PAGE_BITS = 10;
export const PAGE = 1 << PAGE_BITS;

/** Numbers of one page in the narrowest form that holds all of them exactly. */
export type NumberPage = Int8Array | Int16Array | Int32Array | Float32Array | Float64Array;
/** Codes of one page, likewise. */
export type CodePage = Uint8Array | Uint16Array | Uint32Array;
export type Page = NumberPage | CodePage;

/** How a stored page says what it is. Never renumber. */
export const PAGE_TYPES = [
  Int8Array,
  Int16Array,
  Int32Array,
  Float32Array,
  Float64Array,
  Uint8Array,
  Uint16Array,
  Uint32Array,
] as const;

// Stand for "no number" in a page of integers; in a page of floats NaN does, and rows that really hold NaN are a set.
const MISSING_8 = -(2 ** 7);
const MISSING_16 = -(2 ** 15);
const MISSING_32 = -(2 ** 31);

/** What stands for "no number" in a page; it is below every number that a page of integers can hold. */
export function missingOf(page: NumberPage): number {
  if (page instanceof Int8Array) return MISSING_8;
  if (page instanceof Int16Array) return MISSING_16;
  return page instanceof Int32Array ? MISSING_32 : Number.NaN;
}

/** Each array type at a place of its own in the code: one place for all five would be several times as slow. */
export function readNumber(page: NumberPage, at: number): number {
  if (page instanceof Float64Array) return page[at]!;
  if (page instanceof Int8Array) return page[at] === MISSING_8 ? Number.NaN : page[at]!;
  if (page instanceof Int16Array) return page[at] === MISSING_16 ? Number.NaN : page[at]!;
  if (page instanceof Int32Array) return page[at] === MISSING_32 ? Number.NaN : page[at]!;
  return page[at]!;
}

export function readCode(page: CodePage, at: number): number {
  if (page instanceof Uint8Array) return page[at]!;
  return page instanceof Uint16Array ? page[at]! : page[at]!;
}

/** Whether the page holds this number exactly. */
export function holds(page: NumberPage, value: number): boolean {
  if (page instanceof Float64Array || value !== value) return true;
  if (page instanceof Float32Array) return Math.fround(value) === value;
  const limit = page instanceof Int8Array ? 2 ** 7 : page instanceof Int16Array ? 2 ** 15 : 2 ** 31;
  return (value | 0) === value && value > -limit && value < limit && (value !== 0 || 1 / value > 0);
}

/** An empty page that holds `value`. */
export function numberPage(value: number): NumberPage {
  for (const make of [Int8Array, Int16Array, Int32Array, Float32Array] as const) {
    const page = new make(PAGE);
    if (holds(page, value)) return page.fill(missingOf(page));
  }
  return new Float64Array(PAGE).fill(Number.NaN);
}

/** The page's numbers in one that also holds `value`. */
export function widened(page: NumberPage, value: number): NumberPage {
  const integers = !(page instanceof Float32Array);
  for (const make of [Int16Array, Int32Array, Float32Array] as const) {
    if (integers && make === Int16Array && !(page instanceof Int8Array)) continue;
    if (!integers && make !== Float32Array) continue;
    const wide = new make(PAGE);
    if (holds(wide, value) && copyInto(page, wide)) return wide;
  }
  const wide = new Float64Array(PAGE);
  copyInto(page, wide);
  return wide;
}

/** False when the wider page does not hold one of the numbers: an integer beyond 2^24 in a page of float32. */
function copyInto(page: NumberPage, wide: NumberPage): boolean {
  const missing = missingOf(wide);
  for (let at = 0; at < PAGE; at++) {
    const value = readNumber(page, at);
    if (value !== value) wide[at] = missing;
    else if (holds(wide, value)) wide[at] = value;
    else return false;
  }
  return true;
}

/** An empty page of codes up to `code`. */
export function codePage(code: number): CodePage {
  return code < 2 ** 8 ? new Uint8Array(PAGE) : code < 2 ** 16 ? new Uint16Array(PAGE) : new Uint32Array(PAGE);
}

/** The page's codes in one that also holds `code`. */
export function widenedCodes(page: CodePage, code: number): CodePage {
  const most = page instanceof Uint8Array ? 2 ** 8 : page instanceof Uint16Array ? 2 ** 16 : 2 ** 32;
  if (code < most) return page;
  const wide = codePage(code);
  wide.set(page);
  return wide;
}

/** Sets the bits of rows whose number lies in the range. One loop of this shape per array type, see `readNumber`. */
export function markRange(page: NumberPage, low: number, high: number, words: Uint32Array, firstWord: number): void {
  const count = Math.min(PAGE >>> 5, words.length - firstWord);
  // NaN loses every comparison; the stand-ins of integers lie below the least number.
  const least = page instanceof Float64Array || page instanceof Float32Array ? low : Math.max(low, missingOf(page) + 1);
  if (page instanceof Float64Array) markFloat64(page, least, high, words, firstWord, count);
  else if (page instanceof Float32Array) markFloat32(page, least, high, words, firstWord, count);
  else if (page instanceof Int8Array) markInt8(page, least, high, words, firstWord, count);
  else if (page instanceof Int16Array) markInt16(page, least, high, words, firstWord, count);
  else markInt32(page, least, high, words, firstWord, count);
}

function markFloat64(
  page: Float64Array,
  low: number,
  high: number,
  words: Uint32Array,
  first: number,
  count: number,
): void {
  for (let word = 0; word < count; word++) {
    let bits = 0;
    const base = word << 5;
    for (let bit = 0; bit < 32; bit++) {
      const value = page[base + bit]!;
      bits |= (value >= low && value <= high ? 1 : 0) << bit;
    }
    words[first + word]! |= bits;
  }
}

function markFloat32(
  page: Float32Array,
  low: number,
  high: number,
  words: Uint32Array,
  first: number,
  count: number,
): void {
  for (let word = 0; word < count; word++) {
    let bits = 0;
    const base = word << 5;
    for (let bit = 0; bit < 32; bit++) {
      const value = page[base + bit]!;
      bits |= (value >= low && value <= high ? 1 : 0) << bit;
    }
    words[first + word]! |= bits;
  }
}

function markInt8(page: Int8Array, low: number, high: number, words: Uint32Array, first: number, count: number): void {
  for (let word = 0; word < count; word++) {
    let bits = 0;
    const base = word << 5;
    for (let bit = 0; bit < 32; bit++) {
      const value = page[base + bit]!;
      bits |= (value >= low && value <= high ? 1 : 0) << bit;
    }
    words[first + word]! |= bits;
  }
}

function markInt16(
  page: Int16Array,
  low: number,
  high: number,
  words: Uint32Array,
  first: number,
  count: number,
): void {
  for (let word = 0; word < count; word++) {
    let bits = 0;
    const base = word << 5;
    for (let bit = 0; bit < 32; bit++) {
      const value = page[base + bit]!;
      bits |= (value >= low && value <= high ? 1 : 0) << bit;
    }
    words[first + word]! |= bits;
  }
}

function markInt32(
  page: Int32Array,
  low: number,
  high: number,
  words: Uint32Array,
  first: number,
  count: number,
): void {
  for (let word = 0; word < count; word++) {
    let bits = 0;
    const base = word << 5;
    for (let bit = 0; bit < 32; bit++) {
      const value = page[base + bit]!;
      bits |= (value >= low && value <= high ? 1 : 0) << bit;
    }
    words[first + word]! |= bits;
  }
}
