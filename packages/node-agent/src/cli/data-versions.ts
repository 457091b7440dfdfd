import { FieldbookError, isFieldbookError } from '@fieldbook/core';
import type { DataList } from '@fieldbook/core/data';
import { DATA_LIST_BYTES, DATA_LIST_NAME, dataDigestOf, parseDataList } from '@fieldbook/core/data';
import type { Client } from './client.ts';
import { segment } from './command.ts';
import type { FileShape, RunDetailShape } from './shapes.ts';

/** One data version of a run, as the run names it. */
export interface DataVersion {
  /** The attribute's path. */
  path: string;
  /** The tree digest; null where the data is only named. */
  digest: string | null;
  /** URL or place of data that is only named. */
  source: string | null;
  files: number | null;
  bytes: number | null;
  /** `files`, `dvc`, `git-lfs`, `s3`; null where nobody said. */
  from: string | null;
  /** The list among the run's files; null where the run has none that fits. */
  list: FileShape | null;
}

/** A run with its data versions, in the order of their paths. */
export interface RunData {
  run: RunDetailShape;
  versions: DataVersion[];
}

/** Storing lists that wait in a spool takes moments, but the agent may be at something larger. */
const DRAIN_MS = 10 * 60_000;

/** The data versions of a run. Lists that wait in the spool are stored first, so that they can be read. */
export async function dataOf(client: Client, reference: string, project: string | undefined): Promise<RunData> {
  const run = await client.call<RunDetailShape>('GET', `/runs/${segment(reference)}`, { query: { project } });
  let files = await listFiles(client, run);
  if (files.some(({ kind, state }) => kind === 'data' && state === 'pending')) {
    await client.call('POST', '/drain', { body: {}, timeoutMs: DRAIN_MS });
    files = await listFiles(client, run);
  }
  const lists = new Map<string, FileShape[]>();
  for (const file of files) {
    if (file.kind !== 'data' || !file.path.endsWith(`/${DATA_LIST_NAME}`)) continue;
    const path = file.path.slice(0, -DATA_LIST_NAME.length - 1);
    lists.set(path, [...(lists.get(path) ?? []), file]);
  }
  const paths = new Set([...lists].flatMap(([path, [newest]]) => (newest?.state === 'removed' ? [] : [path])));
  for (const [path, value] of Object.entries(run.attributes)) if (dataDigestOf(value) !== undefined) paths.add(path);
  const versions = [...paths].sort().map((path) => versionAt(path, run.attributes[path], lists.get(path) ?? []));
  return { run, versions };
}

function versionAt(path: string, attribute: unknown, lists: readonly FileShape[]): DataVersion {
  const digest = dataDigestOf(attribute) ?? null;
  // The list of the version in force: a newer list may be of a writer whose attribute lost, or an older one's still.
  const list = lists.find(({ meta }) => digest !== null && meta?.['digest'] === digest) ?? null;
  const named = digest === null ? (lists.find(({ current }) => current) ?? null) : null;
  const count = (key: string): number | null => {
    const value = list?.meta?.[key];
    return typeof value === 'number' && Number.isSafeInteger(value) ? value : null;
  };
  const from = list?.meta?.['from'];
  return {
    path,
    digest,
    source: named?.source ?? (digest === null && typeof attribute === 'string' ? attribute : null),
    files: count('files'),
    bytes: count('bytes'),
    from: typeof from === 'string' ? from : null,
    list,
  };
}

async function listFiles(client: Client, run: RunDetailShape): Promise<FileShape[]> {
  const query = { project: run.project };
  return (await client.call<{ files: FileShape[] }>('GET', `/runs/${segment(run.id)}/files`, { query })).files;
}

/** The list of a version; null where its bytes are not on this machine. Throws `invalid_value` for one that is damaged. */
export async function readList(client: Client, run: RunDetailShape, version: DataVersion): Promise<DataList | null> {
  const { list, digest } = version;
  if (list === null || digest === null) return null;
  const query = { path: list.path, version: list.version, project: run.project };
  let bytes: Uint8Array;
  try {
    const { body } = await client.download(`/runs/${segment(run.id)}/file`, query, {});
    bytes = await gather(body);
  } catch (error) {
    if (isFieldbookError(error, 'blob_missing')) return null;
    throw error;
  }
  const read = parseDataList(bytes);
  if (read.digest !== digest)
    throw new FieldbookError(
      'invalid_value',
      `The list at ${version.path} of run ${run.id} is of another data version (${read.digest.slice(0, 12)}) than the run names.`,
    );
  return read;
}

async function gather(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > DATA_LIST_BYTES)
      throw new FieldbookError('too_large', `The list of the data version has more than ${DATA_LIST_BYTES} bytes.`);
    chunks.push(chunk);
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

/** Why a list that a run should have cannot be read here. */
export function whyNot(version: DataVersion): string {
  if (version.digest === null) return `only its place is known: ${version.source ?? 'nothing more was recorded'}`;
  if (version.list === null) return 'the run names no list for it';
  return `its list is not on this machine but on ${version.list.device}`;
}
