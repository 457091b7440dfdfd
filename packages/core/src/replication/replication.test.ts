import { MemoryLevel } from 'memory-level';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { Book } from '../documents/index.ts';
import type { DocumentName } from '../ids.ts';
import type { Log } from '../ports.ts';
import type { Replica } from '../replica/index.ts';
import { openReplica } from '../replica/index.ts';
import { levelStorage } from '../store/index.ts';
import type { LinkPair } from '../testing/index.ts';
import { FakeClock, FakeTimers, linkPair, makeTestEdit, SeededRandom, testDevice } from '../testing/index.ts';
import { encodeFrame, PeerMemories, ReplicationSession } from './index.ts';
import type { SessionOptions } from './index.ts';

const BOOK = 'book/mnist/2026-11' as DocumentName;
const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const random = new SeededRandom(42);

interface Side {
  replica: Replica;
  memories: PeerMemories;
}

async function makeSide(trusting = false): Promise<Side> {
  const db = new MemoryLevel<Uint8Array, Uint8Array>({ keyEncoding: 'view', valueEncoding: 'view' });
  const replica = await openReplica({ storage: levelStorage(db as never), device: testDevice(random), random, trusting });
  return { replica, memories: new PeerMemories(replica) };
}

interface Connection {
  pair: LinkPair;
  a: ReplicationSession;
  b: ReplicationSession;
  timers: FakeTimers;
}

function connect(a: Side, b: Side, override: Partial<SessionOptions> = {}): Connection {
  const pair = linkPair();
  const clock = new FakeClock();
  const timers = new FakeTimers(clock);
  const common = { timers, clock, log: silent, workspace: { id: 'w', name: null }, program: 'test/1' };
  return {
    pair,
    timers,
    a: new ReplicationSession({ ...common, ...a, link: pair.a, grants: null }),
    b: new ReplicationSession({ ...common, ...b, link: pair.b, grants: 'member', ...override }),
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Moves messages and lets the stores work until both sides have nothing left to do. */
async function run({ pair, timers }: Connection, rounds = 12): Promise<void> {
  for (let quiet = 0; quiet < rounds; quiet++) {
    if (pair.deliverAll() > 0) quiet = 0;
    await turn();
    if (quiet === rounds - 3) timers.advance(300);
  }
}

async function addEdits({ replica }: Side, count: number, name = BOOK): Promise<void> {
  await replica.transact(name, (doc) => {
    for (let index = 0; index < count; index++) new Book(doc).addEdit(makeTestEdit());
  });
}

async function edits({ replica }: Side, name = BOOK): Promise<string[]> {
  return replica.read(name, (doc) => [...new Book(doc).edits()].map(([key]) => key).sort());
}

describe('replication', () => {
  it('[RPL-1] brings both sides to the same documents, and says so only when both are durable', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    await addEdits(a, 3);
    await addEdits(b, 2);
    await addEdits(b, 2, 'book/other/2026-11' as DocumentName);
    const connection = connect(a, b);
    expect(connection.a.settled).toBe(false);
    await run(connection);
    expect(await edits(a)).toEqual(await edits(b));
    expect(await edits(a)).toHaveLength(5);
    expect(await edits(a, 'book/other/2026-11' as DocumentName)).toHaveLength(2);
    expect([connection.a.settled, connection.b.settled]).toEqual([true, true]);
    for (const [side, session] of [
      [a, connection.a],
      [b, connection.b],
    ] as const) {
      for await (const info of side.replica.list()) expect(session.memory!.holds(info.name, info.seq)).toBe(true);
    }
  });

  it('[RPL-2] sends live commits as they happen and none back to where they came from', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    const connection = connect(a, b);
    await run(connection);
    const before = b.replica.lastSeq;
    await addEdits(a, 1);
    await addEdits(a, 1);
    await run(connection);
    expect(b.replica.lastSeq - before).toBe(2);
    expect(a.replica.lastSeq).toBe(2);
    expect(connection.a.memory!.pushed).toBe(a.replica.lastSeq);
    // Commits that a made itself move its cursor on b's feed without being sent.
    expect(a.replica.lastSeq === 2 && connection.a.memory!.pulled === b.replica.lastSeq).toBe(true);
  });

  it('[RPL-3] a cut at any message loses nothing and doubles nothing', async () => {
    for (let cutAfter = 1; cutAfter < 40; cutAfter++) {
      const [a, b] = [await makeSide(), await makeSide()];
      for (const project of ['x', 'y', 'z']) {
        await addEdits(a, 2, `book/${project}/2026-11` as DocumentName);
        await addEdits(b, 2, `book/${project}/2026-11` as DocumentName);
      }
      const first = connect(a, b);
      for (let left = cutAfter; left > 0; left--) {
        if (!first.pair.deliver(left % 3 === 0 ? 'b' : 'a') && !first.pair.deliver('a') && !first.pair.deliver('b'))
          await turn();
        await turn();
      }
      first.pair.cut();
      await turn();
      const second = connect(a, b);
      await run(second);
      expect(second.a.settled && second.b.settled, `settled after a cut after ${cutAfter}`).toBe(true);
      for (const project of ['x', 'y', 'z']) {
        const name = `book/${project}/2026-11` as DocumentName;
        expect(await edits(a, name)).toHaveLength(4);
        expect(await edits(b, name)).toEqual(await edits(a, name));
      }
    }
  });

  it('[RPL-4] a viewer gets everything and gives nothing, and is told why', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    await addEdits(a, 1);
    await addEdits(b, 2);
    const connection = connect(a, b, { grants: 'viewer' });
    await run(connection);
    expect(await edits(a)).toHaveLength(3);
    expect(await edits(b)).toHaveLength(2);
    expect([connection.a.readOnly, connection.a.settled]).toEqual([true, true]);
    // One that does not keep to it is refused, document by document, and served all the same.
    connection.pair.a.send(encodeFrame({ kind: 'open', channel: 900, name: BOOK, generation: 0 }));
    const update = Y.encodeStateAsUpdate(await a.replica.read(BOOK, (doc) => doc));
    connection.pair.a.send(encodeFrame({ kind: 'sync', channel: 900, seq: 7, message: { type: 'update', update } }));
    await run(connection);
    expect(await edits(b)).toHaveLength(2);
    expect(connection.a.memory!.refusedThere.get(BOOK)?.code).toBe('forbidden');
  });

  it('[RPL-5] a bad document is refused by name and holds nothing else up', async () => {
    const [a, b] = [await makeSide(true), await makeSide()];
    // A machine that does not look at its own changes can hold what others refuse.
    await a.replica.transact('book/bad/2026-11' as DocumentName, (doc) => doc.getText('t').insert(0, 'no'));
    await addEdits(a, 1);
    const connection = connect(a, b);
    await run(connection);
    expect(await edits(b)).toHaveLength(1);
    expect(connection.a.memory!.refusedThere.get('book/bad/2026-11' as DocumentName)?.code).toBe(
      'update_forbidden_content',
    );
    expect(connection.a.memory!.holds('book/bad/2026-11' as DocumentName, 1)).toBe(false);
    expect(connection.b.memory!.pulled).toBe(a.replica.lastSeq);
    expect(connection.a.connected).toBe(true);
  });
});
