import * as Y from 'yjs';
import type { DeviceKey } from '../access/device-key.ts';
import { claimText, CLIENT_CLAIMS, encodeClientClaim } from '../record/index.ts';
import { FieldbookError, isFieldbookError } from '../errors.ts';
import type { DeviceId, DocumentName } from '../ids.ts';
import { parseDocumentName } from '../ids.ts';
import type { BatchOperation, Log, Random, Storage } from '../ports.ts';
import type { Without } from '../repair/rebuild.ts';
import { carryOver } from '../repair/carry-over.ts';
import { nextGeneration } from '../repair/generation.ts';
import { assemble, encodeRebuilt, orphansOf, planRebuilding } from '../repair/rebuild.ts';
import type {
  Aside,
  Expired,
  Expiry,
  CommitSource,
  DocumentMeta,
  HistoryOptions,
  LoggedCommit,
  RestoreGuard,
} from '../store/index.ts';
import { DocumentStore } from '../store/index.ts';
import type { Sender } from './admission.ts';
import { documentLimit } from './admission.ts';
import { isWorthCompacting } from './compaction.ts';
import { OpenDocument } from './open-document.ts';
import type {
  Adopted,
  Commit,
  DocumentInfo,
  EncodedState,
  FeedEntry,
  Rebuilt,
  RebuildRequest,
  Replica,
  WholeDocument,
} from './replica.ts';

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
  /** Keep every update, and where it came from, for repair. */
  history?: HistoryOptions;
  /** With which this device claims the client ids that it begins to use in books and the workspace; none are claimed without. */
  key?: DeviceKey;
  /** Local changes are not judged as remote ones are: only for tests that play a program with a fault. */
  trusting?: boolean;
}

/** Opens the replica in a storage, creating it when it is empty. Throws `store_version`, `store_corrupt`. */
export async function openReplica(options: ReplicaOptions): Promise<Replica> {
  const store = await DocumentStore.open({
    ...options,
    surfaced: (meta, updates) => replica.surfaced(meta, updates),
    quarantined: (name) => replica.quarantined(name),
  });
  const replica = new StoredReplica(store, options);
  return replica;
}

const NOTHING = Symbol('nothing changed');
/** Books of single runs that came by bundle hold copies of others' cards. */
const COLLECTED = '/0000-01';
const CACHE_BYTES = 256 * 1024 * 1024;
const CACHE_DOCUMENTS = 1_000;

class StoredReplica implements Replica {
  readonly device: DeviceId;
  readonly #store: DocumentStore;
  readonly #random: Random;
  readonly #log: Log | undefined;
  readonly #cacheBytes: number;
  readonly #trusting: boolean;
  readonly #key: DeviceKey | undefined;
  readonly #compacted: ReplicaOptions['compacted'];
  readonly #history: HistoryOptions | undefined;
  /** Least recently used first. */
  readonly #open = new Map<DocumentName, OpenDocument>();
  /** What all of them take on disk, as last counted. */
  #openBytes = 0;
  readonly #opening = new Map<DocumentName, Promise<void>>();
  readonly #listeners = new Set<(commit: Commit) => void>();
  readonly #damageListeners = new Set<(name: DocumentName) => void>();
  readonly #compacting = new Map<DocumentName, Promise<void>>();
  #closed = false;

  constructor(store: DocumentStore, options: ReplicaOptions) {
    this.#store = store;
    this.device = options.device;
    this.#random = options.random;
    this.#log = options.log;
    this.#cacheBytes = options.cacheBytes ?? CACHE_BYTES;
    this.#trusting = options.trusting ?? false;
    this.#key = options.key;
    this.#compacted = options.compacted;
    this.#history = options.history;
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
      const claim = this.#claimFor(open);
      if (claim === undefined) return this.#changed(open, () => open.change(change, !this.#trusting), 'local', also);
      const claiming = (doc: Y.Doc): void => {
        doc.getMap(CLIENT_CLAIMS).set(String(doc.clientID), claim);
        change(doc);
        // A document that does not exist is not made for a claim alone.
        if (this.#store.meta(name) === undefined && open.stateOf(doc.clientID) === 1) throw NOTHING;
      };
      const work = (): Uint8Array | undefined => {
        try {
          return open.change(claiming, !this.#trusting);
        } catch (error) {
          if (error !== NOTHING) throw error;
          this.#discard(open);
          return undefined;
        }
      };
      return this.#changed(open, work, 'local', also);
    });
  }

  async apply(
    name: DocumentName,
    update: Uint8Array,
    origin: unknown,
    generation?: number,
    sender?: Sender,
  ): Promise<Commit | undefined> {
    return this.#with(name, (open) => {
      const ours = this.#store.meta(name)?.generation ?? 0;
      // Asked only now: the document may have been replaced while this waited for it.
      if (generation !== undefined && generation !== ours) throw generationMismatch(name, ours, generation);
      const limit = documentLimit(name);
      if (this.#sizeOf(name) + update.length > limit) {
        const message = `Document ${name} would have more than ${limit} bytes.`;
        throw new FieldbookError('update_too_large', message);
      }
      const renew = (): number => {
        this.#log?.warn('replica.client_id_seen_ahead', { name, clientId: open.doc.clientID });
        return this.#freshClientId(open);
      };
      return this.#changed(open, () => open.apply(update, renew, false, sender), origin, []);
    });
  }

  async adopt(name: DocumentName, { generation, updates }: WholeDocument): Promise<Adopted> {
    parseDocumentName(name);
    const staged = new OpenDocument(name, [], this.#store.epoch);
    try {
      let bytes = 0;
      for (const update of updates) {
        bytes += update.length;
        if (bytes > documentLimit(name)) {
          throw new FieldbookError('update_too_large', `Document ${name} has more than ${documentLimit(name)} bytes.`);
        }
        staged.apply(update, () => this.#freshClientId(staged), true);
      }
      return await this.#replacing(name, async () => {
        const meta = this.#store.meta(name);
        const { parts, damage } = await this.#partsOf(name);
        const isDamaged = damage.length > 0;
        if (meta !== undefined && meta.generation >= generation && !(isDamaged && meta.generation === generation))
          throw generationMismatch(name, meta.generation, generation);
        staged.doc.clientID = this.#freshClientId(staged);
        const isHealed = isDamaged && meta?.generation === generation;
        const carried = isHealed
          ? healFrom(staged, parts)
          : inDocument(parts, (from) => {
              let so = { added: 0, removed: 0 };
              const options = { generation: meta?.generation ?? 0, device: this.device };
              staged.change((doc) => (so = carryOver(name, from, doc, options)), false);
              return so;
            });
        const update = Y.encodeStateAsUpdate(staged.doc);
        const reason = isHealed ? 'healed' : 'adopted';
        const commit = await this.#replace(name, { generation, snapshot: update, reason });
        this.#log?.warn(`replica.${reason}`, { name, generation, ...carried, damage });
        return { commit, ...carried };
      });
    } finally {
      staged.destroy();
    }
  }

  async rebuild(name: DocumentName, request: RebuildRequest): Promise<Rebuilt> {
    parseDocumentName(name);
    const without: Without = request.without ?? {};
    const work = async (): Promise<Rebuilt> => {
      const meta = this.#store.meta(name);
      if (meta === undefined && request.source === undefined)
        throw new FieldbookError('not_found', `There is no document ${name} here.`);
      const { parts, damage } =
        request.source === undefined ? await this.#partsOf(name) : { parts: request.source.parts, damage: [] };
      const log: LoggedCommit[] = [];
      for await (const commit of this.#store.history(name)) log.push(commit);
      const old = Math.max(meta?.generation ?? 0, request.source?.generation ?? 0);
      const source = { name, generation: request.source?.generation ?? old, parts, log };
      const { kept, ...plan } = planRebuilding(source, without);
      const generation = nextGeneration(old, this.#random);
      const records = [...kept.values()].reduce((sum, map) => sum + map.size, 0);
      const bytes = this.#random.bytes(4);
      const client = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
      const { time, reason } = request;
      const as = { client, to: generation, device: this.device, time, reason, without };
      const snapshot = encodeRebuilt(source, { kept, ...plan }, as);
      const commit =
        request.dryRun === true ? undefined : await this.#replace(name, { generation, snapshot, reason, time });
      return { ...plan, records, damage, generation, bytesAfter: snapshot.length, commit };
    };
    return request.dryRun === true ? work() : this.#replacing(name, work);
  }

  history(name: DocumentName, generation?: number): AsyncIterable<LoggedCommit> {
    return this.#store.history(name, generation);
  }

  expire(expiry: Expiry): Promise<Expired> {
    return this.#store.expire(expiry);
  }

  asides(name: DocumentName): Promise<Aside[]> {
    return this.#store.asides(name);
  }

  asideParts(aside: Aside): Promise<Uint8Array[]> {
    return this.#store.asideParts(aside);
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

  damaged(): readonly DocumentName[] {
    return this.#store.damaged();
  }

  onDamage(listener: (name: DocumentName) => void): () => void {
    this.#damageListeners.add(listener);
    return () => this.#damageListeners.delete(listener);
  }

  async noteClientIdSeen(name: DocumentName, stateVector: Uint8Array): Promise<boolean> {
    if (this.#store.meta(name) === undefined) return false;
    let theirs: Map<number, number>;
    try {
      theirs = Y.decodeStateVector(stateVector);
    } catch (error) {
      throw new FieldbookError('update_malformed', 'A state vector cannot be decoded.', { cause: error });
    }
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
    this.#damageListeners.clear();
  }

  /** A failed write turned out to be on disk. Memory does not have it; peers and listeners are told as of any commit. */
  surfaced(meta: DocumentMeta, updates: readonly Uint8Array[]): void {
    const { name, seq, generation } = meta;
    const open = this.#open.get(name);
    if (open !== undefined) this.#discard(open);
    for (const update of updates) this.#announce({ name, seq, generation, update, origin: 'surfaced' });
    if (updates.length > 0) return;
    // A document that was replaced has no updates of its own; whoever knew it must read it anew.
    void this.encodeState(name)
      .then(({ update }) => this.#announce({ name, seq, generation, update, origin: 'surfaced', rebuilt: true }))
      .catch((error: unknown) => this.#log?.warn('replica.surfaced_unread', { name, error: String(error) }));
  }

  /** For the store: a document turned out to be damaged. */
  quarantined(name: DocumentName): void {
    for (const listener of this.#damageListeners) listener(name);
  }

  // --- documents replaced

  /** Runs `work` while nobody else has the document and nothing of it is under way; who asks for it meanwhile waits. */
  async #replacing<T>(name: DocumentName, work: () => Promise<T>): Promise<T> {
    for (;;) {
      if (this.#closed) throw new FieldbookError('store_closed', 'The replica is closed.');
      const opening = this.#opening.get(name);
      if (opening === undefined) break;
      await opening.catch(() => undefined);
    }
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => (release = resolve));
    this.#opening.set(name, gate);
    const open = this.#open.get(name);
    try {
      if (open !== undefined) {
        const { pending } = open;
        this.#discard(open);
        await pending?.catch(() => undefined);
      }
      return await work();
    } finally {
      if (this.#opening.get(name) === gate) this.#opening.delete(name);
      release();
    }
  }

  /** What the disk has of a document, and what is wrong with it. */
  async #partsOf(name: DocumentName): Promise<{ parts: Uint8Array[]; damage: string[] }> {
    const meta = this.#store.meta(name);
    if (meta === undefined) return { parts: [], damage: [] };
    try {
      return { parts: await this.#store.load(name), damage: [] };
    } catch (error) {
      if (!isFieldbookError(error, 'document_quarantined')) throw error;
      const { parts, damage } = await this.#store.salvage(name);
      return { parts, damage: damage.length > 0 ? damage : [error.message] };
    }
  }

  async #replace(
    name: DocumentName,
    { generation, snapshot, reason, time }: { generation: number; snapshot: Uint8Array; reason: string; time?: number },
  ): Promise<Commit> {
    let commit: Commit | undefined;
    const committed = ({ seq }: DocumentMeta): void => {
      // Of nobody, so that also the side that it came from hears that it is here, and takes back what it refused before.
      commit = { name, seq, generation, update: snapshot, origin: 'rebuilt', rebuilt: true };
      this.#announce(commit);
    };
    const now = time ?? this.#history?.clock.now() ?? 0;
    await this.#store.replace(name, { generation, snapshot, reason, time: now, committed });
    return commit!;
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
    this.#count(open);
    this.#evict();
  }

  /**
   * The claim of this device's client id, when it is about to use it for the first time in a document in which that says
   * something: runs are found by their cards, and the entries of a run's document name their devices themselves.
   */
  #claimFor({ name, doc }: OpenDocument): Uint8Array | undefined {
    const key = this.#key;
    const { kind } = parseDocumentName(name);
    if (key === undefined || (kind !== 'book' && kind !== 'workspace') || name.endsWith(COLLECTED)) return undefined;
    if (Y.getState(doc.store, doc.clientID) > 0) return undefined;
    const signature = key.sign(claimText(name, doc.clientID));
    return encodeClientClaim({ kind: 'client', device: key.id, publicKey: key.publicKey, signature });
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
    if (this.#open.get(open.name) === open) {
      this.#open.delete(open.name);
      this.#openBytes -= open.counted;
    }
    open.destroy();
  }

  /** Takes the document for as large as it is now. Kept as a sum: of a thousand documents it would cost more than a load. */
  #count(open: OpenDocument): void {
    if (this.#open.get(open.name) !== open) return;
    const bytes = this.#sizeOf(open.name);
    this.#openBytes += bytes - open.counted;
    open.counted = bytes;
  }

  #evict(): void {
    let left = this.#open.size;
    for (const open of this.#open.values()) {
      // The last one was just asked for.
      if (left === 1 || (this.#openBytes <= this.#cacheBytes && this.#open.size <= CACHE_DOCUMENTS)) return;
      left -= 1;
      if (open.underWay > 0) continue;
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
      source: sourceOf(origin),
      committed: ({ seq, generation }, previous) => {
        commit = { name, seq, generation, update: update!, origin, previous };
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
    if (update !== undefined) {
      this.#count(open);
      this.#compactLater(name);
    }
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
    const open = this.#open.get(name);
    if (open !== undefined) this.#count(open);
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

/** Who an origin is, for the log of commits. */
function sourceOf(origin: unknown): CommitSource {
  const source = typeof origin === 'object' && origin !== null && 'source' in origin ? origin.source : undefined;
  if (typeof source === 'object' && source !== null) return source as CommitSource;
  return { via: typeof origin === 'string' ? origin : 'replication', device: null, replica: null, token: null };
}

/** `work` on what parts make together, as far as they fit. */
function inDocument<T>(parts: readonly Uint8Array[], work: (doc: Y.Doc) => T): T {
  const { doc } = assemble(parts, []);
  try {
    return work(doc);
  } finally {
    doc.destroy();
  }
}

/** Adds to a whole document what is left of a damaged one of the same generation. */
function healFrom(whole: OpenDocument, parts: readonly Uint8Array[]): { added: number; removed: number } {
  let added = 0;
  for (const part of parts) {
    try {
      if (whole.apply(part, () => whole.doc.clientID) !== undefined) added += 1;
    } catch (error) {
      // What it builds on is lost; its records are looked at below. Anything else would have been refused long ago.
      if (!isFieldbookError(error)) throw error;
      if (whole.spoilt) throw error;
    }
  }
  inDocument(parts, (doc) => {
    whole.change((to) => {
      for (const { map, key, bytes } of orphansOf(doc)) {
        if (to.getMap(map).has(key)) continue;
        to.getMap(map).set(key, bytes);
        added += 1;
      }
    }, false);
  });
  return { added, removed: 0 };
}

export function generationMismatch(name: DocumentName, ours: number, theirs: number): FieldbookError {
  return new FieldbookError(
    'generation_mismatch',
    `Document ${name} was rebuilt on one side (generation ${ours} here, ${theirs} there); the two are not merged.`,
    { details: { name, ours, theirs } },
  );
}
