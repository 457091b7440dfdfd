// npm run bench:peers: installs the peers that benchmarks compare with into bench/.venv, each by itself.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../.ci/lib/command.mjs';
import { ROOT } from '../.ci/lib/paths.mjs';
import { findPython, pythonOf } from '../.ci/lib/python.mjs';

// mlflow whole, for its UI; what log-latency imports of it is in mlflow-skinny too.
const PEERS = ['wandb', 'tensorboardX', 'mlflow', 'tensorboard', 'aim', 'trackio', 'neptune', 'numpy'];
const MINUTE = 60_000;

const folder = join(ROOT, 'bench/.venv');
const python = pythonOf(folder);

const found = findPython();
if (found === null) {
  console.error('No Python 3.9 or newer was found.');
  process.exit(1);
}
if (!existsSync(python)) {
  const made = await runCommand(found.command, ['-m', 'venv', folder], { cwd: ROOT, timeoutMs: 2 * MINUTE });
  if (!made.ok) {
    console.error(`${made.output}\nThe environment could not be made. Run: sudo apt-get install -y python3-venv`);
    process.exit(1);
  }
}
// A peer that does not install here is reported and does not keep the others out: benchmarks say "not installed".
/** @type {string[]} */
const missing = [];
for (const peer of PEERS) {
  const args = ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-input', peer];
  const { ok, output, trouble } = await runCommand(python, args, { cwd: ROOT, timeoutMs: 10 * MINUTE });
  const reason = trouble ?? output.trimEnd().split('\n').at(-1) ?? '';
  console.log(ok ? `✓ ${peer}` : `✗ ${peer}: ${reason}`);
  if (!ok) missing.push(peer);
}
console.log(missing.length === 0 ? 'All peers are installed.' : `Not installed: ${missing.join(', ')}.`);
