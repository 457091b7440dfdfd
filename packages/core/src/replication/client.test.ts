import { deviceKeyOf, Gate } from '../access/index.ts';
import { describe, expect, it } from 'vitest';
import { FieldbookError } from '../errors.ts';
import type { Link, Log } from '../ports.ts';
import { openReplica } from '../replica/index.ts';
import type { LinkPair } from '../testing/index.ts';
import { FakeClock, FakeTimers, linkPair, MemoryStorage, SeededRandom, testDevice } from '../testing/index.ts';
import { backoffMs, PeerMemories, ReplicationClient, ReplicationServer } from './index.ts';

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const random = new SeededRandom(8);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function setUp(dial: () => Promise<Link>) {
  const clock = new FakeClock();
  const timers = new FakeTimers(clock);
  const replica = await openReplica({ storage: new MemoryStorage(), device: testDevice(random), random });
  const common = {
    replica,
    memories: new PeerMemories(replica),
    timers,
    clock,
    random,
    log: silent,
    program: 'test/1',
  };
  const client = new ReplicationClient({ ...common, url: 'http://relay', workspace: { id: 'w', name: null }, dial });
  return { client, clock, timers };
}

describe('replication client', () => {
  it('[RPL-25] waits twice as long after each failure, up to a minute, and never as long as another machine', () => {
    const longest = Array.from({ length: 12 }, (_, failures) => backoffMs(failures, 0.999));
    expect(longest.slice(0, 4)).toEqual([500, 1_000, 1_999, 3_998]);
    expect(longest.at(-1)).toBeLessThanOrEqual(60_000);
    for (let failures = 0; failures < 12; failures++)
      expect(backoffMs(failures, 0)).toBeGreaterThanOrEqual(longest[failures]! / 2 - 1);
    expect(new Set(Array.from({ length: 50 }, () => backoffMs(7, random.float()))).size).toBeGreaterThan(40);
  });

  it('[RPL-25] dials again after every loss, from the shortest wait when it was told to', async () => {
    const waits: number[] = [];
    let dials = 0;
    const { client, clock, timers } = await setUp(() => {
      dials += 1;
      waits.push(clock.now());
      return Promise.reject(new FieldbookError('peer_unreachable', 'No connection: ECONNREFUSED.'));
    });
    client.start();
    for (let step = 0; step < 600; step++) {
      await turn();
      timers.advance(1_000);
    }
    expect(dials).toBeGreaterThan(10);
    expect(dials).toBeLessThan(30);
    const gaps = waits.slice(1).map((at, index) => at - waits[index]!);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(61_000);
    expect(gaps.at(-1)).toBeGreaterThan(20_000);
    const status = await client.status();
    expect(status).toMatchObject({
      connected: false,
      stopped: false,
      problem: { code: 'peer_unreachable', message: 'No connection: ECONNREFUSED.' },
    });
    const before = dials;
    client.retry();
    await turn();
    timers.advance(1_000);
    await turn();
    expect(dials - before).toBe(2);
    await client.stop();
    timers.advance(600_000);
    await turn();
    expect(dials - before).toBe(2);
  });

  it('[RPL-25] dials no more after a close that says no, until somebody asks for it', async () => {
    const pairs: LinkPair[] = [];
    const { client, timers } = await setUp(() => {
      const pair = linkPair();
      pairs.push(pair);
      return Promise.resolve(pair.a);
    });
    client.start();
    await turn();
    pairs[0]!.b.close(4401, 'the token was revoked');
    pairs[0]!.deliverAll();
    await turn();
    for (let step = 0; step < 20; step++) {
      timers.advance(60_000);
      await turn();
    }
    expect(pairs).toHaveLength(1);
    expect(await client.status()).toMatchObject({ stopped: true, problem: { code: 'unauthorized' } });
    client.retry();
    await turn();
    expect(pairs).toHaveLength(2);
    pairs[1]!.b.close(1001, '');
    pairs[1]!.deliverAll();
    await turn();
    timers.advance(1_000);
    await turn();
    expect(pairs).toHaveLength(3);
    await client.stop();
  });

  it('[RPL-13] a server closes the old connection of a machine that comes again', async () => {
    const clock = new FakeClock();
    const timers = new FakeTimers(clock);
    const keys = [deviceKeyOf(random.bytes(32)), deviceKeyOf(random.bytes(32))] as const;
    const [here, there] = await Promise.all(
      keys.map(({ id }) => openReplica({ storage: new MemoryStorage(), device: id, random })),
    );
    const common = { timers, clock, random, log: silent, workspace: { id: 'w', name: null }, program: 'test/1' };
    const server = new ReplicationServer({
      ...common,
      key: keys[0],
      replica: here!,
      memories: new PeerMemories(here!),
    });
    const pairs: LinkPair[] = [];
    const settle = async (): Promise<void> => {
      for (let round = 0; round < 10; round++) {
        for (const pair of pairs) pair.deliverAll();
        await turn();
      }
    };
    for (let connection = 0; connection < 2; connection++) {
      const pair = linkPair();
      pairs.push(pair);
      server.accept(pair.b, Gate.open('member'));
      const client = new ReplicationClient({
        ...common,
        key: keys[1],
        url: 'u',
        replica: there!,
        memories: new PeerMemories(there!),
        dial: () => Promise.resolve(pair.a),
      });
      client.start();
      // The link in memory keeps nothing for one who does not listen yet.
      await turn();
      await settle();
    }
    expect(server.sessions.size).toBe(1);
    expect([...server.sessions][0]!.connected).toBe(true);
  });
});
