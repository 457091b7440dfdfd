import type { BatchOperation, Storage } from '../ports.ts';

/**
 * A storage whose disk can be made to fail, hold, or lose what was not fsynced. Wraps any other; `durable` is what a
 * power cut at this moment would leave, as a list of operations for an empty storage.
 */
export class FaultStorage implements Storage {
  readonly #inner: Storage;
  readonly #durable = new Map<string, BatchOperation>();
  #unsynced: BatchOperation[] = [];
  #failures: unknown[] = [];
  #gate: Promise<void> | undefined;
  #open: () => void = () => {};
  batches = 0;
  syncs = 0;

  constructor(inner: Storage) {
    this.#inner = inner;
  }

  /** The next `count` batches reject with `error` and write nothing. */
  failNextBatches(count: number, error: unknown): void {
    for (let index = 0; index < count; index++) this.#failures.push(error);
  }

  /** Batches wait, unwritten, until `release`. */
  hold(): void {
    this.#gate = new Promise((resolve) => (this.#open = resolve));
  }

  release(): void {
    this.#gate = undefined;
    this.#open();
  }

  get durable(): BatchOperation[] {
    return [...this.#durable.values()];
  }

  async batch(operations: readonly BatchOperation[], options: { sync: boolean }): Promise<void> {
    await this.#gate;
    const failure = this.#failures.shift();
    if (failure !== undefined) throw failure;
    await this.#inner.batch(operations, options);
    this.batches += 1;
    this.#unsynced.push(...operations);
    if (!options.sync) return;
    this.syncs += 1;
    for (const operation of this.#unsynced) {
      const name = operation.key.join();
      this.#durable.delete(name);
      this.#durable.set(name, operation);
    }
    this.#unsynced = [];
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#inner.get(key);
  }

  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#inner.getMany(keys);
  }

  range(range: Parameters<Storage['range']>[0]): AsyncIterable<[Uint8Array, Uint8Array]> {
    return this.#inner.range(range);
  }

  keys(range: Parameters<Storage['keys']>[0]): AsyncIterable<Uint8Array> {
    return this.#inner.keys(range);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
