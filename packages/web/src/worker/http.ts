import { FieldbookError } from '@fieldbook/core';
import type { BlobDigest, ErrorCode } from '@fieldbook/core';

/** What requests carry to come in; `Entry` is one. */
export interface Credentials {
  headers(): Promise<Record<string, string>>;
  /** After an answer of 401: whether the request may be made once more. */
  again(): Promise<boolean>;
}

/** How often something is asked for again that was too much at a time, and how long at most it is waited for each time. */
const AGAIN_TIMES = 4;
const AGAIN_SECONDS = 5;

const NONE: Credentials = { headers: async () => ({}), again: async () => false };

/** Requests to the program that served this page. A token travels in a header, or a cookie for it; never in an address. */
export class Http {
  readonly #origin: string;
  readonly #credentials: Credentials;

  constructor(origin: string, credentials: Credentials = NONE) {
    this.#origin = origin;
    this.#credentials = credentials;
  }

  /** The JSON answer. Throws `FieldbookError`: the server's own, or `peer_unreachable` when nobody answered. */
  async json<T>(path: string, init: { method?: string; body?: unknown; timeoutMs?: number } = {}): Promise<T> {
    const response = await this.#fetch(path, init);
    const body: unknown = await response.json().catch(() => undefined);
    if (response.ok) return body as T;
    throw errorOf(response.status, body);
  }

  /** The bytes of the answer, or those of `[start, end)` as far as there are any; undefined for 404. Throws like `json`. */
  async bytes(path: string, range?: { start: number; end: number }): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const headers: Record<string, string> =
      range === undefined ? {} : { range: `bytes=${range.start}-${range.end - 1}` };
    const response = await this.#fetch(path, { timeoutMs: 120_000, headers });
    if (response.status === 404) return undefined;
    if (!response.ok) throw errorOf(response.status, await response.json().catch(() => undefined));
    const bytes = await bodyOf(response);
    // A server may answer a range with the whole.
    return range !== undefined && response.status === 200 ? bytes.slice(range.start, range.end) : bytes;
  }

  /** A document's whole state and its generation; undefined when there is none. Throws like `json`. */
  async document(name: string): Promise<{ state: Uint8Array<ArrayBuffer>; generation: number } | undefined> {
    const path = `/documents/${name.split('/').map(encodeURIComponent).join('/')}`;
    const response = await this.#fetch(path, { timeoutMs: 120_000 });
    if (response.status === 404) return undefined;
    if (!response.ok) throw errorOf(response.status, await response.json().catch(() => undefined));
    const generation = Number(response.headers.get('fieldbook-generation') ?? 0);
    return { state: await bodyOf(response), generation };
  }

  /** The bytes of the answer unless they are those that `etag` names; undefined for 404. Throws like `json`. */
  async since(
    path: string,
    etag: string | null,
  ): Promise<{ bytes: Uint8Array<ArrayBuffer>; etag: string | null } | 'same' | undefined> {
    const headers: Record<string, string> = etag === null ? {} : { 'if-none-match': etag };
    const response = await this.#fetch(path, { timeoutMs: 120_000, headers });
    if (response.status === 304) return 'same';
    if (response.status === 404) return undefined;
    if (!response.ok) throw errorOf(response.status, await response.json().catch(() => undefined));
    return { bytes: await bodyOf(response), etag: response.headers.get('etag') };
  }

  /** Server-sent events, until the server ends them or `signal` does. Throws like `json`. */
  async *events(path: string, signal: AbortSignal): AsyncGenerator<{ event: string; data: string }> {
    const response = await this.#let((headers) =>
      fetch(`${this.#origin}/api/v1${path}`, { headers, cache: 'no-store', signal }),
    );
    if (!response.ok || response.body === null) throw errorOf(response.status, undefined);
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
      const blocks = text.split('\n\n');
      text = blocks.pop()!;
      for (const block of blocks) {
        const field = (name: string): string | undefined =>
          block
            .split('\n')
            .find((line) => line.startsWith(`${name}: `))
            ?.slice(name.length + 2);
        const event = field('event');
        const data = field('data');
        if (event !== undefined && data !== undefined) yield { event, data };
      }
    }
  }

  /** An answer of any length as it comes. Throws like `json`. */
  async stream(
    path: string,
    signal: AbortSignal,
  ): Promise<{ headers: Headers; body: ReadableStream<Uint8Array<ArrayBuffer>> }> {
    const response = await this.#let((headers) =>
      fetch(`${this.#origin}/api/v1${path}`, { headers, cache: 'no-store', signal }),
    );
    if (!response.ok || response.body === null)
      throw errorOf(response.status, await response.json().catch(() => undefined));
    return { headers: response.headers, body: response.body };
  }

  /** Whether the server has a blob. Throws `peer_unreachable`. */
  async has(digest: BlobDigest): Promise<boolean> {
    return (await this.#fetch(`/blobs/${digest}`, { method: 'HEAD' })).ok;
  }

  /** Resolves when the blob is durable there. Throws like `json`. */
  async putBlob(digest: BlobDigest, bytes: Uint8Array): Promise<void> {
    const response = await this.#fetch(`/blobs/${digest}`, { method: 'PUT', raw: bytes, timeoutMs: 600_000 });
    if (!response.ok) throw errorOf(response.status, await response.json().catch(() => undefined));
  }

  /** Sends a file of any size, telling how far it is: `fetch` does not. `answer` throws like `json`, and `closed` after `abort`. */
  upload<T>(
    path: string,
    type: string,
    body: Blob,
    tell: (bytes: number) => void,
  ): { answer: Promise<T>; abort: () => void } {
    const request = new XMLHttpRequest();
    let isAborted = false;
    const stopped = (): FieldbookError =>
      new FieldbookError('closed', 'Stopped. What had arrived whole is kept; the same file again brings the rest.');
    const send = async (resolve: (value: T) => void, reject: (error: Error) => void): Promise<void> => {
      const headers = await this.#credentials.headers();
      if (isAborted) return reject(stopped());
      request.open('POST', `${this.#origin}/api/v1${path}`);
      request.setRequestHeader('content-type', type);
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      request.responseType = 'json';
      request.upload.addEventListener('progress', ({ loaded }) => tell(loaded));
      request.addEventListener('load', () => {
        if (request.status >= 200 && request.status < 300) resolve(request.response as T);
        else reject(errorOf(request.status, request.response));
      });
      request.addEventListener('abort', () => reject(stopped()));
      request.addEventListener('error', () =>
        reject(
          new FieldbookError(
            'peer_unreachable',
            'The connection was cut. What had arrived whole is kept; the same file again brings the rest.',
          ),
        ),
      );
      request.send(body);
    };
    const answer = new Promise<T>((resolve, reject) => void send(resolve, reject));
    const abort = (): void => {
      isAborted = true;
      request.abort();
    };
    return { answer, abort };
  }

  /** Once more when the session has ended, or when too much was asked at a time: nothing was done the first time. */
  async #let(ask: (headers: Record<string, string>) => Promise<Response>): Promise<Response> {
    for (let time = 0; ; time++) {
      const response = await ask(await this.#credentials.headers());
      if (response.status === 401 && time === 0 && (await this.#credentials.again())) {
        await response.body?.cancel();
        continue;
      }
      const seconds = Number.parseInt(response.headers.get('retry-after') ?? '');
      if (response.status !== 429 || time >= AGAIN_TIMES || !(seconds <= AGAIN_SECONDS)) return response;
      await response.body?.cancel();
      // Those who were refused together do not come back together.
      await new Promise((resolve) => setTimeout(resolve, seconds * 1_000 * (1 + Math.random() / 2)));
    }
  }

  async #fetch(
    path: string,
    {
      method = 'GET',
      raw,
      body,
      timeoutMs = 20_000,
      headers: given = {},
    }: {
      method?: string;
      body?: unknown;
      raw?: Uint8Array;
      timeoutMs?: number;
      headers?: Readonly<Record<string, string>>;
    },
  ): Promise<Response> {
    const headers: Record<string, string> = { ...given };
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (raw !== undefined) headers['content-type'] = 'application/octet-stream';
    try {
      return await this.#let((entry) =>
        fetch(`${this.#origin}/api/v1${path}`, {
          method,
          headers: { ...headers, ...entry },
          cache: 'no-store',
          signal: AbortSignal.timeout(timeoutMs),
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          ...(raw === undefined ? {} : { body: raw as Uint8Array<ArrayBuffer> }),
        }),
      );
    } catch (error) {
      throw new FieldbookError('peer_unreachable', 'Nobody answers at the address of this page.', { cause: error });
    }
  }
}

/** A connection that is cut within an answer is nobody answering, too. */
async function bodyOf(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new FieldbookError('peer_unreachable', 'The connection was cut within an answer.', { cause: error });
  }
}

function errorOf(status: number, body: unknown): FieldbookError {
  const error = (body as { error?: { code?: string; message?: string; details?: Record<string, unknown> } } | undefined)
    ?.error;
  return new FieldbookError(
    (error?.code ?? 'internal') as ErrorCode,
    error?.message ?? `The server answered ${status}.`,
    { details: error?.details ?? {} },
  );
}

/** Numbers as JSON of the API has them: NaN and infinities are strings. Those that are numbers already stay as they are. */
export function floats(values: ArrayLike<number | string>): Float64Array {
  return values instanceof Float64Array ? values : Float64Array.from(values, Number);
}
