import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { Agent } from '../fixtures/agent.ts';
import { ask, fieldbook, startAgent } from '../fixtures/agent.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import { startProgram } from '../scaffold/program.ts';

interface Run {
  id: string;
  tags: string[];
  metrics: Record<string, { count: number }>;
}
interface PeerShape {
  url: string;
  connected: boolean;
  incoming: boolean;
  problem: { code: string; message: string } | null;
  pendingDocuments: number;
}

const WAIT = { timeout: 30_000, interval: 150 };

const digits = async (agent: Agent): Promise<Run[]> =>
  (await ask(agent, 'GET', '/projects/digits/runs?limit=1000')).json.runs ?? [];
const tagsOf = async (agent: Agent, id: string): Promise<string[]> =>
  (await digits(agent)).find((run) => run.id === id)?.tags ?? [];
const tag = (agent: Agent, id: string, value: string): Promise<unknown> =>
  ask(agent, 'POST', `/runs/${id}/edits`, [{ field: 'tags', op: 'add', value }]);
const joined = async (agent: Agent, relay: Relay, token: string): Promise<void> => {
  const { status, json } = await ask(agent, 'POST', '/join', { url: relay.url, token });
  expect([status, json.connected]).toEqual([200, true]);
};
const peersOf = async (agent: Agent): Promise<PeerShape[]> => (await ask(agent, 'GET', '/sync')).json.peers;
const series = (run: Run): string =>
  `/runs/${run.id}/series?metric=${encodeURIComponent(Object.keys(run.metrics)[0]!)}&points=100000`;

/** `fieldbook-relay peer …` on a relay's data, with something on stdin. */
async function peer(relay: Relay, args: readonly string[]): Promise<{ code: number | null; said: string }> {
  const program = startProgram('fieldbook-relay', ['peer', ...args, '--data', relay.data], {
    FIELDBOOK_HOME: relay.data,
  });
  const { code } = await program.ended;
  return { code, said: program.output() };
}

/** Two relays, the second dialling the first, and a token of each. */
async function twoRelays(): Promise<{ first: Relay; second: Relay; tokens: [string, string] }> {
  const [first, second] = [await new Relay().up(), await new Relay().up()];
  const tokens: [string, string] = [await first.token('member', 'second'), await second.token('member', 'people')];
  expect((await peer(second, ['add', `${first.url}/#token=${tokens[0]}`])).code).toBe(0);
  const connected = async (): Promise<void> => {
    const { body } = await second.api<{ peers: PeerShape[] }>(tokens[1], 'GET', '/sync');
    expect(body.peers).toMatchObject([{ url: first.url, connected: true, incoming: false, problem: null }]);
  };
  await vi.waitFor(connected, WAIT);
  return { first, second, tokens };
}

describe('several relays', () => {
  it(
    '[TOP-4] [TOP-6] one machine at two relays of one workspace: edits of either, one of them away, and bytes from whichever has them',
    { timeout: 180_000 },
    async () => {
      const { first, second, tokens } = await twoRelays();
      const ids = await Promise.all(
        [first, second].map(
          async (relay, index) => (await relay.api<{ id: string }>(tokens[index]!, 'GET', '/workspace')).body.id,
        ),
      );
      expect(ids[0]).toBe(ids[1]);
      const [both, left, right] = [
        await startAgent(emptyFolder('both')),
        await startAgent(emptyFolder('left')),
        await startAgent(emptyFolder('right')),
      ];
      await fieldbook(left.home, ['demo']);
      await joined(both, first, tokens[0]);
      await joined(both, second, tokens[1]);
      await joined(left, first, tokens[0]);
      await joined(right, second, tokens[1]);
      const runs = await digits(left);
      const run = runs[0]!;
      for (const agent of [both, right])
        await vi.waitFor(async () => expect(await digits(agent)).toHaveLength(runs.length), WAIT);
      await tag(left, run.id, 'left');
      await tag(right, run.id, 'right');
      for (const agent of [left, both, right])
        await vi.waitFor(
          async () => expect(await tagsOf(agent, run.id)).toEqual(expect.arrayContaining(['left', 'right'])),
          WAIT,
        );
      // The machine that brought them may go: the points are at both relays, the second of which fetched them itself.
      await vi.waitFor(async () => expect((await ask(left, 'GET', '/sync')).json.settled).toBe(true), WAIT);
      const points = (await ask(left, 'GET', series(run))).json;
      await vi.waitFor(async () => {
        const state = (await second.api<{ settled: boolean }>(tokens[1], 'GET', '/sync')).body;
        expect(state.settled).toBe(true);
      }, WAIT);
      await left.program.stop();
      await first.down('SIGKILL');
      expect((await ask(right, 'GET', series(run))).json).toEqual(points);
      // One relay away: the exchange with the other goes on, and each is told by itself.
      await tag(both, run.id, 'while-away');
      await vi.waitFor(async () => expect(await tagsOf(right, run.id)).toContain('while-away'), WAIT);
      await vi.waitFor(async () => {
        const states = new Map((await peersOf(both)).map((each) => [each.url, each]));
        expect(states.get(second.url)).toMatchObject({ connected: true, pendingDocuments: 0, problem: null });
        expect(states.get(first.url)).toMatchObject({ connected: false });
        expect(states.get(first.url)!.pendingDocuments).toBeGreaterThan(0);
      }, WAIT);
      expect((await ask(both, 'GET', `/runs/${run.id}`)).json.holders).toContain(second.url);
      await first.up();
      await ask(both, 'POST', '/sync/retry', {});
      await vi.waitFor(async () => expect((await ask(both, 'GET', '/sync')).json.settled).toBe(true), WAIT);
      const there = (await first.api<{ runs: Run[] }>(tokens[0], 'GET', '/projects/digits/runs?limit=1000')).body.runs;
      expect(there.find(({ id }) => id === run.id)!.tags).toContain('while-away');
    },
  );

  it(
    '[TOP-5] [TOP-6] peers are added, listed and removed while the relay runs; two with records of their own are refused in words',
    { timeout: 180_000 },
    async () => {
      const { first, second, tokens } = await twoRelays();
      const file = readdirSync(join(second.data, 'peers'))[0]!;
      expect(statSync(join(second.data, 'peers', file)).mode & 0o777).toBe(0o600);
      const listed = await peer(second, ['list']);
      expect(listed.said).toContain(first.url);
      expect(`${listed.said}${second.output()}${readFileSync(join(second.data, 'audit.jsonl'), 'utf8')}`).not.toContain(
        tokens[0],
      );
      // An agent brings records to the pair, another one to a third relay.
      const [ours, theirs] = [await startAgent(emptyFolder('ours')), await startAgent(emptyFolder('theirs'))];
      const third = await new Relay().up();
      const other = await third.token('member', 'theirs');
      await joined(ours, first, tokens[0]);
      await joined(theirs, third, other);
      await vi.waitFor(async () => expect((await ask(theirs, 'GET', '/sync')).json.settled).toBe(true), WAIT);
      const before = (await third.api<{ id: string }>(other, 'GET', '/workspace')).body.id;
      await peer(third, ['add', first.url, '--token', tokens[0]]);
      await vi.waitFor(async () => {
        const { peers } = (await third.api<{ peers: PeerShape[] }>(other, 'GET', '/sync')).body;
        const refused = peers.find(({ url }) => url === first.url);
        expect(refused).toMatchObject({ connected: false, problem: { code: 'workspace_mismatch' } });
        expect(refused!.problem!.message).toContain('Only an empty relay can join');
      }, WAIT);
      expect((await third.api<{ id: string }>(other, 'GET', '/workspace')).body.id).toBe(before);
      // Removed, a peer is dialled no more; a wrong one is said to be none.
      expect((await peer(second, ['remove', first.url])).code).toBe(0);
      await vi.waitFor(async () => {
        const { peers } = (await second.api<{ peers: PeerShape[] }>(tokens[1], 'GET', '/sync')).body;
        expect(peers.filter(({ incoming }) => !incoming)).toEqual([]);
      }, WAIT);
      expect((await peer(second, ['remove', first.url])).code).toBe(3);
      expect((await peer(second, ['add', 'ftp://x', '--token', 'y'])).code).toBe(2);
      expect((await peer(second, ['add', first.url])).said).toContain('member');
    },
  );
});
