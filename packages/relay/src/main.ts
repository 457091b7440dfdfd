import { CommanderError } from 'commander';
import { asFieldbookError } from '@fieldbook/core';
import { buildProgram } from './cli/program.ts';

const NOT_UNDERSTOOD: ReadonlySet<string> = new Set(['config_invalid', 'invalid_argument']);

/** The `fieldbook-relay` program: arguments in, exit code set. */
export async function main(args: readonly string[]): Promise<void> {
  // A reader that has seen enough (`| head`) is no failure; of a relay that serves it is one that its log has no reader.
  if (args[0] !== 'serve')
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
      throw error;
    });
  try {
    await buildProgram(process.env).parseAsync([...args], { from: 'user' });
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      process.exitCode = thrown.exitCode === 0 ? 0 : 2;
      return;
    }
    const error = asFieldbookError(thrown);
    const said = args.includes('--json')
      ? JSON.stringify({ error: error.toJSON() })
      : `error: ${error.message} (${error.code})`;
    process.stderr.write(`${said}\n`);
    process.exitCode = error.code === 'not_found' ? 3 : NOT_UNDERSTOOD.has(error.code) ? 2 : 1;
  }
}
