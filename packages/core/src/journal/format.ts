import { FieldbookError } from '../errors.ts';
import type { WriterId } from '../ids.ts';
import { parseWriterId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { crc32, crc32Of64 } from './crc32.ts';

/** The bytes of a journal; docs/formats/journal.md is the contract. */
export const JOURNAL = {
  major: 1,
  minor: 1,
  headerBytes: 72,
  headerLimit: 4096,
  /** Type and payload of one record: a reader never waits for gigabytes that will not come. */
  recordLimit: 1_048_576,
  /** Metric numbers are below this. */
  metricLimit: 1_048_576,
  pathBytes: LIMITS.pathBytes,
  /** UTF-8 bytes of the text of one OBJECT. */
  textBytes: 65_536,
  /** UTF-8 bytes of the text of one CONSOLE record. */
  consoleBytes: 262_144,
  /** Bytes of the payload of one CAPTURE: 512 KiB of data and what stands around it. */
  captureBytes: 524_288 + 4096,
} as const;

export const TYPE = {
  META: 1,
  DECLARE: 2,
  SCALARS: 3,
  STEPPED: 4,
  ATTRS: 5,
  TAGS: 6,
  STATUS: 7,
  HEARTBEAT: 8,
  GAP: 9,
  CLOSE: 10,
  ROTATED: 11,
  FILE: 12,
  OBJECT: 13,
  CONSOLE: 14,
  CAPTURE: 15,
} as const;

/** The highest type this program knows. */
export const LAST_TYPE = TYPE.CAPTURE;

export interface JournalHeader {
  writer: WriterId;
  nonce: Uint8Array;
  /** Rotation number. */
  number: number;
  /** Sequence number of the first record. */
  first: number;
  minor: number;
  /** Bytes of the header, where the first record begins. */
  size: number;
}

/**
 * The header from the first bytes of a file; undefined while they are fewer than it has.
 * Throws `journal_corrupt` or `journal_version`.
 */
export function decodeHeader(bytes: Uint8Array): JournalHeader | undefined {
  for (let index = 0; index < Math.min(4, bytes.length); index++) {
    if (bytes[index] !== 'FBJ1'.charCodeAt(index)) throw bad('its first bytes are not FBJ1');
  }
  if (bytes.length < 8) return undefined;
  if (bytes[4] !== JOURNAL.major) {
    throw new FieldbookError(
      'journal_version',
      `A journal has format version ${bytes[4]}; this program reads ${JOURNAL.major}. Update Fieldbook on this machine.`,
      { details: { major: bytes[4] } },
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = view.getUint16(6, true);
  if (size < JOURNAL.headerBytes || size > JOURNAL.headerLimit) throw bad(`its header says that it has ${size} bytes`);
  if (bytes.length < size) return undefined;
  if (crc32(bytes, 0, 0, size - 4) !== view.getUint32(size - 4, true)) throw bad('its header has a wrong checksum');
  const first = view.getUint32(32, true) + view.getUint32(36, true) * 0x1_0000_0000;
  if (!Number.isSafeInteger(first)) throw bad('its first sequence number is too large');
  let writer = '';
  for (let index = 40; index < 66; index++) writer += String.fromCharCode(bytes[index]!);
  try {
    return {
      writer: parseWriterId(writer),
      nonce: bytes.slice(8, 24),
      number: view.getUint32(24, true),
      first,
      minor: bytes[5]!,
      size,
    };
  } catch (error) {
    throw bad('its header has no writer id', error);
  }
}

/** The 72 bytes at the head of a file. */
export function encodeHeader(header: Pick<JournalHeader, 'writer' | 'nonce' | 'number' | 'first'>): Uint8Array {
  const bytes = new Uint8Array(JOURNAL.headerBytes);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < 4; index++) bytes[index] = 'FBJ1'.charCodeAt(index);
  bytes[4] = JOURNAL.major;
  bytes[5] = JOURNAL.minor;
  view.setUint16(6, JOURNAL.headerBytes, true);
  bytes.set(header.nonce, 8);
  view.setUint32(24, header.number, true);
  view.setUint32(32, header.first >>> 0, true);
  view.setUint32(36, Math.floor(header.first / 0x1_0000_0000), true);
  for (let index = 0; index < 26; index++) bytes[40 + index] = header.writer.charCodeAt(index);
  view.setUint32(68, crc32(bytes, 0, 0, 68), true);
  return bytes;
}

/** The check of a record whose type and payload are `bytes[start, end)`. `nonceCheck` is the CRC-32 of the nonce. */
export function recordCheck(
  nonceCheck: number,
  sequence: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  return crc32(bytes, crc32Of64(sequence, nonceCheck), start, end);
}

function bad(what: string, cause?: unknown): FieldbookError {
  return new FieldbookError('journal_corrupt', `A file is not a journal: ${what}.`, { cause, details: { offset: 0 } });
}
