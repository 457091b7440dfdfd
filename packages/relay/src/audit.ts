import { createReadStream } from 'node:fs';
import { open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

/** What is written down of who did what to a relay. */
export const AUDIT_EVENTS = [
  'token.created',
  'token.revoked',
  'token.expired',
  'invitation.created',
  'invitation.used',
  'invitation.revoked',
  'sign-in',
  'sign-in.refused',
  'person.readmitted',
  'peer.added',
  'peer.removed',
  'access.refused',
  'update.refused',
  'repair',
  'restore',
  'retention',
  'blob.damaged',
] as const;
export type AuditEvent = (typeof AUDIT_EVENTS)[number];

/** Plain values only; what looks like a secret is not written. */
export type AuditFields = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

/** One line of the log. */
export interface AuditEntry {
  /** ISO 8601, UTC. */
  time: string;
  event: AuditEvent;
  /** How often the same happened in the minute before, when more than once. */
  count?: number;
  [field: string]: unknown;
}

export interface AuditOptions {
  /** A file begins anew beyond this. */
  maxBytes?: number;
  /** Full files that are kept. */
  keep?: number;
  now?: () => number;
  /** Told when a line cannot be written, e.g. because the disk is full. */
  failed?(error: unknown): void;
}

const MAX_BYTES = 8 * 1024 * 1024;
const KEEP = 12;
/** The same refusal again within this time is counted, not written: somebody who knocks all day must not push everything else out. */
const REPEAT_MS = 60_000;
const REPEATS_MAX = 1_000;
const TEXT_MAX = 500;
/** Lines that wait while the disk takes none; beyond them the oldest go. */
const WAITING_MAX = 10_000;
/** Tokens and other secrets of ours, wherever they stand in a text. */
const SECRET = /\bfb[a-z]_[A-Za-z0-9_-]{16,}/g;

interface Repeat {
  event: AuditEvent;
  fields: AuditFields;
  count: number;
  until: number;
}

/**
 * An append-only log of JSON lines for the owner of a relay. Lines are appended with one write each, so the server and
 * commands beside it may write at the same time; a full file is put aside under the time of its end and the oldest is
 * removed. Nothing waits for it but `flush`, and it keeps no file open.
 */
export class Audit {
  /** The file that is being written. */
  readonly path: string;
  readonly #options: Required<AuditOptions>;
  readonly #repeats = new Map<string, Repeat>();
  #lines: string[] = [];
  /** The file may end in a part of a line. */
  #torn = false;
  #writing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `path` is the file that is being written; full ones lie beside it. */
  constructor(path: string, options: AuditOptions = {}) {
    this.path = path;
    this.#options = { maxBytes: MAX_BYTES, keep: KEEP, now: Date.now, failed: () => {}, ...options };
  }

  /** Writes one line soon, in order. */
  record(event: AuditEvent, fields: AuditFields): void {
    this.#write(event, fields);
  }

  /** As `record`, for what somebody outside can make happen as often as they like: the same once a minute, with a count. */
  refused(event: 'access.refused' | 'update.refused' | 'sign-in.refused', fields: AuditFields): void {
    const now = this.#options.now();
    this.#endRepeats(now);
    const key = JSON.stringify([event, fields]);
    const before = this.#repeats.get(key);
    if (before !== undefined) {
      before.count += 1;
      return;
    }
    if (this.#repeats.size >= REPEATS_MAX) {
      const others = JSON.stringify([event]);
      const rest = this.#repeats.get(others);
      if (rest === undefined) this.#repeats.set(others, { event, fields: {}, count: 1, until: now + REPEAT_MS });
      else rest.count += 1;
      return;
    }
    this.#repeats.set(key, { event, fields, count: 0, until: now + REPEAT_MS });
    this.#write(event, fields);
    this.#timer ??= setInterval(() => this.#endRepeats(this.#options.now()), REPEAT_MS).unref();
  }

  /** Resolves when everything recorded so far is on disk. */
  async flush(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#endRepeats(Infinity);
    await this.flush();
    if (this.#lines.length > 0) this.#start();
    await this.flush();
  }

  #endRepeats(now: number): void {
    for (const [key, { event, fields, count, until }] of this.#repeats) {
      if (until > now) continue;
      this.#repeats.delete(key);
      if (count > 0) this.#write(event, { ...fields, count });
    }
  }

  #write(event: AuditEvent, fields: AuditFields): void {
    const time = new Date(this.#options.now()).toISOString();
    this.#lines.push(`${JSON.stringify({ time, event, ...cleaned(fields) })}\n`);
    if (this.#lines.length > WAITING_MAX) this.#lines.shift();
    this.#start();
  }

  /** What cannot be written waits for the next line, or the end. */
  #start(): void {
    this.#writing ??= this.#append()
      .catch((error: unknown) => this.#options.failed(error))
      .finally(() => {
        this.#writing = undefined;
      });
  }

  async #append(): Promise<void> {
    while (this.#lines.length > 0) {
      await this.#rotate();
      const file = await open(this.path, 'a', 0o600);
      try {
        const lines = this.#lines.slice();
        const bytes = Buffer.from((this.#torn ? '\n' : '') + lines.join(''));
        // Until the whole is there. A line twice is better than one that is gone.
        this.#torn = true;
        const { bytesWritten } = await file.write(bytes);
        if (bytesWritten < bytes.length) await file.write(bytes, bytesWritten);
        this.#torn = false;
        await file.datasync();
        const written = new Set(lines);
        this.#lines = this.#lines.filter((line) => !written.has(line));
      } finally {
        await file.close();
      }
    }
  }

  async #rotate(): Promise<void> {
    const size = await stat(this.path).then(
      (found) => found.size,
      () => 0,
    );
    if (size < this.#options.maxBytes) return;
    const at = new Date(this.#options.now()).toISOString().replaceAll(':', '');
    await rename(this.path, `${this.path.replace(/\.jsonl$/, '')}.${at}.jsonl`);
    const full = (await auditFiles(this.path)).slice(0, -1);
    for (const path of full.slice(0, Math.max(0, full.length - this.#options.keep)))
      await unlink(path).catch(() => undefined);
  }
}

/** The lines of a log from `since` (ms since the epoch) on, oldest first. Lines that are torn or of no known shape are passed over. */
export async function* readAudit(path: string, since = 0): AsyncGenerator<AuditEntry> {
  for (const file of await auditFiles(path)) {
    const lines = createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Infinity });
    try {
      for await (const line of lines) {
        const entry = parseAuditLine(line);
        if (entry !== undefined && Date.parse(entry.time) >= since) yield entry;
      }
    } catch (error) {
      // Removed, being the oldest, since it was listed; or there is no log yet.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

/** Undefined for a line that is torn or of no known shape. */
export function parseAuditLine(line: string): AuditEntry | undefined {
  try {
    const value = JSON.parse(line) as Partial<AuditEntry> | null;
    return typeof value?.time === 'string' && typeof value.event === 'string' ? (value as AuditEntry) : undefined;
  } catch {
    return undefined;
  }
}

/** The files that are full, oldest first, with the time of their end; never the one that is written. */
export async function fullAuditFiles(path: string): Promise<{ path: string; ended: number }[]> {
  const full: { path: string; ended: number }[] = [];
  for (const file of (await auditFiles(path)).slice(0, -1)) {
    const stamp = /\.(\d{4}-\d\d-\d\dT)(\d\d)(\d\d)([\d.]+Z)\.jsonl$/.exec(file);
    const ended = stamp === null ? Number.NaN : Date.parse(`${stamp[1]}${stamp[2]}:${stamp[3]}:${stamp[4]}`);
    if (Number.isFinite(ended)) full.push({ path: file, ended });
  }
  return full;
}

/** Full files, oldest first, and then the one that is written. */
export async function auditFiles(path: string): Promise<string[]> {
  const stem = `${basename(path, '.jsonl')}.`;
  const there = await readdir(dirname(path)).catch(() => [] as string[]);
  const full = there
    .filter((name) => name.startsWith(stem) && name.endsWith('.jsonl') && name !== basename(path))
    .sort((a, b) => (a < b ? -1 : 1));
  return [...full.map((name) => join(dirname(path), name)), path];
}

function cleaned(fields: AuditFields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === 'string' ? value.replace(SECRET, '…').slice(0, TEXT_MAX) : value,
    ]),
  );
}
