import type { DocumentMeta } from '../store/index.ts';

/** A log of this many updates is rewritten as a snapshot when it has also grown a quarter as large as that … */
const COUNT = 500;
/** … or at this many whatever their size: each costs some 20 µs when the document is opened … */
const COUNT_MAX = 10_000;
/** … or when it is this much larger than the snapshot it follows. */
const RATIO = 4;
const MIN_BYTES = 1024 * 1024;

/** Rewriting costs what the whole document holds, so it waits until the log is in proportion to that. */
export function isWorthCompacting({ logCount, logBytes, snapshotBytes }: DocumentMeta): boolean {
  const many = logCount > COUNT && (logBytes * 4 > snapshotBytes || logCount > COUNT_MAX);
  const large = logBytes > MIN_BYTES && logBytes > RATIO * snapshotBytes;
  return many || large;
}
