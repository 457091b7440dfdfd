import { Gate } from '../access/index.ts';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { Book } from '../documents/index.ts';
import type { DeviceId } from '../ids.ts';
import type { Log } from '../ports.ts';
import type { Replica } from '../replica/index.ts';
import { generationMismatch, openReplica } from '../replica/index.ts';
import {
  addEdit,
  BOOK,
  codeOf,
  editsOf,
  FakeClock,
  FakeTimers,
  linkPair,
  makeTestEdit,
  memoryStorage,
  SeededRandom,
  testDevice,
  testHistory,
} from '../testing/index.ts';
import type { FaultStorage, LinkPair } from '../testing/index.ts';
import type { SessionOptions } from './index.ts';
import { PeerMemories, ReplicationSession } from './index.ts';

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const random = new SeededRandom(43);
const forged = 'd111111111111111111111111' as DeviceId;
const repair = { reason: 'repair', time: 1_768_478_400_000 };

interface Side {
  storage: FaultStorage;
  replica: Replica;
  memories: PeerMemories;
}

async function makeSide(storage?: FaultStorage): Promise<Side> {
  const disk = storage ?? (await memoryStorage());
  const replica = await openReplica({ storage: disk, device: testDevice(random), random, history: testHistory() });
  return { storage: disk, replica, memories: new PeerMemories(replica) };
}

interface Connection {
  pair: LinkPair;
  a: ReplicationSession;
  b: ReplicationSession;
  timers: FakeTimers;
}

/** `a` dialled `b`. */
function connect(a: Side, b: Side, override: Partial<SessionOptions> = {}): Connection {
  const pair = linkPair();
  const clock = new FakeClock();
  const timers = new FakeTimers(clock);
  const common = { timers, clock, log: silent, workspace: { id: 'w', name: null }, program: 'test/1' };
  return {
    pair,
    timers,
    a: new ReplicationSession({ ...common, ...a, link: pair.a, grants: null }),
    b: new ReplicationSession({ ...common, ...b, link: pair.b, grants: Gate.open('member'), ...override }),
  };
}

async function run({ pair, timers }: Connection, rounds = 14): Promise<void> {
  for (let quiet = 0; quiet < rounds; quiet++) {
    if (pair.deliverAll() > 0) quiet = 0;
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (quiet === rounds - 3) timers.advance(300);
  }
}

async function meet(a: Side, b: Side, override: Partial<SessionOptions> = {}): Promise<Connection> {
  const connection = connect(a, b, override);
  await run(connection);
  return connection;
}

async function meetOnce(a: Side, b: Side, override: Partial<SessionOptions> = {}): Promise<void> {
  const connection = await meet(a, b, override);
  expect([connection.a.settled, connection.b.settled]).toEqual([true, true]);
  connection.a.close(1000, 'done');
  await run(connection, 4);
}

/** An edit by somebody who is gone, which a repair takes out by its device. */
async function addForged({ replica }: Side): Promise<string> {
  const doc = new Y.Doc();
  const edit = makeTestEdit({ device: forged });
  new Book(doc).addEdit(edit);
  await replica.apply(BOOK, Y.encodeStateAsUpdate(doc), 'forged');
  return edit.id;
}

const generationOf = async ({ replica }: Side): Promise<number> => (await replica.info(BOOK))!.generation;

describe('replicas and generations', () => {
  it('[GEN-4] one that was away while its relay rebuilt adopts it over the wire and brings only what is new', async () => {
    const [a, relay, b] = [await makeSide(), await makeSide(), await makeSide()];
    await addEdit(a.replica);
    await addForged(a);
    await meetOnce(a, relay);
    await meetOnce(b, relay);
    const late = await addEdit(b.replica);
    await relay.replica.rebuild(BOOK, { ...repair, without: { devices: [forged] } });
    await relay.replica.rebuild(BOOK, { ...repair, reason: 'compaction' });
    await meetOnce(a, relay);
    await meetOnce(b, relay);
    await meetOnce(a, relay);
    for (const side of [a, b, relay]) {
      expect(await generationOf(side)).toBe(await generationOf(relay));
      expect(await editsOf(side.replica)).toHaveLength(2);
      expect(await editsOf(side.replica)).toContain(late);
    }
    // Nobody has a complaint left, and a new machine gets the rebuilt document.
    const fresh = await makeSide();
    const connection = await meet(fresh, relay);
    expect(await editsOf(fresh.replica)).toHaveLength(2);
    expect([connection.a.memory!.refusedHere.size, connection.b.memory!.refusedThere.size]).toEqual([0, 0]);
  });

  it('[GEN-4] one that is connected while it happens follows at once, and what it had under way arrives', async () => {
    const [a, relay, b] = [await makeSide(), await makeSide(), await makeSide()];
    await addEdit(a.replica);
    const bad = await addForged(a);
    const [first, second] = [connect(a, relay), connect(b, relay)];
    const both = async (): Promise<void> => {
      for (let round = 0; round < 4; round++) for (const connection of [first, second]) await run(connection);
    };
    await both();
    const edits = [addEdit(a.replica), addEdit(b.replica)];
    await relay.replica.rebuild(BOOK, { ...repair, without: { devices: [forged] } });
    edits.push(addEdit(a.replica), addEdit(relay.replica));
    await Promise.all(edits);
    await both();
    for (const side of [a, b, relay]) {
      const ids = await editsOf(side.replica);
      expect([ids.length, ids.includes(bad)]).toEqual([5, false]);
      expect(await generationOf(side)).toBe(await generationOf(relay));
    }
    expect([first, second].every(({ a: one, b: other }) => one.settled && other.settled)).toBe(true);
    await addEdit(b.replica);
    await both();
    expect(await editsOf(a.replica)).toHaveLength(6);
  });

  it('[GEN-6] a relay takes a rebuilt document from an administrator only; others are told and lose nothing', async () => {
    const [a, relay] = [await makeSide(), await makeSide()];
    await addEdit(a.replica);
    await meetOnce(a, relay);
    await a.replica.rebuild(BOOK, repair);
    await addEdit(a.replica);
    const refused = await meet(a, relay);
    expect(await editsOf(relay.replica)).toHaveLength(1);
    expect(refused.b.memory!.refusedHere.get(BOOK)).toMatchObject({
      code: 'generation_mismatch',
      reason: expect.stringContaining('administrator'),
    });
    refused.a.close(1000, 'done');
    await run(refused, 4);
    await meetOnce(a, relay, { rebuilds: true });
    expect(await editsOf(relay.replica)).toHaveLength(2);
    expect(await generationOf(relay)).toBe(await generationOf(a));
    // A relay that has no such document takes it from a member: nothing can be lost by that.
    const empty = await makeSide();
    await meetOnce(a, empty);
    expect(await editsOf(empty.replica)).toHaveLength(2);
  });

  it('[GEN-5] an older program that sends changes of the old generation is refused by name, and nothing is merged', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    await addEdit(a.replica);
    await meetOnce(a, b);
    await b.replica.rebuild(BOOK, repair);
    // It never asks for what is listed in another generation.
    const connection = connect(a, b);
    const { adopt } = a.replica;
    a.replica.adopt = () => Promise.reject(generationMismatch(BOOK, 0, 1));
    await run(connection);
    await addEdit(a.replica);
    await run(connection);
    expect(await editsOf(b.replica)).toHaveLength(1);
    expect(connection.b.memory!.refusedHere.get(BOOK)?.code).toBe('generation_mismatch');
    connection.a.close(1000, 'done');
    await run(connection, 4);
    // After an update of the program everything is settled by the next connection.
    a.replica.adopt = adopt;
    await meetOnce(a, b);
    expect(await editsOf(b.replica)).toHaveLength(2);
    expect(await generationOf(a)).toBe(await generationOf(b));
  });

  it('[GEN-12] a damaged document is fetched whole from whoever has it, on either side of a connection', async () => {
    for (const which of ['dialled', 'accepted']) {
      const [a, b] = [await makeSide(), await makeSide()];
      for (let n = 0; n < 3; n++) await addEdit(a.replica);
      await meetOnce(a, b);
      const victim = which === 'dialled' ? a : b;
      await victim.replica.compact(BOOK);
      for await (const [key, value] of victim.storage.range({})) {
        if (key[0] !== 0x73) continue;
        value[12]! ^= 1;
        await victim.storage.batch([{ type: 'put', key, value }], { sync: true });
      }
      const damaged = await makeSide(victim.storage);
      expect(await codeOf(editsOf(damaged.replica))).toBe('document_quarantined');
      await meetOnce(which === 'dialled' ? damaged : a, which === 'dialled' ? b : damaged);
      expect(await editsOf(damaged.replica)).toHaveLength(3);
      expect(await damaged.replica.asides(BOOK)).toHaveLength(1);
      // It found out before it connected here; a peer that is asked for a damaged document heals the same way.
      expect((await damaged.replica.info(BOOK))!.quarantined).toBe(false);
    }
  });
});
