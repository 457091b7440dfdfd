import { FieldbookError } from '../errors.ts';
import type { RequestedFiles, StoredFile, TravelRule } from '../files/index.ts';
import { blobsOf, pointBlobs, storedFiles, travelOf } from '../files/index.ts';
import type { DocumentName } from '../ids.ts';
import { runDocumentName } from '../ids.ts';
import type { BlobDigest, BlobStore, Clock, Log, Random, Timers } from '../ports.ts';
import type { FileEntry } from '../record/index.ts';
import { fileKey } from '../record/index.ts';
import type { Replica } from '../replica/replica.ts';
import type { BlobPeer } from './blob-peer.ts';
import { BELIEF_MS, BlobLane, ifCorrupt } from './blob-lane.ts';
import type { PeerMemories } from './peer-memories.ts';

export interface BlobSyncOptions {
  replica: Replica;
  blobs: BlobStore;
  peer: BlobPeer;
  /** Which documents peers are known to hold: what they name is kept there. */
  memories: Pick<PeerMemories, 'of'>;
  clock: Clock;
  timers: Timers;
  random: Random;
  log: Log;
  /** Which files people have asked for, and what else travels. */
  requested: RequestedFiles;
  travel?: readonly TravelRule[];
  /** True while documents are on their way to the peer: they go first. */
  documentsWait?(): boolean;
  onChange?(): void;
}

export interface BlobSyncStatus {
  /** Blobs that are here and that the peer is known to lack, and their bytes. */
  pending: number;
  pendingBytes: number;
  /** Bytes of blobs that the peer has taken since this program began. */
  sentBytes: number;
  /** True when every manifest up to now was looked at and nothing is pending. */
  settled: boolean;
  /** Why nothing moves, in words. */
  problem: { code: string; message: string } | null;
}

/** Keys of 100 bytes. */
const SETTLED_MAX = 200_000;
/** Files of 200 bytes. */
const LISTS_MAX = 10_000;

/**
 * Sends the blobs that manifests name and the peer lacks, beside the document frames and never in their way. Points have a lane of
 * their own, so that a checkpoint of 100 GB holds no curve up; files go by the rules of `docs/formats/files.md`.
 */
export class BlobSync {
  readonly #options: BlobSyncOptions;
  readonly #points: BlobLane;
  readonly #files: BlobLane;
  readonly #fetching = new Map<BlobDigest, Promise<Uint8Array | undefined>>();
  readonly #waiters = new Set<() => void>();
  #stopFollowing: (() => void) | undefined;
  #received = 0;
  #stopped = false;
  readonly #settled = new Map<DocumentName, Set<string>>();
  #settledCount = 0;
  #settledAt: string | undefined;
  #settledSince = 0;
  /** Files whose list of chunks is to be sent, by the list. */
  readonly #lists = new Map<BlobDigest, StoredFile>();
  /** What was asked for before this program began is known, and looked at. */
  #knowsRequests = false;

  constructor(options: BlobSyncOptions) {
    this.#options = options;
    const { replica, documentsWait = () => false } = options;
    const onChange = (): void => this.#changed();
    this.#points = new BlobLane({
      ...options,
      cursor: 'blobs-at',
      select: (name) => replica.read(name, pointBlobs),
      yields: documentsWait,
      onChange,
    });
    this.#files = new BlobLane({
      ...options,
      cursor: 'files-at',
      select: (name) => this.#filesOf(name),
      partsOf: (digest) => this.#chunksOf(digest),
      yields: () => documentsWait() || this.#points.status().pending > 0,
      onChange,
    });
  }

  start(): void {
    if (this.#stopFollowing !== undefined || this.#stopped) return;
    const { requested, log } = this.#options;
    this.#stopFollowing = requested.onRequest((run) => this.#files.recheck([runDocumentName(run)]));
    this.#points.start();
    this.#files.start();
    // What was asked for before the last end of this program may not have been sent whole.
    requested
      .runs()
      .then((runs) => this.#files.recheck([...runs].map(runDocumentName)))
      .catch((error: unknown) => log.warn('requests_unread', { error: String(error) }))
      .finally(() => {
        this.#knowsRequests = true;
        this.#changed();
      });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopFollowing?.();
    await Promise.all([this.#points.stop(), this.#files.stop()]);
    this.#changed();
  }

  /** Looks at these documents again, though they did not change: blobs that they name have come. */
  recheck(names: Iterable<DocumentName>): void {
    const all = [...names];
    this.#points.recheck(all);
    this.#files.recheck(all);
  }

  /** Blobs of the document may be about to come here, otherwise than from the peer; see `BlobArrival`. */
  expect(name: DocumentName): void {
    this.#points.expect(name);
    this.#files.expect(name);
  }

  /** Writes down that what these documents, as of their commits, name is to be offered again; `peer`: the `blobsUnder` of who was last there. */
  async doubt(documents: readonly [DocumentName, number][], peer: string | null): Promise<void> {
    await this.#points.doubt(documents, peer);
    await this.#files.doubt(documents, peer);
  }

  /** What `expect` told of has come; `some`: there were blobs. */
  arrived(names: ReadonlySet<DocumentName>, some: boolean): void {
    this.#points.arrived(names, some);
    this.#files.arrived(names, some);
  }

  /** Looks again now, after an outage or before a wait. */
  retry(): void {
    this.#points.retry();
    this.#files.retry();
  }

  /** The peer says how often it has lost blobs: when that is news, all that it may lack is offered again, within seconds. */
  hearLosses(losses: number): void {
    this.#points.hearLosses(losses);
    this.#files.hearLosses(losses);
  }

  status(): BlobSyncStatus {
    const [points, files] = [this.#points.status(), this.#files.status()];
    return {
      pending: points.pending + files.pending,
      pendingBytes: points.pendingBytes + files.pendingBytes,
      sentBytes: points.sentBytes + files.sentBytes,
      settled: this.#knowsRequests && points.settled && files.settled,
      problem: points.problem ?? files.problem,
    };
  }

  /** Bytes of blobs fetched from the peer since this program began. */
  get receivedBytes(): number {
    return this.#received;
  }

  /** Resolves when everything that manifests name, that is here and that travels is also there; rejects with what prevents it. */
  async whenSettled(): Promise<void> {
    this.retry();
    for (let status = this.status(); !status.settled; status = this.status()) {
      if (this.#stopped) throw new FieldbookError('closed', 'The upload of blobs is stopped.');
      const { problem } = status;
      if (problem !== null && ['unauthorized', 'forbidden'].includes(problem.code))
        throw new FieldbookError('forbidden', problem.message);
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

  /**
   * True when the peer is known to have a blob, and to keep it. `sent`: the blob is one of those that travel, and `seq` the last
   * commit of the document that names it, so it is there when that was looked at.
   */
  isThere(digest: BlobDigest, name: DocumentName, seq: number, sent: boolean): boolean {
    const lanes = [this.#files, this.#points];
    if (lanes.some((lane) => lane.isJustThere(digest))) return true;
    if (lanes.some((lane) => lane.doubts(name))) return false;
    return lanes.some((lane) => lane.isThere(digest)) || (sent && this.#files.hasPassed(seq));
  }

  /** True when the peer is known to have a blob of a document whose last commit is `seq`, points included. `travels`: it is sent unasked. */
  isKnownThere(digest: BlobDigest, name: DocumentName, seq: number, travels: boolean): boolean {
    const passed = this.#points.hasPassed(seq) && this.#files.hasPassed(seq);
    return this.isThere(digest, name, seq, travels && passed);
  }

  /** Blobs of the files that travel: of each its chunks and last their list, so that who has the list has them. */
  async #filesOf(name: DocumentName): Promise<BlobDigest[]> {
    const { replica, blobs, requested, travel } = this.#options;
    const settled = this.#settledOf(name);
    const digests: BlobDigest[] = [];
    for (const file of await replica.read(name, (doc) => storedFiles(doc, settled))) {
      const how = travelOf(file, travel);
      if (how === 'never') this.#settle(settled, file);
      if (how === 'never' || (how === 'request' && !(await requested.has(file.digest)))) continue;
      const [list, ...chunks] = (await blobsOf(blobs, file).catch(ifCorrupt)) ?? [];
      if (list === undefined) continue;
      const needed = [...chunks, list].filter((digest) => !this.#files.isJustThere(digest));
      if (needed.length === 0) this.#settle(settled, file);
      if (chunks.length > 0 && needed.length > 0) {
        if (this.#lists.size >= LISTS_MAX) this.#lists.clear();
        this.#lists.set(list, file);
      }
      digests.push(...needed);
    }
    return digests;
  }

  /** What the list is of, which nothing else names. */
  async #chunksOf(list: BlobDigest): Promise<readonly BlobDigest[]> {
    const file = this.#lists.get(list);
    this.#lists.delete(list);
    return file === undefined ? [] : ((await blobsOf(this.#options.blobs, file)) ?? []).slice(1);
  }

  /** Keys of files of a document that need no more looks while the same peer answers: a run of 20,000 files changes every second. */
  #settledOf(name: DocumentName): Set<string> {
    const now = this.#options.clock.now();
    const isOver = !(now >= this.#settledSince && now - this.#settledSince < BELIEF_MS);
    if (this.#settledAt !== this.#files.peer || this.#settledCount > SETTLED_MAX || isOver) {
      this.#settled.clear();
      this.#settledCount = 0;
      this.#settledAt = this.#files.peer;
      this.#settledSince = now;
    }
    const settled = this.#settled.get(name) ?? new Set();
    this.#settled.set(name, settled);
    return settled;
  }

  #settle(settled: Set<string>, file: FileEntry): void {
    settled.add(fileKey(file));
    this.#settledCount++;
  }

  async #download(digest: BlobDigest): Promise<Uint8Array | undefined> {
    const { blobs, peer } = this.#options;
    const bytes = await peer.get(digest);
    if (bytes === undefined) return undefined;
    await blobs.write(bytes, digest);
    this.#received += bytes.length;
    this.#files.note(digest);
    return bytes;
  }

  #changed(): void {
    for (const wake of this.#waiters) wake();
    this.#waiters.clear();
    this.#options.onChange?.();
  }
}
