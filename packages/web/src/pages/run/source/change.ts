import type { PatchFile } from '../../../app/patch.ts';

/** A file of a patch as people speak of it. */
export interface Change {
  /** As it is called after the change; before it, where it was removed. */
  path: string;
  /** Before the change, where it was called otherwise. */
  from: string | null;
  status: 'changed' | 'added' | 'removed' | 'renamed' | 'mode';
  added: number;
  removed: number;
  file: PatchFile;
}

/** What happened to a file, and how many lines of it came and went. */
export function changeOf(file: PatchFile): Change {
  const { before, after, hunks } = file;
  const renamed = before !== null && after !== null && before !== after;
  let [added, removed] = [0, 0];
  for (const { kind } of hunks.flatMap(({ lines }) => lines)) {
    if (kind === '+') added += 1;
    if (kind === '-') removed += 1;
  }
  return {
    path: after ?? before ?? '',
    from: renamed ? before : null,
    status: statusOf(file, renamed),
    added,
    removed,
    file,
  };
}

function statusOf({ before, after, mode, hunks }: PatchFile, renamed: boolean): Change['status'] {
  if (before === null) return 'added';
  if (after === null) return 'removed';
  if (renamed) return 'renamed';
  return mode && hunks.length === 0 ? 'mode' : 'changed';
}
