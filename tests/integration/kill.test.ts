import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SeededRandom } from '@fieldbook/core/testing';
import { expect, it } from 'vitest';
import { Machine, Relay } from '../scaffold/machine.ts';
import { amount } from '../scaffold/mode.ts';
import type { Program } from '../scaffold/program.ts';

/** Logs a point a turn and says so after the call returned: what was said must never be lost. */
const SCRIPT = `
import itertools, sys, time
import fieldbook
run = fieldbook.init("kills", name=sys.argv[1], run_id=sys.argv[1])
run["params/seed"] = sys.argv[1]
for step in itertools.count():
    run.log({"loss": 1.0 / (step + 1), "count": step}, step=step)
    print("logged", step, flush=True)
    time.sleep(0.0003)
`;

interface Client {
  run: string;
  program: Program;
}

interface SeriesBody {
  points: { steps: (number | string)[]; values: (number | string)[] } | null;
  total: number;
}

it(
  '[ING-20] kill -9 of client, agent and relay at random points loses no acknowledged point or edit and doubles none',
  async () => {
    const kills = amount(20, 1_000);
    const seed = Number(process.env.FIELDBOOK_SEED ?? 20_261);
    const random = new SeededRandom(seed);
    const machine = await new Machine('gpu-1', 'ada').up();
    const relay = await new Relay().up();
    const token = await relay.token('member', 'gpu-1');
    await machine.cli('join', relay.url, '--token', token);
    const script = join(machine.home, 'train.py');
    writeFileSync(script, SCRIPT);

    const clients: Client[] = [];
    const startClient = (): Client => {
      const run = `run-${clients.length}`;
      const client = { run, program: machine.train(script, run) };
      clients.push(client);
      return client;
    };
    let client = startClient();
    await client.program.says(/logged 0\b/);
    const acknowledged = new Map<string, Set<string>>();
    const edit = async (tag: string): Promise<void> => {
      const { run } = clients[random.int(clients.length)]!;
      // A run is known once its first card is in; the agent may have been killed before that.
      await machine.api('POST', '/drain', {});
      const { status } = await machine.api('POST', `/runs/${run}/edits`, [{ field: 'tags', op: 'add', value: tag }]);
      expect(status).toBe(200);
      acknowledged.set(run, (acknowledged.get(run) ?? new Set()).add(tag));
    };

    const killed = { client: 0, agent: 0, relay: 0 };
    for (let round = 0; round < kills; round++) {
      const before = lastLogged(client);
      await client.program.says(new RegExp(`logged ${before + 1 + random.int(400)}\\b`));
      if (random.chance(0.5)) await edit(`tag-${round}`);
      const victim = random.pick(['client', 'agent', 'agent', 'relay'] as const);
      killed[victim] += 1;
      if (victim === 'client') {
        await client.program.stop('SIGKILL');
        client = startClient();
        await client.program.says(/logged 0\b/);
      } else if (victim === 'agent') {
        // Not a moment of rest: an edit is on its way when the agent dies; it counts only if it was answered.
        const last = clients[0]!.run;
        const racing = machine
          .api('POST', `/runs/${last}/edits`, [{ field: 'tags', op: 'add', value: `race-${round}` }])
          .then(
            ({ status }) => {
              if (status === 200) acknowledged.set(last, (acknowledged.get(last) ?? new Set()).add(`race-${round}`));
            },
            () => {},
          );
        await Promise.all([racing, machine.down('SIGKILL')]);
        await machine.up();
      } else {
        await relay.down('SIGKILL');
        await relay.up();
      }
    }
    await client.program.stop('SIGKILL');
    console.log(`kill -9, seed ${seed}:`, JSON.stringify(killed), `${clients.length} runs`);
    expect(Math.min(killed.client, killed.agent, killed.relay)).toBeGreaterThan(0);

    await machine.cli('sync', '--timeout', '120');
    for (const { run, program } of clients) {
      const said = lastLogged({ run, program });
      for (const [where, get] of [
        ['agent', (path: string) => machine.api<SeriesBody>('GET', path)],
        ['relay', (path: string) => relay.api<SeriesBody>(token, 'GET', path)],
      ] as const) {
        const { status, body } = await get(`/runs/${run}/series?metric=count&points=100000`);
        expect(status, `${run} on the ${where}`).toBe(200);
        const steps = body.points?.steps.map(Number) ?? [];
        // Each step once and in order, at least up to the last one that the script was told is safe.
        expect(steps.length, `${run} on the ${where}: ${said} was said`).toBeGreaterThan(said);
        expect(steps, `${run} on the ${where}`).toEqual(steps.map((_, index) => index));
        expect(body.points!.values.map(Number)).toEqual(steps);
      }
    }
    for (const [run, tags] of acknowledged) {
      const here = await machine.api<{ tags: string[] }>('GET', `/runs/${run}`);
      const there = await relay.api<{ tags: string[] }>(token, 'GET', `/runs/${run}`);
      expect(here.body.tags, run).toEqual(expect.arrayContaining([...tags]));
      expect(there.body.tags, run).toEqual(here.body.tags);
      expect(new Set(here.body.tags).size).toBe(here.body.tags.length);
    }
    expect(acknowledged.size).toBeGreaterThan(0);
  },
  60 * 60_000,
);

function lastLogged({ program }: Client): number {
  return Number([...program.output().matchAll(/logged (\d+)\n/g)].at(-1)?.[1] ?? -1);
}
