import { FieldbookError } from '@fieldbook/core';
import type { BlobDigest, BlobStore } from '@fieldbook/core';
import type { OpenFile } from '@fieldbook/core/files';
import { openFile } from '@fieldbook/core/files';
import type { BytesCache } from './bytes.ts';
import type { Content } from './files-api.ts';
import type { Http } from './http.ts';
import { joinBytes } from './joined.ts';

/** What this browser keeps of blobs, together with those of charts. */
const KEPT_BYTES = 512 * 1024 * 1024;
/** After so many new bytes the oldest are let go. */
const TRIM_BYTES = 64 * 1024 * 1024;
/** Five chunks: those that a table is scrolled through. */
const RECENT_BYTES = 40 * 1024 * 1024;
/** More in one answer to the page would be copied for nobody: it reads in pieces. */
const READ_BYTES = 64 * 1024 * 1024;

/**
 * Contents of files and objects: whole blobs, each verified against the digest that names it before any byte of it is shown, and
 * kept in the browser while there is room. A range of a large file costs the chunks that it touches.
 */
export class Contents {
  readonly #http: Pick<Http, 'bytes'>;
  readonly #cache: BytesCache;
  readonly #recent = new Map<string, Uint8Array>();
  readonly #underway = new Map<string, Promise<Uint8Array | undefined>>();
  readonly #open = new Map<string, Promise<OpenFile>>();
  #recentBytes = 0;
  #sinceTrim = 0;

  constructor(http: Pick<Http, 'bytes'>, cache: BytesCache) {
    this.#http = http;
    this.#cache = cache;
  }

  /** For readers of core: whole blobs are fetched, whatever the range. */
  readonly blobs: Pick<BlobStore, 'read'> = {
    read: async (digest, range) => {
      const bytes = await this.#read(digest, true);
      return range === undefined ? bytes : bytes?.subarray(range.start, range.end);
    },
  };

  /** Bytes `[start, end)`, fewer where the content ends. Throws `blob_missing`, `blob_corrupt`, `peer_unreachable`, `too_large`. */
  async read(content: Content, start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    const file = await this.#opened(content);
    const from = Math.min(start, file.size);
    const to = Math.min(Math.max(end, from), file.size);
    if (to - from > READ_BYTES)
      throw new FieldbookError('too_large', `At most ${READ_BYTES} bytes are read at once, not ${to - from}.`);
    const joined = new Uint8Array(to - from);
    let at = 0;
    for await (const part of file.read({ start: from, end: to })) {
      joined.set(part, at);
      at += part.length;
    }
    return joined;
  }

  /** A piece of a whole that somebody wants; `keep` it as what is shown, or not as what is only saved. Undefined behind the end. */
  async chunk(
    content: Content,
    start: number,
    size: number,
    keep: boolean,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const file = await openFile(
      { read: async (digest) => this.#read(digest, keep || digest === content.chunks) },
      fileOf(content),
    );
    if (start >= file.size && !(start === 0 && file.size === 0)) return undefined;
    const parts: Uint8Array[] = [];
    for await (const part of file.read({ start, end: Math.min(file.size, start + size) })) parts.push(part);
    return parts.length === 1 ? Uint8Array.from(parts[0]!) : joinBytes(parts);
  }

  async sizeOf(content: Content): Promise<number> {
    return content.size ?? (await this.#opened(content)).size;
  }

  /** Which of these this browser can show with nobody's help. */
  async kept(contents: readonly Content[]): Promise<boolean[]> {
    const keys = new Set(await this.#cache.keys('blob/').catch(() => []));
    const has = (digest: string): boolean => keys.has(`blob/${digest}`);
    return Promise.all(
      contents.map(async (content) => {
        if (content.chunks === null) return has(content.digest);
        if (!has(content.chunks)) return false;
        const list = (await this.#cache.get(`blob/${content.chunks}`).catch(() => undefined))?.bytes;
        if (list === undefined) return false;
        const { decodeChunkList } = await import('@fieldbook/core/files');
        return decodeChunkList(list).chunks.every(has);
      }),
    );
  }

  /** A file's list is read once; what failed is tried again at the next question. */
  #opened(content: Content): Promise<OpenFile> {
    const there = this.#open.get(content.digest);
    if (there !== undefined) return there;
    const opening = openFile(this.blobs, fileOf(content));
    this.#open.set(content.digest, opening);
    opening.catch(() => this.#open.delete(content.digest));
    if (this.#open.size > 256) this.#open.delete(this.#open.keys().next().value!);
    return opening;
  }

  /** One fetch at a time for each blob, shared by all who ask for it meanwhile. */
  async #read(digest: BlobDigest, keep: boolean): Promise<Uint8Array | undefined> {
    const key = `blob/${digest}`;
    const recent = this.#recent.get(key);
    if (recent !== undefined) {
      this.#recent.delete(key);
      this.#recent.set(key, recent);
      return recent;
    }
    const there = this.#underway.get(key);
    if (there !== undefined) return there;
    const reading = this.#fetch(digest, key, keep).finally(() => this.#underway.delete(key));
    this.#underway.set(key, reading);
    return reading;
  }

  async #fetch(digest: BlobDigest, key: string, keep: boolean): Promise<Uint8Array | undefined> {
    const kept = await this.#cache.get(key).catch(() => undefined);
    if (kept !== undefined && (await isNamed(kept.bytes, digest))) {
      this.#remember(key, kept.bytes);
      return kept.bytes;
    }
    // What a disk has changed is no use; it may be had again.
    if (kept !== undefined) await this.#cache.remove(key).catch(() => undefined);
    const bytes = await this.#http.bytes(`/blobs/${digest}?from=anywhere`);
    if (bytes === undefined) return undefined;
    if (!(await isNamed(bytes, digest)))
      throw new FieldbookError(
        'blob_corrupt',
        `What came for the blob ${digest} are other bytes than its own. Nothing of them is shown; run "fieldbook doctor --repair" where they lie.`,
        { details: { digest } },
      );
    if (!keep) return bytes;
    this.#remember(key, bytes);
    // Nothing is lost when it cannot be kept: what came is shown.
    await this.#cache.put({ key, bytes, used: Date.now(), size: bytes.length, note: null }).catch(() => undefined);
    this.#sinceTrim += bytes.length;
    if (this.#sinceTrim >= TRIM_BYTES) {
      this.#sinceTrim = 0;
      void this.#cache.trim(KEPT_BYTES).catch(() => undefined);
    }
    return bytes;
  }

  #remember(key: string, bytes: Uint8Array): void {
    this.#recent.set(key, bytes);
    this.#recentBytes += bytes.length;
    for (const [oldest, { length }] of this.#recent) {
      if (this.#recentBytes <= RECENT_BYTES) return;
      this.#recent.delete(oldest);
      this.#recentBytes -= length;
    }
  }
}

function fileOf({ digest, chunks, size }: Content): {
  digest: BlobDigest;
  chunks: BlobDigest | null;
  size: number | null;
} {
  return { digest: digest as BlobDigest, chunks: chunks as BlobDigest | null, size };
}

/** A page served without TLS from elsewhere has no `crypto.subtle`, and bytes are still not taken on trust. */
async function isNamed(bytes: Uint8Array<ArrayBuffer>, digest: string): Promise<boolean> {
  const hash =
    globalThis.crypto?.subtle === undefined
      ? (await import('./digest.ts')).sha256(bytes)
      : new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('') === digest;
}
