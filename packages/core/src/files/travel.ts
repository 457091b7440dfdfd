import type { FileEntry } from '../record/index.ts';
import { globFits } from './path.ts';

/** When the bytes of a file go to a relay. */
export type Travel = 'now' | 'request' | 'never';

/** One rule of an agent's `config.json`; the first that fits holds. */
export interface TravelRule {
  /** A glob on the attribute path: `checkpoints/**`. */
  pattern: string;
  /** Files of more than so many bytes only; 0 for all. */
  over: number;
  travel: Travel;
}

/** What goes at once when nobody has said anything. */
export const TRAVEL_AT_ONCE_BYTES = 64 * 1024 * 1024;

/** When a file's bytes travel: as its writer said, else by the first rule that fits, else at once up to 64 MiB. */
export function travelOf(
  entry: Pick<FileEntry, 'travel' | 'path' | 'size'>,
  rules: readonly TravelRule[] = [],
): Travel {
  if (entry.travel !== null) return entry.travel;
  const size = entry.size ?? 0;
  const fit = rules.find(({ pattern, over }) => (over === 0 || size > over) && globFits(pattern, entry.path));
  if (fit !== undefined) return fit.travel;
  return size <= TRAVEL_AT_ONCE_BYTES ? 'now' : 'request';
}
