import type { CaptureEntry, Entry } from '../record/index.ts';

/** Of each writer and section the newest capture, whichever device took it in; sorted by writer and section. */
export function newestCaptures(entries: Iterable<Entry>): CaptureEntry[] {
  const newest = new Map<string, CaptureEntry>();
  for (const entry of entries) {
    if (entry.kind !== 'capture') continue;
    const key = `${entry.writer}/${entry.section}`;
    const known = newest.get(key);
    const better = known === undefined || entry.ordinal > known.ordinal;
    if (better || (entry.ordinal === known.ordinal && entry.device < known.device)) newest.set(key, entry);
  }
  return [...newest].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
}
