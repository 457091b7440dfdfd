import type { AbstractLevel } from 'abstract-level';
import { asFieldbookError, FieldbookError } from '../errors.ts';
import type { BatchOperation, KeyRange, Storage } from '../ports.ts';

/** A database handle as `classic-level` and `memory-level` give it, opened with `view` encodings. */
export type LevelHandle = AbstractLevel<unknown, Uint8Array, Uint8Array>;

export interface LevelStorageOptions {
  /** Bytes that can still be written to the database's disk, where the platform tells. */
  freeBytes?: () => Promise<number>;
  /** Writes and fsyncs a few bytes beside the database's files; rejects while the disk takes none. */
  probe?: () => Promise<void>;
  /** Rejects while what the database is opened from cannot be read (`mustBeReadable`); until then it is left as it is. */
  readable?: () => Promise<void>;
}

/** Opening writes what the last log held as a table (4 MiB at most) and a new manifest. */
const OPEN_NEEDS_BYTES = 16 * 1024 * 1024;
/** Written where nobody tells how much is free: about as much as a batch is. */
const PROBE_BYTES = 64 * 1024;

/**
 * The Storage port over an open abstract-level database with `keyEncoding` and `valueEncoding` `'view'`. Values are
 * normalised to plain `Uint8Array`: classic-level returns Node Buffers, which Yjs refuses.
 *
 * LevelDB goes on behind a torn write as if it had not happened: the record half-written on a full disk shifts all that
 * follow, they are acknowledged, and lost when the log is next read. So after any failed batch the database is closed
 * and opened again before the next one, which reads the log up to the tear and begins a new one.
 */
export function levelStorage(db: LevelHandle, options: LevelStorageOptions = {}): Storage {
  const level = new LevelStorage(db, options);
  return {
    get: (key) => level.get(key),
    getMany: (keys) => level.getMany(keys),
    range: (range) => level.range(range),
    keys: (range) => level.keys(range),
    batch: (operations, durability) => level.batch(operations, durability),
    recover: () => level.recover(),
    close: () => level.close(),
  };
}

type LevelSnapshot = ReturnType<LevelHandle['snapshot']>;

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const;

class LevelStorage implements Required<Storage> {
  readonly #db: LevelHandle;
  readonly #freeBytes: (() => Promise<number>) | undefined;
  readonly #probe: (() => Promise<void>) | undefined;
  readonly #readable: (() => Promise<void>) | undefined;
  #closed = false;
  /** A batch failed, and the log may be torn. */
  #torn = false;
  /** Closed for a reopening that is under way or failed; then whoever comes tries again. */
  #down = false;
  #reopening: Promise<void> | undefined;

  constructor(db: LevelHandle, options: LevelStorageOptions) {
    this.#db = db;
    this.#freeBytes = options.freeBytes;
    this.#probe = options.probe;
    this.#readable = options.readable;
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#guard(async () => plain(await this.#db.get(key, VIEW)));
  }

  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#guard(async () => (await this.#db.getMany([...keys], VIEW)).map(plain));
  }

  async *range(range: KeyRange): AsyncGenerator<[Uint8Array, Uint8Array]> {
    yield* this.#checked(
      range,
      (options) => this.#db.iterator({ ...VIEW, ...options }),
      async (iterator) =>
        (await iterator.nextv(256)).map(([key, value]): [Uint8Array, Uint8Array] => [plain(key)!, plain(value)!]),
    );
  }

  async *keys(range: KeyRange): AsyncGenerator<Uint8Array> {
    yield* this.#checked(
      range,
      (options) => this.#db.keys({ ...VIEW, ...options }),
      async (iterator) => (await iterator.nextv(1024)).map((key) => plain(key)!),
    );
  }

  /**
   * LevelDB passes over a part that it cannot read and goes on behind it. That is an error at the end of a range and nowhere else,
   * so a limit would hide it, and the entries that are missing would never have been there. With a limit the last key is looked for
   * first, and then everything up to it read to the end.
   */
  async *#checked<I extends { close(): Promise<void> }, E>(
    range: KeyRange,
    open: (options: Record<string, unknown>) => I,
    next: (iterator: I) => Promise<E[]>,
  ): AsyncGenerator<E> {
    const snapshot = range.limit === undefined ? undefined : await this.#guard(async () => this.#db.snapshot());
    try {
      const whole = snapshot === undefined ? range : await this.#upToLast(range, snapshot);
      const iterator = await this.#guard(async () => open({ ...levelRange(whole), ...(snapshot && { snapshot }) }));
      try {
        for (;;) {
          const entries = await this.#guard(() => next(iterator));
          if (entries.length === 0) return;
          yield* entries;
        }
      } finally {
        await iterator.close();
      }
    } finally {
      await snapshot?.close();
    }
  }

  /** The range without its limit: up to the last key that this leaves in it. */
  async #upToLast({ limit = Infinity, ...range }: KeyRange, snapshot: LevelSnapshot): Promise<KeyRange> {
    const iterator = await this.#guard(async () => this.#db.keys({ ...VIEW, ...levelRange(range), limit, snapshot }));
    try {
      let last: Uint8Array | undefined;
      for (let count = 0; count < limit;) {
        const keys = await this.#guard(() => iterator.nextv(limit - count));
        if (keys.length === 0) return range;
        count += keys.length;
        last = plain(keys.at(-1));
      }
      const { gt, gte, lt, lte, ...direction } = range;
      const near = range.reverse === true ? { lt, lte, gte: last } : { gt, gte, lte: last };
      return { ...direction, ...(levelRange(near) as KeyRange) };
    } finally {
      await iterator.close();
    }
  }

  async batch(operations: readonly BatchOperation[], { sync }: { sync: boolean }): Promise<void> {
    if (this.#torn) await this.recover();
    await this.#guard(async () => {
      try {
        await this.#db.batch(operations as BatchOperation[], { ...VIEW, sync } as typeof VIEW);
      } catch (error) {
        this.#torn = true;
        throw error;
      }
    });
  }

  /** Rejects while there is no room, or the disk fails: a database that is closed then cannot be read either. */
  async recover(): Promise<void> {
    if (!this.#torn) return;
    await this.#guard(async () => {
      if (this.#freeBytes === undefined) {
        // Into the torn log, where it is lost: it only shows whether the disk takes anything.
        const nothing: BatchOperation = { type: 'del', key: new Uint8Array(PROBE_BYTES) };
        await this.#db.batch([nothing], { ...VIEW, sync: true } as typeof VIEW);
      } else if ((await this.#freeBytes()) < OPEN_NEEDS_BYTES) {
        throw new FieldbookError('disk_full', 'The disk is full: nothing can be stored until there is space again.');
      }
      await this.#probe?.();
    });
    await this.#reopen();
    this.#torn = false;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#reopening?.catch(() => {});
    await this.#db.close();
  }

  async #guard<T>(work: () => Promise<T>): Promise<T> {
    if (this.#down) await this.#reopen();
    if (this.#closed) throw new FieldbookError('store_closed', 'The store is closed.');
    try {
      return await work();
    } catch (error) {
      throw storageError(error);
    }
  }

  #reopen(): Promise<void> {
    this.#reopening ??= this.#closeAndOpen().finally(() => {
      this.#reopening = undefined;
    });
    return this.#reopening;
  }

  async #closeAndOpen(): Promise<void> {
    try {
      // Before anything is closed: what cannot be read when it is opened is lost.
      await this.#readable?.();
      this.#down = true;
      await this.#db.close();
      if (this.#closed) return;
      await this.#db.open({ createIfMissing: false });
      this.#down = false;
    } catch (error) {
      throw storageError(error);
    }
  }
}

function levelRange(range: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(range).filter(([, value]) => value !== undefined));
}

function plain(bytes: Uint8Array | undefined): Uint8Array | undefined {
  if (bytes === undefined || bytes.constructor === Uint8Array) return bytes;
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength).slice();
}

/** LevelDB speaks in English sentences; a full disk is the one that callers treat differently. */
function storageError(error: unknown): FieldbookError {
  if (error instanceof FieldbookError) return error;
  const { message } = asFieldbookError(error);
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : '';
  const text = `${message} ${cause}`.trim();
  if (/ENOSPC|No space left|EDQUOT|quota|EFBIG|File too large/i.test(text)) {
    return new FieldbookError('disk_full', 'The disk is full: nothing was stored. Free space and try again.', {
      cause: error,
    });
  }
  return new FieldbookError('storage_failed', `The store could not be read or written: ${text}`, { cause: error });
}
