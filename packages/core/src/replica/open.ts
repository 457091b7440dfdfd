import * as Y from 'yjs';
import { FieldbookError, isFieldbookError } from '../errors.ts';
import type { DeviceId, DocumentName } from '../ids.ts';
import { parseDocumentName } from '../ids.ts';
import type { BatchOperation, Log, Random, Storage } from '../ports.ts';
import type { DocumentMeta, RestoreGuard } from '../store/index.ts';
import { DocumentStore } from '../store/index.ts';
import { documentLimit } from './admission.ts';
import { isWorthCompacting } from './compaction.ts';
import { OpenDocument } from './open-document.ts';
import type { Commit, DocumentInfo, EncodedState, FeedEntry, Replica } from './replica.ts';

export interface ReplicaOptions {
  storage: Storage;
  device: DeviceId;
  random: Random;
  guard?: RestoreGuard;
  log?: Log;
  /** Documents kept in memory after use, by stored bytes. */
  cacheBytes?: number;
  /** A document's log became a snapshot. */
  compacted?(name: DocumentName): void;
  /** Local changes are not judged as remote ones are: only for tests that play a program with a fault. */
  trusting?: boolean;
}

/** Opens the replica in a storage, creating it when it is empty. Throws `store_version`, `store_corrupt`. */
export async function openReplica(options: ReplicaOptions): Promise<Replica> {
  const store = await DocumentStore.open({
    ...options,
    surfaced: (meta, updates) => replica.surfaced(meta, updates),
  });
  const replica = new StoredReplica(store, options);
  return replica;
}

const CACHE_BYTES = 256 * 1024 * 1024;
const CACHE_DOCUMENTS = 1_000;

class StoredReplica implements Replica {
  readonly device: DeviceId;
  readonly #store: DocumentStore;
  readonly #random: Random;
  readonly #log: Log | undefined;
  readonly #cacheBytes: number;
  readonly #trusting: boolean;
  readonly #compacted: ReplicaOptions['compacted'];
  /** Least recently used first. */
  readonly #open = new Map<DocumentName, OpenDocument>();
  readonly #opening = new Map<DocumentName, Promise<void>>();
  readonly #listeners = new Set<(commit: Commit) => void>();
  readonly #compacting = new Map<DocumentName, Promise<void>>();
  #closed = false;

  constructor(store: DocumentStore, options: ReplicaOptions) {
    this.#store = store;
    this.device = options.device;
    this.#random = options.random;
    this.#log = options.log;
    this.#cacheBytes = options.cacheBytes ?? CACHE_BYTES;
    this.#trusting = options.trusting ?? false;
    this.#compacted = options.compacted;
  }

  get id(): string {
    return this.#store.id;
  }

  get lastSeq(): number {
    return this.#store.lastSeq;
  }

  async *list(prefix = ''): AsyncGenerator<DocumentInfo> {
    for (const name of this.#store.names(prefix)) {
      const info = await this.info(name);
      if (info !== undefined) yield info;
    }
  }

  async info(name: DocumentName): Promise<DocumentInfo | undefined> {
    const meta = this.#store.meta(name);
    if (meta === undefined) return undefined;
    const { seq, generation, snapshotBytes, logBytes, quarantined } = meta;
    return { name, seq, generation, size: snapshotBytes + logBytes, quarantined: quarantined !== null };
  }

  read<T>(name: DocumentName, read: (doc: Y.Doc) => T): Promise<T> {
    return this.#with(name, (open) => {
      try {
        return read(open.doc);
      } finally {
        if (open.wasTouched()) {
          this.#discard(open);
          this.#log?.error('replica.changed_by_reader', { name });
        }
      }
    });
  }

  async transact(
    name: DocumentName,
    change: (doc: Y.Doc) => void,
    also: readonly BatchOperation[] = [],
  ): Promise<Commit | undefined> {
    for (const { key } of also) {
      if (key[0] !== 0x78 || key[1] !== 0x2f) {
        throw new FieldbookError('invalid_argument', 'A key written beside a document begins with "x/".');
      }
    }
    return this.#with(name, (open) => {
      if (open.epoch !== this.#store.epoch) this.#renewClientId(open);
      return this.#changed(open, () => open.change(change, !this.#trusting), 'local', also);
    });
  }

  async apply(name: DocumentName, update: Uint8Array, origin: unknown): Promise<Commit | undefined> {
    return this.#with(name, (open) => {
      const limit = documentLimit(name);
      if (this.#sizeOf(name) + update.length > limit) {
        const message = `Document ${name} would have more than ${limit} bytes.`;
        throw new FieldbookError('update_too_large', message);
      }
      const renew = (): number => {
        this.#log?.warn('replica.client_id_seen_ahead', { name, clientId: open.doc.clientID });
        return this.#freshClientId(open);
      };
      return this.#changed(open, () => open.apply(update, renew), origin, []);
    });
  }

  async encodeState(name: DocumentName, stateVector?: Uint8Array): Promise<EncodedState> {
    const { value, seq, generation } = await this.#committed(name, (doc) => encodeState(doc, stateVector));
    return { update: value, seq, generation };
  }

  async stateVector(name: DocumentName): Promise<{ stateVector: Uint8Array; seq: number; generation: number }> {
    const { value, seq, generation } = await this.#committed(name, (doc) => Y.encodeStateVector(doc));
    return { stateVector: value, seq, generation };
  }

  async changedSince(seq: number, limit: number): Promise<FeedEntry[]> {
    const changed = await this.#store.changedSince(seq, limit);
    return changed.map((entry) => ({ ...entry, generation: this.#store.meta(entry.name)?.generation ?? 0 }));
  }

  onCommit(listener: (commit: Commit) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async noteClientIdSeen(name: DocumentName, stateVector: Uint8Array): Promise<boolean> {
    let theirs: Map<number, number>;
    try {
      theirs = Y.decodeStateVector(stateVector);
    } catch (error) {
      throw new FieldbookError('update_malformed', 'A state vector cannot be decoded.', { cause: error });
    }
    if (this.#store.meta(name) === undefined) return false;
    const ahead = await this.#with(name, (open) => {
      const { clientID } = open.doc;
      if ((theirs.get(clientID) ?? 0) <= open.stateOf(clientID)) return false;
      this.#log?.warn('replica.client_id_seen_ahead', { name, clientId: clientID });
      this.#renewClientId(open);
      return true;
    });
    if (ahead) await this.#store.forgetClientId(name);
    return ahead;
  }

  async noteFeedSeen(seq: number): Promise<boolean> {
    if (seq <= this.#store.lastSeq) return false;
    this.#log?.error('replica.rolled_back', { theirs: seq, ours: this.#store.lastSeq });
    await this.#store.renew();
    return true;
  }

  getPrivate(key: string): Promise<Uint8Array | undefined> {
    return this.#store.getPrivate(key);
  }

  listPrivate(prefix: string): AsyncIterable<[string, Uint8Array]> {
    return this.#store.listPrivate(prefix);
  }

  putPrivate(entries: readonly (readonly [key: string, value: Uint8Array | null])[]): Promise<void> {
    return this.#store.putPrivate(entries);
  }

  flush(): Promise<void> {
    return this.#store.flush();
  }

  compact(name: DocumentName): Promise<void> {
    let running = this.#compacting.get(name);
    if (running === undefined) {
      running = this.#compact(name).finally(() => this.#compacting.delete(name));
      this.#compacting.set(name, running);
    }
    return running;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#store.close();
    for (const open of this.#open.values()) open.destroy();
    this.#open.clear();
    this.#listeners.clear();
  }

  /** A failed write turned out to be on disk. Memory does not have it; peers and listeners are told as of any commit. */
  surfaced(meta: DocumentMeta, updates: readonly Uint8Array[]): void {
    const { name, seq, generation } = meta;
    const open = this.#open.get(name);
    if (open !== undefined) this.#discard(open);
    for (const update of updates) this.#announce({ name, seq, generation, update, origin: 'surfaced' });
  }

  // --- documents in memory

  /**
   * Runs `work` on the document as memory has it now. Between a promise that gives a document and the code behind it
   * others may run and spoil it, so the check and the work are one synchronous piece.
   */
  async #with<T>(name: DocumentName, work: (open: OpenDocument) => T): Promise<Awaited<T>> {
    for (;;) {
      if (this.#closed) throw new FieldbookError('store_closed', 'The replica is closed.');
      const open = this.#open.get(name);
      if (open !== undefined) {
        this.#open.delete(name);
        this.#open.set(name, open);
        return await work(open);
      }
      let opening = this.#opening.get(name);
      if (opening === undefined) {
        opening = this.#load(name).finally(() => this.#opening.delete(name));
        this.#opening.set(name, opening);
      }
      await opening;
    }
  }

  async #load(name: DocumentName): Promise<void> {
    parseDocumentName(name);
    const parts = await this.#store.load(name);
    const meta = this.#store.meta(name);
    let open: OpenDocument;
    try {
      open = new OpenDocument(name, parts, this.#store.epoch);
    } catch (error) {
      throw this.#store.quarantine(name, error instanceof Error ? error.message : String(error));
    }
    // The client id of this device in this document, when nothing speaks against using it again.
    const own = meta?.epoch === this.#store.epoch ? meta.clientId : null;
    open.doc.clientID = own !== null && open.stateOf(own) === meta?.nextClock ? own : this.#freshClientId(open);
    if (this.#closed) return open.destroy();
    this.#open.set(name, open);
    this.#evict();
  }

  #renewClientId(open: OpenDocument): void {
    open.doc.clientID = this.#freshClientId(open);
    open.epoch = this.#store.epoch;
  }

  #freshClientId(open: OpenDocument): number {
    for (;;) {
      const bytes = this.#random.bytes(4);
      const id = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
      if (open.stateOf(id) === 0) return id;
    }
  }

  /** Forgets a document in memory; the next use loads what the disk has. */
  #discard(open: OpenDocument): void {
    if (this.#open.get(open.name) === open) this.#open.delete(open.name);
    open.destroy();
  }

  #evict(): void {
    let bytes = 0;
    for (const name of this.#open.keys()) bytes += this.#sizeOf(name);
    let left = this.#open.size;
    for (const open of this.#open.values()) {
      // The last one was just asked for.
      if (left === 1 || (bytes <= this.#cacheBytes && this.#open.size <= CACHE_DOCUMENTS)) return;
      left -= 1;
      if (open.underWay > 0) continue;
      bytes -= this.#sizeOf(open.name);
      this.#discard(open);
    }
  }

  #sizeOf(name: DocumentName): number {
    const meta = this.#store.meta(name);
    return meta === undefined ? 0 : meta.snapshotBytes + meta.logBytes;
  }

  // --- from memory to disk

  #changed(
    open: OpenDocument,
    change: () => Uint8Array | undefined,
    origin: unknown,
    also: readonly BatchOperation[],
  ): Promise<Commit | undefined> {
    let update: Uint8Array | undefined;
    try {
      update = change();
    } catch (error) {
      if (open.spoilt) this.#discard(open);
      throw error;
    }
    return this.#append(open, update, origin, also);
  }

  async #append(
    open: OpenDocument,
    update: Uint8Array | undefined,
    origin: unknown,
    also: readonly BatchOperation[],
  ): Promise<Commit | undefined> {
    if (update === undefined && also.length === 0) {
      // Nothing new, but what it repeats may still be on its way; the caller is about to acknowledge it.
      await open.pending;
      return undefined;
    }
    const { name, doc } = open;
    let commit: Commit | undefined;
    const appended = this.#store.append({
      name,
      update: update ?? null,
      clientId: doc.clientID,
      nextClock: open.stateOf(doc.clientID),
      also,
      committed: ({ seq, generation }) => {
        commit = { name, seq, generation, update: update!, origin };
        this.#announce(commit);
      },
      // Before anybody can build on what the disk does not have.
      failed: () => {
        if (update !== undefined) this.#discard(open);
      },
    });
    open.underWay += 1;
    const settled = appended.finally(() => {
      open.underWay -= 1;
      if (open.pending === settled) open.pending = undefined;
    }) as Promise<DocumentMeta>;
    if (update !== undefined) open.pending = settled;
    await settled;
    if (update !== undefined) this.#compactLater(name);
    return commit;
  }

  #announce(commit: Commit): void {
    for (const listener of this.#listeners) {
      try {
        listener(commit);
      } catch (error) {
        this.#log?.error('replica.listener_failed', { name: commit.name, error: String(error) });
      }
    }
  }

  /**
   * What `encode` makes of the document, once all of it is on disk. `seq` is the last commit that it holds; a later one
   * that came meanwhile is not in it.
   */
  async #committed<T>(
    name: DocumentName,
    encode: (doc: Y.Doc) => T,
  ): Promise<{ value: T; seq: number; generation: number; meta: DocumentMeta | undefined }> {
    for (;;) {
      const { value, pending, known } = await this.#with(name, (open) => ({
        value: encode(open.doc),
        // In an object, so that awaiting the document does not await the disk.
        pending: { promise: open.pending },
        known: this.#store.meta(name),
      }));
      let meta = known;
      if (pending.promise !== undefined) {
        try {
          meta = await pending.promise;
        } catch {
          // What was encoded holds something that is not on disk. The document was thrown away: once more.
          continue;
        }
      }
      return { value, seq: meta?.seq ?? 0, generation: meta?.generation ?? 0, meta };
    }
  }

  // --- compaction

  async #compact(name: DocumentName): Promise<void> {
    if ((this.#store.meta(name)?.logCount ?? 0) === 0) return;
    const { value, meta } = await this.#committed(name, (doc) => Y.encodeStateAsUpdate(doc));
    if (meta === undefined) return;
    await this.#store.compact(name, meta, value);
    this.#compacted?.(name);
  }

  #compactLater(name: DocumentName): void {
    const meta = this.#store.meta(name);
    if (meta === undefined || this.#closed || this.#compacting.has(name)) return;
    if (!isWorthCompacting(meta)) return;
    void this.compact(name).catch((error: unknown) => {
      if (!isFieldbookError(error, 'store_closed')) {
        this.#log?.warn('replica.compact_failed', { name, error: String(error) });
      }
    });
  }
}

function encodeState(doc: Y.Doc, stateVector: Uint8Array | undefined): Uint8Array {
  try {
    return Y.encodeStateAsUpdate(doc, stateVector);
  } catch (error) {
    throw new FieldbookError('update_malformed', 'A state vector cannot be decoded.', { cause: error });
  }
}
