// npm run bench [-- NAME… | --all] [--smoke] [--json]: lists the benchmarks, or runs some.
import { execFileSync, fork } from 'node:child_process';
import { appendFileSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from '../.ci/lib/targets.mjs';
import { ROOT } from '../.ci/lib/paths.mjs';
import { bundleBench } from './bundle.mjs';
import { listBenches } from './list.mjs';
import { table } from './table.mjs';

/**
 * @typedef {import('./harness.ts').Row} Row
 * @typedef {{ bench: string, machine: import('./harness.ts').Machine, rows: Row[] }} Result
 * @typedef {{ about: string, needs: readonly string[] }} Description
 */

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    all: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
process.exitCode = await main();

async function main() {
  const known = listBenches();
  const unknown = positionals.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    console.error(`There is no benchmark ${unknown.join(', ')}. There are: ${known.join(', ')}.`);
    return 2;
  }
  if (positionals.length === 0 && !values.all) {
    for (const name of known) {
      // One that does not load does not hide the others.
      const about = await inItsProcess(name, 'describe').then(
        (description) => /** @type {Description} */ (description).about,
        (error) => `(does not load: ${error.message})`,
      );
      console.log(`${name.padEnd(16)} ${about}`);
    }
    console.log('\nnpm run bench -- NAME… [--smoke] [--json]');
    return 0;
  }
  /** @type {Result[]} */
  const results = [];
  let failed = 0;
  for (const name of values.all ? known : positionals) {
    try {
      const { about, needs } = /** @type {Description} */ (await inItsProcess(name, 'describe'));
      console.log(`${name}: ${about}`);
      if (needs.length > 0) {
        const built = build({ names: needs, say: (line) => console.log(line) });
        if (built.failed.length > 0) throw new Error(`${built.output}\nNot built: ${built.failed.join(', ')}`);
      }
      const result = /** @type {Result} */ (await inItsProcess(name, 'run'));
      console.log(`\n${table(result.rows)}\n`);
      // A smoke run says nothing about speed: it is not kept.
      if (!values.smoke) keep(result);
      results.push(result);
    } catch (error) {
      failed++;
      console.error(`${name} failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (values.json) for (const result of results) console.log(JSON.stringify(result));
  return failed > 0 ? 1 : 0;
}

/**
 * A benchmark has a process of its own, so that nothing that ran before has filled its heap or shaped its code.
 *
 * @param {string} name
 * @param {'describe' | 'run'} what
 * @returns {Promise<Description | Result>}
 */
async function inItsProcess(name, what) {
  const file = await bundleBench(name);
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL('child.mjs', import.meta.url)), [file, what, String(values.smoke)], {
      cwd: ROOT,
      execArgv: ['--expose-gc', '--enable-source-maps'],
    });
    child.on('message', (message) => resolve(/** @type {Description | Result} */ (message)));
    child.on('error', reject);
    // After a message this changes nothing.
    child.on('exit', (code, signal) => reject(new Error(`its process ended with ${signal ?? `status ${code}`}`)));
  });
}

/** @param {Result} result */
function keep(result) {
  const folder = `${ROOT}/bench/results`;
  mkdirSync(folder, { recursive: true });
  const line = { at: new Date().toISOString(), commit: commit(), ...result };
  appendFileSync(`${folder}/${result.bench}.jsonl`, `${JSON.stringify(line)}\n`);
}

/** @returns {string | null} null where there is no git or no repository */
function commit() {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return null;
  }
}
