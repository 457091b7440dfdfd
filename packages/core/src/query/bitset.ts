/** A set of rows, one bit each. Grows by doubling; what is beyond its end is not in it. */
export class Bitset {
  words: Uint32Array;

  constructor(rows = 0) {
    this.words = new Uint32Array((rows + 31) >>> 5);
  }

  has(row: number): boolean {
    return ((this.words[row >>> 5] ?? 0) & (1 << (row & 31))) !== 0;
  }

  add(row: number): void {
    const word = row >>> 5;
    if (word >= this.words.length) {
      const grown = new Uint32Array(Math.max(16, word + 1, this.words.length * 2));
      grown.set(this.words);
      this.words = grown;
    }
    this.words[word]! |= 1 << (row & 31);
  }

  delete(row: number): void {
    const word = row >>> 5;
    if (word < this.words.length) this.words[word]! &= ~(1 << (row & 31));
  }

  put(row: number, present: boolean): void {
    if (present) this.add(row);
    else this.delete(row);
  }

  get isEmpty(): boolean {
    return this.words.every((word) => word === 0);
  }

  count(): number {
    let count = 0;
    for (const word of this.words) if (word !== 0) count += ones(word);
    return count;
  }

  /** Every operation below keeps this set's size; the other may be shorter or longer. */
  or(other: Bitset): this {
    const shared = Math.min(this.words.length, other.words.length);
    for (let index = 0; index < shared; index++) this.words[index]! |= other.words[index]!;
    return this;
  }

  and(other: Bitset): this {
    for (let index = 0; index < this.words.length; index++) this.words[index]! &= other.words[index] ?? 0;
    return this;
  }

  andNot(other: Bitset): this {
    const shared = Math.min(this.words.length, other.words.length);
    for (let index = 0; index < shared; index++) this.words[index]! &= ~other.words[index]!;
    return this;
  }
}

/** Bits set in a 32-bit word (Hacker's Delight, 5-1). */
function ones(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
