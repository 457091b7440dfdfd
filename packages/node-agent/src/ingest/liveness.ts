import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { JournalMeta } from '@fieldbook/core/journal';

export type Verdict = 'running' | 'crashed' | 'lost';

/** Where a writer's newest file lies, and when it last changed. */
export interface Traces {
  dev: bigint;
  ino: bigint;
  mtimeMs: number;
  /** ms since the epoch of the newest record. */
  newest: number;
}

/** Silence after which a writer that cannot be asked is lost. */
const SILENCE = 10 * 60_000;
/** `created` is rounded, and clocks step: a process that began so much later is another one. */
const START_SLACK = 5_000;

/**
 * Asks the kernel whether writers live, in the order of docs/formats/journal.md. One object is good for one look
 * around: /proc/locks is read once, and again only where it would mean somebody's death.
 */
export class Liveness {
  readonly #host: string;
  #kernel: Promise<{ boot: string | null; pidNs: number | null }> | undefined;
  #locks: Promise<Locks> | undefined;

  constructor(host = process.env['FIELDBOOK_HOST'] ?? hostname()) {
    this.#host = host;
  }

  /** Forgets the locks seen: call it before each look around. */
  refresh(): void {
    this.#locks = undefined;
  }

  async verdict(meta: JournalMeta, traces: Traces, now: number): Promise<Verdict> {
    const { boot, pidNs } = await (this.#kernel ??= readKernel());
    if (boot !== null && meta.boot === boot) {
      if (meta.pidNs !== null && meta.pidNs === pidNs && meta.pid !== null) {
        // Behind the pid stands a process with the right start time, or nobody: locks may have been inherited by a child.
        const start = await startOf(meta.pid);
        return start !== null && (meta.pidStart === null || meta.pidStart === start) ? 'running' : 'crashed';
      }
      if (meta.lock !== null) {
        if (isLocked(await (this.#locks ??= readLocks()), traces)) return 'running';
        // The list may be older than the file.
        this.#locks = readLocks();
        if (isLocked(await this.#locks, traces)) return 'running';
        // flock is hidden from other pid namespaces, so no line means nothing there.
        if (meta.lock !== 'flock') return 'crashed';
      }
      return silence(traces, now);
    }
    if (meta.host !== null && meta.host === this.#host) {
      // Same host, another boot: the machine was restarted since.
      if (meta.boot !== null && boot !== null) return 'crashed';
      if (meta.boot === null && meta.pid !== null)
        return (await runsSince(meta.pid, meta.created)) ? 'running' : 'crashed';
    }
    return silence(traces, now);
  }
}

function silence(traces: Traces, now: number): Verdict {
  return now - Math.max(traces.newest, traces.mtimeMs) < SILENCE ? 'running' : 'lost';
}

interface Locks {
  /** `major:minor:inode`, hexadecimal and decimal as the kernel writes them. */
  places: Set<string>;
  inodes: Set<string>;
}

async function readLocks(): Promise<Locks> {
  const locks: Locks = { places: new Set(), inodes: new Set() };
  const text = await readFile('/proc/locks', 'utf8').catch(() => '');
  for (const line of text.split('\n')) {
    // "1: OFDLCK ADVISORY  WRITE -1 fe:00:9977884 0 EOF"; a line of a waiter has "->" after the number.
    const columns = line.replace('->', '').trim().split(/\s+/);
    const place = columns[5];
    const inode = place?.split(':')[2];
    if (place === undefined || inode === undefined || columns[3] !== 'WRITE') continue;
    locks.places.add(place);
    locks.inodes.add(inode);
  }
  return locks;
}

function isLocked(locks: Locks, { dev, ino }: Traces): boolean {
  if (locks.places.has(`${hex(majorOf(dev))}:${hex(minorOf(dev))}:${ino}`)) return true;
  // btrfs and overlayfs show another device in /proc/locks than in stat.
  return locks.inodes.has(String(ino));
}

/** Linux packs device numbers so: 12 bits of major, 20 of minor, both split. */
function majorOf(dev: bigint): bigint {
  return ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
}

function minorOf(dev: bigint): bigint {
  return (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
}

function hex(value: bigint): string {
  return value.toString(16).padStart(2, '0');
}

async function readKernel(): Promise<{ boot: string | null; pidNs: number | null }> {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').then(
    (text) => text.trim(),
    () => null,
  );
  const pidNs = await stat('/proc/self/ns/pid').then(
    ({ ino }) => ino,
    () => null,
  );
  return { boot, pidNs };
}

/** A process's start in clock ticks after boot: field 22, counted behind the last parenthesis, as its name may hold any. */
export async function startOf(pid: number): Promise<number | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  if (text === null) return null;
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // A zombie has ended: nobody but its parent's table remembers it.
  if (fields[0] === 'Z' || fields[0] === 'X') return null;
  const start = Number(fields[19]);
  return Number.isFinite(start) ? start : null;
}

/** True when the process exists and did not begin after `created`. Systems without /proc. */
async function runsSince(pid: number, created: number | null): Promise<boolean> {
  const text = await new Promise<string>((resolve) => {
    execFile(
      'ps',
      ['-o', 'lstart=', '-p', String(pid)],
      { timeout: 5_000, env: { ...process.env, LC_ALL: 'C' } },
      (error, stdout) => resolve(error === null ? stdout.trim() : ''),
    );
  });
  if (text === '') return false;
  const start = Date.parse(text);
  return Number.isNaN(start) || created === null || start <= created + START_SLACK;
}
