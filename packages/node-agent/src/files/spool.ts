import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { lstat, open, readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunId, WriterId } from '@fieldbook/core';
import { isFieldbookError, parseRunId } from '@fieldbook/core';
import type { SpoolOwner } from '@fieldbook/core/ingest';

/** The spool folder of one writer, `<root>/<project>/<run>/<writer>.files`. */
export interface SpoolFolder {
  run: RunId;
  writer: WriterId;
  path: string;
  /** True in this home, where what is stored is removed; other directories belong to somebody else. */
  own: boolean;
}

const FOLDER = /^([0-9a-hjkmnp-tv-z]{26})\.files$/;

/** Finds the spool folders under journal directories; `own` is the home's, the others are only read. */
export class Spools {
  readonly #roots: readonly { path: string; own: boolean }[];

  constructor(own: string, others: readonly string[] = []) {
    this.#roots = [{ path: own, own: true }, ...others.map((path) => ({ path, own: false }))];
  }

  /** Every spool folder that holds anything. */
  async *all(): AsyncGenerator<SpoolFolder> {
    for (const root of this.#roots) {
      for (const project of await names(root.path)) {
        for (const run of await names(join(root.path, project))) {
          yield* this.#inRun(join(root.path, project, run), run, root.own);
        }
      }
    }
  }

  /** Those of one run, in every directory that has it; the home's own first. */
  async ofRun(run: RunId): Promise<SpoolFolder[]> {
    const found: SpoolFolder[] = [];
    for (const root of this.#roots) {
      for (const project of await names(root.path)) {
        for await (const folder of this.#inRun(join(root.path, project, run), run, root.own)) found.push(folder);
      }
    }
    return found;
  }

  /** Those of one writer whose project is known. */
  async ofWriter({ project, run, writer }: SpoolOwner): Promise<SpoolFolder[]> {
    const found: SpoolFolder[] = [];
    for (const { path, own } of this.#roots) {
      const folder = { run, writer, own, path: join(path, project, run, `${writer}.files`) };
      if (await isFolder(folder.path)) found.push(folder);
    }
    return found;
  }

  async *#inRun(path: string, id: string, own: boolean): AsyncGenerator<SpoolFolder> {
    const run = runOf(id);
    if (run === undefined) return;
    for (const name of await names(path)) {
      const match = FOLDER.exec(name);
      if (match === null) continue;
      const folder = join(path, name);
      if (await isFolder(folder)) yield { run, writer: match[1] as WriterId, path: folder, own };
    }
  }
}

/** Everything in a spool folder, files in the making included. */
export async function everyName(folder: SpoolFolder): Promise<string[]> {
  return readdir(folder.path).catch(() => []);
}

/** A spooled file, open for reading; undefined when there is none. What is no regular file is none. */
export async function openSpooled(folder: SpoolFolder, name: string): Promise<FileHandle | undefined> {
  let file: FileHandle;
  try {
    // Nor may the file be a link; and a pipe would be waited for for ever.
    file = await open(join(folder.path, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP' || code === 'ENXIO') return undefined;
    throw error;
  }
  const info = await file.stat().catch(async (error: unknown) => {
    await file.close();
    throw error;
  });
  if (info.isFile()) return file;
  await file.close();
  return undefined;
}

/** Removes a spooled file. The folder stays: its writer may be about to write the next one. */
export async function removeSpooled(folder: Pick<SpoolFolder, 'path'>, name: string): Promise<void> {
  await rm(join(folder.path, name), { force: true });
}

/** Removes a folder that is empty and whose writer has ended. */
export async function removeEmpty(folder: SpoolFolder): Promise<void> {
  await rmdir(folder.path).catch(() => undefined);
}

function runOf(name: string): RunId | undefined {
  try {
    return parseRunId(name);
  } catch (error) {
    if (isFieldbookError(error)) return undefined;
    throw error;
  }
}

/** A link could lead to files that the agent may read and whoever made the link may not. */
async function isFolder(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined))?.isDirectory() === true;
}

async function names(path: string): Promise<string[]> {
  return (await readdir(path).catch(() => [])).filter((name) => !name.startsWith('.'));
}
