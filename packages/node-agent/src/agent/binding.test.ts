import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { connect } from 'node:net';
import { PassThrough } from 'node:stream';
import type { Access, Api, ApiRequest } from '@fieldbook/core/api';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { readRequest, writeResponse } from './binding.ts';

/** A streamed body that the test sends piece by piece. */
async function sending(): Promise<{ body: PassThrough; read: AsyncIterator<Uint8Array> }> {
  const body = Object.assign(new PassThrough(), { method: 'POST', url: '/api/v1/bundle', headers: {} });
  const api = { admit: () => ({ limit: 1_000_000_000, streamed: true }) } as unknown as Api;
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

describe('a body that is taken whole', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** One of so many bytes, that the test sends piece by piece. */
  function receiving(length: number): { body: PassThrough; whole: Promise<ApiRequest> } {
    const head = { method: 'PUT', url: '/api/v1/blobs/0', headers: { 'content-length': String(length) } };
    const body = Object.assign(new PassThrough(), head);
    const api = { admit: () => ({ limit: 1_000_000_000, streamed: false }) } as unknown as Api;
    return { body, whole: readRequest(body as unknown as IncomingMessage, api, {} as Access) };
  }

  it('[API-32] may take hours at a pace', async () => {
    const { body, whole } = receiving(200 * 40_000);
    for (let piece = 0; piece < 200; piece++) {
      await vi.advanceTimersByTimeAsync(50 * SECOND);
      body.write(new Uint8Array(40_000).fill(piece));
    }
    body.end();
    const { body: bytes } = await whole;
    expect([bytes?.length, bytes?.at(0), bytes?.at(-1)]).toEqual([200 * 40_000, 0, 199]);
  });

  it('[API-32] is cut when it comes a byte at a time', async () => {
    const { body, whole } = receiving(1_000_000);
    const reading = whole.catch((error: unknown) => error);
    for (let second = 0; second < 65; second += 5) {
      body.write('x');
      await vi.advanceTimersByTimeAsync(5 * SECOND);
    }
    expect(body.destroyed).toBe(true);
    expect(await reading).toMatchObject({ code: 'closed' });
  });
});

describe('an answer', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  /** The answer of a real server to somebody who reads nothing unless the test does. */
  async function asking(): Promise<{ response: ServerResponse; reader: Socket }> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const reader = connect((server.address() as AddressInfo).port, '127.0.0.1');
    onTestFinished(() => {
      reader.destroy();
      server.closeAllConnections();
      server.close();
    });
    reader.on('error', () => undefined);
    reader.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const [, response] = (await once(server, 'request')) as [IncomingMessage, ServerResponse];
    return { response, reader };
  }

  /** Lets sockets do what they do by themselves, until something is so. */
  async function until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise((resolve) => setImmediate(resolve));
  }

  it.each(['whole', 'streamed'])('[API-35] of which nothing is taken any more is cut, when it is %s', async (how) => {
    const { response, reader } = await asking();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const bytes = new Uint8Array(32 * 1024 * 1024);
    let returned = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield bytes;
      } finally {
        returned += 1;
      }
    }
    const answer = { status: 200, headers: {}, body: how === 'whole' ? bytes : endless() };
    const written = writeResponse(response, answer, false);
    // A timer runs while it waits for its reader, and is another one when the reader has taken something.
    let taken = 0;
    reader.pause().on('data', ({ length }: Buffer) => (taken += length));
    for (let minutes = 0; minutes < 6; minutes += 1.5) {
      await until(() => vi.getTimerCount() === 1 && response.writableNeedDrain);
      vi.advanceTimersByTime(90 * SECOND);
      expect(response.destroyed).toBe(false);
      const before = { taken, at: response.socket!.bytesWritten };
      reader.resume();
      await until(() => taken > before.taken && response.socket!.bytesWritten > before.at);
      reader.pause();
    }
    await until(() => vi.getTimerCount() === 1 && response.writableNeedDrain);
    expect(response.writableFinished).toBe(false);
    vi.advanceTimersByTime(121 * SECOND);
    await written;
    expect(response.destroyed).toBe(true);
    expect(returned).toBe(how === 'whole' ? 0 : 1);
    expect(vi.getTimerCount()).toBe(0);
  });
});
