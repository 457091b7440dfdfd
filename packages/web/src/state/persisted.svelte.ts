import type { ProjectId } from '@fieldbook/core';

/** What this browser keeps under one key; undefined while nobody has chosen. */
class Cell {
  value = $state.raw<unknown>(undefined);

  constructor(key: string) {
    this.value = read(key);
    addEventListener('storage', (event: StorageEvent) => {
      if (event.key === key) this.value = read(key);
    });
  }
}

const cells = new Map<string, Cell>();

/**
 * A choice of this browser that survives a reload; tabs follow each other, and so does everything in one tab that names
 * the same key. Kept in localStorage, which is read before the first paint.
 */
export class Persisted<T> {
  readonly #key: string;
  readonly #usual: T;
  readonly #cell: Cell;

  constructor(key: string, usual: T) {
    this.#key = `fieldbook/${key}`;
    this.#usual = usual;
    this.#cell = cells.get(this.#key) ?? new Cell(this.#key);
    cells.set(this.#key, this.#cell);
  }

  get current(): T {
    return (this.#cell.value as T | undefined) ?? this.#usual;
  }

  set current(value: T) {
    this.#cell.value = value;
    try {
      localStorage.setItem(this.#key, JSON.stringify(value));
    } catch {
      // A browser that keeps nothing still lets one choose.
    }
  }
}

/** What somebody has set about the charts of a project, as an address says it. */
export function ownCharts(project: ProjectId): Persisted<string> {
  return new Persisted<string>(`charts/${project}`, '');
}

function read(key: string): unknown {
  try {
    const text = localStorage.getItem(key);
    return text === null ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}
