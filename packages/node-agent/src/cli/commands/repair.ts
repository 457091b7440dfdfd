import type { Command } from 'commander';
import type { RepairOptions } from '@fieldbook/core/repair';
import type { Cli } from '../command.ts';
import { withJson } from '../command.ts';

export function repairCommand(program: Command, cli: Cli): void {
  const command = program
    .command('repair')
    .description(
      'show what is kept of a document, rebuild it without some of it, or take it from elsewhere; the agent must not run',
    )
    .argument('<document>', 'workspace, book/<project>/<month>, run/<id> or note/<id>')
    .option(
      '--without <what...>',
      'client:ID, device:ID, token:ID or commits:FIRST-LAST, as "--log" shows them; may be given several times',
    )
    .option(
      '--from <source>',
      'the URL of a joined relay, a bundle, the store of a backup, or "aside" for what was there before',
    )
    .option('--log', 'only print the commits that are kept')
    .option('--dry-run', 'only say what would happen');
  withJson(command).action(async (document: string, options: RepairOptions) =>
    (await import('../repair.ts')).repair(cli, document, options),
  );
}
