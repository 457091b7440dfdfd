import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { FieldbookError } from '@fieldbook/core';
import type { Client } from './client.ts';
import type { Cli } from './command.ts';
import { segment } from './command.ts';
import { formatBytes } from './format.ts';
import type { FileShape } from './shapes.ts';
import type { Progress } from './terminal.ts';

export interface Asked {
  runId: string;
  file: FileShape;
  client: Client;
  progress: Progress;
}

/**
 * Writes a file of a run to disk. Bytes go to a part file beside the target, which a later call goes on with; what arrived is hashed
 * as a whole and gets its name only when it is what the run says. Throws `invalid_argument` when the target is there and `force` is
 * not set, `blob_corrupt`, `disk_full`, and what the API answers.
 */
export async function saveFile(
  cli: Cli,
  { runId, file, client, progress }: Asked,
  { output, force }: { output?: string; force?: boolean },
): Promise<{ file: string; size: number; digest: string }> {
  const digest = file.digest!;
  const fetch = (headers: Record<string, string>): ReturnType<Client['download']> =>
    client.download(`/runs/${segment(runId)}/file`, { path: file.path, version: file.version }, headers);
  if (output === '-') {
    const hash = createHash('sha256');
    let size = 0;
    for await (const piece of (await fetch({})).body) {
      hash.update(piece);
      size += piece.length;
      await cli.terminal.write(piece);
    }
    if (hash.digest('hex') !== digest) throw wrong(file);
    return { file: '-', size, digest };
  }
  const target = await targetOf(output, file);
  if (force !== true && (await stat(target).catch(() => undefined)) !== undefined)
    throw new FieldbookError(
      'invalid_argument',
      `${target} exists; --force replaces it, --output names another place.`,
    );
  const part = join(dirname(target), `.${basename(target).slice(0, 180)}.${digest.slice(0, 16)}.part`);
  try {
    const size = await receive(part, file, fetch, progress);
    progress.update('Verifying …');
    const hash = createHash('sha256');
    for await (const piece of createReadStream(part)) hash.update(piece as Buffer);
    if (hash.digest('hex') !== digest) {
      await rm(part, { force: true });
      throw wrong(file);
    }
    await rename(part, target);
    return { file: target, size, digest };
  } catch (error) {
    throw diskError(error, target);
  }
}

/** Completes the part file; how many bytes it has. */
async function receive(
  part: string,
  file: FileShape,
  fetch: (headers: Record<string, string>) => ReturnType<Client['download']>,
  progress: Progress,
): Promise<number> {
  const before = (await stat(part).catch(() => undefined))?.size ?? 0;
  if (before > 0 && before === file.size) return before;
  const from = file.size !== null && before < file.size ? before : 0;
  // Asked before the part is made: what is not to be had leaves nothing behind.
  const answer = await fetch(from === 0 ? {} : { range: `bytes=${from}-`, 'if-range': `"${file.digest}"` });
  const goesOn = answer.status === 206;
  const handle = await open(part, goesOn ? 'a' : 'w');
  let done = goesOn ? from : 0;
  try {
    for await (const piece of answer.body) {
      await handle.appendFile(piece);
      done += piece.length;
      progress.update(`${file.name}: ${formatBytes(done)}${file.size === null ? '' : ` of ${formatBytes(file.size)}`}`);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return done;
}

/** A file's own name cannot lead out of the folder, whoever gave it. */
async function targetOf(output: string | undefined, file: FileShape): Promise<string> {
  const own = basename(file.name.replaceAll('\\', '/')).replace(/[\u0000-\u001f\u007f]/g, '_');
  const name = own === '' || own === '.' || own === '..' ? 'file' : own;
  if (output === undefined) return resolve(name);
  const isFolder = output.endsWith('/') || (await stat(output).catch(() => undefined))?.isDirectory() === true;
  return isFolder ? resolve(output, name) : resolve(output);
}

function wrong(file: FileShape): FieldbookError {
  return new FieldbookError(
    'blob_corrupt',
    `What arrived of ${file.path} is not what the run says (SHA-256 ${file.digest}); nothing of it was kept. "fieldbook doctor --blobs" checks this machine.`,
  );
}

/** What a full or forbidden disk, or a broken connection, means for who wanted `target`. */
export function diskError(error: unknown, target: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (error instanceof FieldbookError) return error;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new FieldbookError(
      'disk_full',
      `There is no space for ${target}; what arrived is kept, the same command goes on.`,
      { cause: error },
    );
  if (code === 'ENOENT')
    return new FieldbookError('invalid_argument', `There is no folder ${dirname(target)}.`, { cause: error });
  if (code === 'EACCES' || code === 'EISDIR' || code === 'EROFS')
    return new FieldbookError('invalid_argument', `${target} cannot be written (${code}).`, { cause: error });
  if (code === 'ECONNRESET' || message === 'aborted')
    return new FieldbookError(
      'peer_unreachable',
      `The answer broke off; what arrived is kept, the same command goes on.`,
      { cause: error },
    );
  return error;
}
