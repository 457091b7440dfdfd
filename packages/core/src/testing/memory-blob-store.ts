import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { FieldbookError } from '../errors.ts';
import { Removals } from '../blobs/removals.ts';
import type { BlobDigest, BlobRemoval, BlobStat, BlobStore } from '../ports.ts';

/** Blobs in memory, for tests; passes the same contract as the one on disk. */
export class MemoryBlobStore implements BlobStore {
  readonly #blobs = new Map<BlobDigest, Uint8Array>();
  readonly #removals = new Removals();

  stat(digest: BlobDigest): Promise<BlobStat | undefined> {
    const bytes = this.#blobs.get(digest);
    return Promise.resolve(bytes === undefined ? undefined : { digest, size: bytes.length });
  }

  read(digest: BlobDigest, range?: { start: number; end: number }): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#blobs.get(digest)?.slice(range?.start, range?.end));
  }

  async write(bytes: Uint8Array, expected?: BlobDigest): Promise<BlobDigest> {
    const digest = bytesToHex(sha256(bytes)) as BlobDigest;
    if (expected !== undefined && expected !== digest) {
      throw new FieldbookError('blob_corrupt', `The bytes for blob ${expected} have another digest.`);
    }
    await this.#removals.keep(digest);
    this.#blobs.set(digest, bytes.slice());
    return digest;
  }

  remove(digest: BlobDigest): Promise<void> {
    this.#blobs.delete(digest);
    return Promise.resolve();
  }

  removal(): BlobRemoval {
    return this.#removals.begin((digest) => this.remove(digest));
  }

  async keep(digest: BlobDigest): Promise<boolean> {
    await this.#removals.keep(digest);
    return this.#blobs.has(digest);
  }

  async *list({ after = '' }: { after?: string } = {}): AsyncGenerator<BlobStat> {
    for (const digest of [...this.#blobs.keys()].sort()) {
      const size = this.#blobs.get(digest)?.length;
      if (digest > after && size !== undefined) yield { digest, size };
    }
  }
}
