import type { Bitset } from './bitset.ts';
import { naturalKey } from './natural.ts';
import type { CodePage } from './pages.ts';
import { codePage, PAGE, PAGE_BITS, readCode, widenedCodes } from './pages.ts';
import type { PackedTexts, PartReader, PartWriter } from './part.ts';
import { unreadable } from './part.ts';

const IN_PAGE = PAGE - 1;

/**
 * Texts by row, each distinct one kept once: a row holds its number, so that a test runs once per distinct text.
 * Texts that no row holds any more are forgotten and their numbers used again.
 */
export class TextColumn {
  readonly #pages: (CodePage | undefined)[] = [];
  /** By number; 0 stands for "no text". */
  #texts: (string | undefined)[] = [undefined];
  readonly #lower: (string | undefined)[] = [undefined];
  /** Made when first needed: a table that is only looked at needs no index of its 100,000 names. */
  #index: Map<string, number> | null = null;
  readonly #free: number[] = [];
  #holders = new Uint32Array(16);
  /** Numbers in natural order of their texts, as of the last time somebody asked; and those that changed since. */
  #order: ArrayLike<number> = [];
  #changed = new Set<number>();
  /** None of them is in order yet: a table that is read back lists no 100,000 names to sort them when nobody asks. */
  #unsorted = false;
  #ranks: Uint32Array | null = null;
  /** Gives the texts whose code-unit order is the order of the column. */
  readonly keyOf: (text: string) => string;
  filled = 0;

  constructor(keyOf: (text: string) => string = naturalKey) {
    this.keyOf = keyOf;
  }

  get(row: number): string | undefined {
    return this.#texts[this.code(row)];
  }

  /** The number of the row's text; 0 for none. */
  code(row: number): number {
    const page = this.#pages[row >>> PAGE_BITS];
    return page === undefined ? 0 : readCode(page, row & IN_PAGE);
  }

  text(code: number): string | undefined {
    return this.#texts[code];
  }

  /** The number of a text; undefined when no row holds it. */
  codeOf(text: string): number | undefined {
    return this.#numbers.get(text);
  }

  /** Greatest number in use, plus one. */
  get codes(): number {
    return this.#texts.length;
  }

  get distinct(): number {
    return this.#texts.length - 1 - this.#free.length;
  }

  get #numbers(): Map<string, number> {
    if (this.#index === null) {
      this.#index = new Map();
      for (let code = 1; code < this.#texts.length; code++) {
        const text = this.#texts[code];
        if (text !== undefined) this.#index.set(text, code);
      }
    }
    return this.#index;
  }

  /** How many rows hold the text of a number. */
  holders(code: number): number {
    return this.#holders[code] ?? 0;
  }

  /** Whether that changed anything. */
  set(row: number, text: string): boolean {
    const index = row >>> PAGE_BITS;
    const before = this.code(row);
    if (before !== 0 && this.#texts[before] === text) return false;
    const code = this.#take(text);
    if (before === 0) this.filled += 1;
    else this.#release(before);
    const page = widenedCodes(this.#pages[index] ?? codePage(code), code);
    this.#pages[index] = page;
    page[row & IN_PAGE] = code;
    return true;
  }

  /** Whether there was anything. */
  clear(row: number): boolean {
    const page = this.#pages[row >>> PAGE_BITS];
    const code = this.code(row);
    if (page === undefined || code === 0) return false;
    page[row & IN_PAGE] = 0;
    this.filled -= 1;
    this.#release(code);
    return true;
  }

  /** Adds those of the rows `within` whose text passes the test; it is run once per distinct text among them. */
  mark(test: (text: string, code: number) => boolean, into: Bitset, within: Bitset): void {
    // By number: 0 not asked yet, 1 fails, 2 passes.
    const verdicts = new Uint8Array(this.#texts.length);
    verdicts[0] = 1;
    const words = Math.min(within.words.length, into.words.length, this.#pages.length << (PAGE_BITS - 5));
    for (let word = 0; word < words; word++) {
      let asked = within.words[word]!;
      const page = asked === 0 ? undefined : this.#pages[word >>> (PAGE_BITS - 5)];
      if (page === undefined) continue;
      let found = 0;
      while (asked !== 0) {
        const bit = 31 - Math.clz32(asked);
        asked &= ~(1 << bit);
        const code = readCode(page, ((word << 5) & IN_PAGE) + bit);
        if (verdicts[code] === 0) verdicts[code] = test(this.#texts[code]!, code) ? 2 : 1;
        if (verdicts[code] === 2) found |= 1 << bit;
      }
      into.words[word]! |= found;
    }
  }

  /** Adds the rows that hold exactly this text. */
  markEqual(text: string, into: Bitset): void {
    const code = this.#numbers.get(text);
    if (code === undefined) return;
    const passes = new Uint8Array(this.#texts.length);
    passes[code] = 1;
    this.#markCodes(passes, into);
  }

  /** Adds the rows whose text contains `part` (in lower case), whatever its case. */
  markContaining(part: string, into: Bitset, within: Bitset): void {
    this.mark((_, code) => this.lower(code).includes(part), into, within);
  }

  present(into: Bitset): void {
    this.#markCodes(new Uint8Array(this.#texts.length).fill(1, 1), into);
  }

  /** The text of a number in lower case; kept, since every keystroke of a search asks for all of them. */
  lower(code: number): string {
    return (this.#lower[code] ??= this.#texts[code]!.toLowerCase());
  }

  /** By number, the place of its text in natural order. */
  ranks(): Uint32Array {
    if (this.#ranks === null) {
      if (this.#changed.size > 0 || this.#unsorted) this.#order = this.#sorted();
      this.#changed.clear();
      this.#unsorted = false;
      this.#ranks = new Uint32Array(this.#texts.length);
      for (let rank = 0; rank < this.#order.length; rank++) this.#ranks[this.#order[rank]!] = rank;
    }
    return this.#ranks;
  }

  /** Numbers in natural order of their texts. */
  order(): ArrayLike<number> {
    this.ranks();
    return this.#order;
  }

  /** Sorts what changed and merges it in: a new run does not sort 100,000 names again. */
  #sorted(): number[] {
    const keys = new Map<number, string>();
    const keyOf = (code: number): string => {
      let key = keys.get(code);
      if (key === undefined) keys.set(code, (key = this.keyOf(this.#texts[code]!)));
      return key;
    };
    const fresh = (this.#unsorted ? [...this.#texts.keys()] : [...this.#changed]).filter(
      (code) => this.#texts[code] !== undefined,
    );
    const pairs = fresh.map((code) => ({ code, key: keyOf(code) }));
    pairs.sort((a, b) => (a.key < b.key ? -1 : 1));
    const kept = Array.from(this.#order).filter((code) => !this.#changed.has(code));
    if (kept.length === 0) return pairs.map(({ code }) => code);
    const merged: number[] = [];
    let from = 0;
    for (const { code, key } of pairs) {
      let low = from;
      let high = kept.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (keyOf(kept[middle]!) < key) low = middle + 1;
        else high = middle;
      }
      for (; from < low; from++) merged.push(kept[from]!);
      merged.push(code);
    }
    for (; from < kept.length; from++) merged.push(kept[from]!);
    return merged;
  }

  #markCodes(passes: Uint8Array, into: Bitset): void {
    const words = into.words;
    this.#pages.forEach((page, index) => {
      if (page === undefined) return;
      const firstWord = index << (PAGE_BITS - 5);
      const count = Math.min(PAGE >>> 5, words.length - firstWord);
      for (let word = 0; word < count; word++) {
        let bits = 0;
        const base = word << 5;
        for (let bit = 0; bit < 32; bit++) bits |= passes[readCode(page, base + bit)]! << bit;
        words[firstWord + word]! |= bits;
      }
    });
  }

  /** Puts its pages into a part; `unpack` reads them back. Its order goes along only where it is known. */
  pack(into: PartWriter): PackedTexts {
    const sorted = this.#changed.size === 0 && this.#order.length > 0;
    return {
      pages: into.pages(this.#pages),
      texts: this.#texts.map((text) => text ?? null),
      order: sorted ? into.words(Uint32Array.from(this.#order)) : null,
      filled: this.filled,
    };
  }

  /** A column of different texts, one a row, whose number is the row's plus one; `order` are those numbers, sorted. */
  static numbered(
    texts: readonly (string | undefined)[],
    order: Uint32Array,
    keyOf: (text: string) => string,
  ): TextColumn {
    const column = new TextColumn(keyOf);
    column.#texts = [undefined, ...texts];
    column.#order = order;
    column.#holders = new Uint32Array(Math.max(16, column.#texts.length));
    for (let first = 0; first < texts.length; first += PAGE) {
      const page = codePage(first + PAGE);
      for (let row = first; row < Math.min(first + PAGE, texts.length); row++) {
        if (texts[row] === undefined) column.#free.push(row + 1);
        else {
          page[row - first] = row + 1;
          column.#holders[row + 1] = 1;
          column.filled += 1;
        }
      }
      column.#pages[first >>> PAGE_BITS] = page;
    }
    return column;
  }

  /** Throws `snapshot_unreadable`. */
  static unpack(packed: PackedTexts, from: PartReader, keyOf?: (text: string) => string): TextColumn {
    const column = new TextColumn(keyOf);
    column.#texts = packed.texts.map((text) => text ?? undefined);
    column.filled = packed.filled;
    const holders = new Uint32Array(Math.max(16, column.#texts.length));
    from.codePages(packed.pages).forEach((page, index) => {
      if (page === undefined) return;
      column.#pages[index] = page;
      for (let at = 0; at < PAGE; at++) holders[readCode(page, at)]! += 1;
    });
    column.#holders = holders;
    for (let code = column.#texts.length - 1; code > 0; code--)
      if (column.#texts[code] === undefined) column.#free.push(code);
      else if (holders[code] === 0) throw unreadable('a text belongs to no row');
    if (packed.order === null) column.#unsorted = true;
    else {
      column.#order = from.words(packed.order);
      if (column.#order.length !== column.distinct) throw unreadable('an order is not that of its texts');
    }
    return column;
  }

  #take(text: string): number {
    let code = this.#numbers.get(text);
    if (code === undefined) {
      code = this.#free.pop() ?? this.#texts.length;
      this.#texts[code] = text;
      this.#lower[code] = undefined;
      this.#numbers.set(text, code);
      if (code >= this.#holders.length) {
        const grown = new Uint32Array(this.#holders.length * 2);
        grown.set(this.#holders);
        this.#holders = grown;
      }
      this.#changed.add(code);
      this.#ranks = null;
    }
    this.#holders[code]! += 1;
    return code;
  }

  #release(code: number): void {
    this.#holders[code]! -= 1;
    if (this.#holders[code] !== 0) return;
    this.#numbers.delete(this.#texts[code]!);
    this.#texts[code] = undefined;
    this.#lower[code] = undefined;
    this.#free.push(code);
    this.#changed.add(code);
    this.#ranks = null;
  }
}

/** Lists order by their first elements, then the next; a list comes before a longer one that begins with it. */
export function listKey(json: string): string {
  return naturalKey((JSON.parse(json) as string[]).join('\u0001'));
}

/** Lists of texts by row, as tags are: each distinct list kept once. */
export class ListColumn {
  /** The lists' JSON. */
  readonly texts: TextColumn;
  readonly #lists = new Map<string, readonly string[]>();

  constructor(texts = new TextColumn(listKey)) {
    this.texts = texts;
  }

  static unpack(packed: PackedTexts, from: PartReader): ListColumn {
    return new ListColumn(TextColumn.unpack(packed, from, listKey));
  }

  get filled(): number {
    return this.texts.filled;
  }

  get(row: number): readonly string[] | undefined {
    const text = this.texts.get(row);
    return text === undefined ? undefined : this.list(text);
  }

  /** The list of a JSON text that a row holds. */
  list(text: string): readonly string[] {
    let list = this.#lists.get(text);
    if (list === undefined) {
      // Forgotten lists leave their entries behind; starting over costs one parse each.
      if (this.#lists.size > 2 * this.texts.distinct + 1_000) this.#lists.clear();
      list = JSON.parse(text) as readonly string[];
      this.#lists.set(text, list);
    }
    return list;
  }

  set(row: number, list: readonly string[]): boolean {
    return this.texts.set(row, JSON.stringify(list));
  }

  clear(row: number): boolean {
    return this.texts.clear(row);
  }

  /** Adds the rows that have an element which passes. */
  markAny(test: (element: string) => boolean, into: Bitset, within: Bitset): void {
    this.texts.mark((text) => this.list(text).some(test), into, within);
  }

  /** Every element with the number of rows that have it. */
  elements(): Map<string, number> {
    const counts = new Map<string, number>();
    for (let code = 1; code < this.texts.codes; code++) {
      const text = this.texts.text(code);
      if (text === undefined) continue;
      for (const element of new Set(this.list(text)))
        counts.set(element, (counts.get(element) ?? 0) + this.texts.holders(code));
    }
    return counts;
  }
}
