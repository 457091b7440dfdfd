import * as fs from 'node:fs/promises';
import { open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { FieldbookError } from '@fieldbook/core';
import type { LevelHandle, LevelStorageOptions } from '@fieldbook/core/store';
import { mustBeReadable } from '@fieldbook/core/store';

/** Opens the LevelDB of a home. Throws `store_locked` while another process has it, `storage_failed` when it cannot be read. */
export async function openLevel(path: string): Promise<LevelHandle> {
  await mustBeReadable(fs, path);
  const db = new ClassicLevel<Uint8Array, Uint8Array>(path, { keyEncoding: 'view', valueEncoding: 'view' });
  try {
    await db.open();
  } catch (error) {
    const cause = (error as { cause?: { code?: string; message?: string } }).cause;
    if (cause?.code === 'LEVEL_LOCKED') {
      throw new FieldbookError(
        'store_locked',
        `The store at ${path} is in use by another process: an agent that is starting, or another fieldbook command.`,
        { cause: error },
      );
    }
    const why = cause?.message ?? String(error);
    const code = /ENOSPC|No space left/i.test(why)
      ? 'disk_full'
      : /corrupt/i.test(why)
        ? 'store_corrupt'
        : 'storage_failed';
    throw new FieldbookError(code, `The store at ${path} cannot be opened: ${why}`, { cause: error });
  }
  return db as unknown as LevelHandle;
}

/** What a LevelDB that is open for long looks at before it goes on after a write that failed. */
export function lookingAfter(path: string): LevelStorageOptions {
  return {
    freeBytes: () => freeBytes(path),
    probe: () => probeDisk(path),
    readable: () => mustBeReadable(fs, path),
  };
}

/** Writes a few bytes to the disk of a folder and takes them away again; rejects while it takes none. */
async function probeDisk(folder: string): Promise<void> {
  const path = join(folder, 'probe');
  try {
    const file = await open(path, 'w', 0o600);
    try {
      await file.writeFile('.');
      await file.sync();
    } finally {
      await file.close();
    }
  } finally {
    await rm(path, { force: true });
  }
}

/** Bytes that can still be written to the disk of a folder. */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/** A disk as a folder on it sees it: what can still be written by this user, and all that there is. */
export async function diskOf(path: string): Promise<{ free: number; total: number }> {
  const { bavail, blocks, bsize } = await statfs(path);
  return { free: bavail * bsize, total: blocks * bsize };
}
