import { FieldbookError } from '@fieldbook/core';
import type { BlobDigest, BlobStore } from '@fieldbook/core';
import type { Entry } from '@fieldbook/core/record';
import type { BytesCache, KeptBytes } from './bytes.ts';
import type { Http } from './http.ts';

/** What is asked for and kept of a large blob: a few row groups of one metric. */
const BLOCK = 256 * 1024;
/** A blob up to this size comes whole, once: its other metrics are on the same screen. */
const WHOLE = 1024 * 1024;
/** What this browser keeps of blobs. A few hundred series of a million points, or all segments of thousands of runs. */
const KEPT_BYTES = 512 * 1024 * 1024;
/** Kept in memory: the charts of one run read the same blob, each for its metric. */
const RECENT_BYTES = 32 * 1024 * 1024;
const TRIM_EVERY = 64;
/** Marking a block as used rewrites it; not more often than this. */
const TOUCH_MS = 3_600_000;

/**
 * Blobs over HTTP, a range at a time, kept in the browser for as long as there is room: a blob is named by its content, so
 * nothing kept can become wrong. What a server answered 404 to is asked again next time.
 */
export class WebBlobs implements Pick<BlobStore, 'read'> {
  readonly #http: Pick<Http, 'bytes'>;
  readonly #cache: BytesCache;
  readonly #sizes = new Map<string, number>();
  readonly #underway = new Map<string, Promise<Uint8Array | undefined>>();
  readonly #recent = new Map<string, Uint8Array>();
  #recentBytes = 0;
  #puts = 0;

  constructor(http: Pick<Http, 'bytes'>, cache: BytesCache) {
    this.#http = http;
    this.#cache = cache;
  }

  /** Learns how large the blobs of a manifest are. */
  know(entries: Iterable<Entry>): void {
    for (const entry of entries) {
      if (entry.kind !== 'segment') continue;
      this.#sizes.set(entry.digest, entry.size);
      for (const { digest, size } of entry.levels) this.#sizes.set(digest, size);
    }
  }

  /** Resolves undefined when the server does not have it. Throws `peer_unreachable`, `blob_corrupt`, and what the server says. */
  async read(digest: BlobDigest, range?: { start: number; end: number }): Promise<Uint8Array | undefined> {
    const size = this.#sizes.get(digest);
    if (range === undefined || (size !== undefined && size <= WHOLE)) {
      const bytes = await this.#once(`blob/${digest}`, () => this.#whole(digest));
      return range === undefined ? bytes : bytes?.subarray(range.start, range.end);
    }
    const first = Math.floor(range.start / BLOCK);
    const last = Math.max(first, Math.ceil(range.end / BLOCK) - 1);
    const keys = Array.from({ length: last - first + 1 }, (_, index) => `blob/${digest}/${first + index}`);
    const held = await Promise.all(keys.map((key) => this.#kept(key)));
    if (held.includes(undefined)) {
      // A bundle brings blobs whole.
      const whole = await this.#kept(`blob/${digest}`);
      if (whole !== undefined) return whole.subarray(range.start, range.end);
    }
    const wanted = keys.map((key, index) => held[index] ?? this.#underway.get(key));
    // Neighbours that are absent come in one answer; nothing waits here, so nobody else asks for them meanwhile.
    for (let from = 0; from < keys.length; from++) {
      if (wanted[from] !== undefined) continue;
      let to = from + 1;
      while (to < keys.length && wanted[to] === undefined) to += 1;
      const blocks = this.#blocks(digest, first + from, first + to);
      for (const [at, key] of keys.slice(from, to).entries())
        wanted[from + at] = this.#once(key, async () => (await blocks)?.[at]);
      from = to - 1;
    }
    const blocks = await Promise.all(wanted.map(async (block) => block));
    const joined = new Uint8Array(blocks.reduce((sum, block) => sum + (block?.length ?? 0), 0));
    let at = 0;
    for (const block of blocks) {
      if (block === undefined) return undefined;
      joined.set(block, at);
      at += block.length;
    }
    return joined.subarray(range.start - first * BLOCK, range.end - first * BLOCK);
  }

  /** Lets go of a blob whose bytes, as they came, cannot be read: the next read asks for them again. */
  async forget(digest: BlobDigest): Promise<void> {
    const key = `blob/${digest}`;
    for (const [each, { length }] of this.#recent) {
      if (each !== key && !each.startsWith(`${key}/`)) continue;
      this.#recent.delete(each);
      this.#recentBytes -= length;
    }
    await this.#cache.remove(key).catch(() => undefined);
  }

  async #whole(digest: BlobDigest): Promise<Uint8Array | undefined> {
    const key = `blob/${digest}`;
    const kept = await this.#kept(key);
    if (kept !== undefined) return kept;
    const bytes = await this.#http.bytes(`/blobs/${digest}`);
    if (bytes === undefined) return undefined;
    if (!(await isNamed(bytes, digest)))
      throw new FieldbookError('blob_corrupt', `The server sent other bytes than those of the blob ${digest}.`);
    this.#keep(key, bytes);
    return bytes;
  }

  async #blocks(digest: BlobDigest, first: number, end: number): Promise<Uint8Array[] | undefined> {
    const start = first * BLOCK;
    const bytes = await this.#http.bytes(`/blobs/${digest}`, { start, end: end * BLOCK });
    if (bytes === undefined) return undefined;
    return Array.from({ length: end - first }, (_, index) => {
      // A copy: what is kept of a view is all that lies under it.
      const block = bytes.slice(index * BLOCK, (index + 1) * BLOCK);
      this.#keep(`blob/${digest}/${first + index}`, block);
      return block;
    });
  }

  /** One read at a time for each piece, shared by all who ask for it meanwhile. */
  #once(key: string, work: () => Promise<Uint8Array | undefined>): Promise<Uint8Array | undefined> {
    const there = this.#underway.get(key);
    if (there !== undefined) return there;
    const promise = work().finally(() => this.#underway.delete(key));
    this.#underway.set(key, promise);
    return promise;
  }

  async #kept(key: string): Promise<Uint8Array | undefined> {
    const recent = this.#recent.get(key);
    if (recent !== undefined) return recent;
    const kept = await this.#cache.get(key).catch(() => undefined);
    if (kept === undefined) return undefined;
    if (Date.now() - kept.used > TOUCH_MS) void this.#cache.put({ ...kept, used: Date.now() }).catch(() => undefined);
    this.#remember(key, kept.bytes);
    return kept.bytes;
  }

  #keep(key: string, bytes: Uint8Array): void {
    this.#remember(key, bytes);
    const kept: KeptBytes = {
      key,
      bytes: bytes as KeptBytes['bytes'],
      used: Date.now(),
      size: bytes.length,
      note: null,
    };
    // Nothing is lost when it cannot be kept: the chart is drawn from what came.
    void this.#cache.put(kept).catch(() => undefined);
    this.#puts += 1;
    if (this.#puts % TRIM_EVERY === 0) void this.#cache.trim(KEPT_BYTES).catch(() => undefined);
  }

  #remember(key: string, bytes: Uint8Array): void {
    if (this.#recent.has(key)) return;
    this.#recent.set(key, bytes);
    this.#recentBytes += bytes.length;
    for (const [oldest, { length }] of this.#recent) {
      if (this.#recentBytes <= RECENT_BYTES) return;
      this.#recent.delete(oldest);
      this.#recentBytes -= length;
    }
  }
}

/** Whether bytes have the digest that names them. True where a page served without TLS from elsewhere may not compute one. */
async function isNamed(bytes: Uint8Array, digest: BlobDigest): Promise<boolean> {
  if (globalThis.crypto?.subtle === undefined) return true;
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('') === digest;
}
