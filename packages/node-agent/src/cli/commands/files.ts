import type { Command } from 'commander';
import { FieldbookError } from '@fieldbook/core';
import type { Client } from '../client.ts';
import type { Cli } from '../command.ts';
import { printJson, segment, withClient, withJson, withProject } from '../command.ts';
import { saveFile } from '../download.ts';
import { formatAgo, formatBytes } from '../format.ts';
import type { FileShape } from '../shapes.ts';
import { table } from '../table.ts';
import { Progress } from '../terminal.ts';
import { oneLine } from '../width.ts';

interface Files {
  run: string;
  files: FileShape[];
}

/** Storing what waits may mean hashing a checkpoint of 100 GB first. */
const DRAIN_MS = 60 * 60_000;

export function fileCommands(program: Command, cli: Cli): void {
  const files = program
    .command('files')
    .description('files of a run and where their bytes are')
    .argument('<run>', 'id, beginning of an id, or name')
    .option('-a, --all', 'older versions and removed files, too');
  withJson(withProject(files)).action(
    async (run: string, options: { project?: string; all?: boolean; json?: boolean }) => {
      await withClient(cli, async (client) => {
        const found = await list(client, run, options.project);
        const shown = options.all === true ? found.files : found.files.filter(({ current }) => current);
        if (options.json === true) printJson(cli.terminal, { run: found.run, files: shown });
        else print(cli, shown, options.all === true);
      });
    },
  );
  const download = program
    .command('download')
    .description('write a file of a run to disk, verified; again goes on where it broke off')
    .argument('<run>', 'id, beginning of an id, or name')
    .argument('<path>', 'the file’s attribute path, as "fieldbook files" shows it')
    .option('-o, --output <file>', 'where to; a folder, or "-" for stdout; else its own name in this folder')
    .option('--version-of <version>', 'an older version, as "fieldbook files --all --json" names it')
    .option('-f, --force', 'replace a file that is there')
    .option('--wait <seconds>', 'when it has to be asked for, wait so long for it', '0');
  withJson(withProject(download)).action(async (run: string, path: string, options: DownloadOptions) => {
    await withClient(cli, (client) => downloadFile(cli, client, run, path, options), { telling: true });
  });
}

interface DownloadOptions {
  project?: string;
  output?: string;
  versionOf?: string;
  force?: boolean;
  wait: string;
  json?: boolean;
}

async function list(client: Client, run: string, project: string | undefined): Promise<Files> {
  return client.call<Files>('GET', `/runs/${segment(run)}/files`, { query: { project } });
}

async function downloadFile(
  cli: Cli,
  client: Client,
  run: string,
  path: string,
  options: DownloadOptions,
): Promise<void> {
  const wait = Number(options.wait);
  if (!(wait >= 0)) throw new FieldbookError('invalid_argument', `--wait takes seconds, not ${options.wait}.`);
  if (options.output === '-' && options.json === true)
    throw new FieldbookError('invalid_argument', 'With --json stdout is for the answer: give --output another file.');
  const progress = new Progress(cli.terminal, 'Looking for the file …');
  try {
    let { file, id } = await find(client, run, path, options);
    if (file.state === 'pending') {
      progress.update('Storing what waits in the spool …');
      await client.call('POST', '/drain', { body: {}, timeoutMs: DRAIN_MS });
      ({ file, id } = await find(client, run, path, options));
    }
    if (file.digest === null) throw unavailable(id, file);
    const asked = { runId: id, file, client, progress };
    const saved = await saveFile(cli, asked, options).catch(async (error: unknown) => {
      if (!(error instanceof FieldbookError) || error.code !== 'blob_missing') throw error;
      await askFor(cli, client, id, file, wait, progress, error);
      return saveFile(cli, asked, options);
    });
    progress.end();
    if (options.json === true) printJson(cli.terminal, { run: id, path: file.path, ...saved });
    else if (saved.file !== '-') cli.terminal.err(`${oneLine(saved.file)}: ${formatBytes(saved.size)}, verified\n`);
  } finally {
    progress.end();
  }
}

async function find(
  client: Client,
  run: string,
  path: string,
  { project, versionOf }: DownloadOptions,
): Promise<{ id: string; file: FileShape }> {
  const { run: id, files } = await list(client, run, project);
  const there = files.filter((file) => file.path === path);
  const file = there.find(({ version, current }) => (versionOf === undefined ? current : version === versionOf));
  if (file !== undefined) return { id, file };
  const known = files.filter(({ current }) => current).map((one) => one.path);
  if (there.length > 0)
    throw new FieldbookError(
      'not_found',
      versionOf === undefined
        ? `${path} was removed; "fieldbook files ${run} --all" lists its versions, --version-of names one.`
        : `${path} has no version ${versionOf}.`,
    );
  const some = known.slice(0, 5).join(', ');
  const hint = known.length === 0 ? 'It has none.' : `It has ${some}${known.length > 5 ? ' …' : ''}.`;
  throw new FieldbookError('not_found', `Run ${id} has no file at ${path}. ${hint}`);
}

/** Asks whoever has the bytes to send them, and waits as long as was said. Throws `blob_missing` when they have not come. */
async function askFor(
  cli: Cli,
  client: Client,
  run: string,
  file: FileShape,
  wait: number,
  progress: Progress,
  missing: FieldbookError,
): Promise<void> {
  await client.call('POST', `/runs/${segment(run)}/files/request`, { body: { digest: file.digest } });
  if (client.kind === 'direct') await client.call('POST', '/drain', { body: {}, timeoutMs: DRAIN_MS });
  const deadline = cli.now() + wait * 1_000;
  progress.update(`Asked for it; waiting for ${file.device} to send it …`);
  while (cli.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const there = await client
      .download(`/runs/${segment(run)}/file`, { path: file.path, version: file.version }, { range: 'bytes=0-0' })
      .then(async ({ body }) => {
        for await (const _byte of body) break;
        return true;
      })
      .catch((error: unknown) => {
        if (error instanceof FieldbookError && error.code === 'blob_missing') return false;
        throw error;
      });
    if (there) return;
  }
  throw new FieldbookError(
    'blob_missing',
    `The bytes of ${file.path} are on ${file.device} and were asked for. They come when that machine is connected: try again then, or say --wait SECONDS.`,
    { cause: missing, details: { ...missing.details, requested: true } },
  );
}

function unavailable(run: string, file: FileShape): FieldbookError {
  const why =
    file.failure ??
    (file.state === 'named'
      ? file.source === null
        ? 'only its name was recorded'
        : `only its place was recorded: ${file.source}`
      : `it waits in the spool of ${file.device}`);
  return new FieldbookError('blob_missing', `${file.path} of run ${run} has no bytes: ${why}.`);
}

function print({ terminal, now }: Cli, files: readonly FileShape[], all: boolean): void {
  if (files.length === 0) {
    terminal.err('No files.\n');
    return;
  }
  const where = (file: FileShape): string => {
    if (file.state === 'elsewhere') return file.requested ? `on ${file.device}, asked for` : `on ${file.device}`;
    if (file.state === 'pending') return file.failure === null ? 'waits in the spool' : `waits: ${file.failure}`;
    if (file.state === 'named') return file.failure ?? file.source ?? 'only named';
    if (file.state === 'here') return file.holders.length === 0 ? 'here only' : `here, ${file.holders.join(', ')}`;
    return 'removed';
  };
  terminal.out(
    table(
      terminal,
      [
        { title: 'PATH', text: ({ path }) => path, shrink: true },
        { title: 'KIND', text: ({ kind }) => kind },
        { title: 'SIZE', text: ({ size }) => (size === null ? '–' : formatBytes(size)), right: true },
        { title: 'WHEN', text: ({ at }) => formatAgo(at, now()) },
        ...(all
          ? [{ title: 'VERSION', text: ({ version, current }: FileShape) => (current ? 'current' : version) }]
          : []),
        { title: 'WHERE', text: where, shrink: true },
      ],
      files,
    ),
  );
}
