import type { BlobDigest, BlobStore, Log } from '@fieldbook/core';
import { FieldbookError, isFieldbookError } from '@fieldbook/core';
import type { FileBlobStore } from '@fieldbook/core/blobs';
import type { Replica } from '@fieldbook/core/replica';
import type { BlobKind } from '@fieldbook/core/usage';
import { BLOB_KINDS, namedByRuns, slices } from '@fieldbook/core/usage';
import type { Audit } from './audit.ts';
import { clock, timers } from './platform/ports.ts';

export interface BlobCareOptions {
  replica: Pick<Replica, 'getPrivate' | 'putPrivate' | 'list' | 'read'>;
  blobs: FileBlobStore;
  audit: Audit;
  log: Log;
  /** Blobs were found lost, one or many: once for all that a check finds, and once a second at most. */
  lost?(): void;
}

/** What a check of all blobs found. */
export interface CheckedBlobs {
  /** Blobs read, whole, and their bytes. */
  count: number;
  bytes: number;
  /** Damaged and set aside. */
  damaged: BlobDigest[];
  /** Blobs that runs name and that are not here, by what they are for; files may be elsewhere on purpose. */
  missing: Record<BlobKind, number>;
  /** Runs that name some of the missing points or objects; the first of them. */
  runs: string[];
}

/** How often blobs were found lost: peers that hear another number ask for everything that they name. */
const LOSSES_KEY = 'blobs-lost';
const RUNS_MAX = 100;
/** Each time that peers hear of losses they ask for everything again: what is found within so long is told at once. */
const TELL_MS = 1_000;

/**
 * Keeps watch over the blobs of a relay. One that a whole read finds damaged is set aside at once, so that it is missing from then
 * on, and peers are told that something was lost: whoever has it whole sends it again.
 */
export class BlobCare {
  readonly #options: BlobCareOptions;
  #losses: number;
  #closed = false;
  #checks = 0;
  #untold = false;
  #cancelTell: (() => void) | undefined;

  private constructor(options: BlobCareOptions, losses: number) {
    this.#options = options;
    this.#losses = losses;
  }

  static async open(options: BlobCareOptions): Promise<BlobCare> {
    const kept = await options.replica.getPrivate(LOSSES_KEY);
    return new BlobCare(options, kept === undefined ? 0 : Number(new TextDecoder().decode(kept)));
  }

  /** How often blobs were found lost. */
  get losses(): number {
    return this.#losses;
  }

  /** Ends a check that is under way. */
  close(): void {
    this.#closed = true;
    this.#cancelTell?.();
  }

  /** The blobs, for everybody else. */
  watched(): BlobStore {
    const { blobs } = this.#options;
    return {
      read: async (digest, range) => {
        try {
          return await blobs.read(digest, range);
        } catch (error) {
          if (!isFieldbookError(error, 'blob_corrupt')) throw error;
          // Good after all, or a disk that is full: it is said at the next reading.
          if (!(await this.#setAside(digest).catch(() => false))) return blobs.read(digest, range);
          throw new FieldbookError(
            'blob_corrupt',
            `Blob ${digest} was damaged on this relay's disk and was set aside. A machine that has it sends it again when ` +
              'it is connected. Who runs the relay should look after the disk, and find what else is damaged with "fieldbook-relay storage check".',
            { cause: error },
          );
        }
      },
      stat: (digest) => blobs.stat(digest),
      write: (bytes, expected) => blobs.write(bytes, expected),
      remove: (digest) => blobs.remove(digest),
      removal: () => blobs.removal(),
      keep: (digest) => blobs.keep(digest),
      list: (options) => blobs.list(options),
    };
  }

  /** Reads every blob, sets damaged ones aside, and looks for everything that runs name. Throws `closed` when the relay ends. */
  async check(): Promise<CheckedBlobs> {
    this.#checks += 1;
    try {
      return await this.#check();
    } finally {
      this.#checks -= 1;
      this.#tell();
    }
  }

  async #check(): Promise<CheckedBlobs> {
    const { blobs, replica } = this.#options;
    const watched = this.watched();
    const breathe = slices(clock, timers);
    const pause = async (): Promise<void> => {
      if (this.#closed) throw new FieldbookError('closed', 'The relay ends.');
      await breathe();
    };
    const found: CheckedBlobs = {
      count: 0,
      bytes: 0,
      damaged: [],
      missing: { points: 0, objects: 0, files: 0 },
      runs: [],
    };
    for await (const { digest, size } of blobs.list()) {
      await pause();
      await watched.read(digest).catch(async (error: unknown) => {
        // What the disk cannot read it holds no better than what it has changed.
        const isUnreadable = (error as { code?: unknown }).code === 'EIO' && (await this.#setAside(digest));
        if (!isUnreadable && !isFieldbookError(error, 'blob_corrupt')) throw error;
        found.damaged.push(digest);
      });
      found.count += 1;
      found.bytes += size;
    }
    for await (const named of namedByRuns(replica, watched, pause)) {
      const before = found.missing.points + found.missing.objects;
      for (const kind of BLOB_KINDS)
        for (const digest of new Set(named[kind]))
          if ((await blobs.stat(digest)) === undefined) found.missing[kind] += 1;
      if (found.missing.points + found.missing.objects > before && found.runs.length < RUNS_MAX)
        found.runs.push(named.run);
    }
    // Of what is missing a peer may believe that it is here.
    if (BLOB_KINDS.some((kind) => found.missing[kind] > 0)) await this.#lost();
    return found;
  }

  /** False when the bytes are good after all. */
  async #setAside(digest: BlobDigest): Promise<boolean> {
    const { blobs, audit, log } = this.#options;
    if (!(await blobs.setAside(digest))) return false;
    log.error('blob.damaged', { digest });
    audit.record('blob.damaged', { digest });
    await this.#lost();
    return true;
  }

  async #lost(): Promise<void> {
    this.#losses += 1;
    const value = new TextEncoder().encode(String(this.#losses));
    // On a full disk it is kept until the relay ends.
    await this.#options.replica.putPrivate([[LOSSES_KEY, value]]).catch((error: unknown) => {
      this.#options.log.warn('blob.loss_unwritten', { error: String(error) });
    });
    this.#untold = true;
    this.#tell();
  }

  #tell(): void {
    const { lost } = this.#options;
    if (!this.#untold || lost === undefined || this.#checks > 0 || this.#closed) return;
    this.#cancelTell ??= timers.after(TELL_MS, () => {
      this.#cancelTell = undefined;
      if (this.#checks > 0) return;
      this.#untold = false;
      lost();
    });
  }
}
