import type { Command } from 'commander';
import type { NamedReport } from '@fieldbook/core/usage';
import type { Cli } from '../command.ts';
import { printJson, withClient, withJson } from '../command.ts';
import { formatBytes } from '../format.ts';

/** Every run document is read. */
const MEASURE_MS = 60 * 60_000;

export function storageCommand(program: Command, cli: Cli): void {
  const command = program
    .command('storage')
    .description('say what takes how much of the disk: by kind, project and run');
  withJson(command).action(async (options: { json?: boolean }) => {
    await withClient(cli, async (client) => {
      const report = await client.call<NamedReport>('GET', '/storage', { timeoutMs: MEASURE_MS });
      if (options.json === true) return printJson(cli.terminal, report);
      const { storageLines } = await import('@fieldbook/core/usage');
      for (const line of storageLines(report, formatBytes)) cli.terminal.out(`${line}\n`);
    });
  });
}
