import { describe, expect, it } from 'vitest';
import type { DeviceKey } from '../access/index.ts';
import { deviceKeyOf, Gate, proofText } from '../access/index.ts';
import { Book } from '../documents/index.ts';
import type { DocumentName } from '../ids.ts';
import { CLOSE } from '../links/index.ts';
import type { Link, Log } from '../ports.ts';
import { encodeRecord } from '../record/index.ts';
import type { Replica } from '../replica/index.ts';
import { openReplica } from '../replica/index.ts';
import type { LinkPair } from '../testing/index.ts';
import { FakeClock, FakeTimers, linkPair, makeTestEdit, MemoryStorage, SeededRandom } from '../testing/index.ts';
import type { Frame, Hello } from './index.ts';
import { decodeFrame, encodeFrame, PeerMemories, ReplicationClient, ReplicationServer } from './index.ts';

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const random = new SeededRandom(65);
const BOOK = 'book/mnist/2026-11' as DocumentName;
const DAY_MS = 24 * 60 * 60_000;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Side {
  key: DeviceKey;
  storage: MemoryStorage;
  replica: Replica;
  memories: PeerMemories;
}

async function makeSide(
  storage: MemoryStorage = new MemoryStorage(),
  key = deviceKeyOf(random.bytes(32)),
): Promise<Side> {
  const replica = await openReplica({ storage, device: key.id, random });
  return { key, storage, replica, memories: new PeerMemories(replica) };
}

const addEdit = ({ replica }: Side): Promise<unknown> =>
  replica.transact(BOOK, (doc) => new Book(doc).addEdit(makeTestEdit()));

const edits = ({ replica }: Side): Promise<number> => replica.read(BOOK, (doc) => [...new Book(doc).edits()].length);

/** One relay, whoever dials it, and the hand that moves everything. */
class World {
  readonly clock = new FakeClock();
  readonly timers = new FakeTimers(this.clock);
  readonly #common = { timers: this.timers, clock: this.clock, random, log: silent, program: 'test/1' };
  readonly #workspace = { id: 'w', name: null };
  readonly #pairs: LinkPair[] = [];

  serve({ key, replica, memories }: Side): ReplicationServer {
    return new ReplicationServer({ ...this.#common, workspace: this.#workspace, key, replica, memories });
  }

  /** Each dial goes where `to` points then. */
  client({ key, replica, memories }: Side, to: () => ReplicationServer): ReplicationClient {
    const dial = async (): Promise<Link> => {
      const pair = this.#pair();
      to().accept(pair.b, Gate.open('member'), { tokenId: 'honest' });
      return pair.a;
    };
    const client = new ReplicationClient({
      ...this.#common,
      workspace: this.#workspace,
      key,
      replica,
      memories,
      url: 'u',
      dial,
    });
    client.start();
    return client;
  }

  /** Says what it likes to a server. */
  forger(server: ReplicationServer, hello: Partial<Hello>, tokenId = 'evil'): Forger {
    const pair = this.#pair();
    const forger = new Forger(pair.a, hello);
    server.accept(pair.b, Gate.open('member'), { tokenId });
    return forger;
  }

  async run(): Promise<void> {
    // The link in memory keeps nothing for one who does not listen yet.
    for (let round = 0; round < 3; round++) await turn();
    for (let quiet = 0; quiet < 12; quiet++) {
      for (const pair of this.#pairs) if (pair.deliverAll() > 0) quiet = 0;
      await turn();
      if (quiet === 9) this.timers.advance(300);
    }
  }

  /** Every connection breaks. */
  async cut(): Promise<void> {
    for (const pair of this.#pairs) pair.cut();
    for (let round = 0; round < 3; round++) await turn();
  }

  /** Everybody has waited long enough to dial again. */
  async later(): Promise<void> {
    this.timers.advance(10_000);
    await this.run();
  }

  #pair(): LinkPair {
    const pair = linkPair();
    this.#pairs.push(pair);
    return pair;
  }
}

class Forger {
  readonly heard: Frame[] = [];
  closed: number | undefined;
  readonly #link: Link;

  constructor(link: Link, hello: Partial<Hello>) {
    this.#link = link;
    link.onMessage = (message) => void this.heard.push(decodeFrame(message)!);
    link.onClose = (code) => void (this.closed = code);
    const rest = { versions: [1], workspace: 'w', workspaceName: null, program: 'evil/1', role: null };
    this.say({ kind: 'hello', hello: { ...rest, replica: 'nobody', device: 'nobody', ...hello } });
  }

  say(frame: Frame): void {
    this.#link.send(encodeFrame(frame));
  }

  get theirs(): Hello {
    for (const frame of this.heard) if (frame.kind === 'hello') return frame.hello;
    throw new Error('no greeting came');
  }

  /** Signs what the other side asked to be signed. */
  prove(key: DeviceKey, replica: string, nonce: Uint8Array): void {
    const verifier = { replica: this.theirs.replica, nonce: this.theirs.nonce! };
    const signature = key.sign(proofText({ workspace: 'w', prover: { replica, nonce }, verifier }));
    this.say({ kind: 'proof', publicKey: key.publicKey, signature });
  }
}

describe('who a replica is', () => {
  for (const how of ['no device', 'a device of its own', 'the victim’s device in the greeting alone'] as const) {
    it(`[RPL-65] a replica id said with ${how} moves nothing of the replica that has it, and closes nothing`, async () => {
      const [world, relay, victim] = [new World(), await makeSide(), await makeSide()];
      const server = world.serve(relay);
      const client = world.client(victim, () => server);
      await addEdit(victim);
      await world.run();
      expect([await edits(relay), client.settled]).toEqual([1, true]);
      const [key, nonce] = [deviceKeyOf(random.bytes(32)), random.bytes(32)];
      const forger = world.forger(server, {
        replica: victim.replica.id,
        device: how === 'a device of its own' ? key.id : victim.key.id,
        ...(how === 'a device of its own' && { nonce }),
      });
      await world.run();
      if (how === 'a device of its own') forger.prove(key, victim.replica.id, nonce);
      await world.run();
      // It says that it has all that the relay has, and that there is nothing of its own for long.
      forger.say({ kind: 'resume', seq: relay.replica.lastSeq });
      forger.say({ kind: 'feed', entries: [], through: 1_000, more: false });
      await world.run();
      expect(forger.heard.flatMap((frame) => (frame.kind === 'resume' ? frame.seq : []))).toEqual([0]);
      expect([forger.closed, server.sessions.size, client.isConnected]).toEqual([undefined, 2, true]);
      if (how === 'no device') {
        const another = world.forger(server, { replica: victim.replica.id, device: victim.key.id });
        await world.run();
        another.say({ kind: 'resume', seq: 0 });
        await world.run();
        expect([forger.closed, another.closed, server.sessions.size]).toEqual([undefined, undefined, 3]);
      }
      // What the victim makes while it is away is taken when it comes again.
      await world.cut();
      await addEdit(victim);
      await world.later();
      expect([await edits(relay), client.settled]).toEqual([2, true]);
      expect((await relay.memories.of(victim.replica.id, victim.key.id)).pulled).toBeLessThan(100);
      await client.stop();
    });
  }

  it('[RPL-65] [ACC-16] a proof is worth nothing on another connection, nor behind other frames', async () => {
    const [world, relay, victim] = [new World(), await makeSide(), await makeSide()];
    const server = world.serve(relay);
    const [replica, device] = [victim.replica.id, victim.key.id];
    const nonce = random.bytes(32);
    const once = world.forger(server, { replica, device, nonce });
    await world.run();
    once.prove(victim.key, replica, nonce);
    await world.run();
    expect([...server.sessions].map(({ proven }) => proven)).toEqual([device]);
    // The same greeting and the same proof, overheard.
    const again = world.forger(server, { replica, device, nonce });
    await world.run();
    const verifier = { replica: once.theirs.replica, nonce: once.theirs.nonce! };
    const signature = victim.key.sign(proofText({ workspace: 'w', prover: { replica, nonce }, verifier }));
    again.say({ kind: 'proof', publicKey: victim.key.publicKey, signature });
    await world.run();
    expect([again.closed, once.closed]).toEqual([CLOSE.badData, undefined]);
    const late = world.forger(server, { replica, device, nonce });
    await world.run();
    late.say({ kind: 'resume', seq: 0 });
    await world.run();
    late.prove(victim.key, replica, nonce);
    await world.run();
    expect([late.closed, once.closed, server.sessions.size]).toEqual([CLOSE.badData, undefined, 1]);
    // Who says nothing at all behind its greeting is waited for no longer than for a greeting.
    const mute = world.forger(server, { replica, device, nonce });
    await world.run();
    world.timers.advance(16_000);
    await world.run();
    expect(mute.closed).toBe(CLOSE.silent);
  });

  it('[RPL-65] a server that says another server’s replica id moves nothing of what is known of that one', async () => {
    const [world, relay, machine] = [new World(), await makeSide(), await makeSide()];
    const server = world.serve(relay);
    // The same id, another key: as somebody would who had read it somewhere.
    const stranger = await makeSide();
    const lying = new Proxy(stranger.replica, {
      get: (of, key) => {
        if (key === 'id') return relay.replica.id;
        const value: unknown = Reflect.get(of, key, of);
        return typeof value === 'function' ? (value.bind(of) as unknown) : value;
      },
    });
    const liar = world.serve({ ...stranger, replica: lying });
    for (let edit = 0; edit < 5; edit++) await addEdit(stranger);
    let to = server;
    const client = world.client(machine, () => to);
    await addEdit(relay);
    await world.run();
    expect([await edits(machine), (await client.status()).pulledThrough]).toEqual([1, 1]);
    to = liar;
    await world.cut();
    await world.later();
    expect([await edits(machine), (await client.status()).peer]).toEqual([6, relay.replica.id]);
    await addEdit(relay);
    to = server;
    await world.cut();
    await world.later();
    expect([await edits(machine), await edits(relay), client.settled]).toEqual([7, 7, true]);
    await client.stop();
  });

  it('[RPL-65] a machine with a new key goes on at once, and one that was restored with its key as well', async () => {
    const [world, relay, storage] = [new World(), await makeSide(), new MemoryStorage()];
    const server = world.serve(relay);
    const before = await makeSide(storage);
    const first = world.client(before, () => server);
    await addEdit(before);
    await world.run();
    await first.stop();
    await before.replica.close();
    const after = await makeSide(storage.reopened());
    expect([after.replica.id, after.key.id === before.key.id]).toEqual([before.replica.id, false]);
    const second = world.client(after, () => server);
    await addEdit(after);
    await world.run();
    expect([second.settled, await edits(relay), await edits(after)]).toEqual([true, 2, 2]);
    await after.replica.noteFeedSeen(after.replica.lastSeq + 1_000);
    expect(after.replica.id).not.toBe(before.replica.id);
    await world.cut();
    await addEdit(after);
    await world.later();
    expect([second.settled, await edits(relay)]).toEqual([true, 3]);
    await second.stop();
  });
});

describe('what is remembered of replicas', () => {
  const PASSED = 'book/other/2026-11' as DocumentName;

  /** As programs wrote it that did not know of devices. */
  async function writeBefore({ replica }: Side, id: string): Promise<void> {
    const refused = [[BOOK, 7, 'forbidden', 'no']];
    await replica.putPrivate([
      [`peer/${id}`, encodeRecord({ i: 40, o: 3, s: replica.id, t: [], h: refused })],
      [`passed/${id}/${PASSED}`, new Uint8Array([9, 0])],
    ]);
  }

  it('[RPL-66] what older versions knew becomes its who proves a device first, whole, and nobody else’s', async () => {
    const [relay, first, second] = [await makeSide(), await makeSide(), await makeSide()];
    await writeBefore(relay, 'known');
    const { memories } = relay;
    // Shown while it is away, and to nobody who only says the id.
    expect((await memories.recall('known')).pulled).toBe(40);
    expect((await memories.of('known')).pulled).toBe(0);
    expect((await memories.find('known'))?.pushed).toBe(3);
    const [one, other] = await Promise.all([memories.of('known', first.key.id), memories.of('known', second.key.id)]);
    expect([one.pulled, one.pushed, one.hasPassed, one.refusedHere.get(BOOK)?.seq]).toEqual([40, 3, true, 7]);
    expect([other.pulled, other.hasPassed]).toEqual([0, false]);
    expect([one.blobsUnder, other.blobsUnder]).toEqual(['known', other.key]);
    expect(await relay.replica.getPrivate('peer/known')).toBeUndefined();
    one.pulled = 41;
    await one.save();
    const after = new PeerMemories(relay.replica);
    const again = await after.of('known', first.key.id);
    expect([again.pulled, await again.passed(PASSED)]).toEqual([41, { name: PASSED, seq: 9, generation: 0 }]);
    expect((await after.recall(again.key)).key).toBe(again.key);
  });

  it('[RPL-67] of one token’s replicas some are remembered, those that proved themselves and came last; others keep theirs', async () => {
    const { replica } = await makeSide();
    const memories = new PeerMemories(replica, undefined, 3);
    const keys = Array.from({ length: 6 }, () => deviceKeyOf(random.bytes(32)));
    const come = async (id: string, from: string | null, at: number, key?: DeviceKey): Promise<() => void> => {
      const memory = await memories.of(id, key?.id ?? null, { from, at });
      memory.pass({ name: PASSED, generation: 0, seq: 5 });
      memory.pulled = Math.max(memory.pulled, at);
      await memory.save();
      return () => memories.leave(memory);
    };
    const kept = async (): Promise<string[]> => {
      // What was told to go goes in its own time.
      for (let round = 0; round < 50; round++) await turn();
      const ids = [];
      for await (const [key] of replica.listPrivate('peers/')) ids.push(key.split('/')[2]!);
      const others = [];
      for await (const [key] of replica.listPrivate('passed/')) others.push(key.split('/')[2]!);
      const met = [];
      for await (const [key] of replica.listPrivate('met/')) met.push(key.split('/')[2]!);
      expect([others.sort(), met.sort()]).toEqual([[...ids].sort(), [...ids].sort()]);
      return ids.sort();
    };
    (await come('honest', 'other', 1, keys[0]))();
    (await come('dialled', null, 1, keys[1]))();
    const stays = await come('connected', 'evil', 1, keys[2]);
    (await come('a', 'evil', 2, keys[3]))();
    (await come('b', 'evil', 3))();
    expect(await kept()).toEqual(['a', 'b', 'connected', 'dialled', 'honest']);
    for (let each = 0; each < 20; each++) (await come(`made-up-${each}`, 'evil', 10 + each))();
    expect(await kept()).toEqual(['a', 'connected', 'dialled', 'honest', 'made-up-19']);
    (await come('c', 'evil', 40, keys[4]))();
    expect(await kept()).toEqual(['a', 'c', 'connected', 'dialled', 'honest']);
    (await come('d', 'evil', 50, keys[5]))();
    expect(await kept()).toEqual(['c', 'connected', 'd', 'dialled', 'honest']);
    stays();
    (await come('e', 'evil', 60, keys[3]))();
    expect(await kept()).toEqual(['c', 'd', 'dialled', 'e', 'honest']);
    // Whoever comes again goes on from where it was; whoever was forgotten begins anew.
    expect((await memories.of('c', keys[4]!.id)).pulled).toBe(40);
    expect((await memories.of('connected', keys[2]!.id)).pulled).toBe(0);
  });

  it('[RPL-67] who stays away is forgotten after a year and a month, unproven after a month, dialled never', async () => {
    const { replica } = await makeSide();
    const keys = Array.from({ length: 3 }, () => deviceKeyOf(random.bytes(32)));
    const come = async (id: string, from: string | null, at: number, key?: DeviceKey): Promise<void> => {
      const memories = new PeerMemories(replica);
      const memory = await memories.of(id, key?.id ?? null, { from, at });
      memory.pulled = at;
      await memory.save();
      memories.leave(memory);
      for (let round = 0; round < 20; round++) await turn();
    };
    const kept = async (): Promise<string[]> => {
      const ids = [];
      for await (const [key] of replica.listPrivate('peers/')) ids.push(key.split('/')[2]!);
      return ids.sort();
    };
    await come('proven', 't', 0, keys[0]);
    await come('dialled', null, 0, keys[1]);
    await come('unproven', 't', 0);
    await come('x', 't', 29 * DAY_MS);
    expect(await kept()).toEqual(['dialled', 'proven', 'unproven', 'x']);
    await come('y', 't', 31 * DAY_MS);
    expect(await kept()).toEqual(['dialled', 'proven', 'x', 'y']);
    // Seen a year later, it stays for as long again.
    await come('proven', 't', 365 * DAY_MS, keys[0]);
    await come('z', 't', 700 * DAY_MS);
    expect(await kept()).toEqual(['dialled', 'proven', 'z']);
    await come('last', 't', 800 * DAY_MS, keys[2]);
    expect(await kept()).toEqual(['dialled', 'last']);
  });

  it('[RPL-67] what a replica has refused is remembered by name up to a size', async () => {
    const { replica } = await makeSide();
    const memory = await new PeerMemories(replica).of('peer');
    const reason = 'y'.repeat(26_000);
    for (let seq = 1; seq <= 30; seq++)
      memory.refuse('there', `run/${seq}` as DocumentName, { seq, code: 'forbidden', reason });
    await memory.save();
    expect(memory.refusedThere.size).toBe(10);
    // Of what is not remembered by name nothing is believed to be there, also after a restart.
    memory.reached(30);
    await memory.save();
    const again = await new PeerMemories(replica).of('peer');
    expect([again.refusedThere.size, again.holds(BOOK, 9), again.holds(BOOK, 12)]).toEqual([10, true, false]);
    memory.refusedThere.delete('run/1' as DocumentName);
    memory.refuse('there', 'run/31' as DocumentName, { seq: 31, code: 'forbidden', reason });
    expect(memory.refusedThere.size).toBe(10);
  });
});
