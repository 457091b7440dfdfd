import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../../.ci/lib/paths.mjs';
import { fieldbook } from '../fixtures/agent.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Machine, Relay } from '../scaffold/machine.ts';
import { pythonForTests } from '../scaffold/python.ts';

const TRAIN = `
import argparse, json, random
from pathlib import Path
import helper, extra
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--seed", type=int)
parser.add_argument("--config")
options = parser.parse_args()
random.seed(options.seed)
data = [float(line) for line in Path(__file__).with_name("data").joinpath("train.txt").read_text().split()]
depth = json.loads(Path(options.config).read_text())["depth"]
weight = 0.0
for epoch in range(depth):
    for value in data:
        weight += options.lr * helper.f(value) * random.random() * extra.FACTOR
Path("result.txt").write_text(repr(weight))
print("result", repr(weight))
`;

function git(cwd: string, ...args: string[]): void {
  execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', '-c', 'init.defaultBranch=main', ...args], { cwd });
}

/** A repository whose working tree differs from its commit in every way that there is. */
function dirtyRepository(): string {
  const repository = emptyFolder('repository');
  git(repository, 'init', '-q');
  for (const folder of ['data', 'runs here']) mkdirSync(join(repository, folder));
  writeFileSync(join(repository, 'train.py'), TRAIN);
  writeFileSync(join(repository, 'helper.py'), 'def f(x): return x\n');
  writeFileSync(join(repository, 'data', 'train.txt'), '0.5 1.5 2.5\n');
  git(repository, 'add', '-A');
  git(repository, 'commit', '-q', '-m', 'one');
  writeFileSync(join(repository, 'helper.py'), 'def f(x): return x * x + 1\n');
  writeFileSync(join(repository, 'extra.py'), 'FACTOR = 3\n');
  writeFileSync(join(repository, 'net.json'), '{"depth": 4}\n');
  return repository;
}

/** The run of a deterministic training in that repository, and what came out. */
async function trained(home: string): Promise<{ id: string; repository: string; result: string }> {
  const repository = dirtyRepository();
  const cwd = join(repository, 'runs here');
  const words = [
    '--',
    'python3',
    '../train.py',
    '--lr',
    '0.1',
    '--seed',
    '7',
    '--config',
    join(repository, 'net.json'),
  ];
  const ended = await fieldbook(home, ['run', '-p', 'again', '--name', 'original', ...words], { cwd });
  expect(ended.code, ended.stderr).toBe(0);
  const [id] = readdirSync(join(home, 'journals', 'again'));
  return { id: id!, repository, result: readFileSync(join(cwd, 'result.txt'), 'utf8') };
}

/** Another machine's home, to which the journals were copied with the files that wait beside them; the repository is at another place there. */
async function secondHome(): Promise<{ home: string; mirror: string; id: string; result: string }> {
  const first = emptyFolder('home');
  const { id, repository, result } = await trained(first);
  const home = emptyFolder('second-home');
  cpSync(join(first, 'journals'), join(home, 'journals'), { recursive: true });
  const mirror = emptyFolder('mirror');
  git(mirror, 'clone', '-q', '--bare', repository, 'net.git');
  // What was not committed exists nowhere but in the run.
  rmSync(repository, { recursive: true });
  return { home, mirror: join(mirror, 'net.git'), id, result };
}

interface Trained {
  id: string;
  project: string;
  attributes: Record<string, unknown>;
  metrics: Record<string, { count: number }>;
}

/** Every point of a metric: what a training computed, to the last bit. */
async function values(machine: Machine, run: string, metric: string): Promise<number[]> {
  const { body } = await machine.api<{ points: { values: number[] } }>(
    'GET',
    `/runs/${run}/series?metric=${encodeURIComponent(metric)}&points=100000`,
  );
  return body.points.values;
}

/** The example with scikit-learn in a git checkout that somebody has worked in: a changed file and a new one. */
function exampleInDirtyCheckout(): string {
  const repository = emptyFolder('repository');
  cpSync(join(ROOT, 'examples'), join(repository, 'examples'), {
    recursive: true,
    filter: (path) => !/recorded|__pycache__|outputs/.test(path),
  });
  git(repository, 'init', '-q');
  git(repository, 'add', '-A');
  git(repository, 'commit', '-q', '-m', 'the examples');
  const train = join(repository, 'examples/digits/train.py');
  const text = readFileSync(train, 'utf8');
  writeFileSync(join(repository, 'examples/digits/scaling.py'), 'SCALE = 12.5\n');
  writeFileSync(
    train,
    text
      .replace('data.data / 16.0', 'data.data / SCALE')
      .replace('from digits', 'from scaling import SCALE\nfrom digits'),
  );
  return repository;
}

describe('fieldbook reproduce', () => {
  it('[CLI-28] rebuilds a training on another machine that has it from a relay alone, to the same result', async () => {
    const [one, two, relay] = [new Machine('one', 'Ada'), new Machine('two', 'Bo'), await new Relay().up()];
    const repository = exampleInDirtyCheckout();
    const { command, env } = pythonForTests();
    const words = ['train.py', '--epochs', '2', '--hidden', '16', '8', '--seed', '3'];
    const training = spawnSync(command, words, {
      cwd: join(repository, 'examples/digits'),
      env: { ...process.env, ...env, FIELDBOOK_HOME: one.home, FIELDBOOK_CAPTURE: '1' },
      encoding: 'utf8',
    });
    expect(training.status, training.stderr).toBe(0);
    for (const machine of [one, two]) {
      await machine.up();
      await machine.cli('join', `${relay.url}/#token=${await relay.token('member', 'member')}`);
    }
    for (const machine of [one, two]) await machine.cli('sync', '--timeout', '30');
    // What was not committed exists nowhere but in the run, and the first machine is gone.
    const mirror = join(emptyFolder('mirror'), 'digits.git');
    git(repository, 'clone', '-q', '--bare', '.', mirror);
    rmSync(repository, { recursive: true });
    const [id] = readdirSync(join(one.home, 'journals', 'digits'));
    const curves = ['batch/loss', 'val/loss', 'train/accuracy'];
    const before = await Promise.all(curves.map((metric) => values(one, id!, metric)));
    await one.down();
    const folder = join(emptyFolder('work'), 'again');
    const ran = await fieldbook(two.home, ['reproduce', id!, '-o', folder, '--from', mirror, '--run'], {
      env: { PYTHON: command, ...env },
    });
    expect(ran.code, ran.stderr).toBe(0);
    // The training has ended a moment ago; the agent takes in what it wrote.
    expect((await two.api('POST', '/drain', {})).status).toBe(200);
    const { body } = await two.api<{ runs: Trained[] }>('GET', '/projects/digits/runs');
    const again = body.runs.find((run) => run.id !== id);
    expect(again?.attributes).toMatchObject({ 'sys/reproduces': id });
    expect(before.map((points) => points.length)).toEqual([24, 2, 2]);
    expect(await Promise.all(curves.map((metric) => values(two, again!.id, metric)))).toEqual(before);
  });

  it('[CLI-28] rebuilds a run from a dirty tree on a second home, to the same result', async () => {
    const { home, mirror, id, result } = await secondHome();
    const folder = join(emptyFolder('work'), 'again');
    const made = await fieldbook(home, ['reproduce', id, '-o', folder, '--from', mirror, '--json']);
    expect(made.code, made.stderr).toBe(0);
    expect(made.json).toMatchObject({ run: id, folder });
    expect(made.json.warnings.join('\n')).toContain('dirty');
    expect(readdirSync(folder)).toEqual(
      expect.arrayContaining([
        'README.md',
        'checkout.sh',
        'run.sh',
        'source.patch',
        'untracked',
        'config',
        'requirements.txt',
        'python-version.txt',
      ]),
    );
    const { command } = pythonForTests();
    const run = (script: string): string =>
      spawnSync('sh', [script], { cwd: folder, env: { ...process.env, PYTHON: command }, encoding: 'utf8' }).stderr;
    expect(run('checkout.sh')).toBe('');
    // An untracked file like any other to whoever recorded it; this one must be made anew.
    rmSync(join(folder, 'code', 'runs here', 'result.txt'), { force: true });
    expect(run('run.sh')).toBe('');
    expect(readFileSync(join(folder, 'code', 'runs here', 'result.txt'), 'utf8')).toBe(result);
    expect(spawnSync('sh', ['checkout.sh'], { cwd: folder, encoding: 'utf8' }).stderr).toContain('is there already');
  });

  it('[CLI-32] does it all with --run, and the new run says which one it reproduces', async () => {
    const { home, mirror, id, result } = await secondHome();
    const folder = join(emptyFolder('work'), 'again');
    const ran = await fieldbook(home, ['reproduce', id, '-o', folder, '--from', mirror, '--run']);
    expect(ran.code, ran.stderr).toBe(0);
    expect(ran.stdout).toContain(`result ${result}`);
    const { json } = await fieldbook(home, ['show', 'original, again', '--json']);
    expect(json).toMatchObject({
      project: 'again',
      status: 'finished',
      attributes: { 'sys/reproduces': id, 'params/lr': 0.1, 'params/seed': 7 },
    });
    expect(json.id).not.toBe(id);
  });

  it('[CLI-30] writes into no folder that holds anything, and of no run that is not there', async () => {
    const home = emptyFolder('home');
    const { id } = await trained(home);
    const folder = emptyFolder('work');
    writeFileSync(join(folder, 'mine'), 'mine');
    const refused = await fieldbook(home, ['reproduce', id, '-o', folder]);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('is not empty')]);
    expect(readdirSync(folder)).toEqual(['mine']);
    const nowhere = join(folder, 'none');
    expect((await fieldbook(home, ['reproduce', 'nobody', '-o', nowhere])).code).toBe(3);
    expect(existsSync(nowhere)).toBe(false);
  });

  it('[CLI-31] without the commit it says so and leaves no half of a checkout', async () => {
    const { home, id } = await secondHome();
    const folder = join(emptyFolder('work'), 'again');
    expect((await fieldbook(home, ['reproduce', id, '-o', folder])).code).toBe(0);
    const tried = spawnSync('sh', ['checkout.sh'], { cwd: folder, encoding: 'utf8' });
    expect([tried.status, tried.stderr]).toEqual([1, expect.stringContaining('was not found')]);
    expect(readdirSync(folder).filter((name) => name.startsWith('code'))).toEqual([]);
  });

  it('[CLI-28] of a script that records itself, without git: its snapshot and its interpreter’s words', async () => {
    const home = emptyFolder('home');
    const work = emptyFolder('work');
    mkdirSync(join(work, 'pkg'));
    writeFileSync(join(work, 'pkg', '__init__.py'), '');
    writeFileSync(join(work, 'pkg', 'numbers.py'), 'VALUE = 21\n');
    writeFileSync(
      join(work, 'pkg', 'train.py'),
      'import sys, fieldbook\nfrom pkg.numbers import VALUE\nrun = fieldbook.init("self")\nprint(VALUE * int(sys.argv[1]))\nrun.finish()\n',
    );
    const { command, env } = pythonForTests();
    const trainedThere = spawnSync(command, ['-m', 'pkg.train', '2'], {
      cwd: work,
      env: { ...process.env, ...env, FIELDBOOK_HOME: home, FIELDBOOK_CAPTURE: '1' },
      encoding: 'utf8',
    });
    expect(trainedThere).toMatchObject({ status: 0, stdout: '42\n' });
    const { json } = await fieldbook(home, ['ls', '-p', 'self', '--json']);
    rmSync(work, { recursive: true });
    const folder = join(emptyFolder('again'), 'again');
    expect((await fieldbook(home, ['reproduce', json.runs[0].id, '-o', folder])).code).toBe(0);
    const run = (script: string): { stdout: string; stderr: string } =>
      spawnSync('sh', [script], {
        cwd: folder,
        env: { ...process.env, ...env, PYTHON: command, FIELDBOOK_HOME: home, FIELDBOOK_MODE: 'disabled' },
        encoding: 'utf8',
      });
    run('checkout.sh');
    expect(run('run.sh')).toMatchObject({ stdout: '42\n', stderr: '' });
  });

  it('[CLI-33] writes the digests of the data that the run saw, and a script that checks them', async () => {
    const home = emptyFolder('home');
    const work = emptyFolder('work');
    mkdirSync(join(work, 'data'));
    writeFileSync(join(work, 'data', 'a b.txt'), 'one');
    writeFileSync(
      join(work, 'train.py'),
      'import fieldbook\nrun = fieldbook.init("data")\nrun["data/train"].track_files("data")\nrun.finish()\n',
    );
    const { command, env } = pythonForTests();
    const trainedThere = spawnSync(command, ['train.py'], {
      cwd: work,
      env: { ...process.env, ...env, FIELDBOOK_HOME: home, FIELDBOOK_CAPTURE: '1' },
      encoding: 'utf8',
    });
    expect(trainedThere.status, trainedThere.stderr).toBe(0);
    const { json } = await fieldbook(home, ['ls', '-p', 'data', '--json']);
    const folder = join(emptyFolder('again'), 'again');
    expect((await fieldbook(home, ['reproduce', json.runs[0].id, '-o', folder])).code).toBe(0);
    const check = (...args: string[]): number | null =>
      spawnSync('sh', ['check-data.sh', ...args], { cwd: folder }).status;
    expect(check()).toBe(0);
    expect(check(join(work, 'data'))).toBe(0);
    writeFileSync(join(work, 'data', 'a b.txt'), 'two');
    expect(check()).toBe(1);
    expect(readFileSync(join(folder, 'README.md'), 'utf8')).toContain('data/train');
  });
});
