import type { BundleManifest, BundlePlan, BundleRequest, BundleRun, BundleScope } from '../../bundle/index.ts';
import { importBundle, planBundle, writeBundle } from '../../bundle/index.ts';
import { Workspace } from '../../documents/index.ts';
import { FieldbookError } from '../../errors.ts';
import type { RunState } from '../../fold/index.ts';
import type { RunId } from '../../ids.ts';
import { parseProjectId, WORKSPACE_DOCUMENT } from '../../ids.ts';
import { LIMITS } from '../../limits.ts';
import type { ApiContext } from '../context.ts';
import { json } from '../http.ts';
import type { Call, Parameter, Route } from '../route.ts';
import { array, object, orNull } from '../schema.ts';
import { PROJECT } from './runs.ts';

export const BUNDLE_TYPE = 'application/vnd.fieldbook.bundle';
/** More than any disk that a bundle is carried on; the disk here is asked as it fills. */
const BUNDLE_BYTES = 2 ** 44;
/** Runs by id in an address. */
const RUNS_CHOSEN = 2_000;
const RUNS_TEXT = RUNS_CHOSEN * (LIMITS.runIdLength + 1);

const count = { type: 'integer', minimum: 0 } as const;
const text = { type: 'string' } as const;
const time = { type: 'number', description: 'ms since the epoch' } as const;

const WHICH: Readonly<Record<string, Parameter>> = {
  project: { ...PROJECT, description: 'Only this project; everything without it.' },
  q: {
    description: 'Only runs of the project that match this query; trashed ones only when it says `trashed`.',
    schema: { type: 'string', maxLength: LIMITS.queryLength },
  },
  runs: {
    description: 'Only these runs of the project, by id, comma-separated.',
    schema: { type: 'string', maxLength: RUNS_TEXT },
  },
  files: {
    description: 'With the files of the runs; points are always in.',
    schema: { type: 'boolean', default: true },
  },
};

const manifestSchema = object({
  program: text,
  created: time,
  by: text,
  device: text,
  deviceName: orNull(text),
  workspace: object({ id: text, name: orNull(text) }),
  scope: object(
    { kind: { type: 'string', enum: ['workspace', 'project', 'runs'] }, project: text, query: orNull(text) },
    ['project', 'query'],
  ),
  projects: array(object({ id: text, title: text, runs: count })),
  runCount: count,
  runs: array(object({ id: text, project: text, name: text, status: text, created: time }), 'The newest of them.'),
  documents: count,
  blobs: count,
  documentBytes: count,
  blobBytes: count,
  absentBlobs: { ...count, description: 'Blobs that the runs name and that are not here.' },
  keptBack: { ...count, description: 'Files that travel nowhere, by their script or this machine.' },
  damaged: count,
  withoutFiles: { type: 'boolean' },
});

const importedSchema = object({
  manifest: orNull(manifestSchema),
  bytes: count,
  documents: count,
  changed: { ...count, description: 'Documents that brought something new.' },
  purged: { ...count, description: 'Documents of runs that are purged here.' },
  refused: array(object({ name: text, code: text, message: text })),
  added: count,
  known: count,
  blobs: count,
  blobBytes: count,
  present: count,
  unwanted: count,
  noRoom: count,
});

/** Bundles: what a replica has as one file, and such a file taken in. */
export function bundleRoutes(context: ApiContext): Route[] {
  const platform = (): NonNullable<ApiContext['bundles']> => {
    if (context.bundles === undefined)
      throw new FieldbookError('not_supported', 'This program makes and reads no bundles.');
    return context.bundles;
  };
  return [
    {
      id: 'getBundle',
      method: 'GET',
      path: '/bundles',
      summary: 'Everything, a project, or chosen runs as one file; docs/formats/bundle.md',
      needs: 'viewer',
      inQuery: WHICH,
      answers: [
        {
          status: 200,
          description: 'The bundle, as it is made. `fieldbook-bundle-bytes` says about how large it gets.',
          type: BUNDLE_TYPE,
        },
      ],
      handle: async (call) => {
        const tools = platform();
        const { manifest, items } = await plan(context, call);
        return {
          status: 200,
          headers: {
            'content-type': BUNDLE_TYPE,
            'content-disposition': `attachment; filename="${fileName(manifest)}"`,
            'cache-control': 'no-store',
            'fieldbook-bundle-bytes': String(manifest.documentBytes + manifest.blobBytes),
          },
          body: writeBundle(tools, tools.random.bytes(16), manifest, items()),
        };
      },
    },
    {
      id: 'planBundle',
      method: 'GET',
      path: '/bundles/contents',
      summary: 'What `GET /bundles` with the same parameters would hold',
      needs: 'viewer',
      inQuery: WHICH,
      answers: [{ status: 200, description: 'What the bundle would say of itself.', schema: manifestSchema }],
      handle: async (call) => json(200, manifestView((await plan(context, call)).manifest)),
    },
    {
      id: 'importBundle',
      method: 'POST',
      path: '/bundles',
      summary: 'Take a bundle in; again changes nothing',
      needs: 'contributor',
      body: {
        description: 'The bundle. Taken in as it comes: what has arrived whole stays when the rest does not.',
        type: BUNDLE_TYPE,
        limit: BUNDLE_BYTES,
        streamed: true,
      },
      answers: [{ status: 200, description: 'All of it is taken in and durable.', schema: importedSchema }],
      handle: async ({ request }) => {
        if (request.stream === undefined)
          throw new FieldbookError('invalid_argument', `Send the bundle as the body, as ${BUNDLE_TYPE}.`);
        const { replica, blobs, library, presence, log } = context;
        const imported = await importBundle(
          platform(),
          {
            replica: request.access.gate?.guard(replica) ?? replica,
            blobs,
            isPurged: (run) => library.isPurged(run),
            // Whoever reaches an agent is its owner; a relay's members may not rebuild documents.
            rebuilds: context.role === 'agent',
          },
          request.stream,
        );
        presence.forget();
        const { manifest, ...told } = imported;
        log.info('bundle.imported', { bytes: told.bytes, changed: told.changed, added: told.added, blobs: told.blobs });
        return json(200, { ...told, manifest: manifest === null ? null : manifestView(manifest) });
      },
    },
  ];
}

async function plan(context: ApiContext, { query }: Call): Promise<BundlePlan> {
  const request = await requestOf(context, query);
  const { replica, blobs, author, program, clock } = context;
  const { id, name } = await context.workspace();
  const deviceName = await replica.read(
    WORKSPACE_DOCUMENT,
    (doc) => new Workspace(doc).devices().find(({ device }) => device === replica.device)?.name ?? null,
  );
  return planBundle({ replica, blobs, ...(context.travel !== undefined && { travel: context.travel }) }, request, {
    program: `${program.name}/${program.version}`,
    created: clock.now(),
    by: author.by,
    device: replica.device,
    deviceName,
    workspace: { id, name },
  });
}

async function requestOf(context: ApiContext, query: Readonly<Record<string, unknown>>): Promise<BundleRequest> {
  const { library, tables } = context;
  const {
    project: asked,
    q,
    runs: chosen,
    files,
  } = query as Record<'project' | 'q' | 'runs', string | undefined> & {
    files: boolean;
  };
  const titles = new Map((await library.projects()).map(({ id, title }) => [id as string, title]));
  const runs: BundleRun[] = [];
  const add = ({ id, project, name, status, created }: RunState): void =>
    void runs.push({ id, project, name, status, created });
  const rest = { titles, withoutFiles: !files };
  if (asked === undefined && context.scope !== null)
    throw new FieldbookError('forbidden', 'This token is for some projects; say of which one the bundle is to be.');
  if (asked === undefined) {
    if (q !== undefined || chosen !== undefined)
      throw new FieldbookError('invalid_argument', 'Runs are chosen within a project; say which.');
    for (const project of titles.keys()) await library.eachRun(parseProjectId(project), add);
    return { scope: { kind: 'workspace' }, runs, ...rest };
  }
  const project = parseProjectId(asked);
  if (!(await library.has(project))) throw new FieldbookError('not_found', `There is no project ${project} here.`);
  let scope: BundleScope;
  if (chosen !== undefined) {
    if (q !== undefined) throw new FieldbookError('invalid_argument', 'Choose runs by a query or by ids, not by both.');
    scope = { kind: 'runs', project, query: null };
    const ids = chosen.split(',').filter((id) => id !== '');
    if (ids.length > RUNS_CHOSEN)
      throw new FieldbookError('invalid_argument', `At most ${RUNS_CHOSEN} runs can be named; use a query.`);
    for (const id of new Set(ids)) {
      const state = await library.run(project, id as RunId);
      if (state === undefined || !state.known || state.purged)
        throw new FieldbookError('not_found', `There is no run "${id.slice(0, 80)}" in project ${project}.`);
      add(state);
    }
  } else if (q !== undefined) {
    scope = { kind: 'runs', project, query: q };
    const { rows } = await tables.list(project, { q, sort: '-created', group: null, aggregate: '', zone: 0 });
    for (const id of rows) {
      const state = await library.run(project, id);
      if (state !== undefined) add(state);
    }
  } else {
    scope = { kind: 'project', project };
    await library.eachRun(project, add);
  }
  return { scope, runs, ...rest };
}

/** Without what newer programs added, which the schema does not name. */
function manifestView({ extra: _extra, ...manifest }: BundleManifest): object {
  return manifest;
}

function fileName({ scope, created, deviceName }: BundleManifest): string {
  const what = scope.kind === 'workspace' ? (deviceName ?? 'fieldbook') : scope.project;
  const plain = what.replace(/[^A-Za-z0-9._-]+/g, '-').slice(0, 60);
  return `${plain === '' ? 'fieldbook' : plain}-${Math.floor(created / 1_000)}.fieldbook`;
}
