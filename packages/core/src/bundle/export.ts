import { Workspace } from '../documents/index.ts';
import { isFieldbookError } from '../errors.ts';
import type { TravelRule } from '../files/index.ts';
import { blobsOf, pointBlobs, storedFiles, travelOf } from '../files/index.ts';
import { compareCards } from '../fold/index.ts';
import type { BookMonth, DeviceId, DocumentName, ProjectId, RunId } from '../ids.ts';
import { runDocumentName, WORKSPACE_DOCUMENT } from '../ids.ts';
import type { BlobDigest, BlobStore } from '../ports.ts';
import type { Card } from '../record/index.ts';
import { decodeCard, decodeEdit, encodeDirectoryRecord } from '../record/index.ts';
import type { Replica } from '../replica/replica.ts';
import { splitUpdate } from '../replication/split.ts';
import { COLLECTED_MONTH, collectedBook, heldRecords } from './collection.ts';
import type { RecordGroup } from './format.ts';
import type { BundleManifest, BundleRun, BundleScope } from './manifest.ts';
import { RUNS_LISTED } from './manifest.ts';
import type { BundleItem } from './writer.ts';

/** What is to go into a bundle. `runs` are those that are known and not purged; of `workspace` every document goes. */
export interface BundleRequest {
  scope: BundleScope;
  runs: readonly BundleRun[];
  titles: ReadonlyMap<string, string>;
  withoutFiles: boolean;
  /** Leaves out what somebody has: documents as of a seq of theirs here, and blobs. */
  beyond?: BundleBase;
}

/** What somebody is known to have of this replica's documents and blobs. */
export interface BundleBase {
  of: NonNullable<BundleManifest['beyond']>;
  /** Whether they have the document with its last commit, `seq`. */
  holds(name: DocumentName, seq: number): boolean;
  /** Whether they have a blob of a document whose last commit is `seq`. `travels`: it is one that is sent unasked. */
  hasBlob(digest: BlobDigest, document: DocumentName, seq: number, travels: boolean): boolean;
}

export interface BundleSource {
  replica: Pick<Replica, 'list' | 'read' | 'info' | 'encodeState'>;
  blobs: Pick<BlobStore, 'read' | 'stat'>;
  /** The machine's rules of what travels: what never does is in no bundle either. */
  travel?: readonly TravelRule[];
}

/** Who makes a bundle. */
export type BundleMaker = Pick<BundleManifest, 'program' | 'created' | 'by' | 'device' | 'deviceName' | 'workspace'>;

/** A bundle that is ready to be written: what it says of itself, and its items when they are asked for. */
export interface BundlePlan {
  manifest: BundleManifest;
  items(): AsyncGenerator<BundleItem>;
}

/** Records of one group: far below a section's limit. */
const GROUP_BYTES = 1024 * 1024;

/**
 * Looks through everything that a request is about, so that the manifest can say what will come. Documents are read again as they are
 * written; what is committed meanwhile is in or not, document by document, as with any exchange.
 */
export async function planBundle(
  source: BundleSource,
  request: BundleRequest,
  maker: BundleMaker,
): Promise<BundlePlan> {
  const { replica, blobs } = source;
  const { scope } = request;
  const documents: DocumentName[] = [];
  const runDocuments: DocumentName[] = [];
  let documentBytes = 0;
  let damaged = 0;
  /** A document that they have goes along with a blob of it that they may not have: who takes it in learns from it what is wanted. */
  const hasMore = async (name: DocumentName, seq: number): Promise<boolean> => {
    if (!name.startsWith('run/')) return false;
    const { digests } = await blobsOfRun(source, name, request.withoutFiles);
    for (const [digest, travels] of digests)
      if (request.beyond?.hasBlob(digest, name, seq, travels) === false && (await blobs.stat(digest)) !== undefined)
        return true;
    return false;
  };
  const take = async (name: DocumentName): Promise<void> => {
    const info = await replica.info(name);
    if (info === undefined) return;
    if (info.quarantined) {
      damaged += 1;
      return;
    }
    if (request.beyond?.holds(name, info.seq) === true && !(await hasMore(name, info.seq))) return;
    documentBytes += info.size;
    (name.startsWith('run/') ? runDocuments : documents).push(name);
  };
  if (scope.kind === 'workspace') for await (const { name } of replica.list()) await take(name);
  else {
    if (scope.kind === 'project') for await (const { name } of replica.list(`book/${scope.project}/`)) await take(name);
    for (const { id } of request.runs) await take(runDocumentName(id as RunId));
  }
  const groups = scope.kind === 'workspace' ? [] : await recordsOf(source, request, scope);
  const named = new Map<BlobDigest, number>();
  let absentBlobs = 0;
  let keptBack = 0;
  for (const document of runDocuments) {
    const seq = (await replica.info(document))?.seq ?? 0;
    const of = await blobsOfRun(source, document, request.withoutFiles);
    keptBack += of.keptBack;
    for (const [digest, travels] of of.digests) {
      if (named.has(digest) || request.beyond?.hasBlob(digest, document, seq, travels) === true) continue;
      const stat = await blobs.stat(digest);
      if (stat === undefined) absentBlobs += 1;
      else named.set(digest, stat.size);
    }
  }
  const taken = new Set<string>(runDocuments);
  const runs =
    request.beyond === undefined
      ? request.runs
      : request.runs.filter(({ id }) => taken.has(runDocumentName(id as RunId)));
  const projects = new Map<string, number>();
  if (scope.kind !== 'workspace') projects.set(scope.project, 0);
  for (const { project } of runs) projects.set(project, (projects.get(project) ?? 0) + 1);
  const manifest: BundleManifest = {
    ...maker,
    scope,
    projects: [...projects].map(([id, runs]) => ({ id, title: request.titles.get(id) ?? id, runs })),
    runCount: runs.length,
    runs: [...runs].sort((a, b) => b.created - a.created || (a.id < b.id ? -1 : 1)).slice(0, RUNS_LISTED),
    documents: documents.length + runDocuments.length,
    blobs: named.size,
    documentBytes,
    blobBytes: [...named.values()].reduce((sum, size) => sum + size, 0),
    absentBlobs,
    keptBack,
    damaged,
    withoutFiles: request.withoutFiles,
    beyond: request.beyond?.of ?? null,
    extra: {},
  };
  return {
    manifest,
    async *items() {
      for (const group of groups) yield { kind: 'records', group };
      for (const name of [...documents, ...runDocuments]) {
        // Purged, or found damaged, since it was counted.
        const state = await replica.encodeState(name).catch((error: unknown) => {
          if (isFieldbookError(error, 'document_quarantined')) return undefined;
          throw error;
        });
        for (const update of state === undefined ? [] : splitUpdate(state.update))
          yield { kind: 'document', part: { name, generation: state!.generation, update } };
      }
      for (const digest of named.keys()) {
        const bytes = await blobs.read(digest).catch((error: unknown) => {
          if (isFieldbookError(error, 'blob_corrupt')) return undefined;
          throw error;
        });
        if (bytes !== undefined) yield { kind: 'blob', digest, bytes };
      }
    },
  };
}

/** The blobs that a run needs, a list of chunks before its chunks: who takes them in learns from it which chunks to expect. */
async function blobsOfRun(
  { replica, blobs, travel = [] }: BundleSource,
  document: DocumentName,
  withoutFiles: boolean,
): Promise<{ digests: (readonly [digest: BlobDigest, travels: boolean])[]; keptBack: number }> {
  const { points, files } = await replica.read(document, (doc) => ({
    points: pointBlobs(doc),
    files: withoutFiles ? [] : storedFiles(doc),
  }));
  const digests = points.map((digest): readonly [BlobDigest, boolean] => [digest, true]);
  let keptBack = 0;
  for (const file of files) {
    const how = travelOf(file, travel);
    if (how === 'never') {
      keptBack += 1;
      continue;
    }
    const held = await blobsOf(blobs, file).catch((error: unknown) => {
      if (isFieldbookError(error, 'blob_corrupt')) return undefined;
      throw error;
    });
    for (const digest of held ?? [file.chunks ?? file.digest]) digests.push([digest, how === 'now']);
  }
  return { digests, keptBack };
}

/** Of a project or of single runs: what the workspace's directory says of them, and for single runs their own cards and edits. */
async function recordsOf(
  { replica }: BundleSource,
  { runs, titles }: BundleRequest,
  scope: Exclude<BundleScope, { kind: 'workspace' }>,
): Promise<RecordGroup[]> {
  const project = scope.project as ProjectId;
  const ids = new Set(runs.map(({ id }) => id));
  const held = await heldRecords(
    replica,
    project,
    (run) => ids.has(run),
    (bytes) => editRun(bytes)?.run,
  );
  const devices = new Set<DeviceId>();
  const cards = new Map<string, Uint8Array>();
  let created = Number.POSITIVE_INFINITY;
  for (const [key, all] of held.cards) {
    const best = bestCard(all);
    if (best === undefined) continue;
    devices.add(best.card.device);
    created = Math.min(created, best.card.created);
    cards.set(key, best.bytes);
  }
  for (const bytes of held.edits.values()) {
    const device = editRun(bytes)?.device;
    if (device !== undefined) devices.add(device);
  }
  const workspace: RecordGroup['records'][number][] = [];
  await replica.read(WORKSPACE_DOCUMENT, (doc) => {
    const directory = new Workspace(doc);
    for (const book of directory.books()) {
      if (scope.kind !== 'project' || book.project !== project) continue;
      const { title, month } = book;
      workspace.push(bookRecord(project, month, title, book.created));
    }
    for (const record of directory.devices())
      if (devices.has(record.device))
        workspace.push({ map: 'devices', key: record.device, bytes: encodeDirectoryRecord(record) });
  });
  if (scope.kind === 'project') return grouped(WORKSPACE_DOCUMENT, workspace);
  if (ids.size === 0) return [];
  const title = titles.get(project) ?? project;
  workspace.push(bookRecord(project, COLLECTED_MONTH, title, Number.isFinite(created) ? created : 0));
  const records = [
    ...[...held.edits].map(([key, bytes]) => ({ map: 'edits', key, bytes })),
    ...[...cards].map(([key, bytes]) => ({ map: 'cards', key, bytes })),
  ];
  return [...grouped(WORKSPACE_DOCUMENT, workspace), ...grouped(collectedBook(project), records)];
}

function bookRecord(
  project: ProjectId,
  month: BookMonth,
  title: string,
  created: number,
): RecordGroup['records'][number] {
  const bytes = encodeDirectoryRecord({ kind: 'book', title, created, extra: {} });
  return { map: 'books', key: `${project}/${month}`, bytes };
}

function* inGroups(records: RecordGroup['records']): Generator<RecordGroup['records']> {
  let group: RecordGroup['records'][number][] = [];
  let bytes = 0;
  for (const record of records) {
    group.push(record);
    bytes += record.bytes.length + record.key.length + 32;
    if (bytes < GROUP_BYTES) continue;
    yield group;
    group = [];
    bytes = 0;
  }
  if (group.length > 0) yield group;
}

function grouped(document: DocumentName, records: RecordGroup['records']): RecordGroup[] {
  return [...inGroups(records)].map((group) => ({ document, records: group }));
}

/** The best card of those that one key has in several books. */
export function bestCard(all: readonly Uint8Array[]): { card: Card; bytes: Uint8Array } | undefined {
  let best: { card: Card; bytes: Uint8Array } | undefined;
  for (const bytes of all) {
    const card = cardOf(bytes);
    if (card !== undefined && (best === undefined || compareCards(card, best.card) > 0)) best = { card, bytes };
  }
  return best;
}

export function cardOf(bytes: Uint8Array): Card | undefined {
  try {
    return decodeCard(bytes);
  } catch (error) {
    if (isFieldbookError(error)) return undefined;
    throw error;
  }
}

/** Whose edit it is; undefined for what this program cannot read. */
export function editRun(bytes: Uint8Array): { run: RunId; device: DeviceId; purge: boolean } | undefined {
  try {
    const edit = decodeEdit(bytes);
    return edit === undefined ? undefined : { run: edit.run, device: edit.device, purge: edit.field === 'purge' };
  } catch (error) {
    if (isFieldbookError(error)) return undefined;
    throw error;
  }
}
