import { setTimeout as pass } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { DocumentName } from '@fieldbook/core';
import { Book } from '@fieldbook/core/documents';
import { rebuildings } from '@fieldbook/core/repair';
import { decodeCard } from '@fieldbook/core/record';
import { makeTestEdit, SeededRandom } from '@fieldbook/core/testing';
import type { Agent } from '../fixtures/agent.ts';
import { ask, startAgent } from '../fixtures/agent.ts';
import { FaultyDisk, whyNoFaultyDisk } from '../fixtures/faulty-disk.ts';
import { enterRoom } from '../fixtures/room.ts';
import { emptyFolder } from '../scaffold/folder.ts';
import { Relay } from '../scaffold/machine.ts';
import { amount, LONG } from '../scaffold/mode.ts';
import type { Program } from '../scaffold/program.ts';
import { startProgram } from '../scaffold/program.ts';

function relayCommand(relay: Relay, ...args: string[]): Program {
  return startProgram('fieldbook-relay', [...args, '--data', relay.data], { FIELDBOOK_HOME: relay.data });
}

async function run(relay: Relay, ...args: string[]): Promise<{ code: number | null; output: string }> {
  const program = relayCommand(relay, ...args);
  const { code } = await program.ended;
  return { code, output: program.output() };
}

async function until<T>(look: () => Promise<T>, fits: (found: T) => boolean): Promise<T> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const found = await look();
    if (fits(found)) return found;
    if (Date.now() > deadline) throw new Error(`It stayed ${JSON.stringify(found)}`);
    await pass(50);
  }
}

/** How often a document was rebuilt, as a server has it. */
async function generationOf(url: string, token: string, name: DocumentName): Promise<number> {
  const answer = await fetch(`${url}/api/v1/documents/${name}`, { headers: { authorization: `Bearer ${token}` } });
  await answer.arrayBuffer();
  return rebuildings(Number(answer.headers.get('fieldbook-generation')));
}

interface Team {
  relay: Relay;
  token: string;
  book: DocumentName;
  ada: Agent;
  bob: Agent;
  homes: [string, string];
}

/** A relay and two agents with the runs of the demo on all of them. */
async function team(): Promise<Team> {
  const relay = await new Relay().up();
  const token = await relay.token('member', 'ada');
  const homes: [string, string] = [emptyFolder('ada'), emptyFolder('bob')];
  const [ada, bob] = [await startAgent(homes[0]), await startAgent(homes[1])];
  await ask(ada, 'POST', '/demo', {});
  for (const agent of [ada, bob]) await ask(agent, 'POST', '/join', { url: relay.url, token });
  await until(() => settled(ada), Boolean);
  await until(
    () => runs(bob),
    (found) => found.length === 14,
  );
  await until(() => settled(bob), Boolean);
  const { projects } = (await ask(bob, 'GET', '/projects')).json as { projects: { books: DocumentName[] }[] };
  return { relay, token, book: projects[0]!.books[0]!, ada, bob, homes };
}

const settled = async (agent: Agent): Promise<boolean> => (await ask(agent, 'GET', '/sync')).json.settled as boolean;

async function runs(agent: Agent): Promise<{ id: string; name: string | null; tags: string[] }[]> {
  const { json } = await ask(agent, 'GET', '/projects/digits/runs?limit=100');
  return (json.runs ?? []) as { id: string; name: string | null; tags: string[] }[];
}

const named = (found: { name: string | null }[]): string[] =>
  found.map(({ name }) => name ?? '').sort((a, b) => (a < b ? -1 : 1));

/** The first of its syncs at which a repair, having opened the store, may leave something of its own; each in long mode. */
const FIRST_BATCH = LONG ? 1 : 5;

describe('a relay whose document is repaired', () => {
  it('[GEN-8] loses what one token brought, on every machine, and nothing else; who was away brings what is new', async () => {
    const { relay, token, book, ada, bob, homes } = await team();
    const before = named(await runs(ada));
    const mallory = await relay.token('member', 'mallory');
    const room = enterRoom(relay.url, book, { token: mallory });
    await room.synced();
    const victims = [...new Book(room.doc).cards()].slice(0, 5).map(([, bytes]) => decodeCard(bytes)!.run);
    room.doc.transact(() => {
      for (const run of victims)
        new Book(room.doc).addEdit(
          makeTestEdit({ id: run.slice(0, 13).padEnd(26, '7') as never, run, value: 'stolen' }),
        );
    });
    await until(
      () => runs(bob),
      (found) => named(found).includes('stolen'),
    );
    await until(() => settled(bob), Boolean);
    // Bob goes away with everything of it, and works on.
    await bob.program.stop();
    const away = await startAgent(homes[1]);
    await ask(away, 'POST', '/sync/pause', { url: relay.url, paused: true });
    await ask(away, 'POST', `/runs/${victims[0]}/edits`, [{ field: 'tags', op: 'add', value: 'on the plane' }]);

    const running = await run(relay, 'repair', book, '--log');
    expect([running.code, running.output]).toEqual([1, expect.stringContaining('Stop the relay')]);
    room.provider.destroy();
    await relay.down();
    const { output: log } = await run(relay, 'repair', book, '--log');
    const line = log.split('\n').find((each) => each.includes('  room  '))!;
    const id = line.split(/\s+/)[5]!;
    expect(id).not.toBe('-');
    const dry = await run(relay, 'repair', book, '--without', `token:${id}`, '--dry-run');
    expect(dry.output).toContain('Left out: 5');
    expect(dry.output).toContain('stolen');
    expect(dry.output).toContain('Nothing was changed.');
    const done = await run(relay, 'repair', book, '--without', `token:${id}`, '--json');
    expect(JSON.parse(done.output)).toMatchObject({
      dryRun: false,
      damage: [],
      unrestorable: [],
      logReachesBack: true,
    });
    const { output: audit } = await run(relay, 'audit', '--json');
    expect(audit).toContain('"event":"repair"');
    expect(audit).toContain(`token:${id}`);

    await relay.up();
    await until(
      () => runs(ada),
      (found) => !named(found).includes('stolen'),
    );
    expect(named(await runs(ada))).toEqual(before);
    await ask(away, 'POST', '/sync/pause', { url: relay.url, paused: false });
    await until(
      () => runs(away),
      (found) => !named(found).includes('stolen'),
    );
    const tagged = await until(
      () => runs(ada),
      (found) => found.some(({ tags }) => tags.includes('on the plane')),
    );
    expect(named(tagged)).toEqual(before);
    expect(named(await runs(away))).toEqual(before);
    expect(await generationOf(relay.url, token, book)).toBe(1);
    // A client that holds the old generation is sent away for good, and told of the new one.
    const old = enterRoom(relay.url, book, { token, doc: room.doc });
    const { code, reason } = await old.closed;
    expect([code, /^\d+: the document was rebuilt/.test(reason)]).toEqual([4412, true]);
    expect(named(await runs(ada))).toEqual(before);
  });

  it('[GEN-14] survives kill -9 of the repair and of every machine that adopts it, however often', async () => {
    const { relay, token, book, ada, bob, homes } = await team();
    const before = named(await runs(ada));
    await bob.program.stop();
    await relay.down();
    const random = new SeededRandom(Date.now());
    const times: number[] = [];
    // Before each of the syncs that it comes to, where programs can be killed so: the disk between any two of its batches.
    const disk = whyNoFaultyDisk() === undefined ? new FaultyDisk() : undefined;
    let ended = 0;
    for (let nth = FIRST_BATCH; disk !== undefined; nth++) {
      disk.kills(nth, '/store/');
      const program = startProgram('fieldbook-relay', ['repair', book, '--data', relay.data], {
        ...disk.env,
        FIELDBOOK_HOME: relay.data,
      });
      const { signal } = await program.ended;
      const left = await run(relay, 'repair', book, '--dry-run', '--json');
      const { damage, records } = JSON.parse(left.output) as { damage: string[]; records: number };
      // A repair notes itself as a record.
      expect([nth, left.code, damage, records >= before.length]).toEqual([nth, 0, [], true]);
      ended = nth;
      if (signal === null || (!LONG && nth > FIRST_BATCH)) break;
    }
    if (LONG && disk !== undefined) expect(ended).toBeGreaterThan(FIRST_BATCH + 2);
    // How long a whole one takes, and then one that is killed somewhere in that time.
    let whole = 0;
    for (let round = 0; round < amount(2, 60); round++) {
      const program = relayCommand(relay, 'repair', book);
      const began = performance.now();
      if (round > 0) await Promise.race([program.ended, pass(random.int(Math.ceil(whole)))]);
      else await program.ended;
      if (round === 0) whole = performance.now() - began;
      await program.stop('SIGKILL');
      times.push(performance.now() - began);
    }
    const { code, output } = await run(relay, 'repair', book, '--json');
    expect([code, times.length, output.includes('"damage": []')]).toEqual([0, amount(2, 60), true]);
    await relay.up();
    const generation = await generationOf(relay.url, token, book);
    expect(generation).toBeGreaterThanOrEqual(2);
    for (let round = 0; round < amount(2, 60); round++) {
      const agent = await startAgent(homes[1]);
      await pass(random.int(400));
      await agent.program.stop('SIGKILL');
    }
    const last = await startAgent(homes[1]);
    const at = `/documents/${book}`;
    const own = async (): Promise<number> => {
      const answer = await fetch(`${last.url}/api/v1${at}`, { headers: { authorization: `Bearer ${last.token}` } });
      await answer.arrayBuffer();
      return rebuildings(Number(answer.headers.get('fieldbook-generation')));
    };
    await until(own, (found) => found === generation);
    expect(named(await runs(last))).toEqual(before);
    await until(() => settled(last), Boolean);
    expect((await ask(last, 'GET', '/health')).json.quarantined).toEqual([]);
    await until(() => settled(ada), Boolean);
    expect(named(await runs(ada))).toEqual(before);
  });
});
