import { describe, expect, it } from 'vitest';
import { Gate } from '../access/index.ts';
import { Book } from '../documents/index.ts';
import type { DocumentName } from '../ids.ts';
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
import type { Follows, Frame } from './index.ts';
import { decodeFrame, encodeFrame, PeerMemories, ReplicationSession } from './index.ts';

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const random = new SeededRandom(7);
const book = (project: string): DocumentName => `book/${project}/2026-11` as DocumentName;

/** Books of the named projects, all of which may change. */
class Some implements Follows {
  readonly #listeners = new Set<(names?: readonly DocumentName[]) => void>();
  readonly #projects: Set<string>;
  revision = 0;

  constructor(...projects: string[]) {
    this.#projects = new Set(projects);
  }

  wants(name: DocumentName): boolean {
    return name === 'workspace' || this.#projects.has(name.split('/')[1]!);
  }

  onChange(listener: (names?: readonly DocumentName[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  grow(project: string, names?: readonly DocumentName[]): void {
    this.#projects.add(project);
    this.revision += 1;
    for (const listener of this.#listeners) listener(names);
  }

  shrink(project: string): void {
    this.#projects.delete(project);
  }
}

interface Side {
  replica: Replica;
  memories: PeerMemories;
  follows?: Follows;
}

async function makeSide(follows?: Follows, storage: Storage = new MemoryStorage()): Promise<Side> {
  const replica = await openReplica({ storage, device: testDevice(random), random });
  return { replica, memories: new PeerMemories(replica), ...(follows !== undefined && { follows }) };
}

interface Connection {
  pair: LinkPair;
  a: ReplicationSession;
  b: ReplicationSession;
  timers: FakeTimers;
  /** What each side heard. */
  heard: { a: Frame[]; b: Frame[] };
}

function connect(a: Side, b: Side): Connection {
  const pair = linkPair();
  const clock = new FakeClock();
  const timers = new FakeTimers(clock);
  const common = { timers, clock, log: silent, workspace: { id: 'w', name: null }, program: 'test/1' };
  const connection = {
    pair,
    timers,
    a: new ReplicationSession({ ...common, ...a, link: pair.a, grants: null }),
    b: new ReplicationSession({ ...common, ...b, link: pair.b, grants: Gate.open('member') }),
    heard: { a: [] as Frame[], b: [] as Frame[] },
  };
  for (const side of ['a', 'b'] as const) {
    const receive = pair[side].onMessage!;
    pair[side].onMessage = (message) => {
      connection.heard[side].push(decodeFrame(message)!);
      receive(message);
    };
  }
  return connection;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function run({ pair, timers }: Connection, rounds = 12): Promise<void> {
  for (let quiet = 0; quiet < rounds; quiet++) {
    if (pair.deliverAll() > 0) quiet = 0;
    await turn();
    if (quiet === rounds - 3) timers.advance(300);
  }
}

async function addEdits({ replica }: Side, project: string, count = 1): Promise<void> {
  await replica.transact(book(project), (doc) => {
    for (let index = 0; index < count; index++) new Book(doc).addEdit(makeTestEdit());
  });
}

async function edits({ replica }: Side, project: string): Promise<number> {
  return replica.read(book(project), (doc) => [...new Book(doc).edits()].length);
}

async function passed({ memories }: Side, of: Side): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of (await memories.of(of.replica.id)).allPassed()) names.push(name);
  return names;
}

const bytesOf = (frames: readonly Frame[], project: string): number => {
  const channels = new Set(
    frames.flatMap((frame) => (frame.kind === 'open' && frame.name === book(project) ? [frame.channel] : [])),
  );
  return frames.reduce(
    (sum, frame) =>
      frame.kind === 'sync' && frame.message.type !== 'step1' && channels.has(frame.channel)
        ? sum + frame.message.update.length
        : sum,
    0,
  );
};

describe('following some documents', () => {
  it('[RPL-50] takes what is followed, remembers the names of the rest, and is settled', async () => {
    const [box, relay] = [await makeSide(new Some('mine')), await makeSide()];
    for (const project of ['mine', 'other', 'third']) await addEdits(relay, project, 2);
    const connection = connect(box, relay);
    await run(connection);
    expect([connection.a.settled, connection.b.settled]).toEqual([true, true]);
    expect(await edits(box, 'mine')).toBe(2);
    expect(await box.replica.info(book('other'))).toBeUndefined();
    expect(await passed(box, relay)).toEqual([book('other'), book('third')]);
    expect(connection.a.memory!.pulled).toBe(relay.replica.lastSeq);
    // No byte of what is not followed came.
    expect(bytesOf(connection.heard.a, 'other')).toBe(0);
    // A new connection of a new program lists nothing again.
    connection.pair.cut();
    const second = connect({ ...box, memories: new PeerMemories(box.replica) }, relay);
    await run(second);
    expect(second.heard.a.flatMap((frame) => (frame.kind === 'feed' ? frame.entries : []))).toEqual([]);
    expect(second.a.settled).toBe(true);
    expect((await second.a.memory!.passed(book('other')))?.seq).toBe(2);
  });

  it('[RPL-51] asks for what is followed later, by name or looking through all, and lists nothing again', async () => {
    const follows = new Some('mine');
    const [box, relay] = [await makeSide(follows), await makeSide()];
    for (const project of ['mine', 'second', 'third', 'fourth']) await addEdits(relay, project, 2);
    const connection = connect(box, relay);
    await run(connection);
    const listed = (): number => connection.heard.a.filter((frame) => frame.kind === 'feed').length;
    const before = listed();
    follows.grow('second', [book('second')]);
    expect(connection.a.settled).toBe(false);
    await run(connection);
    follows.grow('third');
    await run(connection);
    expect(await edits(box, 'second')).toBe(2);
    expect(await edits(box, 'third')).toBe(2);
    expect(await edits(box, 'fourth')).toBe(0);
    expect([await passed(box, relay), listed() - before]).toEqual([[book('fourth')], 0]);
    // From now on as any other document.
    await addEdits(relay, 'third');
    await run(connection);
    expect(await edits(box, 'third')).toBe(3);
    // Followed no more: what is here stays, and nothing comes.
    follows.shrink('third');
    await addEdits(relay, 'third');
    await run(connection);
    expect([await edits(box, 'third'), connection.a.settled]).toEqual([3, true]);
    follows.grow('third');
    await run(connection);
    expect(await edits(box, 'third')).toBe(4);
  });

  it('[RPL-51] what was followed while nobody was connected is asked for on the next connection', async () => {
    const [box, relay] = [await makeSide(new Some()), await makeSide()];
    await addEdits(relay, 'late', 2);
    const first = connect(box, relay);
    await run(first);
    first.pair.cut();
    // Also by a program that takes everything.
    const second = connect({ replica: box.replica, memories: new PeerMemories(box.replica) }, relay);
    await run(second);
    expect([await edits(box, 'late'), await passed(box, relay), second.a.settled]).toEqual([2, [], true]);
  });

  it('[RPL-52] a cut and a restart at any message lose neither what is followed nor the names of the rest', async () => {
    const projects = ['mine', 'x', 'y', 'late'];
    for (let cutAfter = 1; cutAfter < 36; cutAfter++) {
      const disk = new FaultStorage(new MemoryStorage());
      const [box, relay] = [await makeSide(new Some('mine'), disk), await makeSide()];
      for (const project of projects) await addEdits(relay, project, 2);
      const first = connect(box, relay);
      for (let left = cutAfter; left > 0; left--) {
        if (left === 6) await addEdits(relay, 'x');
        if (left === 3) (box.follows as Some).grow('late');
        if (!first.pair.deliver(left % 3 === 0 ? 'b' : 'a') && !first.pair.deliver('a')) first.pair.deliver('b');
        await turn();
      }
      first.pair.cut();
      // Of a box that was killed, only what is on the disk is left; another goes on as it is.
      const storage = new MemoryStorage();
      await storage.batch(disk.durable);
      if (!(box.follows as Some).wants(book('late'))) (box.follows as Some).grow('late');
      const again = cutAfter % 2 === 0 ? box : await makeSide(new Some('mine', 'late'), storage);
      const second = connect(again, relay);
      await run(second);
      const at = `after ${cutAfter}`;
      expect([await edits(again, 'mine'), await edits(again, 'late'), second.a.settled], at).toEqual([2, 2, true]);
      expect(await passed(again, relay), at).toEqual([book('x'), book('y')]);
      (again.follows as Some).grow('x');
      await run(second);
      expect(await edits(again, 'x'), at).toBe(await edits(relay, 'x'));
    }
  });

  it('[RPL-53] what one side was only told of is not said to be there, over restarts too, until it is', async () => {
    const follows = new Some('mine');
    const [box, laptop] = [await makeSide(follows), await makeSide()];
    await addEdits(laptop, 'mine');
    await addEdits(laptop, 'other');
    const first = connect(box, laptop);
    await run(first);
    const holds = async (connection: Connection, project: string): Promise<boolean> =>
      connection.b.memory!.holds(book(project), (await laptop.replica.info(book(project)))!.seq);
    expect(first.b.settled).toBe(true);
    expect([await holds(first, 'mine'), await holds(first, 'other')]).toEqual([true, false]);
    await addEdits(laptop, 'other');
    await run(first);
    expect(await holds(first, 'other')).toBe(false);
    first.pair.cut();
    const memories = new PeerMemories(laptop.replica);
    const remembered = await memories.of(box.replica.id);
    expect(remembered.holds(book('other'), 1)).toBe(false);
    const second = connect(box, { ...laptop, memories });
    await run(second);
    expect(await holds(second, 'other')).toBe(false);
    follows.grow('other');
    await run(second);
    expect([await holds(second, 'mine'), await holds(second, 'other')]).toEqual([true, true]);
  });

  it('[RPL-54] changes that nobody there follows are sent once, and then named', async () => {
    const follows = new Some('mine');
    const [box, relay] = [await makeSide(follows), await makeSide()];
    const connection = connect(box, relay);
    await run(connection);
    await addEdits(relay, 'other');
    await run(connection);
    const once = bytesOf(connection.heard.a, 'other');
    for (let index = 0; index < 20; index++) {
      await addEdits(relay, 'other');
      if (index % 5 === 0) await addEdits(relay, 'mine');
      if (index % 7 === 0) await run(connection);
    }
    await run(connection);
    expect(bytesOf(connection.heard.a, 'other')).toBe(once);
    expect([await edits(box, 'mine'), await edits(box, 'other')]).toEqual([4, 0]);
    expect([connection.a.settled, connection.b.settled]).toEqual([true, true]);
    expect(connection.a.memory!.pulled).toBe(relay.replica.lastSeq);
    expect((await connection.a.memory!.passed(book('other')))?.seq).toBe(
      (await relay.replica.info(book('other')))!.seq,
    );
    // A later change of another document does not overtake the name.
    await addEdits(relay, 'other');
    const { seq } = (await relay.replica.info(book('other')))!;
    await addEdits(relay, 'mine');
    for (let round = 0; round < 10; round++) {
      connection.pair.deliverAll();
      await turn();
    }
    expect(connection.a.memory!.pulled).toBe(relay.replica.lastSeq);
    expect((await connection.a.memory!.passed(book('other')))?.seq).toBe(seq);
    // Whoever asks for it hears of every change again.
    follows.grow('other');
    await run(connection);
    const questions = connection.heard.b.filter((frame) => frame.kind === 'sync').length;
    await addEdits(relay, 'other');
    await run(connection);
    expect(await edits(box, 'other')).toBe(23);
    expect(connection.heard.b.filter((frame) => frame.kind === 'sync').length).toBe(questions);
  });

  it('[RPL-54] a side that does not know of following takes the word for a refusal', async () => {
    // What a program before this one reads: a refusal of the very document, with a code of no meaning to it.
    const frame = decodeFrame(
      encodeFrame({ kind: 'refuse', name: book('x'), seq: 3, code: 'not_followed', reason: 'Not followed here.' }),
    );
    expect(frame).toMatchObject({ kind: 'refuse', seq: 3, code: 'not_followed' });
    // A cursor of a side that takes everything has the bytes that it always had.
    expect([...encodeFrame({ kind: 'cursor', seq: 5 })]).toEqual([8, 5]);
    expect([...encodeFrame({ kind: 'cursor', seq: 5, partial: true })]).toEqual([8, 5, 1]);
    expect(decodeFrame(new Uint8Array([1, 5, 1]))).toEqual({ kind: 'resume', seq: 5, partial: true });
  });

  it('[RPL-55] one document on demand comes before hundreds of others, and what is not there is not empty', async () => {
    const follows = new Some();
    const [box, relay] = [await makeSide(follows), await makeSide()];
    for (let index = 0; index < 60; index++) await addEdits(relay, `p${String(index).padStart(2, '0')}`);
    const connection = connect(box, relay);
    await run(connection);
    expect(await connection.a.take(book('nowhere'))).toBe(false);
    const order: string[] = [];
    box.replica.onCommit(({ name }) => order.push(name));
    for (let index = 0; index < 59; index++) follows.grow(`p${String(index).padStart(2, '0')}`, []);
    follows.grow('p00');
    for (let round = 0; round < 1_000 && connection.a.waiting < 59; round++) await turn();
    expect(connection.a.waiting).toBe(59);
    // One that nobody follows, and one that waits behind the others.
    const taken = [connection.a.take(book('p59')), connection.a.take(book('p58'))];
    await run(connection);
    expect(await Promise.all(taken)).toEqual([true, true]);
    expect([await edits(box, 'p59'), await edits(box, 'p58')]).toEqual([1, 1]);
    // Those that were asked for already may come before them.
    expect(Math.max(order.indexOf(book('p59')), order.indexOf(book('p58')))).toBeLessThan(12);
    // The end of the connection is an answer, too.
    await addEdits(relay, 'last');
    await run(connection);
    const waits = connection.a.take(book('last'));
    await turn();
    connection.pair.cut();
    await turn();
    expect(await waits).toBe(false);
    // A question about a document that is not there is answered as such, and leaves no trace.
    const second = connect(box, relay);
    await run(second);
    second.pair.a.send(encodeFrame({ kind: 'open', channel: 99, name: book('nowhere'), generation: 0 }));
    const stateVector = new Uint8Array([0]);
    second.pair.a.send(encodeFrame({ kind: 'sync', channel: 99, seq: 0, message: { type: 'step1', stateVector } }));
    await run(second);
    expect(second.heard.a).toContainEqual(
      expect.objectContaining({ kind: 'refuse', name: book('nowhere'), seq: 0, code: 'not_found' }),
    );
    expect([second.a.connected, second.a.memory!.refusedHere.size]).toEqual([true, 0]);
  });

  it('[RPL-56] two machines that follow different things give each other and a third everything that they have', async () => {
    const [one, two, relay] = [await makeSide(new Some('x')), await makeSide(new Some('y')), await makeSide()];
    for (const side of [one, two]) for (const project of ['x', 'y', 'z']) await addEdits(side, project);
    for (let round = 0; round < 2; round++)
      for (const side of [one, two]) {
        const connection = connect(side, relay);
        await run(connection);
        connection.pair.cut();
      }
    for (const project of ['x', 'y', 'z']) expect([project, await edits(relay, project)]).toEqual([project, 2]);
    expect([await edits(one, 'x'), await edits(one, 'y'), await edits(one, 'z')]).toEqual([2, 1, 1]);
    expect([await edits(two, 'x'), await edits(two, 'y'), await edits(two, 'z')]).toEqual([1, 2, 1]);
    // Directly, too, and neither is told that something is missing.
    const direct = connect(one, two);
    await run(direct);
    expect([direct.a.settled, direct.b.settled]).toEqual([true, true]);
    expect([direct.a.memory!.refusedThere.size, direct.b.memory!.refusedThere.size]).toEqual([0, 0]);
  });
});
