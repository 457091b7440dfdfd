/** Attributes and other values as a searchable tree of namespaces. */
export interface TreeLine {
  /** Depth in the tree, for the indent. */
  depth: number;
  /** The last part of the path. */
  label: string;
  path: string;
  /** Absent for a namespace. */
  value?: unknown;
  children: number;
}

/** Lines of the tree in order, those under a closed namespace left out; with words, only what matches, all open. */
export function treeLines(
  values: ReadonlyMap<string, unknown>,
  words: string,
  closed: ReadonlySet<string>,
): TreeLine[] {
  const wanted = words
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const paths = [...values.keys()]
    .filter((path) => wanted.every((word) => `${path} ${String(values.get(path))}`.toLowerCase().includes(word)))
    .sort();
  const lines: TreeLine[] = [];
  const open: { path: string; line: TreeLine }[] = [];
  for (const path of paths) {
    const parts = path.split('/');
    while (open.length > 0 && !path.startsWith(`${open.at(-1)!.path}/`)) open.pop();
    for (let depth = open.length; depth < parts.length - 1; depth++) {
      const space = parts.slice(0, depth + 1).join('/');
      const line: TreeLine = { depth, label: parts[depth]!, path: space, children: 0 };
      if (!isHidden(space, closed, wanted)) lines.push(line);
      open.push({ path: space, line });
    }
    for (const { line } of open) line.children += 1;
    if (!isHidden(path, closed, wanted))
      lines.push({ depth: parts.length - 1, label: parts.at(-1)!, path, value: values.get(path), children: 0 });
  }
  return lines;
}

function isHidden(path: string, closed: ReadonlySet<string>, wanted: readonly string[]): boolean {
  if (wanted.length > 0) return false;
  for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1))
    if (closed.has(path.slice(0, slash))) return true;
  return false;
}
