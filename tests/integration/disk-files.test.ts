import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import * as Y from 'yjs';
import type { DocumentName } from '@fieldbook/core';
import type { Agent } from '../fixtures/agent.ts';
import { ask, startAgent } from '../fixtures/agent.ts';
import { BOOK, Box } from '../fixtures/box.ts';
import type { Fault } from '../fixtures/faulty-disk.ts';
import { FaultyDisk, whyNoFaultyDisk } from '../fixtures/faulty-disk.ts';
import { Script } from '../fixtures/spool.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import { amount, LONG } from '../scaffold/mode.ts';
import { startProgram } from '../scaffold/program.ts';

const impossible = whyNoFaultyDisk();
if (impossible !== undefined) console.warn(`Disks that fail under small files are not tested: ${impossible}.`);

/** The Yjs clients of a document, as a program serves it, and the clock of each. */
async function clocksOf(url: string, token: string, name: DocumentName): Promise<Map<number, number>> {
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(`${url}/api/v1/documents/${name}`, { headers });
  return Y.decodeStateVector(Y.encodeStateVectorFromUpdate(new Uint8Array(await answer.arrayBuffer())));
}

/** How the guard beside a store can fail. The first is met before anything of the store was changed. */
const GUARD: readonly (readonly [Fault, string])[] = [
  [['read', 'EIO', '/guard.count'], 'storage_failed'],
  [['sync', 'EIO', '/guard.count'], 'storage_failed'],
  [['rename', 'EIO', '/guard.count'], 'storage_failed'],
  [['torn', 'ENOSPC', '/guard.count'], 'disk_full'],
  [['create', 'ENOSPC', '/guard.count'], 'disk_full'],
  [['sync', 'EIO', '/guard'], 'storage_failed'],
];

describe.skipIf(impossible !== undefined)('small files on a disk that fails', () => {
  it.runIf(LONG)(
    '[PRF-13] an agent does not start beside a guard that it cannot read or write, and then uses no client id that may be another’s',
    async () => {
      const disk = new FaultyDisk();
      const home = emptyFolder('guard');
      const first: Fault = ['rename', 'EIO', '/guard'];
      disk.fails(first);
      expect(await disk.start('fieldbook', home)).toEqual([1, expect.stringContaining('(storage_failed)')]);
      disk.heals();
      new Script(home, 'faults', 'run-1').log(0, 0);
      const tags: string[] = [];
      const work = async (word: string): Promise<Map<number, number>> => {
        const agent: Agent = await startAgent(home, { env: disk.env });
        await vi.waitFor(async () => expect((await ask(agent, 'POST', '/drain', {})).status).toBe(200));
        expect(
          (await ask(agent, 'POST', '/runs/run-1/edits', [{ field: 'tags', op: 'add', value: word }])).status,
        ).toBe(200);
        tags.push(word);
        const { projects } = (await ask(agent, 'GET', '/projects')).json as { projects: { books: DocumentName[] }[] };
        const [run] = (await ask(agent, 'GET', '/projects/faults/runs')).json.runs;
        expect(run.tags).toEqual(tags.toSorted((a, b) => (a < b ? -1 : 1)));
        const clocks = await clocksOf(agent.url, agent.token, projects[0]!.books[0]!);
        expect((await agent.program.stop()).code).toBe(0);
        return clocks;
      };
      let before = await work('a');
      for (const [index, [fault, refused]] of GUARD.entries()) {
        disk.fails(fault);
        const [code, said] = await disk.start('fieldbook', home);
        expect([fault, code, said]).toEqual([fault, 1, expect.stringContaining(`(${refused})`)]);
        expect(said).toContain(join(home, 'guard'));
        disk.heals();
        const after = await work(`b${index}`);
        // Where the count was not written, it is as beside a store that was put back: nothing goes on under an id of before.
        if (fault[0] !== 'read' && fault[2] === '/guard.count')
          for (const [client, clock] of before) expect([fault, after.get(client)]).toEqual([fault, clock]);
        before = after;
      }
    },
    amount(60_000, 300_000),
  );

  it.runIf(LONG)(
    '[PRF-13] a relay does not start beside a guard that it cannot read or write, and has everything once it can',
    async () => {
      const disk = new FaultyDisk();
      const relay = await new Relay().up([], disk.env);
      const token = await relay.token('member', 'ada');
      const ada = await Box.open();
      await ada.join(relay.url, token);
      const edits = await ada.addEdits(3);
      await ada.settled();
      await relay.down();
      for (const [fault, refused] of GUARD) {
        disk.fails(fault);
        const [code, said] = await disk.start('fieldbook-relay', relay.data);
        expect([fault, code, said]).toEqual([fault, 1, expect.stringContaining(`(${refused})`)]);
        expect(said).toContain(join(relay.data, 'guard'));
      }
      disk.heals();
      await relay.up([], disk.env);
      edits.push(...(await ada.addEdits(3)));
      ada.client!.retry();
      await ada.settled();
      const late = await Box.open();
      await late.join(relay.url, token);
      await late.until(async () => (await late.edits()).length === edits.length);
      expect((await clocksOf(relay.url, token, BOOK)).size).toBeGreaterThan(0);
    },
  );

  it(
    '[PRF-14] an agent: settings, tokens and key that cannot be read are not replaced, and joining and leaving are whole or not done',
    async () => {
      const disk = new FaultyDisk();
      const home = emptyFolder('files');
      const relay = await new Relay().up();
      const admin = await relay.token('admin', 'root');
      let agent = await startAgent(home, { env: disk.env });
      const { body } = await relay.api<object>(admin, 'POST', '/invitations', { role: 'member', name: 'gpu' });
      const secret = /fbi_[A-Za-z0-9_-]{43}/.exec(JSON.stringify(body))![0];
      const join_ = (token: string | null) => ask(agent, 'POST', '/join', { url: relay.url, token });
      const joined = async (): Promise<string[]> =>
        ((await ask(agent, 'GET', '/sync')).json.peers as { url: string }[]).map(({ url }) => url);
      // An invitation is good once: nothing is asked for that could not be kept.
      disk.fails(['sync', 'EIO', '/relay-tokens.json']);
      expect((await join_(secret)).json.error.code).toBe('storage_failed');
      expect(await joined()).toEqual([]);
      disk.fails(['torn', 'ENOSPC', '/config.json']);
      expect((await join_(secret)).json.error.code).toBe('disk_full');
      expect(await joined()).toEqual([]);
      disk.heals();
      // Its token is kept by now.
      expect((await join_(null)).status).toBe(200);
      expect(await joined()).toEqual([relay.url]);
      // Who could not leave has not left, and can when the disk is well; the same of a pause.
      for (const file of ['/config.json', '/relay-tokens.json']) {
        disk.fails(['rename', 'EIO', file]);
        expect([file, (await ask(agent, 'POST', '/leave', { url: relay.url })).json.error.code]).toEqual([
          file,
          'storage_failed',
        ]);
        expect([file, await joined()]).toEqual([file, [relay.url]]);
      }
      disk.fails(['read', 'EIO', '/relay-tokens.json']);
      expect((await ask(agent, 'POST', '/sync/pause', { url: relay.url, paused: true })).json.error.code).toBe(
        'storage_failed',
      );
      expect(await joined()).toEqual([relay.url]);
      disk.heals();
      expect((await ask(agent, 'POST', '/leave', { url: relay.url })).status).toBe(200);
      expect(await joined()).toEqual([]);
      if (!LONG) return;
      await agent.program.stop();
      const files = ['config.json', 'device.json', 'agent.token', 'relay-tokens.json'];
      const texts = (): string[] => files.map((file) => readFileSync(join(home, file), 'utf8'));
      const before = texts();
      for (const file of files) {
        disk.fails(['read', 'EIO', `/${file}`]);
        const [code, said] = await disk.start('fieldbook', home);
        expect([file, code, said]).toEqual([file, 1, expect.stringContaining('(storage_failed)')]);
        expect(said).toContain(join(home, file));
        expect(texts()).toEqual(before);
      }
      disk.heals();
      agent = await startAgent(home, { env: disk.env });
      expect(texts()).toEqual(before);
    },
    amount(60_000, 300_000),
  );

  it('[PRF-14] a relay whose tokens, invitations or peers cannot be read calls none of them wrong, and goes on by itself', async () => {
    const disk = new FaultyDisk();
    const relay = await new Relay().up([], disk.env);
    const other = await new Relay().up();
    const token = await relay.token('member', 'ada');
    const admin = await relay.token('admin', 'root');
    await relay.api(admin, 'GET', '/workspace');
    const { body } = await relay.api<object>(admin, 'POST', '/invitations', { role: 'member', name: 'late' });
    const secret = /fbi_[A-Za-z0-9_-]{43}/.exec(JSON.stringify(body))![0];
    const ada = await Box.open();
    await ada.join(relay.url, token);
    await ada.addEdits(1);
    await ada.settled();
    await relay.down();
    disk.fails(['read', 'EIO', '/tokens/'], ['read', 'EIO', '/invitations/']);
    await relay.up([], disk.env);
    const code = async (work: Promise<{ status: number; body: unknown }>): Promise<unknown> => {
      const { status, body: said } = await work;
      return [status, (said as { error?: { code: string } }).error?.code];
    };
    expect(await code(relay.api(token, 'GET', '/projects'))).toEqual([500, 'storage_failed']);
    const redeem = { secret, device: 'laptop' };
    expect(await code(relay.api(token, 'POST', '/invitations/redeem', redeem))).toEqual([500, 'storage_failed']);
    // Nobody who comes now is told to stay away for good.
    ada.client!.retry();
    await ada.until(async () => (await ada.client!.status()).problem?.message.includes('cannot be said now') === true);
    expect((await ada.client!.status()).stopped).toBe(false);
    expect(
      JSON.stringify(
        await (await fetch(`${relay.url}/api/v1/projects`, { headers: { authorization: 'Bearer fbt_x' } })).json(),
      ),
    ).not.toContain(relay.data);
    disk.heals();
    expect(await code(relay.api(token, 'GET', '/projects'))).toEqual([200, undefined]);
    expect(((await code(relay.api(token, 'POST', '/invitations/redeem', redeem))) as [number])[0]).toBeLessThan(300);
    await ada.addEdits(1);
    ada.client!.retry();
    await ada.settled();
    // A peer whose file cannot be read is no less a peer.
    const peers = async (): Promise<string[]> =>
      (await relay.api<{ peers: { url: string }[] }>(admin, 'GET', '/sync')).body.peers.map(({ url }) => url);
    const data = ['--data', relay.data];
    const add = ['peer', 'add', other.url, '--token', await other.token('member', 'relay'), ...data];
    expect((await startProgram('fieldbook-relay', add, { FIELDBOOK_HOME: relay.data }).ended).code).toBe(0);
    await vi.waitFor(async () => expect(await peers()).toContain(other.url), { timeout: 10_000 });
    disk.fails(['read', 'EIO', '/peers/']);
    writeFileSync(join(relay.data, 'peers/looked-at'), '');
    await relay.says(/peers\.unreadable/);
    expect(await peers()).toContain(other.url);
  });
});
