import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../../.ci/lib/paths.mjs';
import { fieldbook, startAgent } from '../fixtures/agent.ts';
import { emptyFolder } from '../scaffold/folder.ts';

const FIELDBOOK = join(ROOT, 'packages/node-agent/bin/fieldbook.mjs');

/** A home with the example runs, and two of them. */
async function demoHome(): Promise<{ home: string; first: string; second: string }> {
  const home = emptyFolder('home');
  expect(await fieldbook(home, ['demo', '--json'])).toMatchObject({ code: 0, json: { project: 'digits' } });
  const { runs } = (await fieldbook(home, ['ls', '--json'])).json;
  return { home, first: runs[0].id, second: runs[1].id };
}

describe('with no agent', () => {
  it('[CLI-8] answers from the store itself, and an agent that starts later shows the same', async () => {
    const { home, first } = await demoHome();
    expect(existsSync(join(home, 'agent.json'))).toBe(false);
    expect((await fieldbook(home, ['tag', first, 'best', 'größer', '--json'])).json.tags).toContain('größer');
    await fieldbook(home, ['rename', first, 'the one']);
    const before = await fieldbook(home, ['ls', '--json']);
    const shown = await fieldbook(home, ['show', 'the one', '--json']);
    const agent = await startAgent(home);
    expect((await fieldbook(home, ['ls', '--json'])).json).toEqual(before.json);
    expect((await fieldbook(home, ['show', 'the one', '--json'])).json).toEqual(shown.json);
    await agent.program.stop();
  });

  it('[CLI-13] a home with nothing in it refuses a wrong query, and one that cannot be is named', async () => {
    const home = emptyFolder('home');
    const wrong = await fieldbook(home, ['ls', 'status:']);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringMatching(/query_syntax[\s\S]*\^/)]);
    writeFileSync(join(home, 'agent.json'), '{"pid": 1,');
    expect((await fieldbook(home, ['ls'])).code).toBe(0);
    const file = join(home, 'a file');
    writeFileSync(file, '');
    const unusable = await fieldbook(file, ['ls', '--json']);
    expect([unusable.code, JSON.parse(unusable.stderr).error]).toMatchObject([
      1,
      { code: 'storage_failed', message: expect.stringContaining(file) },
    ]);
  });

  it('[CLI-9] waits its turn when another command has the store', async () => {
    const { home, first } = await demoHome();
    const tags = ['a', 'b', 'c', 'd'];
    const done = await Promise.all(tags.map((tag) => fieldbook(home, ['tag', first, tag])));
    expect(done.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    expect((await fieldbook(home, ['show', first, '--json'])).json.tags).toEqual(expect.arrayContaining(tags));
  });
});

describe('commands about runs', () => {
  let home: string;
  let first: string;
  let second: string;
  beforeAll(async () => {
    home = join('/tmp', `fieldbook-cli-${process.pid}`);
    mkdirSync(home, { recursive: true });
    await fieldbook(home, ['demo']);
    const { runs } = (await fieldbook(home, ['ls', '--json'])).json;
    [first, second] = runs.map((run: { id: string }) => run.id);
    return () => rmSync(home, { recursive: true, force: true });
  });

  it('[CLI-10] tags, notes and renames; --json answers with the run after it', async () => {
    expect((await fieldbook(home, ['tag', first, 'keep', 'drop', '--json'])).json.tags).toEqual(
      expect.arrayContaining(['drop', 'keep']),
    );
    expect((await fieldbook(home, ['tag', first, '-r', 'drop', '--json'])).json.tags).not.toContain('drop');
    expect((await fieldbook(home, ['tag', first])).stdout).toContain('keep\n');
    await fieldbook(home, ['note', first, '-'], { stdin: 'one\n\ntwo\n' });
    await fieldbook(home, ['note', first, '--append', 'three']);
    expect((await fieldbook(home, ['note', first])).stdout).toBe('one\n\ntwo\n\nthree\n');
    expect((await fieldbook(home, ['note', first, '', '--json'])).json.notes).toBe('');
    expect((await fieldbook(home, ['rename', second, 'second one', '--json'])).json).toMatchObject({
      id: second,
      name: 'second one',
    });
    expect((await fieldbook(home, ['show', 'second one', '--json'])).json.id).toBe(second);
  });

  it('[CLI-40] sets and unsets attributes of a run that has ended, and brings back what the script said', async () => {
    const shown = async (): Promise<Awaited<ReturnType<typeof fieldbook>>['json']> =>
      (await fieldbook(home, ['show', first, '--json'])).json;
    const before = await shown();
    const lr = before.attributes['params/lr'];
    expect([before.status, typeof lr]).toEqual(['finished', 'number']);
    const words = ['params/lr=0.5', 'eval/best=nan', 'eval/when="noon"', 'eval/ok=true', 'eval/classes=["a","b"]'];
    const set = await fieldbook(home, ['set', first, ...words]);
    expect([set.code, set.stdout]).toEqual([0, expect.stringMatching(/params\/lr +0\.5\neval\/best +NaN\n/)]);
    expect(
      (await fieldbook(home, ['set', first, 'eval/version=1.10', '--text', '--json'])).json.attributes,
    ).toMatchObject({
      'params/lr': 0.5,
      'eval/best': 'NaN',
      'eval/when': 'noon',
      'eval/ok': true,
      'eval/classes': ['a', 'b'],
      'eval/version': '1.10',
    });
    expect((await fieldbook(home, ['set', first, 'params/lr=0.5'])).stdout).toContain('0.5 (as before)');
    const found = await fieldbook(home, ['ls', 'params/lr = 0.5 and eval/best = nan', '--json']);
    expect(found.json.runs.map(({ id }: { id: string }) => id)).toEqual([first]);
    expect((await shown()).edited['params/lr']).toMatchObject({ op: 'set', scripted: lr });

    expect((await fieldbook(home, ['unset', first, 'eval'])).stdout.match(/not set/g)).toHaveLength(5);
    const { attributes } = (await fieldbook(home, ['unset', first, 'params/lr', '--json'])).json;
    expect(Object.keys(attributes).filter((path) => path === 'params/lr' || path.startsWith('eval/'))).toEqual([]);
    const restored = await fieldbook(home, ['unset', first, 'params', '--restore', '--json']);
    expect(restored.json.attributes).toEqual(before.attributes);
    for (const [args, code, problem] of [
      [['unset', first, 'params/nothing'], 3, 'not_found'],
      [['unset', first, 'params/lr', '--restore'], 3, 'not_found'],
      [['set', first, 'params/lr'], 2, 'invalid_argument'],
      [['set', first, 'a//b=1'], 2, 'invalid_path'],
      [['set', first, 'a=1', '--text', '--time'], 2, 'invalid_argument'],
    ] as const) {
      const wrong = await fieldbook(home, [...args, '--json']);
      expect([wrong.code, wrong.stdout, JSON.parse(wrong.stderr).error.code], args.join(' ')).toEqual([
        code,
        '',
        problem,
      ]);
    }
    expect((await shown()).attributes).toEqual(before.attributes);
  });

  it('[CLI-14] prints names and notes of others without what would move the cursor', async () => {
    const evil = 'a\u001b[2J\u001b]0;pwned\u0007b';
    const { stdout } = await fieldbook(home, ['rename', second, evil]);
    const shown = [stdout];
    for (const args of [['ls'], ['show', second], ['diff', first, second]])
      shown.push((await fieldbook(home, args)).stdout);
    expect(shown.join('')).toContain('a [2J ]0;pwned b');
    expect(shown.join('')).not.toMatch(/[\u001b\u0007]/);
    await fieldbook(home, ['rename', second, '']);
  });

  it('[CLI-11] shows what differs between two runs', async () => {
    const { json } = await fieldbook(home, ['diff', first, second, '--json']);
    expect(json).toMatchObject({ left: first, right: second });
    expect(json.differences.length).toBeGreaterThan(0);
    expect((await fieldbook(home, ['diff', first, first])).stdout).toBe('no difference\n');
  });

  it('[CLI-12] lists what a query finds, in the order asked for, with the columns asked for', async () => {
    const all = (await fieldbook(home, ['ls', '-p', 'digits', '--json'])).json;
    const { json } = await fieldbook(home, [
      'ls',
      'status:finished',
      '-p',
      'digits',
      '-s',
      'created',
      '-n',
      '3',
      '-c',
      'params/lr',
      '--json',
    ]);
    expect(json.runs).toHaveLength(3);
    expect(json.total).toBeLessThanOrEqual(all.total);
    expect(json.runs.map((run: { created: number }) => run.created)).toEqual(
      json.runs.map((run: { created: number }) => run.created).sort((a: number, b: number) => a - b),
    );
    expect(Object.keys(json.runs[0].values)).toEqual(['params/lr']);
    const wrong = await fieldbook(home, ['ls', 'params/lr <']);
    expect([wrong.code, wrong.stdout]).toEqual([2, '']);
    expect(wrong.stderr).toMatch(/query_syntax[\s\S]*\^/);
  });

  it('[CLI-13] says what went wrong on stderr with a code that programs can read, and exits as documented', async () => {
    const cases: [string[], number, string][] = [
      [['show', 'nobody'], 3, 'not_found'],
      [['ls', '-p', 'nothing'], 3, 'not_found'],
      [['tag', first, ' spaced '], 2, 'invalid_value'],
      [['ls', '-n', 'many'], 2, 'invalid_argument'],
      [['join', 'ftp://relay'], 2, 'invalid_argument'],
      [['leave'], 3, 'not_found'],
      [['completion', 'tcsh'], 2, 'invalid_argument'],
    ];
    for (const [args, code, errorCode] of cases) {
      const plain = await fieldbook(home, args);
      expect([args, plain.code, plain.stdout]).toEqual([args, code, '']);
      expect(plain.stderr).toContain(`(${errorCode})`);
    }
    const asJson = await fieldbook(home, ['show', 'nobody', '--json']);
    expect(JSON.parse(asJson.stderr).error).toMatchObject({ code: 'not_found', message: expect.any(String) });
    for (const args of [['shwo'], ['show'], ['ls', '--colour'], []])
      expect([args, (await fieldbook(home, args)).code]).toEqual([args, 2]);
    expect((await fieldbook(home, ['shwo'])).stderr).toContain('Did you mean show?');
  });

  it('[CLI-14] colours and cuts for a terminal only, and not where NO_COLOR is set', async () => {
    const plain = await fieldbook(home, ['ls', '-p', 'digits']);
    expect(plain.stdout).not.toContain('\u001b');
    const script = (env: Record<string, string>): string => {
      const result = spawnSync(
        'script',
        ['-qec', `stty cols 80; "${process.execPath}" "${FIELDBOOK}" ls -p digits`, '/dev/null'],
        {
          env: { PATH: process.env['PATH'], FIELDBOOK_HOME: home, TERM: 'xterm', ...env },
          encoding: 'utf8',
        },
      );
      return result.stdout;
    };
    if (spawnSync('script', ['--version']).status !== 0) return;
    const terminal = script({});
    expect(terminal).toContain('\u001b[2m');
    // On a slow machine a progress line was drawn and taken away again where the table begins: lines of their own, too.
    const lines = terminal.replace(/\u001b\[\d+m/g, '').split(/\r\u001b\[K|\r?\n/);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(script({ NO_COLOR: '1' })).not.toMatch(/\u001b\[[\d;]*m/);
  });

  it('[CLI-15] ends quietly when its reader has seen enough', async () => {
    const pipe = spawn(
      'sh',
      ['-c', `"${process.execPath}" "${FIELDBOOK}" show ${first} --json | head -c 10; echo; echo "\${PIPESTATUS:-}"`],
      {
        env: { ...process.env, FIELDBOOK_HOME: home },
      },
    );
    let stderr = '';
    pipe.stderr.on('data', (text: Buffer) => (stderr += String(text)));
    await new Promise((resolve) => pipe.on('close', resolve));
    expect(stderr).toBe('');
  });
});

describe('doctor, demo and completion', () => {
  it('[CLI-16] finds what is wrong with a home and says what to do', async () => {
    const { home } = await demoHome();
    const healthy = await fieldbook(home, ['doctor', '--json']);
    expect([healthy.code, healthy.json.findings.filter(({ state }: { state: string }) => state === 'problem')]).toEqual(
      [0, []],
    );
    chmodSync(join(home, 'device.json'), 0o644);
    writeFileSync(join(home, 'config.json'), '{"relays": 1}');
    const sick = await fieldbook(home, ['doctor', '--json']);
    expect(sick.code).toBe(1);
    const problems = sick.json.findings.filter(({ state }: { state: string }) => state === 'problem');
    expect(problems.map(({ check }: { check: string }) => check)).toEqual(['home', 'configuration', 'store']);
    expect(problems.every(({ advice }: { advice: string }) => advice.length > 10)).toBe(true);
  });

  it('[CLI-17] loads the example runs once, however often it is asked', async () => {
    const { home } = await demoHome();
    const once = (await fieldbook(home, ['ls', '--json'])).json;
    expect(once.total).toBeGreaterThan(5);
    expect((await fieldbook(home, ['demo'])).code).toBe(0);
    expect((await fieldbook(home, ['ls', '--json'])).json).toEqual(once);
  });

  it('[CLI-18] completes commands and options in shells that are here', async () => {
    const home = emptyFolder('home');
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { stdout } = await fieldbook(home, ['completion', shell]);
      expect(stdout).toContain('--columns'.replace('--', shell === 'fish' ? '' : '--'));
    }
    const { stdout } = await fieldbook(home, ['completion', 'bash']);
    const tried = spawnSync(
      'bash',
      ['-c', `${stdout}\nCOMP_WORDS=(fieldbook re); COMP_CWORD=1; _fieldbook; echo "\${COMPREPLY[@]}"`],
      { encoding: 'utf8' },
    );
    expect(tried.stdout.trim().split(/\s+/)).toEqual(['rename', 'repair', 'reproduce']);
    const { version } = JSON.parse(readFileSync(join(ROOT, 'packages/node-agent/package.json'), 'utf8'));
    expect((await fieldbook(home, ['--version'])).stdout).toBe(`${version}\n`);
  });
});
