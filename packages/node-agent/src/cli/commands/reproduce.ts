import { execFile } from 'node:child_process';
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { FieldbookError, isFieldbookError } from '@fieldbook/core';
import type { Client } from '../client.ts';
import type { Cli } from '../command.ts';
import { printJson, segment, withClient, withJson, withProject } from '../command.ts';
import { dataOf, readList, whyNot } from '../data-versions.ts';
import { saveFile } from '../download.ts';
import { EXIT } from '../exit.ts';
import { findPython } from '../python.ts';
import type { CapturedRun, Recipe } from '../reproduction/recipe.ts';
import { CODE, recipeOf, safeRelative } from '../reproduction/recipe.ts';
import type { CheckedData } from '../reproduction/scripts.ts';
import {
  checkDataScript,
  checkoutScript,
  checksumLines,
  isPython,
  readme,
  runScript,
} from '../reproduction/scripts.ts';
import type { FileShape } from '../shapes.ts';
import { Progress } from '../terminal.ts';
import { oneLine } from '../width.ts';
import { launch } from './run.ts';

interface Options {
  project?: string;
  output?: string;
  from: string[];
  run?: boolean;
  venv?: boolean;
  json?: boolean;
}

/** Storing files that wait in a spool takes moments, but the agent may be at something larger. */
const DRAIN_MS = 10 * 60_000;

export function reproduceCommand(program: Command, cli: Cli): void {
  const command = program
    .command('reproduce')
    .description('write a folder that does a run again: code, patch, environment, data digests, the exact command')
    .argument('<run>', 'id, beginning of an id, or name')
    .option('-o, --output <folder>', 'where to; it must be empty or absent (default: reproduce-<run>)')
    .option('--from <place>', 'a repository that has the commit, as path or URL; may be given again', collect, [])
    .option('--run', 'check out and run it, recorded as a new run')
    .option('--venv', 'with --run: in a new virtual environment with the recorded packages');
  withJson(withProject(command)).action(async (run: string, options: Options) => {
    const made = await withClient(cli, (client) => write(cli, client, run, options), { telling: true });
    if (options.json === true)
      printJson(cli.terminal, { run: made.recipe.run.id, folder: made.folder, warnings: made.recipe.warnings });
    else tell(cli, made);
    if (options.run === true) cli.setExitCode(await runAgain(cli, made, options));
  });
}

interface Made {
  folder: string;
  recipe: Recipe;
}

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

/** Writes the folder. Throws `invalid_argument` for one that holds anything. */
async function write(cli: Cli, client: Client, reference: string, options: Options): Promise<Made> {
  const progress = new Progress(cli.terminal, 'Reading the field book …');
  try {
    const { run } = await dataOf(client, reference, options.project);
    const detail = await client.call<CapturedRun>('GET', `/runs/${segment(run.id)}`, {
      query: { project: run.project },
    });
    const folder = resolve(options.output ?? `reproduce-${run.id}`);
    await claim(folder);
    const from = options.from.map((place) =>
      /^[a-z][a-z0-9+.-]*:|^[^/]+@[^/]+:/i.test(place) ? place : resolve(place),
    );
    const recipe = recipeOf(detail, await filesOf(client, detail), from);
    await saveFiles(cli, client, recipe, folder, progress);
    const data = await writeData(client, run.id, run.project, folder);
    await Promise.all([
      script(folder, 'checkout.sh', checkoutScript(recipe)),
      script(folder, 'run.sh', runScript(recipe)),
      ...(data.length === 0 ? [] : [script(folder, 'check-data.sh', checkDataScript(data))]),
      ...(recipe.python === null ? [] : [writeFile(join(folder, 'python-version.txt'), `${recipe.python}\n`)]),
    ]);
    // Last: a folder with a README is whole.
    await writeFile(join(folder, 'README.md'), readme(recipe, data));
    return { folder, recipe };
  } finally {
    progress.end();
  }
}

async function claim(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    throw new FieldbookError('invalid_argument', `${folder} cannot be made (${error.code}).`, { cause: error });
  });
  if ((await readdir(folder)).length > 0)
    throw new FieldbookError('invalid_argument', `${folder} is not empty; name another folder with --output.`);
}

async function filesOf(client: Client, run: CapturedRun): Promise<FileShape[]> {
  const ask = async (): Promise<FileShape[]> =>
    (
      await client.call<{ files: FileShape[] }>('GET', `/runs/${segment(run.id)}/files`, {
        query: { project: run.project },
      })
    ).files;
  const files = await ask();
  if (!files.some(({ current, state }) => current && state === 'pending')) return files;
  await client.call('POST', '/drain', { body: {}, timeoutMs: DRAIN_MS });
  return ask();
}

/** Writes the recorded files; one that cannot be had becomes a warning, and the scripts do without it. */
async function saveFiles(cli: Cli, client: Client, recipe: Recipe, folder: string, progress: Progress): Promise<void> {
  const saved: typeof recipe.files = [];
  for (const placed of recipe.files) {
    const output = join(folder, placed.target);
    try {
      if (placed.file.digest === null) throw new FieldbookError('blob_missing', 'its bytes were not recorded');
      await mkdir(dirname(output), { recursive: true });
      await saveFile(cli, { runId: recipe.run.id, file: placed.file, client, progress }, { output });
      saved.push(placed);
    } catch (error) {
      if (!isFieldbookError(error, 'blob_missing') && !isFieldbookError(error, 'blob_corrupt')) throw error;
      if (placed.file.state === 'here') recipe.warnings.push(`${placed.target} is missing: ${error.message}`);
    }
  }
  recipe.files = saved;
  if (recipe.patch !== null && !saved.includes(recipe.patch)) {
    recipe.patch = null;
    recipe.warnings.unshift('source.patch could not be had: without it the code is what was committed, not what ran.');
  }
}

/** Lists and digests of the run's data versions, in `data/`. */
async function writeData(client: Client, id: string, project: string, folder: string): Promise<CheckedData[]> {
  const { run, versions } = await dataOf(client, id, project);
  const found: CheckedData[] = [];
  for (const version of versions) {
    const list = await readList(client, run, version);
    const name = safeRelative(version.path.replaceAll('/', '-'));
    const plain = `${found.length + 1}-${(name ?? 'data').replaceAll(/[^A-Za-z0-9._-]/g, '_').slice(0, 100)}`;
    if (list !== null) {
      await mkdir(join(folder, 'data'), { recursive: true });
      for (const algorithm of ['sha256', 'md5'] as const)
        await writeFile(join(folder, 'data', `${plain}.${algorithm}`), checksumLines(list.files, algorithm));
    }
    found.push({
      path: version.path,
      digest: version.digest,
      list: list === null ? null : plain,
      root: list === null ? null : list.root.replaceAll(/[\u0000-\u001f\u007f]/g, '_'),
      unchecked:
        list === null ? 0 : list.files.filter(({ algorithm }) => algorithm !== 'sha256' && algorithm !== 'md5').length,
      note: list === null ? whyNot(version) : null,
    });
  }
  return found;
}

async function script(folder: string, name: string, text: string): Promise<void> {
  await writeFile(join(folder, name), text);
  await chmod(join(folder, name), 0o755);
}

function tell(cli: Cli, { folder, recipe }: Made): void {
  cli.terminal.out(`${oneLine(folder)}\n`);
  for (const warning of recipe.warnings) cli.terminal.err(`${oneLine(warning)}\n`);
  cli.terminal.err('README.md says what to do.\n');
}

/** Checks out, and runs the command under the launcher, as a run that says which one it reproduces. */
async function runAgain(cli: Cli, { folder, recipe }: Made, { venv }: Options): Promise<number> {
  await step('sh', ['checkout.sh'], folder, 'the code could not be checked out');
  if (recipe.command === null || recipe.command.some((word) => word.includes('[redacted]'))) {
    cli.terminal.err(
      `${recipe.command === null ? 'No command was recorded' : 'The command has a redacted part'}; see README.md.\n`,
    );
    return EXIT.failure;
  }
  let python = cli.env['PYTHON'] ?? (await findPython(cli.env));
  const requirements = recipe.files.some(({ target }) => target === 'requirements.txt');
  if (venv === true) {
    await step(python, ['-m', 'venv', 'venv'], folder, 'the virtual environment could not be made');
    python = join(folder, 'venv', 'bin', 'python');
    if (requirements)
      await step(
        python,
        ['-m', 'pip', 'install', '-q', '-r', 'requirements.txt'],
        folder,
        'the packages could not be installed',
      );
  }
  const code = join(folder, 'code');
  const words = recipe.command.map((word, index) =>
    index === 0 && isPython(word) ? python : word.replaceAll(CODE, code),
  );
  const cwd = join(code, recipe.folder);
  await mkdir(cwd, { recursive: true });
  const variables = Object.fromEntries(recipe.variables);
  const options = [
    '-p',
    recipe.run.project,
    '--name',
    `${recipe.run.name}, again`.slice(0, 200),
    '--set',
    `sys/reproduces=${recipe.run.id}`,
  ];
  return launch(cli, [...options, '--', ...words], { cwd, env: { ...cli.env, ...variables } });
}

/** A program that must succeed; what it says goes to our stderr. */
function step(program: string, args: readonly string[], cwd: string, failed: string): Promise<void> {
  return new Promise((done, reject) => {
    execFile(program, [...args], { cwd, encoding: 'utf8', maxBuffer: 64 << 20 }, (error, _out, said) => {
      if (error === null) done();
      else
        reject(
          new FieldbookError('internal', `${failed}: ${oneLine(said.trim().split('\n').at(-1) ?? error.message)}`, {
            cause: error,
          }),
        );
    });
  });
}
