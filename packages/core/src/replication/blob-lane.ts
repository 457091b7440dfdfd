import type { FieldbookError } from '../errors.ts';
import { asFieldbookError, isFieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import { utf8 } from '../ids.ts';
import type { BlobDigest, BlobStore, Log, Random, Timers } from '../ports.ts';
import type { Replica } from '../replica/replica.ts';
import type { BlobPeer } from './blob-peer.ts';
import type { BlobSyncStatus } from './blob-sync.ts';
import { backoffMs } from './backoff.ts';

/** What one lane sends. */
export interface BlobLaneOptions {
  replica: Replica;
  blobs: BlobStore;
  peer: BlobPeer;
  timers: Timers;
  random: Random;
  log: Log;
  /** Under which its place in the feed is kept, durably and per peer. */
  cursor: string;
  /** Blobs that a run document names and that are to be sent, in the order in which they are. */
  select(name: DocumentName): Promise<Iterable<BlobDigest>>;
  /** True while something that goes first is on its way: the next blob waits for it, a little. */
  yields?(): boolean;
  onChange(): void;
}

const PAGE = 256;
const ASK_MAX = 1_000;
/** A running run's document changes every second; its manifest is worth a look less often. */
const REST_MS = 1_000;
/** Digests that the peer is known to have: 64 bytes each. */
const PRESENT_MAX = 200_000;
/** So often it is looked whether what goes first is through … */
const YIELD_MS = 50;
/** … and so often at most for one blob: documents of running runs are never all through. */
const YIELDS_MAX = 4;

/**
 * Sends blobs that manifests name and the peer lacks, in the order of the feed. How far manifests were looked at is kept durably
 * per peer; a blob that was sent twice is one.
 */
export class BlobLane {
  readonly #options: BlobLaneOptions;
  readonly #present = new Set<BlobDigest>();
  readonly #pending = new Map<BlobDigest, number>();
  #peer: string | undefined;
  #through = 0;
  #more = true;
  #sent = 0;
  #failures = 0;
  #problem: BlobSyncStatus['problem'] = null;
  /** Documents to look at whatever the feed says, until it is done. */
  readonly #extra = new Set<DocumentName>();
  #state: 'new' | 'resting' | 'working' | 'stopped' = 'new';
  #running: Promise<void> | undefined;
  #cancel: (() => void) | undefined;
  #stopFollowing: (() => void) | undefined;

  constructor(options: BlobLaneOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#state !== 'new') return;
    this.#stopFollowing = this.#options.replica.onCommit(({ name }) => {
      if (!name.startsWith('run/')) return;
      this.#more = true;
      if (this.#state === 'resting' && this.#cancel === undefined) this.#later(REST_MS);
    });
    this.#work();
  }

  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#cancel?.();
    this.#stopFollowing?.();
    await this.#running;
    this.#changed();
  }

  /** Looks again now, after an outage or before a wait. */
  retry(): void {
    if (this.#state !== 'resting') return;
    this.#failures = 0;
    this.#cancel?.();
    this.#work();
  }

  status(): BlobSyncStatus {
    let pendingBytes = 0;
    for (const size of this.#pending.values()) pendingBytes += size;
    const { size } = this.#pending;
    return { pending: size, pendingBytes, sentBytes: this.#sent, settled: this.#settled, problem: this.#problem };
  }

  /** Looks at these documents again, though they did not change: what is to be sent has. */
  recheck(names: Iterable<DocumentName>): void {
    for (const name of names) this.#extra.add(name);
    if (this.#state === 'resting' && this.#cancel === undefined && this.#extra.size > 0) this.#later(0);
    this.#changed();
  }

  /** The replica that was last reached. */
  get peer(): string | undefined {
    return this.#peer;
  }

  /** True when the peer has the blob, as far as this lane has seen. */
  isThere(digest: BlobDigest): boolean {
    return this.#present.has(digest);
  }

  /** True when everything that the document named to be sent, as of its commit `seq`, is there. */
  hasPassed(seq: number): boolean {
    return this.#peer !== undefined && seq <= this.#through;
  }

  note(digest: BlobDigest): void {
    if (this.#present.size >= PRESENT_MAX) this.#present.clear();
    this.#present.add(digest);
  }

  get #settled(): boolean {
    return (
      this.#state === 'resting' &&
      !this.#more &&
      this.#extra.size === 0 &&
      this.#problem === null &&
      this.#pending.size === 0
    );
  }

  #work(): void {
    this.#cancel = undefined;
    this.#state = 'working';
    this.#running = this.#round().then(
      () => this.#rested(null),
      (error: unknown) => this.#rested(asFieldbookError(error)),
    );
  }

  #rested(error: FieldbookError | null): void {
    if (this.#state === 'stopped') return;
    this.#state = 'resting';
    this.#problem = error === null ? null : { code: error.code, message: error.message };
    if (error !== null) {
      this.#options.log.warn('blobs.failed', { code: error.code, error: error.message });
      this.#later(backoffMs(this.#failures, this.#options.random.bytes(1)[0]! / 256));
      this.#failures += 1;
    } else {
      this.#failures = 0;
      if (this.#more || this.#extra.size > 0) this.#later(this.#extra.size > 0 ? 0 : REST_MS);
    }
    this.#changed();
  }

  #later(ms: number): void {
    this.#cancel = this.#options.timers.after(ms, () => {
      if (this.#state === 'resting') this.#work();
    });
  }

  async #round(): Promise<void> {
    const { replica, peer } = this.#options;
    const id = await peer.id();
    if (id !== this.#peer) {
      this.#present.clear();
      this.#peer = id;
      const kept = await replica.getPrivate(`${this.#options.cursor}/${id}`);
      this.#through = kept === undefined ? 0 : Number(new TextDecoder().decode(kept));
      if (this.#through > replica.lastSeq) this.#through = 0;
    }
    for (;;) {
      this.#more = false;
      const changed = await replica.changedSince(this.#through, PAGE);
      const last = changed.at(-1);
      if (last === undefined || this.#isStopped()) break;
      this.#more = true;
      await this.#offer(changed.map(({ name }) => name).filter((name) => name.startsWith('run/')));
      if (this.#isStopped()) return;
      this.#through = last.seq;
      await replica.putPrivate([[`${this.#options.cursor}/${id}`, utf8(String(last.seq))]]);
    }
    for (const name of this.#extra) {
      if (this.#isStopped()) return;
      this.#extra.delete(name);
      await this.#offer([name]).catch((error: unknown) => {
        this.#extra.add(name);
        throw error;
      });
    }
  }

  /** Sends what these manifests name, what is here, and what the peer lacks. */
  async #offer(names: readonly DocumentName[]): Promise<void> {
    const named = new Set<BlobDigest>();
    for (const name of names) {
      // A damaged document is reported by the replica, and must not hold the others up.
      const digests = await this.#options.select(name).catch((error: unknown) => {
        if (isFieldbookError(error, 'document_quarantined')) return [];
        throw error;
      });
      for (const digest of digests) if (!this.#present.has(digest)) named.add(digest);
    }
    const here: [BlobDigest, number][] = [];
    for (const digest of named) {
      const stat = await this.#options.blobs.stat(digest);
      if (stat !== undefined) here.push([digest, stat.size]);
    }
    for (let from = 0; from < here.length; from += ASK_MAX) {
      const asked = here.slice(from, from + ASK_MAX);
      const missing = new Set(await this.#options.peer.missing(asked.map(([digest]) => digest)));
      for (const [digest, size] of asked) {
        if (missing.has(digest)) this.#pending.set(digest, size);
        else this.note(digest);
      }
    }
    this.#changed();
    await this.#send();
  }

  async #send(): Promise<void> {
    const { blobs, peer, log } = this.#options;
    for (const digest of this.#pending.keys()) {
      await this.#yield();
      if (this.#isStopped()) return;
      const bytes = await blobs.read(digest).catch(ifCorrupt);
      if (bytes === undefined) log.error('blobs.unreadable', { digest });
      else {
        await peer.put(digest, bytes);
        this.#sent += bytes.length;
      }
      this.#pending.delete(digest);
      if (bytes !== undefined) this.note(digest);
      this.#changed();
    }
  }

  async #yield(): Promise<void> {
    const { yields, timers } = this.#options;
    for (let turn = 0; turn < YIELDS_MAX && yields?.() === true && !this.#isStopped(); turn++) {
      await new Promise<void>((resolve) => timers.after(YIELD_MS, resolve));
    }
  }

  #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  #changed(): void {
    this.#options.onChange();
  }
}

/** A blob that rotted is as good as absent: the other side may have it whole. */
export function ifCorrupt(error: unknown): undefined {
  if (isFieldbookError(error, 'blob_corrupt')) return undefined;
  throw error;
}
