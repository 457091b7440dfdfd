import type { BlobDigest, BlobStore } from '../ports.ts';

/** Blobs looked at together: some 20 MB. More are looked at in as many rounds, each of which reads all run documents. */
export const TABLE_MAX = 2 ** 20;

const SHARED = -1;

/**
 * The blobs of a store, or a part of them in the order of digests, in 21 bytes each: what names them is found by the first 64 bits of
 * the digest. Two that begin alike count as named when one of them is.
 */
export class BlobTable {
  /** First 32 bits, the 32 behind. */
  #high = new Uint32Array(1024);
  #low = new Uint32Array(1024);
  #sizes = new Float64Array(1024);
  /** Who named it first; `SHARED` for more than one. */
  #owners = new Int32Array(1024);
  #noted = new Uint8Array(1024);
  #length = 0;
  #bytes = 0;
  readonly shared = { count: 0, bytes: 0 };
  /** The last digest in it. */
  last = '';

  /** At most `max` blobs behind `after`. */
  static async fill(
    blobs: Pick<BlobStore, 'list'>,
    after: string,
    pause: () => Promise<void>,
    max = TABLE_MAX,
  ): Promise<BlobTable> {
    const table = new BlobTable();
    for await (const { digest, size } of blobs.list({ after })) {
      table.#push(digest, size);
      if (table.#length >= max) break;
      if (table.#length % 256 === 0) await pause();
    }
    return table;
  }

  get count(): number {
    return this.#length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** `owner` (from 1 on) names the blob: its bytes when it is here and nobody has named it before, else null. */
  take(digest: BlobDigest, owner: number): number | null {
    const [first, end] = this.#find(digest);
    let size: number | null = null;
    for (let at = first; at < end; at++) {
      const before = this.#owners[at]!;
      if (before === 0) {
        this.#owners[at] = owner;
        size = (size ?? 0) + this.#sizes[at]!;
      } else if (before !== owner && before !== SHARED) {
        this.#owners[at] = SHARED;
        this.shared.count += 1;
        this.shared.bytes += this.#sizes[at]!;
      }
    }
    return size;
  }

  /** Somebody has written down that the blob is to go. */
  note(digest: BlobDigest): void {
    const [first, end] = this.#find(digest);
    for (let at = first; at < end; at++) this.#noted[at] = 1;
  }

  /** Whether somebody has named a blob of the table. */
  isTaken(digest: BlobDigest): boolean {
    const [first, end] = this.#find(digest);
    for (let at = first; at < end; at++) if (this.#owners[at] !== 0) return true;
    return false;
  }

  /** Whether it is of this table at all. */
  has(digest: BlobDigest): boolean {
    const [first, end] = this.#find(digest);
    return end > first;
  }

  /** What nobody has named, and what of it is noted. */
  unnamed(): { count: number; bytes: number; noted: { count: number; bytes: number } } {
    const found = { count: 0, bytes: 0, noted: { count: 0, bytes: 0 } };
    for (let at = 0; at < this.#length; at++) {
      if (this.#owners[at] !== 0) continue;
      for (const sum of this.#noted[at] === 1 ? [found, found.noted] : [found]) {
        sum.count += 1;
        sum.bytes += this.#sizes[at]!;
      }
    }
    return found;
  }

  #push(digest: BlobDigest, size: number): void {
    if (this.#length === this.#high.length) this.#grow();
    const at = this.#length++;
    [this.#high[at], this.#low[at]] = headOf(digest);
    this.#sizes[at] = size;
    this.#bytes += size;
    this.last = digest;
  }

  #grow(): void {
    const capacity = this.#high.length * 2;
    const grown = <T extends { set(from: T): void }>(to: T, from: T): T => {
      to.set(from);
      return to;
    };
    this.#high = grown(new Uint32Array(capacity), this.#high);
    this.#low = grown(new Uint32Array(capacity), this.#low);
    this.#sizes = grown(new Float64Array(capacity), this.#sizes);
    this.#owners = grown(new Int32Array(capacity), this.#owners);
    this.#noted = grown(new Uint8Array(capacity), this.#noted);
  }

  /** Where blobs lie that begin like this one: from, and up to. */
  #find(digest: BlobDigest): [number, number] {
    const [high, low] = headOf(digest);
    let from = 0;
    let to = this.#length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const [there, behind] = [this.#high[middle]!, this.#low[middle]!];
      if (there < high || (there === high && behind < low)) from = middle + 1;
      else to = middle;
    }
    let end = from;
    while (end < this.#length && this.#high[end] === high && this.#low[end] === low) end += 1;
    return [from, end];
  }
}

function headOf(digest: BlobDigest): [number, number] {
  return [Number.parseInt(digest.slice(0, 8), 16), Number.parseInt(digest.slice(8, 16), 16)];
}
