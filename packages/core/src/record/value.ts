import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import { FieldbookError } from '../errors.ts';
import { LIMITS } from '../limits.ts';

/**
 * The values inside records, in the bytes of lib0's `any` encoding (the one every Yjs library speaks), written with
 * sorted keys so that equal values are equal bytes, and read by a decoder that bounds depth, element count and
 * trailing bytes before it allocates. docs/formats/record.md states the bytes.
 */
export type Value = null | undefined | boolean | number | bigint | string | Uint8Array | Value[] | ValueObject;
export interface ValueObject {
  [key: string]: Value;
}

/** The first byte of every record. A reader that meets a higher one keeps the bytes and shows nothing of them. */
export const RECORD_VERSION = 1;

/** A record's bytes: the version, then the object. */
export function encodeRecord(object: ValueObject): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeUint8(encoder, RECORD_VERSION);
  writeValue(encoder, object);
  return encoding.toUint8Array(encoder);
}

/**
 * A record's object from its bytes. Throws `record_too_large` or `record_malformed`; never anything else, whatever
 * the bytes are. Resolves `undefined` for a version that this program does not know. Where a newer version may append
 * to what holds the record, `behind` is `skipped`; the limit covers those bytes, too.
 */
export function decodeRecord(
  bytes: Uint8Array,
  limitBytes: number,
  behind: 'refused' | 'skipped' = 'refused',
): ValueObject | undefined {
  if (bytes.length > limitBytes) {
    throw new FieldbookError('record_too_large', `A record has ${bytes.length} bytes; the limit is ${limitBytes}.`);
  }
  if (bytes.length === 0) throw new FieldbookError('record_malformed', 'A record is empty.');
  if (bytes[0] !== RECORD_VERSION) {
    if (bytes[0] === 0) throw new FieldbookError('record_malformed', 'A record has version 0.');
    return undefined;
  }
  const decoder = decoding.createDecoder(bytes);
  decoder.pos = 1;
  let value: Value;
  try {
    value = readValue(decoder, { elements: LIMITS.valueElements }, LIMITS.valueDepth);
  } catch (error) {
    if (error instanceof FieldbookError) throw error;
    throw new FieldbookError('record_malformed', 'A record ends early or has broken values.', { cause: error });
  }
  if (behind === 'refused' && decoding.hasContent(decoder)) {
    throw new FieldbookError('record_malformed', 'A record has trailing bytes.');
  }
  if (!isValueObject(value)) throw new FieldbookError('record_malformed', 'A record is not an object.');
  return value;
}

export function isValueObject(value: Value): value is ValueObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function writeValue(encoder: encoding.Encoder, value: Value): void {
  if (Array.isArray(value)) {
    encoding.writeUint8(encoder, 117);
    encoding.writeVarUint(encoder, value.length);
    for (const element of value) writeValue(encoder, element);
  } else if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
    const keys = Object.keys(value)
      .filter((key) => value[key] !== undefined)
      .sort();
    encoding.writeUint8(encoder, 118);
    encoding.writeVarUint(encoder, keys.length);
    for (const key of keys) {
      encoding.writeVarString(encoder, key);
      writeValue(encoder, value[key]);
    }
  } else {
    encoding.writeAny(encoder, value as never);
  }
}

function readValue(decoder: decoding.Decoder, budget: { elements: number }, depth: number): Value {
  const tag = decoding.readUint8(decoder);
  switch (tag) {
    case 127:
      return undefined;
    case 126:
      return null;
    case 125:
      return decoding.readVarInt(decoder);
    case 124:
      return readFloat32(decoder);
    case 123:
      return readFloat64(decoder);
    case 122:
      return decoding.readBigInt64(decoder);
    case 121:
      return false;
    case 120:
      return true;
    case 119:
      return readText(decoder);
    case 118: {
      const length = take(decoder, budget, depth);
      // No prototype: a key named __proto__ is a key like any other.
      const object = Object.create(null) as ValueObject;
      for (let index = 0; index < length; index++) {
        const key = readText(decoder);
        object[key] = readValue(decoder, budget, depth - 1);
      }
      return object;
    }
    case 117: {
      const length = take(decoder, budget, depth);
      const array: Value[] = [];
      for (let index = 0; index < length; index++) array.push(readValue(decoder, budget, depth - 1));
      return array;
    }
    case 116: {
      const length = decoding.readVarUint(decoder);
      if (length > decoder.arr.length - decoder.pos) throw broken('a byte string longer than the record');
      return decoding.readUint8Array(decoder, length).slice();
    }
    default:
      throw broken(`an unknown value tag ${tag}`);
  }
}

// A byte order mark is a character like any other here, and broken UTF-8 is refused.
const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const scratch = new DataView(new ArrayBuffer(8));

/** lib0's varstring. Short ASCII, which paths and names are, does without the decoder's call overhead. */
export function readText(decoder: decoding.Decoder): string {
  const length = decoding.readVarUint(decoder);
  const { arr, pos } = decoder;
  if (length > arr.length - pos) throw broken('a string longer than the record');
  decoder.pos = pos + length;
  if (length > 32) return utf8Decoder.decode(arr.subarray(pos, pos + length));
  let text = '';
  for (let index = pos; index < pos + length; index++) {
    const byte = arr[index]!;
    if (byte >= 0x80) return utf8Decoder.decode(arr.subarray(pos, pos + length));
    text += String.fromCharCode(byte);
  }
  return text;
}

/** lib0's float64, big-endian, without a view per number. */
export function readFloat64(decoder: decoding.Decoder): number {
  fill(decoder, 8);
  return scratch.getFloat64(0);
}

export function readFloat32(decoder: decoding.Decoder): number {
  fill(decoder, 4);
  return scratch.getFloat32(0);
}

function fill(decoder: decoding.Decoder, length: number): void {
  const { arr, pos } = decoder;
  if (length > arr.length - pos) throw broken('a number that ends early');
  for (let index = 0; index < length; index++) scratch.setUint8(index, arr[pos + index]!);
  decoder.pos = pos + length;
}

function take(decoder: decoding.Decoder, budget: { elements: number }, depth: number): number {
  if (depth === 0) throw broken(`values nested deeper than ${LIMITS.valueDepth}`);
  const length = decoding.readVarUint(decoder);
  budget.elements -= length;
  // Every element needs at least one byte, so a length beyond the rest of the record is a lie.
  if (budget.elements < 0 || length > decoder.arr.length - decoder.pos) throw broken('more elements than it can hold');
  return length;
}

function broken(what: string): FieldbookError {
  return new FieldbookError('record_malformed', `A record has ${what}.`);
}
