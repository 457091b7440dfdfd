import { FieldbookError } from '@fieldbook/core';
import { createBackup } from '../backup/create.ts';
import type { Manifest } from '../backup/manifest.ts';
import { listManifests } from '../backup/manifest.ts';
import { pruneBackups } from '../backup/prune.ts';
import { restoreBackup } from '../backup/restore.ts';
import { verifyBackups } from '../backup/verify.ts';
import type { DataOption } from './program.ts';

interface JsonOption {
  json?: boolean;
}

/** Adds a backup to `to`; works while the relay runs. */
export async function backupCreate(options: JsonOption & DataOption & { to: string }): Promise<void> {
  const manifest = await createBackup(options.data, options.to);
  if (options.json === true) return print(manifest);
  process.stdout.write(`${line(manifest)}\n`);
}

export async function backupList(options: JsonOption & { from: string }): Promise<void> {
  const manifests = await listManifests(options.from);
  if (options.json === true) return print(manifests);
  for (const manifest of manifests) process.stdout.write(`${line(manifest)}\n`);
}

/** Exit code 1 when anything is wrong. */
export async function backupVerify(options: JsonOption & { from: string; quick?: boolean }): Promise<void> {
  const verified = await verifyBackups(options.from, { quick: options.quick === true });
  if (verified.problems.length > 0) process.exitCode = 1;
  if (options.json === true) return print(verified);
  const { backups, blobs, commits, problems } = verified;
  process.stdout.write(
    `${backups} backups, ${commits} commits behind them, ${blobs} blobs: ${problems.length} problems\n`,
  );
  for (const problem of problems) process.stdout.write(`${problem}\n`);
}

/** Removes the backups that no moment of the last `keep` ms needs. */
export async function backupPrune(options: JsonOption & { to: string; keep: number; dryRun?: boolean }): Promise<void> {
  const pruned = await pruneBackups(options.to, {
    keepMs: options.keep,
    dryRun: options.dryRun === true,
    now: Date.now(),
  });
  if (options.json === true) return print(pruned);
  const { kept, removed, files, bytes, dryRun } = pruned;
  for (const name of removed) process.stdout.write(`${name}\n`);
  process.stdout.write(
    `${dryRun ? 'Would remove' : 'Removed'} ${removed.length} backups, ${files} files, ${bytes} bytes; ${kept.length} stay, the oldest is ${kept[0]}.\n`,
  );
}

export async function restore(
  options: JsonOption & DataOption & { from: string; at?: string; seq?: string },
): Promise<void> {
  const at = options.at === undefined ? undefined : Date.parse(options.at);
  const seq = options.seq === undefined ? undefined : Number(options.seq);
  if (at !== undefined && Number.isNaN(at))
    throw new FieldbookError('invalid_argument', '--at needs a time like 2026-05-03T12:00Z.');
  if (seq !== undefined && (!Number.isSafeInteger(seq) || seq < 0))
    throw new FieldbookError('invalid_argument', '--seq needs the number of a commit.');
  const restored = await restoreBackup(options.from, options.data, {
    ...(at === undefined ? {} : { at }),
    ...(seq === undefined ? {} : { seq }),
  });
  if (options.json === true) return print(restored);
  const until = new Date(restored.time).toISOString();
  process.stdout.write(
    `Restored to ${options.data}: backup ${restored.backup} and ${restored.replayed} commits behind it, up to commit ${restored.seq} of ${until}.\n`,
  );
}

function line({ name, seq, time, snapshot, blobs, archive, segments }: Manifest): string {
  const behind = archive === null ? 'no archive' : `${segments.length} segments of archive`;
  return `${name}  ${new Date(time).toISOString()}  commit ${seq}  ${snapshot.bytes} bytes  ${blobs.count} blobs (${blobs.bytes} bytes)  ${behind}`;
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
