import { utf8 } from '../ids.ts';
import { FieldbookError } from '../errors.ts';

/** RFC 6763 section 6.2: with more, a message may not fit into a packet. Others' records are read up to here. */
const TXT_BYTES = 1_300;
const ENTRY_BYTES = 255;
/** Ours are six. */
const ENTRIES = 32;
const KEY = /^[\x20-\x3c\x3e-\x7e]{1,32}$/;

/** The text of a TXT record (RFC 6763 section 6). Throws `invalid_argument` for a key that is none, or too much. */
export function encodeTxt(entries: readonly (readonly [key: string, value: string])[]): Uint8Array {
  const bytes: number[] = [];
  for (const [key, value] of entries) {
    const entry = utf8(`${key}=${value}`);
    if (!KEY.test(key) || entry.length > ENTRY_BYTES)
      throw new FieldbookError('invalid_argument', `${JSON.stringify(key)} cannot be told in a TXT record.`);
    bytes.push(entry.length, ...entry);
  }
  if (bytes.length > TXT_BYTES)
    throw new FieldbookError('invalid_argument', `A TXT record has at most ${TXT_BYTES} bytes.`);
  return Uint8Array.from(bytes.length === 0 ? [0] : bytes);
}

/**
 * What a TXT record of anybody says, by key in lower case; the first of several counts. Values that are no UTF-8 and entries that are
 * none are passed over; of a record that is too long or torn, what comes after that is.
 */
export function decodeTxt(bytes: Uint8Array): ReadonlyMap<string, string> {
  const entries = new Map<string, string>();
  const end = Math.min(bytes.length, TXT_BYTES);
  for (let at = 0; at < end && entries.size < ENTRIES;) {
    const from = at + 1;
    at = from + bytes[at]!;
    if (at > end) break;
    let entry: string;
    try {
      entry = strict.decode(bytes.subarray(from, at));
    } catch {
      continue;
    }
    const mark = entry.indexOf('=');
    const key = (mark === -1 ? entry : entry.slice(0, mark)).toLowerCase();
    if (KEY.test(key) && !entries.has(key)) entries.set(key, mark === -1 ? '' : entry.slice(mark + 1));
  }
  return entries;
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
