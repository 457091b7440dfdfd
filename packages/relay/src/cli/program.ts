import { homedir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { LOG_LEVELS } from '../platform/ports.ts';
import { VERSION } from '../version.ts';
import { serve } from './serve.ts';
import { createToken, listTokens, revokeToken } from './token.ts';

type Env = Readonly<Record<string, string | undefined>>;

export interface DataOption {
  data: string;
}

/** All commands. `FIELDBOOK_RELAY_DATA` says where the data lies when `--data` does not. */
export function buildProgram(env: Env): Command {
  const program = new Command('fieldbook-relay')
    .description('Merges the field books of a team. Every machine keeps a complete copy; this is a meeting place.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .showSuggestionAfterError()
    .exitOverride();
  const data = (): Option =>
    new Option('--data <directory>', 'where everything lies (FIELDBOOK_RELAY_DATA)').default(
      env['FIELDBOOK_RELAY_DATA'] || join(env['HOME'] ?? homedir(), '.fieldbook-relay'),
    );

  program
    .command('serve')
    .description('run the relay until it is told to stop')
    .option('--host <address>', 'what to listen on', '127.0.0.1')
    .option('--port <port>', 'which port; 0 takes any', parsePort, 4280)
    .addOption(data())
    .option('--allow-host <name...>', 'answer to these host names only')
    .option('--allow-origin <origin...>', 'let pages of these origins connect too')
    .option('--web <directory>', 'the built web UI')
    .addOption(new Option('--log-level <level>', 'how much to log').choices(LOG_LEVELS).default('info'))
    .action(serve);

  const token = program.command('token').description('make, list and revoke access tokens; works while the relay runs');
  token
    .command('create')
    .description('make a token and print it, once')
    .addOption(
      new Option('--role <role>', 'members read and write, viewers read')
        .choices(['member', 'viewer'])
        .default('member'),
    )
    .option('--name <name>', 'whom it is for')
    .addOption(data())
    .option('--json', 'answer as JSON')
    .action(createToken);
  token
    .command('list')
    .description('list the tokens')
    .addOption(data())
    .option('--json', 'answer as JSON')
    .action(listTokens);
  token
    .command('revoke')
    .description('make a token worthless and close its connections')
    .argument('<id>', 'as "token list" shows it')
    .addOption(data())
    .option('--json', 'answer as JSON')
    .action(revokeToken);
  return program;
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535) throw new InvalidArgumentError('A port is a number from 0 to 65535.');
  return port;
}
