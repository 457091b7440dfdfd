import { Book, RunDocument } from '../../documents/index.ts';
import { FieldbookError } from '../../errors.ts';
import type { FileVersion } from '../../files/index.ts';
import { CHUNK_BYTES, fileVersions, openFile, travelOf } from '../../files/index.ts';
import type { RunState } from '../../fold/index.ts';
import type { RunId } from '../../ids.ts';
import { bookName, monthOf, runDocumentName } from '../../ids.ts';
import { LIMITS } from '../../limits.ts';
import { parseDigest } from '../../record/index.ts';
import type { ApiContext } from '../context.ts';
import type { ApiResponse } from '../http.ts';
import { json } from '../http.ts';
import { noneMatch, parseRange } from '../range.ts';
import type { Call, Parameter, Route } from '../route.ts';
import { array, object, orNull, ref } from '../schema.ts';
import { editView } from '../views.ts';
import { checkEdit } from './edits.ts';
import { bringRun } from './follow.ts';
import { IN_PROJECT, RUN } from './runs.ts';

const PATH: Parameter = {
  description: 'The attribute path that the file lies under.',
  schema: { type: 'string', minLength: 1, maxLength: LIMITS.pathBytes },
  required: true,
};
const VERSION: Parameter = {
  description: 'A version of it, as `version` of the list; the current one without.',
  schema: { type: 'string', minLength: 1, maxLength: 64 },
};
/** A type and its parameters, and nothing that ends a header. */
const MIME = /^[\w.+-]+\/[\w.+-]+(; ?[\w.+-]+=[\w.+-]+)*$/;
const DIGEST = { type: 'string', pattern: '^[0-9a-f]{64}$' } as const;

export function fileRoutes(context: ApiContext): Route[] {
  const answers = [
    { status: 200, description: 'The bytes.', type: 'application/octet-stream' },
    { status: 206, description: 'The bytes of the range asked for.', type: 'application/octet-stream' },
  ];
  const one = {
    needs: 'viewer',
    path: '/runs/{run}/file',
    inPath: { run: RUN },
    inQuery: { path: PATH, version: VERSION, project: IN_PROJECT },
    handle: (call: Call) => sendFile(context, call),
  } as const;
  return [
    {
      id: 'listFiles',
      method: 'GET',
      path: '/runs/{run}/files',
      summary: 'Files of a run with all their versions, the newest first, and where the bytes of each are',
      needs: 'viewer',
      inPath: { run: RUN },
      inQuery: { project: IN_PROJECT },
      answers: [
        {
          status: 200,
          description: 'The files.',
          schema: object({ run: { type: 'string' }, files: array(ref('File')) }),
        },
      ],
      handle: async ({ path, query }) => {
        const state = await context.findRun(path['run']!, query['project'] as string | undefined);
        const files: object[] = [];
        for (const version of await versionsOf(context, state.id))
          files.push(await fileView(context, state.id, version));
        return json(200, { run: state.id, files });
      },
    },
    {
      ...one,
      id: 'getFile',
      method: 'GET',
      summary: 'A file’s bytes, verified as they are read; ranges work. Asks other replicas for what is not here',
      answers,
    },
    {
      ...one,
      id: 'headFile',
      method: 'HEAD',
      summary: 'Size, type and digest of a file',
      answers: [{ status: 200, description: 'It is named; whether its bytes are here is in the list.' }],
    },
    {
      id: 'requestFile',
      method: 'POST',
      path: '/runs/{run}/files/request',
      summary:
        'Ask for a file that stays on the machine that made it: that machine sends it to the relay once it hears of this',
      needs: 'contributor',
      inPath: { run: RUN },
      inQuery: { project: IN_PROJECT },
      body: { description: 'Which file.', schema: object({ digest: DIGEST }) },
      answers: [
        {
          status: 200,
          description: 'It is asked for, durably; `edit` is null when it was already, or is here.',
          schema: object({ file: ref('File'), edit: orNull(ref('Edit')) }),
        },
      ],
      handle: (call) => context.inTurn(() => requestFile(context, call)),
    },
  ];
}

async function versionsOf(context: ApiContext, run: RunId): Promise<FileVersion[]> {
  await bringRun(context, run);
  return context.replica.read(runDocumentName(run), (doc) => fileVersions(new RunDocument(doc).files()));
}

async function fileView(
  context: ApiContext,
  run: RunId,
  { id, entry, current, removed }: FileVersion,
): Promise<object> {
  const { path, name, fileKind, size, digest, chunks, mime, meta, time, modified, writer, device, source, failure } =
    entry;
  const state = await context.presence.state(entry, removed);
  const travel = travelOf(entry, context.travel);
  const requested = digest !== null && (await context.requested.has(digest));
  // What this device stored has been looked at by who sends its blobs; of what others stored nobody here knows more than was asked.
  const mine = state === 'here' && device === context.replica.device;
  const sent = mine && (travel === 'now' || (travel === 'request' && requested));
  const holders =
    digest === null ? [] : ((await context.sync.fileHolders?.(chunks ?? digest, runDocumentName(run), sent)) ?? []);
  return {
    version: id,
    path,
    name,
    kind: fileKind,
    size,
    digest,
    mime,
    meta: parseMeta(meta),
    at: time,
    modified,
    writer,
    device,
    current,
    state,
    travel,
    requested,
    source,
    failure,
    holders,
  };
}

async function sendFile(context: ApiContext, { path, query, request }: Call): Promise<ApiResponse> {
  if (typeof query['path'] !== 'string')
    throw new FieldbookError('invalid_argument', 'path is missing: the attribute path of the file.', {
      details: { argument: 'path' },
    });
  const state = await context.findRun(path['run']!, query['project'] as string | undefined);
  const version = await findVersion(context, state, query['path'], query['version'] as string | undefined);
  const { entry } = version;
  const { digest } = entry;
  if (digest === null) throw absent(state, version, 'Its bytes are not stored');
  const etag = `"${digest}"`;
  const headers: Record<string, string> = {
    'content-type': MIME.test(entry.mime ?? '') ? entry.mime! : 'application/octet-stream',
    // What somebody uploaded is never a page of ours: it is saved, not shown, and would run with nobody's rights.
    'content-disposition': disposition(entry.name),
    'content-security-policy': "sandbox; default-src 'none'",
    'x-content-type-options': 'nosniff',
    'cache-control': 'private, no-cache',
    'accept-ranges': 'bytes',
    etag,
  };
  if (noneMatch(request.headers['if-none-match'], etag)) return { status: 304, headers, body: null };
  if (request.method === 'HEAD') {
    const length = entry.size === null ? {} : { 'content-length': String(entry.size) };
    return { status: 200, headers: { ...headers, ...length }, body: null };
  }
  const blobs = context.fetching ?? context.blobs;
  const file = await openFile(blobs, { ...entry, digest }).catch((error: unknown) => {
    throw elsewhere(state, version, error);
  });
  // A range of another version than the one that the reader began with is of no use to it.
  const condition = request.headers['if-range'];
  const asked = condition === undefined || condition === etag ? request.headers['range'] : undefined;
  const range = parseRange(asked, file.size);
  if (range === 'unsatisfiable')
    return { status: 416, headers: { 'content-range': `bytes */${file.size}` }, body: null };
  const { start, end } = range ?? { start: 0, end: file.size };
  await request.hold?.(entry.chunks === null ? file.size : Math.min(file.size, CHUNK_BYTES));
  const parts = file.read({ start, end });
  // The first chunk decides whether there is an answer: behind a status 200 nothing can be said any more.
  const first = await parts.next().catch((error: unknown) => {
    throw elsewhere(state, version, error);
  });
  const length = { 'content-length': String(end - start) };
  const body = first.done === true ? new Uint8Array(0) : chained(first.value, parts);
  if (range === undefined) return { status: 200, headers: { ...headers, ...length }, body };
  return {
    status: 206,
    headers: { ...headers, ...length, 'content-range': `bytes ${start}-${end - 1}/${file.size}` },
    body,
  };
}

async function* chained(first: Uint8Array, rest: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield first;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}

/** The version asked for, else the current one. Throws `not_found`. */
async function findVersion(
  context: ApiContext,
  state: RunState,
  path: string,
  version: string | undefined,
): Promise<FileVersion> {
  const there = (await versionsOf(context, state.id)).filter(({ entry }) => entry.path === path);
  const found = there.find(({ id, current }) => (version === undefined ? current : id === version));
  if (found !== undefined) return found;
  const why =
    there.length === 0
      ? `Run ${state.id} has no file at ${path}`
      : version === undefined
        ? `The file at ${path} was removed; its versions are in the list of files`
        : `The file at ${path} has no version ${version}`;
  throw new FieldbookError('not_found', `${why}.`);
}

async function requestFile(context: ApiContext, { path, query, body, request }: Call): Promise<ApiResponse> {
  const state = await context.findRun(path['run']!, query['project'] as string | undefined);
  checkEdit(request.access, state.id);
  const digest = parseDigest((body as { digest: string }).digest);
  const version = (await versionsOf(context, state.id)).find(({ entry }) => entry.digest === digest);
  if (version === undefined)
    throw new FieldbookError('not_found', `Run ${state.id} has no stored file with the SHA-256 ${digest}.`);
  if (version.entry.travel === 'never')
    throw new FieldbookError(
      'forbidden',
      `The file at ${version.entry.path} was made to stay on its machine (${version.entry.device}); copy it from there.`,
    );
  const asked = await context.requested.has(digest);
  if (asked || (await context.presence.has(version.entry)))
    return json(200, { file: await fileView(context, state.id, version), edit: null });
  const made = context.author.request(state.id, digest);
  const edit = { ...made, by: request.access.name ?? made.by };
  await context.replica.transact(bookName(state.project, monthOf(state.created)), (doc) => new Book(doc).addEdit(edit));
  return json(200, { file: await fileView(context, state.id, version), edit: editView(edit) });
}

function absent({ id }: RunState, { entry }: FileVersion, why: string, cause?: unknown): FieldbookError {
  const { path, device, digest, failure, source, spool } = entry;
  const more =
    failure ??
    (source !== null
      ? `Only its place is known: ${source}`
      : spool !== null
        ? `They wait in the spool of ${device}`
        : `Ask for them with "fieldbook download", or POST /runs/${id}/files/request`);
  return new FieldbookError('blob_missing', `The file at ${path} of run ${id}: ${why}. ${more}.`, {
    cause,
    details: {
      run: id,
      path,
      device,
      digest,
      state: digest === null ? (spool === null ? 'named' : 'pending') : 'elsewhere',
    },
  });
}

function elsewhere(state: RunState, version: FileVersion, error: unknown): unknown {
  if (!(error instanceof FieldbookError) || error.code !== 'blob_missing') return error;
  return absent(state, version, `Its bytes are not here but on ${version.entry.device}`, error);
}

/** RFC 6266: a plain name for old readers, and the real one. */
function disposition(name: string): string {
  const plain = name.replace(/[^A-Za-z0-9._ -]/g, '_').slice(0, 120) || 'file';
  const real = encodeURIComponent(name.replace(/[\u0000-\u001f\u007f]|[\ud800-\udfff]/gu, '_')).replace(
    /['()*]/g,
    escaped,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${real}`;
}

function escaped(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

function parseMeta(meta: string | null): unknown {
  if (meta === null) return null;
  try {
    return JSON.parse(meta) as unknown;
  } catch {
    return null;
  }
}
