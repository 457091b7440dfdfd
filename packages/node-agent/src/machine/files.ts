import { randomBytes } from 'node:crypto';
import { link, open, readFile, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { diskErrorOf, FieldbookError, readErrorOf } from '@fieldbook/core';

/** The file's text, or undefined when there is none. Throws `storage_failed` when there is one that cannot be read. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw readErrorOf(error, path);
  }
}

/** The JSON value in a file, undefined when there is none; `config_invalid` when it is not JSON. */
export async function readJsonIfThere(path: string): Promise<unknown> {
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new FieldbookError('config_invalid', `${path} is not valid JSON: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Replaces a file at once and durably: a reader sees the old text or the new, also after a power cut. */
export async function writeAtomically(path: string, text: string, mode: number): Promise<void> {
  const temporary = await writeTemporary(path, text, mode);
  try {
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw diskErrorOf(error, path);
  }
}

/**
 * Creates a file unless there is one; false when there is. Never leaves a partial one, nor one that may not be on the disk. Throws
 * `disk_full`, `storage_failed`.
 */
export async function createAtomically(path: string, text: string, mode: number): Promise<boolean> {
  const temporary = await writeTemporary(path, text, mode);
  try {
    // Unlike rename, link refuses to replace: of two first starts at the same time one key wins for both.
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

async function writeTemporary(path: string, text: string, mode: number): Promise<string> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const file = await open(temporary, 'wx', mode);
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

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
