import { isFieldbookError } from '../errors.ts';
import type { BlobDigest, BlobStore, Clock } from '../ports.ts';
import type { FileEntry } from '../record/index.ts';
import { blobsOf } from './content.ts';

/** Where the bytes of a version are, as seen from one replica. */
export type FileState = 'here' | 'elsewhere' | 'pending' | 'named' | 'removed';

/** A list of a 100 GB file names 12,800 chunks: looking for each of them takes a third of a second, so what was found holds for a while. */
const KEEP_MS = 30_000;
const KEPT_MAX = 10_000;

/** Knows which stored files are whole in a blob store. */
export class FilePresence {
  readonly #blobs: Pick<BlobStore, 'read' | 'stat'>;
  readonly #clock: Clock;
  readonly #whole = new Map<BlobDigest, number>();

  constructor(blobs: Pick<BlobStore, 'read' | 'stat'>, clock: Clock) {
    this.#blobs = blobs;
    this.#clock = clock;
  }

  /** True when every blob of the file is here; nothing is fetched and nothing verified. */
  async has(file: Pick<FileEntry, 'digest' | 'chunks' | 'size'>): Promise<boolean> {
    const { digest, chunks, size } = file;
    if (digest === null) return false;
    if (chunks === null) return (await this.#blobs.stat(digest)) !== undefined;
    const found = this.#whole.get(chunks);
    if (found !== undefined && this.#clock.now() - found < KEEP_MS) return true;
    this.#whole.delete(chunks);
    // A damaged list is none: the file can be had elsewhere.
    const needed = await blobsOf(this.#blobs, { digest, chunks, size }).catch((error: unknown) => {
      if (isFieldbookError(error, 'blob_corrupt')) return undefined;
      throw error;
    });
    if (needed === undefined) return false;
    for (const blob of needed) if ((await this.#blobs.stat(blob)) === undefined) return false;
    if (this.#whole.size >= KEPT_MAX) this.#whole.clear();
    this.#whole.set(chunks, this.#clock.now());
    return true;
  }

  /** Forgets what was found: blobs were removed. */
  forget(): void {
    this.#whole.clear();
  }

  async state(entry: FileEntry, removed: boolean): Promise<FileState> {
    if (removed) return 'removed';
    if (entry.digest !== null) return (await this.has(entry)) ? 'here' : 'elsewhere';
    return entry.spool !== null ? 'pending' : 'named';
  }
}
