import { Gate } from '../access/index.ts';
import { expect, it } from 'vitest';
import { Book } from '../documents/index.ts';
import type { DocumentName } from '../ids.ts';
import type { Log } from '../ports.ts';
import { encodeRecord } from '../record/index.ts';
import type { Replica } from '../replica/index.ts';
import { openReplica } from '../replica/index.ts';
import type { LinkPair } from '../testing/index.ts';
import {
  FakeClock,
  FakeTimers,
  linkPair,
  makeTestEdit,
  MemoryStorage,
  SeededRandom,
  testDevice,
} from '../testing/index.ts';
import { PeerMemories, ReplicationSession } from './index.ts';

const BOOK = 'book/mnist/2026-11' as DocumentName;
const MB = 1024 * 1024;
const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const random = new SeededRandom(31);

interface World {
  a: Replica;
  b: Replica;
  pair: LinkPair;
  timers: FakeTimers;
  sessions: readonly ReplicationSession[];
}

/** Two replicas; `a` has `runs` run documents of about 600 kB that `b` lacks, and both have the book. */
async function world(runs: number): Promise<World> {
  const [a, b] = [await open(), await open()];
  await addEdit(a, 'first');
  const first = connect(a, b);
  await runUntil(first, () => first.sessions.every((session) => session.settled));
  first.pair.cut();
  const bytes = encodeRecord({ k: 'new', x: 'x'.repeat(600_000) });
  for (let index = 0; index < runs; index++) {
    await a.transact(`run/r${index}` as DocumentName, (doc) => doc.getMap('x-bulk').set('one', bytes));
  }
  return connect(a, b);
}

function open(): Promise<Replica> {
  return openReplica({ storage: new MemoryStorage(), device: testDevice(random), random });
}

function connect(a: Replica, b: Replica): World {
  const clock = new FakeClock();
  const timers = new FakeTimers(clock);
  const pair = linkPair();
  const common = { timers, clock, log: silent, workspace: { id: 'w', name: null }, program: 'test/1' };
  const sessions = [
    new ReplicationSession({ ...common, replica: a, memories: new PeerMemories(a), link: pair.a, grants: null }),
    new ReplicationSession({
      ...common,
      replica: b,
      memories: new PeerMemories(b),
      link: pair.b,
      grants: Gate.open('member'),
    }),
  ];
  return { a, b, pair, timers, sessions };
}

async function addEdit(replica: Replica, value: string): Promise<void> {
  await replica.transact(BOOK, (doc) => new Book(doc).addEdit(makeTestEdit({ field: 'name', value })));
}

async function names(replica: Replica): Promise<unknown[]> {
  return replica.read(BOOK, (doc) => [...new Book(doc).edits()].map(([, bytes]) => new TextDecoder().decode(bytes)));
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A link that hands over one message of `a` at a time, all of `b`: counts the bytes of `a`. Ends with `done`. */
async function slowly({ pair, timers }: World, done: () => Promise<boolean> | boolean): Promise<number> {
  let bytes = 0;
  const receive = pair.b.onMessage!;
  pair.b.onMessage = (message) => {
    bytes += message.length;
    receive(message);
  };
  for (let round = 0; round < 20_000 && !(await done()); round++) {
    pair.deliver('a');
    while (pair.deliver('b'));
    for (let turns = 0; turns < 6; turns++) await turn();
    timers.advance(20);
  }
  expect(await done()).toBe(true);
  pair.b.onMessage = receive;
  return bytes;
}

async function runUntil(world: World, done: () => boolean): Promise<void> {
  await slowly(world, done);
}

it('[RPL-31] an edit overtakes run documents that are on their way and those that are listed and not yet asked for', async () => {
  const w = await world(40);
  // The exchange is under way: some have come, most have not.
  await slowly(w, async () => (await count(w.b)) >= 4);
  await addEdit(w.a, 'overtakes');
  const bytes = await slowly(w, async () => (await names(w.b)).some((text) => String(text).includes('overtakes')));
  expect(bytes).toBeLessThan(3 * MB);
  expect(await count(w.b)).toBeLessThan(20);
  await runUntil(w, () => w.sessions.every((session) => session.settled));
  expect(await count(w.b)).toBe(40);
});

it('[RPL-31] an edit overtakes what running runs write, and edits that follow each other come in order', async () => {
  const w = await world(0);
  await runUntil(w, () => w.sessions.every((session) => session.settled));
  const bytes = encodeRecord({ k: 'new', x: 'y'.repeat(200_000) });
  for (let index = 0; index < 60; index++) {
    await w.a.transact(`run/live${index % 6}` as DocumentName, (doc) => doc.getMap('x-bulk').set(`${index}`, bytes));
    if (index % 20 === 10) await addEdit(w.a, `edit ${index}`);
  }
  const sent = await slowly(w, async () => (await names(w.b)).some((text) => String(text).includes('edit 50')));
  expect(sent).toBeLessThan(3 * MB);
  expect(await names(w.b)).toHaveLength(4);
  await runUntil(w, () => w.sessions.every((session) => session.settled));
  for (let index = 0; index < 6; index++) {
    const keys = await w.b.read(`run/live${index}` as DocumentName, (doc) => doc.getMap('x-bulk').size);
    expect(keys).toBe(10);
  }
});

async function count(replica: Replica): Promise<number> {
  let found = 0;
  for await (const { name } of replica.list('run/')) if (name.length > 0) found += 1;
  return found;
}
