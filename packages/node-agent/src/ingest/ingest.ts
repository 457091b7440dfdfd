import type { FSWatcher } from 'node:fs';
import { watch } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import type { BlobStore, Clock, DeviceId, Log, ProjectId, RunId, Timers, WriterId } from '@fieldbook/core';
import { asFieldbookError } from '@fieldbook/core';
import type { LiveValue, Progress, Spool } from '@fieldbook/core/ingest';
import { Compactor, decodeProgress, PROGRESS_PREFIX, PurgedRuns } from '@fieldbook/core/ingest';
import type { Replica } from '@fieldbook/core/replica';
import { gunzip, pageCompressor } from '../machine/ports.ts';
import { JournalTree } from './journal-tree.ts';
import { Liveness } from './liveness.ts';
import { isLocal } from './local-disk.ts';
import type { FeedContext, JournalProblem } from './writer-feed.ts';
import { WriterFeed } from './writer-feed.ts';

/** The newest values of one running writer, between its cards. Nobody stores these. */
export interface LiveMetrics {
  run: RunId;
  project: ProjectId;
  writer: WriterId;
  /** ms since the epoch. */
  at: number;
  metrics: Readonly<Record<string, LiveValue>>;
}

export interface IngestOptions {
  replica: Replica;
  blobs: BlobStore;
  /** Its journals are taken in. */
  home: { journals: string };
  /** More directories that are laid out like `journals`. */
  directories?: readonly string[];
  clock: Clock;
  timers: Timers;
  device: DeviceId;
  log: Log;
  onLive?: (live: LiveMetrics) => void;
  /** Who stores the files that lie in spool folders. */
  spool?: Spool;
  /** False for a command that drains once and closes: no timers, no watchers. */
  watch?: boolean;
  /** Remove a rotated journal file so many ms after it was last written, once it is durable here; at least a day. Null (the default) keeps all. */
  removeRotatedAfter?: number | null;
}

export interface IngestStatus {
  /** Writers with journals here. */
  writers: number;
  /** … of which have not ended. */
  running: number;
  /** … of which something is still to be done for. */
  active: number;
  /** ms since the epoch when everything was last looked at; null before. */
  lookedAt: number | null;
  /** Journals and directories that cannot be read or taken in. */
  problems: readonly JournalProblem[];
}

export interface Ingest {
  /** Resolves when everything that is on disk now is taken in and durable. Rejects when the store or its disk refuses. */
  drain(): Promise<void>;
  status(): IngestStatus;
  /** Stops after what is being written. */
  close(): Promise<void>;
}

const DAY = 24 * 60 * 60_000;
/** How often journals in use are looked at; live values are no older. */
const POLL_ACTIVE = 1_000;
/** … and how often new ones are looked for. Notifications do not cross network file systems. */
const POLL_IDLE = 2_000;
/** … and where they are all on disks of this machine, whose notifications can be relied on. */
const POLL_WATCHED = 30_000;
/** Notifications come in bursts. */
const SETTLE = 50;
/** Writers worked on at once: their fsyncs share one group commit; each holds up to 50 MB of a backlog. */
const WORKERS = 6;
/** Unsealed points of all writers together; beyond it the largest are sealed early. */
const POINTS_BYTES = 192 * 1024 * 1024;
/** A writer whose work failed waits so long, doubled each time. */
const RETRY_FIRST = 1_000;
const RETRY_LAST = 60_000;

/** Starts to take in the journals of a home. Resolves once what was taken in before is known; reading goes on by itself. */
export async function startIngest(options: IngestOptions): Promise<Ingest> {
  const progress = new Map<WriterId, Progress>();
  for await (const [key, bytes] of options.replica.listPrivate(PROGRESS_PREFIX)) {
    const known = decodeProgress(bytes);
    if (known !== undefined) progress.set(key.slice(PROGRESS_PREFIX.length) as WriterId, known);
  }
  const { replica, blobs, device, clock, log } = options;
  const pause = (): Promise<void> => setImmediate();
  const compactor = await Compactor.open({
    replica,
    blobs,
    device,
    clock,
    log,
    pause,
    compressor: pageCompressor,
    gunzip,
  });
  const ingest = new RunningIngest(options, progress, compactor);
  if (options.watch !== false) ingest.start();
  return ingest;
}

interface Failure {
  problem: JournalProblem;
  wait: number;
  retryAt: number;
}

class RunningIngest implements Ingest {
  readonly #options: IngestOptions;
  readonly #tree: JournalTree;
  readonly #feeds = new Map<WriterId, WriterFeed>();
  readonly #active = new Set<WriterFeed>();
  readonly #progress: Map<WriterId, Progress>;
  readonly #failures = new Map<WriterFeed, Failure>();
  readonly #purged: PurgedRuns;
  readonly #compactor: Compactor;
  readonly #context: FeedContext;
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #local = new Set<string>();
  /** Cycles run one after another. */
  #cycle: Promise<void> = Promise.resolve();
  #cancelTimer: (() => void) | undefined;
  /** A notification has come, and the look around that it asks for is on its way. */
  #noticed = false;
  #closed = false;
  #started = false;
  #full = true;
  #lookedAt: number | null = null;

  constructor(options: IngestOptions, progress: Map<WriterId, Progress>, compactor: Compactor) {
    const { replica, blobs, home, directories = [], clock, device, log, removeRotatedAfter = null } = options;
    this.#options = options;
    this.#progress = progress;
    this.#compactor = compactor;
    this.#tree = new JournalTree([home.journals, ...directories], () => clock.now());
    this.#purged = new PurgedRuns(replica, blobs, log);
    this.#purged.resume();
    this.#context = {
      replica,
      blobs,
      device,
      clock,
      isPurged: (run, project) => this.#purged.has(run, project),
      pause: () => setImmediate(),
      compressor: pageCompressor,
      compactor,
      listed: new Set(),
      spool: options.spool,
      liveness: new Liveness(),
      sync: options.watch !== false,
      removeRotatedAfter: removeRotatedAfter === null ? null : Math.max(DAY, removeRotatedAfter),
    };
  }

  start(): void {
    this.#started = true;
    this.#schedule(0);
  }

  async drain(): Promise<void> {
    const failed = await this.#run({ full: true, force: true });
    await this.#compactor.settled();
    if (failed !== undefined) throw asFieldbookError(failed, 'storage_failed');
  }

  status(): IngestStatus {
    const problems: JournalProblem[] = [];
    let running = 0;
    for (const feed of this.#feeds.values()) {
      if (feed.running) running++;
      if (feed.problem !== undefined) problems.push(feed.problem);
    }
    for (const { problem } of this.#failures.values()) problems.push(problem);
    for (const { path, code } of this.#tree.problems)
      problems.push({ path, code, message: `The directory cannot be read (${code}).` });
    return { writers: this.#feeds.size, running, active: this.#active.size, lookedAt: this.#lookedAt, problems };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTimer?.();
    for (const watcher of this.#watchers.values()) watcher.close();
    await this.#cycle;
    await this.#compactor.close();
    await this.#purged.close();
  }

  #schedule(wait: number): void {
    if (this.#closed || !this.#started) return;
    this.#cancelTimer?.();
    this.#cancelTimer = this.#options.timers.after(wait, () => {
      this.#cancelTimer = undefined;
      this.#noticed = false;
      void this.#run({ full: this.#full, force: false }).then(() => {
        if (this.#cancelTimer === undefined)
          this.#schedule(this.#active.size > 0 ? POLL_ACTIVE : this.#isWatched() ? POLL_WATCHED : POLL_IDLE);
      });
    });
  }

  #notice(): void {
    if (this.#noticed) return;
    this.#noticed = true;
    this.#schedule(SETTLE);
  }

  /** One look around after the one under way; resolves with the first failure of the store, never rejects. */
  #run(options: { full: boolean; force: boolean }): Promise<unknown> {
    const result = this.#cycle.then(() => this.#look(options));
    this.#cycle = result.then(() => undefined);
    return result;
  }

  async #look({ full, force }: { full: boolean; force: boolean }): Promise<unknown> {
    if (this.#closed) return undefined;
    try {
      const hot = new Set<string>();
      for (const feed of this.#active) hot.add(feed.directory);
      const found = await this.#tree.look(hot, full);
      this.#full = false;
      this.#context.liveness.refresh();
      const work = new Set<WriterFeed>(this.#active);
      for (const files of found) {
        let feed = this.#feeds.get(files.writer);
        if (feed === undefined) {
          feed = new WriterFeed(this.#context, files, this.#progress.get(files.writer));
          this.#feeds.set(files.writer, feed);
          this.#progress.delete(files.writer);
        }
        if (!work.has(feed) && (await feed.needsWork())) work.add(feed);
      }
      const failed = await this.#work([...work], force);
      await this.#relieve();
      await this.#purged.settled();
      await this.#compactor.sweep();
      this.#lookedAt = this.#options.clock.now();
      this.#watch();
      return failed;
    } catch (error) {
      this.#options.log.error('ingest_failed', { error: String(error) });
      return error;
    }
  }

  async #work(feeds: WriterFeed[], force: boolean): Promise<unknown> {
    let failed: unknown;
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < feeds.length && !this.#closed) failed ??= await this.#workOn(feeds[next++]!, force);
    };
    await Promise.all(Array.from({ length: Math.min(WORKERS, feeds.length) }, worker));
    return failed;
  }

  async #workOn(feed: WriterFeed, force: boolean): Promise<unknown> {
    const { clock, log } = this.#options;
    const failure = this.#failures.get(feed);
    if (failure !== undefined && !force && clock.now() < failure.retryAt) return undefined;
    const before = feed.problem;
    try {
      await feed.work(force);
      this.#failures.delete(feed);
    } catch (error) {
      const known = asFieldbookError(error, 'storage_failed');
      const wait = Math.min(failure === undefined ? RETRY_FIRST : failure.wait * 2, RETRY_LAST);
      const problem = { path: feed.directory, code: known.code, message: known.message };
      this.#failures.set(feed, { problem, wait, retryAt: clock.now() + wait });
      if (failure === undefined) log.warn('journal_not_taken_in', { writer: feed.files.writer, ...known.toJSON() });
      this.#active.add(feed);
      return error;
    }
    const { problem } = feed;
    if (problem !== undefined && problem.message !== before?.message) log.warn('journal_problem', { ...problem });
    if (feed.active) this.#active.add(feed);
    else this.#active.delete(feed);
    this.#tell(feed);
    return undefined;
  }

  #tell(feed: WriterFeed): void {
    const { onLive, clock, log } = this.#options;
    const { run } = feed;
    const values = onLive === undefined || run === undefined ? undefined : feed.live();
    if (values === undefined) return;
    const { writer } = feed.files;
    try {
      onLive!({
        run: run!.run as RunId,
        project: run!.project as ProjectId,
        writer,
        at: clock.now(),
        metrics: Object.fromEntries(values),
      });
    } catch (error) {
      log.error('live_listener_failed', { error: String(error) });
    }
  }

  async #relieve(): Promise<void> {
    const feeds = [...this.#active].sort((a, b) => b.bytes - a.bytes);
    let bytes = feeds.reduce((sum, feed) => sum + feed.bytes, 0);
    for (const feed of feeds) {
      if (bytes <= POINTS_BYTES) return;
      bytes -= feed.bytes;
      await feed.relieve();
    }
  }

  /** Roots and projects are watched for new runs. Files are not: a notification per `log` call would cost more than a stat per second. */
  #directories(): string[] {
    const { home, directories = [] } = this.#options;
    return [home.journals, ...directories, ...this.#tree.projects()];
  }

  /** Whatever appears anywhere is told by the system, and nobody is there whose end would not be. */
  #isWatched(): boolean {
    for (const feed of this.#feeds.values()) if (feed.running) return false;
    return this.#directories().every((path) => this.#watchers.has(path) && this.#local.has(path));
  }

  #watch(): void {
    if (!this.#started || this.#closed) return;
    for (const path of this.#directories()) {
      if (this.#watchers.has(path)) continue;
      try {
        const watcher = watch(path, { persistent: false }, () => this.#notice());
        watcher.on('error', () => {
          watcher.close();
          this.#watchers.delete(path);
          this.#local.delete(path);
        });
        this.#watchers.set(path, watcher);
        if (isLocal(path)) this.#local.add(path);
      } catch {
        // Out of watches, or gone: the poll finds what comes.
      }
    }
  }
}
