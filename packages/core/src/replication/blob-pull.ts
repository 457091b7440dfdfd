import { isFieldbookError } from '../errors.ts';
import type { RequestedFiles, TravelRule } from '../files/index.ts';
import { decodeChunkList, pointBlobs, storedFiles, travelOf } from '../files/index.ts';
import type { DocumentName } from '../ids.ts';
import type { BlobDigest, BlobStore, Log, Timers } from '../ports.ts';
import type { Replica } from '../replica/replica.ts';

export interface BlobPullOptions {
  replica: Replica;
  blobs: BlobStore;
  /** A blob from the peer, verified and kept; undefined when it has none of that name. */
  fetch(digest: BlobDigest): Promise<Uint8Array | undefined>;
  requested: RequestedFiles;
  /** Only points, and only of these documents; without it points and files of all. */
  pointsOf?(name: DocumentName): boolean;
  /** Blobs that this document names have come from the peer: others may lack them. */
  onFetched?(name: DocumentName): void;
  travel?: readonly TravelRule[];
  timers: Timers;
  log: Log;
}

const PAGE = 256;
/** A document comes before its blobs, which its machine sends a moment later; what is still not there is looked for ever more rarely. */
const AGAIN_MS = 1_000;
const AGAIN_MOST_MS = 60_000;

/**
 * Fetches from one peer every blob that run documents name, that travels and that is not here: what makes a second relay a second
 * copy and not only a second address. Nothing of it is written down but the blobs: each start looks at all run documents once.
 */
export class BlobPull {
  readonly #options: BlobPullOptions;
  /** Documents to look at, in order. */
  readonly #open = new Set<DocumentName>();
  readonly #waiting = new Set<DocumentName>();
  #stopFollowing: (() => void) | undefined;
  #cancel: (() => void) | undefined;
  #working: Promise<void> | undefined;
  #again = AGAIN_MS;
  #stopped = false;
  #scanned = false;
  #fetched = 0;

  constructor(options: BlobPullOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#stopFollowing !== undefined || this.#stopped) return;
    this.#stopFollowing = this.#options.replica.onCommit(({ name }) => {
      this.look(name);
    });
    this.#work();
  }

  /** Looks at a document of a run, which changed or of which more is wanted than before. */
  look(name: DocumentName): void {
    if (this.#stopFollowing === undefined || !this.#isMeant(name)) return;
    this.#open.add(name);
    this.#work();
  }

  /** Looks at all run documents again: blobs that were here are gone. */
  rescan(): void {
    this.#scanned = false;
    this.#again = AGAIN_MS;
    if (this.#stopFollowing !== undefined) this.#work();
  }

  /** Looks again now at what the peer did not have, or did not answer. */
  retry(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#again = AGAIN_MS;
    for (const name of this.#waiting) this.#open.add(name);
    this.#waiting.clear();
    if (this.#stopFollowing !== undefined) this.#work();
  }

  /** Run documents of which something is still elsewhere only. */
  get waiting(): number {
    return this.#waiting.size;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopFollowing?.();
    this.#cancel?.();
    await this.#working;
  }

  #isMeant(name: DocumentName): boolean {
    return name.startsWith('run/') && this.#options.pointsOf?.(name) !== false;
  }

  #work(): void {
    if (this.#stopped) return;
    this.#working ??= this.#run().finally(() => {
      this.#working = undefined;
      // What came while the last of it ended.
      if (this.#open.size > 0 || (!this.#scanned && this.#cancel === undefined)) this.#work();
    });
  }

  async #run(): Promise<void> {
    const { log } = this.#options;
    try {
      if (!this.#scanned) await this.#scan();
    } catch (error) {
      log.warn('blobs.unscanned', { error: String(error) });
      this.#later();
      return;
    }
    for (const name of this.#open) {
      if (this.#stopped) return;
      this.#open.delete(name);
      const before = this.#fetched;
      try {
        if (await this.#whole(name)) this.#waiting.delete(name);
        else this.#waiting.add(name);
      } catch (error) {
        // Nobody answers, or nothing fits: the rest would fare no better.
        log.info('blobs.unfetched', { name, error: String(error) });
        this.#waiting.add(name);
        break;
      } finally {
        if (this.#fetched > before) this.#options.onFetched?.(name);
      }
    }
    for (const name of this.#open) this.#waiting.add(name);
    this.#open.clear();
    if (this.#waiting.size > 0) this.#later();
    else this.#again = AGAIN_MS;
  }

  #later(): void {
    if (this.#stopped) return;
    this.#cancel?.();
    this.#cancel = this.#options.timers.after(this.#again, () => {
      this.#cancel = undefined;
      for (const name of this.#waiting) this.#open.add(name);
      this.#work();
    });
    this.#again = Math.min(AGAIN_MOST_MS, this.#again * 2);
  }

  async #scan(): Promise<void> {
    const { replica } = this.#options;
    for (let through = 0; !this.#stopped;) {
      const page = await replica.changedSince(through, PAGE);
      for (const { name } of page) if (this.#isMeant(name)) this.#open.add(name);
      const last = page.at(-1);
      if (last === undefined) break;
      through = last.seq;
    }
    this.#scanned = true;
  }

  /** False when the peer lacks something of it. */
  async #whole(name: DocumentName): Promise<boolean> {
    const { replica, requested, pointsOf, travel } = this.#options;
    if (!this.#isMeant(name)) return true;
    const info = await replica.info(name);
    if (info === undefined || info.quarantined) return true;
    const { points, files } = await replica.read(name, (doc) => ({ points: pointBlobs(doc), files: storedFiles(doc) }));
    let whole = true;
    for (const digest of points) whole = (await this.#have(digest)) && whole;
    for (const file of pointsOf === undefined ? files : []) {
      const how = travelOf(file, travel);
      if (how === 'never' || (how === 'request' && !(await requested.has(file.digest)))) continue;
      const first = file.chunks ?? file.digest;
      if (!(await this.#have(first))) whole = false;
      else if (file.chunks !== null) {
        const list = await this.#options.blobs.read(file.chunks).catch(ifCorrupt);
        for (const digest of chunksOf(list, file.size)) whole = (await this.#have(digest)) && whole;
      }
    }
    return whole;
  }

  async #have(digest: BlobDigest): Promise<boolean> {
    if (this.#stopped) return false;
    if ((await this.#options.blobs.stat(digest)) !== undefined) return true;
    if ((await this.#options.fetch(digest)) === undefined) return false;
    this.#fetched += 1;
    return true;
  }
}

/** A list that is none names nothing that anybody could have. */
function chunksOf(list: Uint8Array | undefined, size: number | null): readonly BlobDigest[] {
  if (list === undefined) return [];
  try {
    return decodeChunkList(list, size ?? undefined).chunks;
  } catch (error) {
    return ifCorrupt(error) ?? [];
  }
}

function ifCorrupt(error: unknown): undefined {
  if (isFieldbookError(error, 'blob_corrupt')) return undefined;
  throw error;
}
