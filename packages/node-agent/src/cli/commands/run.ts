import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { isatty } from 'node:tty';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Command } from 'commander';
import { FieldbookError } from '@fieldbook/core';
import { PACKAGE_FOLDER } from '../../package-folder.ts';
import type { Cli } from '../command.ts';
import { report } from '../command.ts';
import { findPython } from '../python.ts';

/** The Python client of this installation; the launcher lives there because what it captures does. */
const SOURCE = join(PACKAGE_FOLDER, '../python-client/src');

/**
 * Finds the launcher without anything of the user's in the way: no folder of theirs on the path, no `PYTHON…` variable, so
 * that the command inherits them untouched. Its first argument is where the bundled client lies, or nothing.
 */
const BOOTSTRAP = [
  'import sys',
  'source = sys.argv.pop(1)',
  'sys.path[:] = ([source] if source else []) + [path for path in sys.path if path]',
  'from fieldbook.launch import entry',
  'entry()',
].join('; ');

/** Passed on by number, one byte each; the launcher counts them against those that the kernel sent it itself. */
const PASSED_ON = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;
const SIGNAL_FD = 3;

/** For `--help` and completion; {@link launchCommand} is asked before anything is parsed, because all words are the command's. */
export function runCommand(program: Command, cli: Cli): void {
  program
    .command('run')
    .description('run any command and record it: fieldbook run [options] -- command …')
    .argument('[words...]', 'options (see "fieldbook run --help"), "--", and the command')
    .allowUnknownOption()
    .action(async (words: string[]) => launchCommand(cli, words));
}

/** `fieldbook run`: sets the exit code, which is the command's. */
export async function launchCommand(cli: Cli, words: readonly string[]): Promise<void> {
  try {
    cli.setExitCode(await launch(cli, words));
  } catch (error) {
    report(cli, error, false);
  }
}

/** Runs the launcher with our streams, in a folder and environment of its own if given; resolves with the command's exit code. */
export async function launch(
  cli: Cli,
  args: readonly string[],
  { cwd, env = cli.env }: { cwd?: string; env?: Cli['env'] } = {},
): Promise<number> {
  const python = await findPython(cli.env);
  const bundled = existsSync(SOURCE);
  const child = spawn(python, ['-I', '-c', BOOTSTRAP, bundled ? SOURCE : '', ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    cwd,
    env: {
      ...env,
      FIELDBOOK_SIGNAL_FD: String(SIGNAL_FD),
      // Node forgets at its start that `nohup` made it ignore SIGHUP. Without a terminal nobody else sends one.
      ...([0, 1, 2].some((fd) => isatty(fd)) ? {} : { FIELDBOOK_IGNORE_HUP: '1' }),
    },
  });
  const pipe = child.stdio[SIGNAL_FD] as unknown as Socket;
  // The launcher may be gone before the last signal is written; and where recording is switched off it becomes the command.
  let listening = true;
  pipe
    .on('error', () => (listening = false))
    .on('close', () => (listening = false))
    .resume();
  const listeners = PASSED_ON.map((name) => {
    const listener = (): void => {
      if (listening) pipe.write(Uint8Array.of(constants.signals[name]));
      // The terminal's own signals have reached the command's process group, which is ours.
      else if (name !== 'SIGINT' && name !== 'SIGQUIT') child.kill(name);
    };
    process.on(name, listener);
    return { name, listener };
  });
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on('error', (error) =>
        reject(new FieldbookError('internal', `${python} cannot be started: ${error.message}.`, { cause: error })),
      );
      child.on('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    });
  } finally {
    for (const { name, listener } of listeners) process.off(name, listener);
    pipe.destroy();
  }
}
