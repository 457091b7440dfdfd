import { RunDocument } from '../../documents/index.ts';
import { fileVersions, pointBlobs, travelOf } from '../../files/index.ts';
import type { FileVersion } from '../../files/index.ts';
import type { RunState } from '../../fold/index.ts';
import { hlcMs } from '../../hlc.ts';
import type { DocumentName } from '../../ids.ts';
import { bookName, monthOf, noteDocumentName, runDocumentName } from '../../ids.ts';
import type { BlobDigest } from '../../ports.ts';
import type { ApiContext } from '../context.ts';
import { json } from '../http.ts';
import type { PeerState } from '../options.ts';
import type { Route } from '../route.ts';
import { array, object, orNull } from '../schema.ts';
import { IN_PROJECT, RUN } from './runs.ts';

const count = { type: 'integer', minimum: 0 } as const;
const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;

const blobs = orNull(
  object({
    total: count,
    toGo: { ...count, description: 'That are here and that the peer is not known to have.' },
    bytesToGo: count,
    elsewhere: { ...count, description: 'That the peer is not known to have, and that are not here either.' },
    stay: { ...count, description: 'That do not travel unless somebody asks for them.' },
  }),
);

/** What is exchanged of one run's blobs with one peer. */
interface BlobPlaces {
  total: number;
  toGo: number;
  bytesToGo: number;
  elsewhere: number;
  stay: number;
}

interface NamedBlob {
  digest: BlobDigest;
  size: number | null;
  travels: boolean;
}

/** `GET /runs/{run}/places`: how much of a run every peer has, down to its files. */
export function runPlacesRoute(context: ApiContext): Route {
  return {
    id: 'getRunPlaces',
    method: 'GET',
    path: '/runs/{run}/places',
    summary: 'Which peers have all of a run, and how much of it is still to go to each',
    needs: 'viewer',
    inPath: { run: RUN },
    inQuery: { project: IN_PROJECT },
    answers: [
      {
        status: 200,
        description: 'As far as it is known here; nobody is asked.',
        schema: object({
          run: text,
          peers: array(
            object({
              url: text,
              name: orNull(text),
              connected: flag,
              documents: object({ total: count, toGo: count }),
              points: blobs,
              files: blobs,
              complete: { ...flag, description: 'Everything of it that travels is there and on disk.' },
            }),
          ),
        }),
      },
    ],
    handle: async ({ path, query }) => {
      const state = await context.findRun(path['run']!, query['project'] as string | undefined);
      return json(200, { run: state.id, peers: await placesOf(context, state) });
    },
  };
}

async function placesOf(context: ApiContext, state: RunState): Promise<object[]> {
  const { sync, replica } = context;
  const document = runDocumentName(state.id);
  const documents = await documentsOf(context, state);
  const holders = new Map<DocumentName, ReadonlySet<string>>();
  for (const name of documents) holders.set(name, new Set(await sync.holders(name)));
  const [points, versions] = await replica.read(document, (doc) => [
    [...new Set(pointBlobs(doc))].map((digest) => ({ digest, size: null, travels: true })),
    fileVersions(new RunDocument(doc).files()),
  ]);
  const files = await filesOf(context, versions);
  const places: object[] = [];
  for (const peer of (await sync.state()).peers) {
    const lacking = documents.filter((name) => holders.get(name)?.has(peer.url) !== true).length;
    const ofPoints = await blobPlaces(context, peer, document, points);
    const ofFiles = await blobPlaces(context, peer, document, files);
    const rest = [ofPoints, ofFiles].reduce((sum, of) => sum + (of === null ? 0 : of.toGo + of.elsewhere), lacking);
    places.push({
      url: peer.url,
      name: peer.name,
      connected: peer.connected,
      documents: { total: documents.length, toGo: lacking },
      points: ofPoints,
      files: ofFiles,
      // Nobody knows the blobs of who dialled us.
      complete: rest === 0 && ofPoints !== null && ofFiles !== null,
    });
  }
  return places;
}

/** The run's own documents, and the books that have its cards and edits, as far as they are here. */
async function documentsOf({ library, replica }: ApiContext, state: RunState): Promise<DocumentName[]> {
  const history = await library.history(state.project, state.id);
  const months = new Set([state.created, ...history.map(({ at }) => hlcMs(at))].map(monthOf));
  const names = [
    runDocumentName(state.id),
    noteDocumentName(state.id),
    ...[...months].map((month) => bookName(state.project, month)),
  ];
  const here: DocumentName[] = [];
  for (const name of names) if ((await replica.info(name)) !== undefined) here.push(name);
  return here;
}

/** Files that are not removed and whose bytes somebody has stored. */
async function filesOf({ travel, requested }: ApiContext, versions: readonly FileVersion[]): Promise<NamedBlob[]> {
  const files: NamedBlob[] = [];
  for (const { entry, removed } of versions) {
    const { digest, chunks, size } = entry;
    if (removed || digest === null) continue;
    const how = travelOf(entry, travel);
    const travels = how === 'now' || (how === 'request' && (await requested.has(digest)));
    files.push({ digest: chunks ?? digest, size, travels });
  }
  return files;
}

async function blobPlaces(
  { sync, blobs: store }: ApiContext,
  peer: PeerState,
  document: DocumentName,
  named: readonly NamedBlob[],
): Promise<BlobPlaces | null> {
  const lacking = await sync.blobsLacking?.(peer.url, document, named);
  if (lacking === undefined) return null;
  const places = { total: named.length, toGo: 0, bytesToGo: 0, elsewhere: 0, stay: 0 };
  for (const { digest, size, travels } of named) {
    if (!lacking.has(digest)) continue;
    if (!travels) {
      places.stay += 1;
      continue;
    }
    const here = await store.stat(digest);
    if (here === undefined) {
      places.elsewhere += 1;
      continue;
    }
    places.toGo += 1;
    places.bytesToGo += size ?? here.size;
  }
  return places;
}
