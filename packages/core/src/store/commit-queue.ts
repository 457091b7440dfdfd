import { asFieldbookError, FieldbookError } from '../errors.ts';
import type { BatchOperation, Log, Storage } from '../ports.ts';

/** One batch is one fsync; larger ones gain nothing and hold their bytes in memory twice. */
const BATCH_BYTES = 8 * 1024 * 1024;
const BATCH_WORKS = 4_096;

/** Something that must be on disk: part of a batch, built when its turn comes, and told how that ended. */
export interface Work {
  /** Roughly what `build` will add. */
  readonly bytes: number;
  /** Adds its operations. Throws to be left out: `failed` gets the error, the rest of the batch goes on. */
  build(batch: BatchOperation[]): void;
  /** After fsync, in the order of the queue. Must not throw. */
  done(): void;
  /** Before anything else runs, newest work first, so that each can put back what its `build` changed. Must not throw. */
  failed(error: FieldbookError): void;
}

/**
 * Group commit. One batch at a time is on its way to the disk; what arrives meanwhile goes into the next one, so that
 * fsyncs are shared and acknowledged in order. When a batch fails, everything behind it fails too, since it was made on
 * top; the next work first lets the storage recover, because a failed batch may have reached the disk all the same.
 */
export class CommitQueue {
  readonly #storage: Storage;
  readonly #log: Log | undefined;
  readonly #recovered: () => Promise<Work[]>;
  #queue: Work[] = [];
  #running: Promise<void> | undefined;
  #doubtful = false;
  #closed = false;

  /** `recovered` runs after a failure, before the next batch, and gives what must go first into it. */
  constructor(storage: Storage, recovered: () => Promise<Work[]>, log?: Log) {
    this.#storage = storage;
    this.#recovered = recovered;
    this.#log = log;
  }

  push(work: Work): void {
    if (this.#closed) {
      work.failed(new FieldbookError('store_closed', 'The store is closed.'));
      return;
    }
    this.#queue.push(work);
    this.#running ??= this.#run();
  }

  /** `build` in the next batch. Rejects with `disk_full` or `storage_failed`; `undo` then runs before anything else. `did` runs in turn, before later work. */
  write(build: (batch: BatchOperation[]) => void, bytes = 0, undo?: () => void, did?: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        did?.();
        resolve();
      };
      const failed = (error: FieldbookError): void => {
        undo?.();
        reject(error);
      };
      this.push({ bytes, build, done, failed });
    });
  }

  /** Resolves when everything pushed so far has ended, well or badly. */
  async flush(): Promise<void> {
    // Its own place in the queue: waiting for an empty queue could take for ever under steady writes.
    if (this.#running !== undefined) await this.write(() => {}).catch(() => {});
  }

  /** Takes nothing more and waits for what is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    try {
      // A turn of the microtask queue lets changes made together share one fsync.
      await Promise.resolve();
      while (this.#queue.length > 0) await this.#runOne();
    } finally {
      // In the same turn that saw the queue empty: work pushed any later must find nobody running, or nobody would run it.
      this.#running = undefined;
    }
  }

  async #runOne(): Promise<void> {
    const group: Work[] = [];
    try {
      if (this.#doubtful) {
        await this.#storage.recover?.();
        this.#queue.unshift(...(await this.#recovered()));
        this.#doubtful = false;
      }
      const batch = this.#take(group);
      if (batch.length > 0) await this.#storage.batch(batch, { sync: true });
    } catch (error) {
      this.#doubtful = true;
      this.#fail([...group, ...this.#queue.splice(0)], asFieldbookError(error, 'storage_failed'));
      return;
    }
    for (const work of group) work.done();
  }

  #take(group: Work[]): BatchOperation[] {
    const batch: BatchOperation[] = [];
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && bytes <= BATCH_BYTES && count < BATCH_WORKS) {
      const work = this.#queue[count++]!;
      const length = batch.length;
      try {
        work.build(batch);
        group.push(work);
        bytes += work.bytes;
      } catch (error) {
        batch.length = length;
        work.failed(asFieldbookError(error));
      }
    }
    this.#queue.splice(0, count);
    return lastPerKey(batch);
  }

  #fail(works: readonly Work[], error: FieldbookError): void {
    this.#log?.error('store.write_failed', { code: error.code, error: error.message, lost: works.length });
    for (const work of [...works].reverse()) work.failed(error);
  }
}

/** The last word on each key: fifty commits of one document need its entry once. */
function lastPerKey(batch: BatchOperation[]): BatchOperation[] {
  if (batch.length < 8) return batch;
  const last = new Map<string, BatchOperation>();
  const decoder = new TextDecoder('latin1');
  for (const operation of batch) last.set(decoder.decode(operation.key), operation);
  return [...last.values()];
}
