import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import type { Access, Api } from '@fieldbook/core/api';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { readRequest } from './binding.ts';

/** A streamed body that the test sends piece by piece. */
async function sending(): Promise<{ body: PassThrough; read: AsyncIterator<Uint8Array> }> {
  const body = Object.assign(new PassThrough(), { method: 'POST', url: '/api/v1/bundle', headers: {} });
  const api = { bodyLimit: () => 1_000_000_000, streams: () => true } as unknown as Api;
  const { stream } = await readRequest(body as unknown as IncomingMessage, api, {} as Access);
  return { body, read: stream![Symbol.asyncIterator]() };
}

const SECOND = 1_000;

describe('a streamed body', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('[API-32] may take hours at a pace, and minutes of our own work between its pieces', async () => {
    const { body, read } = await sending();
    for (let piece = 0; piece < 200; piece++) {
      const next = read.next();
      await vi.advanceTimersByTimeAsync(50 * SECOND);
      body.write(new Uint8Array(40_000));
      expect((await next).value).toHaveLength(40_000);
      // Taking it in.
      await vi.advanceTimersByTimeAsync(120 * SECOND);
    }
    const end = read.next();
    body.end();
    expect((await end).done).toBe(true);
  });

  it('[API-32] is cut when it comes a byte at a time', async () => {
    const { body, read } = await sending();
    const reading = (async () => {
      for (;;) {
        const { done } = await read.next();
        if (done === true) return 'all of it';
      }
    })().catch((error: unknown) => error);
    for (let second = 0; second < 65; second += 5) {
      body.write('x');
      await vi.advanceTimersByTimeAsync(5 * SECOND);
    }
    expect(body.destroyed).toBe(true);
    expect(await reading).toMatchObject({ code: 'closed' });
  });

  it('[API-32] is cut when nothing comes', async () => {
    const { body, read } = await sending();
    const reading = read.next().catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(61 * SECOND);
    expect(body.destroyed).toBe(true);
    expect(await reading).toMatchObject({ code: 'closed' });
  });
});
