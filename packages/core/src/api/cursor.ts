import { crc32 } from '../journal/index.ts';
import type { RunId } from '../ids.ts';
import { parseRunId, utf8 } from '../ids.ts';
import { invalid } from './schema.ts';

/**
 * A cursor names the run that the last page ended with and where that was, so that runs that come and go before it
 * do not shift the next page, and what was asked, so that it is not used for another question. Nothing is kept.
 */
export function makeCursor(asked: string, offset: number, last: RunId): string {
  return `${offset.toString(36)}~${fingerprint(asked)}~${last}`;
}

/** Where the next page starts in `rows`. Throws `invalid_argument` for a cursor that was not made for this question. */
export function readCursor(cursor: string | undefined, asked: string, rows: readonly RunId[]): number {
  if (cursor === undefined) return 0;
  const parts = cursor.split('~');
  const offset = Number.parseInt(parts[0] ?? '', 36);
  if (parts.length !== 3 || !Number.isSafeInteger(offset) || offset < 1)
    throw invalid('cursor', 'is not one that an answer gave');
  if (parts[1] !== fingerprint(asked)) throw invalid('cursor', 'was made for another query or order');
  const last = parseRunId(parts[2]!);
  if (rows[offset - 1] === last) return offset;
  const moved = rows.indexOf(last);
  return moved === -1 ? Math.min(offset, rows.length) : moved + 1;
}

/** Short, and different for different questions. */
export function fingerprint(asked: string): string {
  return (crc32(utf8(asked)) >>> 0).toString(36);
}
