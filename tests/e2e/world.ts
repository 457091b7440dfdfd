import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { ROOT } from '../../.ci/lib/paths.mjs';
import type { Agent } from '../fixtures/agent.ts';
import { ask } from '../fixtures/agent.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import { startCommand } from '../scaffold/program.ts';
import { pythonForTests } from '../scaffold/python.ts';
import { fill } from './fill.ts';
import { agentAt, freePort } from './visit.ts';

/** An agent whose field book has something on every page. */
export interface World {
  agent: Agent;
  url: string;
  relay: Relay;
  /** Two real trainings with everything captured; the second from a changed checkout and on other data. */
  runs: readonly [first: string, second: string];
}

/**
 * Two trainings of `examples/media` in a git checkout (the second with uncommitted changes, on changed data), the
 * recorded example runs, `many` made-up runs in the project `sweep`, edits, and a relay that has it all. Call it inside
 * of a test.
 */
export async function world(many: number): Promise<World> {
  const home = emptyFolder('world');
  const folder = emptyFolder('checkout');
  cpSync(join(ROOT, 'examples'), join(folder, 'examples'), {
    recursive: true,
    filter: (path) => !/recorded|__pycache__/.test(path),
  });
  const git = (...args: string[]): void => {
    const identity = ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.org', '-c', 'init.defaultBranch=main'];
    const { status, stderr } = spawnSync('git', [...identity, ...args], { cwd: folder, encoding: 'utf8' });
    if (status !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`);
  };
  git('init');
  git('add', '.');
  git('commit', '-m', 'Digits with pictures');
  git('remote', 'add', 'origin', 'https://example.org/digits.git');
  await train(home, folder, '--name', 'hidden 24', '--hidden', '24');
  const script = join(folder, 'examples/media/train.py');
  appendFileSync(script, '\n# Wider, on fewer digits.\n');
  const data = join(folder, 'examples/digits/digits.txt');
  appendFileSync(data, `7 ${'0'.repeat(32)}${'8'.repeat(32)}\n`);
  await train(home, folder, '--name', 'hidden 64', '--hidden', '64', '--lr', '0.05');
  const agent = await agentAt(home, await freePort());
  await ask(agent, 'POST', '/demo', {});
  await fill(agent.url, agent.token, { project: 'sweep', runs: many, newest: Date.now() - 60_000 });
  const byName = new Map<string, string>();
  await expect
    .poll(
      async () => {
        const { json } = await ask(agent, 'GET', '/projects/media/runs');
        for (const run of json.runs ?? []) if (run.status === 'finished') byName.set(run.name, run.id);
        return byName.size;
      },
      { timeout: 30_000 },
    )
    .toBe(2);
  const runs = [byName.get('hidden 24')!, byName.get('hidden 64')!] as const;
  const { status } = await ask(agent, 'POST', `/runs/${runs[1]}/edits`, [
    {
      field: 'notes',
      op: 'set',
      value:
        '**Wider** helps a little.\n\n- [x] 64 units\n- [ ] 128 units\n\nSee the missed digits: mostly `8` for `1`.',
    },
    { field: 'tags', op: 'add', value: 'baseline' },
    { field: 'star', op: 'set', value: true },
  ]);
  expect(status).toBe(200);
  const relay = await new Relay().up();
  const token = await relay.token('member', 'gpu-1');
  const joined = startCommand(
    process.execPath,
    [join(ROOT, 'packages/node-agent/bin/fieldbook.mjs'), 'join', relay.url, '--token', token],
    { FIELDBOOK_HOME: home },
  );
  const { code } = await joined.ended;
  expect(code, joined.output()).toBe(0);
  return { agent, url: agent.url, relay, runs };
}

async function train(home: string, folder: string, ...args: string[]): Promise<void> {
  const { command, env } = pythonForTests();
  const shell = ['-c', 'cd "$1" && shift && exec "$@"', 'sh', folder, command, 'examples/media/train.py', ...args];
  const program = startCommand('sh', shell, {
    ...env,
    FIELDBOOK_HOME: home,
    FIELDBOOK_USER: 'Ada',
    FIELDBOOK_HOST: 'gpu-1',
  });
  const { code } = await program.ended;
  expect(code, program.output()).toBe(0);
}
