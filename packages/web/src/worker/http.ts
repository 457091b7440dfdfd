import { FieldbookError } from '@fieldbook/core';
import type { ErrorCode } from '@fieldbook/core';

/** Requests to the program that served this page. A token travels in a header, never in an address. */
export class Http {
  readonly #origin: string;
  #token: string | null;

  constructor(origin: string, token: string | null) {
    this.#origin = origin;
    this.#token = token;
  }

  set token(token: string | null) {
    this.#token = token;
  }

  /** The JSON answer. Throws `FieldbookError`: the server's own, or `peer_unreachable` when nobody answered. */
  async json<T>(path: string, init: { method?: string; body?: unknown; timeoutMs?: number } = {}): Promise<T> {
    const response = await this.#fetch(path, init);
    const body: unknown = await response.json().catch(() => undefined);
    if (response.ok) return body as T;
    throw errorOf(response.status, body);
  }

  /** The bytes of the answer; undefined for 404. Throws like `json`. */
  async bytes(path: string): Promise<Uint8Array | undefined> {
    const response = await this.#fetch(path, { timeoutMs: 120_000 });
    if (response.status === 404) return undefined;
    if (!response.ok) throw errorOf(response.status, await response.json().catch(() => undefined));
    return new Uint8Array(await response.arrayBuffer());
  }

  async #fetch(
    path: string,
    { method = 'GET', body, timeoutMs = 20_000 }: { method?: string; body?: unknown; timeoutMs?: number },
  ): Promise<Response> {
    const headers: Record<string, string> = {};
    if (this.#token !== null) headers['authorization'] = `Bearer ${this.#token}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    try {
      return await fetch(`${this.#origin}/api/v1${path}`, {
        method,
        headers,
        cache: 'no-store',
        signal: AbortSignal.timeout(timeoutMs),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (error) {
      throw new FieldbookError('peer_unreachable', 'Nobody answers at the address of this page.', { cause: error });
    }
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

/** Numbers as JSON of the API has them: NaN and infinities are strings. */
export function floats(values: readonly (number | string)[]): Float64Array {
  return Float64Array.from(values, Number);
}
