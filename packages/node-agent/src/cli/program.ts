import { Command, CommanderError } from 'commander';
import { VERSION } from '../version.ts';
import type { Cli } from './command.ts';
import { report } from './command.ts';
import { bundleCommand } from './commands/bundle.ts';
import { completionCommand } from './commands/completion.ts';
import { dataCommands } from './commands/data.ts';
import { demoCommand } from './commands/demo.ts';
import { diffCommand } from './commands/diff.ts';
import { discoverCommand } from './commands/discover.ts';
import { doctorCommand } from './commands/doctor.ts';
import { editCommands } from './commands/edit.ts';
import { evictCommand } from './commands/evict.ts';
import { fileCommands } from './commands/files.ts';
import { listCommand } from './commands/list.ts';
import { repairCommand } from './commands/repair.ts';
import { reproduceCommand } from './commands/reproduce.ts';
import { followCommands } from './commands/follow.ts';
import { launchCommand, runCommand } from './commands/run.ts';
import { attributeCommands } from './commands/set.ts';
import { shareCommands } from './commands/share.ts';
import { showCommand } from './commands/show.ts';
import { statusCommand } from './commands/status.ts';
import { storageCommand } from './commands/storage.ts';
import { downCommand, upCommand } from './commands/up.ts';
import { EXIT } from './exit.ts';

/** All commands. Parsing never exits the process; `runCli` says how it ended. */
export function buildProgram(cli: Cli): Command {
  const program = new Command('fieldbook')
    .description('Keeps a complete field book of this machine’s runs and merges it with others.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: cli.terminal.out,
      writeErr: cli.terminal.err,
      getOutHelpWidth: () => Math.min(cli.terminal.columns, 100),
    });
  upCommand(program, cli);
  downCommand(program, cli);
  statusCommand(program, cli);
  listCommand(program, cli);
  showCommand(program, cli);
  editCommands(program, cli);
  attributeCommands(program, cli);
  diffCommand(program, cli);
  dataCommands(program, cli);
  shareCommands(program, cli);
  discoverCommand(program, cli);
  followCommands(program, cli);
  fileCommands(program, cli);
  evictCommand(program, cli);
  storageCommand(program, cli);
  bundleCommand(program, cli);
  doctorCommand(program, cli);
  repairCommand(program, cli);
  demoCommand(program, cli);
  runCommand(program, cli);
  reproduceCommand(program, cli);
  completionCommand(program, cli);
  return program;
}

/** Runs a command line; every failure ends as words on stderr and an exit code of docs/cli.md. */
export async function runCli(args: readonly string[], cli: Cli): Promise<void> {
  if (args[0] === 'run') return launchCommand(cli, args.slice(1));
  const program = buildProgram(cli);
  try {
    await program.parseAsync([...args], { from: 'user' });
  } catch (error) {
    // Commander has already said what was wrong; asking for help or the version is not wrong.
    if (error instanceof CommanderError) cli.setExitCode(error.exitCode === 0 ? EXIT.ok : EXIT.usage);
    else report(cli, error, args.includes('--json'));
  }
}
