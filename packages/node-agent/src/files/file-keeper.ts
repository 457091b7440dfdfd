import type { FileHandle } from 'node:fs/promises';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobStore, Clock, DeviceId, Log, RunId, Timers, WriterId } from '@fieldbook/core';
import { asFieldbookError, FieldbookError, isFieldbookError, runDocumentName, utf8 } from '@fieldbook/core';
import { RunDocument } from '@fieldbook/core/documents';
import { blobsOf } from '@fieldbook/core/files';
import type { Spool, SpoolOwner } from '@fieldbook/core/ingest';
import { decodeProgress, PROGRESS_PREFIX } from '@fieldbook/core/ingest';
import type { ObjectFile } from '@fieldbook/core/journal';
import type { FileEntry } from '@fieldbook/core/record';
import { fileKey } from '@fieldbook/core/record';
import type { Replica } from '@fieldbook/core/replica';
import { ObjectFiles, RETRY_FIRST, RETRY_LAST } from './object-files.ts';
import { checkSpace } from './space.ts';
import type { SpoolFolder, Spools } from './spool.ts';
import { everyName, openSpooled, removeEmpty, removeSpooled } from './spool.ts';
import type { Stored } from './store-file.ts';
import { storeFile } from './store-file.ts';

export interface FileKeeperOptions {
  replica: Replica;
  blobs: BlobStore;
  device: DeviceId;
  spools: Spools;
  clock: Clock;
  timers: Timers;
  log: Log;
  /** Bytes that can still be written to the disk of the blobs, and how many it has. */
  disk(): Promise<{ free: number; total: number }>;
}

/** What waits and what is wrong, for `status`, `doctor` and the health of the API. */
export interface FileStatus {
  /** Files that wait to be stored, and their bytes as far as they are known. */
  pending: number;
  pendingBytes: number;
  /** Why files are not stored now, in words; null when nothing hinders. */
  problem: { code: string; message: string } | null;
  /** Files that could not be stored, with the reason of each; at most 100. */
  failures: readonly { run: RunId; path: string; code: string; message: string }[];
}

interface Job {
  key: string;
  run: RunId;
  entry: FileEntry;
  folder: SpoolFolder;
}

interface Failure {
  run: RunId;
  path: string;
  code: string;
  message: string;
  wait: number;
  retryAt: number;
  /** What was looked at: the same bytes are not read again to find the same. */
  seen: string;
}

const DAY = 24 * 60 * 60_000;
/** Files of one run document come in bursts, and its commits too. */
const SETTLE = 250;
/** Two files at once: one waits for the disk while the other is hashed; each holds a chunk or two. */
const WORKERS = 2;
const LARGE_BYTES = 64 * 1024 * 1024;
/** How often the spool is looked through for what nothing names. */
const SWEEP_EVERY = 60 * 60_000;
const FAILURES_SHOWN = 100;
/** Spooled files whose entries are durable and that are about to be removed. */
const STORED_PREFIX = 'spooled/';

/**
 * Stores the files that wait in spool folders. The folders are the queue: a pending entry names a file there until the commit that
 * gives it its digest, which comes after chunks and chunk list are durable; only then the spooled file goes. So a kill at any point
 * leaves the file in the spool and pending, or stored and named.
 *
 * Files of object rows are stored before their rows are committed. Where that could not be, the digest in the row and the bytes in
 * the spool find each other again when the spool is looked through.
 */
export class FileKeeper implements Spool {
  readonly #options: FileKeeperOptions;
  /** Runs to look at. */
  readonly #dirty = new Set<RunId>();
  readonly #pending = new Map<string, { bytes: number; run: RunId }>();
  readonly #failures = new Map<string, Failure>();
  /** Keys of entries that are not pending: 20,000 of a run are not decoded for each file that comes. */
  readonly #settled = new Map<RunId, Set<string>>();
  readonly #queue = new Map<string, Job>();
  readonly #working = new Map<string, Promise<void>>();
  /** The large file that is being stored. */
  #large: string | null = null;
  #cycle: Promise<void> = Promise.resolve();
  #cancel: (() => void) | undefined;
  #dueAt = 0;
  #following = false;
  readonly #objects: ObjectFiles;
  #sweptAt = -Infinity;
  #closed = false;

  constructor(options: FileKeeperOptions) {
    this.#options = options;
    this.#objects = new ObjectFiles(options);
  }

  /** Stores what waits, and from now on what comes. */
  start(): void {
    this.#following = true;
    void this.#look(true);
  }

  filesPending({ run }: Pick<SpoolOwner, 'run'>): void {
    this.#dirty.add(run);
    this.#later(SETTLE);
  }

  async storeObjects(owner: SpoolOwner, files: readonly ObjectFile[]): Promise<void> {
    await this.#objects.store(owner, files);
    this.#schedule();
  }

  objectsCommitted(owner: SpoolOwner, files: readonly ObjectFile[]): void {
    this.#cycle = this.#cycle.then(() => this.#objects.removeSpooled(owner, files));
  }

  /** Resolves when everything that waits now was tried once. */
  async drain(): Promise<void> {
    this.#failures.clear();
    await this.#look(true);
    while (this.#working.size > 0 && !this.#closed) await Promise.race(this.#working.values());
    await this.#cycle;
  }

  status(): FileStatus {
    let pendingBytes = 0;
    for (const { bytes } of this.#pending.values()) pendingBytes += bytes;
    const failures = [...this.#failures.values()]
      .slice(0, FAILURES_SHOWN)
      .map(({ run, path, code, message }) => ({ run, path, code, message }));
    const full = [...this.#failures.values()].find(({ code }) => code === 'disk_full');
    const problem = full === undefined ? this.#objects.problem : { code: full.code, message: full.message };
    return { pending: this.#pending.size, pendingBytes, problem, failures };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    await this.#cycle;
    await Promise.all(this.#working.values());
  }

  /** Looks around in `ms`, or earlier when that was said before. */
  #later(ms: number): void {
    if (this.#closed || !this.#following) return;
    const { clock, timers } = this.#options;
    const dueAt = clock.now() + ms;
    if (this.#cancel !== undefined && this.#dueAt <= dueAt) return;
    this.#cancel?.();
    this.#dueAt = dueAt;
    this.#cancel = timers.after(ms, () => {
      this.#cancel = undefined;
      void this.#look(false);
    });
  }

  #schedule(): void {
    const now = this.#options.clock.now();
    let wait = this.#dirty.size > 0 ? SETTLE : SWEEP_EVERY;
    const due = [...this.#failures.values()].map(({ retryAt }) => retryAt);
    for (const at of [...due, ...this.#objects.due()]) wait = Math.min(wait, Math.max(SETTLE, at - now));
    this.#later(wait);
  }

  /** One look around after the one under way; what it finds is worked on by itself. Never rejects. */
  #look(everything: boolean): Promise<void> {
    this.#cycle = this.#cycle.then(async () => {
      if (this.#closed) return;
      try {
        await this.#lookAround(everything);
      } catch (error) {
        this.#options.log.error('files_failed', { error: String(error) });
      }
      this.#schedule();
    });
    return this.#cycle;
  }

  async #lookAround(everything: boolean): Promise<void> {
    const { clock, spools } = this.#options;
    const now = clock.now();
    const runs = new Set(this.#dirty);
    this.#dirty.clear();
    for (const { run, retryAt } of this.#failures.values()) if (retryAt <= now) runs.add(run);
    const sweep = everything || now - this.#sweptAt >= SWEEP_EVERY;
    if (sweep) {
      this.#sweptAt = now;
      // A document that was emptied and filled again has pending entries where stored ones were.
      this.#settled.clear();
      await this.#removeStored();
      for await (const { run } of spools.all()) runs.add(run);
    }
    for (const run of runs) {
      for (const job of await this.#jobsOf(run)) if (!this.#working.has(job.key)) this.#queue.set(job.key, job);
      this.#pump();
    }
    if (sweep) for await (const folder of spools.all()) await this.#sweepFolder(folder);
    for (const run of this.#objects.dueRuns(now))
      for (const folder of await spools.ofRun(run)) await this.#sweepFolder(folder);
  }

  /** Begins what may begin: some files at once, one large one at most, so that a log does not wait for a checkpoint of 100 GB. */
  #pump(): void {
    while (!this.#closed && this.#working.size < WORKERS) {
      const isLarge = ({ entry: { size } }: Job): boolean => (size ?? 0) > LARGE_BYTES;
      const job = [...this.#queue.values()].find((one) => !isLarge(one) || this.#large === null);
      if (job === undefined) return;
      this.#queue.delete(job.key);
      if (isLarge(job)) this.#large = job.key;
      const done = this.#work(job)
        .catch((error: unknown) => this.#options.log.error('files_failed', { error: String(error) }))
        .then(() => {
          this.#working.delete(job.key);
          if (this.#large === job.key) this.#large = null;
          this.#pump();
          this.#schedule();
        });
      this.#working.set(job.key, done);
    }
  }

  /** Pending files of this home in one run, each with the folder that has it; the home's own before others. */
  async #jobsOf(run: RunId): Promise<Job[]> {
    const pending = await this.#pendingOf(run);
    for (const [key, known] of this.#pending) if (known.run === run && !pending.has(key)) this.#forget(key);
    if (pending.size === 0) return [];
    const folders = await this.#options.spools.ofRun(run);
    const jobs: Job[] = [];
    for (const [key, entry] of pending) {
      this.#pending.set(key, { bytes: entry.size ?? 0, run });
      const mine = folders.filter(({ writer }) => writer === entry.writer);
      let folder = mine[0];
      for (const one of mine) {
        const there = await stat(join(one.path, entry.spool!)).catch(() => undefined);
        if (there === undefined) continue;
        folder = one;
        break;
      }
      const home = { run, writer: entry.writer, path: '', own: true };
      jobs.push({ key, run, entry, folder: folder ?? home });
    }
    return jobs;
  }

  async #pendingOf(run: RunId): Promise<Map<string, FileEntry>> {
    const { replica, device, spools } = this.#options;
    const settled = this.#settled.get(run) ?? new Set();
    this.#settled.set(run, settled);
    const pending = new Map<string, FileEntry>();
    const others: FileEntry[] = [];
    await replica.read(runDocumentName(run), (doc) => {
      for (const entry of new RunDocument(doc).files(settled)) {
        if (entry.digest !== null || entry.spool === null) settled.add(fileKey(entry));
        else if (entry.device === device) pending.set(`${run}/${fileKey(entry)}`, entry);
        else others.push(entry);
      }
    });
    if (others.length === 0) return pending;
    // A home that went on as another device, after a copy or with a new key, has its files still in its own spool.
    const folders = (await spools.ofRun(run)).filter(({ own }) => own);
    for (const entry of others) {
      const folder = folders.find(({ writer }) => writer === entry.writer);
      const there = folder && (await stat(join(folder.path, entry.spool!)).catch(() => undefined));
      if (there === undefined) settled.add(fileKey(entry));
      else pending.set(`${run}/${fileKey(entry)}`, entry);
    }
    return pending;
  }

  async #work(job: Job): Promise<void> {
    const { clock, log } = this.#options;
    const { key, run, entry, folder } = job;
    const before = this.#failures.get(key);
    if (before !== undefined && clock.now() < before.retryAt) return;
    const seen = await traceOf(job);
    // Bytes that were not what was recorded are not read again to find the same.
    if (before?.code === 'blob_corrupt' && before.seen === seen) {
      before.retryAt = clock.now() + RETRY_LAST;
      return;
    }
    try {
      await this.#store(job);
      this.#forget(key);
    } catch (error) {
      const { code, message } = asFieldbookError(error, 'storage_failed');
      if (code === 'closed' || code === 'store_closed') return;
      const wait = Math.min(before === undefined ? RETRY_FIRST : before.wait * 2, RETRY_LAST);
      this.#failures.set(key, { run, path: entry.path, code, message, wait, seen, retryAt: clock.now() + wait });
      if (before?.message !== message)
        log.warn('file_not_stored', { run, path: entry.path, folder: folder.path, code, message });
      await this.#say(job, message);
    }
  }

  async #store({ run, entry, folder }: Job): Promise<void> {
    const { replica, blobs } = this.#options;
    const name = entry.spool!;
    const file = folder.path === '' ? undefined : await openSpooled(folder, name);
    if (file === undefined) {
      throw new FieldbookError(
        'not_found',
        `Its bytes are not in the spool folder of writer ${entry.writer} any more; were the journals copied without it?`,
      );
    }
    try {
      const { size } = await file.stat();
      await checkSpace(this.#options, size);
      const stored = await storeFile(file, blobs, { size: entry.size, digest: entry.expected }, () => this.#closed);
      const mark = `${STORED_PREFIX}${run}/${entry.writer}/${name}`;
      const key = fileKey(entry);
      await replica.transact(
        runDocumentName(run),
        (doc) => {
          const document = new RunDocument(doc);
          const now = document.get(key);
          // Purged meanwhile, or its journal begun again: then what waits there is another matter.
          if (now?.kind !== 'file' || now.spool !== name) return;
          const { digest, chunks } = stored;
          document.putFile({ ...now, size: stored.size, digest, chunks, spool: null, expected: null, failure: null });
        },
        folder.own ? [{ type: 'put', key: utf8(`x/${mark}`), value: utf8(`${key}\n${folder.path}`) }] : [],
      );
      await this.#secure(file, stored);
      if (!folder.own) return;
      await removeSpooled(folder, name);
      await replica.putPrivate([[mark, null]]);
    } finally {
      await file.close();
    }
  }

  /**
   * The entry is durable, so who begins to remove blobs now sees it. Who began before it, and removed a blob that was there already
   * when the file was stored, made that the spooled file is still needed.
   */
  async #secure(file: FileHandle, { blobs: named, size, digest }: Stored): Promise<void> {
    const { blobs } = this.#options;
    let whole = true;
    for (const blob of named) if (!(await blobs.keep(blob))) whole = false;
    if (!whole) await storeFile(file, blobs, { size, digest }, () => this.#closed);
  }

  /** Says on the entry why it waits. A store that cannot take even that says so itself. */
  async #say({ run, entry }: Job, message: string): Promise<void> {
    try {
      await this.#options.replica.transact(runDocumentName(run), (doc) => {
        const document = new RunDocument(doc);
        const now = document.get(fileKey(entry));
        if (now?.kind === 'file' && now.digest === null && now.spool !== null && now.failure !== message)
          document.putFile({ ...now, failure: message });
      });
    } catch (error) {
      this.#options.log.warn('file_failure_not_said', { run, path: entry.path, error: String(error) });
    }
  }

  /** Finishes removals that a kill interrupted. */
  async #removeStored(): Promise<void> {
    const { replica, log } = this.#options;
    const left: [string, Uint8Array][] = [];
    for await (const mark of replica.listPrivate(STORED_PREFIX)) left.push(mark);
    for (const [mark, value] of left) {
      const [run, writer, name] = mark.slice(STORED_PREFIX.length).split('/') as [RunId, WriterId, string];
      const [key, path] = new TextDecoder().decode(value).split(/\n(.*)/s) as [string, string];
      const folder = { run, writer, path, own: true };
      try {
        await this.#secureNamed(folder, name, key);
        await removeSpooled(folder, name);
        await replica.putPrivate([[mark, null]]);
      } catch (error) {
        log.warn('spool_not_removed', { folder: path, name, error: String(error) });
      }
    }
  }

  /** As `#secure`, for what an earlier process has named. */
  async #secureNamed(folder: SpoolFolder, name: string, key: string): Promise<void> {
    const { replica, blobs } = this.#options;
    const entry = await replica.read(runDocumentName(folder.run), (doc) => new RunDocument(doc).get(key));
    if (entry?.kind !== 'file' || entry.digest === null) return;
    const { digest, chunks, size } = entry;
    const named = await blobsOf(blobs, { digest, chunks, size }).catch((error: unknown) => {
      if (isFieldbookError(error, 'blob_corrupt')) return undefined;
      throw error;
    });
    const file = await openSpooled(folder, name);
    if (file === undefined) return;
    try {
      const stored = { digest, chunks, size: size ?? (await file.stat()).size, blobs: named ?? [chunks ?? digest] };
      await this.#secure(file, stored);
    } finally {
      await file.close();
    }
  }

  /**
   * Looks at what no pending entry names. Files of object rows are stored; the rest is removed from the home's own spool when its
   * writer has ended, its journal is taken in whole and it is a day old.
   */
  async #sweepFolder(folder: SpoolFolder): Promise<void> {
    const { replica, clock, log } = this.#options;
    const named = new Set<string>();
    for (const { writer, spool } of (await this.#pendingOf(folder.run)).values())
      if (writer === folder.writer) named.add(spool!);
    const unnamed = (await everyName(folder)).filter((name) => !named.has(name));
    if (unnamed.length === 0) return;
    const bytes = await replica.getPrivate(`${PROGRESS_PREFIX}${folder.writer}`);
    const ended = bytes !== undefined && decodeProgress(bytes)?.done === true;
    for (const name of await this.#objects.storeNamed(folder, unnamed)) {
      const info = await stat(join(folder.path, name)).catch(() => undefined);
      // The change of the inode, not of the content: a linked file may be years old.
      if (!folder.own || !ended || info === undefined || clock.now() - info.ctimeMs < DAY) continue;
      await removeSpooled(folder, name);
      log.info('spool_swept', { folder: folder.path, name });
    }
    if (folder.own && ended) await removeEmpty(folder);
  }

  #forget(key: string): void {
    this.#pending.delete(key);
    this.#failures.delete(key);
  }
}

async function traceOf({ folder, entry }: Job): Promise<string> {
  const info = await stat(join(folder.path, entry.spool!)).catch(() => undefined);
  return info === undefined ? '' : `${info.ino} ${info.size} ${info.mtimeMs}`;
}
