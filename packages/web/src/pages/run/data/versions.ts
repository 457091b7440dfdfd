import type { AttributeValue } from '@fieldbook/core/record';
import type { FileLine } from '../../../worker/files-api.ts';

/** A data version that a run says it saw. */
export interface TrackedData {
  /** Of the attribute. */
  path: string;
  /** The tree digest; null of data that is only named. */
  digest: string | null;
  /** What is named: a URL. */
  url: string | null;
  files: number | null;
  bytes: number | null;
  /** `files`, `dvc`, `git-lfs`, `s3`; null while only the digest is known. */
  from: string | null;
  /** The file that lists it. */
  list: FileLine | null;
}

const PREFIX = 'data:sha256:';

/** Data versions of a run by its attributes, with their lists among its files. */
export function trackedData(
  attributes: ReadonlyMap<string, AttributeValue>,
  files: readonly FileLine[],
): TrackedData[] {
  const lists = new Map(files.filter((line) => line.current && line.kind === 'data').map((line) => [line.path, line]));
  const found: TrackedData[] = [];
  for (const [path, value] of attributes) {
    if (typeof value !== 'string') continue;
    if (value.startsWith(PREFIX) && /^[0-9a-f]{64}$/.test(value.slice(PREFIX.length))) {
      const list = lists.get(`${path}/list`) ?? null;
      const { files: count, bytes, from } = list?.meta ?? {};
      found.push({
        path,
        digest: value.slice(PREFIX.length),
        url: null,
        files: typeof count === 'number' ? count : null,
        bytes: typeof bytes === 'number' ? bytes : null,
        from: typeof from === 'string' ? from : null,
        list,
      });
    } else if (/^[a-z][a-z0-9+.-]*:\/\//i.test(value) && lists.get(path)?.source === value) {
      const line = lists.get(path)!;
      found.push({
        path,
        digest: null,
        url: value,
        files: null,
        bytes: line.size,
        from: value.slice(0, value.indexOf(':')),
        list: null,
      });
    }
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** How many attributes name data, for the tab's label; the lists are not looked at. */
export function dataCount(attributes: ReadonlyMap<string, AttributeValue>): number {
  let count = 0;
  for (const value of attributes.values()) if (typeof value === 'string' && value.startsWith(PREFIX)) count += 1;
  return count;
}

/** The query that finds runs which saw the same data under the same name. */
export function sameDataQuery({ path, digest, url }: Pick<TrackedData, 'path' | 'digest' | 'url'>): string {
  return `${quotedPath(path)} = ${JSON.stringify(digest === null ? (url ?? '') : `${PREFIX}${digest}`)}`;
}

/** Those that saw other data under the name. */
export function otherDataQuery({ path, digest }: Pick<TrackedData, 'path' | 'digest'>): string {
  return `${quotedPath(path)} != ${JSON.stringify(`${PREFIX}${digest}`)}`;
}

function quotedPath(path: string): string {
  return /^[A-Za-z_][\w/.-]*$/.test(path) ? path : `"${path.replaceAll('"', '\\"')}"`;
}
