import type { FileHandle } from 'node:fs/promises';
import { open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { FieldbookError } from '@fieldbook/core';
import { checkTail, TAIL_BYTES } from '@fieldbook/core/bundle';
import type { Client } from '../client.ts';
import type { Cli } from '../command.ts';
import { printJson, withClient, withJson } from '../command.ts';
import { diskError } from '../download.ts';
import { formatBytes, plural } from '../format.ts';
import type { BundleContentsShape, BundleImportShape } from '../shapes.ts';
import { Progress } from '../terminal.ts';

const TYPE = 'application/vnd.fieldbook.bundle';

interface CreateOptions {
  project?: string;
  query?: string;
  run?: string[];
  workspace?: boolean;
  withoutFiles?: boolean;
  output?: string;
  force?: boolean;
  json?: boolean;
}

export function bundleCommand(program: Command, cli: Cli): void {
  const bundle = program.command('bundle').description('carry runs as one file where no network goes: create, import');
  withJson(
    bundle
      .command('create')
      .description('write everything, a project or some of its runs to a file')
      .option('-p, --project <project>', 'only this project')
      .option('-q, --query <query>', 'only runs of the project that match')
      .option('-r, --run <run...>', 'only these runs')
      .option('--workspace', 'everything on this machine (the default without --project)')
      .option('--without-files', 'leave the files of runs out; points are in')
      .option('-o, --output <file>', 'where to, - for stdout (default: a name of its own, here)')
      .option('-f, --force', 'replace a file that is there'),
  ).action((options: CreateOptions) => create(cli, options));
  withJson(
    bundle
      .command('import')
      .description('take bundles in; a second time changes nothing')
      .argument('<file...>', 'bundles'),
  ).action((files: string[], options: { json?: boolean }) => takeIn(cli, files, options.json === true));
}

async function create(cli: Cli, options: CreateOptions): Promise<void> {
  const { project, query, workspace, output } = options;
  if (workspace === true && (project !== undefined || query !== undefined || options.run !== undefined))
    throw new FieldbookError('invalid_argument', 'Either the whole --workspace, or a --project or its runs.');
  if (output === '-' && options.json === true)
    throw new FieldbookError('invalid_argument', '--json and a bundle cannot both go to stdout.');
  await withClient(
    cli,
    async (client) => {
      const progress = new Progress(cli.terminal, 'Looking through the field book …');
      try {
        const asked = await whichOf(client, options);
        const contents = await client.call<BundleContentsShape>('GET', '/bundles/contents', {
          query: asked,
          timeoutMs: 10 * 60_000,
        });
        const { headers, body } = await client.download('/bundles', asked, {});
        const about = Number(headers['fieldbook-bundle-bytes'] ?? 0);
        const tell = (bytes: number): void =>
          progress.update(`Writing ${formatBytes(bytes)} of at most ${formatBytes(about)} …`);
        if (output === '-') {
          let size = 0;
          for await (const piece of body) {
            await cli.terminal.write(piece);
            tell((size += piece.length));
          }
          return;
        }
        const name = /filename="([^"]+)"/.exec(headers['content-disposition'] ?? '')?.[1];
        const file = resolve(output ?? name ?? 'runs.fieldbook');
        const bytes = await write(file, body, options.force === true, tell);
        progress.end();
        if (options.json === true) printJson(cli.terminal, { file, bytes, contents });
        else cli.terminal.out(`${saysOf(contents)}\nWrote ${file} (${formatBytes(bytes)}).\n`);
      } finally {
        progress.end();
      }
    },
    { telling: true },
  );
}

/** Runs are named by people as elsewhere; the API wants ids. */
async function whichOf(client: Client, options: CreateOptions): Promise<Record<string, string>> {
  const { project, query, run } = options;
  const files: Record<string, string> = options.withoutFiles === true ? { files: 'false' } : {};
  if (run === undefined)
    return { ...files, ...(project === undefined ? {} : { project }), ...(query === undefined ? {} : { q: query }) };
  const found: { id: string; project: string }[] = [];
  for (const reference of run)
    found.push(
      await client.call('GET', `/runs/${encodeURIComponent(reference)}`, {
        query: project === undefined ? {} : { project },
      }),
    );
  const projects = new Set(found.map((each) => each.project));
  if (projects.size > 1)
    throw new FieldbookError(
      'invalid_argument',
      `The runs are of ${projects.size} projects (${[...projects].join(', ')}); make a bundle of each.`,
    );
  return { ...files, project: found[0]!.project, runs: found.map(({ id }) => id).join(',') };
}

/** To a part file beside the target, which gets its name when it is whole and on the disk. */
async function write(
  file: string,
  body: AsyncIterable<Uint8Array>,
  force: boolean,
  tell: (bytes: number) => void,
): Promise<number> {
  if (!force && (await stat(file).catch(() => undefined)) !== undefined)
    throw new FieldbookError('invalid_argument', `${file} exists; --force replaces it, --output names another place.`);
  const part = join(dirname(file), `.${basename(file).slice(0, 200)}.part`);
  let size = 0;
  try {
    const handle = await open(part, 'w');
    try {
      for await (const piece of body) {
        await handle.write(piece);
        tell((size += piece.length));
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(part, file);
    return size;
  } catch (error) {
    await rm(part, { force: true }).catch(() => undefined);
    throw diskError(error, file);
  }
}

async function takeIn(cli: Cli, files: readonly string[], asJson: boolean): Promise<void> {
  const imported: (BundleImportShape & { file: string })[] = [];
  await withClient(
    cli,
    async (client) => {
      for (const file of files) {
        const progress = new Progress(cli.terminal, `Reading ${file} …`);
        try {
          const answer = await client.upload<BundleImportShape>('/bundles', TYPE, await openBundle(file, progress));
          progress.end();
          imported.push({ file, ...answer });
          if (!asJson) cli.terminal.out(`${becameOf(file, answer)}\n`);
        } catch (error) {
          if (error instanceof FieldbookError)
            throw new FieldbookError(error.code, `${file}: ${error.message}`, { details: error.details, cause: error });
          throw error;
        } finally {
          progress.end();
        }
      }
    },
    { telling: true },
  );
  if (asJson) printJson(cli.terminal, { imported });
}

/** A bundle's bytes; one that broke off is refused before the first of them. Throws `not_found`, `bundle_corrupt`. */
async function openBundle(file: string, progress: Progress): Promise<AsyncIterable<Uint8Array>> {
  const handle = await open(file, 'r').catch((error: NodeJS.ErrnoException) => {
    const why = error.code === 'ENOENT' ? 'There is no such file.' : `It cannot be read (${error.code}).`;
    throw new FieldbookError('not_found', why, { cause: error });
  });
  try {
    const { size } = await handle.stat();
    if (size === 0) throw new FieldbookError('bundle_corrupt', 'The file is empty.');
    const tail = Buffer.alloc(Math.min(size, TAIL_BYTES));
    await handle.read(tail, 0, tail.length, size - tail.length);
    const head = Buffer.alloc(Math.min(size, 1));
    await handle.read(head, 0, head.length, 0);
    // What is no bundle at all is told as that by who reads it.
    if (head[0] === 0x89) checkTail(new Uint8Array(tail), size);
    return pieces(handle, size, (read) =>
      progress.update(`Taking in ${basename(file)}: ${formatBytes(read)} of ${formatBytes(size)} …`),
    );
  } catch (error) {
    await handle.close();
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EISDIR') throw error;
    throw new FieldbookError('invalid_argument', 'It is a folder, not a bundle.', { cause: error });
  }
}

async function* pieces(handle: FileHandle, size: number, tell: (read: number) => void): AsyncGenerator<Uint8Array> {
  try {
    let read = 0;
    for (;;) {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(1024 * 1024), 0, 1024 * 1024, read);
      if (bytesRead === 0) return;
      read += bytesRead;
      tell(Math.min(read, size));
      yield new Uint8Array(buffer.buffer, buffer.byteOffset, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

function saysOf({
  projects,
  runCount,
  documents,
  blobs,
  absentBlobs,
  keptBack,
  damaged,
  withoutFiles,
}: BundleContentsShape): string {
  const names = projects.map(({ title }) => title);
  const shown = names.length > 4 ? `${names.slice(0, 4).join(', ')} and ${names.length - 4} more` : names.join(', ');
  const lines = [
    `${plural(runCount, 'run')}${shown === '' ? '' : ` of ${shown}`}: ${plural(documents, 'document')}, ${plural(blobs, 'blob')}.`,
  ];
  if (withoutFiles) lines.push('Files are left out.');
  if (absentBlobs > 0) lines.push(`${plural(absentBlobs, 'blob')} of them are not on this machine and not in it.`);
  if (keptBack > 0) lines.push(`${plural(keptBack, 'file')} left out, as they travel nowhere.`);
  if (damaged > 0) lines.push(`${plural(damaged, 'damaged document')} left out; see "fieldbook doctor".`);
  return lines.join('\n');
}

function becameOf(file: string, told: BundleImportShape): string {
  const { manifest, changed, added, blobs, blobBytes, purged, refused, unwanted } = told;
  const from = manifest === null ? '' : ` from ${manifest.by} on ${manifest.deviceName ?? manifest.device}`;
  const lines = [
    changed + added + blobs === 0
      ? `${file}${from}: everything was here already.`
      : `${file}${from}: ${plural(changed, 'document')} with something new, ${plural(added, 'new record')}, ${plural(blobs, 'new blob')} (${formatBytes(blobBytes)}).`,
  ];
  if (purged > 0) lines.push(`${plural(purged, 'run')} purged here stayed purged.`);
  if (unwanted > 0) lines.push(`${plural(unwanted, 'blob')} left aside: nothing here names them.`);
  for (const { name, code, message } of refused.slice(0, 20)) lines.push(`Not taken in: ${name}: ${message} (${code})`);
  if (refused.length > 20) lines.push(`… and ${refused.length - 20} more.`);
  return lines.join('\n');
}
