import { describe, expect, it } from 'vitest';
import type { DocumentName } from '@fieldbook/core';
import { RunDocument } from '@fieldbook/core/documents';
import { SeededRandom } from '@fieldbook/core/testing';
import { BOOK, Box } from '../fixtures/box.ts';
import { faultProxy } from '../fixtures/fault-proxy.ts';
import { enterRoom } from '../fixtures/room.ts';
import { Relay } from '../scaffold/machine.ts';
import { amount } from '../scaffold/mode.ts';

const BOOKS = ['a', 'b', 'c'].map((project) => `book/${project}/2026-11` as DocumentName);

async function relayWithToken(): Promise<{ relay: Relay; token: string }> {
  const relay = await new Relay().up();
  return { relay, token: await relay.token('member', 'ada') };
}

/** Everything in the books of a box, by book. */
async function everything(box: Box): Promise<Record<string, string[]>> {
  return Object.fromEntries(
    await Promise.all([BOOK, ...BOOKS].map(async (name) => [name, await box.edits(name)] as const)),
  );
}

async function holdsEverything(box: Box): Promise<boolean> {
  for await (const { name } of box.replica.list()) if (!(await box.client!.holds(name))) return false;
  return true;
}

describe('replication over a relay', () => {
  it('[RPL-18] two machines that never meet end with the same records through a relay, made before, during and after', async () => {
    const { relay, token } = await relayWithToken();
    const [ada, bob] = [await Box.open(), await Box.open()];
    await ada.addEdits(10);
    await bob.addEdits(10);
    await ada.join(relay.url, token);
    await ada.settled();
    await ada.leave();
    await bob.join(relay.url, token);
    await bob.addEdits(5);
    await bob.settled();
    expect(await bob.edits()).toHaveLength(25);
    await ada.addEdits(5);
    await ada.join(relay.url, token);
    await ada.settled();
    await bob.until(async () => (await bob.edits()).length === 30);
    expect(await ada.edits()).toEqual(await bob.edits());
    expect(await holdsEverything(ada)).toBe(true);
    // Cursors follow what was exchanged within a quarter of a second.
    await ada.until(async () => (await ada.client!.status()).pushedThrough === ada.replica.lastSeq);
    expect(await ada.client!.status()).toMatchObject({ connected: true, problem: null, toPush: 0, toPull: 0 });
  });

  it('[RPL-19] a connection cut at any byte, in either direction, loses nothing and doubles nothing', async () => {
    const { relay, token } = await relayWithToken();
    const proxy = await faultProxy(relay.url);
    const random = new SeededRandom(amount(5, Date.now()));
    const [ada, bob] = [await Box.open(), await Box.open()];
    const made = new Map<string, string[]>([BOOK, ...BOOKS].map((name) => [name, []]));
    await ada.join(proxy.url, token);
    await bob.join(relay.url, token);
    const rounds = amount(25, 1_000);
    for (let round = 0; round < rounds; round++) {
      const direction = random.chance(0.5) ? 'up' : 'down';
      proxy.cutAfter(random.int(random.chance(0.5) ? 300 : 6_000), direction);
      for (const box of [ada, bob]) {
        const name = random.pick([BOOK, ...BOOKS]);
        made.get(name)!.push(...(await box.addEdits(1 + random.int(20), name)));
      }
      // A reconnect is due after half a second; the next round must not wait for it every time.
      ada.client!.retry();
      if (random.chance(0.4)) await ada.settled();
    }
    proxy.cutAfter(Infinity, 'up');
    await ada.settled();
    await bob.until(async () => JSON.stringify(await everything(bob)) === JSON.stringify(await everything(ada)));
    for (const [name, ids] of made)
      expect((await everything(ada))[name], `seed ${random.seed}`).toEqual([...ids].sort());
    expect(proxy.connections).toBeGreaterThan(rounds / 3);
  });

  it('[RPL-20] what a relay acknowledged is there after kill -9 of the relay at any moment', async () => {
    const { relay, token } = await relayWithToken();
    const ada = await Box.open();
    await ada.join(relay.url, token);
    for (let round = 0; round < amount(6, 60); round++) {
      const { seq } = (await ada.replica.info(BOOK)) ?? { seq: 0 };
      const writing = Promise.all(Array.from({ length: 10 }, () => ada.addEdits(3)));
      await ada.until(() => (ada.client!.settled ? ada.replica.lastSeq > seq : false) || ada.random.chance(0.02));
      const acknowledged = await ada.client!.holds(BOOK);
      const there = acknowledged ? await ada.edits() : [];
      await relay.down('SIGKILL');
      await writing;
      await relay.up();
      ada.client!.retry();
      const reader = await Box.open();
      await reader.join(relay.url, token);
      await reader.settled();
      expect(await reader.edits()).toEqual(expect.arrayContaining(there));
      await reader.leave();
    }
    await ada.settled();
    const reader = await Box.open();
    await reader.join(relay.url, token);
    await reader.settled();
    expect(await reader.edits()).toEqual(await ada.edits());
  });

  it('[RPL-21] a restart goes on from where it was: what was exchanged is not exchanged again', async () => {
    const { relay, token } = await relayWithToken();
    const proxy = await faultProxy(relay.url);
    const ada = await Box.open();
    for (const name of BOOKS) await ada.addEdits(200, name);
    await ada.join(proxy.url, token);
    await ada.settled();
    await ada.until(async () => (await ada.client!.status()).pushedThrough === ada.replica.lastSeq);
    const first = proxy.passed('up');
    await ada.stop();
    await ada.start();
    await ada.addEdits(1);
    await ada.join(proxy.url, token);
    await ada.settled();
    expect(first).toBeGreaterThan(20_000);
    expect(proxy.passed('up') - first).toBeLessThan(4_000);
    expect(await holdsEverything(ada)).toBe(true);
  });

  it('[RPL-22] says in words why nothing moves, knows offline what the relay holds, and stops when it is refused', async () => {
    const { relay, token } = await relayWithToken();
    const proxy = await faultProxy(relay.url);
    const ada = await Box.open();
    await ada.addEdits(3);
    const client = await ada.join(proxy.url, token);
    await ada.settled();
    await ada.until(async () => (await client.status()).pushedThrough === ada.replica.lastSeq);
    proxy.refuse(true);
    proxy.cut();
    await ada.until(async () => !(await client.status()).connected);
    await ada.addEdits(2, BOOKS[0]!);
    const away = await client.status();
    expect(away).toMatchObject({ connected: false, stopped: false, toPush: 1 });
    expect(away.problem?.message).toMatch(/connection/i);
    expect([await client.holds(BOOK), await client.holds(BOOKS[0]!)]).toEqual([true, false]);
    await ada.stop();
    await ada.start();
    const again = await ada.join(proxy.url, token, 'not asked: nobody answers');
    await ada.until(async () => (await again.status()).problem !== null);
    expect([await again.holds(BOOK), await again.holds(BOOKS[0]!)]).toEqual([true, false]);
    await ada.leave();
    // A workspace that is not the relay's: terminal, nobody dials again.
    const stranger = await Box.open();
    const refused = await stranger.join(relay.url, token, '01kf0000000000000000000000');
    await stranger.until(async () => (await refused.status()).stopped);
    expect((await refused.status()).problem).toMatchObject({ code: 'workspace_mismatch' });
    await expect(refused.whenSettled()).rejects.toThrow(/another workspace/);
  });

  it('[RPL-23] a browser in a room and a machine in replication see each other’s edits', async () => {
    const { relay, token } = await relayWithToken();
    const ada = await Box.open();
    const ids = await ada.addEdits(2);
    await ada.join(relay.url, token);
    await ada.settled();
    const room = enterRoom(relay.url, BOOK, { token });
    await room.until((doc) => doc.getMap('edits').size === 2);
    expect([...room.doc.getMap('edits').keys()].sort()).toEqual(ids.sort());
    const more = await ada.addEdits(1);
    await room.until((doc) => doc.getMap('edits').has(more[0]!));
  });

  it('[RPL-24] blobs follow their manifests over any number of cuts, and come to another machine when it asks', async () => {
    const { relay, token } = await relayWithToken();
    const proxy = await faultProxy(relay.url);
    const [ada, bob] = [await Box.open(), await Box.open()];
    const digests = [];
    for (let index = 0; index < 12; index++) {
      const bytes = ada.random.bytes(30_000);
      const digest = await ada.blobs.write(bytes);
      digests.push(digest);
      const first = index * 10 + 1;
      await ada.replica.transact(`run/run-${index % 3}` as DocumentName, (doc) =>
        new RunDocument(doc).putSegment({
          kind: 'segment',
          writer: '01kf0000000000000000000000' as never,
          device: ada.replica.device,
          first,
          last: first + 9,
          digest,
          size: bytes.length,
          points: 10,
          startTime: 1,
          endTime: 2,
          levels: [],
          extra: {},
        }),
      );
    }
    await ada.join(proxy.url, token);
    ada.blobSync!.start();
    for (let cut = 0; cut < 4; cut++) {
      proxy.cutAfter(40_000 + ada.random.int(60_000), 'up');
      await ada.until(() => ada.blobSync!.status().problem !== null || ada.blobSync!.status().settled);
      ada.blobSync!.retry();
    }
    proxy.cutAfter(Infinity, 'up');
    await ada.blobSync!.whenSettled();
    await ada.settled();
    expect(ada.blobSync!.status()).toMatchObject({ pending: 0, pendingBytes: 0, settled: true, problem: null });
    await bob.join(relay.url, token);
    await bob.settled();
    for (const digest of digests) {
      expect(await bob.blobs.stat(digest)).toBeUndefined();
      expect(await bob.blobSync!.fetch(digest)).toEqual(await ada.blobs.read(digest));
      expect((await bob.blobs.stat(digest))?.size).toBe(30_000);
    }
    expect(await bob.blobSync!.fetch('00'.repeat(32) as never)).toBeUndefined();
  });
});
