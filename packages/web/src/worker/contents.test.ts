import { createHash } from 'node:crypto';
import { FieldbookError } from '@fieldbook/core';
import { CHUNK_BYTES, encodeChunkList } from '@fieldbook/core/files';
import { describe, expect, it } from 'vitest';
import { MemoryBytes } from './bytes.ts';
import { Contents } from './contents.ts';
import type { Content } from './files-api.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** A server of blobs; it counts what it is asked for. */
class Blobs {
  readonly asked: string[] = [];
  readonly #blobs = new Map<string, Uint8Array<ArrayBuffer>>();
  up = true;
  /** A cache on the way that damages what passes. */
  bend = false;

  add(bytes: Uint8Array): string {
    const digest = sha256(bytes);
    this.#blobs.set(digest, Uint8Array.from(bytes));
    return digest;
  }

  drop(digest: string): void {
    this.#blobs.delete(digest);
  }

  async bytes(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const digest = /^\/blobs\/([0-9a-f]{64})\?from=anywhere$/.exec(path)![1]!;
    this.asked.push(digest);
    if (!this.up) throw new FieldbookError('peer_unreachable', 'Nobody answers.');
    const bytes = this.#blobs.get(digest)?.slice();
    if (bytes !== undefined && this.bend) bytes[0]! ^= 1;
    return bytes;
  }
}

/** A file of three chunks, the last one short. */
function stored(blobs: Blobs): { content: Content; whole: Uint8Array; chunks: string[] } {
  const whole = new Uint8Array(2 * CHUNK_BYTES + 1_000);
  for (let at = 0; at < whole.length; at += 4_099) whole[at] = at % 251;
  const chunks = [0, 1, 2].map((index) => blobs.add(whole.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES)));
  const list = blobs.add(encodeChunkList({ size: whole.length, chunks: chunks as never }));
  return { content: { digest: sha256(whole), chunks: list, size: whole.length }, whole, chunks };
}

const nameOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'it came',
    (error: unknown) => (error as FieldbookError).code,
  );

describe('contents of files', () => {
  it('[PRE-4] gives no byte of a chunk that is not what its digest says, and says so; a disk that changed one is no source', async () => {
    const blobs = new Blobs();
    const { content, whole, chunks } = stored(blobs);
    const cache = new MemoryBytes();
    blobs.bend = true;
    expect(await nameOf(new Contents(blobs, cache).read(content, 0, 10))).toBe('blob_corrupt');
    expect(await cache.keys('blob/')).toEqual([]);
    blobs.bend = false;
    expect(await new Contents(blobs, cache).read(content, 5, 25)).toEqual(whole.slice(5, 25));
    // The disk of the browser damages what it kept: it is had again, and not shown.
    const kept = (await cache.get(`blob/${chunks[0]!}`))!;
    await cache.put({ ...kept, bytes: Uint8Array.from(kept.bytes, (byte, index) => (index === 9 ? byte ^ 4 : byte)) });
    blobs.asked.length = 0;
    expect(await new Contents(blobs, cache).read(content, 5, 25)).toEqual(whole.slice(5, 25));
    expect(blobs.asked).toEqual([chunks[0]]);
    blobs.drop(chunks[1]!);
    expect(await nameOf(new Contents(blobs, cache).read(content, CHUNK_BYTES, CHUNK_BYTES + 1))).toBe('blob_missing');
  });

  it('[PRE-5] a range costs the chunks that it touches, once for all who ask, and nothing the second time or offline', async () => {
    const blobs = new Blobs();
    const { content, whole, chunks } = stored(blobs);
    const cache = new MemoryBytes();
    const contents = new Contents(blobs, cache);
    const at = 2 * CHUNK_BYTES - 3;
    const reads = await Promise.all([contents.read(content, at, at + 6), contents.read(content, at, at + 6)]);
    for (const read of reads) expect(read).toEqual(whole.slice(at, at + 6));
    expect(blobs.asked.toSorted()).toEqual([content.chunks!, chunks[1]!, chunks[2]!].toSorted());
    expect(await contents.kept([content])).toEqual([false]);
    await contents.read(content, 0, 1);
    expect(await contents.kept([content])).toEqual([true]);
    blobs.up = false;
    expect(await new Contents(blobs, cache).read(content, 0, 4)).toEqual(whole.slice(0, 4));
    // Behind the end there is nothing, and no error.
    expect(await contents.read(content, whole.length - 1, whole.length + 99)).toEqual(whole.slice(-1));
  });

  it('[PRE-5] a download passes the cache by, and comes whole in order', async () => {
    const blobs = new Blobs();
    const { content, whole } = stored(blobs);
    const cache = new MemoryBytes();
    const contents = new Contents(blobs, cache);
    const parts: Uint8Array[] = [];
    for (let from = 0; ;) {
      const part = await contents.chunk(content, from, CHUNK_BYTES, false);
      if (part === undefined) break;
      parts.push(part);
      from += part.length;
    }
    expect(sha256(Buffer.concat(parts))).toBe(content.digest);
    expect(Buffer.concat(parts).length).toBe(whole.length);
    expect(await cache.keys('blob/')).toEqual([`blob/${content.chunks}`]);
    await contents.chunk(content, 0, CHUNK_BYTES, true);
    expect((await cache.keys('blob/')).length).toBe(2);
    const empty = blobs.add(new Uint8Array(0));
    expect(await contents.chunk({ digest: empty, chunks: null, size: 0 }, 0, 10, false)).toEqual(new Uint8Array(0));
  });

  it('[PRE-5] a browser whose storage is full or broken shows everything and keeps nothing', async () => {
    const blobs = new Blobs();
    const { content, whole } = stored(blobs);
    const full = new MemoryBytes();
    full.put = async () => Promise.reject(new DOMException('no room', 'QuotaExceededError'));
    full.get = async () => Promise.reject(new DOMException('broken', 'UnknownError'));
    const contents = new Contents(blobs, full);
    expect(await contents.read(content, 100, 200)).toEqual(whole.slice(100, 200));
    expect(await contents.kept([content])).toEqual([false]);
  });
});
