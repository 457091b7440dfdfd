import * as Y from 'yjs';
import { asFieldbookError, FieldbookError } from '../errors.ts';
import type { DeviceId, DocumentName } from '../ids.ts';
import { parseDocumentName } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { BatchOperation, Log, Random, Storage } from '../ports.ts';
import { privateKey } from '../store/keys.ts';
import type { RestoreGuard } from '../store/index.ts';
import { DocumentStore } from '../store/index.ts';
import { inspectTransaction, inspectUpdate } from './admission.ts';
import type { Commit, DocumentInfo, EncodedState, FeedEntry, Replica } from './replica.ts';

export interface ReplicaOptions {
  storage: Storage;
  device: DeviceId;
  random: Random;
  guard?: RestoreGuard;
  log?: Log;
  /** Documents kept in memory after use, by stored bytes. */
  cacheBytes?: number;
}

/** Opens the replica in a storage, creating it when it is empty. Throws `store_version`, `store_corrupt`. */
export async function openReplica(options: ReplicaOptions): Promise<Replica> {
  const store = await DocumentStore.open(options);
  return new StoredReplica(store, options);
}

/** A log of this many updates is rewritten as a snapshot: loading stays under a few ms of decoding. */
const COMPACT_COUNT = 500;
/** … or when it is this much larger than the snapshot it follows. */
const COMPACT_RATIO = 4;
const COMPACT_MIN_BYTES = 1024 * 1024;
const CACHE_BYTES = 256 * 1024 * 1024;
const CACHE_DOCUMENTS = 1_000;

interface OpenDocument {
  name: DocumentName;
  doc: Y.Doc;
  /** The last append on its way to the disk; settles when everything before it has. */
  pending: Promise<unknown> | undefined;
  pendingCount: number;
  /** The update that the transaction in progress made. */
  produced: Uint8Array | undefined;
  refusal: FieldbookError | undefined;
  inspecting: boolean;
}

class StoredReplica implements Replica {
  readonly device: DeviceId;
  readonly #store: DocumentStore;
  readonly #random: Random;
  readonly #log: Log | undefined;
  readonly #cacheBytes: number;
  readonly #open = new Map<DocumentName, OpenDocument>();
  readonly #opening = new Map<DocumentName, Promise<OpenDocument>>();
  readonly #listeners = new Set<(commit: Commit) => void>();
  readonly #compacting = new Set<DocumentName>();

  constructor(store: DocumentStore, options: ReplicaOptions) {
    this.#store = store;
    this.device = options.device;
    this.#random = options.random;
    this.#log = options.log;
    this.#cacheBytes = options.cacheBytes ?? CACHE_BYTES;
  }

  get id(): string {
    return this.#store.id;
  }

  get lastSeq(): number {
    return this.#store.lastSeq;
  }

  async *list(prefix = ''): AsyncGenerator<DocumentInfo> {
    for (const { name } of this.#store.metas(prefix)) {
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

  async read<T>(name: DocumentName, read: (doc: Y.Doc) => T): Promise<T> {
    return read((await this.#load(name)).doc);
  }

  async transact(
    name: DocumentName,
    change: (doc: Y.Doc) => void,
    also: readonly BatchOperation[] = [],
  ): Promise<Commit | undefined> {
    const open = await this.#load(name);
    this.#useOwnClientId(open);
    open.produced = undefined;
    try {
      open.doc.transact(() => change(open.doc), 'local');
    } catch (error) {
      // Yjs keeps what was done before the throw; memory must not be ahead of the disk.
      if (takeProduced(open) !== undefined) this.#discard(open);
      throw error;
    }
    return this.#append(open, takeProduced(open), 'local', also);
  }

  async apply(name: DocumentName, update: Uint8Array, origin: unknown): Promise<Commit | undefined> {
    const open = await this.#load(name);
    inspectUpdate(name, update, (client) => Y.getState(open.doc.store, client));
    open.produced = undefined;
    open.refusal = undefined;
    open.inspecting = true;
    try {
      Y.applyUpdate(open.doc, update, 'remote');
    } catch (error) {
      open.refusal ??= new FieldbookError('update_malformed', `An update of ${name} cannot be applied.`, {
        cause: error,
      });
    } finally {
      open.inspecting = false;
    }
    if (open.refusal === undefined && (open.doc.store.pendingStructs !== null || open.doc.store.pendingDs !== null)) {
      open.refusal = new FieldbookError(
        'missing_dependency',
        `An update of ${name} needs changes that have not arrived.`,
      );
    }
    const produced = takeProduced(open);
    if (open.refusal !== undefined) {
      this.#discard(open);
      throw open.refusal;
    }
    return this.#append(open, produced, origin, []);
  }

  async encodeState(name: DocumentName, stateVector?: Uint8Array): Promise<EncodedState> {
    const open = await this.#load(name);
    const update = Y.encodeStateAsUpdate(open.doc, stateVector);
    return { update, ...(await this.#settled(open)) };
  }

  async stateVector(name: DocumentName): Promise<{ stateVector: Uint8Array; seq: number; generation: number }> {
    const open = await this.#load(name);
    const stateVector = Y.encodeStateVector(open.doc);
    return { stateVector, ...(await this.#settled(open)) };
  }

  /**
   * What was encoded holds changes that may still be on their way to the disk; it may leave only when they are
   * there. Says the seq that everything encoded is at or before.
   */
  async #settled(open: OpenDocument): Promise<{ seq: number; generation: number }> {
    await open.pending;
    const meta = this.#store.meta(open.name);
    return { seq: meta?.seq ?? 0, generation: meta?.generation ?? 0 };
  }

  async changedSince(seq: number, limit: number): Promise<FeedEntry[]> {
    const changed = await this.#store.changedSince(seq, limit);
    return changed.map((entry) => ({ ...entry, generation: this.#store.meta(entry.name)?.generation ?? 0 }));
  }

  onCommit(listener: (commit: Commit) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  getPrivate(key: string): Promise<Uint8Array | undefined> {
    return this.#store.getPrivate(key);
  }

  listPrivate(prefix: string): AsyncIterable<[string, Uint8Array]> {
    return this.#store.listPrivate(prefix);
  }

  async putPrivate(entries: readonly (readonly [key: string, value: Uint8Array | null])[]): Promise<void> {
    await this.#store.write((batch) => {
      for (const [key, value] of entries) {
        batch.push(
          value === null ? { type: 'del', key: privateKey(key) } : { type: 'put', key: privateKey(key), value },
        );
      }
    });
  }

  async flush(): Promise<void> {
    await this.#store.flush();
  }

  async compact(name: DocumentName): Promise<void> {
    const open = await this.#load(name);
    if (open.doc.store.pendingStructs !== null || open.doc.store.pendingDs !== null) return;
    const seq = this.#store.meta(name)?.seq;
    if (seq === undefined || open.pendingCount > 0) return;
    await this.#store.compact(name, seq, Y.encodeStateAsUpdate(open.doc));
  }

  async close(): Promise<void> {
    await this.#store.close();
    for (const open of this.#open.values()) open.doc.destroy();
    this.#open.clear();
    this.#listeners.clear();
  }

  // --- one document in memory

  async #load(name: DocumentName): Promise<OpenDocument> {
    const open = this.#open.get(name);
    if (open !== undefined) {
      // Most recently used last.
      this.#open.delete(name);
      this.#open.set(name, open);
      return open;
    }
    let opening = this.#opening.get(name);
    if (opening === undefined) {
      opening = this.#loadFresh(name).finally(() => this.#opening.delete(name));
      this.#opening.set(name, opening);
    }
    return opening;
  }

  async #loadFresh(name: DocumentName): Promise<OpenDocument> {
    parseDocumentName(name);
    // A document that was thrown away may still have commits under way, and they belong to what is loaded.
    await this.#store.flush();
    const updates = await this.#store.load(name);
    const doc = new Y.Doc();
    try {
      // One transaction for all of them: merging is super-linear, and one by one costs a transaction each.
      doc.transact(() => {
        for (const update of updates) Y.applyUpdate(doc, update);
      }, 'load');
      if (doc.store.pendingStructs !== null || doc.store.pendingDs !== null)
        throw new Error('a stored update is missing');
    } catch (error) {
      const reason = asFieldbookError(error).message;
      this.#store.quarantine(name, reason);
      throw new FieldbookError(
        'document_quarantined',
        `Document ${name} is damaged on disk and not served: ${reason}. Its bytes are kept; run "fieldbook doctor".`,
        { details: { name, reason } },
      );
    }
    const open: OpenDocument = {
      name,
      doc,
      pending: undefined,
      pendingCount: 0,
      produced: undefined,
      refusal: undefined,
      inspecting: false,
    };
    doc.on('afterTransaction', (transaction: Y.Transaction) => {
      if (!open.inspecting || transaction.changed.size === 0) return;
      try {
        inspectTransaction(name, doc, transaction);
      } catch (error) {
        open.refusal = asFieldbookError(error, 'update_malformed');
      }
    });
    doc.on('update', (update: Uint8Array) => {
      open.produced = open.produced === undefined ? update : Y.mergeUpdates([open.produced, update]);
    });
    // A new document would otherwise write under a client id of Yjs's own choice.
    doc.clientID = this.#freshClientId();
    this.#open.set(name, open);
    this.#evict();
    return open;
  }

  /** The client id of this device in this document, when nothing speaks against using it again. */
  #useOwnClientId(open: OpenDocument): void {
    const meta = this.#store.meta(open.name);
    const { doc } = open;
    if (meta?.clientId === doc.clientID || open.pendingCount > 0) return;
    const trusted =
      meta !== undefined &&
      meta.clientId !== null &&
      meta.epoch === this.#store.epoch &&
      Y.getState(doc.store, meta.clientId) === meta.nextClock;
    if (trusted) doc.clientID = meta.clientId!;
    else if (Y.getState(doc.store, doc.clientID) > 0) doc.clientID = this.#freshClientId();
  }

  #freshClientId(): number {
    const bytes = this.#random.bytes(4);
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
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
    const meta = this.#store.meta(name);
    const own = origin === 'local' ? doc.clientID : (meta?.clientId ?? null);
    const generation = meta?.generation ?? 0;
    let commit: Commit | undefined;
    const appended = this.#store.append(
      { name, update: update ?? null, clientId: own, nextClock: own === null ? 0 : Y.getState(doc.store, own), also },
      (seq) => {
        if (update === undefined) return;
        commit = { name, seq, generation, update, origin };
        this.#announce(commit);
      },
    );
    open.pendingCount += 1;
    const settled = appended.finally(() => {
      open.pendingCount -= 1;
      if (open.pending === settled) open.pending = undefined;
    });
    open.pending = settled;
    try {
      await settled;
    } catch (error) {
      this.#discard(open);
      throw error;
    }
    if (update !== undefined) this.#compactLater(open);
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

  /** Forgets a document in memory; the next use loads what the disk has. */
  #discard(open: OpenDocument): void {
    if (this.#open.get(open.name) !== open) return;
    this.#open.delete(open.name);
    open.doc.destroy();
  }

  #evict(): void {
    let bytes = 0;
    for (const { name } of this.#open.values()) bytes += this.#sizeOf(name);
    for (const open of this.#open.values()) {
      if (bytes <= this.#cacheBytes && this.#open.size <= CACHE_DOCUMENTS) return;
      if (open.pendingCount > 0 || this.#compacting.has(open.name)) continue;
      bytes -= this.#sizeOf(open.name);
      this.#discard(open);
    }
  }

  #sizeOf(name: DocumentName): number {
    const meta = this.#store.meta(name);
    return meta === undefined ? 0 : meta.snapshotBytes + meta.logBytes;
  }

  #compactLater(open: OpenDocument): void {
    const meta = this.#store.meta(open.name);
    if (meta === undefined || this.#compacting.has(open.name)) return;
    const large = meta.logBytes > COMPACT_MIN_BYTES && meta.logBytes > COMPACT_RATIO * meta.snapshotBytes;
    if (meta.logCount <= COMPACT_COUNT && !large) return;
    this.#compacting.add(open.name);
    void this.compact(open.name)
      .catch((error: unknown) => this.#log?.warn('replica.compact_failed', { name: open.name, error: String(error) }))
      .finally(() => this.#compacting.delete(open.name));
  }
}

function takeProduced(open: OpenDocument): Uint8Array | undefined {
  const { produced } = open;
  open.produced = undefined;
  if (produced !== undefined && produced.length > LIMITS.documentBytes) {
    throw new FieldbookError('update_too_large', `A change of ${open.name} has ${produced.length} bytes.`);
  }
  return produced;
}
