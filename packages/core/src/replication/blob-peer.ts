import { FieldbookError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { BlobDigest } from '../ports.ts';
import type { Bandwidth } from './bandwidth.ts';

/** The blobs of another replica. Every call may be repeated; all reject with `peer_unreachable` when nobody answers. */
export interface BlobPeer {
  /**
   * The replica behind it, and how often it has found that it lost blobs which it had: what is known of its blobs is forgotten when
   * either is another one.
   */
  about(): Promise<{ replica: string; losses: number }>;
  /** Which of these (at most 1,000) it does not have. */
  missing(digests: readonly BlobDigest[]): Promise<BlobDigest[]>;
  /**
   * Has it prove that it has a blob now, every byte of it: SHA-256(nonce ‖ bytes), read from its disk for this answer. The asker
   * compares; undefined when the peer does not have the blob, or not whole, or knows no proofs.
   */
  prove(digest: BlobDigest, nonce: string): Promise<string | undefined>;
  /** The bytes, not yet verified; undefined when it does not have them. */
  get(digest: BlobDigest): Promise<Uint8Array | undefined>;
  /** Resolves when they are fsynced there. */
  put(digest: BlobDigest, bytes: Uint8Array): Promise<void>;
}

/** The part of `fetch` that is needed. */
export type Request = (
  url: string,
  init: {
    method: string;
    headers: Record<string, string>;
    body?: Uint8Array<ArrayBuffer> | string | AsyncIterable<Uint8Array>;
    /** How much longer than usual it may take, ms. */
    extraMs?: number;
  },
) => Promise<{
  status: number;
  /** The bytes as they come, where the platform can give them so. */
  body?: AsyncIterable<Uint8Array> | null;
  arrayBuffer(): Promise<ArrayBuffer>;
  json(): Promise<unknown>;
}>;

export interface BlobPeerOptions {
  url: string;
  token: string | null;
  request: Request;
  /** Limits of what is sent and of what is fetched. */
  bandwidth?: { up: Bandwidth; down: Bandwidth };
}

/** A program's blobs over its HTTP API. `url` is its origin; the token travels in a header. */
export function blobPeerOverHttp(options: BlobPeerOptions): BlobPeer {
  const base = `${options.url.replace(/\/+$/, '')}/api/v1`;
  const authorization: Record<string, string> =
    options.token === null ? {} : { authorization: `Bearer ${options.token}` };
  const { up, down } = options.bandwidth ?? {};
  /** Twice what the limit makes of so many bytes: what goes first is not counted. */
  const extraMs = (limit: number | null | undefined, bytes: number): number =>
    limit == null ? 0 : Math.ceil((2_000 * bytes) / limit);
  const ask = async (method: string, path: string, body?: Uint8Array | string, fetched = 0) => {
    const type = typeof body === 'string' ? 'application/json' : 'application/octet-stream';
    const headers = body === undefined ? authorization : { ...authorization, 'content-type': type };
    const isPaced = body instanceof Uint8Array && up?.limit != null;
    const extra = (isPaced ? extraMs(up.limit, body.length) : 0) + extraMs(down?.limit, fetched);
    try {
      const init = {
        method,
        headers,
        ...(body !== undefined && { body: isPaced ? up.paced(body) : (body as Uint8Array<ArrayBuffer>) }),
        ...(extra > 0 && { extraMs: extra }),
      };
      return await options.request(`${base}${path}`, init);
    } catch (error) {
      throw new FieldbookError('peer_unreachable', `Nobody answers at ${options.url}.`, { cause: error });
    }
  };
  return {
    async about() {
      const response = await ask('GET', '/device');
      if (response.status !== 200) throw await refusal(response);
      const { replica, losses } = (await response.json()) as { replica?: unknown; losses?: unknown };
      if (typeof replica !== 'string')
        throw new FieldbookError('peer_unreachable', `${options.url} is no Fieldbook program.`);
      // Programs of before do not count them.
      return { replica, losses: typeof losses === 'number' ? losses : 0 };
    },
    async missing(digests) {
      const response = await ask('POST', '/blobs/missing', JSON.stringify({ digests }));
      if (response.status !== 200) throw await refusal(response);
      return ((await response.json()) as { missing: BlobDigest[] }).missing;
    },
    async prove(digest, nonce) {
      const response = await ask('POST', '/blobs/prove', JSON.stringify({ digest, nonce }));
      // Absent, damaged, or a program of before proofs.
      if ([404, 405, 422].includes(response.status)) return undefined;
      if (response.status !== 200) throw await refusal(response);
      const { proof } = (await response.json()) as { proof?: unknown };
      return typeof proof === 'string' ? proof : undefined;
    },
    async get(digest) {
      const response = await ask('GET', `/blobs/${digest}`, undefined, LIMITS.blobBytes);
      if (response.status === 404) return undefined;
      if (response.status !== 200) throw await refusal(response);
      if (down?.limit == null || response.body == null) return new Uint8Array(await response.arrayBuffer());
      return await whole(down.paced(response.body), options.url);
    },
    async put(digest, bytes) {
      const response = await ask('PUT', `/blobs/${digest}`, bytes);
      if (response.status !== 200) throw await refusal(response);
    },
  };
}

/** All pieces in one. Throws `peer_unreachable` when they break off, `too_large` when there are more than a blob has. */
async function whole(pieces: AsyncIterable<Uint8Array>, url: string): Promise<Uint8Array> {
  const kept: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const piece of pieces) {
      kept.push(piece);
      size += piece.length;
      if (size > LIMITS.blobBytes) throw new FieldbookError('too_large', `${url} sent more than a blob may have.`);
    }
  } catch (error) {
    if (error instanceof FieldbookError) throw error;
    throw new FieldbookError('peer_unreachable', `${url} broke off.`, { cause: error });
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const piece of kept) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

async function refusal(response: { status: number; json(): Promise<unknown> }): Promise<FieldbookError> {
  const body = (await response.json().catch(() => undefined)) as { error?: { message?: string } } | undefined;
  const code =
    response.status === 401
      ? 'unauthorized'
      : response.status === 403
        ? 'forbidden'
        : response.status === 507
          ? 'disk_full'
          : 'peer_unreachable';
  return new FieldbookError(code, body?.error?.message ?? `The other side answered ${response.status}.`);
}
