import type { Command } from 'commander';
import type { Cli } from '../command.ts';
import { printJson, withClient, withJson } from '../command.ts';
import { plural } from '../format.ts';

export function demoCommand(program: Command, cli: Cli): void {
  withJson(program.command('demo').description('load the recorded example runs')).action(
    async (options: { json?: boolean }) => {
      await withClient(cli, async (client) => {
        const { project, runs } = await client.call<{ project: string; runs: number }>('POST', '/demo', { body: {} });
        if (options.json === true) printJson(cli.terminal, { project, runs });
        else
          cli.terminal.out(
            `${plural(runs, 'run')} in project ${project}. Look at them with "fieldbook ls -p ${project}".\n`,
          );
      });
    },
  );
}
