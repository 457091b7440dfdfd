import { FieldbookError } from '../../errors.ts';
import type { RunId } from '../../ids.ts';
import { parseDocumentName } from '../../ids.ts';
import type { ApiContext } from '../context.ts';
import { json } from '../http.ts';
import type { Route } from '../route.ts';
import { array, object } from '../schema.ts';

/** Runs named one by one; the rest is counted. */
const NAMED = 10_000;
/** Documents looked at: asked for again and again while a relay is away, this must stay cheap however much has piled up. */
const LOOKED_AT = 200_000;

const count = { type: 'integer', minimum: 0 } as const;
const text = { type: 'string' } as const;

/** Which runs no relay is known to have as they are now: what a page marks, without a look into any document. */
export function unsharedRoute(context: ApiContext): Route {
  return {
    id: 'getUnshared',
    method: 'GET',
    path: '/sync/unshared',
    summary: 'Runs whose last change no relay is known to have; cheap, and without their files',
    needs: 'viewer',
    whole: true,
    inQuery: {
      through: {
        description: 'Only what was last changed by the commit of this seq or before; what came since is on its way.',
        schema: { ...count, maximum: Number.MAX_SAFE_INTEGER },
      },
    },
    answers: [
      {
        status: 200,
        description: 'What was found.',
        schema: object({
          runs: array(text, 'The first of them, by id.'),
          runCount: count,
          projects: array(
            object({ project: text, runs: count, changes: { type: 'boolean' } }),
            'Projects with such runs, or with cards or edits (`changes`) that no relay is known to have.',
          ),
          complete: { type: 'boolean', description: 'False when there was more than could be looked at.' },
        }),
      },
    ],
    handle: async ({ query }) =>
      json(200, await look(context, (query['through'] as number | undefined) ?? Number.MAX_SAFE_INTEGER)),
  };
}

async function look({ sync, library }: ApiContext, through: number): Promise<object> {
  if (sync.lacking === undefined)
    throw new FieldbookError('not_supported', 'Only an agent knows this; a relay is where others look.');
  const documents = await sync.lacking(through, LOOKED_AT);
  const projects = new Map<string, { runs: number; changes: boolean }>();
  const of = (project: string): { runs: number; changes: boolean } => {
    const there = projects.get(project) ?? { runs: 0, changes: false };
    projects.set(project, there);
    return there;
  };
  const runs: RunId[] = [];
  for (const name of documents) {
    const parsed = parseDocumentName(name);
    if (parsed.kind === 'book') of(parsed.project).changes = true;
    if (parsed.kind === 'run') runs.push(parsed.run);
  }
  const owners = await library.projectsOf(runs);
  for (const project of owners.values()) of(project).runs += 1;
  return {
    runs: runs.slice(0, NAMED),
    runCount: runs.length,
    projects: [...projects].map(([project, each]) => ({ project, ...each })),
    complete: documents.size < LOOKED_AT,
  };
}
