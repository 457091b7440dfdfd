import { asFieldbookError, FieldbookError, isFieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import type { BatchOperation, Log, Random, Storage } from '../ports.ts';
import { seal } from './checked.ts';
import type { Work } from './commit-queue.ts';
import { CommitQueue } from './commit-queue.ts';
import type { Head, HeadOptions } from './head.ts';
import { mintReplicaId, openHead } from './head.ts';
import type { CommitSource, HistoryOptions, HistoryStats, LoggedCommit } from './history.ts';
import { History } from './history.ts';
import * as keys from './keys.ts';
import type { DocumentMeta, StoreInfo } from './meta.ts';
import { decodeMeta, emptyMeta, encodeInfo, encodeMeta } from './meta.ts';
import { readParts, readUpdates, salvageParts } from './parts.ts';
import type { Aside } from './asides.ts';
import { Asides } from './asides.ts';

export interface Append {
  name: DocumentName;
  /** Null when only `also` is written. */
  update: Uint8Array | null;
  clientId: number | null;
  nextClock: number;
  also: readonly BatchOperation[];
  /** Where it came from, for the log that is kept for repair. */
  source?: CommitSource | undefined;
  /** After fsync, in seq order over all appends, before the promise resolves. Must not throw. */
  committed?(meta: DocumentMeta, previous: number): void;
  /** At once when the write failed, before anything else runs. Must not throw. */
  failed?(): void;
}

export interface DocumentStoreOptions extends HeadOptions {
  /** Updates whose write was reported as failed turned out to be on disk: they were committed after all, under `seq`. */
  surfaced?(meta: DocumentMeta, updates: Uint8Array[]): void;
  /** A document turned out to be damaged. Must not throw. */
  quarantined?(name: DocumentName): void;
  /** Keep what compactions take out of the logs, and where each commit came from. */
  history?: HistoryOptions | undefined;
}

/** Another state in the place of a document's. */
export interface Replacement {
  generation: number;
  /** The whole of it. */
  snapshot: Uint8Array;
  /** Why, in a word: `repair`, `adopted`, `healed`. */
  reason: string;
  /** ms since the epoch; names the bytes that are put aside. */
  time: number;
  /** After fsync, before the promise resolves. Must not throw. */
  committed?(meta: DocumentMeta): void;
}

/** What is let go of, and who hears of it first. */
export interface Expiry {
  asidesBefore: number | null;
  dryRun: boolean;
  about(what: keyof Expired, going: { count: number; bytes: number }): Promise<void>;
}

/** Chunks of the log for repair, and documents put aside. */
export type Expired = Record<'log' | 'replaced', { count: number; bytes: number }>;

/**
 * Updates of all documents on one Storage, in the order of their commits: a log and at times a snapshot per document,
 * a feed of what changed last, and small private values beside them.
 */
export class DocumentStore {
  readonly #storage: Storage;
  readonly #random: Random;
  readonly #log: Log | undefined;
  readonly #surfaced: DocumentStoreOptions['surfaced'];
  readonly #quarantined: DocumentStoreOptions['quarantined'];
  readonly #history: History | undefined;
  readonly #asides: Asides;
  readonly #queue: CommitQueue;
  /** As the queue will leave them: a commit under way shows its seq. */
  readonly #metas: Map<DocumentName, DocumentMeta>;
  /** Appends not yet ended, by document. */
  readonly #underWay = new Map<DocumentName, number>();
  /** Documents of failed batches, until the disk was asked what it holds. */
  readonly #doubtful = new Set<DocumentName>();
  /** Documents whose client id was given up, until that is on disk. */
  readonly #givenUp = new Set<DocumentName>();
  readonly #locks = new Map<DocumentName, Promise<void>>();
  #info: StoreInfo;
  /** The last seq given out, and the last that is on disk. */
  #seq: number;
  #committed: number;

  private constructor(options: DocumentStoreOptions, head: Head, history: History | undefined) {
    this.#storage = options.storage;
    this.#history = history;
    this.#quarantined = options.quarantined;
    this.#asides = new Asides(options.storage);
    this.#random = options.random;
    this.#log = options.log;
    this.#surfaced = options.surfaced;
    this.#queue = new CommitQueue(options.storage, () => this.#recovered(), options.log);
    this.#metas = head.metas;
    this.#info = head.info;
    this.#seq = head.lastGiven;
    this.#committed = head.seq;
  }

  /** Opens or creates a store. Throws `store_version` for one written by a newer program, `store_corrupt` for a broken head. */
  static async open(options: DocumentStoreOptions): Promise<DocumentStore> {
    const head = await openHead(options);
    const { storage, history, log } = options;
    const kept = history === undefined ? undefined : await History.open(storage, history, log);
    return new DocumentStore(options, head, kept);
  }

  /** Names this store to its peers; another one from when it proved to be a copy. */
  get id(): string {
    return this.#info.id;
  }

  /** Raised with `id`; client ids of lower epochs are not used again. */
  get epoch(): number {
    return this.#info.epoch;
  }

  /** The last seq that is on disk. */
  get lastSeq(): number {
    return this.#committed;
  }

  meta(name: DocumentName): DocumentMeta | undefined {
    return this.#metas.get(name);
  }

  /** Names of documents that are not served. */
  damaged(): DocumentName[] {
    const damaged: DocumentName[] = [];
    for (const [name, { quarantined }] of this.#metas) if (quarantined !== null) damaged.push(name);
    return damaged;
  }

  /** Names of documents, in order. */
  names(prefix = ''): DocumentName[] {
    return [...this.#metas.keys()].filter((key) => key.startsWith(prefix)).sort();
  }

  /** This store is a copy or was put back to an earlier state: another id, and no client id is used again. */
  async renew(): Promise<void> {
    const before = this.#info;
    const info = { ...before, id: mintReplicaId(this.#random), epoch: before.epoch + 1 };
    // At once in memory: nothing more may be made under the old client ids.
    this.#info = info;
    await this.#queue.write((batch) =>
      batch.push({ type: 'put', key: keys.INFO_KEY, value: encodeInfo({ ...this.#info }) }),
    );
  }

  /** The client id of this document is not used again after a restart, either. */
  async forgetClientId(name: DocumentName): Promise<void> {
    this.#givenUp.add(name);
    await this.#queue.write(
      (batch) => this.#putGivenUp([name], batch),
      0,
      undefined,
      () => this.#givenUp.delete(name),
    );
  }

  #putGivenUp(names: Iterable<DocumentName>, batch: BatchOperation[]): void {
    for (const name of names) {
      const meta = this.#metas.get(name);
      if (meta === undefined || meta.quarantined !== null) continue;
      const next = { ...meta, clientId: null, nextClock: 0 };
      this.#metas.set(name, next);
      batch.push({ type: 'put', key: keys.metaKey(name), value: encodeMeta(next) });
    }
  }

  /**
   * Appends in one atomic, fsynced batch: the update, its feed entry (that of the document's previous commit goes),
   * the bookkeeping and `also`. Resolves with the document's entry as of this commit. Rejects with `disk_full` or
   * `storage_failed`, and then every append queued behind it is rejected too.
   */
  append(append: Append): Promise<DocumentMeta | undefined> {
    const { name, update } = append;
    this.#underWay.set(name, (this.#underWay.get(name) ?? 0) + 1);
    const ended = (): void => {
      const left = this.#underWay.get(name)! - 1;
      if (left === 0) this.#underWay.delete(name);
      else this.#underWay.set(name, left);
    };
    return new Promise((resolve, reject) => {
      let built = false;
      let before: DocumentMeta | undefined;
      let after: DocumentMeta | undefined;
      this.#queue.push({
        bytes: (update?.length ?? 0) + append.also.length * 64,
        build: (batch) => {
          before = after = this.#metas.get(name);
          batch.push(...append.also);
          if (update === null) return;
          after = this.#buildCommit(append, update, before, batch);
          if (this.#history !== undefined) batch.push(this.#history.sourceOf(name, after.seq, append.source));
          built = true;
        },
        done: () => {
          ended();
          if (built) {
            this.#committed = after!.seq;
            append.committed?.(after!, before?.seq ?? 0);
          }
          resolve(after);
        },
        failed: (error) => {
          ended();
          if (built) this.#takeBack(name, before);
          append.failed?.();
          reject(error);
        },
      });
    });
  }

  /**
   * Snapshot and log of a document, oldest first. Throws `document_quarantined`, after noting it, when a part is
   * damaged: with an update missing, keys that were there would silently be gone.
   */
  load(name: DocumentName): Promise<Uint8Array[]> {
    return this.#exclusive(name, async () => {
      if (this.#underWay.has(name)) await this.#queue.flush();
      const meta = this.#metas.get(name);
      if (meta === undefined) return [];
      if (meta.quarantined !== null) throw quarantinedError(name, meta.quarantined);
      try {
        return await readParts(this.#storage, meta);
      } catch (error) {
        const { code, message } = asFieldbookError(error);
        if (code !== 'store_corrupt') throw error;
        throw this.quarantine(name, message);
      }
    });
  }

  /** Marks a document as not to be served, its bytes kept for repair. Returns the error that says so. */
  quarantine(name: DocumentName, reason: string): FieldbookError {
    const meta = this.#metas.get(name) ?? emptyMeta(name);
    if (meta.quarantined === null) {
      this.#metas.set(name, { ...meta, quarantined: reason });
      this.#log?.error('store.document_quarantined', { name, reason });
      this.#quarantined?.(name);
    }
    return quarantinedError(name, reason);
  }

  /**
   * Replaces the log up to `through`, an entry as `append` or `meta` gave it, by `snapshot`, which must hold exactly
   * that state. The old log goes only in a second batch, after the snapshot is fsynced: a crash between leaves both, and
   * the snapshot's seq says which of the log it stands for.
   */
  compact(name: DocumentName, through: DocumentMeta, snapshot: Uint8Array): Promise<void> {
    return this.#exclusive(name, async () => {
      const { seq } = through;
      let before: DocumentMeta | undefined;
      await this.#queue.write(
        (batch) => {
          const now = this.#metas.get(name);
          if (now === undefined || now.quarantined !== null || now.snapshotSeq !== through.snapshotSeq) return;
          if (now.snapshotSeq === seq) return;
          before = now;
          // Commits that came meanwhile stay in the log behind the snapshot.
          const next = {
            ...now,
            snapshotSeq: seq,
            snapshotBytes: snapshot.length,
            logCount: now.logCount - through.logCount,
            logBytes: now.logBytes - through.logBytes,
          };
          this.#metas.set(name, next);
          batch.push(
            { type: 'put', key: keys.snapshotKey(name, seq), value: seal(snapshot) },
            { type: 'put', key: keys.metaKey(name), value: encodeMeta(next) },
          );
        },
        snapshot.length,
        () => {
          if (before !== undefined) this.#takeBack(name, before);
        },
      );
      if (before === undefined) return;
      const dead: BatchOperation[] = [];
      const kept = await this.#history?.archive(name, through.generation, seq);
      const covered = [keys.logKey, keys.sourceKey].map((key) => ({ gte: key(name, 0), lte: key(name, seq) }));
      const older = { gte: keys.snapshotKey(name, 0), lt: keys.snapshotKey(name, seq) };
      for (const range of [...covered, older])
        for await (const key of this.#storage.keys(range)) dead.push({ type: 'del', key });
      await this.#queue.write((batch) => batch.push(...(kept?.operations ?? []), ...dead));
      kept?.written();
    });
  }

  /**
   * Puts another state in the document's place: one fsynced batch in which it appears under a new seq and the old bytes,
   * damaged or not, go aside. Nothing may be under way for the document; its caller sees to that. A crash before that
   * batch leaves the document as it was.
   */
  replace(name: DocumentName, replacement: Replacement): Promise<DocumentMeta> {
    const { generation, snapshot, reason } = replacement;
    return this.#exclusive(name, async () => {
      await this.#queue.flush();
      const [newest] = await this.#asides.list(name);
      const time = Math.max(replacement.time, (newest?.time ?? 0) + 1);
      const old = this.#metas.get(name) ?? emptyMeta(name);
      const aside = { name, time, generation: old.generation, seq: old.seq, reason };
      const moved = await this.#asides.put(aside, (batch) => this.#queue.write((into) => into.push(...batch)));
      // A damaged entry does not say where the document stands in the feed.
      const places = old.seq > 0 || this.#metas.get(name) === undefined ? [old.seq] : await this.#placesInFeed(name);
      let after: DocumentMeta | undefined;
      await this.#queue.write(
        (batch) => {
          const seq = (this.#seq += 1);
          after = {
            ...emptyMeta(name),
            seq,
            generation,
            epoch: this.epoch,
            snapshotSeq: seq,
            snapshotBytes: snapshot.length,
          };
          this.#metas.set(name, after);
          for (const place of places) if (place > 0) batch.push({ type: 'del', key: keys.feedKey(place) });
          batch.push(
            ...moved,
            { type: 'put', key: keys.snapshotKey(name, seq), value: seal(snapshot) },
            { type: 'put', key: keys.feedKey(seq), value: keys.metaKey(name).slice(2) },
            { type: 'put', key: keys.metaKey(name), value: encodeMeta(after) },
          );
        },
        snapshot.length,
        () => {
          if (after !== undefined) this.#takeBack(name, old.seq > 0 || old.quarantined !== null ? old : undefined);
        },
        () => {
          this.#committed = after!.seq;
          replacement.committed?.(after!);
        },
      );
      return after!;
    });
  }

  async #placesInFeed(name: DocumentName): Promise<number[]> {
    const places: number[] = [];
    for await (const [key, value] of this.#storage.range(keys.prefixRange('f/')))
      if (keys.textAfter(value, 0) === name) places.push(keys.seqOf(key));
    return places;
  }

  /** What is kept of a document's commits, oldest first; nothing without a history. */
  async *history(name: DocumentName, generation?: number): AsyncGenerator<LoggedCommit> {
    await this.#queue.flush();
    const ours = this.#metas.get(name)?.generation ?? 0;
    if (this.#history !== undefined) yield* this.#history.read(name, generation ?? ours, ours);
  }

  get historyStats(): HistoryStats {
    return this.#history?.stats ?? { chunks: 0, bytes: 0 };
  }

  /**
   * Lets go of what is kept for repair only: the log beyond its size and age, and what was put aside before `asidesBefore` (ms since the
   * epoch; null leaves it). `about` is told before anything goes.
   */
  async expire({ asidesBefore, dryRun, about }: Expiry): Promise<Expired> {
    const expired: Expired = { log: { count: 0, bytes: 0 }, replaced: { count: 0, bytes: 0 } };
    const old = this.#history?.expired();
    if (old !== undefined && old.chunks > 0) {
      expired.log = { count: old.chunks, bytes: old.bytes };
      if (!dryRun) {
        await about('log', expired.log);
        await this.#queue.write((batch) => batch.push(...old.operations));
        old.written();
      }
    }
    if (asidesBefore === null) return expired;
    for await (const { operations, bytes } of this.#asides.before(asidesBefore)) {
      expired.replaced.count += 1;
      expired.replaced.bytes += bytes;
      if (dryRun) continue;
      await about('replaced', { count: 1, bytes });
      await this.#queue.write((batch) => batch.push(...operations));
    }
    return expired;
  }

  /** Every part of a document that is whole, oldest first, and what is wrong with the others. Also of one in quarantine. */
  async salvage(name: DocumentName): Promise<{ parts: Uint8Array[]; damage: string[] }> {
    return this.#exclusive(name, async () => {
      await this.#queue.flush();
      return salvageParts(this.#storage, name, this.#metas.get(name));
    });
  }

  /** What was put aside of a document, newest first, without its bytes. */
  asides(name: DocumentName): Promise<Aside[]> {
    return this.#asides.list(name);
  }

  /** The intact parts of what was put aside, oldest first. */
  asideParts(aside: Aside): Promise<Uint8Array[]> {
    return this.#asides.parts(aside);
  }

  /** Documents whose last commit lies after `seq`, oldest first. */
  async changedSince(seq: number, limit: number): Promise<{ seq: number; name: DocumentName }[]> {
    const changed: { seq: number; name: DocumentName }[] = [];
    const after = { gt: keys.feedKey(seq), lte: keys.feedKey(Number.MAX_SAFE_INTEGER), limit };
    for await (const [key, value] of this.#storage.range(after)) {
      changed.push({ seq: keys.seqOf(key), name: keys.textAfter(value, 0) as DocumentName });
    }
    return changed;
  }

  async getPrivate(key: string): Promise<Uint8Array | undefined> {
    return this.#storage.get(keys.privateKey(key));
  }

  async *listPrivate(prefix: string): AsyncGenerator<[string, Uint8Array]> {
    for await (const [key, value] of this.#storage.range(keys.prefixRange(`x/${prefix}`))) {
      yield [keys.textAfter(key, 2), value];
    }
  }

  /** Private values, in the same order as the appends. */
  putPrivate(entries: readonly (readonly [key: string, value: Uint8Array | null])[]): Promise<void> {
    return this.#queue.write((batch) => {
      for (const [name, value] of entries) {
        const key = keys.privateKey(name);
        batch.push(value === null ? { type: 'del', key } : { type: 'put', key, value });
      }
    });
  }

  flush(): Promise<void> {
    return this.#queue.flush();
  }

  /** Waits for what is under way. A disk that fails now only makes the next opening more careful. */
  async close(): Promise<void> {
    const clean = { ...this.#info, clean: true };
    const marked = this.#queue.write((batch) =>
      batch.push({ type: 'put', key: keys.INFO_KEY, value: encodeInfo(clean) }),
    );
    await Promise.all([this.#queue.close(), marked.catch(() => {})]);
    await this.#storage.close();
  }

  #buildCommit(
    append: Append,
    update: Uint8Array,
    before: DocumentMeta | undefined,
    batch: BatchOperation[],
  ): DocumentMeta {
    if (before !== undefined && before.quarantined !== null) throw quarantinedError(append.name, before.quarantined);
    const { name, clientId, nextClock } = append;
    const was = before ?? emptyMeta(name);
    return this.#commit({ ...was, clientId, nextClock, epoch: this.epoch }, was.seq, batch, update);
  }

  /** A new seq for a document: its entry, its place in the feed, and the update when there is one. */
  #commit(meta: DocumentMeta, oldSeq: number, batch: BatchOperation[], update: Uint8Array | null): DocumentMeta {
    const seq = (this.#seq += 1);
    const { name } = meta;
    const next = {
      ...meta,
      seq,
      logCount: meta.logCount + (update === null ? 0 : 1),
      logBytes: meta.logBytes + (update?.length ?? 0),
    };
    this.#metas.set(name, next);
    if (oldSeq > 0) batch.push({ type: 'del', key: keys.feedKey(oldSeq) });
    if (update !== null) batch.push({ type: 'put', key: keys.logKey(name, seq), value: seal(update) });
    batch.push(
      { type: 'put', key: keys.feedKey(seq), value: keys.metaKey(name).slice(2) },
      { type: 'put', key: keys.metaKey(name), value: encodeMeta(next) },
    );
    return next;
  }

  /** A failed write: the entry as it was, and on doubt no client id, since its clocks may be on the disk. */
  #takeBack(name: DocumentName, before: DocumentMeta | undefined): void {
    this.#doubtful.add(name);
    if (before === undefined) this.#metas.delete(name);
    else this.#metas.set(name, { ...before, clientId: null });
  }

  /**
   * After failed batches: believes the disk. What is there in spite of the failure gets a seq again, so that peers that
   * are past the old one learn of it, and is announced like any commit.
   */
  async #recovered(): Promise<Work[]> {
    const surfaced: { known: DocumentMeta | undefined; found: DocumentMeta; updates: Uint8Array[] }[] = [];
    for (const name of this.#doubtful) {
      const stored = await this.#storage.get(keys.metaKey(name));
      if (stored === undefined) continue;
      const known = this.#metas.get(name);
      const found = { ...decodeMeta(name, stored, this.#log), clientId: null };
      if (found.seq === known?.seq && found.snapshotSeq === known.snapshotSeq) continue;
      const updates = await readUpdates(this.#storage, name, known?.seq ?? 0, found.seq).catch((error: unknown) => {
        // Damage is found again, and reported, by whoever loads the document.
        if (isFieldbookError(error, 'store_corrupt')) return [];
        throw error;
      });
      surfaced.push({ known, found, updates });
    }
    // Nothing is believed before all of it was read.
    this.#doubtful.clear();
    for (const { found } of surfaced) this.#metas.set(found.name, found);
    const works = surfaced
      .filter(({ known, found }) => found.quarantined === null && found.seq !== known?.seq)
      .map(({ known, found, updates }) => this.#surface(known, found, updates));
    // What could not be written when it was given up is still in the entry on disk.
    const givenUp = [...this.#givenUp];
    if (givenUp.length === 0) return works;
    const done = (): void => {
      for (const name of givenUp) this.#givenUp.delete(name);
    };
    return [...works, { bytes: 0, build: (batch) => this.#putGivenUp(givenUp, batch), done, failed: () => undefined }];
  }

  #surface(known: DocumentMeta | undefined, found: DocumentMeta, updates: Uint8Array[]): Work {
    const { name } = found;
    let after = found;
    return {
      bytes: 0,
      build: (batch) => {
        after = this.#commit(found, found.seq, batch, null);
      },
      done: () => {
        this.#committed = after.seq;
        this.#log?.warn('store.write_surfaced', { name, updates: updates.length });
        this.#surfaced?.(after, updates);
      },
      failed: () => this.#takeBack(name, known),
    };
  }

  /** Reading a document's parts and replacing them exclude each other. */
  async #exclusive<T>(name: DocumentName, work: () => Promise<T>): Promise<T> {
    const before = this.#locks.get(name);
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    this.#locks.set(name, held);
    try {
      await before;
      return await work();
    } finally {
      release();
      if (this.#locks.get(name) === held) this.#locks.delete(name);
    }
  }
}

function quarantinedError(name: DocumentName, reason: string): FieldbookError {
  const message = `Document ${name} is damaged on disk and not served: ${reason} Its bytes are kept; run "fieldbook doctor".`;
  return new FieldbookError('document_quarantined', message, { details: { name, reason } });
}
