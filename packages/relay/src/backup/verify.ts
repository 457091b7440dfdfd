import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { asFieldbookError } from '@fieldbook/core';
import { listSegments, readCommits } from './archive.ts';
import { digestOf, readFrames } from './frames.ts';
import { withLock } from './lock.ts';
import type { Manifest } from './manifest.ts';
import { LAYOUT, listManifests } from './manifest.ts';
import { dumpedEntries } from './snapshot.ts';

export interface Verified {
  backups: number;
  blobs: number;
  /** Commits that the archives have. */
  commits: number;
  /** What is wrong, one sentence each. */
  problems: string[];
}

/**
 * Reads everything of a backup directory and says what is not as it was written. `quick` looks only at the sizes of blobs. Throws
 * `not_found` without backups, `store_locked` while another command works on the directory.
 */
export async function verifyBackups(directory: string, options: { quick: boolean }): Promise<Verified> {
  await listManifests(directory);
  return withLock(directory, () => verify(directory, options), 'read');
}

async function verify(directory: string, { quick }: { quick: boolean }): Promise<Verified> {
  const problems: string[] = [];
  const sizes = new Map<string, number>();
  const archives = new Set<string>();
  const tell = async (work: () => Promise<void>): Promise<void> => {
    await work().catch((error: unknown) => problems.push(asFieldbookError(error).message));
  };
  const manifests = await listManifests(directory);
  for (const manifest of manifests) {
    await tell(() => verifySnapshot(directory, manifest, problems));
    await tell(() => readBlobList(directory, manifest, sizes, problems));
    if (manifest.archive === null) continue;
    archives.add(manifest.archive);
    for (const { file, sha256 } of manifest.segments) {
      const path = join(directory, LAYOUT.archive, manifest.archive, file);
      // Retention may have taken the oldest; what is there must be whole.
      await tell(async () => {
        if ((await stat(path).catch(() => undefined)) !== undefined && (await digestOf(path)) !== sha256)
          problems.push(`${path} is not the file that was copied.`);
      });
    }
  }
  let commits = 0;
  for (const archive of archives)
    await tell(async () => {
      for await (const _ of readCommits(await listSegments(join(directory, LAYOUT.archive, archive)))) commits += 1;
    });
  for (const [digest, size] of sizes) {
    const path = join(directory, LAYOUT.blobs, digest.slice(0, 2), digest);
    const there = await stat(path).catch(() => undefined);
    if (there === undefined) problems.push(`Blob ${digest} is missing.`);
    else if (there.size !== size || (!quick && (await digestOf(path)) !== digest))
      problems.push(`Blob ${digest} has other bytes than its name says.`);
  }
  return { backups: manifests.length, blobs: sizes.size, commits, problems };
}

async function verifySnapshot(directory: string, { snapshot }: Manifest, problems: string[]): Promise<void> {
  const path = join(directory, LAYOUT.snapshots, snapshot.file);
  let entries = 0;
  for await (const _ of dumpedEntries(readFrames(path, { torn: false }))) entries += 1;
  if (entries !== snapshot.entries || (await digestOf(path)) !== snapshot.sha256)
    problems.push(`${path} is not the snapshot that was written.`);
}

async function readBlobList(
  directory: string,
  { blobs }: Manifest,
  sizes: Map<string, number>,
  problems: string[],
): Promise<void> {
  const path = join(directory, LAYOUT.manifests, blobs.file);
  if ((await digestOf(path)) !== blobs.sha256) problems.push(`${path} is not the list that was written.`);
  for (const [digest, size] of await readBlobSizes(path)) sizes.set(digest, size);
}

/** The blobs of a backup's list and their bytes. */
export async function readBlobSizes(path: string): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const line of (await readFile(path, 'utf8')).split('\n')) {
    const match = /^([0-9a-f]{64}) (\d+)$/.exec(line);
    if (match !== null) sizes.set(match[1]!, Number(match[2]));
  }
  return sizes;
}
