import type { DocumentName } from '@fieldbook/core';
import { REPAIRS } from '@fieldbook/core/record';
import { splitUpdate } from '@fieldbook/core/replication';
import * as Y from 'yjs';
import { asked, deleteDatabase, done, openDatabase } from './idb.ts';
import { Turns } from './turns.ts';

/** Small entries worth rewriting: when a document is opened, and while it is open. */
const LOOSE_AT_OPEN = 64;
const LOOSE_MOST = 2_000;
/** Of one entry that is written whole: what is applied in some milliseconds. */
const PART_BYTES = 512 * 1024;
/** Entries read at a time. */
const READ_ENTRIES = 8;

/**
 * A document's updates in IndexedDB, in the form that y-indexeddb has (a database of its own, updates under rising
 * keys), read in slices and written without its surprises: nothing is written by opening, a failed write is told,
 * and how far the document is known to hold what is stored can be asked.
 */
export class StoredDocument {
  /** Of what is stored; a rebuilt document has a database of its own. */
  readonly generation: number;
  readonly #doc: Y.Doc;
  readonly #db: IDBDatabase;
  readonly #onProblem: (error: unknown) => void;
  readonly #onWritten: () => void;
  /** The document holds all entries up to here, and those of these keys. */
  #known = 0;
  readonly #own = new Set<number>();
  /** Entries since they were last rewritten. */
  #loose = 0;
  #closed = false;
  readonly #append = (update: Uint8Array, origin: unknown): void => {
    if (origin !== this) this.#write(update);
  };

  /** Removes what is stored of a document. Resolves also when another tab holds it: it goes when that closes. */
  static async remove(name: DocumentName): Promise<void> {
    const { generation, before } = await placeOf(name).catch(() => NOWHERE);
    for (const one of new Set([generation, before, 0])) await deleteDatabase(databaseOf(name, one));
  }

  /**
   * Keeps a document that was rebuilt: `state` is all of it. What was stored of the generation before stays where it is, since
   * other tabs may still write there, until the next opening has taken over what is new of it. Throws what the browser says.
   */
  static async keepRebuilt(name: DocumentName, generation: number, state: Uint8Array): Promise<void> {
    const db = await openDatabase(databaseOf(name, generation), undefined, upgrade);
    const base = await openDatabase(databaseOf(name), undefined, upgrade);
    try {
      const filling = db.transaction(UPDATES, 'readwrite');
      for (const part of splitUpdate(state, PART_BYTES)) filling.objectStore(UPDATES).add(part);
      await done(filling);
      const { generation: before } = await readPlace(base);
      const pointing = base.transaction(CUSTOM, 'readwrite');
      pointing.objectStore(CUSTOM).put({ generation, before } satisfies Place, PLACE);
      await done(pointing);
    } finally {
      db.close();
      base.close();
    }
  }

  private constructor(
    doc: Y.Doc,
    db: IDBDatabase,
    generation: number,
    onProblem: (error: unknown) => void,
    onWritten: () => void,
  ) {
    this.generation = generation;
    this.#doc = doc;
    this.#db = db;
    this.#onProblem = onProblem;
    this.#onWritten = onWritten;
    doc.on('update', this.#append);
  }

  /** Resolves when what is stored is in the document, whose changes are stored from then on. Rejects where nothing can be stored. */
  static async open(
    name: DocumentName,
    doc: Y.Doc,
    listeners: {
      onProblem: (error: unknown) => void;
      onWritten: () => void;
      /** The browser has cleared the database. */
      onLost: () => void;
    },
  ): Promise<StoredDocument> {
    const base = await openDatabase(databaseOf(name), undefined, upgrade);
    const { generation, before } = await readPlace(base);
    const db = generation === 0 ? base : await openDatabase(databaseOf(name, generation), undefined, upgrade);
    db.addEventListener('close', listeners.onLost);
    // Another tab frees it. Agents write runs and have them; what this browser itself writes must not go unsaid.
    if (name.startsWith('run/')) db.addEventListener('versionchange', () => stored.close());
    const stored = new StoredDocument(doc, db, generation, listeners.onProblem, listeners.onWritten);
    await stored.#read(new Turns());
    if (generation > 0) {
      await stored.#takeOver(name, before, before === 0 ? base : undefined).catch(listeners.onProblem);
      base.close();
    }
    if (stored.#loose > LOOSE_AT_OPEN) await stored.rewrite().catch(listeners.onProblem);
    return stored;
  }

  /** Takes in what other tabs have stored; returns the key up to which the document holds everything. */
  async caughtUp(): Promise<number> {
    await this.#read(new Turns());
    return this.#known;
  }

  /** Closed here, or let go of because another tab removes it. */
  get isClosed(): boolean {
    return this.#closed;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#doc.off('update', this.#append);
    this.#db.close();
  }

  /** Adds what this browser has of the generation before and whoever rebuilt the document did not know; then that copy goes. */
  async #takeOver(name: DocumentName, before: number, base: IDBDatabase | undefined): Promise<void> {
    // Places in a note's text mean nothing in another; and without the new document there is nothing to compare with.
    if (name.startsWith('note/') || this.#doc.getMap(REPAIRS).size === 0) return;
    const { carryOver } = await import('./carry-over.ts');
    const db = base ?? (await openDatabase(databaseOf(name, before), undefined, upgrade));
    const old = new Y.Doc();
    try {
      const store = db.transaction(UPDATES).objectStore(UPDATES);
      const [keys, updates] = await Promise.all([
        asked(store.getAllKeys()) as Promise<number[]>,
        asked(store.getAll()) as Promise<Uint8Array[]>,
      ]);
      const last = keys.at(-1);
      if (last === undefined) return;
      old.transact(() => {
        for (const update of updates) Y.applyUpdate(old, update);
      });
      this.#doc.transact(() => carryOver(name, old, this.#doc, { generation: before, device: null }));
      await this.rewrite();
      const clearing = db.transaction(UPDATES, 'readwrite');
      clearing.objectStore(UPDATES).delete(IDBKeyRange.upperBound(last));
      await done(clearing);
    } finally {
      old.destroy();
      if (base === undefined) db.close();
    }
  }

  async #read(turns: Turns): Promise<void> {
    for (;;) {
      while (this.#own.delete(this.#known + 1)) this.#known += 1;
      const store = this.#db.transaction(UPDATES).objectStore(UPDATES);
      const range = IDBKeyRange.lowerBound(this.#known, true);
      const [keys, updates] = await Promise.all([
        asked(store.getAllKeys(range, READ_ENTRIES)) as Promise<number[]>,
        asked(store.getAll(range, READ_ENTRIES)) as Promise<Uint8Array[]>,
      ]);
      for (const [index, update] of updates.entries()) {
        if (update.length < PART_BYTES / 2) this.#loose += 1;
        if (!this.#own.delete(keys[index]!)) Y.applyUpdate(this.#doc, update, this);
        this.#known = keys[index]!;
        await turns.next();
      }
      if (keys.length < READ_ENTRIES) return;
    }
  }

  #write(update: Uint8Array): void {
    if (this.#closed) return;
    try {
      const transaction = this.#db.transaction(UPDATES, 'readwrite');
      for (const part of splitUpdate(update, PART_BYTES)) {
        const request = transaction.objectStore(UPDATES).add(part);
        request.onsuccess = () => this.#own.add(request.result as number);
      }
      done(transaction).then(this.#onWritten, this.#onProblem);
      this.#loose += 1;
      if (this.#loose > LOOSE_MOST) {
        this.#loose = 0;
        void this.caughtUp()
          .then(() => this.rewrite())
          .catch(this.#onProblem);
      }
    } catch (error) {
      this.#onProblem(error);
    }
  }

  /** Everything as few entries, in one transaction: another tab sees the old ones or the new. Throws what the browser says. */
  async rewrite(): Promise<void> {
    if (this.#closed) return;
    const until = this.#known;
    const parts = splitUpdate(Y.encodeStateAsUpdate(this.#doc), PART_BYTES);
    const transaction = this.#db.transaction(UPDATES, 'readwrite');
    const store = transaction.objectStore(UPDATES);
    store.delete(IDBKeyRange.upperBound(until));
    for (const part of parts) {
      const request = store.add(part);
      request.onsuccess = () => this.#own.add(request.result as number);
    }
    this.#loose = 0;
    await done(transaction);
  }
}

const UPDATES = 'updates';

const CUSTOM = 'custom';
const PLACE = 'fieldbook-generation';

/** Which generation of a document is current in this browser, and which one was before. */
interface Place {
  generation: number;
  before: number;
}

const NOWHERE: Place = { generation: 0, before: 0 };

/** Databases of rebuilt documents, whose names no document has. */
function databaseOf(name: DocumentName, generation = 0): string {
  return generation === 0 ? `fieldbook/${name}` : `fieldbook/${name}@${generation}`;
}

/** The document that a database is of. */
export function documentOf(database: string): DocumentName {
  return database.slice('fieldbook/'.length).replace(/@\d+$/, '') as DocumentName;
}

async function readPlace(base: IDBDatabase): Promise<Place> {
  const place = (await asked(base.transaction(CUSTOM).objectStore(CUSTOM).get(PLACE))) as Place | undefined;
  return place ?? NOWHERE;
}

async function placeOf(name: DocumentName): Promise<Place> {
  const base = await openDatabase(databaseOf(name), undefined, upgrade);
  try {
    return await readPlace(base);
  } finally {
    base.close();
  }
}

function upgrade(db: IDBDatabase): void {
  db.createObjectStore(UPDATES, { autoIncrement: true });
  db.createObjectStore(CUSTOM);
}

/** The generation that this browser holds of a document. */
export async function generationOf(name: DocumentName): Promise<number> {
  return (await placeOf(name)).generation;
}

/** The key of the last stored update of a document that is not open here; 0 without any. */
export async function lastKeyOf(name: DocumentName): Promise<number> {
  const { generation } = await placeOf(name);
  const db = await openDatabase(databaseOf(name, generation), undefined, upgrade);
  try {
    const cursor = await asked(db.transaction(UPDATES).objectStore(UPDATES).openKeyCursor(null, 'prev'));
    return (cursor?.key as number | undefined) ?? 0;
  } finally {
    db.close();
  }
}
