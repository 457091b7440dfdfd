import type { DeviceId } from '@fieldbook/core';
import { hlcMs } from '@fieldbook/core';
import { Book } from '@fieldbook/core/documents';
import { decodeCard, decodeEdit, parseCardKey } from '@fieldbook/core/record';
import type * as Y from 'yjs';
import type { Http } from './http.ts';
import type { LastWritten, OnlyHere, PeerState, SyncState } from './sync-api.ts';

const AGAIN_MS = 2_000;
/** Decoding 100,000 cards takes a second: others get their turn in between. */
const SLICE_MS = 12;

/** What the server says of the exchange with others, and what the records here say of who wrote last. */
export class SyncReader {
  readonly #http: Http;
  readonly #books: () => AsyncIterable<Y.Doc>;
  #following: AbortController | null = null;

  constructor(http: Http, books: () => AsyncIterable<Y.Doc>) {
    this.#http = http;
    this.#books = books;
  }

  follow(listener: (state: SyncState | null) => void): void {
    this.stop();
    const following = new AbortController();
    this.#following = following;
    void this.#read(following.signal, listener);
  }

  stop(): void {
    this.#following?.abort();
    this.#following = null;
  }

  onlyHere(): Promise<OnlyHere> {
    return this.#http.json('/sync/only-here', { timeoutMs: 60_000 });
  }

  join(url: string, token: string | null): Promise<PeerState> {
    return this.#http.json('/join', { method: 'POST', body: { url, token }, timeoutMs: 60_000 });
  }

  async leave(url: string): Promise<void> {
    await this.#http.json('/leave', { method: 'POST', body: { url } });
  }

  async pause(url: string, paused: boolean): Promise<void> {
    await this.#http.json('/sync/pause', { method: 'POST', body: { url, paused } });
  }

  async limit(url: string, bytesPerS: number | null): Promise<void> {
    await this.#http.json('/sync/limit', { method: 'POST', body: { url, bytesPerS } });
  }

  async retry(): Promise<void> {
    await this.#http.json('/sync/retry', { method: 'POST', body: {} });
  }

  async lastWritten(): Promise<LastWritten[]> {
    const found = new Map<DeviceId, LastWritten>();
    const note = (device: DeviceId, at: number, runs: number): void => {
      const before = found.get(device) ?? { device, at: 0, runs: 0 };
      found.set(device, { device, at: Math.max(before.at, at), runs: before.runs + runs });
    };
    let sliceEnd = performance.now() + SLICE_MS;
    const rest = async (): Promise<void> => {
      if (performance.now() < sliceEnd) return;
      await new Promise((resolve) => setTimeout(resolve));
      sliceEnd = performance.now() + SLICE_MS;
    };
    for await (const doc of this.#books()) {
      const book = new Book(doc);
      for (const [key, bytes] of book.cards()) {
        const device = parseCardKey(key)?.device;
        if (device !== undefined) note(device, tryRead(() => decodeCard(bytes)?.updated) ?? 0, 1);
        await rest();
      }
      for (const [, bytes] of book.edits()) {
        const edit = tryRead(() => decodeEdit(bytes));
        if (edit !== undefined) note(edit.device, hlcMs(edit.at), 0);
        await rest();
      }
    }
    return [...found.values()];
  }

  /** Server-sent events over `fetch`, whose headers can carry a token; begun again when they end. */
  async #read(signal: AbortSignal, listener: (state: SyncState | null) => void): Promise<void> {
    while (!signal.aborted) {
      try {
        for await (const { event, data } of this.#http.events('/events', signal))
          if (event === 'sync') listener(JSON.parse(data) as SyncState);
      } catch {
        // Nobody answers: that is the state.
      }
      if (signal.aborted) return;
      listener(null);
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

/** Records of newer or broken programs say nothing here. */
function tryRead<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
