import { FieldbookError } from '../errors.ts';
import type { BatchOperation, KeyRange, Storage } from '../ports.ts';

/** A Storage in memory, for tests. What it holds stays when it is closed; `reopened` is the same disk, open again. */
export class MemoryStorage implements Storage {
  /** Keys as text, one character a byte: those order as the bytes do. */
  readonly #values: Map<string, Uint8Array>;
  #sorted: string[] | undefined;
  #closed = false;

  constructor(values = new Map<string, Uint8Array>()) {
    this.#values = values;
  }

  reopened(): MemoryStorage {
    return new MemoryStorage(this.#values);
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#check();
    return this.#values.get(textOf(key))?.slice();
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return Promise.all(keys.map((key) => this.get(key)));
  }

  async *range(range: KeyRange): AsyncGenerator<[Uint8Array, Uint8Array]> {
    this.#check();
    const snapshot = this.#select(range).map((key) => [key, this.#values.get(key)!] as const);
    for (const [key, value] of snapshot) {
      this.#check();
      yield [bytesOf(key), value.slice()];
    }
  }

  async *keys(range: KeyRange): AsyncGenerator<Uint8Array> {
    this.#check();
    for (const key of this.#select(range)) {
      this.#check();
      yield bytesOf(key);
    }
  }

  async batch(operations: readonly BatchOperation[]): Promise<void> {
    this.#check();
    this.#sorted = undefined;
    for (const operation of operations) {
      if (operation.type === 'put') this.#values.set(textOf(operation.key), operation.value.slice());
      else this.#values.delete(textOf(operation.key));
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #check(): void {
    if (this.#closed) throw new FieldbookError('store_closed', 'The store is closed.');
  }

  #select({ gte, gt, lt, lte, reverse, limit }: KeyRange): string[] {
    this.#sorted ??= [...this.#values.keys()].sort();
    const bounds = { gte: optional(gte), gt: optional(gt), lt: optional(lt), lte: optional(lte) };
    const found = this.#sorted.filter(
      (key) =>
        (bounds.gte === undefined || key >= bounds.gte) &&
        (bounds.gt === undefined || key > bounds.gt) &&
        (bounds.lt === undefined || key < bounds.lt) &&
        (bounds.lte === undefined || key <= bounds.lte),
    );
    if (reverse === true) found.reverse();
    return limit === undefined ? found : found.slice(0, limit);
  }
}

const optional = (key: Uint8Array | undefined): string | undefined => (key === undefined ? undefined : textOf(key));

function textOf(key: Uint8Array): string {
  return String.fromCharCode(...key);
}

function bytesOf(key: string): Uint8Array {
  return Uint8Array.from(key, (char) => char.charCodeAt(0));
}
