import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { DocumentName } from '@fieldbook/core';
import { FieldbookError } from '@fieldbook/core';
import type { RepairOptions } from '@fieldbook/core/repair';
import { documentElsewhere, repairDocument } from '@fieldbook/core/repair';
import type { WholeDocument } from '@fieldbook/core/replica';
import { levelStorage } from '@fieldbook/core/store';
import { bundlePlatform } from '../machine/bundles.ts';
import { readRelayTokens } from '../machine/config.ts';
import { openMachine } from '../machine/machine.ts';
import { clock, jsonLog } from '../machine/ports.ts';
import { openLevel } from '../machine/store.ts';
import type { Cli } from './command.ts';

/** Repairs one document of this machine's own store. Throws `agent_already_running` while an agent has it. */
export async function repair(cli: Cli, document: string, options: RepairOptions): Promise<void> {
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
