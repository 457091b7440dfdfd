import { cp, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { diskErrorOf, FieldbookError } from '@fieldbook/core';
import type { ArchivedCommit } from '@fieldbook/core/store';
import { levelStorage, replayCommits } from '@fieldbook/core/store';
import { Audit } from '../audit.ts';
import { openLevel } from '../platform/data.ts';
import { syncDirectory } from '../platform/files.ts';
import { listSegments, readCommits } from './archive.ts';
import { put } from './create.ts';
import { digestOf } from './frames.ts';
import { withLock } from './lock.ts';
import type { Manifest } from './manifest.ts';
import { LAYOUT, listManifests } from './manifest.ts';
import type { RestoredAccess } from './revocations.ts';
import { takeBackAccess } from './revocations.ts';
import { loadSnapshot } from './snapshot.ts';
import { readBlobSizes } from './verify.ts';

export interface RestoreTarget {
  /** ms since the epoch: everything that was on disk by then. */
  at?: number;
  /** Everything up to this commit. */
  seq?: number;
}

export interface RestoreOptions extends RestoreTarget {
  /** An audit log that has outlived the relay, or the data directory that has it: what was revoked since the backup. */
  audit?: string;
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
  access: RestoredAccess;
  blobs: RestoredBlobs;
}

/** Blobs beside what the backup lists. */
export interface RestoredBlobs {
  /** That the backup lists; null when its list is damaged, so that nobody knows. */
  listed: number | null;
  /** Of these, those that are not in the backup directory, or have another size there. */
  missing: number;
  /** Digests of the first of them. */
  missed: string[];
}

/** A person looks at so many; the rest are for `backup verify`. */
const MISSED_MAX = 20;

/**
 * Makes a data directory out of a backup: the newest snapshot that is not after the target, and the commits behind it. The
 * store has no guard beside it, so the relay that opens it takes another replica id and other client ids, and peers that know
 * more give it back. Tokens are those of the backup without those that later backups of the directory, the audit log in it
 * (`audit.jsonl`) or `audit` say were revoked. Blobs that are missing are counted, and no reason to restore nothing. Throws `not_found`
 * when nothing is old enough or there is no such audit log, `invalid_argument` for a directory that is not empty, `store_locked` while
 * another command works on the backup directory.
 */
export async function restoreBackup(from: string, data: string, options: RestoreOptions): Promise<Restored> {
  // Throws when there is none, before a lock is made anywhere.
  await listManifests(from);
  return withLock(from, () => restore(from, data, options), 'read');
}

async function restore(from: string, data: string, { audit, ...target }: RestoreOptions): Promise<Restored> {
  const manifests = await listManifests(from);
  const manifest = chooseBackup(manifests, target);
  const there = await readdir(data).catch(() => [] as string[]);
  if (there.length > 0)
    throw new FieldbookError(
      'invalid_argument',
      `${data} is not empty. Restore into a new directory and move it there.`,
    );
  const later = manifests.slice(manifests.indexOf(manifest) + 1);
  const audits = await auditsOf(from, later, audit);
  const partial = `${data}.restoring`;
  await rm(partial, { recursive: true, force: true });
  await cp(join(from, LAYOUT.state, manifest.name), partial, { recursive: true });
  await mkdir(join(partial, 'store'), { recursive: true, mode: 0o700 });
  const access = await takeBackAccess({ data: partial, from, chosen: manifest, later, audits });
  const store = await restoreStore(from, manifest, join(partial, 'store'), target);
  const blobs = await restoreBlobs(from, manifest, join(partial, 'blobs', 'sha256'));
  const restored = { ...store, access, blobs };
  await tellAudit(join(partial, AUDIT), restored);
  await rm(data, { recursive: true, force: true });
  await rename(partial, data);
  await syncDirectory(dirname(data));
  return restored;
}

const AUDIT = 'audit.jsonl';

/** Where to read what was revoked after the backup. Throws `not_found` when the one that was named is not there. */
async function auditsOf(from: string, later: readonly Manifest[], named: string | undefined): Promise<string[]> {
  const audits = [...later.map(({ name }) => join(from, LAYOUT.state, name, AUDIT)), join(from, AUDIT)];
  if (named === undefined) return audits;
  const isDirectory = (await stat(named).catch(() => undefined))?.isDirectory() === true;
  const path = isDirectory ? join(named, AUDIT) : named;
  if (!((await stat(path).catch(() => undefined))?.isFile() ?? false))
    throw new FieldbookError('not_found', `There is no audit log at ${path}.`);
  return [...audits, path];
}

async function tellAudit(path: string, { backup, seq, replayed, access, blobs }: Restored): Promise<void> {
  let failure: unknown;
  const audit = new Audit(path, { failed: (error) => (failure = error) });
  const { inForce, revoked, invitations } = access;
  const missing = blobs.listed === null ? null : blobs.missing;
  audit.record('restore', {
    backup,
    seq,
    replayed,
    tokens: inForce,
    revoked,
    invitations,
    missing,
    by: 'command line',
  });
  await audit.close();
  if (failure !== undefined) throw diskErrorOf(failure, path);
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
): Promise<Omit<Restored, 'access' | 'blobs'>> {
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
async function restoreBlobs(from: string, { blobs }: Manifest, to: string): Promise<RestoredBlobs> {
  for (const head of await readdir(join(from, LAYOUT.blobs)).catch(() => [] as string[])) {
    await mkdir(join(to, head), { recursive: true, mode: 0o700 });
    for (const digest of await readdir(join(from, LAYOUT.blobs, head)))
      if (/^[0-9a-f]{64}$/.test(digest)) await put(join(from, LAYOUT.blobs, head, digest), join(to, head, digest));
    await syncDirectory(join(to, head));
  }
  const there = await stat(to).catch(() => undefined);
  if (there !== undefined) await syncDirectory(to);
  const list = join(from, LAYOUT.manifests, blobs.file);
  const digest = await digestOf(list).catch(() => undefined);
  if (digest !== blobs.sha256) return { listed: null, missing: 0, missed: [] };
  const found: RestoredBlobs = { listed: 0, missing: 0, missed: [] };
  for (const [name, size] of await readBlobSizes(list)) {
    found.listed! += 1;
    const path = join(to, name.slice(0, 2), name);
    if ((await stat(path).catch(() => undefined))?.size === size) continue;
    // With other bytes under its name nobody would send it again.
    await rm(path, { force: true });
    found.missing += 1;
    if (found.missed.length < MISSED_MAX) found.missed.push(name);
  }
  return found;
}
