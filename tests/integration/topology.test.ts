import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import type { Agent } from '../fixtures/agent.ts';
import { ask, fieldbook, send, startAgent } from '../fixtures/agent.ts';
import { SlowUpload } from '../fixtures/event-stream.ts';
import { emptyFolder } from '../scaffold/folder.ts';

interface Run {
  id: string;
  tags: string[];
  metrics: Record<string, { count: number }>;
}

const digits = async (agent: Agent): Promise<Run[]> =>
  (await ask(agent, 'GET', '/projects/digits/runs?limit=1000')).json.runs ?? [];

/** A link to an agent as `fieldbook share` prints it. */
async function linkTo(agent: Agent, name: string): Promise<{ id: string; link: string; token: string }> {
  const { stdout } = await fieldbook(agent.home, ['share', '--name', name, '--json']);
  const { id, links, token } = JSON.parse(stdout) as { id: string; links: string[]; token: string };
  return { id, link: links[0]!, token };
}

async function synced(agent: Agent): Promise<void> {
  const { code, stderr } = await fieldbook(agent.home, ['sync', '--timeout', '30']);
  expect([code, stderr.includes('error')]).toEqual([0, false]);
}

const machine = (name: string): Promise<Agent> => startAgent(emptyFolder(name), { env: { FIELDBOOK_HOST: name } });

describe('agent to agent', () => {
  it(
    '[TOP-1] a link joins two machines: runs, points, edits and presence of both, and each shows the other',
    { timeout: 180_000 },
    async () => {
      const [box, laptop] = [await machine('box'), await machine('laptop')];
      await fieldbook(box.home, ['demo']);
      const { link } = await linkTo(box, 'laptop');
      // However the address is written.
      const joined = await fieldbook(laptop.home, ['join', link.replace('http:', 'ws:'), '--json']);
      expect([joined.code, joined.json?.connected, joined.json?.url]).toEqual([0, true, box.url]);
      await synced(laptop);
      const [run] = await digits(box);
      await fieldbook(laptop.home, ['tag', run!.id, 'from-laptop']);
      await synced(laptop);
      expect(await digits(laptop)).toEqual(await digits(box));
      expect((await digits(box)).find(({ id }) => id === run!.id)!.tags).toContain('from-laptop');
      const metric = Object.keys(run!.metrics)[0]!;
      const series = `/runs/${run!.id}/series?metric=${encodeURIComponent(metric)}`;
      expect((await ask(laptop, 'GET', series)).json).toEqual((await ask(box, 'GET', series)).json);
      const workspaces = await Promise.all(
        [box, laptop].map(async (each) => (await ask(each, 'GET', '/workspace')).json),
      );
      expect(workspaces[0].id).toBe(workspaces[1].id);
      expect(workspaces.map((workspace) => workspace.private)).toEqual([false, false]);
      // The side that was dialled says who is there, and knows what that one has.
      const { peers, settled } = (await ask(box, 'GET', '/sync')).json;
      expect([peers.length, peers[0].incoming, peers[0].connected, peers[0].name, settled]).toEqual([
        1,
        true,
        true,
        'laptop',
        true,
      ]);
      expect((await ask(box, 'GET', `/runs/${run!.id}`)).json.holders).toEqual([peers[0].url]);
      expect((await fieldbook(box.home, ['status'])).stdout).toMatch(
        /machine +laptop, which joined this one: everything is exchanged/,
      );
      expect((await fieldbook(laptop.home, ['status'])).stdout).toContain(`${box.url}: everything is exchanged`);
      // And what is gone is not listed as there.
      await laptop.program.stop();
      await vi.waitFor(async () => expect((await ask(box, 'GET', '/sync')).json.peers).toEqual([]), {
        timeout: 10_000,
      });
    },
  );

  it(
    '[TOP-1] a machine that shares a workspace gives it to one that shares none, whichever dialled; two different ones do not meet',
    { timeout: 180_000 },
    async () => {
      const [team, fresh, other] = [await machine('team'), await machine('fresh'), await machine('other')];
      const first = await machine('first');
      await fieldbook(first.home, ['join', (await linkTo(team, 'first')).link]);
      const { id } = (await ask(team, 'GET', '/workspace')).json;
      const joined = await fieldbook(team.home, ['join', (await linkTo(fresh, 'team')).link, '--json']);
      expect([joined.code, joined.json?.connected]).toEqual([0, true]);
      expect((await ask(fresh, 'GET', '/workspace')).json).toMatchObject({ id, private: false });
      const last = await machine('last');
      await fieldbook(last.home, ['join', (await linkTo(other, 'last')).link]);
      const refused = await fieldbook(team.home, ['join', (await linkTo(other, 'team')).link, '--json']);
      expect([refused.code === 0, JSON.parse(refused.stderr).error.code]).toEqual([false, 'workspace_mismatch']);
      expect((await ask(other, 'GET', '/workspace')).json.id).not.toBe(id);
    },
  );

  it(
    '[TOP-2] a peer’s token exchanges and nothing else, is kept as a hash, and is worthless once revoked',
    { timeout: 180_000 },
    async () => {
      const [box, laptop] = [await machine('box'), await machine('laptop')];
      const { id, link, token } = await linkTo(box, 'the laptop');
      expect(token).toMatch(/^fbp_[\w-]{43}$/);
      const directory = join(box.home, 'peers');
      const files = readdirSync(directory);
      expect(files).toEqual([`${id}.json`]);
      expect(statSync(join(directory, files[0]!)).mode & 0o777).toBe(0o600);
      expect(readFileSync(join(directory, files[0]!), 'utf8')).not.toContain(token);
      const as = (method: string, path: string): Promise<number> =>
        send(box.url, method, path, { headers: { authorization: `Bearer ${token}` } }).then(({ status }) => status);
      expect(await as('GET', '/api/v1/workspace')).toBe(200);
      for (const path of ['/projects', '/sync', '/documents/workspace', '/events'])
        expect([path, await as('GET', `/api/v1${path}`)]).toEqual([path, 403]);
      expect(await as('POST', '/api/v1/join')).toBe(403);
      const room = new WebSocket(`${box.url.replace('http', 'ws')}/rooms/workspace`, ['fieldbook.v1'], {
        headers: { authorization: `Bearer ${token}` },
      });
      expect(await new Promise((resolve) => room.once('close', resolve))).toBe(4403);
      await fieldbook(laptop.home, ['join', link]);
      const list = await fieldbook(box.home, ['share', 'list']);
      expect(list.stdout).toMatch(new RegExp(`^${id}  made .*the laptop\\n$`));
      const upload = await SlowUpload.open(box.url, Buffer.from('a blob'), { authorization: `Bearer ${token}` });
      expect((await fieldbook(box.home, ['share', 'revoke', id])).code).toBe(0);
      let cut: number | null | undefined;
      void upload.finished.then((status) => (cut = status));
      // Long before a sender that is merely slow is given up.
      await vi.waitFor(() => expect(cut).toBe(null), { timeout: 10_000 });
      await vi.waitFor(
        async () =>
          expect((await ask(laptop, 'GET', '/sync')).json.peers).toMatchObject([
            { connected: false, problem: { code: 'unauthorized' } },
          ]),
        { timeout: 10_000 },
      );
      expect(await as('GET', '/api/v1/workspace')).toBe(401);
      expect((await fieldbook(box.home, ['share', 'list', '--json'])).json).toEqual({ tokens: [] });
      expect((await fieldbook(box.home, ['share', 'revoke', id])).code).toBe(3);
      expect(box.program.output()).not.toContain(token);
    },
  );

  it(
    '[TOP-3] three machines in a circle, two of them joined both ways: all have everything, and then nothing travels',
    { timeout: 180_000 },
    async () => {
      const circle = [await machine('a'), await machine('b'), await machine('c')];
      const [a, b, c] = circle as [Agent, Agent, Agent];
      await fieldbook(a.home, ['demo']);
      for (const [from, to] of [
        [a, b],
        [b, c],
        [c, a],
        [b, a],
      ] as const)
        expect((await ask(from, 'POST', '/join', { url: to.url, token: to.token })).status).toBe(200);
      const runs = await digits(a);
      for (const [index, agent] of circle.entries()) {
        await vi.waitFor(async () => expect(await digits(agent)).toHaveLength(runs.length), { timeout: 20_000 });
        await ask(agent, 'POST', `/runs/${runs[0]!.id}/edits`, [{ field: 'tags', op: 'add', value: `from-${index}` }]);
      }
      const settled = async (): Promise<void> => {
        await vi.waitFor(
          async () => {
            for (const agent of circle) {
              expect((await digits(agent)).find(({ id }) => id === runs[0]!.id)!.tags).toEqual(
                expect.arrayContaining(['from-0', 'from-1', 'from-2']),
              );
              expect((await ask(agent, 'GET', '/sync')).json.settled).toBe(true);
            }
          },
          { timeout: 30_000, interval: 200 },
        );
      };
      await settled();
      const sent = async (): Promise<number> => {
        const states = await Promise.all(circle.map(async (agent) => (await ask(agent, 'GET', '/sync')).json));
        return states
          .flatMap(({ peers }) => peers as { sentBytes: number | null }[])
          .reduce((sum, peer) => sum + (peer.sentBytes ?? 0), 0);
      };
      // Thirty edits cross four connections: each is a few hundred bytes, and goes over one connection twice at the worst.
      const before = await sent();
      for (let edit = 0; edit < 30; edit++)
        await ask(a, 'POST', `/runs/${runs[0]!.id}/edits`, [{ field: 'tags', op: 'add', value: `more-${edit}` }]);
      for (const agent of circle)
        await vi.waitFor(
          async () =>
            expect((await digits(agent)).find(({ id }) => id === runs[0]!.id)!.tags).toEqual(
              expect.arrayContaining(Array.from({ length: 30 }, (_, edit) => `more-${edit}`)),
            ),
          { timeout: 20_000 },
        );
      await settled();
      let last = -1;
      // At rest: what is counted does not grow between two looks but by a ping.
      await vi.waitFor(
        async () => {
          const now = await sent();
          const grown = now - last;
          last = now;
          expect(grown).toBeLessThan(20);
        },
        { timeout: 20_000, interval: 500 },
      );
      expect(last - before).toBeGreaterThan(30 * 100);
      expect(last - before).toBeLessThan(30 * 4 * 1_500);
      // Nobody took anything in twice: what was committed is what was made.
      const feeds = await Promise.all(circle.map(async (agent) => (await ask(agent, 'GET', '/sync')).json.lastSeq));
      expect(Math.max(...feeds) - Math.min(...feeds)).toBeLessThan(runs.length * 4 + 40);
    },
  );
});
