import { open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { FieldbookError } from '@fieldbook/core';
import { checkedHeader, HEADER_BYTES, sealBundle } from '@fieldbook/core/bundle';
import { random } from '../../machine/ports.ts';
import type { Client } from '../client.ts';
import type { Cli } from '../command.ts';
import { printJson, withClient } from '../command.ts';
import { diskError } from '../download.ts';
import { formatBytes, plural } from '../format.ts';
import type { BundleContentsShape } from '../shapes.ts';
import { Progress } from '../terminal.ts';
import { oneLine } from '../width.ts';
import { openFile } from './file.ts';
import { passphraseOf } from './passphrase.ts';

export interface CreateOptions {
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

/** `bundle create`: asks the agent for one, seals it if asked to, and writes it. */
export async function createBundle(cli: Cli, options: CreateOptions): Promise<void> {
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
