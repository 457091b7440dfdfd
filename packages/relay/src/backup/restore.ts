import { cp, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FieldbookError } from '@fieldbook/core';
import type { ArchivedCommit } from '@fieldbook/core/store';
import { levelStorage, replayCommits } from '@fieldbook/core/store';
import { openLevel } from '../platform/data.ts';
import { syncDirectory } from '../platform/files.ts';
import { listSegments, readCommits } from './archive.ts';
import { put } from './create.ts';
import { digestOf } from './frames.ts';
import type { Manifest } from './manifest.ts';
import { LAYOUT, listManifests } from './manifest.ts';
import { loadSnapshot } from './snapshot.ts';

export interface RestoreTarget {
  /** ms since the epoch: everything that was on disk by then. */
  at?: number;
  /** Everything up to this commit. */
  seq?: number;
}

export interface Restored {
  /** The backup that it began with. */
  backup: string;
  /** Commits of the archive that were added to it. */
  replayed: number;
  /** The last commit. */
  seq: number;
  /** When that was on disk, ms since the epoch, as far as is known. */
  time: number;
}

/**
 * Makes a data directory out of a backup: the newest snapshot that is not after the target, and the commits behind it. The
 * store has no guard beside it, so the relay that opens it takes another replica id and other client ids, and peers that know
 * more give it back. Throws `not_found` when nothing is old enough, `invalid_argument` for a directory that is not empty.
 */
export async function restoreBackup(from: string, data: string, target: RestoreTarget): Promise<Restored> {
  const manifest = chooseBackup(await listManifests(from), target);
  const there = await readdir(data).catch(() => [] as string[]);
  if (there.length > 0)
    throw new FieldbookError(
      'invalid_argument',
      `${data} is not empty. Restore into a new directory and move it there.`,
    );
  const partial = `${data}.restoring`;
  await rm(partial, { recursive: true, force: true });
  await cp(join(from, LAYOUT.state, manifest.name), partial, { recursive: true });
  await mkdir(join(partial, 'store'), { recursive: true, mode: 0o700 });
  const restored = await restoreStore(from, manifest, join(partial, 'store'), target);
  await restoreBlobs(from, join(partial, 'blobs', 'sha256'));
  await rm(data, { recursive: true, force: true });
  await rename(partial, data);
  await syncDirectory(dirname(data));
  return restored;
}

function chooseBackup(manifests: readonly Manifest[], { at, seq }: RestoreTarget): Manifest {
  const fitting = manifests.filter(
    (manifest) => (at === undefined || manifest.time <= at) && (seq === undefined || manifest.seq <= seq),
  );
  const chosen = fitting.at(-1);
  if (chosen !== undefined) return chosen;
  const oldest = manifests[0]!;
  const when = new Date(oldest.time).toISOString();
  throw new FieldbookError('not_found', `The oldest backup is of ${when}, commit ${oldest.seq}.`);
}

async function restoreStore(
  from: string,
  manifest: Manifest,
  path: string,
  { at, seq: most }: RestoreTarget,
): Promise<Restored> {
  const { name: backup, snapshot, time, seq, archive } = manifest;
  const file = join(from, LAYOUT.snapshots, snapshot.file);
  if ((await digestOf(file)) !== snapshot.sha256)
    throw new FieldbookError('storage_failed', `${file} is damaged; restore from another backup.`);
  const storage = levelStorage(await openLevel(path));
  try {
    await loadSnapshot(file, storage);
    const restored = { backup, replayed: 0, seq, time };
    if (archive === null) return restored;
    const segments = await listSegments(join(from, LAYOUT.archive, archive));
    const first = segments.findLastIndex(({ after }) => after <= seq);
    if (first === -1) return restored;
    const wanted = async function* (): AsyncGenerator<ArchivedCommit> {
      for await (const commit of readCommits(segments.slice(first))) {
        if (commit.seq <= seq) continue;
        // In the order of their seqs; a wrong clock that went back must not let a later one in.
        if ((at !== undefined && commit.time > at) || (most !== undefined && commit.seq > most)) return;
        restored.time = Math.max(restored.time, commit.time);
        yield commit;
      }
    };
    const { added, seq: last } = await replayCommits(storage, wanted());
    return { ...restored, replayed: added, seq: Math.max(seq, last) };
  } finally {
    await storage.close();
  }
}

/** All that the backup has: which of them a later commit named is not known without reading every document. */
async function restoreBlobs(from: string, to: string): Promise<void> {
  for (const head of await readdir(join(from, LAYOUT.blobs))) {
    await mkdir(join(to, head), { recursive: true, mode: 0o700 });
    for (const digest of await readdir(join(from, LAYOUT.blobs, head)))
      if (/^[0-9a-f]{64}$/.test(digest)) await put(join(from, LAYOUT.blobs, head, digest), join(to, head, digest));
    await syncDirectory(join(to, head));
  }
  const there = await stat(to).catch(() => undefined);
  if (there !== undefined) await syncDirectory(to);
}
