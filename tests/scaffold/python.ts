import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { findPython, pythonOf } from '../../.ci/lib/python.mjs';
import { ROOT } from '../../.ci/lib/paths.mjs';

/**
 * How a test runs a training script: the Python of `.venv` where there is one, else the machine's (the client needs
 * nothing installed), and the variable that makes it find the client's sources.
 *
 * @throws {Error} where there is no Python 3.9
 */
export function pythonForTests(): { readonly command: string; readonly env: Readonly<Record<string, string>> } {
  const own = pythonOf(join(ROOT, '.venv'));
  const command = existsSync(own) ? own : findPython()?.command;
  if (command === undefined) throw new Error('There is no Python 3.9 or newer: name one in FIELDBOOK_PYTHON.');
  return {
    command,
    env: { PYTHONPATH: join(ROOT, 'packages/python-client/src'), PYTHONDONTWRITEBYTECODE: '1' },
  };
}
