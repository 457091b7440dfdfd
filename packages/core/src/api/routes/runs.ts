import { RunDocument } from '../../documents/index.ts';
import { FieldbookError } from '../../errors.ts';
import { bookName, monthOf, parseProjectId, runDocumentName } from '../../ids.ts';
import { LIMITS } from '../../limits.ts';
import type { ApiContext } from '../context.ts';
import { makeCursor, readCursor } from '../cursor.ts';
import type { ApiResponse } from '../http.ts';
import { json } from '../http.ts';
import type { Parameter, Route } from '../route.ts';
import type { Schema } from '../schema.ts';
import { array, object, orNull, ref } from '../schema.ts';
import { runPlacesRoute } from './run-places.ts';
import { editView, runDetail, runRow, runView } from '../views.ts';

/** One answer; more come by cursor. 1,000 runs of 40 attributes are about 2 MB. */
const PAGE_MAX = 1_000;
const PAGE = 100;

export const PROJECT: Parameter = {
  description: 'A project id.',
  schema: { type: 'string', minLength: 1, maxLength: LIMITS.projectIdLength },
};
export const RUN: Parameter = {
  description: 'A run: its id, the beginning of its id (4 characters or more), or its name, when only one run has it.',
  schema: { type: 'string', minLength: 1, maxLength: LIMITS.nameBytes },
};
/** Narrows a run reference, which may otherwise be ambiguous. */
export const IN_PROJECT: Parameter = { ...PROJECT, description: 'Look in this project only.' };

const LIST: Readonly<Record<string, Parameter>> = {
  q: {
    description: 'A query, as in docs/query.md. Trashed runs are left out unless it says `trashed`.',
    schema: { type: 'string', maxLength: LIMITS.queryLength, default: '' },
  },
  sort: {
    description: 'Columns, the most important first; `-` before one means descending: `-val/acc.max,name`.',
    schema: { type: 'string', maxLength: 2_048, default: '-created' },
  },
  group: {
    description: 'Columns to group by; the answer has `groups` besides the runs.',
    schema: { type: 'string', maxLength: 2_048 },
  },
  aggregate: {
    description: 'Columns to summarise in each group; `:min` or `:max` also names the best run: `val/loss.min:min`.',
    schema: { type: 'string', maxLength: 2_048, default: '' },
  },
  zone: {
    description: 'Minutes east of UTC, for dates of the query that name no zone.',
    schema: { type: 'integer', minimum: -1_440, maximum: 1_440, default: 0 },
  },
  columns: {
    description: 'Columns to show as `values` instead of all attributes and metrics; empty for none.',
    schema: { type: 'string', maxLength: 16_384 },
  },
  limit: {
    description: 'Runs in one answer.',
    schema: { type: 'integer', minimum: 1, maximum: PAGE_MAX, default: PAGE },
  },
  cursor: { description: '`next` of the answer before this one.', schema: { type: 'string', maxLength: 512 } },
};

/** What a body may leave out. */
const DEFAULTS = Object.fromEntries(
  Object.entries(LIST).flatMap(([name, { schema }]) => (schema.default === undefined ? [] : [[name, schema.default]])),
);

const page: Schema = object({
  total: { type: 'integer', minimum: 0, description: 'Runs that match, on all pages.' },
  runs: array({ anyOf: [ref('Run'), ref('RunRow')] }),
  groups: orNull(array(ref('Group'), 'All that match, on all pages.')),
  unknown: array({ type: 'string' }, 'Paths of the query that no run has: most often mistyped.'),
  next: orNull({ type: 'string', description: 'The cursor of the next page; null on the last.' }),
});

export function runRoutes(context: ApiContext): Route[] {
  const list = async (project: string, query: Readonly<Record<string, unknown>>): Promise<ApiResponse> =>
    json(200, await listRuns(context, project, query));
  return [
    {
      id: 'listRuns',
      method: 'GET',
      path: '/projects/{project}/runs',
      summary: 'Runs of a project that match a query, in pages',
      needs: 'viewer',
      inPath: { project: PROJECT },
      inQuery: LIST,
      answers: [{ status: 200, description: 'One page.', schema: page }],
      handle: ({ path, query }) => list(path['project']!, query),
    },
    {
      id: 'queryRuns',
      method: 'POST',
      path: '/projects/{project}/runs/query',
      summary: 'The same, for queries too long for a URL',
      needs: 'viewer',
      inPath: { project: PROJECT },
      body: {
        description: 'What `listRuns` takes as parameters.',
        schema: object(
          Object.fromEntries(
            Object.entries(LIST).map(([name, { schema, description }]) => [name, { ...schema, description }]),
          ),
          Object.keys(LIST),
        ),
      },
      answers: [{ status: 200, description: 'One page.', schema: page }],
      handle: ({ path, body }) => list(path['project']!, { ...DEFAULTS, ...(body as object) }),
    },
    {
      id: 'getRun',
      method: 'GET',
      path: '/runs/{run}',
      summary: 'Everything about one run',
      needs: 'viewer',
      inPath: { run: RUN },
      inQuery: { project: IN_PROJECT },
      answers: [{ status: 200, description: 'The run.', schema: ref('RunDetail') }],
      handle: async ({ path, query }) => {
        const state = await context.findRun(path['run']!, query['project'] as string | undefined);
        const elsewhere = (await context.follow?.bring(state.id)) ?? null;
        const document = runDocumentName(state.id);
        const entries = await context.replica.read(document, (doc) =>
          [...new RunDocument(doc).entries()].map(([, entry]) => entry),
        );
        const holders = await holdersOf(context, [document, bookName(state.project, monthOf(state.created))]);
        return json(200, runDetail(state, entries, holders, elsewhere));
      },
    },
    runPlacesRoute(context),
    {
      id: 'getHistory',
      method: 'GET',
      path: '/runs/{run}/history',
      summary: 'Every edit of a run, oldest first',
      needs: 'viewer',
      inPath: { run: RUN },
      inQuery: { project: IN_PROJECT },
      answers: [
        {
          status: 200,
          description: 'The edits.',
          schema: object({ run: { type: 'string' }, edits: array(ref('Edit')) }),
        },
      ],
      handle: async ({ path, query }) => {
        const state = await context.findRun(path['run']!, query['project'] as string | undefined);
        const edits = await context.library.history(state.project, state.id);
        return json(200, { run: state.id, edits: edits.map(editView) });
      },
    },
  ];
}

async function listRuns(
  context: ApiContext,
  projectId: string,
  query: Readonly<Record<string, unknown>>,
): Promise<object> {
  const project = parseProjectId(projectId);
  if (!(await context.library.has(project)))
    throw new FieldbookError('not_found', `There is no project "${project}" here.`);
  const { q, sort, limit, zone, aggregate } = query as Record<'q' | 'sort' | 'aggregate', string> &
    Record<'limit' | 'zone', number>;
  const group = (query['group'] as string | undefined) ?? null;
  const columns = query['columns'] as string | undefined;
  const listing = await context.tables.list(project, { q, sort, group, aggregate, zone });
  const asked = `${project}\n${q}\n${sort}`;
  const start = readCursor(query['cursor'] as string | undefined, asked, listing.rows);
  const ids = listing.rows.slice(start, start + limit);
  const names =
    columns === undefined
      ? null
      : columns
          .split(',')
          .map((name) => name.trim())
          .filter((name) => name !== '');
  const values = names === null ? null : listing.values(ids, names);
  const runs: object[] = [];
  for (const [index, id] of ids.entries()) {
    const state = await context.library.run(project, id);
    if (state === undefined) continue;
    if (names === null || values === null) runs.push(runView(state));
    else runs.push(runRow(state, Object.fromEntries(names.map((name, column) => [name, values[index]![column]]))));
  }
  return {
    total: listing.rows.length,
    runs,
    groups: listing.groups,
    unknown: listing.unknown,
    next: start + limit < listing.rows.length ? makeCursor(asked, start + limit, ids.at(-1)!) : null,
  };
}

/** Peers that hold every one of the documents as it is here. */
async function holdersOf(
  context: ApiContext,
  documents: readonly ReturnType<typeof runDocumentName>[],
): Promise<string[]> {
  let common: string[] | undefined;
  for (const document of documents) {
    const holders = await context.sync.holders(document);
    common = common === undefined ? [...holders] : common.filter((url) => holders.includes(url));
  }
  return common ?? [];
}
