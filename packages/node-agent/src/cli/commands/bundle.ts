import type { Command } from 'commander';
import type { CreateOptions } from '../bundle/create.ts';
import type { ImportOptions } from '../bundle/import.ts';
import type { Cli } from '../command.ts';
import { withJson } from '../command.ts';

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
  ).action(async (options: CreateOptions) => (await import('../bundle/create.ts')).createBundle(cli, options));
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
  ).action(async (files: string[], options: ImportOptions) =>
    (await import('../bundle/import.ts')).importBundles(cli, files, options),
  );
}
