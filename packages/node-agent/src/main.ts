import type { Cli } from './cli/command.ts';
import { connect, connectToAgent } from './cli/connect.ts';
import { runCli } from './cli/program.ts';
import { processTerminal } from './cli/terminal.ts';
import { homeOf } from './machine/home.ts';

/** The `fieldbook` program: arguments in, exit code set. */
export async function main(args: readonly string[]): Promise<void> {
  const home = homeOf(process.env);
  const cli: Cli = {
    terminal: processTerminal(),
    env: process.env,
    home,
    now: () => Date.now(),
    connect: () => connect(home, process.env),
    connectToAgent: () => connectToAgent(home),
    setExitCode: (code) => {
      process.exitCode = code;
    },
  };
  await runCli(args, cli);
}
