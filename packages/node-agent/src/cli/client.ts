import type { IncomingMessage } from 'node:http';
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ErrorCode } from '@fieldbook/core';
import { API_PREFIX, FieldbookError } from '@fieldbook/core';

export interface Call {
  query?: Readonly<Record<string, string | number | undefined>>;
  /** Sent as JSON. */
  body?: unknown;
  /** How long the answer may take, when that is longer than usual. */
  timeoutMs?: number;
}

/** An answer whose body comes in pieces. */
export interface Download {
  status: number;
  headers: Readonly<Record<string, string | undefined>>;
  body: AsyncIterable<Uint8Array>;
}

/** The API of this machine's field book: a running agent's over HTTP, or opened for one command in this process. */
export interface Client {
  kind: 'agent' | 'direct';
  /** The agent's URL, or null in process. */
  url: string | null;
  /** The JSON answer. Throws the error that the API answered. */
  call<T>(method: 'GET' | 'POST', path: string, call?: Call): Promise<T>;
  /** The bytes at a path. Throws the error that the API answered; the body throws when the answer breaks off. */
  download(path: string, query: Call['query'], headers: Readonly<Record<string, string>>): Promise<Download>;
  /** Sends bytes as they come to a path; the JSON answer. Throws the error that the API answered. */
  upload<T>(path: string, type: string, body: AsyncIterable<Uint8Array>): Promise<T>;
  close(): Promise<void>;
}

/** A running agent over HTTP. Throws `agent_not_running` when nobody answers. */
export function agentClient(url: string, token: string, timeoutMs = 60_000): Client {
  const connections = new HttpAgent({ keepAlive: true });
  return {
    kind: 'agent',
    url,
    call: async <T>(method: 'GET' | 'POST', path: string, call: Call = {}) => {
      const body = call.body === undefined ? undefined : JSON.stringify(call.body);
      const answer = await send(url, connections, {
        method,
        path: pathOf(path, call.query),
        body,
        token,
        timeoutMs: call.timeoutMs ?? timeoutMs,
      });
      return decodeAnswer<T>(answer.status, answer.text);
    },
    download: async (path, query, headers) => {
      const response = await begin(url, connections, {
        method: 'GET',
        path: pathOf(path, query),
        body: undefined,
        token,
        timeoutMs,
        headers,
      });
      const status = response.statusCode ?? 0;
      if (status >= 400) decodeAnswer(status, await textOf(response));
      return { status, headers: response.headers as Record<string, string | undefined>, body: response };
    },
    upload: async <T>(path: string, type: string, body: AsyncIterable<Uint8Array>) => {
      const response = await begin(url, connections, {
        method: 'POST',
        path: pathOf(path),
        body,
        token,
        // The answer comes when the last byte is durable there.
        timeoutMs: 10 * timeoutMs,
        headers: { 'content-type': type },
      });
      return decodeAnswer<T>(response.statusCode ?? 0, await textOf(response));
    },
    close: async () => connections.destroy(),
  };
}

/** Path below the API's prefix with its query; segments must be encoded already. */
export function pathOf(path: string, query: Call['query'] = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.append(name, String(value));
  const text = search.toString();
  return `${API_PREFIX}${path}${text === '' ? '' : `?${text}`}`;
}

/** The JSON of a good answer; throws the `FieldbookError` that another one carries. */
export function decodeAnswer<T>(status: number, text: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FieldbookError('internal', `The answer (HTTP ${status}) is not JSON; is this a Fieldbook agent?`);
  }
  if (status < 400) return value as T;
  const error = (value as { error?: { code?: string; message?: string; details?: Record<string, unknown> } }).error;
  throw new FieldbookError((error?.code ?? 'internal') as ErrorCode, error?.message ?? `HTTP ${status}`, {
    details: error?.details ?? {},
  });
}

interface Sent {
  method: string;
  path: string;
  body: string | AsyncIterable<Uint8Array> | undefined;
  token: string;
  timeoutMs: number;
  headers?: Readonly<Record<string, string>>;
}

async function send(url: string, agent: HttpAgent, sent: Sent): Promise<{ status: number; text: string }> {
  const response = await begin(url, agent, sent);
  return { status: response.statusCode ?? 0, text: await textOf(response) };
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/** Sends a request; resolves with the head of the answer. */
function begin(
  url: string,
  agent: HttpAgent,
  { method, path, body, token, timeoutMs, headers: more = {} }: Sent,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers: Record<string, string> = { ...more, authorization: `Bearer ${token}` };
    if (typeof body === 'string') headers['content-type'] = 'application/json';
    let answered = false;
    const request = httpRequest(new URL(path, url), { method, agent, headers, timeout: timeoutMs }, (response) => {
      answered = true;
      resolve(response);
    });
    request.on('timeout', () =>
      request.destroy(new FieldbookError('timeout', `The agent at ${url} did not answer in ${timeoutMs / 1_000} s.`)),
    );
    request.on('error', (error: NodeJS.ErrnoException) => {
      if (error instanceof FieldbookError) reject(error);
      else
        reject(
          new FieldbookError('agent_not_running', `No agent answers at ${url} (${error.code ?? error.message}).`, {
            cause: error,
          }),
        );
    });
    if (body === undefined || typeof body === 'string') request.end(body);
    else
      pipeline(Readable.from(body, { objectMode: false }), request).catch((error: Error) => {
        // An answer that comes before the end says more than the broken pipe.
        if (!answered) reject(error);
      });
  });
}
