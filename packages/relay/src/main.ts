import { CommanderError } from 'commander';
import { asFieldbookError } from '@fieldbook/core';
import { buildProgram } from './cli/program.ts';

/** The `fieldbook-relay` program: arguments in, exit code set. */
export async function main(args: readonly string[]): Promise<void> {
  try {
    await buildProgram(process.env).parseAsync([...args], { from: 'user' });
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      process.exitCode = thrown.exitCode === 0 ? 0 : 2;
      return;
    }
    const error = asFieldbookError(thrown);
    process.stderr.write(`error: ${error.message} (${error.code})\n`);
    process.exitCode = error.code === 'not_found' ? 3 : error.code === 'config_invalid' ? 2 : 1;
  }
}
