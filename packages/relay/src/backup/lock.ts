import { readFile, unlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { diskErrorOf, FieldbookError } from '@fieldbook/core';

/** `read`: a directory that this process may not write to, such as a backup mounted read-only, needs no lock of ours. */
export type LockFor = 'change' | 'read';

const NO_WRITING: ReadonlySet<string> = new Set(['EROFS', 'EACCES', 'EPERM']);

/**
 * Runs `work` while no other command works on the backup directory. A lock that a killed process of this host has left is taken over.
 * Throws `store_locked`, `storage_failed`, `disk_full`.
 */
export async function withLock<T>(directory: string, work: () => Promise<T>, reason: LockFor = 'change'): Promise<T> {
  const path = join(directory, 'lock');
  const isOurs = await takeLock(path, directory, reason);
  try {
    return await work();
  } finally {
    if (isOurs) await unlink(path).catch(() => undefined);
  }
}

/** Whether a lock was made; false where nothing can be written. */
async function takeLock(path: string, directory: string, reason: LockFor): Promise<boolean> {
  const ours = JSON.stringify({ host: hostname(), pid: process.pid });
  const mayDoWithout = (error: unknown): boolean =>
    reason === 'read' && NO_WRITING.has((error as NodeJS.ErrnoException).code ?? '');
  for (;;) {
    try {
      await writeFile(path, ours, { flag: 'wx', mode: 0o600 });
      return true;
    } catch (error) {
      if (isNot(error, 'EEXIST')) {
        // Whether somebody else works there is said all the same, where it can be seen.
        if (!mayDoWithout(error)) throw diskErrorOf(error, path);
        await mustBeFree(path, directory);
        return false;
      }
    }
    if (!(await mustBeFree(path, directory))) continue;
    try {
      await unlink(path);
    } catch (error) {
      if (mayDoWithout(error)) return false;
      if (isNot(error, 'ENOENT')) throw error;
    }
  }
}

/** Whether there is a lock, left over; false when it went. Throws `store_locked` when somebody holds it. */
async function mustBeFree(path: string, directory: string): Promise<boolean> {
  let theirs: string;
  try {
    theirs = await readFile(path, 'utf8');
  } catch (error) {
    if (!isNot(error, 'ENOENT')) return false;
    theirs = "another user's";
  }
  if (isLeftOver(theirs)) return true;
  throw new FieldbookError(
    'store_locked',
    `Another command works on ${directory} (${theirs}). If none does, delete ${path}.`,
  );
}

const isNot = (error: unknown, code: string): boolean => (error as NodeJS.ErrnoException).code !== code;

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
