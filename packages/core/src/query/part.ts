import { FieldbookError } from '../errors.ts';
import { crc32 } from '../journal/crc32.ts';
import { utf8 } from '../ids.ts';
import type { CodePage, NumberPage, Page } from './pages.ts';
import { PAGE, PAGE_TYPES } from './pages.ts';

/** Pages of one column in a part: where they begin, then index and type of each. */
export type PackedPages = readonly number[];
/** Words of a bit set in a part: where they begin and how many there are. */
export type PackedWords = readonly [at: number, count: number];

export interface PackedNumbers {
  pages: PackedPages;
  nans: PackedWords | null;
  filled: number;
  several: boolean;
}

export interface PackedTexts {
  pages: PackedPages;
  /** By number; null where none is in use. */
  texts: readonly (string | null)[];
  /** Numbers in natural order, where somebody has sorted them. */
  order: PackedWords | null;
  filled: number;
}

/** Raises with every change of what follows, so that no other version reads it. */
const FORMAT = 1;
/** Format, checksum of all that follows, length of the header. */
const PREFIX = 16;
/** More pages than any project has rows. */
const INDEX_MAX = 1 << 20;

/**
 * One part of a stored table: a header (JSON) and typed arrays behind it, each at a multiple of eight bytes so that
 * it is read in place. A cache of this program's own; whoever reads one that is damaged or of another format gets
 * `snapshot_unreadable` and starts from the records.
 */
export class PartWriter {
  readonly #arrays: Uint8Array[] = [];
  #at = 0;

  pages(pages: readonly (Page | undefined)[]): PackedPages {
    const packed = [this.#at];
    pages.forEach((page, index) => {
      if (page === undefined) return;
      packed.push(
        index,
        PAGE_TYPES.findIndex((type) => page instanceof type),
      );
      this.#put(page);
    });
    return packed;
  }

  words(words: Uint32Array): PackedWords {
    const at = this.#at;
    this.#put(words);
    return [at, words.length];
  }

  finish(header: unknown): Uint8Array<ArrayBuffer> {
    const json = utf8(JSON.stringify(header));
    const start = PREFIX + padded(json.length);
    const bytes = new Uint8Array(start + this.#at);
    bytes.set(json, PREFIX);
    let at = start;
    for (const array of this.#arrays) {
      bytes.set(array, at);
      at += padded(array.length);
    }
    const view = new DataView(bytes.buffer);
    view.setUint32(0, FORMAT, true);
    view.setUint32(8, json.length, true);
    view.setUint32(4, crc32(bytes, 0, 8), true);
    return bytes;
  }

  #put(array: Page | Uint32Array): void {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    this.#arrays.push(bytes);
    this.#at += padded(bytes.length);
  }
}

export class PartReader {
  readonly header: unknown;
  readonly #bytes: Uint8Array;
  readonly #start: number;

  /** Throws `snapshot_unreadable`. */
  constructor(bytes: Uint8Array) {
    if (bytes.length < PREFIX) throw unreadable('it ends too early');
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const format = view.getUint32(0, true);
    if (format !== FORMAT) throw unreadable(`its format is ${format}, this program's ${FORMAT}`);
    if (view.getUint32(4, true) !== crc32(bytes, 0, 8)) throw unreadable('its checksum differs');
    const length = view.getUint32(8, true);
    this.#start = PREFIX + padded(length);
    if (this.#start > bytes.length) throw unreadable('its header ends too early');
    try {
      this.header = JSON.parse(decoder.decode(bytes.subarray(PREFIX, PREFIX + length)));
    } catch {
      throw unreadable('its header is no JSON');
    }
    // Typed arrays begin at multiples of their width, whatever buffer the bytes came in.
    this.#bytes = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
  }

  numberPages(packed: PackedPages): (NumberPage | undefined)[] {
    return this.#pages(packed, 0, 5) as (NumberPage | undefined)[];
  }

  codePages(packed: PackedPages): (CodePage | undefined)[] {
    return this.#pages(packed, 5, PAGE_TYPES.length) as (CodePage | undefined)[];
  }

  words([at, count]: PackedWords): Uint32Array {
    this.#need(at, count * 4);
    return new Uint32Array(this.#bytes.buffer as ArrayBuffer, this.#bytes.byteOffset + this.#start + at, count);
  }

  #pages([first, ...rest]: PackedPages, low: number, high: number): (Page | undefined)[] {
    const pages: (Page | undefined)[] = [];
    let at = first ?? 0;
    for (let place = 0; place + 1 < rest.length; place += 2) {
      const index = rest[place]!;
      const type = rest[place + 1]!;
      const make = PAGE_TYPES[type];
      if (make === undefined || type < low || type >= high || !(index >= 0 && index < INDEX_MAX))
        throw unreadable('a page is of no known type');
      const length = PAGE * make.BYTES_PER_ELEMENT;
      this.#need(at, length);
      pages[index] = new make(this.#bytes.buffer as ArrayBuffer, this.#bytes.byteOffset + this.#start + at, PAGE);
      at += length;
    }
    return pages;
  }

  #need(at: number, length: number): void {
    if (!(at >= 0 && length >= 0 && this.#start + at + length <= this.#bytes.length) || at % 8 !== 0)
      throw unreadable('a column ends too early');
  }
}

export function unreadable(why: string): FieldbookError {
  return new FieldbookError('snapshot_unreadable', `A stored table cannot be read: ${why}. It is made again.`);
}

const decoder = new TextDecoder();

function padded(length: number): number {
  return (length + 7) & ~7;
}
