import type { BatchOperation, Storage } from '../ports.ts';

/**
 * A storage whose disk can be made to fail, hold, or lose what was not fsynced. Wraps any other; `durable` is what a
 * power cut at this moment would leave, as a list of operations for an empty storage (puts and deletes, one per key).
 */
export class FaultStorage implements Storage {
  readonly #inner: Storage;
  readonly #durable = new Map<string, BatchOperation>();
  #unsynced: BatchOperation[] = [];
  #failures: ({ error: unknown; stored: boolean } | undefined)[] = [];
  /** Batches that were reported as failed and are on the disk all the same. */
  #hidden: (readonly BatchOperation[])[] = [];
  #gate: Promise<void> | undefined;
  #open: () => void = () => {};
  batches = 0;
  syncs = 0;
  /** Calls that read. */
  reads = 0;

  constructor(inner: Storage) {
    this.#inner = inner;
  }

  /**
   * The next `count` batches reject with `error`. With `stored` their bytes are on the disk all the same, as after an
   * fsync that failed too late, and can be read after `recover` or a power cut. `from` 2 lets one go well before.
   */
  failNextBatches(count: number, error: unknown, stored = false, from = 1): void {
    for (let index = 1; index < from; index++) this.#failures.push(undefined);
    for (let index = 0; index < count; index++) this.#failures.push({ error, stored });
  }

  /** Batches wait, unwritten, until `release`. */
  hold(): void {
    this.#gate ??= new Promise((resolve) => (this.#open = resolve));
  }

  release(): void {
    this.#gate = undefined;
    this.#open();
  }

  /** No more faults; what a failed batch left hidden stays until `recover`. */
  heal(): void {
    this.#failures = [];
    this.release();
  }

  get durable(): BatchOperation[] {
    return [...this.#durable.values()];
  }

  async batch(operations: readonly BatchOperation[], options: { sync: boolean }): Promise<void> {
    await this.#gate;
    const failure = this.#failures.shift();
    if (failure !== undefined) {
      if (failure.stored) {
        this.#hidden.push(operations);
        this.#keep([...this.#unsynced.splice(0), ...operations]);
      }
      throw failure.error;
    }
    if (this.#hidden.length > 0) throw new Error('a batch was written after a failed one without recover');
    await this.#inner.batch(operations, options);
    this.batches += 1;
    this.#unsynced.push(...operations);
    if (!options.sync) return;
    this.syncs += 1;
    this.#keep(this.#unsynced.splice(0));
  }

  async recover(): Promise<void> {
    const failure = this.#failures.shift();
    if (failure !== undefined) throw failure.error;
    for (const operations of this.#hidden.splice(0)) await this.#inner.batch(operations, { sync: true });
    await this.#inner.recover?.();
  }

  #keep(operations: readonly BatchOperation[]): void {
    for (const operation of operations) this.#durable.set(operation.key.join(), operation);
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.reads += 1;
    return this.#inner.get(key);
  }

  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    this.reads += 1;
    return this.#inner.getMany(keys);
  }

  range(range: Parameters<Storage['range']>[0]): AsyncIterable<[Uint8Array, Uint8Array]> {
    this.reads += 1;
    return this.#inner.range(range);
  }

  keys(range: Parameters<Storage['keys']>[0]): AsyncIterable<Uint8Array> {
    this.reads += 1;
    return this.#inner.keys(range);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
