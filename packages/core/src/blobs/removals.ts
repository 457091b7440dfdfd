import type { BlobDigest, BlobRemoval } from '../ports.ts';

/**
 * Lets blobs be removed while others are being named. Who removes looks at what is named and then removes, which takes a while; who
 * stores finds a blob there already and names it a moment later. Neither sees the other's half, so each says what it is about here.
 */
export class Removals {
  /** Of each removal under way the blobs that somebody needed since it began. */
  readonly #open = new Set<Set<BlobDigest>>();
  readonly #going = new Map<BlobDigest, Promise<void>>();

  /** From now on no removal under way takes the blob. One that is at it has done so when this resolves. */
  async keep(digest: BlobDigest): Promise<void> {
    for (const kept of this.#open) kept.add(digest);
    await this.#going.get(digest);
  }

  /** Begins a removal by `remove`; see `BlobStore.removal`. */
  begin(remove: (digest: BlobDigest) => Promise<void>): BlobRemoval {
    const kept = new Set<BlobDigest>();
    this.#open.add(kept);
    return {
      remove: async (digest) => {
        if (kept.has(digest)) return false;
        let going = this.#going.get(digest);
        if (going === undefined) {
          going = remove(digest).finally(() => this.#going.delete(digest));
          this.#going.set(digest, going);
        }
        await going;
        return true;
      },
      end: () => void this.#open.delete(kept),
    };
  }
}
