import type { FileLine } from '../../../worker/files-api.ts';

/** What the list of a run's files shows, line by line. */
export type FileRow =
  | {
      kind: 'folder';
      key: string;
      label: string;
      depth: number;
      open: boolean;
      files: number;
      bytes: number;
      time: number;
      group: boolean;
    }
  | { kind: 'file'; key: string; label: string; depth: number; line: FileLine; versions: number; open: boolean }
  | { kind: 'version'; key: string; label: string; depth: number; line: FileLine };

export type FileSort = 'name' | 'size' | 'time' | 'kind' | 'place';

export interface RowsRequest {
  search: string;
  sort: FileSort;
  descending: boolean;
  /** Those that were removed, too. */
  removed: boolean;
  /** Keys of folders that are as they usually are not: groups are usually closed, folders open. */
  toggled: ReadonlySet<string>;
  /** Paths whose older versions are listed. */
  expanded: ReadonlySet<string>;
}

/** So many siblings that differ only in their numbers are one group: the checkpoints of a training. */
const GROUP = 4;

/**
 * The rows of a list of all versions: a tree in the order of names, or a flat list when it is searched or sorted by anything else.
 * `order` gives the place of a file when sorted by place.
 */
export function fileRows(
  files: readonly FileLine[],
  request: RowsRequest,
  order: (line: FileLine) => number = () => 0,
): FileRow[] {
  const heads = headsOf(files, request.removed);
  const words = request.search
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const found = heads.filter(({ line }) => {
    const text = `${line.path} ${line.name} ${kindWords(line)}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  if (words.length > 0 || request.sort !== 'name') {
    found.sort(
      (a, b) =>
        (request.descending ? -1 : 1) * compare(a.line, b.line, request.sort, order) ||
        byName(a.line.path, b.line.path),
    );
    return found.flatMap((head) => rowsOf(head, head.line.path, 0, request));
  }
  const root = folderOf('');
  for (const head of found) {
    let at = root;
    const parts = head.line.path.split('/');
    for (const part of parts.slice(0, -1)) {
      const next = at.folders.get(part) ?? folderOf(at.key === '' ? part : `${at.key}/${part}`);
      at.folders.set(part, next);
      at = next;
    }
    at.heads.push({ label: parts.at(-1)!, ...head });
  }
  return treeRows(root, 0, request);
}

interface Head {
  line: FileLine;
  older: readonly FileLine[];
}

interface Folder {
  key: string;
  folders: Map<string, Folder>;
  heads: (Head & { label: string })[];
}

function folderOf(key: string): Folder {
  return { key, folders: new Map(), heads: [] };
}

/** Per path the newest version, and the older ones; of removed ones only when asked for. */
function headsOf(files: readonly FileLine[], removed: boolean): Head[] {
  const paths = new Map<string, FileLine[]>();
  for (const line of files) {
    const same = paths.get(line.path);
    if (same === undefined) paths.set(line.path, [line]);
    else same.push(line);
  }
  const heads: Head[] = [];
  for (const same of paths.values()) {
    const line = same.find(({ current }) => current) ?? (removed ? same[0] : undefined);
    if (line !== undefined)
      heads.push({ line, older: same.filter((each) => each !== line && (removed || !each.removed)) });
  }
  return heads;
}

function treeRows(folder: Folder, depth: number, request: RowsRequest): FileRow[] {
  const sign = request.descending ? -1 : 1;
  const rows: FileRow[] = [];
  for (const [name, inner] of [...folder.folders].sort(([a], [b]) => sign * byName(a, b))) {
    const open = !request.toggled.has(inner.key);
    rows.push({ kind: 'folder', key: inner.key, label: name, depth, open, group: false, ...totalOf(allOf(inner)) });
    if (open) rows.push(...treeRows(inner, depth + 1, request));
  }
  const series = new Map<string, (Head & { label: string })[]>();
  for (const head of folder.heads) {
    const key = /\d/.test(head.label) ? head.label.replace(/\d+/g, '#') : head.label;
    const same = series.get(key);
    if (same === undefined) series.set(key, [head]);
    else same.push(head);
  }
  for (const [name, heads] of [...series].sort(([a], [b]) => sign * byName(a, b))) {
    heads.sort((a, b) => sign * byName(a.label, b.label));
    if (heads.length < GROUP || !name.includes('#')) {
      for (const head of heads) rows.push(...rowsOf(head, head.label, depth, request));
      continue;
    }
    const key = `${folder.key}/${name}`;
    const open = request.toggled.has(key);
    rows.push({ kind: 'folder', key, label: name, depth, open, group: true, ...totalOf(heads) });
    if (open) for (const head of heads) rows.push(...rowsOf(head, head.label, depth + 1, request));
  }
  return rows;
}

function rowsOf({ line, older }: Head, label: string, depth: number, { expanded }: RowsRequest): FileRow[] {
  const open = expanded.has(line.path);
  const rows: FileRow[] = [{ kind: 'file', key: line.id, label, depth, line, versions: older.length + 1, open }];
  if (open) for (const each of older) rows.push({ kind: 'version', key: each.id, label, depth: depth + 1, line: each });
  return rows;
}

function allOf(folder: Folder): Head[] {
  return [...folder.heads, ...[...folder.folders.values()].flatMap(allOf)];
}

function totalOf(heads: readonly Head[]): { files: number; bytes: number; time: number } {
  let bytes = 0;
  let time = 0;
  for (const { line } of heads) {
    bytes += line.size ?? 0;
    time = Math.max(time, line.time);
  }
  return { files: heads.length, bytes, time };
}

function compare(a: FileLine, b: FileLine, sort: FileSort, order: (line: FileLine) => number): number {
  switch (sort) {
    case 'size':
      return (a.size ?? -1) - (b.size ?? -1);
    case 'time':
      return a.time - b.time;
    case 'kind':
      return byName(kindWords(a), kindWords(b));
    case 'place':
      return order(a) - order(b);
    default:
      return byName(a.path, b.path);
  }
}

const collator = new Intl.Collator('en', { numeric: true });

/** `step_9` before `step_10`. */
function byName(a: string, b: string): number {
  return collator.compare(a, b);
}

/** What it is: of a model its framework, of a plain file its extension. */
export function kindWords(line: Pick<FileLine, 'kind' | 'name' | 'meta'>): string {
  const framework = line.meta?.['framework'];
  if (typeof framework === 'string') return `${line.kind === 'file' ? 'model' : line.kind}, ${framework}`;
  if (line.kind !== 'file') return line.kind;
  const dot = line.name.lastIndexOf('.');
  return dot > 0 && line.name.length - dot <= 9 ? line.name.slice(dot + 1).toLowerCase() : 'file';
}
