import { cp, mkdir, readdir } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { expect, it, vi } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask, fieldbook, startAgent } from '../fixtures/agent.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { startCommand } from '../scaffold/program.ts';
import { pythonForTests } from '../scaffold/python.ts';

const POINTS = 6_000;
const TRAINING = [
  'import sys, time, fieldbook',
  'run = fieldbook.init("copied", run_id="copied-run")',
  'print("began", flush=True)',
  `for step in range(${POINTS}):`,
  '    run.log({"loss": step * 0.5, "note": "x" * (step % 700)}, step=step)',
  '    if step % 100 == 0: time.sleep(0.03)',
  'run.finish()',
  'print("done", flush=True)',
].join('\n');

/**
 * What rsync and cp do to a growing file: each copy holds as much as there was, and breaks off anywhere. What was listed and is
 * gone by then, as the spool is that an agent takes in, is left out.
 */
async function copyJournals(from: string, to: string): Promise<void> {
  const root = join(from, 'journals');
  const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(unlessGone);
  for (const entry of entries ?? []) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const target = join(to, 'journals', relative(root, path));
    await mkdir(dirname(target), { recursive: true });
    // It unlinks what it replaces.
    await cp(path, target, { force: true }).catch(unlessGone);
  }
}

function unlessGone(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

async function points(agent: Agent): Promise<number[][]> {
  const { json } = await ask(agent, 'GET', `/runs/copied-run/series?metric=loss&points=${POINTS * 2}`);
  const { steps, values } = json.points as { steps: number[]; values: number[] };
  return [steps, values];
}

it('[TOP-7] a journal that is copied again and again while its training writes is the same run elsewhere, and twice over the network', async () => {
  const writer = emptyFolder('writer');
  const [near, far] = [await startAgent(writer), await startAgent(emptyFolder('far'))];
  const { command, env } = pythonForTests();
  const training = startCommand(command, ['-c', TRAINING], { ...env, FIELDBOOK_HOME: writer });
  await training.says(/began/);
  let copies = 0;
  let running = true;
  void training.ended.then(() => (running = false));
  // The agent of the far home takes in what it finds, while the next copy is written over it.
  while (running) {
    await copyJournals(writer, far.home);
    copies += 1;
    if (copies % 5 === 0) await ask(far, 'POST', '/drain', {});
  }
  expect([training.output().includes('done'), copies > 5]).toEqual([true, true]);
  await copyJournals(writer, far.home);
  const expected = [
    Array.from({ length: POINTS }, (_, step) => step),
    Array.from({ length: POINTS }, (_, step) => step * 0.5),
  ];
  for (const agent of [near, far]) {
    await ask(agent, 'POST', '/drain', {});
    await vi.waitFor(async () => expect(await points(agent)).toEqual(expected), { timeout: 30_000, interval: 300 });
  }
  // Both took the same journal in: joined, it is one run with each point once.
  expect((await ask(far, 'POST', '/join', { url: near.url, token: near.token })).status).toBe(200);
  expect((await fieldbook(far.home, ['sync', '--timeout', '60'])).code).toBe(0);
  for (const agent of [near, far]) {
    expect(await points(agent)).toEqual(expected);
    const { runs } = (await ask(agent, 'GET', '/projects/copied/runs')).json;
    expect(
      runs.map(
        ({ id, status, metrics }: { id: string; status: string; metrics: Record<string, { count: number }> }) => [
          id,
          status,
          metrics['loss']!.count,
        ],
      ),
    ).toEqual([['copied-run', 'finished', POINTS]]);
  }
});
