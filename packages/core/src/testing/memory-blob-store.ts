import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { FieldbookError } from '../errors.ts';
import type { BlobDigest, BlobStat, BlobStore } from '../ports.ts';

/** Blobs in memory, for tests; passes the same contract as the one on disk. */
export class MemoryBlobStore implements BlobStore {
  readonly #blobs = new Map<BlobDigest, Uint8Array>();

  stat(digest: BlobDigest): Promise<BlobStat | undefined> {
    const bytes = this.#blobs.get(digest);
    return Promise.resolve(bytes === undefined ? undefined : { digest, size: bytes.length });
  }

  read(digest: BlobDigest, range?: { start: number; end: number }): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#blobs.get(digest)?.slice(range?.start, range?.end));
  }

  write(bytes: Uint8Array, expected?: BlobDigest): Promise<BlobDigest> {
    const digest = bytesToHex(sha256(bytes)) as BlobDigest;
    if (expected !== undefined && expected !== digest) {
      return Promise.reject(new FieldbookError('blob_corrupt', `The bytes for blob ${expected} have another digest.`));
    }
    this.#blobs.set(digest, bytes.slice());
    return Promise.resolve(digest);
  }

  remove(digest: BlobDigest): Promise<void> {
    this.#blobs.delete(digest);
    return Promise.resolve();
  }

  async *list({ after = '' }: { after?: string } = {}): AsyncGenerator<BlobStat> {
    for (const digest of [...this.#blobs.keys()].sort()) {
      const size = this.#blobs.get(digest)?.length;
      if (digest > after && size !== undefined) yield { digest, size };
    }
  }
}
