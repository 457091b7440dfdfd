import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '@fieldbook/core/testing';
import { BOOK, Box } from '../fixtures/box.ts';
import type { FaultProxy } from '../fixtures/fault-proxy.ts';
import { FATES, faultProxy } from '../fixtures/fault-proxy.ts';
import { Script } from '../fixtures/spool.ts';
import { Machine, Relay } from '../scaffold/machine.ts';
import { amount, LONG } from '../scaffold/mode.ts';

/** Logs a point a turn and says so after the call returned. */
const SCRIPT = `
import sys, time
import fieldbook
run = fieldbook.init("chaos", run_id=sys.argv[1])
for step in range(1_000_000):
    run.log({"count": step}, step=step)
    print("logged", step, flush=True)
    time.sleep(0.002)
`;

interface Shown {
  runs: { id: string; tags: string[] }[];
}

interface Series {
  points: { steps: number[]; values: number[] } | null;
}

/** Everything of a project that people see, from an agent or a relay. */
type Ask = (path: string) => Promise<{ status: number; body: unknown }>;

describe('a network that does everything a network can do', () => {
  it(
    '[PRF-1] two agents and a relay behind chaotic connections end equal, with every acknowledged edit and point once',
    async () => {
      const seed = Number(process.env.FIELDBOOK_SEED ?? 20_262);
      const random = new SeededRandom(seed);
      const relay = await new Relay().up();
      const roads: FaultProxy[] = [];
      const machines: Machine[] = [];
      for (const name of ['gpu-1', 'laptop']) {
        const road = await faultProxy(relay.url);
        const machine = await new Machine(name, name).up();
        await machine.cli('join', road.url, '--token', await relay.token('member', name));
        roads.push(road);
        machines.push(machine);
      }
      const script = join(machines[0]!.home, 'train.py');
      writeFileSync(script, SCRIPT);
      const training = machines[0]!.train(script, 'run-a');
      await training.says(/logged 20\b/);
      await machines[0]!.api('POST', '/drain', {});
      await machines[0]!.cli('sync', '--timeout', '60');
      await machines[1]!.cli('sync', '--timeout', '60');

      for (const road of roads) road.chaos(new SeededRandom(random.int(2 ** 31)));
      for (const road of roads) road.cut();
      const acknowledged = new Set<string>();
      // Documents that are written once: nothing later heals what a cursor passed by.
      const small: string[] = [];
      const met = (fate: (typeof FATES)[number]): number => roads.reduce((sum, road) => sum + road.met[fate], 0);
      const deadline = Date.now() + amount(40_000, 20 * 60_000);
      const enough = amount(1, 60);
      for (let round = 0; FATES.some((fate) => met(fate) < enough); round++) {
        if (Date.now() > deadline) throw new Error(`seed ${seed}: not every fate was met: ${JSON.stringify(roads)}`);
        for (const [index, machine] of machines.entries()) {
          const run = `small-${index}-${round}`;
          const script = new Script(machine.home, `p${index}-${round}`, run);
          for (let step = 0; step < 3; step++) script.log(step, step);
          script.finish();
          small.push(run);
        }
        const tags = machines.map((_, index) => `${index}-${round}`);
        await Promise.all(
          machines.map(async (machine, index) => {
            const tag = tags[index]!;
            const { status } = await machine.api('POST', '/runs/run-a/edits', [
              { field: 'tags', op: 'add', value: tag },
            ]);
            if (status === 200) acknowledged.add(tag);
            // A connection is due again after half a second or more; fates are met sooner when it is asked for.
            await machine.api('POST', '/sync/retry', {});
          }),
        );
        await training.says(new RegExp(`logged ${lastLogged(training.output()) + 5}\\b`));
      }
      console.log(
        `chaos, seed ${seed}:`,
        JSON.stringify(roads.map(({ met: each }) => each)),
        acknowledged.size,
        'edits',
      );
      await training.stop('SIGKILL');
      for (const road of roads) road.peace();
      for (const machine of machines) {
        await machine.api('POST', '/drain', {});
        await machine.api('POST', '/sync/retry', {});
      }
      for (const machine of [...machines, ...machines]) await machine.cli('sync', '--timeout', '120');

      const said = lastLogged(training.output());
      const token = await relay.token('viewer', 'reader');
      const places: [string, Ask][] = [
        ...machines.map((machine, index): [string, Ask] => [`agent ${index}`, (path) => machine.api('GET', path)]),
        ['relay', (path) => relay.api(token, 'GET', path)],
      ];
      const shown = new Set<string>();
      for (const [where, ask] of places) {
        const { runs } = (await ask('/projects/chaos/runs?limit=100')).body as Shown;
        const tags = runs.find(({ id }) => id === 'run-a')!.tags;
        expect(new Set(tags).size, where).toBe(tags.length);
        expect(tags, where).toEqual(expect.arrayContaining([...acknowledged]));
        shown.add(JSON.stringify(runs));
        const { points } = (await ask('/runs/run-a/series?metric=count&points=100000')).body as Series;
        expect(points!.steps.length, where).toBeGreaterThan(said);
        expect(points!.steps, where).toEqual(points!.steps.map((_, index) => index));
        expect(points!.values, where).toEqual(points!.steps);
        for (const run of small) {
          const { body } = await ask(`/runs/${run}/series?metric=loss&points=100`);
          expect((body as Series).points, `${run} on ${where}`).toMatchObject({ steps: [0, 1, 2], values: [0, 1, 2] });
        }
      }
      expect(shown.size, 'what the three show').toBe(1);
      expect(acknowledged.size).toBeGreaterThan(0);
    },
    30 * 60_000,
  );

  it('[PRF-2] what one connection said, said again on others, changes nothing and ends nothing for good', async () => {
    const relay = await new Relay().up();
    const token = await relay.token('member', 'ada');
    const road = await faultProxy(relay.url);
    const [ada, bob] = [await Box.open(), await Box.open()];
    await ada.join(road.url, token);
    await bob.join(relay.url, token);
    await ada.addEdits(20);
    await ada.settled();
    await bob.until(async () => (await bob.edits()).length === 20);
    const stored = async (): Promise<number> =>
      (await relay.api<{ lastSeq: number }>(token, 'GET', '/sync')).body.lastSeq;
    const before = await stored();
    const { connections } = road;
    // Younger and older ones, over each other; the relay takes the speaker for Ada's machine, which comes back by itself.
    for (const connection of [connections - 1, connections - 1, 0])
      expect((await road.replay(connection)).length).toBeGreaterThan(0);
    expect(await stored()).toBe(before);
    await ada.addEdits(5);
    await ada.until(async () => ada.client!.settled && (await ada.client!.status()).toPush === 0);
    await bob.until(async () => (await bob.edits()).length === 25);
    expect(await bob.edits()).toEqual(await ada.edits());
    expect((await fetch(`${relay.url}/healthz`)).status).toBe(200);
  });

  it('[PRF-3] a client that says a byte at a time is served like any other, and keeps nobody else waiting', async () => {
    const relay = await new Relay().up();
    const token = await relay.token('member', 'ada');
    const road = await faultProxy(relay.url);
    road.trickle(true, 'up');
    const [slow, quick] = [await Box.open(), await Box.open()];
    await slow.addEdits(3);
    await quick.join(relay.url, token);
    const coming = slow.join(road.url, token, (await slowWorkspace(relay, token)) ?? undefined);
    const works = async (): Promise<void> => {
      await quick.addEdits(100);
      await quick.until(async () => quick.client!.settled && (await quick.client!.status()).toPush === 0);
      expect(slow.client!.settled).toBe(false);
    };
    // While the other one is at its headers, and then in the midst of its greeting.
    await works();
    await relay.says(/socket\.opened[^]*socket\.opened/);
    road.stall(true);
    await works();
    road.stall(false);
    await coming;
    await slow.settled();
    await slow.until(async () => (await slow.edits()).length === 203);
    await quick.until(async () => (await quick.edits()).length === 203);
  });

  it.runIf(LONG)(
    '[PRF-4] a connection that is lost one way and told to nobody is given up within a minute, and nothing is lost',
    async () => {
      for (const direction of ['up', 'down'] as const) {
        const relay = await new Relay().up();
        const token = await relay.token('member', 'ada');
        const road = await faultProxy(relay.url);
        const [ada, bob] = [await Box.open(), await Box.open()];
        await ada.join(road.url, token);
        await bob.join(relay.url, token);
        await ada.settled();
        road.silence(direction);
        const began = Date.now();
        await ada.addEdits(3);
        await bob.addEdits(3);
        await ada.until(() => !ada.client!.isConnected);
        expect(Date.now() - began).toBeLessThan(70_000);
        ada.client!.retry();
        await ada.until(async () => ada.client!.settled && (await ada.edits(BOOK)).length === 6);
        await bob.until(async () => (await bob.edits(BOOK)).length === 6);
      }
    },
  );
});

async function slowWorkspace(relay: Relay, token: string): Promise<string | undefined> {
  return (await relay.api<{ id: string }>(token, 'GET', '/workspace')).body.id;
}

function lastLogged(output: string): number {
  return Number([...output.matchAll(/logged (\d+)\n/g)].at(-1)?.[1] ?? -1);
}
