import type { ApiContext } from '../context.ts';
import { json } from '../http.ts';
import type { Route } from '../route.ts';
import { array, object, ref } from '../schema.ts';

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
  ];
}
