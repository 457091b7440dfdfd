import { spawnSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from '../../.ci/lib/paths.mjs';
import { emptyFolder } from '../scaffold/folder.ts';
import { Machine } from '../scaffold/machine.ts';
import { offline } from '../scaffold/offline.ts';
import { startCommand } from '../scaffold/program.ts';
import { pythonForTests } from '../scaffold/python.ts';

/**
 * The examples as their readers run them, on a machine without any network, each from a training script to what
 * `fieldbook show` says of it. PyTorch is as large as everything else together: `npm run test:long` installs it.
 */

interface Detail {
  id: string;
  status: string;
  attributes: Record<string, unknown>;
  metrics: Record<string, { count: number }>;
  writers: { status: string; role?: string | null }[];
  captures: { section: string; data: Record<string, unknown> }[];
}

/** A git checkout with the examples in it, clean; what is recorded of it names this commit. */
function checkout(): { folder: string; commit: string } {
  const folder = emptyFolder('checkout');
  cpSync(join(ROOT, 'examples'), join(folder, 'examples'), {
    recursive: true,
    filter: (path) => !/recorded|__pycache__|outputs/.test(path),
  });
  const git = (...args: string[]): string => {
    const identity = ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.org', '-c', 'init.defaultBranch=main'];
    const { status, stdout, stderr } = spawnSync('git', [...identity, ...args], { cwd: folder, encoding: 'utf8' });
    if (status !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`);
    return stdout.trim();
  };
  git('init');
  git('add', '.');
  git('commit', '-m', 'the examples');
  git('remote', 'add', 'origin', 'https://ada:hunter2@example.org/digits.git');
  return { folder, commit: git('rev-parse', 'HEAD') };
}

/** Runs a command in a folder without network, to its good end; what it prints is part of a failure's message. */
async function run(machine: Machine, folder: string, command: string, ...args: string[]): Promise<string> {
  const alone = offline(command, args);
  const { env } = pythonForTests();
  const shell = ['-c', 'cd "$1" && shift && exec "$@"', 'sh', folder, alone.command, ...alone.args];
  const program = startCommand('sh', shell, { ...env, FIELDBOOK_HOME: machine.home, FIELDBOOK_USER: 'Ada' });
  const { code } = await program.ended;
  expect(code, program.output()).toBe(0);
  return program.output();
}

/** What every complete run has, whatever made it. */
async function complete(machine: Machine, commit: string): Promise<Detail> {
  await machine.up();
  // The agent takes in what lies there, and the companion may still be writing down what it found.
  let found!: Detail;
  await expect
    .poll(
      async () => {
        const listed = await machine.api<{ runs?: { id: string }[] }>('GET', '/projects/digits/runs');
        const ids = (listed.body.runs ?? []).map(({ id }) => id);
        if (ids.length !== 1) return ids;
        found = (await machine.api<Detail>('GET', `/runs/${ids[0]}`)).body;
        return found.writers.every(({ status }) => status !== 'running') ? [...sections(found).keys()] : [];
      },
      { timeout: 20_000, interval: 100 },
    )
    .toEqual(expect.arrayContaining(['command', 'git', 'machine', 'packages', 'python']));
  const { id } = found;
  expect(found.status).toBe('finished');
  const git = sections(found).get('git');
  expect(git).toMatchObject({ commit, branch: 'main', dirty: false });
  expect(JSON.stringify(found)).not.toContain('hunter2');
  // Files are stored after the points.
  await expect
    .poll(async () => [...(await files(machine, id)).values()].filter((file) => file.state === 'pending'), {
      timeout: 20_000,
    })
    .toEqual([]);
  const stored = await files(machine, id);
  expect([...stored.keys()]).toContain('environment/requirements.txt');
  expect([...stored.values()].filter(({ state }) => state !== 'here')).toEqual([]);
  const shown = await machine.cli('show', id);
  expect(shown).toContain(commit.slice(0, 7));
  return found;
}

function sections(found: Detail): Map<string, Record<string, unknown>> {
  return new Map(found.captures.map(({ section, data }) => [section, data]));
}

/** The lines of a stream of the console, unfinished ones left out. */
async function printed(machine: Machine, run: string, stream: 'stdout' | 'stderr'): Promise<string[]> {
  const path = encodeURIComponent(`console/${stream}`);
  const { body } = await machine.api<{ rows: { text: string; open: boolean }[] }>(
    'GET',
    `/runs/${run}/object?path=${path}`,
  );
  return body.rows.filter((row) => !row.open).map((row) => row.text);
}

interface File {
  path: string;
  state: string;
  meta: Record<string, unknown> | null;
}

async function files(machine: Machine, run: string): Promise<Map<string, File>> {
  const { body } = await machine.api<{ files: File[] }>('GET', `/runs/${run}/files`);
  return new Map(body.files.map((file) => [file.path, file]));
}

const python = pythonForTests().command;
/** A Python with PyTorch: what the long mode has made, or one that somebody names. */
const torch = process.env['FIELDBOOK_TORCH_PYTHON'];

it('[CAP-20] a scikit-learn training leaves a complete run', async () => {
  const machine = new Machine('box', 'Ada');
  const { folder, commit } = checkout();
  await run(machine, join(folder, 'examples/digits'), python, 'train.py', '--lr', '0.01', '--epochs', '3');
  const found = await complete(machine, commit);
  expect(found.attributes).toMatchObject({ 'params/lr': 0.01, 'params/epochs': 3, 'params/solver': 'adam' });
  expect(found.metrics['val/accuracy']).toMatchObject({ count: 3 });
  expect((await printed(machine, found.id, 'stdout')).join('\n')).toMatch(/best validation accuracy: 0\.\d{4}/);
});

it('[CAP-20] a Hydra application leaves its configuration and overrides', async () => {
  const machine = new Machine('box', 'Ada');
  const { folder, commit } = checkout();
  await run(machine, join(folder, 'examples/hydra'), python, 'train.py', 'lr=0.01', 'model.hidden=16', 'epochs=2');
  const found = await complete(machine, commit);
  expect(found.attributes).toMatchObject({ 'params/lr': 0.01, 'params/model/hidden': 16, 'params/epochs': 2 });
  expect(sections(found).get('command')).toMatchObject({
    parsed: { hydra: { overrides: ['lr=0.01', 'model.hidden=16', 'epochs=2'] } },
  });
  expect((await files(machine, found.id)).get('model')?.meta).toMatchObject({ framework: 'scikit-learn' });
});

it('[CAP-20] a notebook leaves its cells, itself and a script of both', async () => {
  const machine = new Machine('box', 'Ada');
  const { folder, commit } = checkout();
  const execute = [
    'import nbclient, nbformat',
    'notebook = nbformat.read("digits.ipynb", as_version=4)',
    'nbclient.NotebookClient(notebook, kernel_name="python3").execute()',
    'print(notebook.cells[4].outputs[0].text)',
  ].join('\n');
  const said = await run(machine, join(folder, 'examples/notebook'), python, '-c', execute);
  expect(said).toMatch(/accuracy 0\.9/);
  const found = await complete(machine, commit);
  expect(found.attributes).toMatchObject({ 'params/neighbours': 3 });
  expect([...(await files(machine, found.id)).keys()]).toContain('source/notebook.py');
  const script = await machine.cli('download', found.id, 'source/notebook.py', '-o', '-');
  expect(script).toContain('KNeighborsClassifier(3)');
  expect(script.indexOf('fieldbook.init')).toBeLessThan(script.indexOf('KNeighborsClassifier'));
});

it('[CAP-20] a bash script leaves a complete run when it is started by fieldbook run', async () => {
  const machine = new Machine('box', 'Ada');
  const { folder, commit } = checkout();
  const fieldbook = [process.execPath, join(ROOT, 'packages/node-agent/bin/fieldbook.mjs')] as const;
  const command = ['bash', 'train.sh', '--lr', '0.25', '--epochs', '3'];
  const shell = join(folder, 'examples/shell');
  await run(machine, shell, ...fieldbook, 'run', '-p', 'digits', '-t', 'shell', '--', ...command);
  const found = await complete(machine, commit);
  expect(found.attributes).toMatchObject({ 'params/lr': 0.25, 'params/epochs': 3 });
  expect(await printed(machine, found.id, 'stdout')).toHaveLength(3);
  expect(await printed(machine, found.id, 'stderr')).toEqual(['training with lr=0.25 for 3 epochs']);
  expect(sections(found).get('command')).toMatchObject({ argv: command });
});

it.runIf(torch !== undefined)('[CAP-20] a PyTorch training leaves its data version, mistakes and model', async () => {
  const machine = new Machine('box', 'Ada');
  const { folder, commit } = checkout();
  await run(machine, join(folder, 'examples/torch'), torch!, 'train.py', '--epochs', '2');
  const found = await complete(machine, commit);
  expect(found.attributes['data/train']).toMatch(/^data:sha256:[0-9a-f]{64}$/);
  expect(found.attributes).toMatchObject({ 'params/hidden': 64, 'metric/val/accuracy/goal': 'max' });
  expect((await files(machine, found.id)).get('model')?.meta).toMatchObject({ framework: 'torch', parameters: 4810 });
});

it.runIf(torch !== undefined)('[CAP-20] two ranks of torchrun are one run', async () => {
  const machine = new Machine('box', 'Ada');
  const { folder, commit } = checkout();
  const torchrun = ['-m', 'torch.distributed.run', '--nproc-per-node', '2'];
  await run(machine, join(folder, 'examples/torch'), torch!, ...torchrun, 'train.py', '--epochs', '2');
  const found = await complete(machine, commit);
  expect(found.writers.filter((writer) => writer.role === null)).toHaveLength(2);
  expect(found.metrics['val/accuracy']).toMatchObject({ count: 2 });
});
