import { readFile, unlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { FieldbookError } from '@fieldbook/core';

/**
 * Runs `work` while no other command changes the backup directory. A lock that a killed process of this host has left is taken over.
 * Throws `store_locked`.
 */
export async function withLock<T>(directory: string, work: () => Promise<T>): Promise<T> {
  const path = join(directory, 'lock');
  const ours = JSON.stringify({ host: hostname(), pid: process.pid });
  for (;;) {
    try {
      await writeFile(path, ours, { flag: 'wx', mode: 0o600 });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const theirs = await readFile(path, 'utf8').catch(() => undefined);
    // It went in between.
    if (theirs === undefined) continue;
    if (!isLeftOver(theirs))
      throw new FieldbookError(
        'store_locked',
        `Another command works on ${directory} (${theirs}). If none does, delete ${path}.`,
      );
    await unlink(path).catch(() => undefined);
  }
  try {
    return await work();
  } finally {
    await unlink(path).catch(() => undefined);
  }
}

function isLeftOver(theirs: string): boolean {
  try {
    const { host, pid } = JSON.parse(theirs) as { host?: unknown; pid?: unknown };
    if (host !== hostname() || typeof pid !== 'number') return false;
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
