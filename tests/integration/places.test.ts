import { expect, it, vi } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask, fieldbook, startAgent } from '../fixtures/agent.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';

interface Places {
  complete: boolean;
  connected: boolean;
  documents: { total: number; toGo: number };
  points: { total: number; toGo: number; bytesToGo: number };
}

const WAIT = { timeout: 20_000, interval: 100 };

it('[RPL-43] a run says how much of it is at the relay: none while it is paused, all of it after a sync, an edit while it is away', async () => {
  const relay = await new Relay().up();
  const agent: Agent = await startAgent(emptyFolder('one'));
  const token = await relay.token('member', 'one');
  expect((await ask(agent, 'POST', '/join', { url: relay.url, token })).status).toBe(200);
  await ask(agent, 'POST', '/sync/pause', { url: relay.url, paused: true });
  await fieldbook(agent.home, ['demo']);
  const [run] = (await ask(agent, 'GET', '/projects/digits/runs?sort=name')).json.runs;
  const placesOf = async (): Promise<Places> => {
    const { peers } = (await ask(agent, 'GET', `/runs/${run.id}/places`)).json;
    expect(peers.map(({ url }: { url: string }) => url)).toEqual([relay.url]);
    return peers[0];
  };
  const none = await placesOf();
  expect([none.complete, none.connected, none.documents]).toEqual([false, false, { total: 2, toGo: 2 }]);
  expect(none.points).toMatchObject({ toGo: none.points.total, elsewhere: 0 });
  expect(none.points.total).toBeGreaterThan(0);
  expect(none.points.bytesToGo).toBeGreaterThan(1_000);
  expect((await fieldbook(agent.home, ['status', run.id])).stdout).toMatch(
    /2 documents of 2 to go; \d+ blobs? of points of \d+ to go \(.*\).*; not connected now/,
  );

  await ask(agent, 'POST', '/sync/pause', { url: relay.url, paused: false });
  expect((await fieldbook(agent.home, ['sync', '--timeout', '30'])).code).toBe(0);
  const all = await placesOf();
  expect([all.complete, all.connected, all.documents.toGo, all.points.toGo, all.points.bytesToGo]).toEqual([
    true,
    true,
    0,
    0,
    0,
  ]);
  expect(all.points.total).toBe(none.points.total);
  expect((await fieldbook(agent.home, ['status', run.id])).stdout).toContain('everything that travels is there');

  await relay.down();
  await vi.waitFor(async () => expect((await placesOf()).connected).toBe(false), WAIT);
  expect((await placesOf()).complete).toBe(true);
  await ask(agent, 'POST', `/runs/${run.id}/edits`, [{ field: 'tags', op: 'add', value: 'late' }]);
  expect(await placesOf()).toMatchObject({ complete: false, documents: { total: 2, toGo: 1 } });
});
