import type { FileHandle } from 'node:fs/promises';
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { asFieldbookError, FieldbookError } from '@fieldbook/core';
import {
  checkedHeader,
  checkTail,
  HEADER_BYTES,
  isSealed,
  openSealed,
  readBundle,
  sealBundle,
  TAIL_BYTES,
} from '@fieldbook/core/bundle';
import { bundlePlatform } from '../../machine/bundles.ts';
import { random } from '../../machine/ports.ts';
import type { Client } from '../client.ts';
import type { Cli } from '../command.ts';
import { printJson, withClient, withJson } from '../command.ts';
import { diskError } from '../download.ts';
import { formatBytes, plural } from '../format.ts';
import type { BundleContentsShape, BundleImportShape } from '../shapes.ts';
import { Progress } from '../terminal.ts';
import { oneLine } from '../width.ts';

const TYPE = 'application/vnd.fieldbook.bundle';

interface CreateOptions {
  project?: string;
  query?: string;
  run?: string[];
  workspace?: boolean;
  withoutFiles?: boolean;
  lacking?: string;
  since?: string;
  passphrase?: boolean;
  passphraseFile?: string;
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
      .option('--lacking <peer>', 'only what a joined relay (by address) or a replica (by id) is not known to have')
      .option('--since <bundle>', 'only what changed since a bundle that was made here: its file, or its id')
      .option('--passphrase', 'seal it with a passphrase, which is asked for')
      .option('--passphrase-file <file>', 'seal it with the first line of a file')
      .option('-o, --output <file>', 'where to, - for stdout (default: a name of its own, here)')
      .option('-f, --force', 'replace a file that is there'),
  ).action((options: CreateOptions) => create(cli, options));
  withJson(
    bundle
      .command('import')
      .description('take bundles in; a second time changes nothing')
      .argument('<file...>', 'bundles')
      .option('--passphrase-file <file>', 'what opens sealed ones: the first line of a file; asked for without')
      .option(
        '--rebuilt',
        'documents that were repaired where it was made, too, instead of those here; only from somebody you trust',
      ),
  ).action((files: string[], options: ImportOptions) => takeIn(cli, files, options));
}

async function create(cli: Cli, options: CreateOptions): Promise<void> {
  const { project, query, workspace, output } = options;
  if (workspace === true && (project !== undefined || query !== undefined || options.run !== undefined))
    throw new FieldbookError('invalid_argument', 'Either the whole --workspace, or a --project or its runs.');
  if (output === '-' && options.json === true)
    throw new FieldbookError('invalid_argument', '--json and a bundle cannot both go to stdout.');
  const passphrase =
    options.passphrase === true || options.passphraseFile !== undefined
      ? await passphraseOf(cli, options.passphraseFile, { twice: true, of: 'the bundle' })
      : null;
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
        const sealed = passphrase === null ? body : sealBundle(body, passphrase, random);
        const about = Number(headers['fieldbook-bundle-bytes'] ?? 0);
        const tell = (bytes: number): void =>
          progress.update(`Writing ${formatBytes(bytes)} of at most ${formatBytes(about)} …`);
        if (output === '-') {
          let size = 0;
          for await (const piece of sealed) {
            await cli.terminal.write(piece);
            tell((size += piece.length));
          }
          return;
        }
        const name = /filename="([^"]+)"/.exec(headers['content-disposition'] ?? '')?.[1];
        const file = resolve(output ?? name ?? 'runs.fieldbook');
        const bytes = await write(file, sealed, options.force === true, tell);
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
  const { lacking, since } = options;
  const files: Record<string, string> = {
    ...(options.withoutFiles === true && { files: 'false' }),
    ...(lacking !== undefined && { lacking }),
    ...(since !== undefined && { since: await bundleId(since) }),
  };
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

/** The id of a bundle that lies in a file, or the id itself. */
async function bundleId(named: string): Promise<string> {
  if (/^[0-9a-fA-F]{32}$/.test(named)) return named;
  const start = await startOf(named);
  return Buffer.from(checkedHeader(start).id).toString('hex');
}

async function startOf(file: string): Promise<Uint8Array> {
  const handle = await openFile(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0);
    return new Uint8Array(buffer.subarray(0, bytesRead));
  } finally {
    await handle.close();
  }
}

/** The first line of a file, or what a person types without being seen; never from an argument, which everybody on the machine reads. */
async function passphraseOf(
  cli: Cli,
  file: string | undefined,
  { twice, of }: { twice: boolean; of: string },
): Promise<string> {
  if (file !== undefined) {
    const text = file === '-' ? await cli.terminal.readStdin() : await readFile(file, 'utf8').catch(unreadable(file));
    const line = text.split(/\r?\n/, 1)[0]!;
    if (line === '')
      throw new FieldbookError(
        'invalid_argument',
        `${file} begins with an empty line; a passphrase has at least one character.`,
      );
    return line;
  }
  if (!cli.terminal.stdinIsTerminal)
    throw new FieldbookError(
      'invalid_argument',
      `A passphrase for ${of} is needed; without a terminal give it with --passphrase-file.`,
    );
  const typed = await cli.terminal.askHidden(`Passphrase of ${of}: `);
  if (typed === '') throw new FieldbookError('invalid_argument', 'A passphrase has at least one character.');
  if (twice && (await cli.terminal.askHidden('Once more: ')) !== typed)
    throw new FieldbookError('invalid_argument', 'The two are not the same. Nothing was written.');
  return typed;
}

function unreadable(file: string): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    throw new FieldbookError('not_found', `${file} cannot be read (${error.code}).`, { cause: error });
  };
}

interface ImportOptions {
  json?: boolean;
  passphraseFile?: string;
  rebuilt?: boolean;
}

async function takeIn(cli: Cli, files: readonly string[], options: ImportOptions): Promise<void> {
  const asJson = options.json === true;
  const imported: (BundleImportShape & { file: string })[] = [];
  await withClient(
    cli,
    async (client) => {
      for (const file of files) {
        const progress = new Progress(cli.terminal, `Reading ${file} …`);
        try {
          const open = await openBundle(cli, file, options, progress);
          await checkWhole(open('Checking'));
          const answer = await client.upload<BundleImportShape>(
            `/bundles${options.rebuilt === true ? '?rebuilt=true' : ''}`,
            TYPE,
            open('Taking in'),
          );
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

/** All of it is looked at before any of it is taken in: of a damaged one nothing changes. Throws as `readBundle`. */
async function checkWhole(bytes: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const piece of readBundle(bundlePlatform, bytes)) if (piece.kind === 'end') return;
  } catch (thrown) {
    const { code, message, details } = asFieldbookError(thrown);
    const words = message.includes('Nothing was changed') ? message : `${message} Nothing was changed.`;
    throw new FieldbookError(code, words, { details, cause: thrown });
  }
}

async function openFile(file: string): Promise<FileHandle> {
  return open(file, 'r').catch((error: NodeJS.ErrnoException) => {
    const why = error.code === 'ENOENT' ? 'There is no such file.' : `It cannot be read (${error.code}).`;
    throw new FieldbookError('not_found', why, { cause: error });
  });
}

/**
 * A bundle's plain bytes, as often as they are asked for; one that broke off is refused before the first of them, and a sealed one is
 * opened. Throws `not_found`, `bundle_corrupt`, `bundle_passphrase`.
 */
async function openBundle(
  cli: Cli,
  file: string,
  options: ImportOptions,
  progress: Progress,
): Promise<(doing: string) => AsyncIterable<Uint8Array>> {
  const handle = await openFile(file);
  try {
    const { size } = await handle.stat();
    if (size === 0) throw new FieldbookError('bundle_corrupt', 'The file is empty.');
    const tail = Buffer.alloc(Math.min(size, TAIL_BYTES));
    await handle.read(tail, 0, tail.length, size - tail.length);
    const head = Buffer.alloc(Math.min(size, HEADER_BYTES));
    await handle.read(head, 0, head.length, 0);
    const read = async function* (doing: string): AsyncGenerator<Uint8Array> {
      yield* pieces(await openFile(file), size, (bytes) =>
        progress.update(`${doing} ${basename(file)}: ${formatBytes(bytes)} of ${formatBytes(size)} …`),
      );
    };
    // What is no bundle at all is told as that by who reads it.
    if (head.length < HEADER_BYTES || head[0] !== 0x89 || !isSealed(new Uint8Array(head))) {
      if (head[0] === 0x89) checkTail(new Uint8Array(tail), size);
      return read;
    }
    progress.end();
    const passphrase = await passphraseOf(cli, options.passphraseFile, { twice: false, of: basename(file) });
    return (doing) => openSealed(read(doing), passphrase);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EISDIR') throw error;
    throw new FieldbookError('invalid_argument', 'It is a folder, not a bundle.', { cause: error });
  } finally {
    await handle.close();
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
  beyond,
}: BundleContentsShape): string {
  const names = projects.map(({ title }) => title);
  const shown = names.length > 4 ? `${names.slice(0, 4).join(', ')} and ${names.length - 4} more` : names.join(', ');
  const lines = [
    `${plural(runCount, 'run')}${shown === '' ? '' : ` of ${shown}`}: ${plural(documents, 'document')}, ${plural(blobs, 'blob')}.`,
  ];
  if (beyond !== null)
    lines.push(
      beyond.kind === 'peer'
        ? `Only what ${oneLine(beyond.id)} is not known to have.`
        : `Only what changed since the bundle ${oneLine(beyond.id)}.`,
    );
  if (withoutFiles) lines.push('Files are left out.');
  if (absentBlobs > 0) lines.push(`${plural(absentBlobs, 'blob')} of them are not on this machine and not in it.`);
  if (keptBack > 0) lines.push(`${plural(keptBack, 'file')} left out, as they travel nowhere.`);
  if (damaged > 0) lines.push(`${plural(damaged, 'damaged document')} left out; see "fieldbook doctor".`);
  return lines.join('\n');
}

/** Whose signature holds; what a bundle says of its maker is only what it says. */
function signedBy(signer: BundleImportShape['signer'], said: string | null): string {
  if (signer === null) return 'It is not signed: who made it is only what it says.';
  const other = said !== null && said !== signer.device ? `, though it says that ${said} made it` : '';
  return signer.known
    ? `Signed by ${oneLine(signer.name ?? signer.device)} (${signer.device}), a device of this workspace${other}.`
    : `Signed by ${signer.device}, which is no device of this workspace${other}.`;
}

function becameOf(file: string, told: BundleImportShape): string {
  const { manifest, changed, added, blobs, blobBytes, purged, refused, unwanted, signer } = told;
  const from = manifest === null ? '' : ` from ${manifest.by} on ${manifest.deviceName ?? manifest.device}`;
  const lines = [
    changed + added + blobs === 0
      ? `${file}${from}: everything was here already.`
      : `${file}${from}: ${plural(changed, 'document')} with something new, ${plural(added, 'new record')}, ${plural(blobs, 'new blob')} (${formatBytes(blobBytes)}).`,
  ];
  lines.push(signedBy(signer, manifest?.device ?? null));
  if (purged > 0) lines.push(`${plural(purged, 'run')} purged here stayed purged.`);
  if (unwanted > 0) lines.push(`${plural(unwanted, 'blob')} left aside: nothing here names them.`);
  for (const { name, code, message } of refused.slice(0, 20)) lines.push(`Not taken in: ${name}: ${message} (${code})`);
  if (refused.length > 20) lines.push(`… and ${refused.length - 20} more.`);
  return lines.join('\n');
}
