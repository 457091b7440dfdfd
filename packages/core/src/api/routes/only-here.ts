import { RunDocument, Workspace } from '../../documents/index.ts';
import { isFieldbookError } from '../../errors.ts';
import { fileVersions, travelOf } from '../../files/index.ts';
import type { DeviceId, RunId } from '../../ids.ts';
import { parseDocumentName, runDocumentName, WORKSPACE_DOCUMENT } from '../../ids.ts';
import type { ApiContext } from '../context.ts';
import { json } from '../http.ts';
import type { BlobDigest } from '../../ports.ts';
import type { Route } from '../route.ts';
import { array, object, orNull } from '../schema.ts';

/** Runs and files told one by one; the rest is counted. */
const LISTED = 100;
/** Files lie in run documents, each to be opened: what is not looked at by then is said to be so. */
const LOOK_MS = 2_000;
/** Files that are not here are asked about so many at a time, and at most so many: a new machine of a large team has none of them. */
const ASK_DIGESTS = 1_000;
const ASKED_DIGESTS = 20_000;

const count = { type: 'integer', minimum: 0 } as const;
const text = { type: 'string' } as const;

/** A file that is not here, and whether its writer lets it travel at all. */
interface Away {
  device: DeviceId;
  size: number;
  digest: BlobDigest | null;
  stays: boolean;
}

interface Machine {
  device: DeviceId;
  name: string | null;
  files: number;
  bytes: number;
}

/** What would be lost with this machine, and which bytes lie on one other machine only, as far as it is known here. */
export function onlyHereRoute(context: ApiContext): Route {
  return {
    id: 'getOnlyHere',
    method: 'GET',
    path: '/sync/only-here',
    summary: 'Documents and files that no relay is known to have, and files that lie on one other machine only',
    needs: 'viewer',
    whole: true,
    answers: [
      {
        status: 200,
        description: 'What was found.',
        schema: object({
          documents: { ...count, description: 'Whose last change no relay has acknowledged.' },
          projects: array(object({ project: text, title: text }), 'Whose books are among them.'),
          runs: array(
            object({ id: text, project: orNull(text), name: orNull(text) }),
            'The first of the runs among them.',
          ),
          runCount: count,
          files: array(object({ run: text, path: text, size: orNull(count) }), 'The first that lie here only.'),
          fileCount: count,
          fileBytes: count,
          elsewhere: array(
            object({ device: text, name: orNull(text), files: count, bytes: count }),
            'Files that are neither here nor known to be at a relay, by the machine that has them.',
          ),
          complete: {
            type: 'boolean',
            description: 'False when not every file could be looked at: there was no time, or no relay answered.',
          },
        }),
      },
    ],
    handle: async () => json(200, await look(context)),
  };
}

async function look(context: ApiContext): Promise<object> {
  const { replica, sync, library, clock, presence, requested } = context;
  const titles = new Map<string, string>();
  const names = new Map<DeviceId, string>();
  await replica.read(WORKSPACE_DOCUMENT, (doc) => {
    const workspace = new Workspace(doc);
    for (const { project, title } of workspace.books()) if (!titles.has(project)) titles.set(project, title);
    for (const { device, name } of workspace.devices()) names.set(device, name);
  });
  let documents = 0;
  const projects = new Set<string>();
  const alone: RunId[] = [];
  const runs: RunId[] = [];
  for await (const { name, quarantined } of replica.list()) {
    const parsed = parseDocumentName(name);
    if (parsed.kind === 'run' && !quarantined) runs.push(parsed.run);
    if ((await sync.holders(name)).length > 0) continue;
    documents += 1;
    if (parsed.kind === 'book') projects.add(parsed.project);
    if (parsed.kind === 'run') alone.push(parsed.run);
  }
  const until = clock.now() + LOOK_MS;
  const files: { run: RunId; path: string; size: number | null }[] = [];
  const away: Away[] = [];
  const found = { fileCount: 0, fileBytes: 0, complete: true };
  for (const run of runs) {
    if (clock.now() > until) {
      found.complete = false;
      break;
    }
    const document = runDocumentName(run);
    const versions = await replica.read(document, (doc) => fileVersions(new RunDocument(doc).files()));
    for (const { entry, removed } of versions) {
      const state = await presence.state(entry, removed);
      if (state === 'removed' || state === 'named') continue;
      const { digest, chunks, path, size, device } = entry;
      if (state === 'elsewhere' || (state === 'pending' && device !== replica.device)) {
        const stays = digest === null || entry.travel === 'never' || entry.travel === 'request';
        away.push({ device, size: size ?? 0, digest: chunks ?? digest, stays });
        continue;
      }
      const travel = travelOf(entry, context.travel);
      const sent = travel === 'now' || (travel === 'request' && digest !== null && (await requested.has(digest)));
      const holders = digest === null ? [] : ((await sync.fileHolders?.(chunks ?? digest, document, sent)) ?? []);
      if (holders.length > 0) continue;
      found.fileCount += 1;
      found.fileBytes += size ?? 0;
      if (files.length < LISTED) files.push({ run, path, size });
    }
  }
  const elsewhere = new Map<DeviceId, Machine>();
  const missing = await missingOf(context, away);
  for (const { device, size, digest, stays } of away) {
    const isMissing = digest === null ? true : missing.get(digest);
    if (isMissing === undefined) found.complete = false;
    // Where nobody can be asked, the word of the writer counts.
    if (!(isMissing ?? stays)) continue;
    const machine = elsewhere.get(device) ?? { device, name: names.get(device) ?? null, files: 0, bytes: 0 };
    machine.files += 1;
    machine.bytes += size;
    elsewhere.set(device, machine);
  }
  const told = [];
  for (const id of alone.slice(0, LISTED)) {
    const state = await library.resolve(id).catch((error: unknown) => {
      if (isFieldbookError(error)) return undefined;
      throw error;
    });
    told.push({ id, project: state?.project ?? null, name: state?.name ?? null });
  }
  return {
    documents,
    projects: [...projects].map((project) => ({ project, title: titles.get(project) ?? project })),
    runs: told,
    runCount: alone.length,
    files,
    ...found,
    elsewhere: [...elsewhere.values()],
  };
}

/** Whether no relay has them, by the relays' own word; not in the map when nobody could be asked. A relay is its own peer. */
async function missingOf({ sync }: ApiContext, away: readonly Away[]): Promise<Map<BlobDigest, boolean>> {
  const digests = [...new Set(away.flatMap(({ digest }) => digest ?? []))];
  if (sync.missingBlobs === undefined) return new Map(digests.map((digest) => [digest, true]));
  const answers = new Map<BlobDigest, boolean>();
  for (let at = 0; at < Math.min(digests.length, ASKED_DIGESTS); at += ASK_DIGESTS) {
    const part = digests.slice(at, at + ASK_DIGESTS);
    const missing = await sync.missingBlobs(part);
    if (missing === undefined) break;
    for (const digest of part) answers.set(digest, missing.has(digest));
  }
  return answers;
}
