import type { BlobDigest, ErrorCode } from '@fieldbook/core';
import { FieldbookError, parseWorkspaceId } from '@fieldbook/core';
import type { WorkspaceId } from '@fieldbook/core';

/** A relay that does not answer in this time is not there; blobs get a minute more. */
const TIMEOUT_MS = 20_000;
const BLOB_MS = 80_000;

/** What an agent asks of a relay over plain HTTP: who it is, and blobs. Tokens go into the header and nowhere else. */
export class RelayHttp {
  readonly url: string;
  readonly #token: string | null;

  constructor(url: string, token: string | null) {
    this.url = url;
    this.#token = token;
  }

  /** Throws `unauthorized`, `forbidden`, `peer_unreachable`, `timeout`. */
  async workspace(): Promise<{ id: WorkspaceId; name: string | null }> {
    const response = await this.#send('GET', '/workspace', {});
    const body = (await response.json().catch(() => null)) as { id?: unknown; name?: unknown } | null;
    if (typeof body?.id !== 'string')
      throw new FieldbookError('peer_unreachable', `${this.url} is not a Fieldbook relay.`);
    return { id: parseWorkspaceId(body.id), name: typeof body.name === 'string' ? body.name : null };
  }

  /** Which of these blobs the relay has. */
  async has(digests: readonly BlobDigest[]): Promise<ReadonlySet<BlobDigest>> {
    const response = await this.#send('POST', '/blobs/missing', { json: { digests } });
    const { missing } = (await response.json()) as { missing: BlobDigest[] };
    const lacking = new Set(missing);
    return new Set(digests.filter((digest) => !lacking.has(digest)));
  }

  /** The blob's bytes, unverified; undefined when the relay lacks it. */
  async get(digest: BlobDigest): Promise<Uint8Array | undefined> {
    try {
      const response = await this.#send('GET', `/blobs/${digest}`, { timeoutMs: BLOB_MS });
      return new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      if (error instanceof FieldbookError && error.code === 'blob_missing') return undefined;
      throw error;
    }
  }

  async put(digest: BlobDigest, bytes: Uint8Array): Promise<void> {
    const response = await this.#send('PUT', `/blobs/${digest}`, { bytes, timeoutMs: BLOB_MS });
    await response.arrayBuffer();
  }

  async #send(
    method: string,
    path: string,
    options: { json?: unknown; bytes?: Uint8Array; timeoutMs?: number },
  ): Promise<Response> {
    const headers: Record<string, string> = {};
    if (this.#token !== null) headers['authorization'] = `Bearer ${this.#token}`;
    if (options.json !== undefined) headers['content-type'] = 'application/json';
    if (options.bytes !== undefined) headers['content-type'] = 'application/octet-stream';
    const body =
      options.json === undefined
        ? (options.bytes as Uint8Array<ArrayBuffer> | undefined)
        : JSON.stringify(options.json);
    let response: Response;
    try {
      response = await fetch(`${this.url}/api/v1${path}`, {
        method,
        headers,
        ...(body === undefined ? {} : { body }),
        // A redirect could carry the token to somebody else.
        redirect: 'error',
        signal: AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS),
      });
    } catch (error) {
      throw unreachable(this.url, error);
    }
    if (response.ok) return response;
    const said = (await response.json().catch(() => null)) as { error?: { code?: ErrorCode; message?: string } } | null;
    if (said?.error?.code === undefined)
      throw new FieldbookError(
        'peer_unreachable',
        `${this.url} answered HTTP ${response.status}; is it a Fieldbook relay?`,
      );
    throw new FieldbookError(said.error.code, `${this.url}: ${said.error.message ?? said.error.code}`);
  }
}

function unreachable(url: string, error: unknown): FieldbookError {
  const { name, message, cause } = error as Error & { cause?: { code?: string; message?: string } };
  if (name === 'TimeoutError') return new FieldbookError('timeout', `${url} does not answer.`, { cause: error });
  return new FieldbookError(
    'peer_unreachable',
    `${url} cannot be reached (${cause?.code ?? cause?.message ?? message}).`,
    { cause: error },
  );
}
