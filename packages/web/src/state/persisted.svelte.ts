/** A choice of this browser that survives a reload; tabs follow each other. Kept in localStorage, which is read before the first paint. */
export class Persisted<T> {
  #value = $state.raw() as T;
  readonly #key: string;

  constructor(key: string, usual: T) {
    this.#key = `fieldbook/${key}`;
    this.#value = read(this.#key) ?? usual;
    addEventListener('storage', (event: StorageEvent) => {
      if (event.key === this.#key) this.#value = read<T>(this.#key) ?? usual;
    });
  }

  get current(): T {
    return this.#value;
  }

  set current(value: T) {
    this.#value = value;
    try {
      localStorage.setItem(this.#key, JSON.stringify(value));
    } catch {
      // A browser that keeps nothing still lets one choose.
    }
  }
}

function read<T>(key: string): T | undefined {
  try {
    const text = localStorage.getItem(key);
    return text === null ? undefined : (JSON.parse(text) as T);
  } catch {
    return undefined;
  }
}
