import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FieldbookError } from '@fieldbook/core';
import { namesIn, syncDirectory } from '../platform/files.ts';
import { listSegments } from './archive.ts';
import { digestOf } from './frames.ts';
import { withLock } from './lock.ts';
import type { Manifest } from './manifest.ts';
import { LAYOUT, listManifests } from './manifest.ts';

export interface PruneOptions {
  /** Every moment of this long until now stays one that can be restored, ms. */
  keepMs: number;
  /** Only say what would go. */
  dryRun: boolean;
  /** ms since the epoch. */
  now: number;
}

export interface Pruned {
  dryRun: boolean;
  /** Names of backups. */
  kept: string[];
  removed: string[];
  /** Files that went, and their bytes. */
  files: number;
  bytes: number;
}

/**
 * Removes the backups that no moment of the last `keepMs` needs, and every file that no other backup needs: snapshots, lists, state,
 * segments of archives, blobs. The newest backup stays whatever its age, and the one that the span begins in. A backup loses its manifest
 * first, so that after a crash it counts for nothing, and what it left goes with the next pruning. Throws `store_locked` while another
 * command works on the directory, `storage_failed` when a list of blobs that stays cannot be read: then nothing is removed.
 */
export async function pruneBackups(directory: string, options: PruneOptions): Promise<Pruned> {
  // Throws when there is none, before a lock is made anywhere.
  await listManifests(directory);
  return withLock(directory, () => prune(directory, options));
}

async function prune(directory: string, { keepMs, dryRun, now }: PruneOptions): Promise<Pruned> {
  const manifests = await listManifests(directory);
  // The newest of before the span is what its first moments are restored from; without any the oldest.
  const first = Math.max(
    0,
    manifests.findLastIndex(({ time }) => time <= now - keepMs),
  );
  const [old, kept] = [manifests.slice(0, first), manifests.slice(first)];
  const needed = await neededBlobs(directory, kept);
  const pruned: Pruned = { dryRun, kept: kept.map(nameOf), removed: old.map(nameOf), files: 0, bytes: 0 };
  const remove = async (path: string): Promise<void> => {
    const size = await sizeOf(path);
    pruned.files += size.files;
    pruned.bytes += size.bytes;
    if (!dryRun) await rm(path, { recursive: true, force: true });
  };
  const folder = (part: keyof typeof LAYOUT): string => join(directory, LAYOUT[part]);
  const gone = new Set(old.map(nameOf));
  for (const name of gone) await remove(join(folder('manifests'), `${name}.json`));
  if (!dryRun) await syncDirectory(folder('manifests'));
  const stays = {
    manifests: new Set([...kept.map(({ name }) => `${name}.json`), ...kept.map(({ blobs }) => blobs.file)]),
    snapshots: new Set(kept.map(({ snapshot }) => snapshot.file)),
    state: new Set(kept.map(nameOf)),
    archive: new Set(kept.flatMap(({ archive }) => archive ?? [])),
  };
  for (const [part, names] of Object.entries(stays) as [keyof typeof stays, Set<string>][])
    for (const name of await namesIn(folder(part)))
      if (!names.has(name) && !(part === 'manifests' && gone.has(name.replace(/\.json$/, ''))))
        await remove(join(folder(part), name));
  for (const archive of stays.archive) {
    const least = Math.min(...kept.filter((each) => each.archive === archive).map(({ seq }) => seq));
    const segments = await listSegments(join(folder('archive'), archive));
    // As a restore looks for the first that it needs.
    const begin = segments.findLastIndex(({ after }) => after <= least);
    for (const { path } of segments.slice(0, Math.max(0, begin))) await remove(path);
  }
  // What is no folder was put there by nobody of us, and stays.
  for (const head of await namesIn(folder('blobs')))
    for (const name of await namesIn(join(folder('blobs'), head)))
      if (!needed.has(name)) await remove(join(folder('blobs'), head, name));
  return pruned;
}

/** Blobs that any of these backups names. */
async function neededBlobs(directory: string, manifests: readonly Manifest[]): Promise<Set<string>> {
  const needed = new Set<string>();
  for (const { blobs } of manifests) {
    const path = join(directory, LAYOUT.manifests, blobs.file);
    if ((await digestOf(path)) !== blobs.sha256)
      throw new FieldbookError('storage_failed', `${path} is not the list that was written: nothing is removed.`);
    for (const line of (await readFile(path, 'utf8')).split('\n')) if (line !== '') needed.add(line.slice(0, 64));
  }
  return needed;
}

async function sizeOf(path: string): Promise<{ files: number; bytes: number }> {
  const there = await stat(path).catch(() => undefined);
  if (there === undefined) return { files: 0, bytes: 0 };
  if (!there.isDirectory()) return { files: 1, bytes: there.size };
  const sum = { files: 0, bytes: 0 };
  for (const name of await readdir(path)) {
    const inner = await sizeOf(join(path, name));
    sum.files += inner.files;
    sum.bytes += inner.bytes;
  }
  return sum;
}

const nameOf = ({ name }: Manifest): string => name;
