import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { expect, it, vi } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask, fieldbook, startAgent } from '../fixtures/agent.ts';
import { bytesOf, Script } from '../fixtures/spool.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import { amount } from '../scaffold/mode.ts';
import { startProgram } from '../scaffold/program.ts';
import type { CheckedBlobs } from '@fieldbook/relay';
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
    // The points and the file, both named by now.
    expect((await ask(agent, 'GET', '/bundles/contents?project=digits')).json).toMatchObject({ blobs: 2 });
  }, soon);
  return agent;
}

/** As a command beside the running relay. */
async function control<T>(relay: Relay, name: string): Promise<T> {
  const asked = request({ socketPath: join(relay.data, 'control.sock'), path: `/${name}`, method: 'POST' }).end();
  const [said] = (await once(asked, 'response')) as [IncomingMessage];
  return ((await json(said)) as { value: T }).value;
}

async function joined(agent: Agent, relay: Relay, role: 'member' | 'contributor'): Promise<void> {
  const { status, text } = await ask(agent, 'POST', '/join', { url: relay.url, token: await relay.token(role, role) });
  expect(status, text).toBe(200);
}

it('[RPL-60] [OPS-18] blobs that a relay let go of before it took their run are there again when it has', async () => {
  const relay = await new Relay().up();
  const ada = await recorded(emptyFolder('ada'), 'run-1');
  const authorization = `Bearer ${ada.token}`;
  const bundle = await fetch(`${ada.url}/api/v1/bundles?project=digits`, { headers: { authorization } });
  const blobs = blobsIn(ada.home);

  const home = emptyFolder('bob');
  let bob = await startAgent(home, { env: { FIELDBOOK_USER: 'Bob' } });
  await joined(bob, relay, 'contributor');
  const imported = await fetch(`${bob.url}/api/v1/bundles`, {
    method: 'POST',
    headers: { authorization: `Bearer ${bob.token}`, 'content-type': 'application/vnd.fieldbook.bundle' },
    body: await bundle.arrayBuffer(),
  });
  expect(imported.status, await imported.text()).toBe(200);
  await vi.waitFor(async () => {
    expect(blobsIn(relay.data)).toEqual(blobs);
    expect((await ask(bob, 'GET', '/sync')).json.peers[0].problem).toMatchObject({ code: 'forbidden' });
  }, soon);
  await bob.program.stop();

  // What no run names begins to wait; a day and a half passes, and it goes.
  await control(relay, 'clean');
  await relay.down();
  await relay.up([], { ...later(1.5 * DAY), FIELDBOOK_RELAY_RETENTION_ORPHANS: '1d' });
  await control(relay, 'clean');
  expect(blobsIn(relay.data)).toEqual([]);

  bob = await startAgent(home, { env: { FIELDBOOK_USER: 'Bob', ...later(1.5 * DAY) } });
  await joined(bob, relay, 'member');
  const synced = await fieldbook(home, ['sync']);
  expect(synced.stdout).toContain('Everything is exchanged');
  expect(blobsIn(relay.data)).toEqual(blobs);
});

it('[BND-20] [BND-21] blobs that come with a bundle go on to the relay that has had their run before, over a crash too', async () => {
  const relay = await new Relay().up();
  const ada = await recorded(emptyFolder('ada'), 'run-1');
  const headers = { authorization: `Bearer ${ada.token}` };
  const bundle = Buffer.from(
    await (await fetch(`${ada.url}/api/v1/bundles?project=digits`, { headers })).arrayBuffer(),
  );
  let bob = await startAgent(emptyFolder('bob'));
  await joined(bob, relay, 'member');
  const { hostname, port } = new URL(bob.url);
  const sent = request({
    hostname,
    port,
    path: '/api/v1/bundles',
    method: 'POST',
    headers: { authorization: `Bearer ${bob.token}`, 'content-type': 'application/vnd.fieldbook.bundle' },
  });
  const answered = once(sent, 'response');
  // Its documents are at the front, and its blobs compress badly.
  const front = bundle.length - 5_500;
  sent.write(bundle.subarray(0, front));
  const reader = await relay.token('viewer', 'reader');
  await vi.waitFor(async () => {
    expect((await relay.api(reader, 'GET', '/runs/run-1')).status).toBe(200);
    const { settled, peers } = (await ask(bob, 'GET', '/sync')).json;
    expect([settled, peers[0].pendingBlobs]).toEqual([true, 0]);
  }, soon);
  expect(blobsIn(relay.data)).not.toEqual(blobsIn(ada.home));
  const isThere = async (): Promise<boolean> => (await ask(bob, 'GET', '/runs/run-1/places')).json.peers[0].complete;
  expect(await isThere()).toBe(false);
  // It ends before the relay has heard of them.
  await relay.down();
  sent.end(bundle.subarray(front));
  expect(((await answered) as [IncomingMessage])[0].statusCode).toBe(200);
  expect(await isThere()).toBe(false);
  await bob.program.stop('SIGKILL');
  bob = await startAgent(bob.home);
  await relay.up();
  await vi.waitFor(() => expect(blobsIn(relay.data)).toEqual(blobsIn(ada.home)), soon);
  await vi.waitFor(async () => expect(await isThere()).toBe(true), soon);
});

it('[BLB-10] [BLB-11] [RPL-62] a relay finds blobs that its disk damaged or lost, and gets them from the machine that has them', async () => {
  const relay = await new Relay().up();
  const ada = await recorded(emptyFolder('ada'), 'run-1');
  await joined(ada, relay, 'member');
  const blobs = blobsIn(ada.home);
  await vi.waitFor(() => expect(blobsIn(relay.data)).toEqual(blobs), soon);
  const [damaged, lost] = blobs as [string, string];
  const at = (digest: string): string => join(relay.data, 'blobs/sha256', digest.slice(0, 2), digest);
  const rot = (digest: string): void => {
    const bytes = readFileSync(at(digest));
    bytes.fill(bytes[0]! ^ 0xff, 0, 4);
    writeFileSync(at(digest), bytes);
  };
  const reader = await relay.token('viewer', 'reader');
  const get = async (digest: string): Promise<[number, string]> => {
    const headers = { authorization: `Bearer ${reader}` };
    const response = await fetch(`${relay.url}/api/v1/blobs/${digest}`, { headers });
    return [response.status, response.ok ? '' : await response.text()];
  };
  const healed = async (): Promise<void> => {
    await vi.waitFor(async () => {
      expect(blobsIn(relay.data)).toEqual(blobs);
      for (const digest of blobs) expect((await get(digest))[0]).toBe(200);
    }, soon);
  };

  rot(damaged);
  const [status, said] = await get(damaged);
  expect([status, said]).toEqual([422, expect.stringContaining('fieldbook-relay storage check') as string]);
  expect((await get(damaged))[0]).toBe(404);
  expect(relay.output()).toContain('"event":"blob.damaged"');
  expect(readdirSync(join(relay.data, 'blobs/corrupt'))).toHaveLength(1);
  await healed();

  // One damaged and one lost, which nobody has read: running, and not.
  for (const runs of amount(0, 1) === 1 ? [true, false] : [false]) {
    rot(damaged);
    rmSync(at(lost));
    if (!runs) await relay.down();
    const checked = runs ? await control<CheckedBlobs>(relay, 'check') : await storageCheck(relay);
    expect(checked).toMatchObject({ damaged: [damaged], count: blobs.length - 1 });
    expect(Object.values(checked.missing).reduce((sum, each) => sum + each)).toBe(2);
    if (!runs) await relay.up();
    await healed();
    const again = await control<CheckedBlobs>(relay, 'check');
    expect(again).toMatchObject({ damaged: [], count: blobs.length, runs: [], missing: { points: 0, files: 0 } });
  }
  expect(readFileSync(join(relay.data, 'audit.jsonl'), 'utf8')).toContain(damaged);
});

it('[RPL-64] what a machine fetched from one relay goes on to its other relay, which lacks it', async () => {
  const [first, second] = [await new Relay().up(), await new Relay().up()];
  const peer = async (...args: string[]): Promise<void> => {
    const env = { FIELDBOOK_HOME: second.data };
    const program = startProgram('fieldbook-relay', ['peer', ...args, '--data', second.data], env);
    expect((await program.ended).code, program.output()).toBe(0);
  };
  // Of one workspace, and not each other's copy.
  await peer('add', `${first.url}/#token=${await first.token('member', 'second')}`);
  await second.says(/"event":"workspace.adopted"/);
  await peer('remove', first.url);
  await second.says(/"event":"peer.removed"/);
  const ada = await recorded(emptyFolder('ada'), 'run-1');
  await joined(ada, first, 'member');
  const blobs = blobsIn(ada.home);
  await vi.waitFor(() => expect(blobsIn(first.data)).toEqual(blobs), soon);

  const bob = await startAgent(emptyFolder('bob'));
  await joined(bob, first, 'member');
  await joined(bob, second, 'member');
  const reader = await second.token('viewer', 'reader');
  await vi.waitFor(async () => {
    expect((await second.api(reader, 'GET', '/runs/run-1')).status).toBe(200);
    expect((await ask(bob, 'GET', '/sync')).json.settled).toBe(true);
  }, soon);
  expect([blobsIn(bob.home), blobsIn(second.data)]).toEqual([[], []]);
  expect((await ask(bob, 'GET', '/runs/run-1/series?metric=loss')).status).toBe(200);
  await vi.waitFor(() => expect(blobsIn(second.data)).toHaveLength(1), soon);
  expect((await ask(bob, 'GET', '/runs/run-1/file?path=model')).status).toBe(200);
  await vi.waitFor(() => expect(blobsIn(second.data)).toEqual(blobs), soon);
});

async function storageCheck(relay: Relay): Promise<CheckedBlobs> {
  const args = ['storage', 'check', '--json', '--data', relay.data];
  const program = startProgram('fieldbook-relay', args, { FIELDBOOK_HOME: relay.data });
  await program.ended;
  // Log lines go to the other stream.
  return JSON.parse(/^\{\n.*^\}$/ms.exec(program.output())![0]) as CheckedBlobs;
}
