import { FieldbookError } from '../../errors.ts';
import type { BlobDigest } from '../../ports.ts';
import type { ApiContext } from '../context.ts';
import { json } from '../http.ts';
import type { ApiActions, EvictRequest } from '../options.ts';
import type { Route } from '../route.ts';
import { array, object, orNull } from '../schema.ts';

const digest = { type: 'string', pattern: '^[0-9a-f]{64}$' } as const;
const count = { type: 'integer', minimum: 0 } as const;
const text = { type: 'string' } as const;
/** A replica more for everybody on earth would not be enough for who asks for more. */
const REPLICAS_MAX = 100;
/** Each may be 64 MiB to fetch; whoever repairs more asks again. */
const REPAIR_MAX = 64;

/** What an owner does for the blobs of a machine: remove what others hold, check, repair. */
export function blobCareRoutes({ actions, presence }: ApiContext): Route[] {
  const needed = (): ApiActions => {
    if (actions === undefined)
      throw new FieldbookError('not_supported', 'Only an agent can do this for its own machine.');
    return actions;
  };
  return [
    {
      id: 'evict',
      method: 'POST',
      path: '/evict',
      summary: 'Remove local bytes of files that enough other replicas prove to hold',
      needs: 'owner',
      body: {
        description: 'Which files.',
        schema: object(
          {
            olderThanMs: orNull({ ...count, description: 'Only what is older.' }),
            keepBytes: orNull({ ...count, description: 'So much of the newest stays.' }),
            replicas: { type: 'integer', minimum: 1, maximum: REPLICAS_MAX },
            points: { type: 'boolean', description: 'Points too.' },
            dryRun: { type: 'boolean', description: 'Everything but the removal.' },
          },
          ['olderThanMs', 'keepBytes', 'replicas', 'points', 'dryRun'],
        ),
      },
      answers: [
        {
          status: 200,
          description: 'What was removed and what stays, with the reason.',
          schema: object({
            dryRun: { type: 'boolean' },
            evicted: array(object({ run: text, path: text, size: count })),
            bytes: count,
            kept: array(object({ run: text, path: text, size: count, reason: text })),
            replicas: array(text),
          }),
        },
      ],
      handle: async ({ body }) => {
        const request = { olderThanMs: null, keepBytes: null, replicas: 1, points: false, dryRun: false };
        const evicted = await needed().evict({ ...request, ...(body as Partial<EvictRequest>) });
        presence.forget();
        return json(200, evicted);
      },
    },
    {
      id: 'checkBlobs',
      method: 'POST',
      path: '/blobs/check',
      summary: 'Read and hash blobs for a few seconds; again with `after` until `next` is null',
      needs: 'owner',
      body: { description: 'Where to begin.', schema: object({ after: orNull(digest) }, ['after']) },
      answers: [
        {
          status: 200,
          description: 'What was found.',
          schema: object({ checked: count, bytes: count, corrupt: array(digest), next: orNull(digest) }),
        },
      ],
      handle: async ({ body }) => json(200, await needed().checkBlobs((body as { after?: string | null }).after ?? '')),
    },
    {
      id: 'findIncomplete',
      method: 'POST',
      path: '/blobs/incomplete',
      summary: 'Files and points that ought to be here and are not, or not whole',
      needs: 'owner',
      body: { description: 'Nothing.', schema: object({}) },
      answers: [
        {
          status: 200,
          description: 'What is missing.',
          schema: object({ incomplete: array(object({ run: text, path: text, missing: array(digest) })) }),
        },
      ],
      handle: async () => json(200, { incomplete: await needed().findIncomplete() }),
    },
    {
      id: 'repairBlobs',
      method: 'POST',
      path: '/blobs/repair',
      summary: 'Set damaged blobs aside and fetch these from other replicas',
      needs: 'owner',
      body: { description: 'Which.', schema: object({ digests: { ...array(digest), maxItems: REPAIR_MAX } }) },
      answers: [
        {
          status: 200,
          description: 'What became of them.',
          schema: object({ repaired: array(digest), failed: array(digest), setAside: count, swept: count }),
        },
      ],
      handle: async ({ body }) => {
        const repaired = await needed().repairBlobs((body as { digests: BlobDigest[] }).digests);
        presence.forget();
        return json(200, repaired);
      },
    },
  ];
}
