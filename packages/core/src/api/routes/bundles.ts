import { bytesToHex } from '@noble/hashes/utils.js';
import type {
  BundleBase,
  BundleManifest,
  BundlePlan,
  BundleRequest,
  BundleRun,
  BundleScope,
  BundleSignature,
} from '../../bundle/index.ts';
import { importBundle, planBundle, writeBundle } from '../../bundle/index.ts';
import { Workspace } from '../../documents/index.ts';
import { FieldbookError } from '../../errors.ts';
import type { RunState } from '../../fold/index.ts';
import type { RunId } from '../../ids.ts';
import { parseProjectId, utf8, WORKSPACE_DOCUMENT } from '../../ids.ts';
import { LIMITS } from '../../limits.ts';
import type { DeviceRecord } from '../../record/index.ts';
import type { ApiContext } from '../context.ts';
import { json } from '../http.ts';
import type { Call, Parameter, Route } from '../route.ts';
import { array, object, orNull } from '../schema.ts';
import { PROJECT } from './runs.ts';

export const BUNDLE_TYPE = 'application/vnd.fieldbook.bundle';
/** More than any disk that a bundle is carried on; the disk here is asked as it fills. */
const BUNDLE_BYTES = 2 ** 44;
/** What is in memory of a bundle that somebody reads: a document or a chunk, and as much packed. */
const AT_A_TIME = 16 * 1024 * 1024;
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
  lacking: {
    description:
      'Only what this peer, by url or replica id, is not known to have; everything for one that was never met.',
    schema: { type: 'string', maxLength: 2_048 },
  },
  since: {
    description: 'Only what changed since this bundle, by its id in hexadecimal, was made here.',
    schema: { type: 'string', maxLength: 64 },
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
  beyond: orNull(object({ kind: { type: 'string', enum: ['peer', 'bundle'] }, id: text })),
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
  signer: orNull(
    object({
      device: text,
      name: orNull(text),
      known: {
        type: 'boolean',
        description: 'The workspace here listed that device, with that key, before this bundle.',
      },
    }),
  ),
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
        const at = { seq: context.replica.lastSeq, id: tools.random.bytes(16) };
        await call.request.hold?.(AT_A_TIME);
        const { manifest, items } = await plan(context, call);
        if (call.request.access.role !== 'viewer') await remember(context, manifest, at);
        return {
          status: 200,
          headers: {
            'content-type': BUNDLE_TYPE,
            'content-disposition': `attachment; filename="${fileName(manifest)}"`,
            'cache-control': 'no-store',
            'fieldbook-bundle-bytes': String(manifest.documentBytes + manifest.blobBytes),
          },
          body: writeBundle(tools, at.id, manifest, items(), tools.signer),
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
      inQuery: {
        rebuilt: {
          description:
            'Documents that were rebuilt where it was made, too, in the place of those here. Whoever made the bundle then decides what is in them. Agents only.',
          schema: { type: 'boolean', default: false },
        },
      },
      body: {
        description: 'The bundle. Taken in as it comes: what has arrived whole stays when the rest does not.',
        type: BUNDLE_TYPE,
        limit: BUNDLE_BYTES,
        streamed: true,
      },
      answers: [{ status: 200, description: 'All of it is taken in and durable.', schema: importedSchema }],
      handle: async ({ request, query }) => {
        if (request.stream === undefined)
          throw new FieldbookError('invalid_argument', `Send the bundle as the body, as ${BUNDLE_TYPE}.`);
        const { replica, blobs, library, presence, log } = context;
        // Before: a bundle can list its own maker.
        const devices = await replica.read(WORKSPACE_DOCUMENT, (doc) => new Workspace(doc).devices());
        const imported = await importBundle(
          platform(),
          {
            replica: request.access.gate?.guard(replica) ?? replica,
            blobs,
            isPurged: (run, project) => library.isPurged(run, project),
            // A bundle may come from anybody. Whoever reaches an agent is its owner; a relay's members may not rebuild documents.
            rebuilds: context.role === 'agent' && query['rebuilt'] === true,
          },
          request.stream,
          { arrival: context.sync?.blobsComing?.() },
        );
        presence.forget();
        const { manifest, signer, ...told } = imported;
        log.info('bundle.imported', { bytes: told.bytes, changed: told.changed, added: told.added, blobs: told.blobs });
        return json(200, {
          ...told,
          manifest: manifest === null ? null : manifestView(manifest),
          signer: signer === null ? null : signerView(devices, signer),
        });
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
    lacking,
    since,
    files,
  } = query as Record<'project' | 'q' | 'runs' | 'lacking' | 'since', string | undefined> & {
    files: boolean;
  };
  const titles = new Map((await library.projects()).map(({ id, title }) => [id as string, title]));
  const runs: BundleRun[] = [];
  const add = ({ id, project, name, status, created }: RunState): void =>
    void runs.push({ id, project, name, status, created });
  if (asked === undefined && context.scope !== null)
    throw new FieldbookError('forbidden', 'This token is for some projects; say of which one the bundle is to be.');
  if (lacking !== undefined && since !== undefined)
    throw new FieldbookError('invalid_argument', 'Either what a peer lacks, or what came since a bundle.');
  const beyond =
    lacking !== undefined
      ? await knownOf(context, lacking)
      : since !== undefined
        ? await sinceBundle(context, since, { project: asked ?? null, files })
        : undefined;
  const rest = { titles, withoutFiles: !files, ...(beyond !== undefined && { beyond }) };
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

/** What is written down of a bundle that was made here, for one of what came after it. */
interface Made {
  seq: number;
  replica: string;
  /** Null for a whole field book. */
  project: string | null;
  files: boolean;
}

async function remember(
  { replica, log }: ApiContext,
  { scope, withoutFiles, beyond }: BundleManifest,
  { seq, id }: { seq: number; id: Uint8Array },
): Promise<void> {
  // Of some runs, or after something else: nothing can be said to be complete since then.
  if (scope.kind === 'runs' || beyond?.kind === 'peer') return;
  const project = scope.kind === 'workspace' ? null : scope.project;
  const made: Made = { seq, replica: replica.id, project, files: !withoutFiles };
  await replica
    .putPrivate([[`bundle/${bytesToHex(id)}`, utf8(JSON.stringify(made))]])
    .catch((error: unknown) => log.warn('bundle.unremembered', { error: String(error) }));
}

async function sinceBundle(
  { replica }: ApiContext,
  id: string,
  asked: { project: string | null; files: boolean },
): Promise<BundleBase> {
  const kept = await replica.getPrivate(`bundle/${id.toLowerCase()}`);
  const refuse = (why: string): FieldbookError =>
    new FieldbookError('invalid_argument', `${why} Make a bundle of everything instead.`);
  if (kept === undefined) throw refuse('That bundle was not made here, or not of a whole project or field book.');
  const made = JSON.parse(new TextDecoder().decode(kept)) as Made;
  if (made.replica !== replica.id) throw refuse('This store was restored or copied since that bundle was made.');
  if (made.project !== null && made.project !== asked.project)
    throw refuse(`That bundle was of the project ${made.project} only.`);
  if (asked.files && !made.files) throw refuse('That bundle was made without files.');
  const holds = (seq: number): boolean => seq <= made.seq;
  return {
    of: { kind: 'bundle', id },
    holds: (_name, seq) => holds(seq),
    hasBlob: (_digest, _document, seq) => holds(seq),
  };
}

async function knownOf({ sync }: ApiContext, peer: string): Promise<BundleBase> {
  if (sync.known === undefined)
    throw new FieldbookError('not_supported', 'This program does not say what others have; ask an agent.');
  return sync.known(peer);
}

function signerView(devices: readonly DeviceRecord[], { device, publicKey }: BundleSignature): object {
  const listed = devices.find((each) => each.device === device);
  const known = listed !== undefined && bytesToHex(listed.publicKey) === bytesToHex(publicKey);
  return { device, name: known ? listed.name : null, known };
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
