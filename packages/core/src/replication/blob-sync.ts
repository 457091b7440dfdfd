import { RunDocument } from '../documents/index.ts';
import { asFieldbookError, FieldbookError, isFieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import { utf8 } from '../ids.ts';
import type { BlobDigest, BlobStore, Log, Random, Timers } from '../ports.ts';
import type { Replica } from '../replica/replica.ts';
import type { BlobPeer } from './blob-peer.ts';
import { backoffMs } from './backoff.ts';

export interface BlobSyncOptions {
  replica: Replica;
  blobs: BlobStore;
  peer: BlobPeer;
  timers: Timers;
  random: Random;
  log: Log;
  onChange?(): void;
}

export interface BlobSyncStatus {
  /** Blobs that are here and that the peer is known to lack, and their bytes. */
  pending: number;
  pendingBytes: number;
  /** True when every manifest up to now was looked at and nothing is pending. */
  settled: boolean;
  /** Why nothing moves, in words. */
  problem: { code: string; message: string } | null;
}

const PAGE = 256;
const ASK_MAX = 1_000;
/** A running run's document changes every second; its manifest is worth a look less often. */
const REST_MS = 1_000;
/** Digests that the peer is known to have: 64 bytes each. */
const PRESENT_MAX = 200_000;

/**
 * Sends the blobs that manifests name and the peer lacks, in the order of the feed, beside the document frames and
 * never in their way. How far manifests were looked at is kept durably per peer; a blob that was sent twice is one.
 */
export class BlobSync {
  readonly #options: BlobSyncOptions;
  readonly #present = new Set<BlobDigest>();
  readonly #pending = new Map<BlobDigest, number>();
  readonly #fetching = new Map<BlobDigest, Promise<Uint8Array | undefined>>();
  readonly #waiters = new Set<() => void>();
  #peer: string | undefined;
  #through = 0;
  #more = true;
  #failures = 0;
  #problem: BlobSyncStatus['problem'] = null;
  #state: 'new' | 'resting' | 'working' | 'stopped' = 'new';
  #running: Promise<void> | undefined;
  #cancel: (() => void) | undefined;
  #stopFollowing: (() => void) | undefined;

  constructor(options: BlobSyncOptions) {
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
    return { pending: this.#pending.size, pendingBytes, settled: this.#settled, problem: this.#problem };
  }

  /** Resolves when everything that manifests name and that is here is also there; rejects with what prevents it. */
  async whenSettled(): Promise<void> {
    this.retry();
    while (!this.#settled) {
      if (this.#state === 'stopped') throw new FieldbookError('closed', 'The upload of blobs is stopped.');
      if (this.#problem !== null && ['unauthorized', 'forbidden'].includes(this.#problem.code)) {
        throw new FieldbookError('forbidden', this.#problem.message);
      }
      await new Promise<void>((resolve) => this.#waiters.add(resolve));
    }
  }

  /**
   * A blob from here or from the peer, verified and kept; undefined when neither has it. Calls for one blob share one
   * download.
   */
  async fetch(digest: BlobDigest): Promise<Uint8Array | undefined> {
    const { blobs } = this.#options;
    const here = await blobs.read(digest).catch(ifCorrupt);
    if (here !== undefined) return here;
    let fetching = this.#fetching.get(digest);
    if (fetching === undefined) {
      fetching = this.#download(digest).finally(() => this.#fetching.delete(digest));
      this.#fetching.set(digest, fetching);
    }
    return fetching;
  }

  get #settled(): boolean {
    return this.#state === 'resting' && !this.#more && this.#problem === null && this.#pending.size === 0;
  }

  async #download(digest: BlobDigest): Promise<Uint8Array | undefined> {
    const { blobs, peer } = this.#options;
    const bytes = await peer.get(digest);
    if (bytes === undefined) return undefined;
    await blobs.write(bytes, digest);
    return bytes;
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
      if (this.#more) this.#later(REST_MS);
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
      const kept = await replica.getPrivate(`blobs-at/${id}`);
      this.#through = kept === undefined ? 0 : Number(new TextDecoder().decode(kept));
      if (this.#through > replica.lastSeq) this.#through = 0;
    }
    for (;;) {
      this.#more = false;
      const changed = await replica.changedSince(this.#through, PAGE);
      const last = changed.at(-1);
      if (last === undefined || this.#isStopped()) return;
      this.#more = true;
      await this.#offer(changed.map(({ name }) => name).filter((name) => name.startsWith('run/')));
      if (this.#isStopped()) return;
      this.#through = last.seq;
      await replica.putPrivate([[`blobs-at/${id}`, utf8(String(last.seq))]]);
    }
  }

  /** Sends what these manifests name, what is here, and what the peer lacks. */
  async #offer(names: readonly DocumentName[]): Promise<void> {
    const named = new Set<BlobDigest>();
    for (const name of names) {
      // A damaged document is reported by the replica, and must not hold the others up.
      const digests = await this.#options.replica.read(name, digestsOf).catch((error: unknown) => {
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
        else this.#note(digest);
      }
    }
    this.#changed();
    await this.#send();
  }

  async #send(): Promise<void> {
    const { blobs, peer, log } = this.#options;
    for (const digest of this.#pending.keys()) {
      if (this.#isStopped()) return;
      const bytes = await blobs.read(digest).catch(ifCorrupt);
      if (bytes === undefined) log.error('blobs.unreadable', { digest });
      else await peer.put(digest, bytes);
      this.#pending.delete(digest);
      if (bytes !== undefined) this.#note(digest);
      this.#changed();
    }
  }

  #note(digest: BlobDigest): void {
    if (this.#present.size >= PRESENT_MAX) this.#present.clear();
    this.#present.add(digest);
  }

  #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  #changed(): void {
    for (const wake of this.#waiters) wake();
    this.#waiters.clear();
    this.#options.onChange?.();
  }
}

function digestsOf(doc: ConstructorParameters<typeof RunDocument>[0]): BlobDigest[] {
  const digests: BlobDigest[] = [];
  for (const { digest, levels } of new RunDocument(doc).segments()) {
    digests.push(digest, ...levels.map((level) => level.digest));
  }
  return digests;
}

/** A blob that rotted is as good as absent: the other side may have it whole. */
function ifCorrupt(error: unknown): undefined {
  if (isFieldbookError(error, 'blob_corrupt')) return undefined;
  throw error;
}
