/** What measuring needs of a file system; the promises of `node:fs` have this shape. */
export interface FolderFileSystem {
  readdir(path: string): Promise<string[]>;
  lstat(path: string): Promise<{ size: number; isFile(): boolean; isDirectory(): boolean }>;
}

/** Files of a kind, and the bytes in them. */
export interface FolderUsage {
  files: number;
  bytes: number;
}

/**
 * Sums up the files at and below `path`, by what `kindOf` makes of each path relative to it; undefined leaves a file, or a folder with all
 * below it, out. Links are not followed. What vanishes meanwhile, or may not be read, counts for nothing.
 */
export async function measureFolder(
  fs: FolderFileSystem,
  path: string,
  kindOf: (relative: string) => string | undefined,
  pause: () => Promise<void>,
): Promise<Map<string, FolderUsage>> {
  const sums = new Map<string, FolderUsage>();
  const waiting = [''];
  for (let relative = waiting.pop(); relative !== undefined; relative = waiting.pop()) {
    const names = await fs.readdir(`${path}/${relative}`).catch(() => [] as string[]);
    for (const name of names) {
      const inner = relative === '' ? name : `${relative}/${name}`;
      const kind = kindOf(inner);
      if (kind === undefined) continue;
      const stat = await fs.lstat(`${path}/${inner}`).catch(() => undefined);
      if (stat?.isDirectory() === true) waiting.push(inner);
      if (stat?.isFile() !== true) continue;
      const sum = sums.get(kind) ?? { files: 0, bytes: 0 };
      sum.files += 1;
      sum.bytes += stat.size;
      sums.set(kind, sum);
    }
    await pause();
  }
  return sums;
}
