import { FieldbookError } from '@fieldbook/core';
import { checkThrift } from '@fieldbook/core/series';
import { parquetHeader } from 'hyparquet/src/column.js';
import { deltaBinaryUnpack } from 'hyparquet/src/delta.js';
import { getMaxDefinitionLevel, getMaxRepetitionLevel, isFlatColumn } from 'hyparquet/src/schema.js';
import type { Compressors, SchemaTree } from 'hyparquet';

/** What one page may become: a few bytes of a forged one can claim anything. */
const PAGE_MAX = 256 * 1024 * 1024;
/** What the pages of a column of a row group may become together. */
const COLUMN_MAX = 512 * 1024 * 1024;
/** Values of nested lists in a row group, and of a dictionary. */
const VALUES_MAX = 16_000_000;
/** Values beyond the last that are packed with it: writers fill whole groups. */
const PADDING = 512;

/** A column of a row group, checked; its pages that were decompressed for that are not decompressed again. */
export interface CheckedColumn {
  buffer: ArrayBuffer;
  /** By where their bytes begin in `buffer`. */
  pages: Map<number, Uint8Array>;
}

interface Chunk {
  buffer: ArrayBuffer;
  path: readonly SchemaTree[];
  codec: string;
  type: string;
  compressors: Compressors;
}

/**
 * Holds the pages of a column to what their row group may have, before the reader decodes them: it believes every count that a page
 * claims, and a run of a few bytes can stand for thousands of millions of values. As far as row `rows`. Throws `invalid_value`,
 * `too_large`, and what a reader of broken bytes throws.
 */
export function checkColumn({ buffer, path, codec, type, compressors }: Chunk, rows: number): CheckedColumn {
  const bytes = new Uint8Array(buffer);
  const reader = { view: new DataView(buffer), offset: 0 };
  const flat = isFlatColumn([...path]);
  const levels = { repetition: getMaxRepetitionLevel([...path]), definition: getMaxDefinitionLevel([...path]) };
  const pages = new Map<number, Uint8Array>();
  let left = COLUMN_MAX;
  let seen = 0;
  const opened = (start: number, end: number, size: number): Uint8Array => {
    if (codec === 'UNCOMPRESSED') return bytes.subarray(start, end);
    const decompress = compressors[codec as keyof Compressors];
    if (decompress === undefined) throw forged(`is compressed as ${codec.slice(0, 20)}, which is not read here`);
    const page = decompress(bytes.subarray(start, end), size);
    pages.set(start, page);
    return page;
  };
  while (reader.offset < bytes.length - 1 && !(flat && seen >= rows)) {
    checkThrift(bytes, reader.offset);
    const header = parquetHeader(reader);
    const start = reader.offset;
    const stored = header.compressed_page_size;
    const size = Number(header.uncompressed_page_size);
    if (!(stored >= 0 && start + stored <= bytes.length && size >= 0))
      throw forged('has a page that reaches beyond its column');
    left -= size;
    if (size > PAGE_MAX || left < 0)
      throw new FieldbookError(
        'too_large',
        `A column of this file becomes more bytes than are decoded here. Download it.`,
      );
    reader.offset += stored;
    const values =
      (header.dictionary_page_header ?? header.data_page_header ?? header.data_page_header_v2)?.num_values ?? -1;
    if (!(values >= 0 && values <= VALUES_MAX)) throw forged('has a page of an impossible number of values');
    if (header.dictionary_page_header !== undefined) {
      opened(start, start + stored, size);
      continue;
    }
    seen += values;
    if (seen > VALUES_MAX) throw forged('has more values than rows');
    const one = header.data_page_header;
    const two = header.data_page_header_v2;
    if (one !== undefined) {
      const page = opened(start, start + stored, size);
      let at = 0;
      let present = values;
      if (levels.repetition > 0) at = checkLevels(page, at, levels.repetition, values);
      if (levels.definition > 0) {
        const start = at + 4;
        at = checkLevels(page, at, levels.definition, values);
        if (one.encoding === 'DELTA_BYTE_ARRAY')
          present = countLevels(page.subarray(start, at), levels.definition, values);
      }
      checkValues(page.subarray(at), one.encoding, type, present);
    } else if (two !== undefined) {
      const {
        repetition_levels_byte_length: repeated,
        definition_levels_byte_length: defined,
        num_nulls: nulls,
        num_rows: held,
      } = two;
      if (
        !(
          repeated >= 0 &&
          defined >= 0 &&
          repeated + defined <= Math.min(stored, size) &&
          nulls >= 0 &&
          nulls <= values &&
          held >= 0
        )
      )
        throw forged('has a page whose levels are longer than it');
      const at = start + repeated;
      if (levels.repetition > 0) checkRuns(bytes.subarray(start, at), widthOf(levels.repetition), values, true);
      if (levels.definition > 0) checkRuns(bytes.subarray(at, at + defined), widthOf(levels.definition), values, true);
      const body = at + defined;
      const page =
        two.is_compressed === false
          ? bytes.subarray(body, start + stored)
          : opened(body, start + stored, size - repeated - defined);
      checkValues(page, two.encoding, type, values - nulls);
    } else throw forged('has a page without a kind');
  }
  return { buffer, pages };
}

function checkLevels(page: Uint8Array, at: number, most: number, values: number): number {
  if (at + 4 > page.length) throw forged('has a page that ends within its levels');
  const length = new DataView(page.buffer, page.byteOffset + at, 4).getUint32(0, true);
  const end = at + 4 + length;
  if (end > page.length) throw forged('has a page that ends within its levels');
  checkRuns(page.subarray(at + 4, end), widthOf(most), values, true);
  return end;
}

function checkValues(page: Uint8Array, encoding: string, type: string, values: number): void {
  if (values === 0) return;
  if (encoding === 'RLE') {
    if (page.length < 4) throw forged('has a page that ends within its values');
    checkRuns(page.subarray(4), 1, values, false);
  } else if (encoding === 'RLE_DICTIONARY' || encoding === 'PLAIN_DICTIONARY') {
    if (type === 'BOOLEAN') throw forged('has truths in a dictionary');
    const width = page[0] ?? 33;
    if (width > 32) throw forged('has a dictionary of impossible places');
    if (width > 0) checkRuns(page.subarray(1), width, values, false);
  } else if (encoding.startsWith('DELTA')) checkDeltas(page, encoding, values);
}

/** Runs of the hybrid encoding: those that a reader of `values` values looks at. */
function checkRuns(bytes: Uint8Array, width: number, values: number, whole: boolean): void {
  let seen = 0;
  let at = 0;
  while (seen < values && at < bytes.length) {
    let head = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 28) throw forged('has a run that does not end');
      head = (head | ((byte & 0x7f) << shift)) >>> 0;
      if (byte < 0x80) break;
    }
    const groups = head >>> 1;
    const count = (head & 1) === 1 ? groups * 8 : groups;
    if (count > values - seen + PADDING) throw forged('has a run of more values than its page');
    at += (head & 1) === 1 ? groups * width : (width + 7) >> 3;
    seen += count;
  }
  if (whole && seen < values) throw forged('has a page with fewer levels than values');
}

/** How many of the levels, which were checked, are the greatest: a value is there. */
function countLevels(bytes: Uint8Array, most: number, values: number): number {
  const width = widthOf(most);
  let seen = 0;
  let full = 0;
  let at = 0;
  while (seen < values) {
    let head = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      head |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    const groups = head >>> 1;
    if ((head & 1) === 0) {
      if (bytes[at] === most) full += Math.min(groups, values - seen);
      at += 1;
      seen += groups;
      continue;
    }
    for (let index = 0; index < groups * 8 && seen < values; index++, seen++) {
      let level = 0;
      for (let bit = 0; bit < width; bit++) {
        const place = index * width + bit;
        level |= (((bytes[at + (place >> 3)] ?? 0) >> (place & 7)) & 1) << bit;
      }
      if (level === most) full += 1;
    }
    at += groups * width;
  }
  return full;
}

/** Texts that each begin as the one before are as long together as their lengths say, however few bytes they are stored in. */
function checkDeltas(page: Uint8Array, encoding: string, values: number): void {
  const reader = { view: new DataView(page.buffer, page.byteOffset, page.byteLength), offset: 0 };
  const unpack = (): Int32Array => {
    checkDeltaHead(page, reader.offset);
    const lengths = new Int32Array(values);
    deltaBinaryUnpack(reader, values, lengths);
    return lengths;
  };
  if (encoding !== 'DELTA_BYTE_ARRAY') return checkDeltaHead(page, 0);
  let sum = 0;
  for (const part of [unpack(), unpack()])
    for (const length of part) {
      sum += length;
      if (length < 0 || sum > PAGE_MAX) throw forged('has texts of impossible lengths');
    }
}

function checkDeltaHead(page: Uint8Array, start: number): void {
  const numbers: number[] = [];
  let at = start;
  while (numbers.length < 2) {
    let number = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = page[at++];
      if (byte === undefined || shift > 28) throw forged('has a block of numbers that does not begin');
      number += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    numbers.push(number);
  }
  const [block, parts] = numbers as [number, number];
  if (!(parts >= 1 && parts <= 1_024 && block >= parts && block <= 1_048_576 && block % parts === 0))
    throw forged('has blocks of numbers of an impossible size');
}

function widthOf(most: number): number {
  return 32 - Math.clz32(most);
}

function forged(what: string): FieldbookError {
  return new FieldbookError(
    'invalid_value',
    `This Parquet file ${what}; nothing of it is shown. Download it to look at it elsewhere.`,
  );
}
