import { crc32 } from './crc32.ts';
import { JOURNAL, LAST_TYPE, recordCheck } from './format.ts';

/** Where reading can go on behind damage. */
export interface Salvage {
  /** In the file. */
  offset: number;
  sequence: number;
  /** Records whose sequence numbers were passed over. */
  lost: number;
}

/** What lies at a place where a record should begin: where that record ends, or one of these (all negative). */
export type Probe = number;
export const CLEAN = -1;
export const TORN = -2;
export const ZEROS = -3;
export const CORRUPT = -4;

/** Bytes that may run through the checksum before salvage gives up: a damaged 16 MiB file takes about a second. */
const SALVAGE_BUDGET = 256 * 1024 * 1024;
/** A record has at least a length, a check and a type. */
const SMALLEST_RECORD = 9;

/** Judges the bytes at `start`, taking the end of `bytes` for the end of what is there. */
export function probe(bytes: Uint8Array, view: DataView, start: number, sequence: number, nonceCheck: number): Probe {
  const rest = bytes.length - start;
  if (rest === 0) return CLEAN;
  if (rest < 4) return onlyZeros(bytes, start) ? ZEROS : TORN;
  const length = view.getUint32(start, true);
  if (length === 0) return onlyZeros(bytes, start) ? ZEROS : CORRUPT;
  if (length > JOURNAL.recordLimit) return CORRUPT;
  const end = start + 8 + length;
  if (rest < 8 || end > bytes.length) return TORN;
  if (recordCheck(nonceCheck, sequence, bytes, start + 8, end) === view.getUint32(start + 4, true)) return end;
  return onlyZeros(bytes, end) ? TORN : CORRUPT;
}

/**
 * Looks behind damage for a record that validates with a later sequence number and is not contradicted by what
 * follows it. `bytes` begin at the damage (at `offset` in the file) and reach to the end of the file, or as far as
 * the caller is willing to look; `sequence` is the number that the damaged record should have had.
 */
export function salvage(
  bytes: Uint8Array,
  position: { offset: number; sequence: number; nonce: Uint8Array },
): Salvage | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const nonceCheck = crc32(position.nonce);
  let budget = SALVAGE_BUDGET;
  for (let start = 1; start < bytes.length - 8; start++) {
    const length = view.getUint32(start, true);
    if (length < 1 || length > JOURNAL.recordLimit) continue;
    const end = start + 8 + length;
    const type = bytes[start + 8]!;
    if (end > bytes.length || type < 1 || type > LAST_TYPE) continue;
    const last = position.sequence + 1 + Math.floor(start / SMALLEST_RECORD);
    const found = view.getUint32(start + 4, true);
    for (let sequence = position.sequence + 1; sequence <= last; sequence++) {
      budget -= length;
      if (budget < 0) return undefined;
      if (recordCheck(nonceCheck, sequence, bytes, start + 8, end) !== found) continue;
      if (probe(bytes, view, end, sequence + 1, nonceCheck) === CORRUPT) continue;
      return { offset: position.offset + start, sequence, lost: sequence - position.sequence };
    }
  }
  return undefined;
}

/** True when nothing but zeros lies at `start` and behind. */
export function onlyZeros(bytes: Uint8Array, start: number): boolean {
  for (let index = start; index < bytes.length; index++) if (bytes[index] !== 0) return false;
  return true;
}
