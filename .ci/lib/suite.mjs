import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { stopAll } from './command.mjs';
import { install } from './install.mjs';
import { ROOT } from './paths.mjs';
import { providePython } from './python.mjs';
import { logOf, seconds, stageLine, tail } from './report.mjs';
import { stages } from './stages.mjs';

const MINUTE = 60_000;

/** `npm test` is for every day: what has not begun by then does not begin. Long mode is bounded by its stages. */
const WHOLE_RUN = 25 * MINUTE;

/** A stage says that it lives this often, for those who watch a log. */
const STILL_RUNNING = MINUTE;

/** @param {string} line */
const say = (line) => console.log(line);

/**
 * @param {readonly string[]} argv
 * @returns {Promise<number>} the exit status
 */
export async function main(argv) {
  /** @type {ReturnType<typeof readArguments>} */
  let wanted;
  try {
    wanted = readArguments(argv);
  } catch (error) {
    console.error(/** @type {Error} */ (error).message);
    return 2;
  }
  const { long, chosen } = wanted;

  const output = join(ROOT, 'tests/.output');
  mkdirSync(output, { recursive: true });
  // A test that forgets to choose a home writes here and not into somebody's field book.
  const home = mkdtempSync(join(tmpdir(), 'fieldbook-test-home-'));
  const cleanUp = () => {
    stopAll();
    rmSync(home, { recursive: true, force: true });
  };
  for (const [signal, status] of /** @type {const} */ ([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ])) {
    process.on(signal, () => {
      cleanUp();
      process.exit(status);
    });
  }

  const began = Date.now();
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  /** @type {string[]} */
  const broken = [];
  const installed = install(say);
  if (!installed.ok) {
    say(tail(installed.output, 60));
    say('The packages could not be installed: npm ci failed.');
    failed = 1;
  } else {
    const env = testEnvironment(process.env, { long, home });
    const until = Date.now() + WHOLE_RUN;
    // Made beside the first checks; whoever needs it waits for it and tells what went wrong.
    if (chosen.some(({ python }) => python === true))
      providePython(say, join(output, 'python.log')).catch(() => undefined);
    /** @param {import('./stages.mjs').Stage} stage */
    const run = async (stage) => {
      rmSync(logOf(output, stage.name), { force: true });
      const started = Date.now();
      const left = long ? Infinity : until - started;
      const timeoutMs = Math.min(stage.minutes * MINUTE * (long ? 12 : 1), left);
      const heartbeat = setInterval(
        () => say(`  ${stage.name} is still running after ${seconds(Date.now() - started)}`),
        STILL_RUNNING,
      );
      const result =
        left <= 0
          ? failure(`Not run: the whole run has taken ${seconds(WHOLE_RUN)}.`)
          : await stage.run({ env, output, timeoutMs, say }).catch((error) => failure(String(error?.stack ?? error)));
      clearInterval(heartbeat);
      return { result, ms: Date.now() - started };
    };
    /** @type {Map<string, ReturnType<typeof run>>} */
    const running = new Map();
    for (const stage of chosen) {
      for (const other of chosen)
        if (other.name === stage.name || other.beside === stage.name)
          running.set(other.name, running.get(other.name) ?? run(other));
      const { result, ms } = await /** @type {ReturnType<typeof run>} */ (running.get(stage.name));
      passed += result.counts.passed;
      failed += result.counts.failed;
      skipped += result.counts.skipped;
      say(stageLine(stage.name, result.counts, ms));
      for (const test of result.counts.again ?? []) say(`    passed only when tried again: ${test}`);
      if (result.counts.failed > 0) {
        say(tail(result.output, 60));
        broken.push(...(result.counts.broken?.map((test) => `${stage.name}: ${test}`) ?? [stage.name]));
      }
    }
  }
  cleanUp();

  say('');
  // Of a long log its end is what is read first.
  for (const test of broken) say(`failed: ${test}`);
  say(`${seconds(Date.now() - began)}${skipped > 0 ? `, ${skipped} skipped` : ''}; logs in tests/.output/`);
  say(`${passed} passed, ${failed} failed`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

/** @param {readonly string[]} argv */
function readArguments(argv) {
  const { values } = parseArgs({
    args: [...argv],
    options: { long: { type: 'boolean', default: false }, only: { type: 'string' } },
  });
  const all = stages();
  const named = values.only?.split(',').filter((name) => name !== '');
  const unknown = named?.filter((name) => !all.some((stage) => stage.name === name || stage.group === name)) ?? [];
  if (unknown.length > 0) {
    const names = [...new Set(all.flatMap((stage) => [stage.group, stage.name]))].join(', ');
    throw new Error(`--only: there is no ${unknown.join(', ')}. There are: ${names}.`);
  }
  const chosen = all.filter(
    (stage) => named === undefined || named.includes(stage.name) || named.includes(stage.group),
  );
  return { long: values.long, chosen };
}

/**
 * The environment of tests: nothing of the caller's own Fieldbook, no colours, no questions.
 *
 * @param {NodeJS.ProcessEnv} env
 * @param {{ long: boolean, home: string }} options
 * @returns {NodeJS.ProcessEnv}
 */
export function testEnvironment(env, { long, home }) {
  const own = new Set(['FIELDBOOK_CHROMIUM', 'FIELDBOOK_PYTHON', 'FIELDBOOK_TORCH_PYTHON']);
  const kept = Object.entries(env).filter(([name]) => !name.startsWith('FIELDBOOK_') || own.has(name));
  return {
    ...Object.fromEntries(kept),
    CI: 'true',
    NO_COLOR: '1',
    FORCE_COLOR: undefined,
    FIELDBOOK_HOME: home,
    PYTHONPATH: join(ROOT, 'packages/python-client/src'),
    PYTHONDONTWRITEBYTECODE: '1',
    ...(long ? { FIELDBOOK_LONG: '1' } : {}),
  };
}

/**
 * @param {string} output
 * @returns {import('./stages.mjs').StageResult}
 */
function failure(output) {
  return { counts: { passed: 0, failed: 1, skipped: 0 }, output };
}
