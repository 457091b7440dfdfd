import { asFieldbookError, FieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import { base32 } from '../ids.ts';
import type { BatchOperation, Log, Random, Storage } from '../ports.ts';
import { decodeRecord, encodeRecord } from '../record/index.ts';
import { seal, unseal } from './checked.ts';
import {
  feedKey,
  INFO_KEY,
  logKey,
  metaKey,
  prefixRange,
  privateKey,
  seqOf,
  snapshotKey,
  textAfter,
  VERSION_KEY,
} from './keys.ts';

/** The layout of docs/formats/store.md. A higher one was written by a newer program and is refused. */
const STORE_VERSION = 1;
/** One batch is one fsync; larger ones gain nothing and hold their bytes in memory twice. */
const BATCH_BYTES = 8 * 1024 * 1024;

/**
 * Evidence that this store is the one that was closed last and not a copy or a backup of it.
 * `fingerprint` names the place (machine, directory); `readCounter`/`writeCounter` keep a number outside the store
 * that must equal the one inside. Any difference renews the replica id and every Yjs client id: reusing one after a
 * restore is silent, permanent divergence.
 */
export interface RestoreGuard {
  fingerprint: string;
  readCounter(): Promise<number | undefined>;
  writeCounter(count: number): Promise<void>;
}

/** What the store knows of a document without reading it. */
export interface DocumentMeta {
  name: DocumentName;
  /** Seq of the last commit. */
  seq: number;
  generation: number;
  /** The Yjs client id of this device in this document and the clock it will use next; valid for `epoch`. */
  clientId: number | null;
  nextClock: number;
  epoch: number;
  /** The snapshot that holds everything up to this seq; 0 for none. */
  snapshotSeq: number;
  snapshotBytes: number;
  logCount: number;
  logBytes: number;
  /** Why the document is not served, in words. */
  quarantined: string | null;
}

export interface Append {
  name: DocumentName;
  /** Null when only `also` is written. */
  update: Uint8Array | null;
  clientId: number | null;
  nextClock: number;
  also: readonly BatchOperation[];
}

interface Work {
  /** Builds the operations against the metas as they are when its turn comes. */
  build(batch: BatchOperation[]): void;
  bytes: number;
  done(): void;
  failed(error: FieldbookError): void;
}

/**
 * Updates of all documents on one Storage, in the order of their commits. One batch at a time is on its way to the
 * disk; what arrives meanwhile goes into the next one, so fsyncs are shared and acknowledged in order.
 */
export class DocumentStore {
  readonly id: string;
  /** Raised when the store proved to be a copy; client ids of lower epochs are not used again. */
  readonly epoch: number;
  readonly renewed: boolean;
  readonly #storage: Storage;
  readonly #log: Log | undefined;
  readonly #metas: Map<DocumentName, DocumentMeta>;
  #seq: number;
  #queue: Work[] = [];
  #running: Promise<void> | undefined;
  #closed = false;

  private constructor(
    storage: Storage,
    info: Info,
    metas: Map<DocumentName, DocumentMeta>,
    seq: number,
    renewed: boolean,
    log?: Log,
  ) {
    this.#storage = storage;
    this.#metas = metas;
    this.#seq = seq;
    this.#log = log;
    this.id = info.id;
    this.epoch = info.epoch;
    this.renewed = renewed;
  }

  /** Opens or creates a store. Throws `store_version` for one written by a newer program, `store_corrupt` for a broken head. */
  static async open(options: {
    storage: Storage;
    random: Random;
    guard?: RestoreGuard;
    log?: Log;
  }): Promise<DocumentStore> {
    const { storage, random, guard, log } = options;
    const [version, stored] = await storage.getMany([VERSION_KEY, INFO_KEY]);
    if (version !== undefined && version[0] !== STORE_VERSION) {
      throw new FieldbookError(
        'store_version',
        `The store has version ${version[0]}; this program reads version ${STORE_VERSION}. Use the newer Fieldbook that wrote it.`,
      );
    }
    let info: Info;
    let renewed = false;
    if (stored === undefined) {
      info = { id: base32(random.bytes(15)), epoch: 1, fingerprint: guard?.fingerprint ?? '', counter: 0 };
    } else {
      info = decodeInfo(unseal(stored, 'The head of the store'));
      if (
        guard !== undefined &&
        (info.fingerprint !== guard.fingerprint || (await guard.readCounter()) !== info.counter)
      ) {
        renewed = true;
        log?.warn('store.copy_detected', { id: info.id });
        info = {
          id: base32(random.bytes(15)),
          epoch: info.epoch + 1,
          fingerprint: guard.fingerprint,
          counter: info.counter,
        };
      }
    }
    info.counter += 1;
    // Inside first: a crash between the two renews ids needlessly, the other order could miss a restore.
    await storage.batch(
      [
        { type: 'put', key: VERSION_KEY, value: new Uint8Array([STORE_VERSION]) },
        { type: 'put', key: INFO_KEY, value: seal(encodeInfo(info)) },
      ],
      { sync: true },
    );
    await guard?.writeCounter(info.counter);
    const metas = new Map<DocumentName, DocumentMeta>();
    for await (const [key, value] of storage.range(prefixRange('d/'))) {
      const name = textAfter(key, 2) as DocumentName;
      metas.set(name, readMeta(name, value, log));
    }
    let seq = 0;
    for await (const key of storage.keys({ ...prefixRange('f/'), reverse: true, limit: 1 })) seq = seqOf(key);
    return new DocumentStore(storage, info, metas, seq, renewed, log);
  }

  get lastSeq(): number {
    return this.#seq;
  }

  meta(name: DocumentName): DocumentMeta | undefined {
    return this.#metas.get(name);
  }

  /** In name order. */
  *metas(prefix = ''): Generator<DocumentMeta> {
    for (const name of [...this.#metas.keys()].filter((key) => key.startsWith(prefix)).sort())
      yield this.#metas.get(name)!;
  }

  /**
   * Appends in one atomic, fsynced batch: the update, its feed entry (that of the document's previous commit goes),
   * the bookkeeping and `also`. `committed` runs after fsync, in seq order over all appends, before the promise
   * resolves. Rejects with `disk_full` or `storage_failed`, and then every append queued behind it is rejected too.
   */
  append(append: Append, committed?: (seq: number) => void): Promise<number> {
    return new Promise((resolve, reject) => {
      let before: DocumentMeta | undefined;
      let seq = 0;
      this.#enqueue({
        bytes: append.update?.length ?? 0,
        build: (batch) => {
          before = this.#metas.get(append.name);
          seq = this.#buildAppend(append, before, batch);
        },
        done: () => {
          committed?.(seq);
          resolve(seq);
        },
        failed: (error) => {
          if (seq !== 0) this.#restore(append.name, before);
          reject(error);
        },
      });
    });
  }

  /** Snapshot and log of a document, oldest first. Throws `document_quarantined`, after noting it, when a part is damaged. */
  async load(name: DocumentName): Promise<Uint8Array[]> {
    const meta = this.#metas.get(name);
    if (meta === undefined) return [];
    if (meta.quarantined !== null) throw quarantinedError(name, meta.quarantined);
    const updates: Uint8Array[] = [];
    try {
      if (meta.snapshotSeq > 0) {
        const snapshot = await this.#storage.get(snapshotKey(name, meta.snapshotSeq));
        if (snapshot === undefined) throw new FieldbookError('store_corrupt', 'Its snapshot is missing.');
        updates.push(unseal(snapshot, 'Its snapshot'));
      }
      let count = 0;
      for await (const [key, value] of this.#storage.range({
        gt: logKey(name, meta.snapshotSeq),
        lte: logKey(name, meta.seq),
      })) {
        count += 1;
        updates.push(unseal(value, `Update ${seqOf(key)}`));
      }
      if (count !== meta.logCount)
        throw new FieldbookError('store_corrupt', `${meta.logCount} updates were stored and ${count} are there.`);
    } catch (error) {
      const { code, message } = asFieldbookError(error);
      if (code !== 'store_corrupt') throw error;
      this.quarantine(name, message);
      throw quarantinedError(name, message);
    }
    return updates;
  }

  /** Marks a document as not to be served; its bytes stay for repair. */
  quarantine(name: DocumentName, reason: string): void {
    const meta = this.#metas.get(name);
    if (meta === undefined || meta.quarantined !== null) return;
    meta.quarantined = reason;
    this.#log?.error('store.document_quarantined', { name, reason });
  }

  /**
   * Replaces the log up to the document's last commit by `snapshot`, which must hold exactly that state. The old log
   * goes only in a second batch, after the snapshot is fsynced: a crash between leaves both, and both say the same.
   */
  async compact(name: DocumentName, seq: number, snapshot: Uint8Array): Promise<void> {
    const meta = this.#metas.get(name);
    if (meta === undefined || meta.quarantined !== null || seq !== meta.seq || meta.snapshotSeq === seq) return;
    const oldSnapshot = meta.snapshotSeq;
    await this.write((batch) => {
      const now = this.#metas.get(name)!;
      // Commits that came meanwhile stay in the log behind the snapshot.
      const fresh = { ...now, snapshotSeq: seq, snapshotBytes: snapshot.length };
      fresh.logCount = now.logCount - meta.logCount;
      fresh.logBytes = now.logBytes - meta.logBytes;
      this.#metas.set(name, fresh);
      batch.push(
        { type: 'put', key: snapshotKey(name, seq), value: seal(snapshot) },
        { type: 'put', key: metaKey(name), value: seal(encodeMeta(fresh)) },
      );
    });
    const dead: BatchOperation[] = [];
    for await (const key of this.#storage.keys({ gte: logKey(name, 0), lte: logKey(name, seq) }))
      dead.push({ type: 'del', key });
    if (oldSnapshot > 0) dead.push({ type: 'del', key: snapshotKey(name, oldSnapshot) });
    await this.write((batch) => batch.push(...dead));
  }

  /** Documents whose last commit lies after `seq`, oldest first. */
  async changedSince(seq: number, limit: number): Promise<{ seq: number; name: DocumentName }[]> {
    const changed: { seq: number; name: DocumentName }[] = [];
    for await (const [key, value] of this.#storage.range({
      gt: feedKey(seq),
      lte: feedKey(Number.MAX_SAFE_INTEGER),
      limit,
    })) {
      changed.push({ seq: seqOf(key), name: textAfter(value, 0) as DocumentName });
    }
    return changed;
  }

  async getPrivate(key: string): Promise<Uint8Array | undefined> {
    return this.#storage.get(privateKey(key));
  }

  async *listPrivate(prefix: string): AsyncGenerator<[string, Uint8Array]> {
    for await (const [key, value] of this.#storage.range(prefixRange(`x/${prefix}`))) yield [textAfter(key, 2), value];
  }

  /** Anything else that must be on disk, in the same order as the appends. */
  write(build: (batch: BatchOperation[]) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#enqueue({ bytes: 0, build, done: resolve, failed: reject });
    });
  }

  /** Resolves when everything queued so far is on disk or was rejected. */
  async flush(): Promise<void> {
    // Its own place in the queue: waiting for an empty queue could take for ever under steady writes.
    await this.write(() => {}).catch(() => {});
  }

  async close(): Promise<void> {
    this.#closed = true;
    while (this.#running !== undefined) await this.#running;
    await this.#storage.close();
  }

  #enqueue(work: Work): void {
    if (this.#closed) {
      work.failed(new FieldbookError('store_closed', 'The store is closed.'));
      return;
    }
    this.#queue.push(work);
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    // A turn of the microtask queue lets changes made together share one fsync.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      let bytes = 0;
      let count = 0;
      const batch: BatchOperation[] = [];
      const group: Work[] = [];
      while (count < this.#queue.length && bytes <= BATCH_BYTES) {
        const work = this.#queue[count++]!;
        bytes += work.bytes;
        group.push(work);
        work.build(batch);
      }
      this.#queue.splice(0, count);
      try {
        if (batch.length > 0) await this.#storage.batch(lastPerKey(batch), { sync: true });
      } catch (error) {
        this.#fail([...group, ...this.#queue.splice(0)], asFieldbookError(error, 'storage_failed'));
        continue;
      }
      for (const work of group) work.done();
    }
  }

  /** Later appends were made on top of the failed one, so they go with it; metas are put back newest first. */
  #fail(works: readonly Work[], error: FieldbookError): void {
    this.#log?.error('store.write_failed', { code: error.code, lost: works.length });
    for (const work of [...works].reverse()) work.failed(error);
  }

  #restore(name: DocumentName, before: DocumentMeta | undefined): void {
    if (before === undefined) this.#metas.delete(name);
    else this.#metas.set(name, { ...before, clientId: null });
  }

  #buildAppend(append: Append, before: DocumentMeta | undefined, batch: BatchOperation[]): number {
    batch.push(...append.also);
    if (append.update === null) return before?.seq ?? 0;
    const seq = (this.#seq += 1);
    const meta: DocumentMeta = {
      name: append.name,
      seq,
      generation: before?.generation ?? 0,
      clientId: append.clientId,
      nextClock: append.nextClock,
      epoch: this.epoch,
      snapshotSeq: before?.snapshotSeq ?? 0,
      snapshotBytes: before?.snapshotBytes ?? 0,
      logCount: (before?.logCount ?? 0) + 1,
      logBytes: (before?.logBytes ?? 0) + append.update.length,
      quarantined: null,
    };
    this.#metas.set(append.name, meta);
    if (before !== undefined) batch.push({ type: 'del', key: feedKey(before.seq) });
    batch.push(
      { type: 'put', key: logKey(append.name, seq), value: seal(append.update) },
      { type: 'put', key: feedKey(seq), value: metaKey(append.name).slice(2) },
      { type: 'put', key: metaKey(append.name), value: seal(encodeMeta(meta)) },
    );
    return seq;
  }
}

/** The last word on each key: a batch that puts and deletes one feed entry must end with what came last. */
function lastPerKey(batch: BatchOperation[]): BatchOperation[] {
  if (batch.length < 8) return batch;
  const last = new Map<string, BatchOperation>();
  const decoder = new TextDecoder('latin1');
  for (const operation of batch) {
    const key = decoder.decode(operation.key);
    last.delete(key);
    last.set(key, operation);
  }
  return [...last.values()];
}

function quarantinedError(name: DocumentName, reason: string): FieldbookError {
  return new FieldbookError(
    'document_quarantined',
    `Document ${name} is damaged on disk and not served: ${reason} Its bytes are kept; run "fieldbook doctor".`,
    {
      details: { name, reason },
    },
  );
}

interface Info {
  id: string;
  epoch: number;
  fingerprint: string;
  counter: number;
}

const SMALL = 4 * 1024;

function encodeInfo(info: Info): Uint8Array {
  return encodeRecord({ ...info });
}

function decodeInfo(bytes: Uint8Array): Info {
  return decodeRecord(bytes, SMALL) as unknown as Info;
}

function encodeMeta(meta: DocumentMeta): Uint8Array {
  const { name: _, quarantined: __, ...stored } = meta;
  return encodeRecord(stored);
}

function readMeta(name: DocumentName, sealed: Uint8Array, log?: Log): DocumentMeta {
  try {
    const stored = decodeRecord(unseal(sealed, 'The entry of a document'), SMALL) as unknown as DocumentMeta;
    return { ...stored, name, quarantined: null };
  } catch (error) {
    const reason = asFieldbookError(error).message;
    log?.error('store.document_quarantined', { name, reason });
    return {
      name,
      seq: 0,
      generation: 0,
      clientId: null,
      nextClock: 0,
      epoch: 0,
      snapshotSeq: 0,
      snapshotBytes: 0,
      logCount: 0,
      logBytes: 0,
      quarantined: reason,
    };
  }
}
