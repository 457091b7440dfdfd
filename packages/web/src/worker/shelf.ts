import type { DocumentName } from '@fieldbook/core';
import { WORKSPACE_DOCUMENT } from '@fieldbook/core';
import * as decoding from 'lib0/decoding';
import { IndexeddbPersistence, storeState } from 'y-indexeddb';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { countingSocket, MESSAGE_ACK } from './socket.ts';

/** A document that is open in this tab: in memory, in IndexedDB, in a room when a server answers. */
export interface Shelved {
  readonly name: DocumentName;
  readonly doc: Y.Doc;
  /** Resolves when what IndexedDB holds (and, for an empty one, what the server holds) is applied. Never rejects. */
  readonly loaded: Promise<void>;
  readonly provider: WebsocketProvider;
  /** The server sent all it has since this connection began. */
  readonly synced: boolean;
}

export type Connection =
  | { state: 'connecting' | 'online' | 'offline' }
  /** The server answered and said no: nobody tries again until the token or the page changes. */
  | { state: 'refused'; code: number; reason: string };

export interface ShelfOptions {
  /** `ws://host` or `wss://host`. */
  socketUrl: string;
  /** Subprotocols of every room: version, acknowledgements, token. */
  protocols: () => string[];
  /** The whole state of a document over HTTP; undefined when there is none or nobody answers. */
  fetchState: (name: DocumentName) => Promise<Uint8Array | undefined>;
  onConnection: (connection: Connection) => void;
  /** In words: this browser cannot keep documents. */
  onStorageProblem: (problem: string) => void;
  /** Content is about to leave on this connection as its `count`-th frame. */
  onSent: (name: DocumentName, count: number) => void;
  /** The server holds the first `count` content frames of this connection durably. */
  onAcked: (name: DocumentName, count: number) => void;
  onReconnect: (name: DocumentName) => void;
  /** The server refused what this tab sent to one document, for good: a viewer's edit, for one. */
  onRefused: (name: DocumentName, reason: string) => void;
}

/** y-indexeddb has no error path: an open that fails or is blocked leaves `whenSynced` pending for ever. */
const STORAGE_OPEN_MS = 8_000;
/** Log entries worth rewriting as one after loading; y-indexeddb itself waits for 500 and never looks at open. */
const COMPACT_ENTRIES = 16;
const RETRY_MS = 2_500;

interface Open extends Shelved {
  users: number;
  persistence: IndexeddbPersistence | null;
  synced: boolean;
}

/**
 * All documents that this tab has open. The workspace's room is the canary: the others knock only while it is open,
 * so a stopped server costs one retry every few seconds and not one per document. Tabs of one browser share updates
 * over BroadcastChannel, with or without a server.
 */
export class Shelf {
  readonly #options: ShelfOptions;
  readonly #open = new Map<DocumentName, Open>();
  #connection: Connection = { state: 'connecting' };

  constructor(options: ShelfOptions) {
    this.#options = options;
  }

  get connection(): Connection {
    return this.#connection;
  }

  get(name: DocumentName): Shelved | undefined {
    return this.#open.get(name);
  }

  /** Books that are open here. */
  *books(): Generator<Y.Doc> {
    for (const { name, doc } of this.#open.values()) if (name.startsWith('book/')) yield doc;
  }

  /** Opens a document or takes another hold of it; give each hold back with `release`. */
  take(name: DocumentName): Shelved {
    const there = this.#open.get(name);
    if (there !== undefined) {
      there.users += 1;
      return there;
    }
    const doc = new Y.Doc();
    const provider = this.#provider(name, doc);
    const entry: Open = { name, doc, provider, users: 1, persistence: null, synced: false, loaded: Promise.resolve() };
    Object.assign(entry, { loaded: this.#load(entry) });
    provider.on('sync', (synced: boolean) => (entry.synced = synced));
    this.#open.set(name, entry);
    return entry;
  }

  release(name: DocumentName): void {
    const entry = this.#open.get(name);
    if (entry === undefined) return;
    entry.users -= 1;
    if (entry.users > 0) return;
    this.#open.delete(name);
    entry.provider.destroy();
    entry.doc.destroy();
  }

  /** Resolves when the whole document is in IndexedDB, in one transaction that has ended. Throws what the browser says. */
  async store(name: DocumentName): Promise<void> {
    const entry = this.#open.get(name);
    const db = (entry?.persistence as unknown as { db: IDBDatabase | null } | null | undefined)?.db;
    if (entry === undefined || db == null) throw new Error('this browser cannot keep documents');
    const transaction = db.transaction('updates', 'readwrite');
    const store = transaction.objectStore('updates');
    const added = store.add(Y.encodeStateAsUpdate(entry.doc));
    added.onsuccess = () => store.delete(IDBKeyRange.upperBound(added.result, true));
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error('a write failed'));
    });
  }

  /** Knocks again now: the person gave a token, or the network came back. */
  retry(): void {
    this.#tell({ state: 'connecting' });
    for (const { provider } of this.#open.values()) {
      provider.protocols = this.#options.protocols();
      provider.wsUnsuccessfulReconnects = 0;
      if (provider.roomname === WORKSPACE_DOCUMENT) provider.connect();
    }
  }

  async #load(entry: Open): Promise<void> {
    const persistence = new IndexeddbPersistence(`fieldbook/${entry.name}`, entry.doc);
    entry.persistence = persistence;
    try {
      await within(
        STORAGE_OPEN_MS,
        Promise.race([
          persistence.whenSynced,
          (persistence as unknown as { _db: Promise<unknown> })._db.then(() => persistence.whenSynced),
        ]),
      );
      if ((persistence as unknown as { _dbsize: number })._dbsize > COMPACT_ENTRIES)
        await storeState(persistence, true);
    } catch (error) {
      entry.persistence = null;
      this.#options.onStorageProblem(
        `This browser cannot keep documents (${error instanceof Error ? error.message : String(error)}). What you change is gone when the tab closes, unless it is saved elsewhere first.`,
      );
    }
    if (entry.doc.store.clients.size === 0) {
      const state = await this.#options.fetchState(entry.name).catch(() => undefined);
      if (state !== undefined && state.length > 0) {
        try {
          Y.applyUpdate(entry.doc, state, 'fetched');
        } catch {
          // The room sends it again, piece by piece, and says what is wrong with it.
        }
      }
    }
    if (!this.#open.has(entry.name)) return;
    entry.provider.connectBc();
    if (entry.name === WORKSPACE_DOCUMENT || this.#connection.state === 'online') entry.provider.connect();
  }

  #provider(name: DocumentName, doc: Y.Doc): WebsocketProvider {
    const { socketUrl, protocols, onSent, onAcked, onReconnect } = this.#options;
    const provider = new WebsocketProvider(`${socketUrl}/rooms`, name, doc, {
      connect: false,
      protocols: protocols(),
      maxBackoffTime: RETRY_MS,
      WebSocketPolyfill: countingSocket(
        () => onReconnect(name),
        (count) => onSent(name, count),
      ),
    });
    // A browser shows no cursor and needs no presence; agents speak, it listens.
    provider.awareness.setLocalState(null);
    provider.messageHandlers[MESSAGE_ACK] = (_encoder: unknown, decoder: decoding.Decoder) =>
      onAcked(name, decoding.readVarUint(decoder));
    if (name === WORKSPACE_DOCUMENT) this.#watch(provider);
    else
      provider.on('closed', ({ code, reason }: { code: number; reason: string }) =>
        this.#options.onRefused(name, reason || `code ${code}`),
      );
    return provider;
  }

  #watch(provider: WebsocketProvider): void {
    provider.on('status', ({ status }: { status: string }) => {
      if (status !== 'connected') return;
      this.#tell({ state: 'online' });
      for (const { provider: other, loaded } of this.#open.values()) {
        if (other !== provider) void loaded.then(() => other.connect());
      }
    });
    provider.on('connection-close', () => {
      if (this.#connection.state === 'refused') return;
      this.#tell({ state: 'offline' });
      // Without this every document would knock on its own.
      for (const { provider: other } of this.#open.values()) if (other !== provider) other.shouldConnect = false;
    });
    provider.on('closed', ({ code, reason }: { code: number; reason: string }) =>
      this.#tell({ state: 'refused', code, reason }),
    );
  }

  #tell(connection: Connection): void {
    const before = this.#connection;
    this.#connection = connection;
    if (before.state !== connection.state) this.#options.onConnection(connection);
  }
}

function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error('its database does not open; another tab with an older version may hold it')),
      ms,
    );
    promise.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}
