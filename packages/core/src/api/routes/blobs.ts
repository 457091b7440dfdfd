import { FieldbookError } from '../../errors.ts';
import { LIMITS } from '../../limits.ts';
import type { BlobDigest, BlobStore } from '../../ports.ts';
import { parseDigest } from '../../record/index.ts';
import { proofOf } from '../../replication/proof.ts';
import type { ApiContext } from '../context.ts';
import type { ApiRequest, ApiResponse } from '../http.ts';
import { json } from '../http.ts';
import type { BodyRange } from '../range.ts';
import { noneMatch, parseRange } from '../range.ts';
import type { Call, Parameter, Route } from '../route.ts';
import { array, object } from '../schema.ts';

const DIGEST: Parameter = {
  description: 'Lower-case hexadecimal SHA-256.',
  schema: { type: 'string', pattern: '^[0-9a-f]{64}$' },
};

/** As long as a digest: nobody has the answer to a question that was never asked before. */
const NONCE: Parameter = {
  description: '32 random bytes of the asker, in lower-case hexadecimal.',
  schema: { type: 'string', pattern: '^[0-9a-f]{64}$' },
};

const FROM: Parameter = {
  description: '`anywhere`: when it is not here, ask other replicas for it and keep it.',
  schema: { type: 'string', enum: ['here', 'anywhere'], default: 'here' },
};

/** Two hundred segments are a day of a busy machine; more go in more requests. */
const DIGESTS_MAX = 1_000;

/** What is in memory of a blob that somebody reads. */
const PART = 256 * 1024;

export function blobRoutes({ blobs, fetching, sha256 }: ApiContext): Route[] {
  const sendParts = async (
    status: number,
    headers: Readonly<Record<string, string>>,
    digest: BlobDigest,
    range: BodyRange,
    request: ApiRequest,
  ): Promise<ApiResponse> => {
    const size = range.end - range.start;
    await request.hold?.(Math.min(size, PART));
    const body = size <= PART ? await partOf(blobs, digest, range) : partsOf(blobs, digest, range);
    return { status, headers: { ...headers, 'content-length': String(size) }, body };
  };
  const get = async ({ path, query, request }: Call): Promise<ApiResponse> => {
    const digest = parseDigest(path['digest']!);
    let stat = await blobs.stat(digest);
    // Replicas ask each other without it: a question would go round for ever.
    if (stat === undefined && query['from'] === 'anywhere' && (await fetching?.read(digest)) !== undefined)
      stat = await blobs.stat(digest);
    if (stat === undefined) throw absent(digest);
    const headers = {
      'content-type': 'application/octet-stream',
      // The name is the content: it can never become stale.
      'cache-control': 'private, max-age=31536000, immutable',
      etag: `"${digest}"`,
      'accept-ranges': 'bytes',
    };
    if (request.method === 'HEAD')
      return { status: 200, headers: { ...headers, 'content-length': String(stat.size) }, body: null };
    if (noneMatch(request.headers['if-none-match'], headers.etag)) return { status: 304, headers, body: null };
    const range = parseRange(request.headers['range'], stat.size);
    if (range === 'unsatisfiable')
      return { status: 416, headers: { 'content-range': `bytes */${stat.size}` }, body: null };
    if (range !== undefined) {
      const part = { ...headers, 'content-range': `bytes ${range.start}-${range.end - 1}/${stat.size}` };
      return sendParts(206, part, digest, range, request);
    }
    // All of it is looked at before a byte is sent, and not kept for whoever reads slowly.
    await request.hold?.(stat.size);
    const bytes = await blobs.read(digest);
    if (bytes === undefined) throw absent(digest);
    if (bytes.length <= PART) return { status: 200, headers, body: bytes };
    return sendParts(200, headers, digest, { start: 0, end: bytes.length }, request);
  };
  const answers = [
    { status: 200, description: 'The bytes.', type: 'application/octet-stream' },
    { status: 206, description: 'The bytes of the range asked for.', type: 'application/octet-stream' },
  ];
  return [
    {
      id: 'missingBlobs',
      method: 'POST',
      path: '/blobs/missing',
      summary: 'Which of these blobs are not here',
      needs: 'viewer',
      body: {
        description: 'Digests to look for.',
        schema: object({ digests: { ...array(DIGEST.schema), maxItems: DIGESTS_MAX } }),
      },
      answers: [{ status: 200, description: 'The ones not here.', schema: object({ missing: array(DIGEST.schema) }) }],
      handle: async ({ body }) => {
        const { digests } = body as { digests: BlobDigest[] };
        const missing = [];
        for (const digest of new Set(digests)) if ((await blobs.stat(digest)) === undefined) missing.push(digest);
        return json(200, { missing });
      },
    },
    {
      id: 'proveBlob',
      method: 'POST',
      path: '/blobs/prove',
      summary: 'Prove that a blob is here: only who has every byte of it on disk now can answer',
      needs: 'viewer',
      body: {
        description: 'The blob, and what no answer of before can hold.',
        schema: object({ digest: DIGEST.schema, nonce: NONCE.schema }),
      },
      answers: [
        {
          status: 200,
          description: 'SHA-256 of the nonce’s bytes followed by the blob’s, read from disk for this answer.',
          schema: object({ proof: DIGEST.schema }),
        },
      ],
      handle: async ({ body, request }) => {
        const { digest, nonce } = body as { digest: BlobDigest; nonce: string };
        await request.hold?.((await blobs.stat(digest))?.size ?? 0);
        const bytes = await blobs.read(digest);
        if (bytes === undefined) throw absent(digest);
        return json(200, { proof: await proofOf(sha256, nonce, bytes) });
      },
    },
    {
      id: 'getBlob',
      method: 'GET',
      path: '/blobs/{digest}',
      summary: 'A blob’s bytes; ranges work',
      needs: 'viewer',
      inPath: { digest: DIGEST },
      inQuery: { from: FROM },
      answers,
      handle: get,
    },
    {
      id: 'headBlob',
      method: 'HEAD',
      path: '/blobs/{digest}',
      summary: 'Whether a blob is here, and its size',
      needs: 'viewer',
      inPath: { digest: DIGEST },
      answers: [{ status: 200, description: 'It is.' }],
      handle: get,
    },
    {
      id: 'putBlob',
      method: 'PUT',
      path: '/blobs/{digest}',
      summary: 'Add a blob; again changes nothing',
      needs: 'contributor',
      inPath: { digest: DIGEST },
      body: {
        description: 'The bytes, whose SHA-256 must be the digest.',
        type: 'application/octet-stream',
        limit: LIMITS.blobBytes,
      },
      answers: [
        {
          status: 200,
          description: 'It is here, fsynced.',
          schema: object({ digest: DIGEST.schema, size: { type: 'integer' } }),
        },
      ],
      handle: async ({ path, body }) => {
        const bytes = body as Uint8Array;
        const digest = await blobs.write(bytes, parseDigest(path['digest']!));
        return json(200, { digest, size: bytes.length });
      },
    },
  ];
}

async function partOf(blobs: BlobStore, digest: BlobDigest, range: BodyRange): Promise<Uint8Array> {
  const bytes = await blobs.read(digest, range);
  // Gone, or cut short, since it was looked at.
  if (bytes?.length !== range.end - range.start) throw absent(digest);
  return bytes;
}

/** The bytes as somebody takes them. */
async function* partsOf(blobs: BlobStore, digest: BlobDigest, { start, end }: BodyRange): AsyncGenerator<Uint8Array> {
  for (let at = start; at < end; at += PART)
    yield await partOf(blobs, digest, { start: at, end: Math.min(end, at + PART) });
}

function absent(digest: BlobDigest): FieldbookError {
  return new FieldbookError('blob_missing', `The blob ${digest} is not here.`);
}
