import type { IncomingMessage, ServerResponse } from 'node:http';
import { FieldbookError } from '@fieldbook/core';
import type { Access, Api, ApiRequest, ApiResponse } from '@fieldbook/core/api';

/** An API request from a Node one. Throws `too_large` before reading more than the route takes. */
export async function readRequest(request: IncomingMessage, api: Api, access: Access): Promise<ApiRequest> {
  const { path, query } = splitUrl(request.url ?? '/');
  const method = request.method ?? 'GET';
  const head = { method, path, query, headers: flatHeaders(request), access };
  const limit = api.bodyLimit(method, path);
  if (api.streams(method, path)) return { ...head, body: null, stream: streamBody(request, limit) };
  return { ...head, body: await readBody(request, limit) };
}

/** The path as on the wire, and the decoded query. */
export function splitUrl(url: string): { path: string; query: [string, string][] } {
  const mark = url.indexOf('?');
  if (mark === -1) return { path: url, query: [] };
  return { path: url.slice(0, mark), query: [...new URLSearchParams(url.slice(mark + 1))] };
}

export function flatHeaders(request: IncomingMessage): Record<string, string | undefined> {
  const headers: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(request.headers))
    headers[name] = Array.isArray(value) ? value.join(', ') : value;
  return headers;
}

/** A body that takes longer to arrive than this is not from anybody who means it. */
const BODY_MS = 60_000;
/**
 * A streamed body may take as long as it keeps this pace: so many bytes in so much waiting for them. A byte now and then
 * would hold a connection, and what is being taken in, for ever.
 */
const PACE = { bytes: 32 * 1024, ms: 60_000 } as const;

/** A body as it comes. Throws `too_large`, and `closed` when the sender has gone or is far too slow. */
async function* streamBody(request: IncomingMessage, limit: number): AsyncGenerator<Uint8Array> {
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
      if (size > limit)
        throw new FieldbookError('too_large', `The body may have at most ${limit} bytes.`, { details: { limit } });
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
    // A sender reads the answer when it has sent everything.
    request.resume();
  }
}

async function readBody(request: IncomingMessage, limit: number): Promise<Uint8Array | null> {
  const tooLarge = (): FieldbookError =>
    new FieldbookError('too_large', limit === 0 ? 'This takes no body.' : `The body may have at most ${limit} bytes.`, {
      details: { limit },
    });
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  // Whoever keeps a limit of its own takes long for a large one, and keeps the pace.
  let due = PACE.bytes;
  const late = setInterval(() => {
    if (size < due) request.destroy(new Error('the body comes too slowly'));
    due = size + PACE.bytes;
  }, BODY_MS);
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limit) throw tooLarge();
      chunks.push(chunk);
    }
  } finally {
    clearInterval(late);
  }
  if (size === 0) return null;
  const all = Buffer.concat(chunks);
  return new Uint8Array(all.buffer, all.byteOffset, all.byteLength);
}

/** Writes an answer, waiting for a slow reader, and lets go of a stream when the reader has left. */
export async function writeResponse(response: ServerResponse, answer: ApiResponse, headOnly: boolean): Promise<void> {
  const { body } = answer;
  if (body === null || body instanceof Uint8Array) {
    const length = body === null ? {} : { 'content-length': String(body.length) };
    response.writeHead(answer.status, { ...length, ...answer.headers });
    response.end(headOnly || body === null ? undefined : body);
    return;
  }
  response.writeHead(answer.status, answer.headers);
  const chunks = body[Symbol.asyncIterator]();
  const left = (): void => void chunks.return?.();
  response.once('close', left);
  try {
    for (let chunk = await chunks.next(); chunk.done !== true; chunk = await chunks.next()) {
      if (!response.write(chunk.value)) await drained(response);
      if (response.destroyed) break;
    }
    response.end();
  } catch (error) {
    // Half a body must not look like a whole one.
    response.destroy();
    throw error;
  } finally {
    response.off('close', left);
    await chunks.return?.();
  }
}

function drained(response: ServerResponse): Promise<void> {
  // Who has left by now says so no more.
  if (response.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.once('drain', done);
    response.once('close', done);
  });
}
