import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import * as Y from 'yjs';
import type { Rules } from '../fixtures/network.ts';
import { Network, whyNoNetwork } from '../fixtures/network.ts';
import { Script } from '../fixtures/spool.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { startProgram } from '../scaffold/program.ts';
import { amount, LONG } from '../scaffold/mode.ts';

const RELAY = 'http://10.77.0.1:4400';
const impossible = whyNoNetwork();
if (impossible !== undefined) console.warn(`Hosts in network namespaces are not tested: ${impossible}.`);

/** A long way, a bad radio: what every real network does, a lot of it. */
const BAD: Rules = { delay: 0.02, jitter: 0.03, loss: 0.05, twice: 0.03, rate: 400_000 };

interface Runs {
  runs: { id: string; tags: string[] }[];
}

/** One of the machines, as seen from the outside of all networks. */
class Seat {
  readonly name: string;
  readonly network: Network;
  readonly home = emptyFolder('host');
  token = '';

  constructor(network: Network, name: string) {
    this.network = network;
    this.name = name;
  }

  async ask<T>(method: string, path: string, body?: unknown): Promise<{ status: number; body: T }> {
    const { status, bytes } = await this.network.ask(this.name, this.token, method, `/api/v1${path}`, body);
    return { status, body: JSON.parse(bytes.toString() || 'null') as T };
  }

  /** Everything that a document says, as one hash; its clocks, too. */
  async digest(name: string): Promise<string> {
    const { status, bytes } = await this.network.ask(this.name, this.token, 'GET', `/api/v1/documents/${name}`);
    if (status !== 200) return `${status}`;
    const doc = new Y.Doc();
    const state = bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes;
    Y.applyUpdate(doc, new Uint8Array(state));
    const hash = createHash('sha256');
    const clocks = [...Y.decodeStateVector(Y.encodeStateVector(doc))].toSorted(([a], [b]) => a - b);
    hash.update(JSON.stringify(clocks));
    for (const share of [...doc.share.keys()].toSorted((a, b) => (a < b ? -1 : 1))) {
      const entries = [...doc.getMap(share)].toSorted(([a], [b]) => (a < b ? -1 : 1));
      for (const [key, value] of entries)
        hash.update(`${share} ${key} ${Buffer.from(value as Uint8Array).toString('hex')}\n`);
    }
    if (doc.store.pendingStructs !== null || doc.store.pendingDs !== null) return 'pending';
    return hash.digest('hex');
  }
}

async function startRelay(network: Network): Promise<Seat> {
  const seat = new Seat(network, 'relay');
  const env = { FIELDBOOK_HOME: seat.home };
  const args = ['serve', '--host', '0.0.0.0', '--port', '4400', '--data', seat.home];
  await network.program('relay', 'fieldbook-relay', args, env).says(/running at/);
  seat.token = await tokenOf(seat, 'reader');
  return seat;
}

async function tokenOf({ home }: Seat, name: string): Promise<string> {
  const args = ['token', 'create', '--role', 'member', '--name', name, '--data', home];
  const [token] = await startProgram('fieldbook-relay', args, { FIELDBOOK_HOME: home }).says(/fbt_[A-Za-z0-9_-]+/);
  return token;
}

async function startAgent(network: Network, name: string, relay: Seat): Promise<Seat> {
  const seat = new Seat(network, name);
  const env = { FIELDBOOK_HOME: seat.home, FIELDBOOK_USER: name, FIELDBOOK_HOST: name };
  const token = tokenOf(relay, name);
  await network.program(name, 'fieldbook', ['up', '--foreground', '--port', '4400'], env).says(/running at/);
  seat.token = readFileSync(join(seat.home, 'agent.token'), 'utf8').trim();
  expect(await seat.ask('POST', '/join', { url: RELAY, token: await token })).toMatchObject({ status: 200 });
  return seat;
}

describe.skipIf(impossible !== undefined)('hosts with an IP network between them', () => {
  it(
    '[PRF-8] a relay and two agents on hosts of their own end equal with every acknowledged edit and point, whatever the links do',
    async () => {
      const network = await Network.open('relay', 'gpu', 'laptop');
      const relay = await startRelay(network);
      const [gpu, laptop] = await Promise.all([
        startAgent(network, 'gpu', relay),
        startAgent(network, 'laptop', relay),
      ]);
      const script = new Script(gpu.home, 'hosts', 'run-a');
      let steps = 0;
      const log = (count: number): void => {
        for (const end = steps + count; steps < end; steps++) script.log(steps, steps);
      };
      const acknowledged: string[] = [];
      /** Both machines edit, whatever the network is like: an edit needs none. */
      const work = async (what: string): Promise<void> => {
        log(200);
        for (const seat of [gpu, laptop])
          for (let each = 0; each < amount(2, 3); each++) {
            const tag = `${what}-${seat.name}-${each}`;
            const { status } = await seat.ask('POST', '/runs/run-a/edits?project=hosts', [
              { field: 'tags', op: 'add', value: tag },
            ]);
            expect([what, status]).toEqual([what, 200]);
            acknowledged.push(tag);
          }
      };
      const tags = async (seat: Seat): Promise<string[]> =>
        (await seat.ask<Runs>('GET', '/projects/hosts/runs?limit=10')).body.runs?.find(({ id }) => id === 'run-a')
          ?.tags ?? [];
      const points = async (seat: Seat): Promise<number> =>
        (await seat.ask<{ total: number }>('GET', '/runs/run-a/series?metric=loss')).body.total ?? 0;
      /** Everybody has what was acknowledged so far. */
      const together = async (withinMs: number): Promise<void> => {
        await gpu.ask('POST', '/drain', {});
        await vi.waitFor(
          async () => {
            for (const seat of [gpu, laptop, relay]) {
              expect([seat.name, (await tags(seat)).toSorted((a, b) => (a < b ? -1 : 1))]).toEqual([
                seat.name,
                acknowledged.toSorted((a, b) => (a < b ? -1 : 1)),
              ]);
              expect([seat.name, await points(seat)]).toEqual([seat.name, steps]);
            }
          },
          { timeout: withinMs, interval: 50 },
        );
      };
      const again = async (): Promise<void> => {
        // What people do whose network is back; a minute later the agents would by themselves.
        for (const seat of [gpu, laptop]) await seat.ask('POST', '/sync/retry', {});
      };

      log(1);
      await gpu.ask('POST', '/drain', {});
      await vi.waitFor(async () => expect([await points(laptop), await points(gpu)]).toEqual([1, 1]), {
        timeout: 20_000,
        interval: 50,
      });

      for (const way of ['up', 'down'] as const) await network.rules('gpu', way, BAD);
      await work('bad');
      if (LONG) await together(120_000);

      for (let round = 0; round < amount(1, 10); round++) {
        const of = (what: string): string => `${what}-${round}`;
        // Both ways, as when a cable is pulled.
        await network.link('gpu', false);
        await work(of('down'));
        await network.link('gpu', true);
        await again();
        if (LONG) await together(180_000);

        // One way only, so that one side goes on hearing the other.
        const way = round % 2 === 0 ? 'up' : 'down';
        await network.rules('laptop', way, { cut: true });
        await work(of('one-way'));
        await network.rules('laptop', way, {});
        if (LONG) await together(180_000);

        // Another network: connections of the old address are stranded, and the relay is told nothing.
        await network.address('laptop', `10.77.0.${50 + round}`);
        await work(of('moved'));
        if (LONG) await together(180_000);
        // Silence is believed after a minute; who does not want to wait says so.
        else for (const paused of [true, false]) await laptop.ask('POST', '/sync/pause', { url: RELAY, paused });

        // Small packets go through and large ones do not.
        const vanished = async (): Promise<number> => {
          const { up, down } = await network.counts('gpu');
          return up.large + down.large;
        };
        const before = await vanished();
        for (const direction of ['up', 'down'] as const)
          await network.rules('gpu', direction, { ...BAD, largest: 200 });
        await work(of('hole'));
        await vi.waitFor(async () => expect(await vanished()).toBeGreaterThan(before), { timeout: 60_000 });
        for (const direction of ['up', 'down'] as const) await network.rules('gpu', direction, BAD);
        await again();
        await together(amount(30_000, 180_000));
      }

      const names = ['workspace', 'run/run-a'];
      const { projects } = (await relay.ask<{ projects: { books: string[] }[] }>('GET', '/projects')).body;
      names.push(...projects.flatMap(({ books }) => books));
      expect(names.length).toBeGreaterThan(2);
      await vi.waitFor(
        async () => {
          for (const name of names) {
            const digests = await Promise.all([gpu, laptop, relay].map((seat) => seat.digest(name)));
            expect([name, new Set(digests).size, digests[0]!.length]).toEqual([name, 1, 64]);
          }
        },
        { timeout: 30_000, interval: 100 },
      );
      const { steps: shown } = (
        await laptop.ask<{ points: { steps: number[] } }>('GET', '/runs/run-a/series?metric=loss&points=100000')
      ).body.points;
      expect(shown).toEqual(Array.from({ length: steps }, (_, step) => step));
      // The links were as bad as they should have been.
      const { up, down } = await network.counts('gpu');
      console.log('hosts:', JSON.stringify({ up, down }), acknowledged.length, 'edits', steps, 'points');
      expect([up.lost + down.lost > 0, up.twice + down.twice > 0, up.overtaken + down.overtaken > 0]).toEqual([
        true,
        true,
        true,
      ]);
    },
    30 * 60_000,
  );
});
