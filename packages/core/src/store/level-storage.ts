import type { AbstractLevel } from 'abstract-level';
import { FieldbookError } from '../errors.ts';
import type { BatchOperation, KeyRange, Storage } from '../ports.ts';

/** A database handle as `classic-level` and `memory-level` give it, opened with `view` encodings. */
export type LevelHandle = AbstractLevel<unknown, Uint8Array, Uint8Array>;

/**
 * The Storage port over an open abstract-level database with `keyEncoding` and `valueEncoding` `'view'`. Values are
 * normalised to plain `Uint8Array`: classic-level returns Node Buffers, which Yjs refuses.
 */
export function levelStorage(db: LevelHandle): Storage {
  const options = { keyEncoding: 'view', valueEncoding: 'view' } as const;
  let closed = false;
  const guard = async <T>(work: () => Promise<T>): Promise<T> => {
    if (closed) throw new FieldbookError('store_closed', 'The store is closed.');
    try {
      return await work();
    } catch (error) {
      throw storageError(error);
    }
  };
  return {
    get: (key) => guard(async () => plain(await db.get(key, options))),
    getMany: (keys) => guard(async () => (await db.getMany([...keys], options)).map(plain)),
    async *range(range) {
      const iterator = db.iterator({ ...options, ...levelRange(range) });
      try {
        for (;;) {
          const entries = await guard(() => iterator.nextv(256));
          if (entries.length === 0) return;
          for (const [key, value] of entries) yield [plain(key)!, plain(value)!] as [Uint8Array, Uint8Array];
        }
      } finally {
        await iterator.close();
      }
    },
    async *keys(range) {
      const iterator = db.keys({ ...options, ...levelRange(range) });
      try {
        for (;;) {
          const keys = await guard(() => iterator.nextv(1024));
          if (keys.length === 0) return;
          for (const key of keys) yield plain(key)!;
        }
      } finally {
        await iterator.close();
      }
    },
    batch: (operations, { sync }) =>
      guard(() => db.batch(operations as BatchOperation[], { ...options, sync } as typeof options)),
    async close() {
      if (closed) return;
      closed = true;
      await db.close();
    },
  };
}

function levelRange(range: KeyRange): Record<string, unknown> {
  return Object.fromEntries(Object.entries(range).filter(([, value]) => value !== undefined));
}

function plain(bytes: Uint8Array | undefined): Uint8Array | undefined {
  if (bytes === undefined || bytes.constructor === Uint8Array) return bytes;
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength).slice();
}

/** LevelDB speaks in English sentences; a full disk is the one that callers treat differently. */
function storageError(error: unknown): FieldbookError {
  if (error instanceof FieldbookError) return error;
  const text =
    error instanceof Error
      ? `${error.message} ${error.cause instanceof Error ? error.cause.message : ''}`
      : String(error);
  const code = (error as { code?: string }).code;
  if (code === 'LEVEL_DATABASE_NOT_OPEN')
    return new FieldbookError('store_closed', 'The store is closed.', { cause: error });
  if (/ENOSPC|No space left|EDQUOT|quota/i.test(text)) {
    return new FieldbookError('disk_full', 'The disk is full: nothing was stored. Free space and try again.', {
      cause: error,
    });
  }
  return new FieldbookError('storage_failed', `The store could not be read or written: ${text.trim()}`, {
    cause: error,
  });
}
