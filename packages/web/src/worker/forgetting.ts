import { deleteDatabase } from './idb.ts';

/**
 * Forgetting everything that this browser keeps, in all its tabs. A tab that still had it in memory would tell the others of it and
 * store it again: each page and each worker has one of these, and `heard` ends what it does.
 */
export class Forgetting {
  readonly #channel = new BroadcastChannel('fieldbook/forget');

  constructor(heard: () => void) {
    this.#channel.onmessage = heard;
  }

  /** Tells every other page and worker, then deletes every database. Resolves also when a tab that hangs holds one: it goes with that. */
  async everything(): Promise<void> {
    this.#channel.postMessage(null);
    const names = (await indexedDB.databases()).map(({ name }) => name ?? '');
    await Promise.all(
      names.filter((name) => name === 'fieldbook' || name.startsWith('fieldbook/')).map((name) => deleteDatabase(name)),
    );
  }
}
