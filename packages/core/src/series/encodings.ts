import { FieldbookError } from '../errors.ts';

/**
 * The Parquet encodings that segments use, from and to typed arrays: no object and no BigInt per value. What decodes is given
 * foreign bytes, so every read is within them: a short page throws `segment_corrupt`.
 */

/** BYTE_STREAM_SPLIT: all first bytes, then all second bytes, … */
export function encodeByteStreamSplit(values: Float64Array | Float32Array): Uint8Array {
  const width = values.BYTES_PER_ELEMENT;
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const { length } = values;
  const result = new Uint8Array(bytes.length);
  for (let stream = 0; stream < width; stream++) {
    let to = stream * length;
    for (let from = stream; from < bytes.length; from += width) result[to++] = bytes[from]!;
  }
  return result;
}

/** Values `[from, to)` of the `rows` in a page. */
export function decodeByteStreamSplit<T extends Float64Array | Float32Array>(
  page: Uint8Array,
  rows: number,
  from: number,
  to: number,
  result: T,
): T {
  const width = result.BYTES_PER_ELEMENT;
  if (page.length < rows * width) throw short();
  const bytes = new Uint8Array(result.buffer, result.byteOffset, result.byteLength);
  for (let stream = 0; stream < width; stream++) {
    let at = stream;
    const end = stream * rows + to;
    for (let index = stream * rows + from; index < end; index++, at += width) bytes[at] = page[index]!;
  }
  return result;
}

const BLOCK = 128;
const MINIBLOCKS = 4;
const MINIBLOCK = BLOCK / MINIBLOCKS;
/** Differences of such numbers, doubled, are still exact. */
export const DELTA_MAX = 2 ** 51;

/** DELTA_BINARY_PACKED of whole numbers within ±`DELTA_MAX`. */
export function encodeDeltas(values: Float64Array): Uint8Array {
  const out = new ByteSink(64 + values.length);
  out.varint(BLOCK);
  out.varint(MINIBLOCKS);
  out.varint(values.length);
  out.zigzag(values.length === 0 ? 0 : values[0]!);
  const deltas = new Float64Array(BLOCK);
  for (let start = 1; start < values.length; start += BLOCK) {
    const count = Math.min(BLOCK, values.length - start);
    let least = Infinity;
    for (let index = 0; index < count; index++) {
      const delta = values[start + index]! - values[start + index - 1]!;
      deltas[index] = delta;
      if (delta < least) least = delta;
    }
    out.zigzag(least);
    const widths = out.reserve(MINIBLOCKS);
    for (let block = 0; block < MINIBLOCKS; block++) {
      const from = block * MINIBLOCK;
      const to = Math.min(count, from + MINIBLOCK);
      let most = 0;
      for (let index = from; index < to; index++) most = Math.max(most, deltas[index]! - least);
      const width = bitWidth(most);
      out.setByte(widths + block, width);
      if (width === 0) continue;
      for (let index = from; index < from + MINIBLOCK; index++)
        out.bits(index < to ? deltas[index]! - least : 0, width);
      out.flushBits();
    }
  }
  return out.bytes();
}

/** Values `[from, to)` of a page of DELTA_BINARY_PACKED numbers, as doubles. */
export function decodeDeltas(page: Uint8Array, rows: number, from: number, to: number): Float64Array {
  const source = new ByteSource(page);
  const block = source.varint();
  const miniblocks = source.varint();
  const count = source.varint();
  if (block === 0 || block > 65_536 || miniblocks === 0 || block % (miniblocks * 8) !== 0 || count !== rows)
    throw short();
  const size = block / miniblocks;
  const result = new Float64Array(to - from);
  let value = source.zigzag();
  if (from === 0 && to > 0) result[0] = value;
  let row = 1;
  while (row < to) {
    const least = source.zigzag();
    const widths = source.take(miniblocks);
    for (let index = 0; index < miniblocks && row < to; index++) {
      const width = page[widths + index]!;
      if (width > 64) throw short();
      const start = source.take((size * width) / 8);
      const end = Math.min(rows, row + size);
      let bit = 0;
      for (; row < end; row++, bit += width) {
        value += least + (width === 0 ? 0 : bitsAt(page, start, bit, width));
        if (row >= from && row < to) result[row - from] = value;
      }
    }
  }
  return result;
}

/** Indexes into a dictionary as one bit-packed run, behind the width that a data page begins with. */
export function encodeIndexes(indexes: Uint32Array | Uint16Array, width: number): Uint8Array {
  const out = new ByteSink(16 + Math.ceil((indexes.length * width) / 8));
  out.byte(width);
  const groups = Math.ceil(indexes.length / 8);
  out.varint(groups * 2 + 1);
  for (const index of indexes) out.bits(index, width);
  for (let index = indexes.length; index < groups * 8; index++) out.bits(0, width);
  out.flushBits();
  return out.bytes();
}

/** Runs of equal indexes, each as long as `counts` says: index 0, then 1, … */
export function encodeRuns(counts: readonly number[], width: number): Uint8Array {
  const out = new ByteSink(16 + counts.length * 6);
  out.byte(width);
  counts.forEach((count, index) => {
    out.varint(count * 2);
    out.bits(index, Math.ceil(width / 8) * 8);
    out.flushBits();
  });
  return out.bytes();
}

/** Indexes `[from, to)` of a data page that is RLE_DICTIONARY. */
export function decodeIndexes(page: Uint8Array, rows: number, from: number, to: number): Uint32Array {
  const source = new ByteSource(page);
  const width = source.byte();
  if (width > 32) throw short();
  const result = new Uint32Array(to - from);
  if (width === 0) return result;
  let row = 0;
  while (row < to) {
    const header = source.varint();
    if (header % 2 === 1) {
      const groups = (header - 1) / 2;
      const start = source.take(groups * width);
      const end = Math.min(rows, row + groups * 8);
      for (let bit = 0; row < end; row++, bit += width)
        if (row >= from && row < to) result[row - from] = bitsAt(page, start, bit, width);
    } else {
      const end = Math.min(rows, row + header / 2);
      const start = source.take(Math.ceil(width / 8));
      const value = bitsAt(page, start, 0, width);
      for (; row < end; row++) if (row >= from && row < to) result[row - from] = value;
    }
    if (header < 2) throw short();
  }
  return result;
}

/** Bits that hold whole numbers up to `most`. */
export function bitWidth(most: number): number {
  let width = 0;
  for (let rest = most; rest >= 1; rest = Math.floor(rest / 2)) width++;
  return width;
}

/** A number of at most 64 bits, exact up to 2^53. */
function bitsAt(bytes: Uint8Array, start: number, bit: number, width: number): number {
  let at = start + (bit >>> 3);
  const skip = bit & 7;
  if (width + skip <= 32) {
    const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    return width === 32 ? word >>> 0 : (word >>> skip) & ((1 << width) - 1);
  }
  let value = bytes[at++]! >>> skip;
  let have = 8 - skip;
  let scale = 2 ** have;
  while (have < width) {
    const take = Math.min(8, width - have);
    value += (bytes[at++]! & ((1 << take) - 1)) * scale;
    have += take;
    scale *= 2 ** take;
  }
  return value;
}

/** Bytes that grow. */
export class ByteSink {
  #bytes: Uint8Array;
  #length = 0;
  #held = 0;
  #heldBits = 0;

  constructor(capacity: number) {
    this.#bytes = new Uint8Array(Math.max(16, capacity));
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  byte(value: number): void {
    if (this.#length === this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes[this.#length++] = value;
  }

  /** Room for so many bytes, zero for now; the place of the first. */
  reserve(count: number): number {
    const at = this.#length;
    for (let index = 0; index < count; index++) this.byte(0);
    return at;
  }

  setByte(at: number, value: number): void {
    this.#bytes[at] = value;
  }

  varint(value: number): void {
    let rest = value;
    while (rest >= 128) {
      this.byte((rest % 128) | 128);
      rest = Math.floor(rest / 128);
    }
    this.byte(rest);
  }

  zigzag(value: number): void {
    this.varint(value >= 0 ? value * 2 : -value * 2 - 1);
  }

  /** `width` bits of a whole number, least significant first. */
  bits(value: number, width: number): void {
    let rest = value;
    let left = width;
    while (left > 0) {
      const take = Math.min(left, 24);
      const scale = 2 ** take;
      const above = Math.floor(rest / scale);
      this.#held |= (rest - above * scale) << this.#heldBits;
      this.#heldBits += take;
      rest = above;
      left -= take;
      while (this.#heldBits >= 8) {
        this.byte(this.#held & 255);
        this.#held >>>= 8;
        this.#heldBits -= 8;
      }
    }
  }

  flushBits(): void {
    if (this.#heldBits > 0) this.byte(this.#held & 255);
    this.#held = 0;
    this.#heldBits = 0;
  }
}

class ByteSource {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  byte(): number {
    return this.#bytes[this.take(1)]!;
  }

  /** Steps over so many bytes; the place of the first. */
  take(count: number): number {
    const at = this.#at;
    this.#at += count;
    if (this.#at > this.#bytes.length) throw short();
    return at;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 63; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw short();
  }

  zigzag(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}

function short(): FieldbookError {
  return new FieldbookError('segment_corrupt', 'A page of a segment is broken.');
}
