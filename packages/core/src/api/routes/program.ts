import { Workspace } from '../../documents/index.ts';
import { FieldbookError } from '../../errors.ts';
import { parseWorkspaceId, WORKSPACE_DOCUMENT } from '../../ids.ts';
import { BANDWIDTH_MIN, LIMITS } from '../../limits.ts';
import type { ApiContext } from '../context.ts';
import { json } from '../http.ts';
import type { ApiActions, DeviceInfo } from '../options.ts';
import { onlyHereRoute } from './only-here.ts';
import { unsharedRoute } from './unshared.ts';
import type { Route } from '../route.ts';
import { object, orNull, ref } from '../schema.ts';

/** The version of the HTTP API, which is also in its path. */
export const API_VERSION = 'v1';

/** What this program is, what it shares and with whom. */
export function programRoutes(context: ApiContext): Route[] {
  const { replica, author, program, role, sync } = context;
  return [
    {
      id: 'getDevice',
      method: 'GET',
      path: '/device',
      summary: 'Who answers here',
      needs: 'viewer',
      answers: [{ status: 200, description: 'The program and its device.', schema: ref('Device') }],
      handle: async ({ request }) => {
        const info: DeviceInfo = {
          device: replica.device,
          replica: replica.id,
          role,
          by: author.by,
          program: program.name,
          version: program.version,
          api: API_VERSION,
          access: request.access.role,
          ...(context.losses !== undefined && { losses: context.losses() }),
        };
        return json(200, info);
      },
    },
    {
      id: 'getWorkspace',
      method: 'GET',
      path: '/workspace',
      summary: 'The workspace, its devices and its books',
      needs: 'viewer',
      answers: [{ status: 200, description: 'The workspace.', schema: ref('Workspace') }],
      handle: async () => {
        const info = await context.workspace();
        const listed = await replica.read(WORKSPACE_DOCUMENT, (doc) => {
          const workspace = new Workspace(doc);
          return {
            name: workspace.name() ?? info.name,
            devices: workspace
              .devices()
              .map(({ device, role: deviceRole, name, created }) => ({ device, role: deviceRole, name, created })),
            books: workspace.books(),
          };
        });
        return json(200, { id: info.id, private: info.private, ...listed });
      },
    },
    {
      id: 'offerWorkspace',
      method: 'POST',
      path: '/workspace',
      summary: 'Make a workspace that of this machine, which belongs to nobody else’s yet',
      needs: 'member',
      body: {
        description: 'The workspace of who asks, who joins this machine next.',
        schema: object({ id: { type: 'string', maxLength: 64 }, name: orNull({ type: 'string', maxLength: 512 }) }, [
          'name',
        ]),
      },
      answers: [
        {
          status: 200,
          description: 'It is so.',
          schema: object({ id: { type: 'string' }, private: { type: 'boolean' } }),
        },
      ],
      handle: async ({ body }) => {
        const { id, name = null } = body as { id: string; name?: string | null };
        await neededActions(context).adopt(parseWorkspaceId(id), name);
        return json(200, { id, private: false });
      },
    },
    {
      id: 'getSync',
      method: 'GET',
      path: '/sync',
      summary: 'What is where: peers, what waits for them, and why',
      needs: 'viewer',
      answers: [{ status: 200, description: 'The state now.', schema: ref('Sync') }],
      handle: async () => json(200, await sync.state()),
    },
    {
      id: 'getHealth',
      method: 'GET',
      path: '/health',
      summary: 'What the store holds, and what is wrong with it',
      needs: 'viewer',
      whole: true,
      answers: [{ status: 200, description: 'The state now.', schema: ref('Health') }],
      handle: async () => {
        const quarantined: string[] = [];
        let documents = 0;
        let bytes = 0;
        for await (const info of replica.list()) {
          documents += 1;
          bytes += info.size;
          if (info.quarantined) quarantined.push(info.name);
        }
        const journals = context.journals?.() ?? null;
        const files = context.files?.() ?? null;
        return json(200, { documents, bytes, quarantined, clockAheadMs: author.hybrid.skewMs, journals, files });
      },
    },
    ...actionRoutes(context),
    onlyHereRoute(context),
    unsharedRoute(context),
  ];
}

const url = { type: 'string', minLength: 1, maxLength: 2_048 } as const;
const bytesPerS = orNull({ type: 'integer', minimum: BANDWIDTH_MIN });

function neededActions({ actions }: ApiContext): ApiActions {
  if (actions === undefined)
    throw new FieldbookError('not_supported', 'Only an agent can do this; a relay is joined by agents.');
  return actions;
}

function actionRoutes(context: ApiContext): Route[] {
  const needed = (): ApiActions => neededActions(context);
  return [
    {
      id: 'join',
      method: 'POST',
      path: '/join',
      summary: 'Share everything on this machine with a relay’s workspace',
      needs: 'owner',
      body: {
        description: 'The relay. The token goes here, never into the URL.',
        schema: object({ url, token: orNull({ type: 'string', maxLength: 256 }), bytesPerS }, ['token', 'bytesPerS']),
      },
      answers: [{ status: 200, description: 'Connected.', schema: ref('Peer') }],
      handle: async ({ body }) => json(200, await needed().join({ token: null, ...(body as { url: string }) })),
    },
    {
      id: 'leave',
      method: 'POST',
      path: '/leave',
      summary: 'Stop exchanging with a relay; nothing is deleted on either side',
      needs: 'owner',
      body: { description: 'Which relay; null for the only one.', schema: object({ url: orNull(url) }, ['url']) },
      answers: [{ status: 200, description: 'Whether it was joined.', schema: object({ left: { type: 'boolean' } }) }],
      handle: async ({ body }) =>
        json(200, { left: await needed().leave({ url: null, ...(body as { url?: string }) }) }),
    },
    {
      id: 'pauseSync',
      method: 'POST',
      path: '/sync/pause',
      summary: 'Stop or resume the exchange with a relay, also over restarts',
      needs: 'owner',
      body: { description: 'Which relay.', schema: object({ url, paused: { type: 'boolean' } }) },
      answers: [{ status: 200, description: 'It is so.', schema: ref('Peer') }],
      handle: async ({ body }) => json(200, await needed().pause(body as { url: string; paused: boolean })),
    },
    {
      id: 'limitSync',
      method: 'POST',
      path: '/sync/limit',
      summary: 'Set how much may be sent to a relay and fetched from it, also over restarts',
      needs: 'owner',
      body: {
        description: 'Which relay, and bytes per second in each direction; null for as much as there is.',
        schema: object({ url, bytesPerS }),
      },
      answers: [{ status: 200, description: 'It is so.', schema: ref('Peer') }],
      handle: async ({ body }) => json(200, await needed().limit(body as { url: string; bytesPerS: number | null })),
    },
    {
      id: 'retrySync',
      method: 'POST',
      path: '/sync/retry',
      summary: 'Try all relays again now',
      needs: 'owner',
      body: { description: 'Nothing.', schema: object({}) },
      answers: [{ status: 200, description: 'They are tried.', schema: ref('Sync') }],
      handle: async () => {
        await needed().retry();
        return json(200, await context.sync.state());
      },
    },
    {
      id: 'demo',
      method: 'POST',
      path: '/demo',
      summary: 'Load the recorded example runs',
      needs: 'owner',
      body: { description: 'Nothing.', schema: object({}) },
      answers: [
        {
          status: 200,
          description: 'They are here.',
          schema: object({ project: { type: 'string' }, runs: { type: 'integer' } }),
        },
      ],
      handle: async () => json(200, await needed().demo()),
    },
    {
      id: 'drain',
      method: 'POST',
      path: '/drain',
      summary: 'Wait until everything in the journals is taken in and durable',
      needs: 'owner',
      body: { description: 'Nothing.', schema: object({}) },
      answers: [{ status: 200, description: 'It is.', schema: object({ drained: { type: 'boolean' } }) }],
      handle: async () => {
        await needed().drain();
        return json(200, { drained: true });
      },
    },
  ];
}

/** `GET /query/parse`: what the query language makes of a text. */
export function queryRoutes(context: ApiContext): Route[] {
  return [
    {
      id: 'parseQuery',
      method: 'GET',
      path: '/query/parse',
      summary: 'What a query means, or where it is wrong',
      needs: 'viewer',
      inQuery: {
        q: { description: 'The query.', schema: { type: 'string', maxLength: LIMITS.queryLength, default: '' } },
      },
      answers: [
        {
          status: 200,
          description: 'The query in its canonical form, and its tree.',
          schema: object({ canonical: { type: 'string' }, query: { type: ['object', 'null'] } }),
        },
      ],
      handle: async ({ query }) => json(200, context.tables.parse(query['q'] as string)),
    },
  ];
}
