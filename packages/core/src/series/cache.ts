/**
 * Decoded things by key, least recently used ones forgotten when `limitBytes` is passed. Loads of one key that overlap
 * in time are one load. A load that fails or resolves undefined is not kept.
 */
export class ByteCache<T> {
  readonly #limit: number;
  readonly #sizeOf: (value: T) => number;
  /** In order of last use. */
  readonly #kept = new Map<string, T>();
  readonly #loading = new Map<string, Promise<T | undefined>>();
  #bytes = 0;

  constructor(limitBytes: number, sizeOf: (value: T) => number) {
    this.#limit = limitBytes;
    this.#sizeOf = sizeOf;
  }

  /** Bytes of everything kept. */
  get bytes(): number {
    return this.#bytes;
  }

  async get(key: string, load: () => Promise<T | undefined>): Promise<T | undefined> {
    const kept = this.#kept.get(key);
    if (kept !== undefined) {
      this.#kept.delete(key);
      this.#kept.set(key, kept);
      return kept;
    }
    let loading = this.#loading.get(key);
    if (loading === undefined) {
      loading = load()
        .then((value) => {
          if (value !== undefined) this.#keep(key, value);
          return value;
        })
        .finally(() => this.#loading.delete(key));
      this.#loading.set(key, loading);
    }
    return await loading;
  }

  #keep(key: string, value: T): void {
    const size = this.#sizeOf(value);
    if (size > this.#limit) return;
    this.#kept.set(key, value);
    this.#bytes += size;
    for (const [oldest, candidate] of this.#kept) {
      if (this.#bytes <= this.#limit) break;
      this.#kept.delete(oldest);
      this.#bytes -= this.#sizeOf(candidate);
    }
  }
}
