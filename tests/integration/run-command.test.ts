import { spawn, spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ROOT } from '../../.ci/lib/paths.mjs';
import { fieldbook } from '../fixtures/agent.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { pythonForTests } from '../scaffold/python.ts';

const FIELDBOOK = join(ROOT, 'packages/node-agent/bin/fieldbook.mjs');

/** `fieldbook run` in a process group of its own, as a shell would start it. */
function begin(
  home: string,
  words: readonly string[],
  more: Record<string, string> = {},
): { pid: number; says(text: string): Promise<void>; ended: Promise<number | null>; output(): string } {
  const child = spawn(process.execPath, [FIELDBOOK, 'run', '--no-capture', ...words], {
    env: { ...process.env, FIELDBOOK_HOME: home, ...more },
    cwd: emptyFolder('work'),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  const listeners: (() => void)[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    listeners.forEach((listener) => listener());
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', (code) => resolve(code)));
  onTestFinished(() => void child.kill('SIGKILL'));
  return {
    pid: child.pid!,
    output: () => output,
    ended,
    says: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => void (output.includes(text) && resolve());
        listeners.push(look);
        look();
        void ended.then((code) => reject(new Error(`It ended with ${code} and said ${output}`)));
      }),
  };
}

const COUNTER = `
import signal, sys, time
got = []
signal.signal(signal.SIGTERM, lambda *_: got.append(1))
signal.signal(signal.SIGINT, lambda *_: got.append(1))
print("ready", flush=True)
end = time.monotonic() + 30
while not got and time.monotonic() < end: time.sleep(0.01)
time.sleep(0.4)
sys.exit(40 + len(got))
`;

describe('fieldbook run', () => {
  it('[CLI-27] records any command: what it prints, its arguments, its end, shown by ls and show', async () => {
    const home = emptyFolder('home');
    const work = emptyFolder('work');
    writeFileSync(join(work, 'train.sh'), 'echo out; echo err >&2; exit 3\n');
    const ended = await fieldbook(
      home,
      [
        'run',
        '-p',
        'shell',
        '-t',
        'first',
        '--name',
        'one',
        '--',
        'sh',
        'train.sh',
        '--lr',
        '0.5',
        '-p',
        'x',
        '--help',
      ],
      { cwd: work },
    );
    expect([ended.code, ended.stdout]).toEqual([3, 'out\n']);
    expect(ended.stderr).toContain('err\n');
    const { json } = await fieldbook(home, ['show', 'one', '--json']);
    expect(json).toMatchObject({
      project: 'shell',
      status: 'failed',
      tags: ['first'],
      attributes: { 'params/lr': 0.5, 'params/p': 'x', 'params/help': true },
      writers: [{ exitCode: 3 }],
    });
    const sections = json.captures.map(({ section }: { section: string }) => section);
    expect(sections).toEqual(expect.arrayContaining(['command', 'machine', 'python']));
  });

  it('[CLI-27] hands the command its words, streams and environment, with nothing of ours in the way', async () => {
    const home = emptyFolder('home');
    const script = 'printf "%s|" "$@"; cat; echo "$PYTHONPATH"';
    const words = ['--', '-x', '--yes', 'run', '', 'a b', "'", '*'];
    const said = await fieldbook(home, ['run', '--no-capture', '--', 'sh', '-c', script, 'sh', ...words], {
      stdin: 'input|',
      env: { PYTHONPATH: '/theirs' },
    });
    expect(said).toMatchObject({ code: 0, stdout: `${words.join('|')}|input|/theirs\n`, stderr: '' });
  });

  it('[CLI-27] adds nothing to the environment but which run the command belongs to, also behind a shim of Python', async () => {
    const home = emptyFolder('home');
    const shims = emptyFolder('shims');
    const { command } = pythonForTests();
    const shim = join(shims, 'python3');
    writeFileSync(shim, `#!/bin/sh\nPATH=/of/the/shim:$PATH SHIM=1 exec '${command}' "$@"\n`, { mode: 0o755 });
    const env = { PATH: `${shims}:/usr/bin:/bin`, FIELDBOOK_HOME: home };
    const words = [FIELDBOOK, 'run', '--no-capture', '--', 'env'];
    const said = spawnSync(process.execPath, words, { env, cwd: emptyFolder('work'), encoding: 'utf8' });
    const theirs = said.stdout.split('\n').filter((line) => line !== '' && !line.startsWith('FIELDBOOK_'));
    expect([said.status, theirs], said.stderr).toEqual([0, [`PATH=${env.PATH}`]]);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)(
    '[CLI-27] passes %s on once, to one process or the whole group',
    async (signal) => {
      const home = emptyFolder('home');
      for (const whole of [false, true]) {
        const run = begin(home, ['--', 'python3', '-c', COUNTER]);
        await run.says('ready');
        process.kill(whole ? -run.pid : run.pid, signal);
        expect(await run.ended, `to the ${whole ? 'group' : 'process'}`).toBe(41);
      }
    },
  );

  it('[CLI-27] ends as the command does: by a signal, or not found; and says what is wrong with our own words', async () => {
    const home = emptyFolder('home');
    const code = async (...words: string[]): Promise<number | null> => (await fieldbook(home, ['run', ...words])).code;
    expect(await code('--no-capture', '--', 'sh', '-c', 'kill -KILL $$')).toBe(137);
    expect(await code('--', 'no-such-program-anywhere')).toBe(127);
    expect(await code()).toBe(2);
    expect(await fieldbook(home, ['run', '--help'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('usage: fieldbook run'),
    });
    expect((await fieldbook(home, ['--help'])).stdout).toMatch(/\n\s+run /);
  });

  it('[CLI-27] says which signal ended a run, and that a scheduler had announced it', async () => {
    const home = emptyFolder('home');
    const program = 'trap "echo saving; exit 3" USR1; echo ready; while :; do sleep 0.05; done';
    const job = { SLURM_JOB_ID: '7' };
    for (const { name, signal, env, code, writer, said } of [
      {
        name: 'ended',
        signal: 'SIGTERM',
        env: {},
        code: 143,
        writer: { signal: 15, reason: null },
        said: /failed, SIGTERM/,
      },
      {
        name: 'preempted',
        signal: 'SIGTERM',
        env: job,
        code: 143,
        writer: { status: 'preempted', signal: 15, reason: 'SIGTERM from the scheduler' },
        said: /preempted, SIGTERM/,
      },
      {
        name: 'warned',
        signal: 'SIGUSR1',
        env: { SLURM_JOB_ID: '8' },
        code: 3,
        writer: { status: 'preempted', exitCode: 3, reason: 'SIGUSR1 from the scheduler' },
        said: /preempted.*SIGUSR1 from the scheduler/,
      },
    ] as const) {
      const run = begin(home, ['-p', 'signals', '--name', name, '--', 'sh', '-c', program], env);
      await run.says('ready');
      process.kill(run.pid, signal);
      expect(await run.ended, name).toBe(code);
      const { json } = await fieldbook(home, ['show', name, '--json']);
      expect(json.writers, name).toMatchObject([writer]);
      expect((await fieldbook(home, ['show', name])).stdout).toMatch(said);
    }
  });

  it('[CLI-27] says what to do where there is no Python', async () => {
    const home = emptyFolder('home');
    const said = await fieldbook(home, ['run', '--', 'true'], { env: { FIELDBOOK_PYTHON: '/no/python' } });
    expect(said.code).toBe(3);
    expect(said.stderr).toMatch(/Python 3\.9 or newer \(\/no\/python: not found\).*FIELDBOOK_PYTHON/);
  });

  it('[CLI-27] does nothing but run the command where recording is switched off', async () => {
    const home = join(emptyFolder('home'), 'none');
    const said = await fieldbook(home, ['run', '--', 'sh', '-c', 'echo on; exit 6'], {
      env: { FIELDBOOK_MODE: 'disabled' },
    });
    expect(said).toMatchObject({ code: 6, stdout: 'on\n' });
    expect(existsSync(home)).toBe(false);
  });
});
