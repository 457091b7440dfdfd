import type { DocumentName, ProjectId, RunId } from '@fieldbook/core';
import { FieldbookError, parseDocumentName, WORKSPACE_DOCUMENT } from '@fieldbook/core';
import type { BundleTarget } from '@fieldbook/core/bundle';
import { Book, Workspace } from '@fieldbook/core/documents';
import { decodeEdit } from '@fieldbook/core/record';
import type { Commit, DocumentInfo } from '@fieldbook/core/replica';
import { OpenDocument } from '@fieldbook/core/replica';
import * as Y from 'yjs';
import { random } from './device.ts';
import type { Shelf, Shelved } from './shelf.ts';

/** Documents held open at a time: a run's parts follow each other, and each costs a database connection. */
const HELD = 12;

type Documents = BundleTarget['replica'];

/** Projects that purge a run, and those that have a card of it. */
interface PurgedIn {
  by: Set<ProjectId>;
  shown: Set<ProjectId>;
}

/**
 * This browser's documents as bundles see a replica. An update is judged on a copy first, by the rules of every other replica: a Yjs
 * document cannot take back what it was given, and IndexedDB would keep it.
 */
export class BundleDocuments implements Documents {
  readonly #shelf: Shelf;
  /** Called before a document is changed: it is not on any server until that has said so. */
  readonly #changing: (name: DocumentName) => Promise<void>;
  /** Least recently used first. */
  readonly #held = new Map<DocumentName, { shelved: Shelved; judge: OpenDocument | null }>();
  readonly #touched = new Set<DocumentName>();
  readonly #books = new Set<DocumentName>();
  #purged: Map<RunId, PurgedIn> | null = null;
  #last: Promise<unknown> = Promise.resolve();

  /** Called with the state of a document that is in IndexedDB. */
  readonly #stored: (name: DocumentName, state: Uint8Array) => Promise<void>;

  constructor(
    shelf: Shelf,
    tell: {
      changing(name: DocumentName): Promise<void>;
      stored(name: DocumentName, state: Uint8Array): Promise<void>;
    },
  ) {
    this.#shelf = shelf;
    this.#changing = tell.changing;
    this.#stored = tell.stored;
  }

  async *list(prefix = ''): AsyncGenerator<DocumentInfo> {
    for (const name of await this.#inTurn(() => this.#bookNames()))
      if (name.startsWith(prefix)) yield { name, seq: 0, generation: 0, size: 0, quarantined: false };
  }

  /** Browsers hold what servers of generation 0 gave them. */
  info(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  read<T>(name: DocumentName, read: (doc: Y.Doc) => T): Promise<T> {
    return this.#inTurn(async () => read((await this.#hold(name)).shelved.doc));
  }

  apply(name: DocumentName, update: Uint8Array): Promise<Commit | undefined> {
    return this.#inTurn(() => this.#take(name, (judge) => judge.apply(update, () => freshClientId())));
  }

  transact(name: DocumentName, change: (doc: Y.Doc) => void): Promise<Commit | undefined> {
    return this.#inTurn(() => this.#take(name, (judge) => judge.change(change, true)));
  }

  /** Whether books of the project purge the run, those of the bundle included; without one, whether any do and no other project shows it. */
  async isPurged(run: RunId, project?: ProjectId): Promise<boolean> {
    const purged = this.#purged ?? (await this.#inTurn(() => this.#readPurged()));
    const found = purged.get(run);
    if (found === undefined) return false;
    return project === undefined ? [...found.shown].every((each) => found.by.has(each)) : found.by.has(project);
  }

  async #readPurged(): Promise<Map<RunId, PurgedIn>> {
    if (this.#purged === null) {
      const purged = new Map<RunId, PurgedIn>();
      await this.#eachBook((book, project) => {
        for (const [, bytes] of book.edits()) {
          const edit = tryDecode(bytes);
          if (edit?.field !== 'purge') continue;
          const found = purged.get(edit.run) ?? { by: new Set(), shown: new Set() };
          purged.set(edit.run, found);
          found.by.add(project);
        }
      });
      if (purged.size > 0)
        await this.#eachBook((book, project) => {
          for (const [key] of book.cards()) purged.get(key.slice(0, key.indexOf('/')) as RunId)?.shown.add(project);
        });
      this.#purged = purged;
    }
    return this.#purged;
  }

  async #eachBook(look: (book: Book, project: ProjectId) => void): Promise<void> {
    for (const name of await this.#bookNames()) {
      const parsed = parseDocumentName(name);
      if (parsed.kind === 'book') look(new Book((await this.#hold(name)).shelved.doc), parsed.project);
    }
  }

  /** Resolves when everything is in IndexedDB. Throws `disk_full`. */
  close(): Promise<void> {
    return this.#inTurn(() => this.#closeAll());
  }

  /** One at a time: a document must not be let go of while another call is about to change it. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #bookNames(): Promise<DocumentName[]> {
    const { doc } = (await this.#hold(WORKSPACE_DOCUMENT)).shelved;
    for (const { document } of new Workspace(doc).books()) this.#books.add(document);
    return [...this.#books].sort();
  }

  async #closeAll(): Promise<void> {
    try {
      for (const name of this.#held.keys()) await this.#store(name);
    } finally {
      for (const [name, { judge }] of this.#held) {
        judge?.destroy();
        this.#shelf.release(name);
      }
      this.#held.clear();
    }
  }

  async #take(name: DocumentName, work: (judge: OpenDocument) => Uint8Array | undefined): Promise<Commit | undefined> {
    const held = await this.#hold(name);
    const { doc } = held.shelved;
    if (held.judge === null) {
      const judge = new OpenDocument(name, [Y.encodeStateAsUpdate(doc)], 0);
      const stale = (_update: Uint8Array, origin: unknown): void => {
        if (origin === ORIGIN) return;
        doc.off('update', stale);
        if (held.judge === judge) held.judge = null;
        judge.destroy();
      };
      doc.on('update', stale);
      held.judge = judge;
    }
    let fresh: Uint8Array | undefined;
    try {
      fresh = work(held.judge);
    } catch (error) {
      held.judge?.destroy();
      held.judge = null;
      throw error;
    }
    if (fresh === undefined) return undefined;
    await this.#changing(name);
    Y.applyUpdate(doc, fresh, ORIGIN);
    this.#touched.add(name);
    if (name.startsWith('book/')) {
      this.#books.add(name);
      this.#purged = null;
    }
    return { name, seq: 0, generation: 0, update: fresh, origin: ORIGIN };
  }

  async #hold(name: DocumentName): Promise<{ shelved: Shelved; judge: OpenDocument | null }> {
    let held = this.#held.get(name);
    if (held === undefined) {
      held = { shelved: this.#shelf.take(name), judge: null };
      await held.shelved.loaded;
    }
    this.#held.delete(name);
    this.#held.set(name, held);
    for (const [oldest, { judge }] of this.#held) {
      if (this.#held.size <= HELD) break;
      await this.#store(oldest);
      this.#held.delete(oldest);
      judge?.destroy();
      this.#shelf.release(oldest);
    }
    return held;
  }

  async #store(name: DocumentName): Promise<void> {
    if (!this.#touched.delete(name)) return;
    try {
      await this.#shelf.store(name);
      await this.#stored(name, Y.encodeStateAsUpdate(this.#held.get(name)!.shelved.doc));
    } catch (error) {
      const full = error instanceof Error && error.name === 'QuotaExceededError';
      throw new FieldbookError(
        full ? 'disk_full' : 'storage_failed',
        full
          ? 'The browser allows no more space: what was just taken in is gone when this tab closes. Free some in Settings, or import with a server running.'
          : 'The browser could not keep what was just taken in; it is gone when this tab closes.',
        { cause: error },
      );
    }
  }
}

const ORIGIN = 'bundle';

function freshClientId(): number {
  return new DataView(random.bytes(4).buffer as ArrayBuffer).getUint32(0);
}

function tryDecode(bytes: Uint8Array): ReturnType<typeof decodeEdit> {
  try {
    return decodeEdit(bytes);
  } catch {
    return undefined;
  }
}
