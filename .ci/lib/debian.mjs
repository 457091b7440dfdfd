import { existsSync } from 'node:fs';
import { runCommand } from './command.mjs';

/** @returns {boolean} whether packages can be installed here without asking anybody */
export function canInstallPackages() {
  return process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');
}

/**
 * @param {readonly string[]} names Debian packages
 * @param {string} log
 */
export async function installPackages(names, log) {
  const options = {
    cwd: '/',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    timeoutMs: 10 * 60_000,
    log,
  };
  // An old list of packages names files that the mirror no longer has; no list at all names none.
  await runCommand('apt-get', ['update', '-q'], options);
  return runCommand('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...names], options);
}
