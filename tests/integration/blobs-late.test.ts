import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it, vi } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask, fieldbook, startAgent } from '../fixtures/agent.ts';
import { bytesOf, Script } from '../fixtures/spool.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import { startProgram } from '../scaffold/program.ts';
import { ROOT } from '../../.ci/lib/paths.mjs';

const DAY = 86_400_000;
const soon = { timeout: 30_000, interval: 50 };

/** Variables of a program whose clock is ahead. */
const later = (ms: number): Record<string, string> => ({
  NODE_OPTIONS: `--import=${pathToFileURL(join(ROOT, 'tests/fixtures/moved-clock.mjs')).href}`,
  MOVED_CLOCK_MS: String(ms),
});

function blobsIn(root: string): string[] {
  const folder = join(root, 'blobs/sha256');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .flatMap((head) => readdirSync(join(folder, head)))
    .toSorted((a, b) => (a < b ? -1 : 1));
}

/** A finished run of some points and a file, all sealed. */
async function recorded(home: string, run: string): Promise<Agent> {
  const script = new Script(home, 'digits', run);
  for (let step = 0; step < 50; step++) script.log(step, 1 / (step + 1));
  script.upload(bytesOf(5_000, 1), { path: 'model' });
  script.finish();
  const agent = await startAgent(home);
  await vi.waitFor(async () => {
    const files = (await ask(agent, 'GET', `/runs/${run}/files`)).json?.files ?? [];
    expect(files).toMatchObject([{ state: 'here' }]);
    expect((await ask(agent, 'GET', `/runs/${run}`)).json).toMatchObject({ status: 'finished' });
    expect(blobsIn(home).length).toBeGreaterThan(1);
  }, soon);
  return agent;
}

async function command(relay: Relay, ...args: string[]): Promise<string> {
  const program = startProgram('fieldbook-relay', [...args, '--data', relay.data], { FIELDBOOK_HOME: relay.data });
  const { code } = await program.ended;
  expect(code, program.output()).toBe(0);
  return program.output();
}

async function joined(agent: Agent, relay: Relay, role: 'member' | 'contributor'): Promise<void> {
  const { code, stderr } = await fieldbook(agent.home, ['join', relay.url, '-t', await relay.token(role, role)]);
  expect(code, stderr).toBe(0);
}

it('[RPL-60] [OPS-18] blobs that a relay let go of before it took their run are there again when it has', async () => {
  const relay = await new Relay().up();
  const ada = await recorded(emptyFolder('ada'), 'run-1');
  const file = join(emptyFolder('carried'), 'all.fieldbook');
  expect((await fieldbook(ada.home, ['bundle', 'create', '-p', 'digits', '-o', file])).code).toBe(0);
  const blobs = blobsIn(ada.home);

  const home = emptyFolder('bob');
  let bob = await startAgent(home, { env: { FIELDBOOK_USER: 'Bob' } });
  await joined(bob, relay, 'contributor');
  expect((await fieldbook(home, ['bundle', 'import', file])).code).toBe(0);
  await vi.waitFor(async () => {
    expect(blobsIn(relay.data)).toEqual(blobs);
    expect((await ask(bob, 'GET', '/sync')).json.peers[0].problem).toMatchObject({ code: 'forbidden' });
  }, soon);
  await bob.program.stop();

  // A day passes, then more than another: what no run names begins to wait, and goes.
  await relay.down();
  for (const days of [1, 2.5]) {
    await relay.up([], { ...later(days * DAY), FIELDBOOK_RELAY_RETENTION_ORPHANS: '1d' });
    // Behind the look of the start.
    await command(relay, 'storage', 'clean');
    await relay.down();
  }
  expect(blobsIn(relay.data)).toEqual([]);

  await relay.up();
  bob = await startAgent(home, { env: { FIELDBOOK_USER: 'Bob', ...later(2.5 * DAY) } });
  await joined(bob, relay, 'member');
  const synced = await fieldbook(home, ['sync']);
  expect(synced.stdout).toContain('Everything is exchanged');
  expect(blobsIn(relay.data)).toEqual(blobs);
});
