import * as encoding from 'lib0/encoding';
import { describe, expect, it } from 'vitest';
import { Gate, grantOf, RunIndex } from '../access/index.ts';
import * as Y from 'yjs';
import { Book } from '../documents/index.ts';
import type { BookMonth, DeviceId, DocumentName, ProjectId, RunId } from '../ids.ts';
import { bookName } from '../ids.ts';
import type { Log } from '../ports.ts';
import { encodeRecord } from '../record/index.ts';
import { openReplica } from '../replica/index.ts';
import {
  FakeClock,
  FakeTimers,
  linkPair,
  makeCard,
  makeTestEdit,
  MemoryStorage,
  SeededRandom,
  testDevice,
} from '../testing/index.ts';
import { EMPTY_AWARENESS, generationIn, liveSource, LiveVoice, Presence, RoomServer, writeAwareness } from './index.ts';

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const BOOK = 'book/mnist/2026-11' as DocumentName;
const random = new SeededRandom(4);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function setUp() {
  const clock = new FakeClock();
  const timers = new FakeTimers(clock);
  const replica = await openReplica({ storage: new MemoryStorage(), device: testDevice(random), random });
  const presence = new Presence(clock);
  const rooms = new RoomServer({ replica, timers, presence, log: silent });
  return { clock, timers, replica, presence, rooms };
}

function sync(kind: 0 | 1 | 2, bytes: Uint8Array): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, 0);
  encoding.writeVarUint(encoder, kind);
  encoding.writeVarUint8Array(encoder, bytes);
  return encoding.toUint8Array(encoder);
}

/** A visitor that keeps what it gets and how it was closed. */
function visit(
  rooms: RoomServer,
  options: { mayWrite?: boolean; acks?: boolean; name?: string; generation?: number; gate?: Gate } = {},
) {
  const pair = linkPair();
  const got: Uint8Array[] = [];
  const closed: number[] = [];
  const reasons: string[] = [];
  pair.a.onMessage = (message) => void got.push(message.slice());
  pair.a.onClose = (code, reason) => {
    closed.push(code);
    reasons.push(reason);
  };
  rooms.enter(pair.b, {
    name: options.name ?? BOOK,
    gate: options.gate ?? Gate.open(options.mayWrite === false ? 'viewer' : 'member'),
    acks: options.acks ?? false,
    generation: options.generation ?? 0,
  });
  const settle = async (): Promise<void> => {
    for (let round = 0; round < 6; round++) {
      pair.deliverAll();
      await turn();
    }
  };
  return { pair, got, closed, reasons, settle };
}

const emptyDoc = Y.encodeStateVector(new Y.Doc());

describe('room server', () => {
  it('[ROOM-7] cuts a visitor that does not read, and keeps the room for the others', async () => {
    const { rooms, replica } = await setUp();
    const [slow, quick] = [visit(rooms), visit(rooms)];
    for (const visitor of [slow, quick]) {
      visitor.pair.a.send(sync(0, emptyDoc));
      await visitor.settle();
    }
    const notes = 'z'.repeat(60_000);
    for (let index = 0; index < 400 && slow.closed.length === 0; index++) {
      await replica.transact(BOOK, (doc) => new Book(doc).addEdit(makeTestEdit({ field: 'notes', value: notes })));
      quick.pair.deliverAll();
      expect(slow.pair.b.buffered()).toBeLessThan(17 * 1024 * 1024);
    }
    slow.pair.deliverAll();
    expect(slow.closed).toEqual([4508]);
    expect(quick.closed).toEqual([]);
    // Step 1, step 2 and one change for each commit.
    expect(quick.got).toHaveLength(402);
  });

  it('[ROOM-2] acknowledges nothing before the answer to its question, then everything up to there', async () => {
    const { rooms } = await setUp();
    const visitor = visit(rooms, { acks: true });
    const acks = (): number[] => visitor.got.filter((message) => message[0] === 100).map((message) => message[1]!);
    const doc = new Y.Doc();
    const older = new Y.Doc();
    new Book(older).addEdit(makeTestEdit());
    let made: Uint8Array = new Uint8Array(0);
    doc.on('update', (update) => (made = update));
    new Book(doc).addEdit(makeTestEdit());
    // A change that stands alone is stored, but what the client had before may not have arrived.
    visitor.pair.a.send(sync(2, made));
    await visitor.settle();
    expect(acks()).toEqual([]);
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(older));
    visitor.pair.a.send(sync(1, Y.encodeStateAsUpdate(doc)));
    await visitor.settle();
    expect(acks()).toEqual([2]);
    new Book(doc).addEdit(makeTestEdit());
    visitor.pair.a.send(sync(2, made));
    await visitor.settle();
    expect(acks()).toEqual([2, 3]);
  });

  it('[ROOM-1] sends commits to everybody but their author, keeps quiet rooms alive, and forgets empty ones', async () => {
    const { rooms, timers } = await setUp();
    const [a, b] = [visit(rooms), visit(rooms)];
    for (const visitor of [a, b]) {
      visitor.pair.a.send(sync(0, emptyDoc));
      await visitor.settle();
    }
    const doc = new Y.Doc();
    new Book(doc).addEdit(makeTestEdit());
    const before = [a.got.length, b.got.length];
    a.pair.a.send(sync(2, Y.encodeStateAsUpdate(doc)));
    await a.settle();
    await b.settle();
    expect([a.got.length - before[0]!, b.got.length - before[1]!]).toEqual([0, 1]);
    timers.advance(15_000);
    await a.settle();
    expect([...a.got.at(-1)!]).toEqual([1, 1, ...EMPTY_AWARENESS]);
    a.pair.cut();
    b.pair.cut();
    expect([rooms.size, timers.waiting]).toEqual([0, 0]);
    const lost = visit(rooms, { name: 'book/../../etc' });
    await lost.settle();
    expect(lost.closed).toEqual([4404]);
  });

  it('[ACC-3] a viewer may be in sync and repeat nothing new, but not write', async () => {
    const { rooms, replica } = await setUp();
    await replica.transact(BOOK, (doc) => new Book(doc).addEdit(makeTestEdit()));
    const viewer = visit(rooms, { mayWrite: false });
    viewer.pair.a.send(sync(0, emptyDoc));
    viewer.pair.a.send(sync(1, new Uint8Array([0, 0])));
    await viewer.settle();
    expect(viewer.closed).toEqual([]);
    // Not asked what it has: nothing of it would be taken.
    expect(viewer.got.map((message) => [message[0], message[1]])).toEqual([[0, 1]]);
    const doc = new Y.Doc();
    new Book(doc).addEdit(makeTestEdit());
    viewer.pair.a.send(sync(2, Y.encodeStateAsUpdate(doc)));
    await viewer.settle();
    expect(viewer.closed).toEqual([4403]);
    expect(await replica.read(BOOK, (there) => [...new Book(there).edits()].length)).toBe(1);
  });

  it('[ROOM-4] no bytes do more than close the socket that sent them', async () => {
    const { rooms, replica } = await setUp();
    await replica.transact(BOOK, (doc) => new Book(doc).addEdit(makeTestEdit()));
    const state = await replica.encodeState(BOOK);
    const witness = visit(rooms);
    witness.pair.a.send(sync(0, emptyDoc));
    await witness.settle();
    let closed = 0;
    for (let round = 0; round < 300; round++) {
      const visitor = visit(rooms);
      const message = random
        .pick([sync(2, state.update), sync(1, state.update), sync(0, emptyDoc), random.bytes(30)])
        .slice();
      for (let flips = random.int(4); flips > 0; flips--) message[random.int(message.length)] = random.int(256);
      visitor.pair.a.send(message);
      await visitor.settle();
      closed += visitor.closed.length;
      visitor.pair.cut();
    }
    expect(closed).toBeGreaterThan(50);
    expect((await replica.encodeState(BOOK)).update).toEqual(state.update);
    expect(witness.closed).toEqual([]);
  });
});

describe('what a visitor makes wait', () => {
  it('[ROOM-10] who asks for the state again and again and does not read makes one state wait', async () => {
    const { rooms, replica, timers } = await setUp();
    const bytes = encodeRecord({ k: 'new', x: 'x'.repeat(900_000) });
    for (let key = 0; key < 6; key++)
      await replica.transact(BOOK, (doc) => doc.getMap('x-bulk').set(String(key), bytes));
    const visitor = visit(rooms);
    for (let question = 0; question < 30; question++) visitor.pair.a.send(sync(0, emptyDoc));
    while (visitor.pair.deliver('a')) await turn();
    for (let round = 0; round < 60; round++) await turn();
    expect(visitor.pair.b.buffered()).toBeGreaterThan(5_000_000);
    expect(visitor.pair.b.buffered()).toBeLessThan(12_000_000);
    // The rest is answered as it reads.
    visitor.pair.deliverAll();
    expect(visitor.pair.b.buffered()).toBe(0);
    timers.advance(20);
    for (let round = 0; round < 10; round++) await turn();
    expect(visitor.pair.b.buffered()).toBeGreaterThan(5_000_000);
    expect(visitor.closed).toEqual([]);
    visitor.pair.cut();
    await turn();
    expect(rooms.size).toBe(0);
  });

  it('[ROOM-10] questions that wait are bounded, and a state vector that no document has is no question', async () => {
    const { rooms, timers } = await setUp();
    const vector = Y.encodeStateVector(new Map(Array.from({ length: 50_000 }, (_, at) => [2 ** 31 + at, 2 ** 30])));
    const honest = visit(rooms);
    honest.pair.a.send(sync(0, vector));
    await honest.settle();
    expect([honest.closed, honest.got.length]).toEqual([[], 2]);
    const many = visit(rooms);
    for (let question = 0; question < 200; question++) many.pair.a.send(sync(0, vector));
    await many.settle();
    expect(many.closed).toEqual([4508]);
    const long = visit(rooms);
    long.pair.a.send(sync(0, new Uint8Array(900_000)));
    await long.settle();
    expect(long.closed).toEqual([4422]);
    timers.advance(1);
  });
});

describe('presence', () => {
  it('[ROOM-9] who asks again and again who speaks, and does not read, is told little', async () => {
    const { rooms, presence } = await setUp();
    const state = JSON.stringify('z'.repeat(200_000));
    for (let machine = 1; machine <= 40; machine++)
      presence.receive(BOOK, writeAwareness([machine], new Map([[machine, { clock: 1, state }]])), machine);
    const visitor = visit(rooms);
    await turn();
    for (let question = 0; question < 50; question++) visitor.pair.a.send(new Uint8Array([3]));
    while (visitor.pair.deliver('a')) await turn();
    expect(visitor.pair.b.buffered()).toBeGreaterThan(1024 * 1024);
    expect(visitor.pair.b.buffered()).toBeLessThan(2 * 1024 * 1024);
    await visitor.settle();
    expect(visitor.closed).toEqual([]);
  });

  it('[ROOM-6] passes on what is new and stops what comes round in a circle', () => {
    const clock = new FakeClock();
    const presence = new Presence(clock);
    const heard: [string, unknown][] = [];
    presence.subscribe((name, update, origin) => heard.push([`${name} ${update.length}`, origin]));
    const say = (at: number, state: string, origin: unknown): void =>
      presence.receive(BOOK, writeAwareness([7], new Map([[7, { clock: at, state }]])), origin);
    say(1, '{"a":1}', 'left');
    say(1, '{"a":1}', 'right');
    say(0, '{"a":0}', 'right');
    expect(heard).toHaveLength(1);
    say(2, '{"a":2}', 'right');
    expect(heard).toHaveLength(2);
    expect([...presence.current(BOOK)]).toHaveLength(1);
    presence.gone('left');
    expect(heard).toHaveLength(2);
    presence.gone('right');
    expect(heard).toHaveLength(3);
    expect([...presence.current(BOOK)]).toEqual([]);
    say(3, '{"a":3}', 'left');
    clock.advance(31_000);
    expect([...presence.snapshot()]).toEqual([]);
    expect(() => presence.receive(BOOK, new Uint8Array([2, 255, 3]), 'left')).toThrow('end of array');
  });

  it('[ROOM-6] a voice says the newest values of all its runs, and they are read back on another machine', () => {
    const clock = new FakeClock();
    const [here, there] = [new Presence(clock), new Presence(clock)];
    here.subscribe((name, update) => there.receive(name, update, 'link'));
    const heard: unknown[] = [];
    liveSource(there).onLive((values) => heard.push(values));
    const voice = new LiveVoice({ presence: here, clock, random });
    const first = {
      run: 'r1' as never,
      at: clock.now(),
      metrics: { loss: { step: 1, value: Number.POSITIVE_INFINITY } },
    };
    const second = { run: 'r2' as never, at: clock.now(), metrics: { acc: { step: 2, value: 0.5 } } };
    voice.say(BOOK, first);
    voice.say(BOOK, second);
    expect(heard).toEqual([first, first, second]);
    voice.hush(BOOK, 'r1' as never);
    expect(heard.slice(3)).toEqual([second]);
  });

  it('[GEN-9] closes who holds another generation, on entry and when the document is rebuilt, and lets its own in', async () => {
    const { rooms, replica } = await setUp();
    await replica.transact(BOOK, (doc) => new Book(doc).addEdit(makeTestEdit()));
    const [writer, viewer] = [visit(rooms), visit(rooms, { mayWrite: false })];
    for (const visitor of [writer, viewer]) {
      visitor.pair.a.send(sync(0, emptyDoc));
      await visitor.settle();
    }
    const { update } = await replica.encodeState(BOOK);
    const sent = writer.got.length;
    const { generation } = await replica.rebuild(BOOK, { reason: 'repair', time: 1 });
    for (const visitor of [writer, viewer]) {
      await visitor.settle();
      expect(visitor.closed).toEqual([4412]);
      expect(visitor.reasons[0]).toMatch(new RegExp(`^${generation}: `));
    }
    // Nothing of the new one went into the old one.
    expect(writer.got).toHaveLength(sent);
    for (const other of [0, generation + 1, Number.NaN]) {
      const late = visit(rooms, { generation: other });
      late.pair.a.send(sync(1, update));
      late.pair.a.send(sync(0, emptyDoc));
      await late.settle();
      expect([late.closed, late.got.length]).toEqual([[4412], 0]);
    }
    const own = visit(rooms, { generation });
    own.pair.a.send(sync(0, emptyDoc));
    await own.settle();
    expect([own.closed, own.got.length]).toEqual([[], 2]);
    expect(await replica.read(BOOK, (doc) => [...new Book(doc).edits()].length)).toBe(1);
    expect([generationIn([]), generationIn([['generation', '7']]), generationIn([['generation', '-1']])]).toEqual([
      0,
      7,
      Number.NaN,
    ]);
  });
});

describe('a room of a run of which no card is here, and a token of some projects', () => {
  const [mine, theirs] = [testDevice(random), testDevice(random)] as [DeviceId, DeviceId];
  const name = 'run/r' as DocumentName;
  const entry = encodeRecord({ k: 'newer' });
  const write = (device: DeviceId, what = 'note') => {
    return (doc: Y.Doc) => void doc.getMap('entries').set(`newer/w/${device}/${what}`, entry);
  };
  const textOf = (frames: Uint8Array[]): string =>
    frames.map((frame) => new TextDecoder('latin1').decode(frame)).join('');

  async function scoped() {
    const { replica, rooms } = await setUp();
    const runs = new RunIndex(replica);
    const grant = { ...grantOf('member'), projects: ['speech' as ProjectId], devices: new Set([mine]) };
    const enter = async () => {
      const visitor = visit(rooms, { name, gate: new Gate(grant, runs) });
      visitor.pair.a.send(sync(0, Y.encodeStateVector(new Y.Doc())));
      await visitor.settle();
      return visitor;
    };
    return { replica, enter };
  }

  it('[ACC-71] who knows the name gets nothing that another device wrote', async () => {
    const { replica, enter } = await scoped();
    await replica.transact(name, write(theirs));
    const visitor = await enter();
    expect(visitor.closed).toEqual([4403]);
    expect(textOf(visitor.got)).not.toContain('newer');
  });

  it('[ACC-71] it is open to whose devices alone wrote in it, and to everybody of its project once a card says so', async () => {
    const { replica, enter } = await scoped();
    await replica.transact(name, write(mine));
    const author = await enter();
    expect(author.closed).toEqual([]);
    expect(textOf(author.got)).toContain(mine);
    await replica.transact(name, write(theirs));
    expect((await enter()).closed).toEqual([4403]);
    const project = 'speech' as ProjectId;
    await replica.transact(bookName(project, '2026-11' as BookMonth), (doc) =>
      new Book(doc).putCard(makeCard({ run: 'r' as RunId, project })),
    );
    const reader = await enter();
    expect(reader.closed).toEqual([]);
    expect(textOf(reader.got)).toContain(theirs);
  });

  it('[ACC-71] who waits in an empty one is sent away before it hears what somebody else writes', async () => {
    const { replica, enter } = await scoped();
    const early = await enter();
    expect(early.closed).toEqual([]);
    await replica.transact(name, write(theirs));
    await early.settle();
    expect(early.closed).toEqual([1013]);
    expect(textOf(early.got)).not.toContain('newer');
    expect((await enter()).closed).toEqual([4403]);
  });
});
