import { FieldbookError } from '../../errors.ts';
import type { RunId } from '../../ids.ts';
import { parseDocumentName, parseProjectId } from '../../ids.ts';
import { LIMITS } from '../../limits.ts';
import type { ApiContext } from '../context.ts';
import { json } from '../http.ts';
import type { FollowSettings, FollowSource } from '../options.ts';
import type { Route } from '../route.ts';
import { object, ref } from '../schema.ts';
import { IN_PROJECT, RUN } from './runs.ts';

const PROJECTS_MAX = 10_000;

/** What an agent takes of what others have. */
export function followRoutes(context: ApiContext): Route[] {
  const needed = (): FollowSource => {
    if (context.follow === undefined)
      throw new FieldbookError('not_supported', 'Only an agent can do this; a relay takes everything.');
    return context.follow;
  };
  return [
    {
      id: 'getFollow',
      method: 'GET',
      path: '/follow',
      summary: 'What this machine takes of what others have, and how much is elsewhere',
      needs: 'viewer',
      answers: [{ status: 200, description: 'As it is now.', schema: ref('Follow') }],
      handle: async () => json(200, await needed().state()),
    },
    {
      id: 'setFollow',
      method: 'POST',
      path: '/follow',
      summary: 'Take more or less of what others have, also over restarts; nothing that is here goes away',
      needs: 'owner',
      body: {
        description: 'What to take from now on.',
        schema: object({
          projects: {
            anyOf: [
              { type: 'string', enum: ['all'] },
              {
                type: 'array',
                items: { type: 'string', minLength: 1, maxLength: LIMITS.projectIdLength },
                maxItems: PROJECTS_MAX,
              },
            ],
          },
          runDocuments: { type: 'string', enum: ['all', 'on-demand'] },
        }),
      },
      answers: [{ status: 200, description: 'It is so.', schema: ref('Follow') }],
      handle: async ({ body }) => {
        const { projects, runDocuments } = body as FollowSettings;
        const parsed = projects === 'all' ? projects : [...new Set(projects.map(parseProjectId))];
        await needed().change({ projects: parsed, runDocuments });
        return json(200, await needed().state());
      },
    },
    {
      id: 'pinRun',
      method: 'POST',
      path: '/runs/{run}/pin',
      summary: 'Keep what a run recorded on this machine, whatever it follows; or no longer',
      needs: 'owner',
      inPath: { run: RUN },
      inQuery: { project: IN_PROJECT },
      body: { description: 'Whether.', schema: object({ pinned: { type: 'boolean' } }) },
      answers: [
        {
          status: 200,
          description: 'It is so; it comes as soon as who has it can be reached.',
          schema: object({ run: { type: 'string' }, pinned: { type: 'boolean' } }),
        },
      ],
      handle: async ({ path, query, body }) => {
        const follow = needed();
        const { id } = await context.findRun(path['run']!, query['project'] as string | undefined);
        const { pinned } = body as { pinned: boolean };
        await follow.pin(id, pinned);
        return json(200, { run: id, pinned });
      },
    },
  ];
}

/** Brings what a run recorded here when it is elsewhere. Throws `not_here`, which says where it is. */
export async function bringRun({ follow }: Pick<ApiContext, 'follow'>, run: RunId): Promise<void> {
  const elsewhere = await follow?.bring(run);
  if (elsewhere === undefined || elsewhere === null) return;
  const { message, peers } = elsewhere;
  throw new FieldbookError('not_here', message, { details: { run, peers } });
}

/** The same for a document by its name, when it is one of a run's. */
export async function bringDocument(context: Pick<ApiContext, 'follow'>, name: string): Promise<void> {
  const parsed = parseDocumentName(name);
  if (parsed.kind === 'run') await bringRun(context, parsed.run);
  // Most runs have none, so that one which does not come is no failure.
  else if (parsed.kind === 'note') await context.follow?.bring(parsed.run);
}
