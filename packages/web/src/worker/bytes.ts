/** Bytes under a name, with what its owner wants to know of them. */
export interface KeptBytes {
  key: string;
  bytes: Uint8Array<ArrayBuffer>;
  /** When they were last needed, ms since the epoch; for eviction. */
  used: number;
  size: number;
  note: string | null;
}

/** A bounded cache of bytes that can all be had again. */
export interface BytesCache {
  get(key: string): Promise<KeptBytes | undefined>;
  put(kept: KeptBytes): Promise<void>;
  /** Keys that begin with `prefix`. */
  keys(prefix: string): Promise<string[]>;
  /** Drops what is under `key` and under `key/…`. */
  remove(key: string): Promise<void>;
  /** Drops the longest unused beyond `limit` bytes, and nothing that no server has. */
  trim(limit: number): Promise<void>;
  /** All bytes kept, how many entries, and the bytes of those that no server has yet. */
  usage(): Promise<{ bytes: number; count: number; unsent: number }>;
}

/** `used` of what no server has yet: behind everything that can be had again. */
export const LAST_TO_GO = 8_640_000_000_000_000;

/** For a browser that stores nothing: the same, until the tab closes. */
export class MemoryBytes implements BytesCache {
  readonly #kept = new Map<string, KeptBytes>();

  async get(key: string): Promise<KeptBytes | undefined> {
    return this.#kept.get(key);
  }

  async put(kept: KeptBytes): Promise<void> {
    this.#kept.delete(kept.key);
    this.#kept.set(kept.key, kept);
  }

  async keys(prefix: string): Promise<string[]> {
    return [...this.#kept.keys()].filter((key) => key.startsWith(prefix));
  }

  async remove(key: string): Promise<void> {
    for (const each of this.#kept.keys()) if (each === key || each.startsWith(`${key}/`)) this.#kept.delete(each);
  }

  async trim(limit: number): Promise<void> {
    let total = 0;
    for (const { size } of this.#kept.values()) total += size;
    for (const { key, size, used } of [...this.#kept.values()].sort((a, b) => a.used - b.used)) {
      if (total <= limit || used === LAST_TO_GO) return;
      this.#kept.delete(key);
      total -= size;
    }
  }

  async usage(): Promise<{ bytes: number; count: number; unsent: number }> {
    return usageOf([...this.#kept.values()]);
  }
}

function usageOf(all: readonly { size: number; used: number }[]): { bytes: number; count: number; unsent: number } {
  const sum = (some: readonly { size: number }[]): number => some.reduce((total, { size }) => total + size, 0);
  return { bytes: sum(all), count: all.length, unsent: sum(all.filter(({ used }) => used === LAST_TO_GO)) };
}

const NAME = 'fieldbook/bytes';
const OPEN_MS = 5_000;

/** In a database of its own, so that no tab with an older page hinders its first opening. */
export class IndexedBytes implements BytesCache {
  #db: IDBDatabase | null = null;

  private constructor(db: IDBDatabase) {
    this.#take(db);
  }

  #take(db: IDBDatabase): IDBDatabase {
    db.addEventListener('close', () => (this.#db = null));
    return (this.#db = db);
  }

  /** A database that the browser has cleared under the tab is opened anew when it is next asked. */
  async #store(mode: IDBTransactionMode): Promise<IDBObjectStore> {
    const db = this.#db ?? this.#take(await openDatabase());
    return db.transaction('bytes', mode).objectStore('bytes');
  }

  /** Memory instead, where no database opens: what is lost is only speed. */
  static async open(): Promise<BytesCache> {
    try {
      return new IndexedBytes(await openDatabase());
    } catch {
      return new MemoryBytes();
    }
  }

  async get(key: string): Promise<KeptBytes | undefined> {
    const request = (await this.#store('readonly')).get(key);
    return new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result as KeptBytes | undefined);
      request.onerror = () => reject(request.error ?? new Error('a read failed'));
    });
  }

  async put(kept: KeptBytes): Promise<void> {
    const store = await this.#store('readwrite');
    store.put(kept);
    await done(store.transaction);
  }

  async keys(prefix: string): Promise<string[]> {
    const store = await this.#store('readonly');
    const request = store.getAllKeys(IDBKeyRange.bound(prefix, `${prefix}\uffff`));
    return new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result as string[]);
      request.onerror = () => reject(request.error ?? new Error('a read failed'));
    });
  }

  async remove(key: string): Promise<void> {
    const store = await this.#store('readwrite');
    store.delete(key);
    // `0` is the character after `/`.
    store.delete(IDBKeyRange.bound(`${key}/`, `${key}0`, false, true));
    await done(store.transaction);
  }

  async trim(limit: number): Promise<void> {
    const store = await this.#store('readwrite');
    const all = await byAge(store);
    let total = all.reduce((sum, { size }) => sum + size, 0);
    for (const { key, size, used } of all) {
      if (total <= limit || used === LAST_TO_GO) break;
      store.delete(key);
      total -= size;
    }
    await done(store.transaction);
  }

  async usage(): Promise<{ bytes: number; count: number; unsent: number }> {
    return usageOf(await byAge(await this.#store('readonly')));
  }
}

/** Every entry, the longest unused first. The index has age and size in its key: no bytes are read. */
function byAge(store: IDBObjectStore): Promise<{ key: IDBValidKey; used: number; size: number }[]> {
  const all: { key: IDBValidKey; used: number; size: number }[] = [];
  const request = store.index('age').openKeyCursor();
  return new Promise((resolve, reject) => {
    request.onerror = () => reject(request.error ?? new Error('a read failed'));
    request.onsuccess = () => {
      const cursor = request.result;
      if (cursor === null) return resolve(all);
      const [used, size] = cursor.key as [number, number];
      all.push({ key: cursor.primaryKey, used, size });
      cursor.continue();
    };
  });
}

function openDatabase(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    const timer = setTimeout(() => reject(new Error('the database does not open')), OPEN_MS);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('bytes', { keyPath: 'key' }).createIndex('age', ['used', 'size']);
    };
    request.onsuccess = () => {
      clearTimeout(timer);
      // A newer version of the page, and whoever forgets everything, must not wait for this tab.
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => {
      clearTimeout(timer);
      reject(request.error ?? new Error('the database does not open'));
    };
  });
}

function done(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error('a write failed'));
  });
}
