import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * @typedef {object} Outcome
 * @property {boolean} ok exit status 0, in time
 * @property {string} output both streams, in the order they came
 * @property {string | null} trouble why it did not run to its end, in words
 */

/** @type {Set<number>} process groups to be stopped when this process is */
const groups = new Set();

/** Ends everything that was started and still runs; called on the way out. */
export function stopAll() {
  for (const pid of groups) stopGroup(pid, 'SIGKILL');
}

/**
 * Runs a program to its end, or to the end of its time. It has no stdin and its own process group, so whatever it
 * started ends with it.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd: string, env?: NodeJS.ProcessEnv, timeoutMs: number, log?: string }} options `log` is a file that
 *   gets the output as it comes
 * @returns {Promise<Outcome>}
 */
export async function runCommand(command, args, { cwd, env = process.env, timeoutMs, log }) {
  if (log !== undefined) mkdirSync(dirname(log), { recursive: true });
  const file = log === undefined ? null : createWriteStream(log, { flags: 'a' });
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const pid = child.pid;
  if (pid !== undefined) groups.add(pid);

  /** @type {string[]} */
  const chunks = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      chunks.push(text);
      file?.write(text);
    });
  }

  /** @type {string | null} */
  let trouble = null;
  const timer = setTimeout(() => {
    trouble = `stopped: not done after ${Math.round(timeoutMs / 1000)} s`;
    if (pid !== undefined) stopGroup(pid, 'SIGKILL');
  }, timeoutMs);

  const status = await new Promise((resolve) => {
    child.on('error', (error) => {
      trouble = `could not be started: ${error.message}`;
      resolve(null);
    });
    // A grandchild that outlives the child may hold the pipes open for ever: `exit` counts, and what is left is ended.
    child.on('exit', (code, signal) => {
      if (code === null && trouble === null) trouble = `ended by ${signal}`;
      if (pid !== undefined) stopGroup(pid, 'SIGKILL');
    });
    child.on('close', (code) => resolve(code));
  });
  clearTimeout(timer);
  if (pid !== undefined) groups.delete(pid);
  await new Promise((resolve) => (file === null ? resolve(null) : file.end(() => resolve(null))));
  return { ok: status === 0 && trouble === null, output: chunks.join(''), trouble };
}

/**
 * @param {number} pid
 * @param {NodeJS.Signals} signal
 */
function stopGroup(pid, signal) {
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, signal);
  } catch {
    // Nobody is left in it.
  }
}
