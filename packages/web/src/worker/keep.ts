/**
 * The little that a browser keeps beside the documents: its device key, the person's name, the token, which edits
 * nobody has acknowledged yet, and series that were seen. One database, two stores; documents have databases of
 * their own (shelf.ts). Everything here is a cache of something or can be made again, except `device` and `unsaved`.
 */
const NAME = 'fieldbook';
const VERSION = 1;
/** A browser that another tab keeps from upgrading never answers; nor does one whose disk is gone. */
const OPEN_MS = 5_000;
const REOPEN_MS = { first: 100, most: 10_000 } as const;

export interface KeptSeries {
  key: string;
  /** When it was last drawn, for eviction. */
  used: number;
  bytes: number;
  value: unknown;
}

interface Waiting {
  promise: Promise<KeptSeries | undefined>;
  resolve: (found: KeptSeries | undefined) => void;
  reject: (error: unknown) => void;
}

export class Keep {
  #db: IDBDatabase | null;
  /** Called when the browser has cleared all that was kept and there is a place for it again. */
  onCleared: (() => void) | null = null;
  /** Stands in for the database where there is none: everything works until the tab closes. */
  readonly #memory = new Map<string, unknown>();

  /** Takes one more key into the transaction that this turn opens at its end. */
  #asked: ((key: string) => Promise<KeptSeries | undefined>) | null = null;

  private constructor(db: IDBDatabase | null) {
    this.#db = db;
    this.#watch();
  }

  /** A connection that the browser closes by itself has lost its data. */
  #watch(): void {
    this.#db?.addEventListener('close', () => {
      this.#db = null;
      void this.#reopen();
    });
  }

  /** While the browser is still clearing it refuses, or takes away again, what is opened. */
  async #reopen(): Promise<void> {
    for (let wait: number = REOPEN_MS.first; this.#db === null; wait = Math.min(wait * 2, REOPEN_MS.most)) {
      try {
        this.#db = await openDatabase();
        this.#watch();
        this.onCleared?.();
      } catch {
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }

  /** Resolves in any case; `problem` says in words why nothing can be kept. */
  static async open(): Promise<{ keep: Keep; problem: string | null }> {
    try {
      return { keep: new Keep(await openDatabase()), problem: null };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return {
        keep: new Keep(null),
        problem: `This browser does not let the page store anything (${reason}). Everything works until the tab is closed.`,
      };
    }
  }

  /** False where everything is gone with the tab. */
  get isStored(): boolean {
    return this.#db !== null;
  }

  async get<T>(key: string): Promise<T | undefined> {
    if (this.#db === null) return this.#memory.get(key) as T | undefined;
    return (await asked(this.#db.transaction('keep').objectStore('keep').get(key))) as T | undefined;
  }

  async put(key: string, value: unknown): Promise<void> {
    if (this.#db === null) {
      this.#memory.set(key, value);
      return;
    }
    const transaction = this.#db.transaction('keep', 'readwrite');
    transaction.objectStore('keep').put(value, key);
    await done(transaction);
  }

  async remove(key: string): Promise<void> {
    if (this.#db === null) {
      this.#memory.delete(key);
      return;
    }
    const transaction = this.#db.transaction('keep', 'readwrite');
    transaction.objectStore('keep').delete(key);
    await done(transaction);
  }

  /** What is under `key`, or `made` after putting it there: in one transaction, so that two tabs agree on the first. */
  async getOrPut<T>(key: string, made: T): Promise<T> {
    if (this.#db === null) {
      if (!this.#memory.has(key)) this.#memory.set(key, made);
      return this.#memory.get(key) as T;
    }
    const transaction = this.#db.transaction('keep', 'readwrite');
    const store = transaction.objectStore('keep');
    const found = (await asked(store.get(key))) as T | undefined;
    if (found === undefined) store.put(made, key);
    await done(transaction);
    return found ?? made;
  }

  /** Changes what is under `key` in one transaction, so that two tabs lose nothing of each other. */
  async update<T>(key: string, change: (before: T | undefined) => T): Promise<T> {
    if (this.#db === null) {
      const after = change(this.#memory.get(key) as T | undefined);
      this.#memory.set(key, after);
      return after;
    }
    const transaction = this.#db.transaction('keep', 'readwrite');
    const store = transaction.objectStore('keep');
    const after = change((await asked(store.get(key))) as T | undefined);
    store.put(after, key);
    await done(transaction);
    return after;
  }

  /** Those asked for in one turn are read in one transaction: a chart of a hundred runs opens one and not a hundred. */
  getSeries(key: string): Promise<KeptSeries | undefined> {
    if (this.#asked !== null) return this.#asked(key);
    const wanted = new Map<string, Waiting>();
    this.#asked = (each) => {
      const there = wanted.get(each);
      if (there !== undefined) return there.promise;
      let resolve: Waiting['resolve'] = () => undefined;
      let reject: Waiting['reject'] = () => undefined;
      const promise = new Promise<KeptSeries | undefined>((...both) => ([resolve, reject] = both));
      wanted.set(each, { promise, resolve, reject });
      return promise;
    };
    queueMicrotask(() => {
      this.#asked = null;
      this.#readSeries(wanted);
    });
    return this.#asked(key);
  }

  #readSeries(wanted: ReadonlyMap<string, Waiting>): void {
    const db = this.#db;
    if (db === null) {
      for (const [key, { resolve }] of wanted) resolve(this.#memory.get(`series ${key}`) as KeptSeries | undefined);
      return;
    }
    try {
      const store = db.transaction('series').objectStore('series');
      for (const [key, { resolve, reject }] of wanted) {
        const request = store.get(key) as IDBRequest<KeptSeries | undefined>;
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error ?? new Error('a read failed'));
      }
    } catch (error) {
      for (const { reject } of wanted.values()) reject(error);
    }
  }

  async putSeries(series: KeptSeries): Promise<void> {
    if (this.#db === null) {
      this.#memory.set(`series ${series.key}`, series);
      return;
    }
    const transaction = this.#db.transaction('series', 'readwrite');
    transaction.objectStore('series').put(series);
    await done(transaction);
  }

  /** Bytes of all series kept. */
  async seriesBytes(): Promise<number> {
    if (this.#db === null) return 0;
    let total = 0;
    await eachCursor(this.#db.transaction('series').objectStore('series').openCursor(), ({ value }) => {
      total += (value as KeptSeries).bytes;
    });
    return total;
  }

  /** Drops the longest unused series beyond `limit` bytes. */
  async trimSeries(limit: number): Promise<void> {
    if (this.#db === null) return;
    const transaction = this.#db.transaction('series', 'readwrite');
    const store = transaction.objectStore('series');
    const all: { key: string; used: number; bytes: number }[] = [];
    await eachCursor(store.openCursor(), (cursor) => {
      const { key, used, bytes } = cursor.value as KeptSeries;
      all.push({ key, used, bytes });
    });
    let total = all.reduce((sum, each) => sum + each.bytes, 0);
    for (const each of all.sort((a, b) => a.used - b.used)) {
      if (total <= limit) break;
      store.delete(each.key);
      total -= each.bytes;
    }
    await done(transaction);
  }
}

function openDatabase(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    const timer = setTimeout(() => reject(new Error('the database does not open')), OPEN_MS);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('keep');
      request.result.createObjectStore('series', { keyPath: 'key' });
    };
    request.onsuccess = () => {
      clearTimeout(timer);
      // A newer version of the page must not wait for this tab.
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => {
      clearTimeout(timer);
      reject(request.error ?? new Error('the database does not open'));
    };
  });
}

function asked<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('a read failed'));
  });
}

function done(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error('a write failed'));
  });
}

function eachCursor(
  request: IDBRequest<IDBCursorWithValue | null>,
  each: (cursor: IDBCursorWithValue) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    request.onerror = () => reject(request.error ?? new Error('a read failed'));
    request.onsuccess = () => {
      const cursor = request.result;
      if (cursor === null) {
        resolve();
        return;
      }
      each(cursor);
      cursor.continue();
    };
  });
}
