import type { BlobDigest, DocumentName } from '@fieldbook/core';
import { FieldbookError } from '@fieldbook/core';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Http } from './http.ts';
import type { BytesCache } from './bytes.ts';
import type { Keep } from './keep.ts';
import type { Shelf } from './shelf.ts';
import { Unsent } from './unsent.ts';
import { shareTabs } from './testing/tabs.ts';

const book = 'book/digits/2026-11' as DocumentName;

/** What a document's connection does, as far as it matters here: a new one is in sync when the test says so. */
class Provider {
  synced = true;
  connects = 0;
  readonly #listeners = new Map<string, Set<(...given: unknown[]) => void>>();
  on(name: string, listener: (...given: unknown[]) => void): void {
    this.#listeners.set(name, (this.#listeners.get(name) ?? new Set()).add(listener));
  }
  off(name: string, listener: (...given: unknown[]) => void): void {
    this.#listeners.get(name)?.delete(listener);
  }
  emit(name: string, ...given: unknown[]): void {
    for (const listener of this.#listeners.get(name) ?? []) listener(...given);
  }
  disconnect(): void {
    this.emit('connection-close', null);
    this.synced = false;
    this.emit('sync', false);
  }
  connect(): void {
    this.connects += 1;
  }
}

/** Two tabs of one browser: one kept list, a connection each, locks that are given in order. */
async function tabs(http = {} as Http, bytes = {} as BytesCache) {
  const kept = new Map<string, unknown>();
  const keep = {
    get: async (key: string) => kept.get(key),
    update: async (key: string, change: (before: unknown) => unknown) => void kept.set(key, change(kept.get(key))),
  } as unknown as Keep;
  const tab = async () => {
    const provider = new Provider();
    const unsent = await Unsent.open({
      keep,
      shelf: () => ({ take: () => ({ provider }), release: () => undefined }) as unknown as Shelf,
      http,
      bytes,
      online: () => true,
      onChange: () => undefined,
    });
    return { unsent, provider };
  };
  return {
    one: await tab(),
    other: await tab(),
    waiting: () => (kept.get('unsent-bundles') as { documents: string[] }).documents,
    files: () => (kept.get('unsent-bundles') as { blobs: string[] }).blobs,
  };
}

describe('what a bundle brought and no server has', () => {
  beforeEach(shareTabs);
  afterEach(() => vi.unstubAllGlobals());

  it('[PWA-4] is counted as sent in another tab only once a connection has begun that carries all of it', async () => {
    const { one, other, waiting } = await tabs();
    other.unsent.connected(book);
    await one.unsent.changing(book);
    await vi.waitFor(() => expect(other.unsent.documents).toBe(1));
    expect(waiting()).toEqual([book]);
    // An edit of this tab's own leaves on the connection that was there before: it says nothing of the bundle.
    other.unsent.sent(book, 1);
    other.unsent.ackedFrames(book, 1);
    expect(other.unsent.documents).toBe(1);

    // The first tab is closed before it has sent anything; the other one begins anew, as nothing of it is in a frame.
    other.unsent.send();
    await vi.waitFor(() => expect(other.provider.connects).toBe(1));
    other.unsent.connected(book);
    other.unsent.sent(book, 1);
    other.provider.synced = true;
    other.provider.emit('sync', true);
    other.unsent.ackedFrames(book, 1);
    expect(other.unsent.documents).toBe(0);
    expect(other.provider.connects).toBe(1);
    await vi.waitFor(() => expect(waiting()).toEqual([]));
  });

  it('[PWA-4] waits in every tab until one has sent it, and a tab that is still taking it in keeps it', async () => {
    const { one, other, waiting } = await tabs();
    await one.unsent.changing(book);
    await vi.waitFor(() => expect(other.unsent.documents).toBe(1));
    other.unsent.connected(book);
    other.unsent.sent(book, 1);
    other.unsent.ackedFrames(book, 1);
    expect(other.unsent.documents).toBe(0);
    // More of the bundle may come into it.
    await vi.waitFor(() => expect(waiting()).toEqual([book]));
    expect(one.unsent.documents).toBe(1);

    one.unsent.connected(book);
    one.unsent.ready();
    one.unsent.sent(book, 1);
    await vi.waitFor(() => expect(other.unsent.documents).toBe(0));
    one.unsent.ackedFrames(book, 1);
    expect(one.unsent.documents).toBe(0);
    await vi.waitFor(() => expect(waiting()).toEqual([]));
  });

  it('[PWA-5] a file that the server refuses holds no other back, and is tried again; with no server left none is tried', async () => {
    const [bad, good, last] = ['a', 'b', 'c'].map((each) => each.repeat(64) as BlobDigest) as [
      BlobDigest,
      BlobDigest,
      BlobDigest,
    ];
    let answer = new FieldbookError('too_large', 'It is larger than this server takes.');
    const tried: BlobDigest[] = [];
    const putBlob = async (digest: BlobDigest): Promise<void> => {
      tried.push(digest);
      if (digest === bad) throw answer;
    };
    const bytes = { get: async () => ({ bytes: new Uint8Array(1) }), put: async () => undefined };
    const { one, files } = await tabs({ putBlob } as unknown as Http, bytes as unknown as BytesCache);
    for (const digest of [bad, good]) await one.unsent.addBlob(digest);
    one.unsent.send();
    await vi.waitFor(() => expect(files()).toEqual([bad]));
    expect(tried).toEqual([bad, good]);
    await vi.waitFor(() => expect(one.unsent.problem).toBe(answer.message));

    answer = new FieldbookError('peer_unreachable', 'Nobody answers.');
    await one.unsent.addBlob(last);
    one.unsent.send();
    await vi.waitFor(() => expect(one.unsent.problem).toBe(answer.message));
    expect(tried).toEqual([bad, good, bad]);
    expect(files()).toEqual([bad, last]);
  });
});
