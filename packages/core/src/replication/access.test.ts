import { describe, expect, it } from 'vitest';
import type { DeviceKey, Grant } from '../access/index.ts';
import { deviceKeyOf, Gate, RunIndex } from '../access/index.ts';
import { Book } from '../documents/index.ts';
import type { BookMonth, DeviceId, DocumentName, ProjectId, RunId } from '../ids.ts';
import { bookName, runDocumentName } from '../ids.ts';
import { CLOSE } from '../links/index.ts';
import type { Link, Log } from '../ports.ts';
import { encodeRecord } from '../record/index.ts';
import type { Replica } from '../replica/index.ts';
import { openReplica } from '../replica/index.ts';
import type { LinkPair } from '../testing/index.ts';
import {
  FakeClock,
  FakeTimers,
  linkPair,
  makeCard,
  makeTestEdit,
  MemoryStorage,
  SeededRandom,
  testEditId,
} from '../testing/index.ts';
import type { SessionEnd, SessionOptions } from './index.ts';
import { decodeFrame, encodeFrame, PeerMemories, ReplicationSession } from './index.ts';

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const random = new SeededRandom(77);
const [vision, speech] = ['vision', 'speech'] as ProjectId[];
const book = (project: ProjectId, month = '2026-11'): DocumentName => bookName(project, month as BookMonth);

interface Side {
  key: DeviceKey;
  replica: Replica;
  memories: PeerMemories;
  runs: RunIndex;
}

async function makeSide(): Promise<Side> {
  const key = deviceKeyOf(random.bytes(32));
  const replica = await openReplica({ storage: new MemoryStorage(), device: key.id, random });
  return { key, replica, memories: new PeerMemories(replica), runs: new RunIndex(replica) };
}

interface Connection {
  pair: LinkPair;
  there: ReplicationSession;
  here: ReplicationSession;
  timers: FakeTimers;
  refused: string[];
}

/** `there` dials `here`, which grants; a contributor's devices are bound as they prove themselves. */
function connect(there: Side, here: Side, grant: Partial<Grant>, override: Partial<SessionOptions> = {}): Connection {
  const pair = linkPair();
  const clock = new FakeClock();
  const timers = new FakeTimers(clock);
  const common = { timers, clock, log: silent, workspace: { id: 'w', name: null }, program: 'test/1', random };
  const devices = new Set<DeviceId>(grant.devices);
  const gate = new Gate(
    { role: 'member', projects: null, token: 'abcdefgh', name: 'ada', ...grant, devices },
    here.runs,
  );
  const refused: string[] = [];
  return {
    pair,
    timers,
    refused,
    there: new ReplicationSession({ ...common, ...there, link: pair.a, grants: null, ...override }),
    here: new ReplicationSession({
      ...common,
      ...here,
      link: pair.b,
      grants: gate,
      onProven: (device) => void devices.add(device),
      onRefused: (name, { code }) => void refused.push(`${name} ${code}`),
    }),
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function run({ pair, timers }: Connection, rounds = 12): Promise<void> {
  for (let quiet = 0; quiet < rounds; quiet++) {
    if (pair.deliverAll() > 0) quiet = 0;
    await turn();
    if (quiet === rounds - 3) timers.advance(300);
  }
}

async function addCard({ replica, key }: Side, id: string, project = vision!, month = '2026-11'): Promise<void> {
  const card = makeCard({ run: id as RunId, device: key.id, project });
  await replica.transact(book(project, month), (doc) => new Book(doc).putCard(card));
}

let edits = 9_000;
async function addEdit({ replica }: Side, id: string, month = '2026-11'): Promise<void> {
  const edit = makeTestEdit({ id: testEditId((edits += 1)), run: id as RunId });
  await replica.transact(book(vision!, month), (doc) => new Book(doc).addEdit(edit));
}

async function addEntry({ replica }: Side, id: string): Promise<void> {
  await replica.transact(runDocumentName(id as RunId), (doc) =>
    doc.getMap('entries').set('x', encodeRecord({ k: 'x' })),
  );
}

const names = async ({ replica }: Side): Promise<string[]> => {
  const found = [];
  for await (const { name } of replica.list()) found.push(name as string);
  return found;
};

describe('a session', () => {
  it('[ACC-16] proves both devices before anything is exchanged, and neither to a program that does not ask', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    const connection = connect(a, b, {});
    await run(connection);
    expect([connection.here.proven, connection.there.proven]).toEqual([a.key.id, b.key.id]);
    // An older program greets without a nonce and does not know the frame.
    const old = connect(await makeSide(), b, {}, { random: undefined, key: undefined } as Partial<SessionOptions>);
    await run(old);
    expect([old.here.connected, old.there.connected]).toEqual([true, true]);
    expect([old.here.proven, old.there.proven]).toEqual([null, null]);
  });

  it('[ACC-16] greets before it proves, also when the other greeting was there first', async () => {
    const side = await makeSide();
    const hello = {
      versions: [1],
      replica: 'peer',
      device: side.key.id,
      workspace: 'w',
      workspaceName: null,
      program: 'test/1',
      role: null,
      nonce: random.bytes(32),
    };
    const sent: (string | undefined)[] = [];
    const link: Link = {
      send: (message) => void sent.push(decodeFrame(message)?.kind),
      close: () => undefined,
      buffered: () => 0,
      onClose: null,
      onMessage: null,
    };
    Object.defineProperty(link, 'onMessage', {
      set: (listener: (message: Uint8Array) => void) => {
        listener(encodeFrame({ kind: 'hello', hello }));
      },
    });
    const clock = new FakeClock();
    const workspace = { id: 'w', name: null };
    const common = { timers: new FakeTimers(clock), clock, log: silent, workspace, program: 'test/1', random };
    const session = new ReplicationSession({ ...common, ...side, link, grants: null });
    expect(sent).toEqual(['hello', 'proof']);
    session.close(1000, 'bye');
  });

  it('[ACC-16] [RPL-9] ends when the proof is of another device than the greeting says', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    const stranger = deviceKeyOf(random.bytes(32));
    const connection = connect(a, b, {}, { key: stranger });
    let end: SessionEnd | undefined;
    void connection.here.ended.then((ended) => (end = ended));
    await run(connection);
    expect(end?.code).toBe(CLOSE.badData);
    expect(connection.here.proven).toBeNull();
  });

  it('[ACC-14] takes from a contributor what its proven device may send, and refuses the rest by document', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    await addCard(b, 'theirs', vision, '2026-09');
    const connection = connect(a, b, { role: 'contributor' });
    await addCard(a, 'mine');
    await addEdit(a, 'mine');
    await run(connection);
    expect(connection.there.hello?.role).toBe('contributor');
    expect(await b.replica.read(book(vision!), (doc) => doc.getMap('edits').size)).toBe(1);
    await addEdit(a, 'theirs', '2026-10');
    await run(connection);
    expect(connection.refused).toEqual(['book/vision/2026-10 forbidden']);
    expect(connection.there.memory?.refusedThere.get(book(vision!, '2026-10'))?.reason).toContain("another device's");
    expect(await names(b)).not.toContain('book/vision/2026-10');
    // Nothing else suffers.
    await addEdit(a, 'mine');
    await run(connection);
    expect(await b.replica.read(book(vision!), (doc) => doc.getMap('edits').size)).toBe(2);
  });

  it('[ACC-14] takes a contributor’s edit whose run’s card comes after it', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    // Of an earlier month, in the order in which the feed lists them: the edit first.
    await addEdit(a, 'mine', '2026-12');
    await addCard(a, 'mine', vision, '2026-11');
    const connection = connect(a, b, { role: 'contributor' });
    await run(connection);
    expect(connection.refused).toEqual([]);
    expect(await b.replica.read(book(vision!, '2026-12'), (doc) => doc.getMap('edits').size)).toBe(1);
    // One that no card ever allows is refused in the end, and the cursor goes past it.
    await addEdit(a, 'nobody', '2026-08');
    await run(connection);
    expect(connection.refused).toEqual(['book/vision/2026-08 forbidden']);
    expect(connection.here.settled).toBe(true);
  });

  it('[ACC-15] lists documents of its projects alone and lets the cursor pass over the rest', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    await addCard(b, 'one', vision);
    await addEntry(b, 'one');
    await addCard(b, 'two', speech);
    await addEntry(b, 'two');
    const connection = connect(a, b, { projects: [speech!] });
    await run(connection);
    expect(await names(a)).toEqual(['book/speech/2026-11', 'run/two']);
    expect(connection.there.memory?.pulled).toBe(b.replica.lastSeq);
    await addCard(b, 'three', vision);
    await addEntry(b, 'two');
    await addEntry(b, 'three');
    await run(connection);
    expect(await names(a)).toEqual(['book/speech/2026-11', 'run/two']);
    expect(connection.there.memory?.pulled).toBe(b.replica.lastSeq);
    expect([connection.here.settled, connection.there.settled]).toEqual([true, true]);
    // Asked for all the same, by somebody who knows a name.
    const asks = { kind: 'open', channel: 90, name: book(vision!), generation: 0 } as const;
    connection.pair.a.send(encodeFrame(asks));
    const message = { type: 'step1', stateVector: new Uint8Array([0]) } as const;
    connection.pair.a.send(encodeFrame({ kind: 'sync', channel: 90, seq: 0, message }));
    await run(connection);
    expect(await names(a)).toEqual(['book/speech/2026-11', 'run/two']);
    // And written.
    await addCard(a, 'four', vision);
    await run(connection);
    expect(connection.refused).toEqual(['book/vision/2026-11 forbidden']);
  });

  it('[ACC-15] tells of a run whose card says only later where it belongs, also on the next connection', async () => {
    const [a, b] = [await makeSide(), await makeSide()];
    await addEntry(b, 'early');
    await addEntry(b, 'never');
    const first = connect(a, b, { projects: [speech!] });
    await run(first);
    expect(await names(a)).toEqual([]);
    expect(first.there.memory?.pulled).toBe(b.replica.lastSeq);
    await addCard(b, 'early', speech);
    await run(first);
    expect(await names(a)).toEqual(['book/speech/2026-11', 'run/early']);
    await addEntry(b, 'later');
    await run(first);
    first.there.close(1000, 'bye');
    await run(first);
    await addCard(b, 'later', speech);
    // What is remembered of a peer outlives the program.
    const after = { ...b, memories: new PeerMemories(b.replica) };
    const second = connect(a, after, { projects: [speech!] });
    await run(second);
    expect(await names(a)).toEqual(['book/speech/2026-11', 'run/early', 'run/later']);
    expect([second.here.settled, second.there.settled]).toEqual([true, true]);
  });
});
