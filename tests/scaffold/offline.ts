import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../../.ci/lib/paths.mjs';

const LAUNCHER = ['-rn', 'python3', join(ROOT, 'tests/scaffold/offline.py')];

/**
 * A command line that runs `command` without any network but loopback, where the kernel lets this user make network
 * namespaces; elsewhere the command line as it is.
 */
export function offline(command: string, args: readonly string[]): { command: string; args: string[]; cut: boolean } {
  cut ??= spawnSync('unshare', [...LAUNCHER, 'true'], { timeout: 10_000 }).status === 0;
  return cut ? { command: 'unshare', args: [...LAUNCHER, command, ...args], cut } : { command, args: [...args], cut };
}

let cut: boolean | undefined;
