import type { DocumentName } from '@fieldbook/core';
import { WORKSPACE_DOCUMENT } from '@fieldbook/core';
import * as decoding from 'lib0/decoding';
import { CLOSE } from '@fieldbook/core/links';
import { splitUpdate } from '@fieldbook/core/replication';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { storageWords } from './idb.ts';
import { countingSocket, MESSAGE_ACK } from './socket.ts';
import { generationOf, lastKeyOf, StoredDocument } from './stored-document.ts';
import { Turns } from './turns.ts';
import type { Covered } from './watch.ts';
import { Watch } from './watch.ts';

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
  protocols: () => Promise<string[]>;
  /** The whole state of a document over HTTP; undefined when there is none or nobody answers. */
  fetchState: (name: DocumentName) => Promise<{ state: Uint8Array; generation: number } | undefined>;
  /** A document was rebuilt and the new one is kept; what is open in this tab is of before, and everything must begin anew. */
  onRebuilt: (name: DocumentName) => void;
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

/** What is applied in one go of a state that was fetched. */
const FETCHED_PART = 512 * 1024;
/** Tabs tell each other what they have stored, at most this often for a document. */
const WRITTEN_MS = 200;
const RETRY_MS = 2_500;

interface Open extends Shelved {
  users: number;
  stored: StoredDocument | null;
  /** Under way: another store for the document. */
  storing: Promise<void> | null;
  synced: boolean;
  generation: number;
}

/**
 * All documents that this tab has open. The workspace's room is the canary: the others knock only while it is open,
 * so a stopped server costs one retry every few seconds and not one per document. Tabs of one browser share updates
 * over BroadcastChannel, with or without a server.
 */
export class Shelf {
  readonly #options: ShelfOptions;
  readonly #open = new Map<DocumentName, Open>();
  readonly #watches = new Map<DocumentName, Watch>();
  readonly #channel = new BroadcastChannel('fieldbook/written');
  readonly #rebuilt = new BroadcastChannel('fieldbook/rebuilt');
  readonly #written = new Set<DocumentName>();
  /** Open documents that go from this browser when they are closed. */
  readonly #unwanted = new Set<DocumentName>();
  #connection: Connection = { state: 'connecting' };

  constructor(options: ShelfOptions) {
    this.#options = options;
    this.#rebuilt.onmessage = ({ data }: MessageEvent<DocumentName>) => options.onRebuilt(data);
    this.#channel.onmessage = ({ data }: MessageEvent<DocumentName>) => this.#watches.get(data)?.news();
  }

  get connection(): Connection {
    return this.#connection;
  }

  get(name: DocumentName): Shelved | undefined {
    return this.#open.get(name);
  }

  /** Opens a document or takes another hold of it; give each hold back with `release`. */
  take(name: DocumentName): Shelved {
    const there = this.#open.get(name);
    if (there !== undefined) {
      there.users += 1;
      return there;
    }
    const doc = new Y.Doc({ guid: name });
    const provider = this.#provider(name, doc);
    const entry: Open = {
      name,
      doc,
      provider,
      users: 1,
      stored: null,
      storing: null,
      synced: false,
      generation: 0,
      loaded: Promise.resolve(),
    };
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
    entry.stored?.close();
    entry.doc.destroy();
    if (this.#unwanted.delete(name)) void StoredDocument.remove(name);
  }

  /** Lets go of this browser's own copy: now, or when nobody has the document open any more. */
  forget(name: DocumentName): void {
    if (this.#open.has(name)) this.#unwanted.add(name);
    else void StoredDocument.remove(name);
  }

  /** Resolves when the whole document is in IndexedDB, in one transaction that has ended. Throws what the browser says. */
  async store(name: DocumentName): Promise<void> {
    const stored = this.#open.get(name)?.stored;
    if (stored == null) throw new Error('this browser cannot keep documents');
    await stored.rewrite();
  }

  /** Writes every open document whole, after writes that failed. Throws what the browser says. */
  async storeAll(): Promise<void> {
    const failed: unknown[] = [];
    for (const entry of this.#open.values())
      await this.#storeWhole(entry).catch((error: unknown) => failed.push(error));
    if (failed.length > 0) throw failed[0];
  }

  async #storeWhole(entry: Open): Promise<void> {
    await entry.loaded;
    if (entry.storing !== null) return entry.storing;
    if (entry.stored === null) return this.#storeAgain(entry);
    if (entry.stored.isClosed) return;
    await entry.stored.caughtUp();
    await entry.stored.rewrite();
  }

  /**
   * Follows a document without opening it, for as long as nothing of it is new: calls `onNews` once when a server, another tab
   * or this browser's storage has what `covered` does not say. Returns the way to stop.
   */
  watch(name: DocumentName, covered: Covered, onNews: () => void): () => void {
    const stop = (): void => {
      if (this.#watches.get(name) === watch) this.#watches.delete(name);
      watch.close();
    };
    const watch = new Watch(`${this.#options.socketUrl}/rooms/${name}`, covered, this.#options.protocols, () => {
      stop();
      onNews();
    });
    this.#watches.set(name, watch);
    if (this.#connection.state === 'online') watch.connect();
    lastKeyOf(name).then(
      (key) => key !== covered.key && watch.news(),
      () => watch.news(),
    );
    return stop;
  }

  /** Up to which key of its store the document holds everything, other tabs' writes included; null where it has none. */
  async caughtUp(name: DocumentName): Promise<number | null> {
    return (await this.#open.get(name)?.stored?.caughtUp()) ?? null;
  }

  /** Knocks again now: the person gave a token, or the network came back. */
  retry(): void {
    this.rest();
    this.#tell({ state: 'connecting' });
    this.#open.get(WORKSPACE_DOCUMENT)?.provider.connect();
  }

  /** Hangs up, until `retry`: what is connected is so by what the person has given up. */
  rest(): void {
    for (const watch of this.#watches.values()) watch.disconnect();
    for (const { provider } of this.#open.values()) {
      provider.wsUnsuccessfulReconnects = 0;
      if (provider.ws === null) continue;
      provider.disconnect();
      // Tabs still share what they change.
      provider.connectBc();
    }
  }

  async #load(entry: Open): Promise<void> {
    try {
      const stored = await this.#openStored(entry);
      if (this.#open.get(entry.name) === entry) entry.stored = stored;
      else stored.close();
      entry.generation = stored.generation;
    } catch (error) {
      this.#options.onStorageProblem(
        `This browser cannot keep documents (${error instanceof Error ? error.message : String(error)}). What you change is gone when the tab closes, unless it is saved elsewhere first.`,
      );
    }
    if (entry.doc.store.clients.size === 0) {
      const fetched = await this.#options.fetchState(entry.name).catch(() => undefined);
      const state = fetched?.state;
      if (fetched !== undefined && fetched.generation > entry.generation) await this.#keepFetched(entry, fetched);
      else if (state !== undefined && state.length > 0) {
        try {
          const turns = new Turns();
          for (const part of splitUpdate(state, FETCHED_PART)) {
            Y.applyUpdate(entry.doc, part, 'fetched');
            await turns.next();
          }
        } catch {
          // The room sends it again, piece by piece, and says what is wrong with it.
        }
      }
    }
    if (this.#open.get(entry.name) !== entry) return;
    const { provider, generation } = entry;
    if (generation > 0) {
      provider.params = { generation: String(generation) };
      // Tabs that still hold the generation before must not share with this one.
      provider.bcChannel += `?generation=${generation}`;
    }
    entry.provider.connectBc();
    if (entry.name === WORKSPACE_DOCUMENT || this.#connection.state === 'online') entry.provider.connect();
  }

  /** The first copy that this browser has of a document that was rebuilt. */
  async #keepFetched(entry: Open, { generation, state }: { generation: number; state: Uint8Array }): Promise<void> {
    entry.generation = generation;
    try {
      entry.stored?.close();
      entry.stored = null;
      await StoredDocument.keepRebuilt(entry.name, generation, state);
      const stored = await this.#openStored(entry);
      if (this.#open.get(entry.name) === entry) entry.stored = stored;
      else stored.close();
    } catch (error) {
      this.#options.onStorageProblem(storageWords(error));
      Y.applyUpdate(entry.doc, state, 'fetched');
    }
  }

  /**
   * The server closed a room because what this tab holds is of another generation. Keeps the rebuilt document, and lets all
   * tabs begin anew: what is new here is taken over when the document is next opened.
   */
  async #follow(entry: Open, reason: string): Promise<void> {
    const { name } = entry;
    try {
      const work = async (): Promise<void> => {
        const fetched = await this.#options.fetchState(name);
        if (fetched === undefined || fetched.generation <= entry.generation) throw new Error(reason);
        // Another tab may have been first.
        if ((await generationOf(name)) < fetched.generation)
          await StoredDocument.keepRebuilt(name, fetched.generation, fetched.state);
      };
      await ('locks' in navigator ? navigator.locks.request('fieldbook/rebuilt', work) : work());
    } catch (error) {
      this.#options.onRefused(name, error instanceof Error ? error.message : reason);
      return;
    }
    this.#rebuilt.postMessage(name);
    this.#options.onRebuilt(name);
  }

  #openStored(entry: Open): Promise<StoredDocument> {
    return StoredDocument.open(entry.name, entry.doc, {
      onProblem: (error) => this.#options.onStorageProblem(storageWords(error)),
      onWritten: () => this.#tellWritten(entry.name),
      onLost: () => void this.#storeAgain(entry).catch((error) => this.#options.onStorageProblem(storageWords(error))),
    });
  }

  /** The browser has cleared a database under an open document, or there was none: another one takes all that the document holds. */
  #storeAgain(entry: Open): Promise<void> {
    const store = async (): Promise<void> => {
      entry.stored?.close();
      entry.stored = null;
      if (this.#open.get(entry.name) !== entry) return;
      const stored = await this.#openStored(entry);
      await stored.rewrite();
      if (this.#open.get(entry.name) === entry) entry.stored = stored;
      else stored.close();
    };
    entry.storing ??= store().finally(() => (entry.storing = null));
    return entry.storing;
  }

  #provider(name: DocumentName, doc: Y.Doc): WebsocketProvider {
    const { socketUrl, protocols, onSent, onAcked, onReconnect } = this.#options;
    const provider = new WebsocketProvider(`${socketUrl}/rooms`, name, doc, {
      connect: false,
      maxBackoffTime: RETRY_MS,
      WebSocketPolyfill: countingSocket(
        protocols,
        () => onReconnect(name),
        (count) => onSent(name, count),
      ),
    });
    // A browser shows no cursor and needs no presence; agents speak, it listens.
    provider.awareness.setLocalState(null);
    provider.messageHandlers[MESSAGE_ACK] = (_encoder: unknown, decoder: decoding.Decoder) =>
      onAcked(name, decoding.readVarUint(decoder));
    if (name === WORKSPACE_DOCUMENT) this.#watch(provider);
    provider.on('closed', ({ code, reason }: { code: number; reason: string }) => {
      const entry = this.#open.get(name);
      if (code === CLOSE.generation && entry?.provider === provider) void this.#follow(entry, reason);
      else if (name !== WORKSPACE_DOCUMENT) this.#options.onRefused(name, reason || `code ${code}`);
    });
    return provider;
  }

  #watch(provider: WebsocketProvider): void {
    provider.on('status', ({ status }: { status: string }) => {
      if (status !== 'connected') return;
      this.#tell({ state: 'online' });
      for (const { name, provider: other, loaded } of this.#open.values()) {
        if (other === provider) continue;
        // It may have been given back while it was loaded.
        void loaded.then(() => this.#open.get(name)?.provider === other && other.connect());
      }
      for (const watch of this.#watches.values()) watch.connect();
    });
    provider.on('connection-close', () => {
      if (this.#connection.state === 'refused') return;
      this.#tell({ state: 'offline' });
      // Without this every document would knock on its own.
      for (const { provider: other } of this.#open.values()) if (other !== provider) other.shouldConnect = false;
      for (const watch of this.#watches.values()) watch.disconnect();
    });
    provider.on('closed', ({ code, reason }: { code: number; reason: string }) =>
      this.#tell({ state: 'refused', code, reason }),
    );
  }

  #tellWritten(name: DocumentName): void {
    if (this.#written.has(name)) return;
    this.#written.add(name);
    setTimeout(() => {
      this.#written.delete(name);
      this.#channel.postMessage(name);
      // A document may be open for something else than its project: a bundle that is taken in.
      this.#watches.get(name)?.news();
    }, WRITTEN_MS);
  }

  #tell(connection: Connection): void {
    const before = this.#connection;
    this.#connection = connection;
    if (before.state !== connection.state) this.#options.onConnection(connection);
  }
}
