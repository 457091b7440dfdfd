import { FieldbookError } from '../errors.ts';

/** What looking at a database's files needs of a file system; the promises of `node:fs` have this shape. */
export interface LevelFileSystem {
  readdir(path: string): Promise<string[]>;
  open(path: string, flags: string): Promise<LevelFile>;
}

export interface LevelFile {
  read(bytes: Uint8Array, offset: number, length: number, position: null): Promise<{ bytesRead: number }>;
  close(): Promise<void>;
}

/** Read whole when a database is opened; a few MiB in all. */
const OPENED = /^(?:CURRENT|MANIFEST-\d+|\d+\.log)$/;
const HOLDS_DATA = /^\d+\.(?:log|ldb|sst)$/;
const PIECE_BYTES = 256 * 1024;

/**
 * Rejects unless the files that LevelDB reads to open the database in `folder` can be read. LevelDB takes a log that it cannot
 * open, or read to the end, for one that ends there, and a folder whose CURRENT it does not see for that of no database: then it
 * goes on, acknowledges, and deletes the files that it did not read. Throws `storage_failed`, and `store_corrupt` without CURRENT.
 */
export async function mustBeReadable(fs: LevelFileSystem, folder: string): Promise<void> {
  const names = (await orFailed(folder, () => fs.readdir(folder))) ?? [];
  if (!names.includes('CURRENT') && names.some((name) => HOLDS_DATA.test(name)))
    throw new FieldbookError(
      'store_corrupt',
      `The store at ${folder} lacks its file CURRENT, and opened without it would begin anew. Put the file back, or restore a backup.`,
    );
  const piece = new Uint8Array(PIECE_BYTES);
  for (const name of names.filter((each) => OPENED.test(each))) {
    const path = `${folder}/${name}`;
    await orFailed(path, () => readThrough(fs, path, piece));
  }
}

async function readThrough(fs: LevelFileSystem, path: string, piece: Uint8Array): Promise<void> {
  const file = await fs.open(path, 'r');
  try {
    while ((await file.read(piece, 0, piece.length, null)).bytesRead > 0);
  } finally {
    await file.close();
  }
}

/** Undefined where there is nothing: a file that goes meanwhile is one that an open database has done with. */
async function orFailed<T>(path: string, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return undefined;
    const why = error instanceof Error ? error.message : String(error);
    throw new FieldbookError(
      'storage_failed',
      `${path} cannot be read (${why}). The store is not opened, as what cannot be read now would be lost; nothing of it was changed. Look after the disk and try again.`,
      { cause: error },
    );
  }
}
