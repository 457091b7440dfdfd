import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesUnder, fingerprint } from './fingerprint.mjs';
import { CACHE, ROOT } from './paths.mjs';

/**
 * What is built: TypeScript packages by `tsc -b`, the two programs of them as one bundle each by Rolldown (a program that loads
 * 400 modules needs half a second of processor time for that alone), the web UI by Vite.
 *
 * A target is fresh when the fingerprint of its inputs is the one in `<package>/dist/.stamp`, which is written after a
 * build that succeeded. The stamp lies in `dist`, so deleting `dist` makes the target stale.
 *
 * @typedef {object} Target
 * @property {string} name
 * @property {string} folder
 * @property {readonly string[]} inputs
 * @property {(root: string) => boolean} present whether this checkout has anything to build
 * @property {readonly (readonly [string, ...string[]])[]} commands scripts of this repository and their arguments, run in the folder
 */

const SHARED = ['.ci/lib/targets.mjs', 'tsconfig.base.json', 'package-lock.json'];

/**
 * What has native code stays outside, with what it shares with us. Names stay as they are: a stack is read by people.
 *
 * @type {readonly [string, ...string[]]}
 */
const BUNDLE = [
  'node_modules/rolldown/bin/cli.mjs',
  'dist/main.js',
  '--dir=dist/program',
  '--cleanDir',
  '--format=esm',
  '--platform=node',
  '--external=classic-level',
  '--external=abstract-level',
  '--logLevel=warn',
];

/**
 * @param {string} name
 * @param {readonly string[]} needs
 * @param {{ program?: boolean }} [options] whether `dist/main.js` becomes the program `dist/program/main.js`
 * @returns {Target}
 */
function typescript(name, needs, { program = false } = {}) {
  const folder = `packages/${name}`;
  const sources = [name, ...needs].flatMap((each) => [
    `packages/${each}/src`,
    `packages/${each}/tsconfig.json`,
    `packages/${each}/package.json`,
  ]);
  return {
    name,
    folder,
    inputs: [...SHARED, ...sources],
    present: (root) => filesUnder(root, `${folder}/src`).some((path) => path.endsWith('.ts')),
    commands: [['node_modules/typescript/bin/tsc', '-b'], ...(program ? [BUNDLE] : [])],
  };
}

/** @type {readonly Target[]} in the order of dependence */
export const TARGETS = [
  typescript('core', []),
  typescript('node-agent', ['core'], { program: true }),
  typescript('relay', ['core'], { program: true }),
  {
    name: 'web',
    folder: 'packages/web',
    inputs: [...SHARED, 'packages/web', 'packages/core/src', 'packages/core/package.json'],
    present: (root) => existsSync(join(root, 'packages/web/index.html')),
    commands: [['node_modules/vite/bin/vite.js', 'build']],
  },
];

/** @param {string} path */
const shipped = (path) => !path.endsWith('.test.ts');

/**
 * @param {Target} target
 * @param {string} [root]
 */
export function inputsOf(target, root = ROOT) {
  return fingerprint(root, target.inputs, shipped);
}

/**
 * @param {Target} target
 * @param {string} [root]
 * @returns {boolean} whether the built files are those of the sources
 */
export function isFresh(target, root = ROOT) {
  const stamp = join(root, target.folder, 'dist/.stamp');
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === inputsOf(target, root);
}

/**
 * Builds what is stale among the named targets (all without names), one process at a time on this checkout.
 *
 * @param {{ names?: readonly string[], force?: boolean, say?: (line: string) => void }} [options]
 * @returns {{ built: string[], failed: string[], output: string }} `output` is what the compilers said
 */
export function build({ names, force = false, say = () => {} } = {}) {
  const wanted = TARGETS.filter((target) => names === undefined || names.includes(target.name)).filter((target) =>
    target.present(ROOT),
  );
  /** @type {string[]} */
  const built = [];
  /** @type {string[]} */
  const failed = [];
  let output = '';
  if (!force && wanted.every((target) => isFresh(target))) return { built, failed, output };

  const release = lock();
  try {
    for (const target of wanted) {
      // Another process may have built it while this one waited for the lock.
      if (!force && isFresh(target)) continue;
      say(`building ${target.name} …`);
      // Taken before the compiler reads: an edit during the build leaves the target stale.
      const inputs = inputsOf(target);
      let status = 0;
      for (const [script, ...args] of target.commands) {
        const result = spawnSync(process.execPath, [join(ROOT, script), ...args], {
          // A build started by a test runner would otherwise be a development build: NODE_ENV is `test` there.
          env: { ...process.env, NODE_ENV: 'production' },
          cwd: join(ROOT, target.folder),
          encoding: 'utf8',
          timeout: 5 * 60_000,
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        output += result.stdout + result.stderr;
        if (result.error !== undefined) output += `${result.error.message}\n`;
        status = result.status ?? 1;
        if (status !== 0) break;
      }
      if (status === 0) {
        mkdirSync(join(ROOT, target.folder, 'dist'), { recursive: true });
        writeFileSync(join(ROOT, target.folder, 'dist/.stamp'), inputs);
        built.push(target.name);
      } else {
        failed.push(target.name);
      }
    }
  } finally {
    release();
  }
  return { built, failed, output };
}

/** A folder is the lock, because making one is atomic everywhere; it names its holder, so a dead one is noticed. */
function lock() {
  const folder = join(CACHE, 'build.lock');
  const holder = join(folder, 'pid');
  mkdirSync(CACHE, { recursive: true });
  const until = Date.now() + 5 * 60_000;
  for (;;) {
    try {
      mkdirSync(folder);
      writeFileSync(holder, String(process.pid));
      return () => rmSync(folder, { recursive: true, force: true });
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error;
    }
    const pid = existsSync(holder) ? Number(readFileSync(holder, 'utf8')) : 0;
    if (Date.now() > until || (pid > 0 && !isAlive(pid))) rmSync(folder, { recursive: true, force: true });
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}
