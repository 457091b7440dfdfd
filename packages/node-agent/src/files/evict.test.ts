import type { AttributePath, BlobDigest, DeviceId, DocumentName, WriterId } from '@fieldbook/core';
import { isFieldbookError } from '@fieldbook/core';
import type { EvictRequest } from '@fieldbook/core/api';
import { RunDocument } from '@fieldbook/core/documents';
import { openReplica } from '@fieldbook/core/replica';
import type { BlobPeer } from '@fieldbook/core/replication';
import { proofOf } from '@fieldbook/core/replication';
import { FakeClock, MemoryBlobStore, MemoryStorage, SeededRandom } from '@fieldbook/core/testing';
import { expect, it, onTestFinished } from 'vitest';
import type { EvictOptions } from './evict.ts';
import { evict } from './evict.ts';

const DEVICE = 'd000000000000000000000001' as DeviceId;
const random = new SeededRandom(71);
const ALL: EvictRequest = { olderThanMs: null, keepBytes: 0, replicas: 1, points: false, dryRun: false };

interface World {
  blobs: MemoryBlobStore;
  digest: BlobDigest;
  bytes: Uint8Array;
  options(peers: Record<string, Partial<BlobPeer>>, knowing?: string[]): EvictOptions;
}

async function open(): Promise<World> {
  const replica = await openReplica({ storage: new MemoryStorage(), device: DEVICE, random });
  onTestFinished(() => replica.close());
  const blobs = new MemoryBlobStore();
  const bytes = random.bytes(1_000);
  const digest = await blobs.write(bytes);
  await replica.transact('run/run-1' as DocumentName, (doc) =>
    new RunDocument(doc).putFile({
      kind: 'file',
      writer: '01kf000000000000000000000a' as WriterId,
      device: DEVICE,
      ordinal: 1,
      place: null,
      path: 'model' as AttributePath,
      name: 'model',
      size: 1_000,
      time: 1,
      modified: null,
      fileKind: 'file',
      mime: null,
      meta: null,
      travel: null,
      digest,
      chunks: null,
      spool: null,
      expected: null,
      source: null,
      failure: null,
      extra: {},
    }),
  );
  return {
    blobs,
    digest,
    bytes,
    options: (peers, knowing = Object.keys(peers)) => ({
      replica,
      blobs,
      clock: new FakeClock(1_000_000),
      random,
      peers: new Map(
        Object.entries(peers).map(([url, peer]) => [
          url,
          { about: () => Promise.resolve({ replica: url, losses: 0 }), ...peer } as BlobPeer,
        ]),
      ),
      holders: () => Promise.resolve(knowing),
    }),
  };
}

const codeOf = async (work: Promise<unknown>): Promise<string | undefined> =>
  work.then(
    () => undefined,
    (error: unknown) => (isFieldbookError(error) ? error.code : String(error)),
  );

it('[CLI-24] believes no proof but the one over its own nonce and every byte', async () => {
  const world = await open();
  const { bytes, digest, blobs } = world;
  const old = await proofOf(undefined, '01'.repeat(32), bytes);
  const lies: Record<string, BlobPeer['prove']> = {
    'says its name': () => Promise.resolve(digest),
    'repeats an answer of before': () => Promise.resolve(old),
    'has all but one byte': (_digest, nonce) => proofOf(undefined, nonce, bytes.subarray(1)),
    'says nothing': () => Promise.resolve(undefined),
  };
  for (const [name, prove] of Object.entries(lies)) {
    const { evicted, kept } = await evict(world.options({ relay: { prove } }), ALL);
    expect([name, evicted, kept.length]).toEqual([name, [], 1]);
    expect(await blobs.stat(digest), name).toBeDefined();
  }
  const prove: BlobPeer['prove'] = (_digest, nonce) => proofOf(undefined, nonce, bytes);
  const result = await evict(world.options({ relay: { prove } }), ALL);
  expect(result).toMatchObject({ evicted: [{ path: 'model' }], bytes: 1_000, kept: [] });
  expect(await blobs.stat(digest)).toBeUndefined();
});

it('[CLI-24] counts each replica once, itself never, and needs the record of the file there too', async () => {
  const world = await open();
  const { bytes, digest, blobs } = world;
  const prove: BlobPeer['prove'] = (_digest, nonce) => proofOf(undefined, nonce, bytes);
  const two = { ...ALL, replicas: 2 };
  const same = () => Promise.resolve({ replica: 'the same', losses: 0 });
  const twice = world.options({ a: { about: same, prove }, b: { about: same, prove } });
  expect(await codeOf(evict(twice, two))).toBe('peer_unreachable');
  const itself = world.options({
    a: { prove },
    me: { about: () => Promise.resolve({ replica: twice.replica.id, losses: 0 }), prove },
  });
  expect(await codeOf(evict(itself, two))).toBe('peer_unreachable');
  const half = await evict(world.options({ a: { prove }, b: { prove: () => Promise.resolve(undefined) } }), two);
  expect(half.kept[0]!.reason).toBe('1 of 2 other replicas could prove that they hold it');
  const unknown = await evict(world.options({ a: { prove } }, []), ALL);
  expect([unknown.evicted, unknown.kept.length]).toEqual([[], 1]);
  const dry = await evict(world.options({ a: { prove }, b: { prove } }), { ...two, dryRun: true });
  expect([dry.evicted.length, dry.bytes]).toEqual([1, 1_000]);
  expect(await blobs.stat(digest)).toBeDefined();
  expect((await evict(world.options({ a: { prove }, b: { prove } }), two)).evicted).toHaveLength(1);
  expect(await blobs.stat(digest)).toBeUndefined();
});

it('[FIL-15] leaves what is stored again while others prove that they hold it', async () => {
  const world = await open();
  const { bytes, digest, blobs } = world;
  const prove: BlobPeer['prove'] = async (_digest, nonce) => {
    await blobs.write(bytes);
    return proofOf(undefined, nonce, bytes);
  };
  const options = world.options({ relay: { prove } });
  expect((await evict(options, ALL)).bytes).toBe(0);
  expect(await blobs.read(digest)).toEqual(bytes);
  const marks: string[] = [];
  for await (const [key] of options.replica.listPrivate('evicted/')) marks.push(key);
  expect(marks).toEqual([]);
});
