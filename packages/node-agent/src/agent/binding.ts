import type { IncomingMessage, ServerResponse } from 'node:http';
import { FieldbookError } from '@fieldbook/core';
import type { Access, Api, ApiRequest, ApiResponse, Place } from '@fieldbook/core/api';

/** What a body meets on its way in. */
export interface Intake {
  /** Memory for it: given back by whoever made it, when the answer is there. */
  place?: Place;
  /** Tells a sender who asked first (`Expect: 100-continue`) to go on. */
  goOn?(): void;
}

/**
 * An API request from a Node one. Who may ask what is decided before a byte of the body is read: throws as `Api.admit`, `too_large`
 * before more is read than the route takes, `rate_limited` when there is no room for it, and `closed` for who has gone or is far too slow.
 */
export async function readRequest(
  request: IncomingMessage,
  api: Api,
  access: Access,
  intake: Intake = {},
): Promise<ApiRequest> {
  const { path, query } = splitUrl(request.url ?? '/');
  const method = request.method ?? 'GET';
  const headers: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(request.headers))
    headers[name] = Array.isArray(value) ? value.join(', ') : value;
  const head = { method, path, query, headers, access };
  const { limit, streamed } = api.admit(head);
  const declared = declaredBytes(request);
  if (declared !== null && declared > limit) throw tooLarge(limit);
  // Of one that goes on, what is in memory of it at a time; of one without a length, what comes.
  await intake.place?.grow(Math.min(declared ?? 0, limit, STREAMED));
  if (streamed && declared === null) await intake.place?.grow(STREAMED);
  intake.goOn?.();
  if (streamed) return { ...head, body: null, stream: bodyOf(request, limit) };
  return { ...head, body: await readBody(request, limit, declared, intake) };
}

/** Bytes that the sender says it will send; null when it does not say. */
function declaredBytes({ headers }: IncomingMessage): number | null {
  if (headers['transfer-encoding'] !== undefined) return null;
  return Number(headers['content-length'] ?? 0);
}

/** The path as on the wire, and the decoded query. */
export function splitUrl(url: string): { path: string; query: [string, string][] } {
  const mark = url.indexOf('?');
  if (mark === -1) return { path: url, query: [] };
  return { path: url.slice(0, mark), query: [...new URLSearchParams(url.slice(mark + 1))] };
}

/** What taking in a streamed body may hold: a section of a bundle with a blob in it. */
const STREAMED = 64 * 1024 * 1024;
/** A body without a length takes room in steps. */
const STEP = 1024 * 1024;
/**
 * A body may take as long as it keeps this pace: so many bytes in so much waiting for them. Half a kilobyte a second is less than any
 * line that a blob gets over in the time its sender gives it; a byte now and then would hold a connection, and memory, for ever.
 */
const PACE = { bytes: 32 * 1024, ms: 60_000 } as const;
/**
 * An answer of which nothing is taken for so long is cut. A kernel takes up to four megabytes ahead of a slow reader, and more only
 * when a third of that is gone: at 16 kB/s, the least that a machine can be limited to, a minute and a half goes by between two pieces.
 */
const STALLED_MS = 120_000;
/** Written at once: two such pieces in two minutes keep an answer going. */
const PIECE = 64 * 1024;
/** How much of a body that was refused is still read, and for how long, so that its sender sees the answer. */
const LINGER = { bytes: 256 * 1024, ms: 2_000 } as const;

function tooLarge(limit: number): FieldbookError {
  return new FieldbookError(
    'too_large',
    limit === 0 ? 'This takes no body.' : `The body may have at most ${limit} bytes.`,
    { details: { limit } },
  );
}

/** A body as it comes. Throws `too_large`, and `closed` when the sender has gone or is far too slow. */
async function* bodyOf(request: IncomingMessage, limit: number): AsyncGenerator<Uint8Array> {
  let size = 0;
  let timer: NodeJS.Timeout | undefined;
  let came = 0;
  let left: number = PACE.ms;
  let since = 0;
  const wait = (): void => {
    since = performance.now();
    timer = setTimeout(() => request.destroy(new Error('the body comes too slowly')), left);
  };
  // What takes long here is not the sender's slowness.
  const stop = (length: number): void => {
    clearTimeout(timer);
    left -= performance.now() - since;
    came += length;
    if (came < PACE.bytes) return;
    came = 0;
    left = PACE.ms;
  };
  try {
    wait();
    // Not destroyed when somebody has seen enough: the answer that says why goes over the same socket.
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      stop(chunk.length);
      size += chunk.length;
      if (size > limit) throw tooLarge(limit);
      yield chunk;
      wait();
    }
  } catch (error) {
    if (error instanceof FieldbookError) throw error;
    throw new FieldbookError('closed', 'The sender has gone, or was far too slow, before all of it came.', {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
    discard(request);
  }
}

/** Reads on, at the same pace, when nobody wants the rest: browsers read the answer when they have sent everything. */
function discard(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return;
  let came = 0;
  const late = setInterval(() => {
    if (came < PACE.bytes) request.destroy();
    came = 0;
  }, PACE.ms);
  request.once('close', () => clearInterval(late));
  request.once('end', () => clearInterval(late));
  request.on('data', (chunk: Buffer) => (came += chunk.length));
  request.resume();
}

/** All of a body, in memory that was taken for it before. */
async function readBody(
  request: IncomingMessage,
  limit: number,
  declared: number | null,
  intake: Intake,
): Promise<Uint8Array | null> {
  const body = bodyOf(request, limit);
  if (declared !== null) {
    // Written into as it comes: pieces that are put together at the end would be there twice.
    const all = new Uint8Array(declared);
    let size = 0;
    for await (const chunk of body) {
      all.set(chunk, size);
      size += chunk.length;
    }
    return size === 0 ? null : all.subarray(0, size);
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  let room = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > room) {
      const more = Math.max(STEP, size - room);
      // Twice: it is put together at the end.
      await intake.place?.grow(2 * more);
      room += more;
    }
    chunks.push(chunk);
  }
  if (size === 0) return null;
  const all = Buffer.concat(chunks);
  return new Uint8Array(all.buffer, all.byteOffset, all.byteLength);
}

/** Writes an answer, waiting for a slow reader and cutting one who takes nothing, and lets go of a stream when the reader has left. */
export async function writeResponse(response: ServerResponse, answer: ApiResponse, headOnly: boolean): Promise<void> {
  const { body } = answer;
  if (body === null || body instanceof Uint8Array) {
    const length = body === null ? {} : { 'content-length': String(body.length) };
    response.writeHead(answer.status, { ...length, ...answer.headers });
    if (!headOnly && body !== null && body.length > PIECE) await send(response, body);
    else if (!headOnly && body !== null) response.write(body);
    end(response);
    return;
  }
  response.writeHead(answer.status, answer.headers);
  const chunks = body[Symbol.asyncIterator]();
  const left = (): void => void chunks.return?.();
  response.once('close', left);
  try {
    for (let chunk = await chunks.next(); chunk.done !== true; chunk = await chunks.next()) {
      await send(response, chunk.value);
      if (response.destroyed) break;
    }
    end(response);
  } catch (error) {
    // Half a body must not look like a whole one.
    response.destroy();
    throw error;
  } finally {
    response.off('close', left);
    await chunks.return?.();
  }
}

/**
 * Answers a request of which the rest is not read, and ends its connection: a little of what is still coming is read and thrown away
 * meanwhile, for a socket that is closed over unread bytes takes the answer with it.
 */
export async function turnAway(
  request: IncomingMessage,
  response: ServerResponse,
  answer: ApiResponse,
  headOnly: boolean,
): Promise<void> {
  if (request.complete || !(answer.body instanceof Uint8Array)) return writeResponse(response, answer, headOnly);
  const { body, status, headers } = answer;
  response.writeHead(status, { 'content-length': String(body.length), ...headers, connection: 'close' });
  if (headOnly) response.flushHeaders();
  else response.write(body);
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      for (const name of ['end', 'close', 'error']) request.off(name, done);
      resolve();
    };
    const timer = setTimeout(done, LINGER.ms);
    for (const name of ['end', 'close', 'error']) request.once(name, done);
    let left: number = LINGER.bytes;
    request.on('data', (chunk: Buffer) => {
      left -= chunk.length;
      if (left < 0) request.pause();
    });
  });
  end(response);
}

async function send(response: ServerResponse, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length && !response.destroyed; at += PIECE)
    if (!response.write(bytes.subarray(at, at + PIECE))) await drained(response);
}

function end(response: ServerResponse): void {
  response.end();
  if (response.writableFinished || response.destroyed) return;
  const timer = setTimeout(() => response.destroy(), STALLED_MS);
  response.once('close', () => clearTimeout(timer));
}

function drained(response: ServerResponse): Promise<void> {
  // Who has left by now says so no more.
  if (response.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    const timer = setTimeout(() => response.destroy(), STALLED_MS);
    response.once('drain', done);
    response.once('close', done);
  });
}
