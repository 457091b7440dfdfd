import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { Gate } from '../access/index.ts';
import { Book } from '../documents/index.ts';
import type { DeviceId } from '../ids.ts';
import type { Log } from '../ports.ts';
import { decodeCard, decodeEdit } from '../record/index.ts';
import type { Replica } from '../replica/index.ts';
import { openReplica } from '../replica/index.ts';
import { PeerMemories, ReplicationSession } from '../replication/index.ts';
import {
  afterPowerCut,
  BOOK,
  FakeClock,
  FakeTimers,
  linkPair,
  makeCard,
  makeTestEdit,
  memoryStorage,
  SeededRandom,
  testDevice,
  testHistory,
} from '../testing/index.ts';
import type { FaultStorage } from '../testing/index.ts';

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const long = process.env['FIELDBOOK_LONG'] === '1';

/** How often the interesting things happened. */
interface Tally {
  repairs: number;
  compactions: number;
  adopted: number;
  healed: number;
  restarts: number;
  cuts: number;
  bundles: number;
  late: number;
}

interface Member {
  storage: FaultStorage;
  replica: Replica;
  memories: PeerMemories;
  device: DeviceId;
  /** Of its own card; the higher wins. */
  ordinal: number;
}

/** A relay (the first) and machines that dial it; the bad device writes by way of any of them. */
async function play(seed: number, steps: number, tally: Tally): Promise<void> {
  const random = new SeededRandom(seed);
  const bad = testDevice(random);
  const good = new Set<string>();
  const cards = new Map<string, number>();
  let forgeries = 0;
  const open = async (storage: FaultStorage, device: DeviceId, ordinal = 0): Promise<Member> => {
    const log: Log = { ...silent, warn: (event) => void (tally.adopted += event === 'replica.adopted' ? 1 : 0) };
    const replica = await openReplica({ storage, device, random, history: testHistory(), log });
    return { storage, replica, memories: new PeerMemories(replica), device, ordinal };
  };
  const members: Member[] = [];
  for (let index = 0; index < 4; index++) members.push(await open(await memoryStorage(), testDevice(random)));

  const meet = async (index: number, cutAfter = Infinity): Promise<void> => {
    const pair = linkPair();
    const timers = new FakeTimers(new FakeClock());
    const common = { timers, clock: new FakeClock(), log: silent, workspace: { id: 'w', name: null }, program: 't/1' };
    const [relay, machine] = [members[0]!, members[index]!];
    const sessions = [
      new ReplicationSession({ ...common, ...machine, link: pair.a, grants: null }),
      new ReplicationSession({ ...common, ...relay, link: pair.b, grants: Gate.open('member') }),
    ];
    let delivered = 0;
    for (let quiet = 0; quiet < 14 && delivered < cutAfter; quiet++) {
      const count = pair.deliverAll();
      delivered += count;
      if (count > 0) quiet = 0;
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (quiet === 9) timers.advance(300);
    }
    for (const session of sessions) session.close(1000, 'done');
    pair.deliverAll();
    if (delivered >= cutAfter) tally.cuts += 1;
  };

  for (let step = 0; step < steps; step++) {
    const index = random.int(members.length);
    const member = members[index]!;
    const { replica } = member;
    const roll = random.float();
    if (roll < 0.25) {
      const edit = makeTestEdit({ device: member.device });
      await replica.transact(BOOK, (doc) => new Book(doc).addEdit(edit));
      good.add(edit.id);
    } else if (roll < 0.35) {
      member.ordinal += 1;
      const card = makeCard({ device: member.device, ordinal: member.ordinal });
      await replica.transact(BOOK, (doc) => new Book(doc).putCard(card));
      cards.set(member.device, member.ordinal);
    } else if (roll < 0.45) {
      const doc = new Y.Doc();
      new Book(doc).addEdit(makeTestEdit({ device: bad }));
      const info = await replica.info(BOOK);
      await replica.apply(BOOK, Y.encodeStateAsUpdate(doc), 'forged', info?.generation ?? 0);
      forgeries += 1;
    } else if (roll < 0.7)
      await meet(1 + random.int(members.length - 1), random.chance(0.3) ? 1 + random.int(12) : Infinity);
    else if (roll < 0.76) await replica.compact(BOOK);
    else if (roll < 0.8) {
      member.storage = await afterPowerCut(member.storage);
      members[index] = await open(member.storage, member.device, member.ordinal);
      tally.restarts += 1;
    } else if (roll < 0.86 && (await members[0]!.replica.info(BOOK)) !== undefined) {
      const without = random.chance(0.6) ? { devices: [bad] } : {};
      const reason = 'devices' in without ? 'repair' : 'compaction';
      await members[0]!.replica.rebuild(BOOK, { reason, time: step, without });
      tally[reason === 'repair' ? 'repairs' : 'compactions'] += 1;
    } else if (roll < 0.9) {
      // By hand, between any two: as `repair --from` of a copy does.
      const other = random.pick(members);
      const [ours, theirs] = [await replica.info(BOOK), await other.replica.info(BOOK)];
      if (theirs === undefined || theirs.generation <= (ours?.generation ?? 0)) continue;
      const { update, generation } = await other.replica.encodeState(BOOK);
      await replica.adopt(BOOK, { generation, updates: [update] });
      tally.bundles += 1;
    } else if (roll < 0.94 && index > 0 && (await replica.info(BOOK)) !== undefined) {
      // Everything is at the relay, and then a machine's disk goes bad.
      await meet(index);
      await damage(member.storage);
      const next = await open(member.storage, member.device, member.ordinal);
      members[index] = next;
      const isFound = random.chance(0.5);
      if (isFound) await next.replica.stateVector(BOOK).catch(() => undefined);
      else void next.replica.stateVector(BOOK).catch(() => undefined);
      await meet(index);
      if ((await next.replica.info(BOOK))!.quarantined) throw new Error(`member ${index} did not heal`);
      tally.healed += 1;
    }
  }
  // The last repair, and then everybody comes, twice, in any order.
  for (let index = 1; index < members.length; index++) {
    const [ours, theirs] = [await members[0]!.replica.info(BOOK), await members[index]!.replica.info(BOOK)];
    if ((ours?.generation ?? 0) > (theirs?.generation ?? 0)) tally.late += 1;
  }
  for (let round = 0; round < 3; round++) for (const index of random.shuffle([1, 2, 3])) await meet(index);
  if (forgeries > 0)
    await members[0]!.replica.rebuild(BOOK, { reason: 'repair', time: steps, without: { devices: [bad] } });
  for (let round = 0; round < 2; round++) for (const index of random.shuffle([1, 2, 3])) await meet(index);

  for (const [index, { replica }] of members.entries()) {
    const found = await replica.read(BOOK, (doc) => ({
      edits: [...new Book(doc).edits()].map(([id, bytes]) => [id, decodeEdit(bytes)!.device] as const),
      cards: [...new Book(doc).cards()].map(([, bytes]) => decodeCard(bytes)!),
    }));
    const ids = new Set(found.edits.map(([id]) => id));
    for (const id of good) if (!ids.has(id as never)) throw new Error(`member ${index} lost ${id}`);
    if (found.edits.some(([, device]) => device === bad)) throw new Error(`member ${index} has again what was removed`);
    if (ids.size !== good.size) throw new Error(`member ${index} has edits that nobody made`);
    for (const [device, ordinal] of cards) {
      const card = found.cards.find((each) => each.device === device);
      if (card?.ordinal !== ordinal) throw new Error(`member ${index} has card ${card?.ordinal} instead of ${ordinal}`);
    }
    const info = await replica.info(BOOK);
    const relay = await members[0]!.replica.info(BOOK);
    if (info?.generation !== relay?.generation) throw new Error(`member ${index} stays at ${info?.generation}`);
    await replica.close();
  }
}

async function damage(storage: FaultStorage): Promise<void> {
  for await (const [key, value] of storage.range({})) {
    if (key[0] !== 0x73 && key[0] !== 0x75) continue;
    value[6]! ^= 1;
    await storage.batch([{ type: 'put', key, value }], { sync: true });
    return;
  }
}

describe('repairs in the middle of everything', () => {
  it(
    '[GEN-10] all replicas end with the same records: what was removed stays away and nothing else is lost',
    async () => {
      const tally: Tally = {
        repairs: 0,
        compactions: 0,
        adopted: 0,
        healed: 0,
        restarts: 0,
        cuts: 0,
        bundles: 0,
        late: 0,
      };
      for (let seed = 1; seed <= (long ? 1_000 : 25); seed++)
        await play(seed, 60, tally).catch((error: unknown) => {
          throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
        });
      // Not vacuous.
      for (const [what, count] of Object.entries(tally)) expect(count, what).toBeGreaterThan(5);
    },
    long ? 3_600_000 : 60_000,
  );
});
