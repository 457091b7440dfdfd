import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { Gate } from '../access/index.ts';
import { Book } from '../documents/index.ts';
import type { DocumentName } from '../ids.ts';
import { FieldbookError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { isTerminal } from '../links/index.ts';
import type { Log, Storage } from '../ports.ts';
import type { Replica } from '../replica/index.ts';
import { openReplica } from '../replica/index.ts';
import type { LinkPair } from '../testing/index.ts';
import {
  FakeClock,
  FakeTimers,
  FaultStorage,
  linkPair,
  makeTestEdit,
  MemoryStorage,
  SeededRandom,
  testDevice,
} from '../testing/index.ts';
import { decodeFrame, encodeFrame, PeerMemories, ReplicationSession } from './index.ts';
import type { Frame, SessionOptions } from './index.ts';

const BOOK = 'book/mnist/2026-11' as DocumentName;
const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const random = new SeededRandom(42);

interface Side {
  replica: Replica;
  memories: PeerMemories;
}

async function makeSide(storage: Storage = new MemoryStorage(), device = testDevice(random)): Promise<Side> {
  const replica = await openReplica({ storage, device, random });
  return { replica, memories: new PeerMemories(replica) };
}

interface Connection {
  pair: LinkPair;
  a: ReplicationSession;
  b: ReplicationSession;
  timers: FakeTimers;
}

function connect(
  a: Side,
  b: Side,
  override: Partial<SessionOptions> = {},
  overrideA: Partial<SessionOptions> = {},
): Connection {
  const pair = linkPair();
  const clock = new FakeClock();
  const timers = new FakeTimers(clock);
  const common = { timers, clock, log: silent, workspace: { id: 'w', name: null }, program: 'test/1' };
  return {
    pair,
    timers,
    a: new ReplicationSession({ ...common, ...a, link: pair.a, grants: null, ...overrideA }),
    b: new ReplicationSession({ ...common, ...b, link: pair.b, grants: Gate.open('member'), ...override }),
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

/** The same for what takes longer than the usual number of rounds. */
async function runUntil(connection: Connection, done: () => boolean): Promise<void> {
  for (let round = 0; round < 10_000 && !done(); round++) {
    await run(connection, 3);
    connection.timers.advance(20);
  }
  expect(done()).toBe(true);
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
    const answers: string[] = [];
    const receive = connection.pair.a.onMessage!;
    connection.pair.a.onMessage = (message) => {
      answers.push(decodeFrame(message)!.kind);
      receive(message);
    };
    await addEdits(a, 1);
    await addEdits(a, 1);
    await run(connection);
    expect(answers.filter((kind) => kind !== 'cursor')).toEqual(['ack', 'ack', 'feed']);
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
    const connection = connect(a, b, { grants: Gate.open('viewer') });
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

  it('[RPL-5] a refused document is named, remembered, tried once more on each connection, and holds nothing else up', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    const bad = 'book/bad/2026-11' as DocumentName;
    await addEdits(a, 2, bad);
    await addEdits(a, 1);
    const fussy = refusing(b, bad);
    const first = connect(a, fussy.side);
    await run(first);
    expect(await edits(b)).toHaveLength(1);
    expect(await edits(b, bad)).toEqual([]);
    expect(first.a.memory!.refusedThere.get(bad)).toMatchObject({ code: 'update_forbidden_content' });
    expect(first.a.memory!.holds(bad, 1)).toBe(false);
    // Passed over: the feed of a is taken in to its end all the same.
    expect(first.b.memory!.pulled).toBe(a.replica.lastSeq);
    await addEdits(a, 1, bad);
    await run(first);
    expect(await edits(b, bad)).toEqual([]);
    expect(first.a.connected).toBe(true);
    first.pair.cut();
    fussy.relent();
    const second = connect(
      { ...a, memories: new PeerMemories(a.replica) },
      { ...b, memories: new PeerMemories(b.replica) },
    );
    await run(second);
    expect(await edits(b, bad)).toHaveLength(3);
    expect([...second.a.memory!.refusedThere, ...second.b.memory!.refusedHere]).toEqual([]);
  });

  it('[RPL-63] of more refused documents than are remembered by name none counts as held, and all are tried again', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    const bad = Array.from({ length: 5 }, (_, index) => `book/bad-${index}/2026-11` as DocumentName);
    for (const name of bad) await addEdits(a, 1, name);
    await addEdits(a, 1);
    const few = (side: Side): Side => ({ ...side, memories: new PeerMemories(side.replica, 2) });
    const fussy = refusing(b, ...bad);
    const first = connect(few(a), few(fussy.side));
    await run(first);
    expect(await edits(b)).toHaveLength(1);
    expect([first.a.memory!.refusedThere.size, first.b.memory!.refusedHere.size]).toEqual([2, 2]);
    const held = async (memories: PeerMemories): Promise<boolean[]> => {
      const memory = await memories.of(b.replica.id);
      return Promise.all(bad.map(async (name) => memory.holds(name, (await a.replica.info(name))!.seq)));
    };
    await first.a.memory!.save();
    expect(await held(new PeerMemories(a.replica, 2))).toEqual(bad.map(() => false));
    first.pair.cut();
    fussy.relent();
    const memories = new PeerMemories(a.replica, 2);
    const second = connect({ ...a, memories }, few(b));
    await run(second, 40);
    for (const name of bad) expect(await edits(b, name)).toHaveLength(1);
    expect(await held(memories)).toEqual(bad.map(() => true));
    expect(second.a.settled).toBe(true);
  });

  it('[RPL-10] an acknowledgement follows the fsync: none while the disk is busy, and none for what it lost', async () => {
    const disk = new FaultStorage(new MemoryStorage());
    const [a, b] = [await makeSide(), await makeSide(disk)];
    const connection = connect(a, b);
    await run(connection);
    disk.hold();
    await addEdits(a, 1);
    await run(connection);
    const { seq } = (await a.replica.info(BOOK))!;
    const memory = connection.a.memory!;
    expect(memory.holds(BOOK, seq)).toBe(false);
    expect(connection.a.settled).toBe(false);
    disk.failNextBatches(1, new FieldbookError('disk_full', 'The disk is full.'));
    disk.release();
    await run(connection);
    expect(memory.holds(BOOK, seq)).toBe(false);
    const end = await connection.a.ended;
    expect([end.code, end.reason]).toEqual([4507, 'The disk is full.']);
    const again = connect(a, b);
    await run(again);
    expect(again.a.memory!.holds(BOOK, seq)).toBe(true);
    expect(await edits(b)).toHaveLength(1);
  });

  it('[RPL-11] replicas of different workspaces, of no common version, or one and the same replica part at once, for good', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    await addEdits(a, 1);
    const other = connect(a, b, { workspace: { id: 'other', name: null } });
    await run(other);
    expect((await other.a.ended).code).toBe(4409);
    const same = connect(a, { ...a, memories: new PeerMemories(a.replica) });
    await run(same);
    expect((await same.b.ended).code).toBe(4409);
    const newer = connect(a, b);
    newer.pair.a.onMessage = null;
    (newer.pair.a as unknown as { queue: Uint8Array[] }).queue.length = 0;
    const hello = {
      versions: [9],
      replica: 'r',
      device: 'd',
      workspace: 'w',
      workspaceName: null,
      program: 'p',
      role: null,
    };
    newer.pair.a.send(encodeFrame({ kind: 'hello', hello }));
    await run(newer);
    expect((await newer.b.ended).code).toBe(4426);
    expect(await edits(b)).toEqual([]);
    for (const code of [4409, 4426]) expect(isTerminal(code)).toBe(true);
  });

  it('[RPL-40] both sides list their versions and speak the highest that both know', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    await addEdits(a, 1);
    const spoken = async (ours: readonly number[], theirs: readonly number[]): Promise<unknown> => {
      const connection = connect(a, b, { versions: theirs }, { versions: ours });
      await run(connection);
      const agreed = [connection.a.version, connection.b.version, connection.a.settled];
      connection.pair.cut();
      return agreed;
    };
    expect(await spoken([1], [1])).toEqual([1, 1, true]);
    expect(await spoken([1], [3, 1, 2])).toEqual([1, 1, true]);
    expect(await spoken([2, 1, 7], [3, 1, 2])).toEqual([2, 2, true]);
    expect(await edits(b)).toHaveLength(1);
    const apart = connect(a, b, { versions: [1, 4] }, { versions: [2, 3] });
    await run(apart);
    // Whichever of them says it.
    const { code, reason } = await apart.a.ended;
    expect([code, reason]).toEqual([4426, expect.stringMatching(/speaks version (1, 4|2, 3), the other (1, 4|2, 3)$/)]);
  });

  it('[RPL-41] a connection that only takes what we write is over within a minute, and what waits for it is bounded', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    const connection = connect(a, b);
    await run(connection);
    let over: number | undefined;
    void connection.a.ended.then(({ code }) => (over = code));
    // The network swallows everything; the other side is gone and nobody says so.
    let most = 0;
    let seconds = 0;
    for (; seconds < 120 && over === undefined; seconds++) {
      await addEdits(a, 1);
      await turn();
      most = Math.max(most, connection.pair.a.buffered());
      connection.timers.advance(1_000);
      await turn();
    }
    expect(over).toBe(4509);
    expect(seconds).toBeLessThanOrEqual(60);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThan(1024 * 1024);
  });

  it('[RPL-42] who asks or opens channels without end is cut off, before it costs memory', async () => {
    const flood = async (frame: (index: number) => Frame, count: number): Promise<number> => {
      const [a, b] = [await makeSide(), await makeSide()];
      const connection = connect(a, b);
      await run(connection);
      let over = 0;
      void connection.b.ended.then(({ code }) => (over = code));
      for (let index = 0; index < count; index++) connection.pair.a.send(encodeFrame(frame(index)));
      connection.pair.deliverAll();
      await turn();
      return over;
    };
    const open = (index: number): Frame => ({
      kind: 'open',
      channel: index + 1_000,
      name: `run/r${index}` as DocumentName,
      generation: 0,
    });
    const question: Frame = {
      kind: 'sync',
      channel: 1_000,
      seq: 0,
      message: { type: 'step1', stateVector: new Uint8Array([0]) },
    };
    // As many as anybody has use for are fine.
    expect(await flood((index) => (index === 0 ? open(0) : question), 900)).toBe(0);
    expect(await flood((index) => (index === 0 ? open(0) : question), 2_000)).toBe(4422);
    expect(await flood(open, 1_000)).toBe(0);
    expect(await flood(open, 10_000)).toBe(4422);
  });

  it('[RPL-12] documents of different generations are reported and not merged', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    await addEdits(b, 1);
    const rebuilt = { ...a, replica: withGeneration(a.replica, 3) };
    await addEdits(a, 1);
    const connection = connect(rebuilt, b);
    await run(connection);
    expect(await edits(a)).toHaveLength(1);
    expect(await edits(b)).toHaveLength(1);
    expect(connection.b.memory!.refusedHere.get(BOOK)?.code).toBe('generation_mismatch');
    expect(connection.a.memory!.refusedThere.get(BOOK)?.code).toBe('generation_mismatch');
  });

  it('[RPL-12] a change for another generation than ours is refused by name', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    await addEdits(a, 1);
    await addEdits(b, 1);
    const { update } = await a.replica.encodeState(BOOK);
    const peer = await byHand(b);
    peer.send({ kind: 'open', channel: 1, name: BOOK, generation: 3 });
    peer.send({ kind: 'sync', channel: 1, seq: 1, message: { type: 'update', update } });
    expect(await peer.heard()).toContainEqual(
      expect.objectContaining({ kind: 'refuse', name: BOOK, code: 'generation_mismatch' }),
    );
    expect(await edits(b)).toHaveLength(1);
  });

  it('[RPL-26] a change is acknowledged only when everything before it in its document is here', async () => {
    const b = await makeSide();
    const peer = await byHand(b);
    // Two changes that need nothing of each other, by two authors.
    const [first, second] = [new Y.Doc(), new Y.Doc()];
    for (const doc of [first, second]) new Book(doc).addEdit(makeTestEdit());
    const [one, two] = [Y.encodeStateAsUpdate(first), Y.encodeStateAsUpdate(second)];
    const questions = (frames: Frame[]): Frame[] => frames.filter((frame) => frame.kind === 'sync');
    const acks = (frames: Frame[]): number[] => frames.flatMap((frame) => (frame.kind === 'ack' ? [frame.seq] : []));
    peer.send({ kind: 'feed', entries: [{ name: BOOK, generation: 0, seq: 1 }], through: 1, more: false });
    expect(questions(await peer.heard())).toHaveLength(1);
    peer.send({ kind: 'open', channel: 1, name: BOOK, generation: 0 });
    peer.send({ kind: 'sync', channel: 1, seq: 2, message: { type: 'update', update: two } });
    expect(acks(await peer.heard())).toEqual([]);
    // The answer was made before the second change; it is asked for again, and not passed over.
    peer.send({ kind: 'sync', channel: 1, seq: 1, message: { type: 'step2', update: one } });
    const after = await peer.heard();
    expect([acks(after), questions(after).length]).toEqual([[1], 1]);
    expect(after.filter((frame) => frame.kind === 'cursor')).toEqual([]);
    peer.send({ kind: 'sync', channel: 1, seq: 2, message: { type: 'step2', update: two } });
    const end = await peer.heard();
    expect([acks(end), end.filter((frame) => frame.kind === 'cursor')]).toEqual([[2], [{ kind: 'cursor', seq: 2 }]]);
    expect(await edits(b)).toHaveLength(2);
  });

  it('[RPL-13] a connection that says nothing for 45 s is over; one whose other side answers pings is not', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    const connection = connect(a, b);
    await run(connection);
    for (let step = 0; step < 20; step++) {
      connection.timers.advance(15_000);
      await run(connection, 4);
    }
    expect([connection.a.connected, connection.b.connected]).toEqual([true, true]);
    connection.timers.advance(75_000);
    connection.pair.deliverAll();
    const end = await connection.a.ended;
    expect([end.code, isTerminal(end.code)]).toEqual([4509, false]);
  });

  it('[RPL-14] whatever a peer sends, nothing but its own connection suffers', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const noise = new SeededRandom(seed);
      const [a, b] = [await makeSide(), await makeSide()];
      await addEdits(b, 3);
      const before = await edits(b);
      const connection = connect(a, b);
      await run(connection, 3);
      const update = await a.replica.encodeState(BOOK);
      const frames: Frame[] = [
        {
          kind: 'feed',
          entries: [
            { name: 'run/x' as DocumentName, generation: 0, seq: noise.int(90) },
            { name: 'no such kind/../x' as DocumentName, generation: 9, seq: 1 },
          ],
          through: noise.int(99),
          more: false,
        },
        { kind: 'open', channel: 7, name: BOOK, generation: 0 },
        { kind: 'sync', channel: 7, seq: noise.int(99), message: { type: 'update', update: update.update } },
        { kind: 'sync', channel: 7, seq: 0, message: { type: 'step1', stateVector: noise.bytes(9) } },
        { kind: 'cursor', seq: noise.int(2 ** 31) },
        { kind: 'ack', channel: noise.int(9), seq: noise.int(999) },
        { kind: 'refuse', name: BOOK, seq: noise.int(2), code: 'x', reason: 'y' },
        { kind: 'ephemeral', name: BOOK, bytes: noise.bytes(20) },
      ];
      for (let count = 0; count < 30; count++) {
        const bytes = encodeFrame(noise.pick(frames)).slice();
        if (noise.chance(0.5)) bytes[noise.int(bytes.length)] = noise.int(256);
        connection.pair.a.send(bytes);
        if (noise.chance(0.2)) await run(connection, 3);
      }
      await run(connection, 6);
      expect(await edits(b), `seed ${seed}`).toEqual(before);
      connection.pair.cut();
      // The store is whole, and an honest peer gets everything.
      const honest = await makeSide();
      const next = connect(honest, b);
      await run(next);
      expect(await edits(honest), `seed ${seed}`).toEqual(before);
    }
  });

  it('[RPL-15] a document larger than any frame travels in parts', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    const notes = 'x'.repeat(60_000);
    for (let round = 0; round < 15; round++) {
      await a.replica.transact(BOOK, (doc) => {
        for (let index = 0; index < 20; index++) new Book(doc).addEdit(makeTestEdit({ field: 'notes', value: notes }));
      });
    }
    const { update } = await a.replica.encodeState(BOOK);
    expect(update.length).toBeGreaterThan(LIMITS.updateBytes);
    const connection = connect(a, b);
    let largest = 0;
    const deliver = connection.pair.b.onMessage!;
    connection.pair.b.onMessage = (message) => {
      largest = Math.max(largest, message.length);
      deliver(message);
    };
    await runUntil(connection, () => connection.a.settled && connection.b.settled);
    expect(await edits(b)).toEqual(await edits(a));
    expect(largest).toBeLessThan(LIMITS.updateBytes / 2);
  });

  it('[RPL-16] a peer that does not keep up gets names instead of a growing queue of updates', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    const connection = connect(a, b);
    await run(connection);
    const notes = 'y'.repeat(60_000);
    for (let index = 0; index < 400; index++) {
      await a.replica.transact(BOOK, (doc) => new Book(doc).addEdit(makeTestEdit({ field: 'notes', value: notes })));
    }
    // 24 MB of updates were made while nothing was delivered.
    expect(connection.pair.a.buffered()).toBeLessThan(10 * 1024 * 1024);
    await runUntil(connection, () => connection.a.settled && connection.b.settled);
    expect(await edits(b)).toHaveLength(400);
  });

  it('[RPL-17] a store that was put back to an earlier state is renewed when a peer knows more of its feed', async () => {
    const storage = new FaultStorage(new MemoryStorage());
    const [a, b] = [await makeSide(storage), await makeSide()];
    await addEdits(a, 1);
    const earlier = storage.durable;
    await addEdits(a, 2);
    const first = connect(a, b);
    await run(first);
    first.pair.cut();
    const old = new MemoryStorage();
    await old.batch(earlier);
    const restored = await makeSide(old, a.replica.device);
    expect(restored.replica.id).toBe(a.replica.id);
    const second = connect(restored, b);
    await run(second);
    expect((await second.a.ended).code).toBe(4500);
    expect(restored.replica.id).not.toBe(a.replica.id);
    const third = connect(restored, b);
    await run(third);
    expect(await edits(restored)).toHaveLength(3);
    await addEdits(restored, 1);
    await run(third);
    expect(await edits(b)).toEqual(await edits(restored));
    expect(await edits(b)).toHaveLength(4);
  });
});

/** A peer whose every frame the test writes: greeted, and resumed from nothing. */
describe('clocks of two replicas', () => {
  it('[HLC-5] are compared at the greeting, on both sides, and a peer that does not say is not guessed at', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    const pair = linkPair();
    const clocks = [new FakeClock(1_700_000_000_000), new FakeClock(1_700_000_000_000 + 3 * 3_600_000)];
    const common = { log: silent, workspace: { id: 'w', name: null }, program: 'test/1' };
    const open = (side: Side, index: 0 | 1): ReplicationSession =>
      new ReplicationSession({
        ...common,
        ...side,
        clock: clocks[index]!,
        timers: new FakeTimers(clocks[index]!),
        link: index === 0 ? pair.a : pair.b,
        grants: index === 0 ? null : Gate.open('member'),
      });
    const [one, two] = [open(a, 0), open(b, 1)];
    expect([one.clockAheadMs, two.clockAheadMs]).toEqual([null, null]);
    // The greeting takes a second and a half to arrive, of which half counts as its way here.
    for (const clock of clocks) clock.advance(1_500);
    for (let round = 0; round < 10; round++) {
      pair.deliverAll();
      await turn();
    }
    expect([one.connected, two.connected]).toEqual([true, true]);
    expect(one.clockAheadMs).toBe(3 * 3_600_000 - 750);
    expect(two.clockAheadMs).toBe(-3 * 3_600_000 - 750);
    const old = linkPair();
    const session = new ReplicationSession({
      ...common,
      ...a,
      clock: clocks[0]!,
      timers: new FakeTimers(clocks[0]!),
      link: old.b,
      grants: Gate.open('member'),
    });
    const hello = { versions: [1], replica: 'x', device: 'd', workspace: 'w', workspaceName: null, program: 'old/1' };
    old.a.send(encodeFrame({ kind: 'hello', hello: { ...hello, role: null } }));
    old.deliverAll();
    await turn();
    expect([session.hello?.program, session.clockAheadMs]).toEqual(['old/1', null]);
  });
});

async function byHand(side: Side): Promise<{ send(frame: Frame): void; heard(): Promise<Frame[]> }> {
  const pair = linkPair();
  const clock = new FakeClock();
  const timers = new FakeTimers(clock);
  const frames: Frame[] = [];
  pair.a.onMessage = (message) => void frames.push(decodeFrame(message)!);
  const session = new ReplicationSession({
    ...side,
    link: pair.b,
    timers,
    clock,
    log: silent,
    workspace: { id: 'w', name: null },
    program: 'test/1',
    grants: Gate.open('member'),
  });
  const send = (frame: Frame): void => pair.a.send(encodeFrame(frame));
  const hello = {
    versions: [1],
    replica: 'by hand',
    device: 'd',
    workspace: 'w',
    workspaceName: null,
    program: 'p',
    role: null,
  };
  send({ kind: 'hello', hello });
  send({ kind: 'resume', seq: 0 });
  const heard = async (): Promise<Frame[]> => {
    await run({ pair, timers, a: session, b: session }, 6);
    return frames.splice(0);
  };
  await heard();
  return { send, heard };
}

/** A replica that refuses every update of one document, until it relents. */
function refusing(side: Side, ...names: DocumentName[]): { side: Side; relent(): void } {
  let refuses = true;
  const replica = new Proxy(side.replica, {
    get(target, property) {
      if (property === 'apply' && refuses) {
        return (asked: DocumentName, update: Uint8Array, origin: unknown) =>
          names.includes(asked)
            ? Promise.reject(new FieldbookError('update_forbidden_content', 'Not here.'))
            : target.apply(asked, update, origin);
      }
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
  return { side: { ...side, replica }, relent: () => (refuses = false) };
}

/** A replica whose documents say that they were rebuilt. */
function withGeneration(inner: Replica, generation: number): Replica {
  return new Proxy(inner, {
    get(target, property) {
      if (property === 'info') return async (name: DocumentName) => rebuilt(await target.info(name));
      if (property === 'stateVector') return async (name: DocumentName) => rebuilt(await target.stateVector(name));
      if (property === 'encodeState')
        return async (...args: Parameters<Replica['encodeState']>) => rebuilt(await target.encodeState(...args));
      if (property === 'changedSince')
        return async (...args: Parameters<Replica['changedSince']>) =>
          (await target.changedSince(...args)).map(rebuilt);
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
  function rebuilt<T>(value: T): T {
    return value === undefined ? value : { ...value, generation };
  }
}
