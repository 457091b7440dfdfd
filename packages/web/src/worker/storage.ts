import type { DocumentName } from '@fieldbook/core';
import type { BytesCache } from './bytes.ts';
import { deleteDatabase } from './idb.ts';
import { documentOf } from './stored-document.ts';
import type { Keep } from './keep.ts';
import type { Freeable, StorageUse } from './storage-api.ts';

const BUDGET = 'budget';
const TRIM_MS = 60_000;
const RUN_DATABASES = 'fieldbook/run/';
const DOCUMENTS = /^fieldbook\/(workspace|book\/|run\/)/;

export interface StorageOptions {
  keep: Keep;
  bytes: BytesCache;
  /** Documents that must stay: open in this tab, or on no server yet. */
  isNeeded(name: DocumentName): boolean;
}

/** What this browser keeps, by kind, and letting go of what can be had again. */
export class BrowserStorage {
  readonly #options: StorageOptions;

  constructor(options: StorageOptions) {
    this.#options = options;
    void this.#trim();
    setInterval(() => void this.#trim(), TRIM_MS);
  }

  async use(): Promise<StorageUse> {
    const { keep, bytes } = this.#options;
    const storage = navigator.storage as StorageManager | undefined;
    const [estimate, persisted, kept, series, names, budget] = await Promise.all([
      storage?.estimate().catch(() => undefined),
      storage?.persisted().catch(() => null),
      bytes.usage().catch(() => ({ bytes: 0, count: 0, unsent: 0 })),
      keep.seriesBytes().catch(() => 0),
      databaseNames(),
      keep.get<number>(BUDGET).catch(() => undefined),
    ]);
    const runs = names.filter((name) => name.startsWith(RUN_DATABASES)).length;
    return {
      usage: estimate?.usage ?? null,
      quota: estimate?.quota ?? null,
      persisted: persisted ?? null,
      files: kept.bytes,
      filesCount: kept.count,
      series,
      books: names.filter((name) => DOCUMENTS.test(name)).length - runs,
      runs,
      unsentBytes: kept.unsent,
      budget: budget ?? null,
    };
  }

  async free(what: Freeable): Promise<number> {
    const { keep, bytes, isNeeded } = this.#options;
    if (what === 'files') {
      const before = await bytes.usage();
      await bytes.trim(before.unsent);
      return before.bytes - before.unsent;
    }
    if (what === 'series') {
      const before = await keep.seriesBytes();
      await keep.trimSeries(0);
      return before;
    }
    const before = (await navigator.storage.estimate()).usage ?? 0;
    for (const name of await databaseNames()) {
      if (!name.startsWith(RUN_DATABASES) || isNeeded(documentOf(name))) continue;
      await deleteDatabase(name);
    }
    return Math.max(0, before - ((await navigator.storage.estimate()).usage ?? 0));
  }

  async setBudget(budget: number | null): Promise<void> {
    if (budget === null) await this.#options.keep.remove(BUDGET);
    else await this.#options.keep.put(BUDGET, budget);
    await this.#trim();
  }

  async #trim(): Promise<void> {
    const { keep, bytes } = this.#options;
    try {
      const budget = await keep.get<number>(BUDGET);
      if (budget === undefined) return;
      // What no server has is outside of any budget.
      const { unsent } = await bytes.usage();
      await bytes.trim(Math.max(budget, unsent));
    } catch {
      // A browser that stores nothing has nothing to let go of.
    }
  }
}

async function databaseNames(): Promise<string[]> {
  const all = await indexedDB.databases().catch(() => []);
  return all.flatMap(({ name }) => name ?? []);
}
