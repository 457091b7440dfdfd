import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { provideChromium } from './chromium.mjs';
import { runCommand } from './command.mjs';
import { countPytest, countVitest } from './counts.mjs';
import { CLIENT, providePython, provideTorch } from './python.mjs';
import { ROOT } from './paths.mjs';
import { logOf } from './report.mjs';
import { listBenches } from '../../bench/list.mjs';

/**
 * The stages of `npm test`. A check counts as one test; a test runner's tests count one by one.
 *
 * @typedef {import('./counts.mjs').Counts} Counts
 * @typedef {object} StageResult
 * @property {Counts} counts
 * @property {string} output shown when something failed
 *
 * @typedef {object} Context
 * @property {NodeJS.ProcessEnv} env
 * @property {string} output folder for logs and reports
 * @property {number} timeoutMs what this stage may take
 * @property {(line: string) => void} say
 *
 * @typedef {object} Stage
 * @property {string} name
 * @property {string} group
 * @property {number} minutes the most it may take; twelve times that in long mode
 * @property {(context: Context) => Promise<StageResult>} run
 * @property {boolean} [python] whether it needs the Python environment
 * @property {string} [beside] the stage with which it begins, where one of them leaves processors idle
 */

const PASSED = Object.freeze({ passed: 1, failed: 0, skipped: 0 });
const FAILED = Object.freeze({ passed: 0, failed: 1, skipped: 0 });

/**
 * @param {string} file
 * @param {readonly string[]} args
 */
const node = (file, args = /** @type {readonly string[]} */ ([])) => ({
  command: process.execPath,
  args: [join(ROOT, file), ...args],
});

/**
 * A stage that is one program which is content or not.
 *
 * @param {string} name
 * @param {string} group
 * @param {number} minutes
 * @param {{ command: string, args: readonly string[] }} program
 * @returns {Stage}
 */
function check(name, group, minutes, { command, args }) {
  return {
    name,
    group,
    minutes,
    run: async (context) => {
      const outcome = await runCommand(command, args, options(name, context));
      return { counts: outcome.ok ? PASSED : FAILED, output: told(outcome) };
    },
  };
}

/**
 * @param {string} name a project of vitest.config.ts
 * @param {number} minutes
 * @returns {Stage}
 */
function vitest(name, minutes) {
  return {
    name,
    group: 'vitest',
    minutes,
    python: name === 'integration' || name === 'e2e',
    run: async (context) => {
      let env = context.env;
      if (name === 'e2e') {
        const chromium = await provideChromium(context.say, join(context.output, 'chromium.log'));
        if ('advice' in chromium) return { counts: FAILED, output: chromium.advice };
        env = { ...env, FIELDBOOK_CHROMIUM: chromium.path };
      }
      if (name === 'integration') {
        // Its scripts run with what the examples need.
        const provided = await providePython(context.say, join(context.output, 'python.log'));
        if ('advice' in provided) return { counts: FAILED, output: provided.advice };
        if (env['FIELDBOOK_LONG'] === '1' && env['FIELDBOOK_TORCH_PYTHON'] === undefined) {
          const torch = await provideTorch(context.say, join(context.output, 'torch.log'));
          if ('advice' in torch) return { counts: FAILED, output: torch.advice };
          env = { ...env, FIELDBOOK_TORCH_PYTHON: torch.python };
        }
      }
      const report = join(context.output, `${name}.json`);
      rmSync(report, { force: true });
      const { command, args } = node('node_modules/vitest/vitest.mjs', [
        'run',
        `--project=${name}`,
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${report}`,
      ]);
      const outcome = await runCommand(command, args, { ...options(name, context), env });
      return counted(outcome, report, countVitest);
    },
  };
}

/**
 * @param {string} name
 * @param {number} minutes
 * @param {(python: string, output: string) => { args: readonly string[], cwd: string, report?: string }} plan
 * @returns {Stage}
 */
function python(name, minutes, plan) {
  return {
    name,
    group: 'python',
    minutes,
    python: true,
    run: async (context) => {
      const provided = await providePython(context.say, join(context.output, 'python.log'));
      if ('advice' in provided) return { counts: FAILED, output: provided.advice };
      const { args, cwd, report } = plan(provided.python, context.output);
      if (report !== undefined) rmSync(report, { force: true });
      const outcome = await runCommand(provided.python, args, { ...options(name, context), cwd });
      if (report === undefined) return { counts: outcome.ok ? PASSED : FAILED, output: told(outcome) };
      return counted(outcome, report, countPytest);
    },
  };
}

/**
 * @param {string} name
 * @param {Context} context
 */
function options(name, { env, output, timeoutMs }) {
  return { cwd: ROOT, env, timeoutMs, log: logOf(output, name) };
}

/**
 * The counts of a test runner. One that failed without a failed test, or ran no test at all, is a failure itself:
 * an empty suite must not look like a good one.
 *
 * @param {import('./command.mjs').Outcome} outcome
 * @param {string} report
 * @param {(text: string) => Counts} count
 * @returns {StageResult}
 */
function counted(outcome, report, count) {
  if (!existsSync(report)) return { counts: FAILED, output: told(outcome) };
  const counts = count(readFileSync(report, 'utf8'));
  const empty = counts.passed + counts.failed + counts.skipped === 0;
  if (counts.failed === 0 && (!outcome.ok || empty)) {
    const why = empty ? 'No test was found.' : 'The test runner failed though no test did.';
    return { counts: { ...counts, failed: 1 }, output: `${told(outcome)}\n${why}` };
  }
  return { counts, output: told(outcome) };
}

/** @param {import('./command.mjs').Outcome} outcome */
function told({ output, trouble }) {
  return trouble === null ? output : `${output}\n${trouble}`;
}

/** Python outside the client that the same tools look after. */
const SCRIPTS = ['examples', 'bench', 'tests'].map((folder) => join(ROOT, folder));

/** @returns {Stage[]} in the order in which they run: what is quick and tells most comes first */
export function stages() {
  return [
    check('format', 'checks', 2, node('node_modules/oxfmt/bin/oxfmt', ['--check'])),
    check('lint', 'checks', 2, node('node_modules/oxlint/bin/oxlint', ['--format=unix'])),
    check('spec', 'checks', 1, node('.ci/spec.mjs')),
    check('types', 'checks', 5, node('node_modules/typescript/bin/tsc', ['-b'])),
    {
      ...check(
        'svelte',
        'checks',
        5,
        node('node_modules/svelte-check/bin/svelte-check', [
          '--tsconfig',
          'packages/web/tsconfig.json',
          '--fail-on-warnings',
          '--output',
          'human',
        ]),
      ),
      beside: 'types',
    },
    check('build', 'checks', 5, node('.ci/build.mjs')),
    vitest('unit', 6),
    python('ruff', 1, () => ({ args: ['-m', 'ruff', 'check', CLIENT, ...SCRIPTS], cwd: CLIENT })),
    python('ruff-format', 1, () => ({ args: ['-m', 'ruff', 'format', '--check', CLIENT, ...SCRIPTS], cwd: CLIENT })),
    python('mypy', 3, () => ({ args: ['-m', 'mypy', '--strict', 'src'], cwd: CLIENT })),
    {
      ...python('pytest', 10, (_python, output) => {
        const report = join(output, 'pytest.xml');
        return {
          args: ['-m', 'pytest', '-q', '-n', '2', '--dist', 'worksteal', 'tests', `--junitxml=${report}`],
          cwd: CLIENT,
          report,
        };
      }),
      beside: 'unit',
    },
    vitest('fuzz', 6),
    vitest('integration', 15),
    vitest('e2e', 22),
    ...listBenches().map((name) => check(`bench ${name}`, 'bench', 8, node('bench/run.mjs', [name, '--smoke']))),
  ];
}
