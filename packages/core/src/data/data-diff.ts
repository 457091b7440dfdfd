import type { DataAlgorithm, DataFile, DataList } from './data-list.ts';
import { compareUtf8 } from './data-list.ts';

export interface DataChange {
  path: string;
  before: DataFile;
  after: DataFile;
}

/** A file under another path; only told where exactly one removed and one added file have its content. */
export interface DataMove {
  from: string;
  to: string;
  size: number;
}

/** How one data version differs from another. All lists are in the order of their paths. */
export interface DataDiff {
  same: boolean;
  added: readonly DataFile[];
  removed: readonly DataFile[];
  changed: readonly DataChange[];
  moved: readonly DataMove[];
  /** Files of both versions whose contents cannot be compared: named by different digests with one size, or not readable. */
  unknown: readonly DataChange[];
  /** Files that are equal. */
  kept: number;
  /** Bytes of the files that are equal. */
  keptBytes: number;
}

/** What changed from `before` to `after`. Takes time and memory that follow the number of files. */
export function diffDataLists(before: DataList, after: DataList): DataDiff {
  const added: DataFile[] = [];
  const removed: DataFile[] = [];
  const changed: DataChange[] = [];
  const unknown: DataChange[] = [];
  let kept = 0;
  let keptBytes = 0;
  let left = 0;
  let right = 0;
  while (left < before.files.length || right < after.files.length) {
    const a = before.files[left];
    const b = after.files[right];
    const order = a === undefined ? 1 : b === undefined ? -1 : compareUtf8(a.path, b.path);
    if (order < 0) removed.push(before.files[left++]!);
    else if (order > 0) added.push(after.files[right++]!);
    else {
      left++;
      right++;
      const verdict = compareContent(a!, b!);
      if (verdict === 'same') {
        kept += 1;
        keptBytes += a!.size;
      } else (verdict === 'changed' ? changed : unknown).push({ path: a!.path, before: a!, after: b! });
    }
  }
  const moved = takeMoves(removed, added);
  const same = added.length + removed.length + changed.length + unknown.length + moved.length === 0;
  return { same, added, removed, changed, moved, unknown, kept, keptBytes };
}

/** Another size is another content whatever names it; one size and names that do not compare say nothing. */
function compareContent(a: DataFile, b: DataFile): 'same' | 'changed' | 'unknown' {
  if (a.algorithm === 'none' || b.algorithm === 'none') return 'unknown';
  if (a.size !== b.size) return 'changed';
  const [x, y] = [nameOf(a), nameOf(b)];
  if (x.algorithm !== y.algorithm) return 'unknown';
  if (x.digest === y.digest) return 'same';
  // Objects that were sent in parts of different sizes have different ETags for one content.
  return x.algorithm === 'etag' ? 'unknown' : 'changed';
}

/** The ETag of an object that was sent in one piece is its MD5. */
function nameOf({ algorithm, digest }: DataFile): { algorithm: DataAlgorithm; digest: string } {
  return algorithm === 'etag' && /^[0-9a-f]{32}$/.test(digest) ? { algorithm: 'md5', digest } : { algorithm, digest };
}

/** Takes out of both lists what has only been renamed. Empty files and contents that occur twice are never called moved. */
function takeMoves(removed: DataFile[], added: DataFile[]): DataMove[] {
  const to = onlyOnes(added);
  const moves: DataMove[] = [];
  const gone = new Set<DataFile>();
  for (const [content, before] of onlyOnes(removed)) {
    const after = to.get(content);
    if (after === undefined || after === null || before === null) continue;
    moves.push({ from: before.path, to: after.path, size: before.size });
    gone.add(before).add(after);
  }
  for (const files of [removed, added]) {
    let kept = 0;
    for (const file of files) if (!gone.has(file)) files[kept++] = file;
    files.length = kept;
  }
  return moves.sort((a, b) => compareUtf8(a.from, b.from));
}

/** By content: the file that has it; null where several do. */
function onlyOnes(files: readonly DataFile[]): Map<string, DataFile | null> {
  const found = new Map<string, DataFile | null>();
  for (const file of files) {
    if (file.size === 0 || file.algorithm === 'none') continue;
    const { algorithm, digest } = nameOf(file);
    const content = `${algorithm}:${digest}:${file.size}`;
    found.set(content, found.has(content) ? null : file);
  }
  return found;
}
