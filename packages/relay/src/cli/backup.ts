import { FieldbookError } from '@fieldbook/core';
import { createBackup } from '../backup/create.ts';
import type { Manifest } from '../backup/manifest.ts';
import { listManifests } from '../backup/manifest.ts';
import { pruneBackups } from '../backup/prune.ts';
import type { RestoredBlobs } from '../backup/restore.ts';
import { restoreBackup } from '../backup/restore.ts';
import type { RestoredAccess } from '../backup/revocations.ts';
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

/** Exit code 1 when blobs of the backup are missing: what was restored can be served all the same. */
export async function restore(
  options: JsonOption & DataOption & { from: string; at?: string; seq?: string; audit?: string },
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
    ...(options.audit === undefined ? {} : { audit: options.audit }),
  });
  const { listed, missing } = restored.blobs;
  if (listed === null || missing > 0) process.exitCode = 1;
  if (options.json === true) return print(restored);
  process.stdout.write(
    `Restored to ${options.data}: backup ${restored.backup} and ${restored.replayed} commits behind it, up to commit ${restored.seq} of ${isoOf(restored.time)}.\n`,
  );
  process.stdout.write(`${accessLines(options.data, restored.access).join('\n')}\n`);
  process.stdout.write(`${blobLines(options.from, restored.blobs).join('\n')}\n`);
}

function accessLines(data: string, access: RestoredAccess): string[] {
  const { inForce, asOf, knownUntil, revoked, invitations } = access;
  const lines = [`Tokens: ${inForce} in force, as of ${isoOf(asOf)}; none that was made later is there.`];
  if (revoked.length > 0) lines.push(`Left out, being revoked since: ${revoked.join(', ')}.`);
  lines.push(
    `What was revoked after ${isoOf(knownUntil)} is not known here and is in force again: look at "fieldbook-relay token list --data ${data}" and revoke it before the relay runs, or restore with --audit and the audit log of the relay that was lost.`,
  );
  if (invitations > 0) lines.push(`Left out: ${invitations} invitations that were open; make new ones.`);
  return lines;
}

function blobLines(from: string, { listed, missing, missed }: RestoredBlobs): string[] {
  if (listed === null)
    return [`The list of this backup's blobs is damaged, so whether all are there is not known; see "backup verify".`];
  if (missing === 0) return [`Blobs: all ${listed} that the backup lists.`];
  const lines = [
    `${missing} of ${listed} blobs that the backup lists are missing in ${from} or cut short:`,
    ...missed.map((digest) => `  ${digest}`),
  ];
  if (missing > missed.length) lines.push(`  and ${missing - missed.length} more`);
  lines.push(
    'The relay can be served. Machines and relays that connect send it the blobs that their runs name and that they still have; the rest is lost unless another backup has it.',
  );
  return lines;
}

const isoOf = (time: number): string => new Date(time).toISOString();

function line({ name, seq, time, snapshot, blobs, archive, segments }: Manifest): string {
  const behind = archive === null ? 'no archive' : `${segments.length} segments of archive`;
  return `${name}  ${new Date(time).toISOString()}  commit ${seq}  ${snapshot.bytes} bytes  ${blobs.count} blobs (${blobs.bytes} bytes)  ${behind}`;
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
