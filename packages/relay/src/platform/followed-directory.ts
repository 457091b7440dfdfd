import type { FSWatcher } from 'node:fs';
import { watch } from 'node:fs';

/** Several files that change together are looked at once. */
const SETTLE_MS = 30;
/** Where the system tells of changes, this is for what it may have missed … */
const SELDOM_MS = 60_000;
/** … and where it does not, this is how soon a change is seen. */
const OFTEN_MS = 500;

/**
 * Calls `look` soon after something changed in a directory, and seldom without that: a program that has nothing to do sleeps.
 * `failed` is told what `look` rejects with. Gives the way to stop; keeps no process alive.
 */
export function followDirectory(path: string, look: () => Promise<void>, failed: (error: unknown) => void): () => void {
  let soon: NodeJS.Timeout | undefined;
  let watcher: FSWatcher | undefined;
  let every: NodeJS.Timeout | undefined;
  const run = (): void => void look().catch(failed);
  const repeat = (ms: number): void => {
    clearInterval(every);
    every = setInterval(run, ms).unref();
  };
  const blind = (): void => {
    watcher?.close();
    watcher = undefined;
    repeat(OFTEN_MS);
  };
  try {
    watcher = watch(path, { persistent: false }, () => {
      soon ??= setTimeout(() => {
        soon = undefined;
        run();
      }, SETTLE_MS).unref();
    });
    watcher.on('error', blind);
    repeat(SELDOM_MS);
  } catch {
    // No watches left, or a file system that has none.
    blind();
  }
  return () => {
    watcher?.close();
    clearTimeout(soon);
    clearInterval(every);
  };
}
