import { FieldbookError } from '../../errors.ts';
import { parseProjectId } from '../../ids.ts';
import type { ApiContext } from '../context.ts';
import { json } from '../http.ts';
import type { Route } from '../route.ts';
import { array, object, ref } from '../schema.ts';
import { PROJECT } from './runs.ts';

export function projectRoutes({ library }: ApiContext): Route[] {
  return [
    {
      id: 'listProjects',
      method: 'GET',
      path: '/projects',
      summary: 'All projects, the most recently changed first',
      needs: 'viewer',
      answers: [{ status: 200, description: 'The projects.', schema: object({ projects: array(ref('Project')) }) }],
      handle: async () => json(200, { projects: await library.projects() }),
    },
    {
      id: 'getDigest',
      method: 'GET',
      path: '/projects/{project}/digest',
      summary: 'The digest of everything a project shows: replicas that hold the same records have the same digest',
      needs: 'viewer',
      inPath: { project: PROJECT },
      answers: [
        {
          status: 200,
          description: 'SHA-256 over the canonical folded states of all runs.',
          schema: object({ project: { type: 'string' }, digest: { type: 'string' } }),
        },
      ],
      handle: async ({ path }) => {
        const project = parseProjectId(path['project']!);
        const digest = await library.digest(project);
        if (digest === undefined) throw new FieldbookError('not_found', `There is no project ${project} here.`);
        return json(200, { project, digest });
      },
    },
  ];
}
