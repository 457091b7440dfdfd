import type { FileEntry } from '../record/index.ts';
import { pathHolds } from './path.ts';

/** One version of a file: what the devices that took its record in say of it, the best first. */
export interface FileVersion {
  /** `<writer>.<ordinal>`: names the version on every replica. */
  id: string;
  entry: FileEntry;
  /** Entries of the same record by other devices. */
  others: readonly FileEntry[];
  /** The file at its path now. */
  current: boolean;
  /** The removal that holds against it. */
  removed: boolean;
}

/**
 * Every version of every file of a run, the newest first, folded from its entries as docs/formats/record.md says: a pure function
 * of the set of entries. The removals themselves are not among them.
 */
export function fileVersions(entries: Iterable<FileEntry>): FileVersion[] {
  const removals: FileEntry[] = [];
  const versions = new Map<string, FileEntry[]>();
  for (const entry of entries) {
    if (entry.fileKind === 'removed') {
      removals.push(entry);
      continue;
    }
    const id = versionId(entry);
    const same = versions.get(id);
    if (same === undefined) versions.set(id, [entry]);
    else same.push(entry);
  }
  const taken = new Set<string>();
  return [...versions]
    .map(([id, same]) => ({ id, same: same.sort(better) }))
    .sort((a, b) => newer(a.same[0]!, b.same[0]!))
    .map(({ id, same }) => {
      const entry = same[0]!;
      const removed = removals.some((removal) => pathHolds(removal.path, entry.path) && newer(removal, entry) < 0);
      const current = !removed && !taken.has(entry.path);
      if (current) taken.add(entry.path);
      return { id, entry, others: same.slice(1), current, removed };
    });
}

export function versionId(entry: Pick<FileEntry, 'writer' | 'ordinal'>): string {
  return `${entry.writer}.${entry.ordinal}`;
}

/** Stored before pending before named; of equals the same one everywhere. */
function better(a: FileEntry, b: FileEntry): number {
  const rank = ({ digest, spool }: FileEntry): number => (digest !== null ? 0 : spool !== null ? 1 : 2);
  return rank(a) - rank(b) || (a.device < b.device ? -1 : a.device > b.device ? 1 : 0);
}

/** Negative when `a` is the newer: by time, writer, ordinal and place. */
function newer(a: FileEntry, b: FileEntry): number {
  if (a.time !== b.time) return b.time - a.time;
  if (a.writer !== b.writer) return a.writer < b.writer ? 1 : -1;
  if (a.ordinal !== b.ordinal) return b.ordinal - a.ordinal;
  return (b.place ?? -1) - (a.place ?? -1);
}
