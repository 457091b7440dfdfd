import { isFieldbookError } from '../errors.ts';
import type { Storage } from '../ports.ts';
import type { HistoryOptions } from '../store/index.ts';
import { FakeClock } from './clock.ts';
import { FaultStorage } from './fault-storage.ts';
import { MemoryStorage } from './memory-storage.ts';

/** An empty storage in memory that outlives its replica: closing it does nothing. */
export async function memoryStorage(): Promise<FaultStorage> {
  const storage = new FaultStorage(new MemoryStorage());
  storage.close = () => Promise.resolve();
  return storage;
}

/** What a power cut at this moment would leave of `storage`, as a new one. */
export async function afterPowerCut(storage: FaultStorage): Promise<FaultStorage> {
  const fresh = await memoryStorage();
  await fresh.batch(storage.durable, { sync: true });
  return fresh;
}

/** Every key and value, as text that can be compared. */
export async function contentsOf(storage: Storage): Promise<string[]> {
  const lines: string[] = [];
  for await (const [key, value] of storage.range({})) lines.push(`${key.join()} ${value.join()}`);
  return lines;
}

/** The code that `work` rejects with; undefined when it resolves, `not ours: …` for an error of another kind. */
export function codeOf(work: Promise<unknown>): Promise<string | undefined> {
  return work.then(
    () => undefined,
    (error: unknown) => (isFieldbookError(error) ? error.code : `not ours: ${String(error)}`),
  );
}

/** A log for repair without compression. */
export function testHistory(override: Partial<HistoryOptions> = {}): HistoryOptions {
  return {
    clock: new FakeClock(1_768_478_400_000),
    maxBytes: 64 * 1024 * 1024,
    maxAgeMs: 365 * 86_400_000,
    deflate: (bytes) => Promise.resolve(bytes.slice()),
    inflate: (bytes) => Promise.resolve(bytes.slice()),
    ...override,
  };
}
