import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '@fieldbook/core';
import { asFieldbookError, FieldbookError, isFieldbookError } from '@fieldbook/core';
import type { Replica } from '@fieldbook/core/replica';
import type { Amount, Orphans } from '@fieldbook/core/usage';
import { slices } from '@fieldbook/core/usage';
import type { Audit } from './audit.ts';
import { fullAuditFiles } from './audit.ts';
import type { RelayConfig } from './config/index.ts';
import type { DataDirectory } from './platform/data.ts';
import { clock, timers } from './platform/ports.ts';

/** What retention lets go of: blobs that no run names, the log for repair, documents put aside, damaged things put aside, uploads cut short, the audit log. */
export type Kept = 'blobs' | 'log' | 'replaced' | 'damaged' | 'unfinished' | 'audit';

/** What went, or would. */
export interface Cleaned {
  dryRun: boolean;
  went: Record<Kept, Amount>;
  /** Why blobs stay that it was time for, in words. */
  held: string | null;
}

export interface RetentionOptions {
  replica: Replica;
  orphans: Orphans;
  data: DataDirectory;
  audit: Audit;
  log: Log;
  /** Told with the audit log. */
  removed?(what: Kept, bytes: number): void;
  config: Pick<RelayConfig, 'retention.orphans' | 'retention.aside' | 'retention.audit'>;
}

const DAY_MS = 86_400_000;
/** Uploads take minutes. */
const UNFINISHED_MS = DAY_MS;
/** A backup holds it; then it is tried again this soon. */
const HELD_MS = 60 * 60_000;
/** When it was done last, so that a relay that is often restarted does not read everything each time. */
const DONE_KEY = 'retention/done';
const UNREADABLE_ARCHIVE = /^archive\.unreadable-(\d+)$/;

/**
 * Lets go of what is kept beside the team's data, once a day: nothing that runs, books or files of the team name. Each removal is in the
 * audit log before it happens, with how many and how many bytes. Everything may be cut off anywhere and done again.
 */
export class Retention {
  readonly #options: RetentionOptions;
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<unknown> = Promise.resolve();
  #closed = false;
  /** Backups under way. */
  #holds = 0;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /** Cleans now when the last time is a day ago, and from then on daily. */
  async start(): Promise<void> {
    const done = await this.#options.replica.getPrivate(DONE_KEY);
    const at = done === undefined ? 0 : Number(new TextDecoder().decode(done));
    const passed = clock.now() - at;
    this.#again(passed >= 0 && passed < DAY_MS ? DAY_MS - passed : 0);
  }

  /** Ends what is under way at the next place where it can. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#work.catch(() => undefined);
  }

  /** Until `release` is called nothing is removed. Resolves when nothing is being removed any more. */
  async hold(): Promise<() => void> {
    this.#holds += 1;
    await this.#work.catch(() => undefined);
    let released = false;
    return () => {
      if (!released) this.#holds -= 1;
      released = true;
    };
  }

  /** One at a time. Throws `closed` when the relay ends or a backup begins meanwhile. */
  clean({ dryRun }: { dryRun: boolean }): Promise<Cleaned> {
    const turn = this.#work.then(
      () => this.#clean(dryRun),
      () => this.#clean(dryRun),
    );
    this.#work = turn;
    return turn;
  }

  #again(ms: number): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.#daily(), ms).unref();
  }

  async #daily(): Promise<void> {
    const { replica, log } = this.#options;
    let next = DAY_MS;
    try {
      const { held } = await this.clean({ dryRun: false });
      if (held !== null) log.warn('retention.held', { why: held });
      await replica.putPrivate([[DONE_KEY, new TextEncoder().encode(String(clock.now()))]]);
    } catch (error) {
      if (this.#closed) return;
      next = HELD_MS;
      const { code, message } = asFieldbookError(error);
      // A backup is no trouble.
      log[code === 'closed' ? 'info' : 'warn']('retention.unfinished', { code, message });
    }
    this.#again(next);
  }

  async #clean(dryRun: boolean): Promise<Cleaned> {
    const { replica, orphans, config } = this.#options;
    const { 'retention.orphans': graceMs, 'retention.aside': asideMs, 'retention.audit': auditMs } = config;
    const now = clock.now();
    this.#mayGoOn();
    const pause = slices(clock, timers);
    const goOn = async (): Promise<void> => {
      this.#mayGoOn();
      await pause();
    };
    const none = { count: 0, bytes: 0 };
    const asidesBefore = asideMs === null ? null : now - asideMs;
    const { log, replaced } = await replica
      .expire({
        asidesBefore,
        dryRun,
        about: (what, going) => this.#about(what, going),
      })
      .catch((error: unknown) => {
        // LevelDB needs room to let go of something; the files below make some.
        if (!isFieldbookError(error, 'disk_full')) throw error;
        return { log: none, replaced: none };
      });
    const went = { blobs: none, log, replaced, damaged: none, unfinished: none, audit: none };
    const files = await this.#files(now, asidesBefore, auditMs);
    for (const [what, paths] of Object.entries(files) as [keyof typeof files, string[]][]) {
      this.#mayGoOn();
      went[what] = await sizeOf(paths);
      if (dryRun || paths.length === 0) continue;
      await this.#about(what, went[what]);
      for (const path of paths) await fs.rm(path, { recursive: true, force: true });
    }
    if (graceMs === null) return { dryRun, went, held: null };
    const { held, ...gone } = await orphans.clean({
      graceMs,
      dryRun,
      pause: goOn,
      about: (going) => this.#about('blobs', going),
    });
    return { dryRun, went: { ...went, blobs: gone }, held };
  }

  /** Files that may go, by what they are. */
  async #files(now: number, before: number | null, auditMs: number | null) {
    const { data } = this.#options;
    const [damaged, unfinished, audit]: [string[], string[], string[]] = [[], [], []];
    for (const path of await inside(join(data.blobs, 'tmp')))
      if (((await fs.stat(path).catch(() => undefined))?.mtimeMs ?? now) < now - UNFINISHED_MS) unfinished.push(path);
    if (before !== null) {
      // Moving a file there changed it, in the sense of ctime.
      for (const path of await inside(join(data.blobs, 'corrupt')))
        if (((await fs.stat(path).catch(() => undefined))?.ctimeMs ?? now) < before) damaged.push(path);
      for (const path of await inside(data.root)) {
        const since = UNREADABLE_ARCHIVE.exec(path.slice(data.root.length + 1));
        if (since !== null && Number(since[1]) < before) damaged.push(path);
      }
    }
    if (auditMs !== null)
      for (const { path, ended } of await fullAuditFiles(data.audit)) if (ended < now - auditMs) audit.push(path);
    return { damaged, unfinished, audit };
  }

  async #about(what: Kept, { count, bytes }: Amount): Promise<void> {
    this.#mayGoOn();
    const { audit, log, removed } = this.#options;
    audit.record('retention', { what, count, bytes });
    await audit.flush();
    log.info('retention.removing', { what, count, bytes });
    removed?.(what, bytes);
  }

  #mayGoOn(): void {
    if (this.#closed) throw new FieldbookError('closed', 'The relay ends.');
    if (this.#holds > 0)
      throw new FieldbookError(
        'closed',
        'A backup is being made, which nothing may be taken away under; try again after it.',
      );
  }
}

async function inside(folder: string): Promise<string[]> {
  const names = await fs.readdir(folder).catch(() => [] as string[]);
  return names.map((name) => join(folder, name));
}

async function sizeOf(paths: readonly string[]): Promise<Amount> {
  const sum = { count: 0, bytes: 0 };
  for (const path of paths) {
    const stat = await fs.lstat(path).catch(() => undefined);
    if (stat === undefined) continue;
    sum.count += 1;
    sum.bytes += stat.isDirectory() ? (await sizeOf(await inside(path))).bytes : stat.size;
  }
  return sum;
}
