import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask, fieldbook, startAgent } from '../fixtures/agent.ts';
import { bytesOf, Script } from '../fixtures/spool.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';

const MiB = 1024 * 1024;
const soon = { timeout: 30_000, interval: 50 };

/** Digests of what a store holds. */
function held(root: string): Set<string> {
  const folder = join(root, 'blobs/sha256');
  if (!existsSync(folder)) return new Set();
  return new Set(readdirSync(folder).flatMap((head) => readdirSync(join(folder, head))));
}

async function stored(agent: Agent, run: string, count: number): Promise<void> {
  await vi.waitFor(async () => {
    const files = ((await ask(agent, 'GET', `/runs/${run}/files`)).json?.files ?? []) as { state: string }[];
    expect(files.filter(({ state }) => state === 'here')).toHaveLength(count);
  }, soon);
}

it('[FIL-14] a purge takes the blobs of a run from the relay, too, also when the relay was down, and leaves those of other runs', async () => {
  const relay = await new Relay().up();
  const home = emptyFolder('purge');
  const agent = await startAgent(home);
  const joined = await fieldbook(home, ['join', relay.url, '-t', await relay.token('member', 'x')]);
  expect(joined.code, joined.stderr).toBe(0);
  const shared = bytesOf(9 * MiB, 1);
  for (const [index, run] of ['stays', 'gone', 'later'].entries()) {
    const script = new Script(home, 'p', run);
    script.upload(shared, { path: 'shared' });
    script.upload(bytesOf(9 * MiB, 2 + index), { path: 'own' });
    for (let step = 0; step < 100; step++) script.log(step, index + step / 7);
    script.finish();
    await stored(agent, run, 2);
  }
  const synced = async (): Promise<void> => {
    const { code, stderr } = await fieldbook(home, ['sync', '--timeout', '60']);
    expect(code, stderr).toBe(0);
  };
  await synced();
  const all = held(relay.data);
  // Of each run two chunks, their list and its points; of what they share two chunks and a list.
  expect(all.size).toBeGreaterThanOrEqual(3 * 4 + 3);

  const purge = async (run: string): Promise<void> => {
    const { status, json } = await ask(agent, 'POST', `/runs/${run}/edits`, [
      { field: 'purge', op: 'set', value: true },
    ]);
    expect(status, JSON.stringify(json)).toBe(200);
  };
  await purge('gone');
  await vi.waitFor(() => expect(held(relay.data).size).toBeLessThanOrEqual(all.size - 4), soon);
  const first = held(relay.data);
  await relay.down();
  await purge('later');
  const mine = held(home).size;
  await vi.waitFor(() => expect(held(home).size).toBeLessThan(mine), soon);
  await relay.up();
  await synced();
  await vi.waitFor(() => expect(held(relay.data).size).toBeLessThanOrEqual(first.size - 4), soon);
  // What the run that stays needs is whole.
  const file = await ask(agent, 'GET', '/runs/stays/files');
  for (const { path } of file.json.files as { path: string }[]) {
    const answer = await fetch(`${relay.url}/api/v1/runs/stays/file?path=${path}`, {
      headers: { authorization: `Bearer ${await relay.token('viewer', 'y')}` },
    });
    expect([answer.status, (await answer.arrayBuffer()).byteLength]).toEqual([200, 9 * MiB]);
  }
}, 120_000);
