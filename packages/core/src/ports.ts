/**
 * What core needs from the outside world. Adapters are chosen once, in each program's composition root.
 * The doc comment of a port is its contract; `core/testing` has one suite per port that every adapter runs.
 */

/** Wall clock. Milliseconds since the Unix epoch; may jump in both directions, callers must cope. */
export interface Clock {
  now(): number;
}

/** Cryptographically strong randomness. */
export interface Random {
  /** `length` fresh random bytes. */
  bytes(length: number): Uint8Array;
}

/** Timers, for the few places in core that wait (heartbeats, reconnects). Tests fire them by hand. */
export interface Timers {
  /** Calls `run` once after at least `ms` milliseconds; the returned function cancels. */
  after(ms: number, run: () => void): () => void;
}

/** One operation of an atomic batch. Keys order bytewise. */
export type BatchOperation = { type: 'put'; key: Uint8Array; value: Uint8Array } | { type: 'del'; key: Uint8Array };

/** A half-open or closed range of keys. `limit` bounds the number of entries. */
export interface KeyRange {
  gte?: Uint8Array;
  gt?: Uint8Array;
  lt?: Uint8Array;
  lte?: Uint8Array;
  reverse?: boolean;
  limit?: number;
}

/**
 * Ordered byte keys to byte values.
 * - `batch` is atomic: after a crash either all of it is there or nothing.
 * - `batch` with `sync: true` resolves only when the operating system reports the bytes on stable storage;
 *   everything written before it is then durable too.
 * - Values returned are exactly `Uint8Array` (never a Node `Buffer`: Yjs refuses those) and belong to the caller.
 * - `range` reads a consistent snapshot taken when iteration starts.
 * - After `close` every call rejects with `store_closed`.
 * - A batch that rejected was applied as a whole or not at all, and it may be unknown which. Reads show the state
 *   without it until `recover` resolves; then they show what the disk holds. No batch may be written before that.
 */
export interface Storage {
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>;
  range(range: KeyRange): AsyncIterable<[key: Uint8Array, value: Uint8Array]>;
  keys(range: KeyRange): AsyncIterable<Uint8Array>;
  batch(operations: readonly BatchOperation[], options: { sync: boolean }): Promise<void>;
  /** After a rejected batch: makes the storage writable again. Rejects (`disk_full`, …) while that is impossible. */
  recover?(): Promise<void>;
  close(): Promise<void>;
}

/** Lower-case hex SHA-256 of a blob's bytes; its name everywhere. */
export type BlobDigest = string & { readonly __brand: 'BlobDigest' };

export interface BlobStat {
  digest: BlobDigest;
  size: number;
}

/** A removal of blobs that nothing names. */
export interface BlobRemoval {
  /** False, and nothing is removed, when somebody wrote or kept the blob since the removal began. */
  remove(digest: BlobDigest): Promise<boolean>;
  end(): void;
}

/**
 * Immutable bytes named by their SHA-256.
 * - `write` is idempotent; it resolves after the bytes and their directory entry are fsynced; a crash leaves
 *   either nothing or the whole blob under the name. With `expected`, other bytes are refused (`blob_corrupt`).
 * - `read` resolves undefined when the blob is not here; `range` is `[start, end)` in bytes.
 *   A whole read verifies the digest and rejects with `blob_corrupt` when it does not match.
 * - `list` yields in the order of digests, those behind `after` only; `remove` of an absent blob is not an error.
 * - `removal` begins to remove what nothing names, before it is looked what that is. A blob that was written or kept since then stays.
 * - `keep` says that a blob is named from now on: true when it is here, and then no removal under way takes it.
 */
export interface BlobStore {
  stat(digest: BlobDigest): Promise<BlobStat | undefined>;
  read(digest: BlobDigest, range?: { start: number; end: number }): Promise<Uint8Array | undefined>;
  write(bytes: Uint8Array, expected?: BlobDigest): Promise<BlobDigest>;
  remove(digest: BlobDigest): Promise<void>;
  removal(): BlobRemoval;
  keep(digest: BlobDigest): Promise<boolean>;
  list(options?: { after?: string }): AsyncIterable<BlobStat>;
}

/**
 * One ordered, reliable, message-framed connection to a peer, already open.
 * - `onMessage` and `onClose` are called in order, never re-entrantly from `send`; `onClose` exactly once.
 * - `buffered` is the number of bytes accepted by `send` and not yet handed to the network.
 * - After `close` or `onClose`, `send` does nothing.
 */
export interface Link {
  send(message: Uint8Array): void;
  close(code: number, reason: string): void;
  buffered(): number;
  onMessage: ((message: Uint8Array) => void) | null;
  onClose: ((code: number, reason: string) => void) | null;
}

/** Structured log lines. Never given tokens, keys or record values. */
export interface Log {
  debug(event: string, fields?: Record<string, unknown>): void;
  info(event: string, fields?: Record<string, unknown>): void;
  warn(event: string, fields?: Record<string, unknown>): void;
  error(event: string, fields?: Record<string, unknown>): void;
}
