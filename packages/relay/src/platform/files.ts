import { randomBytes } from 'node:crypto';
import { link, open, readdir, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { diskErrorOf, readErrorOf } from '@fieldbook/core';

/** Whether the platform says that there is nothing at a path, and not that it cannot be looked at. */
export function isAbsent(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** Names in a folder; none where there is none. Throws `storage_failed` when it cannot be read. */
export async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (isAbsent(error)) return [];
    throw readErrorOf(error, folder);
  });
}

/** The file's text, or undefined when there is none. Throws `storage_failed` when there is one that cannot be read. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw readErrorOf(error, path);
  }
}

/**
 * Replaces a file at once and durably: a reader sees the old text or the new, also after a power cut. Throws `disk_full`,
 * `storage_failed`.
 */
export async function writeAtomically(path: string, text: string): Promise<void> {
  const temporary = await writeTemporary(path, text);
  try {
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw diskErrorOf(error, path);
  }
}

/** Replaces a file at once, and durably whenever the system gets to it: for what may be lost. */
export async function replaceLater(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  await writeFile(temporary, text, { flag: 'wx', mode: 0o600 });
  await rename(temporary, path);
}

/**
 * Creates a file for the owner only, unless there is one; false when there is. Never leaves a partial one, nor one that may
 * not be on the disk. Throws `disk_full`, `storage_failed`.
 */
export async function createAtomically(path: string, text: string): Promise<boolean> {
  const temporary = await writeTemporary(path, text);
  try {
    // Unlike rename, link refuses to replace: of two that come at the same time one wins.
    await link(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw diskErrorOf(error, path);
  } finally {
    await unlink(temporary).catch(() => undefined);
  }
  try {
    await syncDirectory(dirname(path));
  } catch (error) {
    await unlink(path).catch(() => undefined);
    throw diskErrorOf(error, path);
  }
  return true;
}

export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function writeTemporary(path: string, text: string): Promise<string> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw diskErrorOf(error, path);
  }
  return temporary;
}
