import { FieldbookError, isFieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import type { BlobDigest, BlobRemoval, BlobStat, BlobStore, Clock } from '../ports.ts';
import { isDigest } from '../record/index.ts';
import type { Replica } from '../replica/replica.ts';
import { readStates } from './aside-states.ts';
import { BlobTable, TABLE_MAX } from './blob-table.ts';
import type { RunNames } from './names.ts';
import { BLOB_KINDS, namedByRuns, namedIn, namesOf } from './names.ts';
import type { Amount } from './store-usage.ts';

/** Of the private values that say since when no run names a blob. */
export const UNNAMED_PREFIX = 'unnamed/';
/** How long blobs have been waited with, and when that was last looked at: two times, ms since the epoch. */
const TIME_KEY = 'unnamed-time';
/** A look comes each day. What a clock says beyond this since the last one is not believed. */
const LOOK_MS = 2 * 86_400_000;
/** Blobs that wait at a time, 100 bytes each; others wait when these have gone. */
const WAITING_MAX = 100_000;
/** Blobs that go together. */
const SLICE = 500;

export interface OrphansOptions {
  replica: Pick<
    Replica,
    'list' | 'read' | 'onCommit' | 'asides' | 'asideParts' | 'getPrivate' | 'listPrivate' | 'putPrivate'
  >;
  blobs: BlobStore;
  clock: Clock;
}

export interface CleanOptions {
  /** How long nobody must have named a blob, nor asked for it, ms. */
  graceMs: number;
  /** Only count. */
  dryRun: boolean;
  pause(): Promise<void>;
  /** Before so much goes; what it rejects with ends the cleaning. */
  about?(going: Amount): Promise<void>;
  /** Blobs looked at together; `TABLE_MAX` without. */
  tableMax?: number;
}

export interface CleanedBlobs extends Amount {
  /** Why nothing was looked at, in words. */
  held: string | null;
}

/**
 * Blobs that no run names: segments that were merged into larger ones elsewhere, uploads whose run never came. When one is found, that
 * is written down; when it is found again after the grace and nobody has named it or asked for it meanwhile, it goes. So a blob that a
 * peer was told to be here stays as long as a new one. A look counts for two days at most, whatever the clock says: one that jumped
 * ahead makes nothing due that was not nearly so, and a grace of 90 days takes 45 looks. What a repair would bring back from documents put aside counts as named, and as
 * long as anything cannot be read, which may name anything, nothing goes.
 */
export class Orphans {
  readonly #options: OrphansOptions;
  /** Since when, in the time of `#time`. */
  readonly #waiting: Map<BlobDigest, number>;
  #time: WaitedTime | undefined;

  /** No longer among them, while a full disk has not taken that. A restart before it does makes them wait as if nobody had asked. */
  readonly #unsaved = new Set<BlobDigest>();

  private constructor(options: OrphansOptions, waiting: Map<BlobDigest, number>, time: WaitedTime | undefined) {
    this.#options = options;
    this.#waiting = waiting;
    this.#time = time;
  }

  static async open(options: OrphansOptions): Promise<Orphans> {
    const waiting = new Map<BlobDigest, number>();
    for await (const [key, value] of options.replica.listPrivate(UNNAMED_PREFIX)) {
      const [digest, since] = [key.slice(UNNAMED_PREFIX.length), timeOf(value)];
      if (isDigest(digest) && since !== undefined) waiting.set(digest, since);
    }
    const time = await options.replica.getPrivate(TIME_KEY);
    const [waited, looked] = [timeOf(time?.subarray(0, 8)), timeOf(time?.subarray(8))];
    const isWhole = waited !== undefined && looked !== undefined;
    return new Orphans(options, waiting, isWhole ? { waited, looked } : undefined);
  }

  /** How many are to be removed when their time is over. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** The blobs, for everybody else: whoever asks for one that waits has it wait anew, which is durable before the answer. */
  watched(): BlobStore {
    const { blobs } = this.#options;
    return {
      stat: async (digest) => {
        await this.#needed(digest);
        return blobs.stat(digest);
      },
      read: async (digest, range) => {
        await this.#needed(digest);
        return blobs.read(digest, range);
      },
      write: async (bytes, expected) => {
        const digest = await blobs.write(bytes, expected);
        await this.#needed(digest);
        return digest;
      },
      remove: (digest) => blobs.remove(digest),
      removal: () => blobs.removal(),
      keep: async (digest) => {
        await this.#needed(digest);
        return blobs.keep(digest);
      },
      list: (options) => blobs.list(options),
    };
  }

  /** Looks at all blobs and all run documents; removes what has waited long enough and writes down what begins to wait. One at a time. */
  async clean(options: CleanOptions): Promise<CleanedBlobs> {
    const { blobs, replica } = this.#options;
    const cleaned: CleanedBlobs = { count: 0, bytes: 0, held: null };
    const now = await this.#look(options.dryRun);
    for (let after: string | undefined = ''; after !== undefined;) {
      // Runs that change while they are read, and blobs that are asked for, are looked at again before anything goes.
      const changed = new Set<DocumentName>();
      const stop = replica.onCommit(({ name }) => {
        if (name.startsWith('run/')) changed.add(name);
      });
      const removal = blobs.removal();
      try {
        const table = await BlobTable.fill(blobs, after, options.pause, options.tableMax ?? TABLE_MAX);
        const unreadable = await this.#markNamed(table, options.pause);
        if (unreadable > 0) {
          const held = `${unreadable} parts of run documents are damaged or of a newer version, and may name anything.`;
          return { ...cleaned, held };
        }
        const last = table.count < (options.tableMax ?? TABLE_MAX);
        await this.#sweep({ table, after, last, changed, removal, cleaned, options, now });
        after = last ? undefined : table.last;
      } finally {
        removal.end();
        stop();
      }
    }
    return cleaned;
  }

  /**
   * The time that waits are measured in. It begins as the clock's and goes on by what that has moved since the last look, but never
   * back and never far ahead.
   */
  async #look(dryRun: boolean): Promise<number> {
    const looked = this.#options.clock.now();
    const before = this.#time ?? { waited: looked, looked };
    const waited = before.waited + Math.min(LOOK_MS, Math.max(0, looked - before.looked));
    if (dryRun) return waited;
    const value = new Uint8Array(16);
    const view = new DataView(value.buffer);
    view.setFloat64(0, waited);
    view.setFloat64(8, looked);
    this.#time = { waited, looked };
    await orFull(this.#options.replica.putPrivate([[TIME_KEY, value]]), () => undefined);
    return waited;
  }

  async #markNamed(table: BlobTable, pause: () => Promise<void>): Promise<number> {
    const { replica, blobs } = this.#options;
    let unreadable = 0;
    const take = (named: Omit<RunNames, 'run'>): void => {
      unreadable += named.unreadable;
      for (const kind of BLOB_KINDS) for (const digest of named[kind]) table.take(digest, 1);
    };
    for await (const named of namedByRuns(replica, blobs, pause)) {
      take(named);
      for await (const state of readStates(replica, named.run)) take(await namesOf(state, blobs));
    }
    return unreadable;
  }

  async #sweep(sweep: Sweep): Promise<void> {
    const { table, after, last, cleaned, options, now } = sweep;
    const { blobs } = this.#options;
    const here = new Set<BlobDigest>();
    let due: BlobStat[] = [];
    let begin: BlobDigest[] = [];
    const act = async (): Promise<void> => {
      if (due.length > 0 && !options.dryRun) {
        await options.about?.(sumOf(due));
        due = await this.#remove(due, sweep);
      }
      const { count, bytes } = sumOf(due);
      cleaned.count += count;
      cleaned.bytes += bytes;
      if (!options.dryRun) await this.#write(begin, now);
      [due, begin] = [[], []];
    };
    for await (const { digest, size } of blobs.list({ after })) {
      if (digest > table.last) break;
      await options.pause();
      const since = this.#waiting.get(digest);
      if (since !== undefined) here.add(digest);
      // It came since.
      if (!table.has(digest)) continue;
      if (table.isTaken(digest)) {
        if (since !== undefined && !options.dryRun) await this.#needed(digest);
        continue;
      }
      if (since === undefined || since > now) {
        if (this.#waiting.size + begin.length >= WAITING_MAX) continue;
        begin.push(digest);
        here.add(digest);
      } else if (now - since >= options.graceMs) {
        due.push({ digest, size });
      }
      if (due.length >= SLICE || begin.length >= SLICE) await act();
    }
    await act();
    if (options.dryRun) return;
    const isPast = (digest: BlobDigest): boolean => !last && digest > table.last;
    const gone = [...this.#waiting.keys()].filter((digest) => digest > after && !isPast(digest) && !here.has(digest));
    await this.#forget(gone);
  }

  /** Those that went. */
  async #remove(due: readonly BlobStat[], { table, changed, removal }: Sweep): Promise<BlobStat[]> {
    const { replica, blobs } = this.#options;
    const removed: BlobStat[] = [];
    for (const blob of due) {
      const { digest } = blob;
      for (const name of changed) {
        changed.delete(name);
        const named = await namedIn(replica, blobs, name);
        for (const kind of BLOB_KINDS) for (const each of named[kind]) table.take(each, 1);
        if (named.unreadable > 0) throw new FieldbookError('document_quarantined', `${name} cannot be read.`);
      }
      if (table.isTaken(digest) || !this.#waiting.has(digest)) continue;
      if (await removal.remove(digest)) removed.push(blob);
    }
    // A crash before this leaves notes of blobs that are gone; the next look takes them away.
    await this.#forget(removed.map(({ digest }) => digest));
    return removed;
  }

  /** Somebody names the blob, or asks for it. */
  async #needed(digest: BlobDigest): Promise<void> {
    if (!this.#waiting.has(digest)) return;
    await this.#options.blobs.keep(digest);
    await this.#forget([digest]);
  }

  async #forget(digests: readonly BlobDigest[]): Promise<void> {
    for (const digest of digests) {
      this.#waiting.delete(digest);
      this.#unsaved.add(digest);
    }
    for (const part of inSlices([...this.#unsaved])) {
      await orFull(this.#options.replica.putPrivate(part.map((digest) => [`${UNNAMED_PREFIX}${digest}`, null])), () => {
        for (const digest of part) this.#unsaved.delete(digest);
      });
    }
  }

  async #write(digests: readonly BlobDigest[], now: number): Promise<void> {
    if (digests.length === 0) return;
    const value = new Uint8Array(8);
    new DataView(value.buffer).setFloat64(0, now);
    for (const digest of digests) this.#unsaved.delete(digest);
    await orFull(
      this.#options.replica.putPrivate(digests.map((digest) => [`${UNNAMED_PREFIX}${digest}`, value])),
      () => {
        for (const digest of digests) this.#waiting.set(digest, now);
      },
    );
  }
}

interface WaitedTime {
  waited: number;
  /** What the clock said at the last look. */
  looked: number;
}

interface Sweep {
  /** See `#look`. */
  now: number;
  table: BlobTable;
  after: string;
  /** Nothing is behind the table. */
  last: boolean;
  changed: Set<DocumentName>;
  removal: BlobRemoval;
  cleaned: CleanedBlobs;
  options: CleanOptions;
}

function* inSlices<T>(all: readonly T[]): Generator<T[]> {
  for (let at = 0; at < all.length; at += SLICE) yield all.slice(at, at + SLICE);
}

/** `then` once it is written; a full disk is no reason not to read blobs, nor to remove them. */
async function orFull(written: Promise<void>, then: () => void): Promise<void> {
  try {
    await written;
    then();
  } catch (error) {
    if (!isFieldbookError(error, 'disk_full')) throw error;
  }
}

function sumOf(blobs: readonly BlobStat[]): Amount {
  return { count: blobs.length, bytes: blobs.reduce((sum, { size }) => sum + size, 0) };
}

function timeOf(value: Uint8Array | undefined): number | undefined {
  if (value?.length !== 8) return undefined;
  const time = new DataView(value.buffer, value.byteOffset, 8).getFloat64(0);
  return Number.isFinite(time) ? time : undefined;
}
