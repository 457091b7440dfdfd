import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FieldbookError, readErrorOf } from '@fieldbook/core';
import { namesIn } from '../platform/files.ts';

/** What a backup directory holds for one backup; the file is written last, so what has one is whole. */
export interface Manifest {
  format: 1;
  /** Names the files of the backup: `20260503T120000Z-000000000123`. */
  name: string;
  /** ms since the epoch when the snapshot was cut. */
  time: number;
  /** The last commit in it. */
  seq: number;
  /** The store that it is of. */
  replica: string | null;
  program: string;
  snapshot: { file: string; sha256: string; bytes: number; entries: number };
  blobs: { file: string; sha256: string; count: number; bytes: number };
  /** The archive that goes on from here; null when the relay kept none. */
  archive: string | null;
  /** Its files that were whole by then, with their digests. */
  segments: readonly { file: string; sha256: string }[];
}

/** Where things lie in a backup directory. */
export const LAYOUT = {
  manifests: 'backups',
  snapshots: 'snapshots',
  blobs: 'blobs',
  archive: 'archive',
  state: 'state',
} as const;

/** The backups of a directory, oldest first. Throws `not_found` when there is none, `storage_failed` when that cannot be seen. */
export async function listManifests(directory: string): Promise<Manifest[]> {
  const folder = join(directory, LAYOUT.manifests);
  const names = await namesIn(folder);
  const manifests: Manifest[] = [];
  for (const name of names.filter((each) => each.endsWith('.json'))) {
    const path = join(folder, name);
    let manifest: Manifest;
    try {
      manifest = JSON.parse(await readFile(path, 'utf8')) as Manifest;
    } catch (error) {
      throw readErrorOf(error, path);
    }
    if (typeof (manifest as Partial<Manifest> | null)?.format !== 'number')
      throw new FieldbookError(
        'storage_failed',
        `${path} is not what a backup wrote. Move it away; nothing was changed.`,
      );
    if (manifest.format !== 1)
      throw new FieldbookError('store_version', `${path} was written by a newer program; use that one.`);
    manifests.push(manifest);
  }
  if (manifests.length === 0) throw new FieldbookError('not_found', `There is no backup in ${directory}.`);
  return manifests.sort((a, b) => a.time - b.time || a.seq - b.seq);
}
