import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import type { DocumentName } from '@fieldbook/core';
import { FieldbookError } from '@fieldbook/core';
import type { RepairOptions } from '@fieldbook/core/repair';
import { documentElsewhere, repairDocument, WITHOUT_ABOUT } from '@fieldbook/core/repair';
import type { WholeDocument } from '@fieldbook/core/replica';
import { levelStorage } from '@fieldbook/core/store';
import { bundlePlatform } from '../../machine/bundles.ts';
import { readRelayTokens } from '../../machine/config.ts';
import { openMachine } from '../../machine/machine.ts';
import { clock, jsonLog } from '../../machine/ports.ts';
import { openLevel } from '../../machine/store.ts';
import type { Cli } from '../command.ts';
import { withJson } from '../command.ts';

export function repairCommand(program: Command, cli: Cli): void {
  const command = program
    .command('repair')
    .description(
      'show what is kept of a document, rebuild it without some of it, or take it from elsewhere; the agent must not run',
    )
    .argument('<document>', 'workspace, book/<project>/<month>, run/<id> or note/<id>')
    .option('--without <what...>', WITHOUT_ABOUT)
    .option(
      '--from <source>',
      'the URL of a joined relay, a bundle, the store of a backup, or "aside" for what was there before',
    )
    .option('--log', 'only print the commits that are kept')
    .option('--dry-run', 'only say what would happen');
  withJson(command).action(async (document: string, options: RepairOptions) => {
    if ((await cli.connectToAgent()) !== undefined)
      throw new FieldbookError(
        'agent_already_running',
        'Stop the agent first (fieldbook down): a repair needs the store to itself.',
      );
    const log = jsonLog((line) => cli.terminal.err(line), 'error');
    const machine = await openMachine(cli.home, cli.env, log);
    try {
      await repairDocument(
        {
          replica: machine.replica,
          now: () => clock.now(),
          inWords: (ms) => new Date(ms).toISOString().slice(0, 19).replace('T', ' '),
          print: (line) => cli.terminal.out(`${line}\n`),
          elsewhere: (from, name) => elsewhere(cli, from, name),
          done: (fields) => log.info('repair', fields),
        },
        document,
        options,
      );
    } finally {
      await machine.close();
    }
  });
}

function elsewhere({ home }: Cli, from: string, name: DocumentName): Promise<WholeDocument> {
  return documentElsewhere(
    {
      platform: bundlePlatform,
      tokenFor: async (origin) => {
        const tokens = Object.entries(await readRelayTokens(home));
        return tokens.find(([url]) => new URL(url).host === new URL(origin).host)?.[1];
      },
      fetch,
      stat: (path) => stat(path).catch(() => undefined),
      read: (path) => createReadStream(path),
      openStorage: async (path) => levelStorage(await openLevel(path)),
    },
    from,
    name,
  );
}
