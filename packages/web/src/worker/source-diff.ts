import type { SourceChange } from './compare-api.ts';
import type { PatchFile } from '../app/patch.ts';
import { sidesOf, undone } from '../app/patch.ts';

/** What is known of a run's source. */
export interface SourceSide {
  commit: string | null;
  /** Differences of the checkout from its commit; empty of a clean one, null where they are not here. */
  patch: readonly PatchFile[] | null;
  /** Captured contents by path in the checkout. */
  files: ReadonlyMap<string, string>;
  /** Of these files, those that git did not know. */
  untracked: ReadonlySet<string>;
  /** Files that were captured, whose bytes are not here. */
  absent: ReadonlySet<string>;
}

/**
 * How the sources of two runs differ. Captured contents are compared as they are. Of one commit, what only one side captured is known
 * on the other too: what is no part of its patch is as committed, and a patch taken back from what was captured gives that. Where
 * contents are not here, what the patches show is compared, and what is not known is said.
 */
export function sourceChanges(a: SourceSide, b: SourceSide): SourceChange[] {
  const same = a.commit !== null && a.commit === b.commit;
  const paths = new Set<string>();
  for (const side of [a, b]) {
    for (const path of side.files.keys()) paths.add(path);
    for (const path of side.absent) paths.add(path);
    for (const { before, after } of side.patch ?? []) {
      if (before !== null) paths.add(before);
      if (after !== null) paths.add(after);
    }
  }
  const changes: SourceChange[] = [];
  for (const path of [...paths].sort()) {
    const change = changeOf(path, a, b, same);
    if (change !== null) changes.push(change);
  }
  return same ? renamed(changes, a, b) : changes;
}

/** A file that one of them renamed is one change, not a file that went and another that came. */
function renamed(changes: readonly SourceChange[], a: SourceSide, b: SourceSide): SourceChange[] {
  let list = [...changes];
  for (const side of [a, b]) {
    for (const file of side.patch ?? []) {
      if (!isRename(file)) continue;
      const [from, path] = side === b ? [file.before, file.after] : [file.after, file.before];
      // Where both have it under either path, or neither has, nothing was renamed between the two.
      if (contentOf(path, a, b, true) !== null || contentOf(from, b, a, true) !== null) continue;
      const [before, after] = [contentOf(from, a, b, true), contentOf(path, b, a, true)];
      if (before === null || after === null) continue;
      list = list.filter((change) => change.path !== from && change.path !== path);
      const change = { path, kind: 'renamed', from } as const;
      if (before !== undefined && after !== undefined) list.push({ ...change, before, after, numbers: null });
      else if (file.binary) list.push({ ...change, before: null, after: null, numbers: null });
      else {
        const { old, fresh } = shownOf(file);
        const [left, right] = side === b ? [old, fresh] : [fresh, old];
        const numbers = { before: left.numbers, after: right.numbers };
        list.push({ ...change, before: left.text, after: right.text, numbers });
      }
    }
  }
  return list.sort((one, two) => (one.path < two.path ? -1 : one.path > two.path ? 1 : 0));
}

function isRename(file: PatchFile): file is PatchFile & { before: string; after: string } {
  return file.before !== null && file.after !== null && file.before !== file.after;
}

function changeOf(path: string, a: SourceSide, b: SourceSide, same: boolean): SourceChange | null {
  const [before, after] = [contentOf(path, a, b, same), contentOf(path, b, a, same)];
  if (typeof before === 'string' && typeof after === 'string')
    return before === after ? null : { path, kind: 'changed', from: null, before, after, numbers: null };
  if (before === null && after === null) return null;
  if (before === null && typeof after === 'string')
    return { path, kind: 'added', from: null, before: '', after, numbers: null };
  if (after === null && typeof before === 'string')
    return { path, kind: 'removed', from: null, before, after: '', numbers: null };
  const [inA, inB] = [patchOf(path, a), patchOf(path, b)];
  const lost = [a, b].some((side) => side.absent.has(path) && side.untracked.has(path));
  if (same && !lost && a.patch !== null && b.patch !== null) {
    if (inA === undefined && inB === undefined) return null;
    if (inA !== undefined && inB !== undefined && JSON.stringify(inA) === JSON.stringify(inB)) return null;
    const shown = inB ?? inA!;
    if (!shown.binary && (inA === undefined || inB === undefined)) {
      const { old, fresh } = shownOf(shown);
      const [left, right] = inB === undefined ? [fresh, old] : [old, fresh];
      const kind =
        shown.before === null || isRename(shown)
          ? inB === undefined
            ? 'removed'
            : 'added'
          : shown.after === null
            ? inB === undefined
              ? 'added'
              : 'removed'
            : 'changed';
      return {
        path,
        kind,
        from: null,
        before: left.text,
        after: right.text,
        numbers: { before: left.numbers, after: right.numbers },
      };
    }
    if (!shown.binary) {
      const [left, right] = [sidesOf(inA!), sidesOf(inB!)];
      return {
        path,
        kind: 'changed',
        from: null,
        before: left.after,
        after: right.after,
        numbers: { before: left.numbers.after, after: right.numbers.after },
      };
    }
    return { path, kind: 'changed', from: null, before: null, after: null, numbers: null };
  }
  return {
    path,
    kind: 'unknown',
    from: null,
    before: typeof before === 'string' ? before : null,
    after: typeof after === 'string' ? after : null,
    numbers: null,
  };
}

/** The content; null when there is no such file; undefined when nobody here can tell. */
function contentOf(path: string, side: SourceSide, other: SourceSide, same: boolean): string | null | undefined {
  const own = side.files.get(path);
  if (own !== undefined) return own;
  if (side.absent.has(path)) return undefined;
  const patched = patchOf(path, side);
  if (patched !== undefined) return patched.after === null ? null : undefined;
  if (renameFrom(path, side) !== undefined) return null;
  if (side.patch === null || !same) {
    // A file that git did not know on the other side is none that a commit could have, but it may have been committed since.
    return same && other.untracked.has(path) ? null : undefined;
  }
  // As committed, then: nothing of this side's checkout differed there.
  if (other.untracked.has(path)) return null;
  const theirs = patchOf(path, other);
  const text = other.files.get(path);
  if (theirs === undefined) {
    const moved = renameFrom(path, other);
    if (moved === undefined) return text;
    const now = other.files.get(moved.after);
    return now === undefined ? undefined : undone(moved, now);
  }
  if (theirs.before === null || isRename(theirs)) return null;
  return text === undefined ? undefined : undone(theirs, text);
}

function patchOf(path: string, side: SourceSide): PatchFile | undefined {
  return side.patch?.find(({ before, after }) => (after ?? before) === path);
}

function renameFrom(path: string, side: SourceSide): (PatchFile & { before: string; after: string }) | undefined {
  return side.patch?.filter(isRename).find(({ before }) => before === path);
}

/** Each side as far as a patch shows it. */
function shownOf(file: PatchFile): Record<'old' | 'fresh', { text: string; numbers: (number | null)[] }> {
  const { before, after, numbers } = sidesOf(file);
  return { old: { text: before, numbers: numbers.before }, fresh: { text: after, numbers: numbers.after } };
}
