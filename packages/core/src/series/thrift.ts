import { FieldbookError } from '../errors.ts';

/**
 * A look at Thrift's compact protocol before a library decodes it. Footers and page headers come from anybody, and a hundred bytes
 * can claim arrays of millions of elements inside each other, or a number of a megabyte: decoding them would end the process or hold
 * it for minutes, and neither can be caught. What passes is decoded in time and memory that its own bytes and `NODES_MAX` bound.
 */

/** The footer of 4,000 row groups of five columns has half a million; decoded they take about 60 bytes each. */
const NODES_MAX = 2_000_000;
/** Parquet's own structures are seven deep. */
const DEPTH_MAX = 16;
/** A number of 64 bits has ten bytes at most, one of 32 bits five. */
const WIDE = 10;
const NARROW = 5;

/** Walks the struct that begins at `start`, of `most` parts; where it ends. Throws `segment_corrupt`. */
export function checkThrift(bytes: Uint8Array, start: number, most = NODES_MAX): number {
  const walk = new Walk(bytes, start, most);
  walk.struct(0);
  return walk.at;
}

class Walk {
  at: number;
  readonly #bytes: Uint8Array;
  readonly #most: number;
  #nodes = 0;

  constructor(bytes: Uint8Array, start: number, most: number) {
    this.#bytes = bytes;
    this.at = start;
    this.#most = most;
  }

  struct(depth: number): void {
    if (depth > DEPTH_MAX) throw refused();
    for (;;) {
      const head = this.#byte();
      const type = head & 15;
      if (type === 0) return;
      if (head >> 4 === 0) this.#number(NARROW);
      this.#element(type, depth);
    }
  }

  #element(type: number, depth: number): void {
    if (++this.#nodes > this.#most) throw refused();
    switch (type) {
      case 1:
      case 2:
        return;
      case 3:
        return this.#skip(1);
      case 4:
      case 5:
        return this.#number(NARROW);
      case 6:
        return this.#number(WIDE);
      case 7:
        return this.#skip(8);
      case 8:
        return this.#skip(this.#size());
      case 9:
        return this.#list(depth + 1);
      case 12:
        return this.struct(depth + 1);
      default:
        throw refused();
    }
  }

  #list(depth: number): void {
    if (depth > DEPTH_MAX) throw refused();
    const head = this.#byte();
    const type = head & 15;
    const count = head >> 4 === 15 ? this.#size() : head >> 4;
    // Every element has a byte at least, truth values among them: room for more is never made.
    if (count > this.#bytes.length - this.at) throw refused();
    for (let index = 0; index < count; index++) this.#element(type === 1 || type === 2 ? 3 : type, depth);
  }

  #byte(): number {
    if (this.at >= this.#bytes.length) throw refused();
    return this.#bytes[this.at++]!;
  }

  #skip(count: number): void {
    if (count > this.#bytes.length - this.at) throw refused();
    this.at += count;
  }

  #number(most: number): void {
    for (let length = 1; this.#byte() >= 128; length++) if (length === most) throw refused();
  }

  /** A length, which the library reads as 32 bits with a sign: larger ones would mean something else there. */
  #size(): number {
    let value = 0;
    for (let shift = 0; shift < 7 * NARROW; shift += 7) {
      const byte = this.#byte();
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) {
        if (value >= 2 ** 31) break;
        return value;
      }
    }
    throw refused();
  }
}

function refused(): FieldbookError {
  return new FieldbookError('segment_corrupt', 'A segment has a footer or a page header that cannot be decoded.');
}
