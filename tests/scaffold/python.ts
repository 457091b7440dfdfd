import { spawn } from 'node:child_process';
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

/**
 * Runs a Python script with nothing of this process's Fieldbook settings but those given; its stdout as JSON, null when it said nothing.
 *
 * @throws {Error} with what it said on stderr, when it fails
 */
export async function runPython<T>(
  script: string,
  settings: Readonly<Record<string, string>> & { readonly FIELDBOOK_HOME: string },
  args: readonly string[] = [],
): Promise<T> {
  const { command, env } = pythonForTests();
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('FIELDBOOK_'));
  const child = spawn(command, ['-c', script, ...args], {
    env: { ...Object.fromEntries(inherited), ...env, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  if (code !== 0) throw new Error(`Python ended with ${code}:\n${err}`);
  return (out === '' ? null : JSON.parse(out)) as T;
}
