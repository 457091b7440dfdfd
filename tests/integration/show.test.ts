import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { ROOT } from '../../.ci/lib/paths.mjs';
import { fieldbook } from '../fixtures/agent.ts';
import { startCommand } from '../scaffold/program.ts';
import { pythonForTests } from '../scaffold/python.ts';

/** A training that does a little of everything, with others' text that would like to be obeyed by a terminal. */
const TRAIN = `
import argparse, sys, fieldbook
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--config")
parser.add_argument("--also")
options = parser.parse_args()
run = fieldbook.init("showcase", name="the one \\x1b[2J", notes="first line\\n\\nsecond line")
run["data/train"].track_files("data")
for step in range(60):
    run.log({"train/loss": 1 / (step + 1)}, step=step)
    print(f"\\x1b[31mstep {step}\\x1b[0m \\x1b]0;pwned\\x07done")
print("out of patience", file=sys.stderr)
run["note"].append("a text", step=3)
run["model"].upload(b"weights", name="model.bin")
child = run.child("fold 1")
child.log({"loss": 1.0}, step=0)
child.finish()
run.finish()
`;

/** Prints for as long as a file is absent. */
const SLOW = `
import os, sys, time, fieldbook
run = fieldbook.init("showcase", name="slow")
print("began", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.05)
print("told to end", flush=True)
run.finish()
`;

const FIELDBOOK = join(ROOT, 'packages/node-agent/bin/fieldbook.mjs');

let home: string;
let folder: string;
let run: string;

/** How to run a script in the checkout, against the home. */
function training(script: string, ...args: string[]) {
  const { command, env } = pythonForTests();
  return {
    command: 'sh',
    args: ['-c', 'cd "$1" && shift && exec "$@"', 'sh', folder, command, script, ...args],
    env: { ...env, FIELDBOOK_HOME: home, FIELDBOOK_HOST: 'gpu-1', FIELDBOOK_USER: 'Ada' },
  };
}

function git(...args: string[]): string {
  const identity = ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.org', '-c', 'init.defaultBranch=main'];
  const { status, stdout, stderr } = spawnSync('git', [...identity, ...args], { cwd: folder, encoding: 'utf8' });
  if (status !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`);
  return stdout.trim();
}

async function show(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await fieldbook(home, ['show', run, ...args]);
  expect([code, stderr], args.join(' ')).toEqual([0, '']);
  return stdout;
}

describe('fieldbook show', () => {
  let commit: string;
  beforeAll(async () => {
    // A hook has no test to end with, so what it makes is removed by hand.
    const base = realpathSync(mkdtempSync(join(tmpdir(), 'fieldbook-show-')));
    home = join(base, 'home');
    folder = join(base, 'checkout');
    mkdirSync(home);
    mkdirSync(folder);
    mkdirSync(join(folder, 'data'));
    writeFileSync(join(folder, 'data', 'a.txt'), 'twelve bytes');
    writeFileSync(join(folder, 'conf.yaml'), '{"width": 64}\n');
    writeFileSync(join(folder, 'train.py'), TRAIN);
    git('init');
    git('add', '.');
    git('commit', '-m', 'the first training');
    git('remote', 'add', 'origin', 'https://ada:hunter2@example.org/nets.git');
    commit = git('rev-parse', 'HEAD');
    writeFileSync(join(folder, 'train.py'), `${TRAIN}\n# changed\n`);
    writeFileSync(join(folder, 'extra.py'), 'more = True\n');
    writeFileSync(join(folder, 'api_key.txt'), 'k3y');
    writeFileSync(join(folder, 'logins.json'), '{"auths": {"https://hub": {"auth": "l0gin"}}}\n');
    const { command, args, env } = training(
      'train.py',
      '--lr',
      '0.2',
      '--config',
      'conf.yaml',
      '--also',
      'logins.json',
    );
    const trained = spawnSync(command, args, { env: { ...process.env, ...env }, encoding: 'utf8' });
    if (trained.status !== 0) throw new Error(`the training failed:\n${trained.stdout}${trained.stderr}`);
    // The companion may still be writing down what it found.
    await vi.waitFor(
      async () => {
        const { json } = await fieldbook(home, ['ls', 'name ~ /the one/', '-p', 'showcase', '--json']);
        run = json.runs[0].id;
        const { writers, captures } = (await fieldbook(home, ['show', run, '--json'])).json;
        const names = captures.map(({ section }: { section: string }) => section);
        const missing = ['command', 'git', 'machine', 'packages', 'python'].filter((name) => !names.includes(name));
        if (missing.length > 0 || writers.some(({ status }: { status: string }) => status === 'running'))
          throw new Error(`not captured yet: ${missing.join(', ')}`);
      },
      { timeout: 40_000, interval: 200 },
    );
    return () => rmSync(base, { recursive: true, force: true });
  });

  it('[CLI-41] tells all that was captured and recorded, each under its title', async () => {
    for (const [path, value] of [
      ['params/lr', '0.5'],
      ['verdict', 'diverged'],
    ])
      await fieldbook(home, ['set', run, `${path}=${value}`]);
    const text = await show();
    const parts = new Map(
      text
        .split('\n\n')
        .map((part) => part.split('\n'))
        .map(([title, ...lines]) => [title!, lines.join('\n')]),
    );
    expect(text.split('\n', 1)[0]).toBe('the one  [2J');
    const says = (title: string, ...patterns: RegExp[]): void => {
      for (const pattern of patterns) expect(parts.get(title), title).toMatch(pattern);
    };
    says('Code', new RegExp(`commit +${commit}`), /message +the first training/, /branch +main/, /train\.py/);
    says('Code', /not kept +2 untracked files \(may hold secrets\)/);
    says('Code', /remote origin +https:\/\/example\.org\/nets\.git/);
    says('Command', /train\.py --lr 0\.2 --config conf\.yaml --also logins\.json/, /given: also, config, lr/);
    says('Parameters', /lr +0\.5 {2}\(edited by Ada, .*; the script said 0\.2\)/);
    says('Configuration files', /conf\/width +64/, /\(logins\.json\) +not taken: may hold secrets/);
    says('Data versions', /data\/train +data:sha256:[0-9a-f]{64} {2}1 file, 12 B/);
    says('Attributes', /verdict +diverged {2}\(edited by Ada, .*; the script said nothing\)/);
    says('Metrics', /train\/loss +0\.016667 +0\.016667 +1 +59 +60/);
    says('Objects', /note +text +1 +3/);
    says('Files', /model +file +7 B/, /source\/diff\.patch/, /environment\/requirements\.txt/);
    says('Environment', /python +3\./, /packages +\d/);
    says('Machine', /CPU +\S/, /memory +[\d.]+ [GM]B/);
    says('System metrics', /machine\/memory_used +[\d.]+ [GM]B/);
    says('Console', /stderr +1 line/, /stdout +60 lines/);
    says('Parent and children', /child +fold 1 +finished/);
    says('Edits', /Ada +set params\/lr = 0\.5/, /Ada +set verdict = diverged/);
    expect(parts.get('Metrics'), 'what the machine did is apart').not.toContain('sys/');
    expect(parts.get('Attributes')).not.toMatch(/params|config|data:sha256/);
    expect([...parts.keys()].slice(0, 2)).toEqual(['the one  [2J', 'Code']);
    expect(text).toContain('Notes\nfirst line\n\nsecond line\n');
    expect(text).not.toMatch(/[\u001b\u0007]|hunter2|k3y|l0gin/);
  });

  it('[CLI-42] warns before all else about the code that the code is not what is committed', async () => {
    const warning = `DIRTY: not what is committed as ${commit.slice(0, 12)} (1 changed file, 3 untracked files)`;
    expect((await show('--section', 'code')).split('\n')[0]).toBe(warning);
    const coloured = await fieldbook(home, ['show', run], { env: { FORCE_COLOR: '1' } });
    expect(coloured.stdout).toContain(`\u001b[33m${warning}\u001b[39m\n`);
    const { stdout } = await fieldbook(home, ['show', 'fold 1']);
    expect(stdout).toMatch(/parent +the one/);
  });

  it('[CLI-43] shows chosen sections, whole, and gives any of them as JSON', async () => {
    expect(await show('--section', 'metrics')).toMatch(/^METRIC.*\ntrain\/loss.*\n$/);
    expect(await show('--section', 'gpus', 'params')).toMatch(
      /^GPUs\n(nothing|driver)[\s\S]*\nParameters\nalso +logins\.json\nconfig +conf\.yaml\nlr /,
    );
    const everything =
      'summary conflicts code command params config data attributes metrics objects files environment machine gpus launcher variables system console family writers traceback notes history'.split(
        ' ',
      );
    const { run: id, sections } = JSON.parse(await show('--json', '--section', ...everything));
    expect([id, Object.keys(sections)]).toEqual([run, everything]);
    const git = sections.code.find(({ section }: { section: string }) => section === 'git');
    expect(git.data.commit).toBe(commit);
    expect(sections.params['params/lr']).toMatchObject({ value: 0.5, edited: { scripted: 0.2 } });
    expect(sections.family.children[0].name).toBe('fold 1');
    expect(sections.notes).toBe('first line\n\nsecond line');
    for (const args of [['--section', 'gits'], ['--follow'], ['--console', '0'], ['--console', '--section', 'code']]) {
      const wrong = await fieldbook(home, ['show', run, ...args]);
      expect([wrong.code, wrong.stdout], args.join(' ')).toEqual([2, '']);
    }
  });

  it('[CLI-44] prints the last lines of the console, obeying none of them, and follows a run to its end', async () => {
    const lines = (await show('--console', '4')).split('\n');
    expect(lines).toEqual(['step 57 done', 'step 58 done', 'step 59 done', 'out of patience', '']);
    expect((await show('--console')).split('\n')).toHaveLength(62);
    const asJson = JSON.parse(await show('--console', '1', '--json'));
    expect(asJson).toMatchObject({ run, missing: 0, lines: [{ stream: 'stderr', text: 'out of patience' }] });

    const stop = join(folder, 'stop');
    writeFileSync(join(folder, 'slow.py'), SLOW);
    const agent = startCommand(process.execPath, [FIELDBOOK, 'up', '--port', '0'], { FIELDBOOK_HOME: home });
    await agent.says(/running at (http:\S+)/);
    const { command, args, env } = training('slow.py', stop);
    const slow = startCommand(command, args, env);
    const is = async (status: string): Promise<void> => {
      await expect
        .poll(async () => (await fieldbook(home, ['show', 'slow', '--json'])).json?.status, { timeout: 20_000 })
        .toBe(status);
    };
    await is('running');
    const follower = startCommand(process.execPath, [FIELDBOOK, 'show', 'slow', '--console', '--follow'], {
      FIELDBOOK_HOME: home,
    });
    await follower.says(/began\n/);
    expect(existsSync(stop)).toBe(false);
    writeFileSync(stop, '');
    await slow.ended;
    expect((await follower.ended).code, follower.output()).toBe(0);
    expect(follower.output()).toBe('began\ntold to end\n');
    await agent.stop();
  });
});
