import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './paths.mjs';

/**
 * @typedef {{ version?: string, link?: boolean, optional?: boolean }} LockedPackage
 * @typedef {Record<string, LockedPackage>} Locked packages by folder, as npm's lockfiles have them
 */

/**
 * What of the lockfile is not installed in that version, by npm's own list of what it installed. Times of files are
 * not asked: a checkout or a copy changes them. Optional packages of other platforms are rightly absent.
 *
 * @param {Locked} wanted `packages` of package-lock.json
 * @param {Locked} installed `packages` of node_modules/.package-lock.json
 * @returns {string[]} folders
 */
export function missingPackages(wanted, installed) {
  return Object.entries(wanted)
    .filter(([folder, each]) => folder.includes('node_modules/') && each.link !== true)
    .filter(([folder, each]) => {
      const found = installed[folder];
      return found === undefined ? each.optional !== true : found.version !== each.version;
    })
    .map(([folder]) => folder);
}

/**
 * @param {string} [root]
 * @returns {boolean} whether node_modules holds what the lockfile says
 */
export function isInstalled(root = ROOT) {
  const list = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(list)) return false;
  /** @param {string} path */
  const packages = (path) => /** @type {Locked} */ (JSON.parse(readFileSync(path, 'utf8')).packages ?? {});
  return missingPackages(packages(join(root, 'package-lock.json')), packages(list)).length === 0;
}

/**
 * `npm ci`, unless everything is there.
 *
 * @param {(line: string) => void} say
 * @returns {{ ok: boolean, output: string }}
 */
export function install(say) {
  if (isInstalled()) return { ok: true, output: '' };
  say('installing packages (npm ci) …');
  // npm tells its children where it is; without it (`node .ci/start.mjs`) the shell finds it.
  const npm = process.env['npm_execpath'];
  const run = npm?.endsWith('.js')
    ? { command: process.execPath, args: [npm, 'ci'], shell: false }
    : { command: 'npm', args: ['ci'], shell: process.platform === 'win32' };
  const result = spawnSync(run.command, [...run.args, '--no-audit', '--no-fund'], {
    cwd: ROOT,
    encoding: 'utf8',
    shell: run.shell,
    timeout: 15 * 60_000,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output =
    (result.stdout ?? '') + (result.stderr ?? '') + (result.error === undefined ? '' : `${result.error}\n`);
  return { ok: result.status === 0, output };
}
