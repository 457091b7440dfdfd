import { fromBase64, toBase64 } from 'lib0/buffer';
import { utf8 } from '../ids.ts';
import type { PageCompressor } from './compression.ts';
import { portableGunzip } from './compression.ts';
import { broken } from './parquet-reader.ts';

/** Where a metric's rows lie. */
export interface MetricPlace {
  path: string;
  start: number;
  count: number;
}

/** Longer lists are compressed: ten thousand names shrink to a tenth. */
const PLAIN_MAX = 2_048;
/** A million metrics with long names. */
const LIST_BYTES_MAX = 64 * 1024 * 1024;
/** Parsed, a metric takes some 200 bytes, and its text eight at least. */
const METRICS_MAX = 1_000_000;
/** Shorter texts hold too few of anything to count. */
const PLAIN_BYTES = 1024 * 1024;

/** `[path, rows]` in file order, as the text of a Parquet key: JSON, or `gzip:<size>:<base64>` of it where that is shorter. */
export async function packDirectory(
  list: readonly (readonly [path: string, rows: number])[],
  compressor: PageCompressor | undefined,
): Promise<string> {
  const json = JSON.stringify(list);
  if (json.length <= PLAIN_MAX || compressor === undefined) return json;
  const bytes = utf8(json);
  const packed = `gzip:${bytes.length}:${toBase64(await compressor.gzip(bytes, 'plain', 'small'))}`;
  return packed.length < json.length ? packed : json;
}

/** Undoes `packDirectory`. Throws `segment_corrupt`, or anything for what is no JSON. */
export function unpackDirectory(text: string): [path: string, rows: number][] {
  const json = unpacked(text);
  if (json.length > PLAIN_BYTES && bracketsOf(json) > METRICS_MAX + 1)
    throw broken('has a list of metrics that is too long');
  const list: unknown = JSON.parse(json);
  if (!Array.isArray(list)) throw broken('has a broken list of metrics');
  for (const element of list as unknown[]) {
    const [name, count] = Array.isArray(element) ? (element as unknown[]) : [];
    if (typeof name !== 'string' || typeof count !== 'number' || !Number.isSafeInteger(count) || count < 1) {
      throw broken('has a broken list of metrics');
    }
  }
  return list as [string, number][];
}

/** Places of metrics whose rows follow one another from row `start` on. */
export function placesOf(list: readonly (readonly [path: string, rows: number])[], start = 0): MetricPlace[] {
  let next = start;
  return list.map(([path, count]) => {
    const place = { path, start: next, count };
    next += count;
    return place;
  });
}

function unpacked(text: string): string {
  const match = /^gzip:(\d{1,9}):/.exec(text);
  if (match === null) return text;
  const size = Number(match[1]);
  if (size > LIST_BYTES_MAX) throw broken('has a list of metrics that is too long');
  return new TextDecoder('utf-8', { fatal: true }).decode(
    portableGunzip(fromBase64(text.slice(match[0].length)), size),
  );
}

/** Arrays and objects that begin in a JSON text. */
function bracketsOf(json: string): number {
  let count = 0;
  let quoted = false;
  for (let at = 0; at < json.length; at++) {
    const char = json.charCodeAt(at);
    if (char === 0x22) quoted = !quoted;
    else if (quoted) at += char === 0x5c ? 1 : 0;
    else if (char === 0x5b || char === 0x7b) count++;
  }
  return count;
}
