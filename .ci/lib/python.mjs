import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './command.mjs';
import { canInstallPackages, installPackages } from './debian.mjs';
import { ROOT } from './paths.mjs';

export const CLIENT = join(ROOT, 'packages/python-client');
const REQUIREMENTS = 'packages/python-client/requirements-dev.txt';
/** PyTorch is gigabytes where a GPU might be: a folder of its own, and only when it is wanted. */
const TORCH_REQUIREMENTS = 'examples/torch/requirements.txt';
const OLDEST = { major: 3, minor: 9 };

/**
 * The Python of a virtual environment.
 *
 * @param {string} folder
 */
export function pythonOf(folder) {
  return process.platform === 'win32' ? join(folder, 'Scripts/python.exe') : join(folder, 'bin/python');
}

/**
 * The machine's Python: `FIELDBOOK_PYTHON`, `python3` or `python`, if it is not too old.
 *
 * @returns {{ command: string, version: string } | null}
 */
export function findPython() {
  const named = process.env['FIELDBOOK_PYTHON'];
  for (const command of named ? [named] : ['python3', 'python']) {
    const asked = spawnSync(command, ['-c', 'import sys; print("%d.%d.%d" % sys.version_info[:3])'], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    const version = asked.status === 0 ? asked.stdout.trim() : '';
    const [major = 0, minor = 0] = version.split('.').map(Number);
    if (major > OLDEST.major || (major === OLDEST.major && minor >= OLDEST.minor)) return { command, version };
  }
  return null;
}

/** @type {ReturnType<typeof provide> | undefined} */
let providing;

/**
 * A virtual environment with what the Python checks need, made or completed if need be: once, whoever asks first.
 *
 * @param {(line: string) => void} say
 * @param {string} log
 */
export function providePython(say, log) {
  return (providing ??= provide('.venv', REQUIREMENTS, 10, say, log));
}

/**
 * A virtual environment with PyTorch, for the tests that train with it.
 *
 * @param {(line: string) => void} say
 * @param {string} log
 */
export function provideTorch(say, log) {
  return provide('.venv-torch', TORCH_REQUIREMENTS, 60, say, log);
}

/**
 * @param {string} name
 * @param {string} requirements
 * @param {number} minutes
 * @param {(line: string) => void} say
 * @param {string} log
 * @returns {Promise<{ python: string } | { advice: string }>}
 */
async function provide(name, requirements, minutes, say, log) {
  const listed = join(ROOT, requirements);
  if (!existsSync(listed)) return { advice: `${requirements} is missing.` };
  const found = findPython();
  if (found === null) {
    return {
      advice: `The Python checks need Python ${OLDEST.major}.${OLDEST.minor} or newer. Run: sudo apt-get install -y python3 python3-venv`,
    };
  }
  const folder = join(ROOT, name);
  const python = pythonOf(folder);
  const stamp = join(folder, '.fieldbook-requirements');
  const wanted = createHash('sha256').update(`${found.version}\n`).update(readFileSync(listed)).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted && runs(python)) return { python };

  const options = { cwd: ROOT, timeoutMs: minutes * 60_000, log };
  if (!runs(python)) {
    say(`making a Python environment (${name}) …`);
    rmSync(folder, { recursive: true, force: true });
    const make = () => runCommand(found.command, ['-m', 'venv', folder], options);
    let made = await make();
    if (!made.ok && canInstallPackages()) {
      // Debian ships Python without the part that makes environments.
      await installPackages(['python3-venv'], log);
      rmSync(folder, { recursive: true, force: true });
      made = await make();
    }
    if (!made.ok) {
      rmSync(folder, { recursive: true, force: true });
      return { advice: 'The Python checks need the venv module. Run: sudo apt-get install -y python3-venv' };
    }
  }
  say(`installing Python packages (pip install -r ${requirements}) …`);
  const pip = ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', '--no-input', '-r', listed];
  const installed = await runCommand(python, pip, options);
  if (!installed.ok) return { advice: `pip could not install the Python packages; see ${log}` };
  writeFileSync(stamp, wanted);
  return { python };
}

/** @param {string} python */
function runs(python) {
  return existsSync(python) && spawnSync(python, ['-m', 'pip', '--version'], { timeout: 20_000 }).status === 0;
}
