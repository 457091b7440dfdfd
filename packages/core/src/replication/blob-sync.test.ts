import { expect, it, onTestFinished, vi } from 'vitest';
import { Book, RunDocument } from '../documents/index.ts';
import { FieldbookError } from '../errors.ts';
import { CHUNK_BYTES, encodeChunkList, RequestedFiles } from '../files/index.ts';
import type { AttributePath, DeviceId, DocumentName, WriterId } from '../ids.ts';
import type { BlobDigest } from '../ports.ts';
import type { FileEntry } from '../record/index.ts';
import type { Replica } from '../replica/index.ts';
import { makeTestEdit, MemoryBlobStore, MemoryStorage, SeededRandom } from '../testing/index.ts';
import { BOOK, openTestReplica, RUN } from '../testing/replicas.ts';
import type { BlobPeer } from './blob-peer.ts';
import { BlobSync } from './blob-sync.ts';

const random = new SeededRandom(61);
const WRITER = '01kf000000000000000000000a' as WriterId;
const DEVICE = 'd000000000000000000000001' as DeviceId;
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const timers = {
  after: (ms: number, run: () => void) => {
    const timer = setTimeout(run, Math.min(ms, 5));
    return () => clearTimeout(timer);
  },
};

/** Another replica's blobs; `before` runs before each put. */
class Peer implements BlobPeer {
  readonly blobs = new MemoryBlobStore();
  readonly came: BlobDigest[] = [];
  before: (digest: BlobDigest) => Promise<void> = () => Promise.resolve();

  id(): Promise<string> {
    return Promise.resolve('peer');
  }

  async missing(digests: readonly BlobDigest[]): Promise<BlobDigest[]> {
    const missing = [];
    for (const digest of digests) if ((await this.blobs.stat(digest)) === undefined) missing.push(digest);
    return missing;
  }

  prove(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  get(digest: BlobDigest): Promise<Uint8Array | undefined> {
    return this.blobs.read(digest);
  }

  async put(digest: BlobDigest, bytes: Uint8Array): Promise<void> {
    await this.before(digest);
    await this.blobs.write(bytes, digest);
    this.came.push(digest);
  }
}

interface World {
  replica: Replica;
  blobs: MemoryBlobStore;
  peer: Peer;
  start(): BlobSync;
}

async function open(): Promise<World> {
  const replica = await openTestReplica(new MemoryStorage());
  const blobs = new MemoryBlobStore();
  const peer = new Peer();
  const start = (): BlobSync => {
    const requested = new RequestedFiles(replica);
    const sync = new BlobSync({ replica, blobs, peer, timers, random, log: quiet, requested });
    onTestFinished(async () => {
      requested.close();
      await sync.stop();
    });
    sync.start();
    return sync;
  };
  return { replica, blobs, peer, start };
}

let ordinal = 0;
async function file(world: World, override: Partial<FileEntry>): Promise<void> {
  const entry: FileEntry = {
    kind: 'file',
    writer: WRITER,
    device: DEVICE,
    ordinal: ordinal++,
    place: null,
    path: 'model' as AttributePath,
    name: 'model',
    size: 1,
    time: 1,
    modified: null,
    fileKind: 'file',
    mime: null,
    meta: null,
    travel: null,
    digest: null,
    chunks: null,
    spool: null,
    expected: null,
    source: null,
    failure: null,
    extra: {},
    ...override,
  };
  await world.replica.transact(RUN, (doc) => new RunDocument(doc).putFile(entry));
}

async function segment(world: World, first: number): Promise<BlobDigest> {
  const digest = await world.blobs.write(random.bytes(30));
  await world.replica.transact(RUN, (doc) =>
    new RunDocument(doc).putSegment({
      kind: 'segment',
      writer: WRITER,
      device: DEVICE,
      first,
      last: first,
      digest,
      size: 30,
      points: 1,
      startTime: 1,
      endTime: 1,
      levels: [],
      extra: {},
    }),
  );
  return digest;
}

/** A file of two chunks, stored; its blobs in the order in which they are to be sent. */
async function largeFile(world: World, override: Partial<FileEntry> = {}): Promise<BlobDigest[]> {
  const chunks = [
    await world.blobs.write(new Uint8Array(CHUNK_BYTES).fill(random.int(256))),
    await world.blobs.write(random.bytes(40)),
  ];
  const size = CHUNK_BYTES + 40;
  const list = await world.blobs.write(encodeChunkList({ size, chunks }));
  const digest = Buffer.from(random.bytes(32)).toString('hex') as BlobDigest;
  await file(world, { size, digest, chunks: list, ...override });
  return [...chunks, list];
}

it('[RPL-30] points do not wait for a file that is being sent; its chunks come before their list', async () => {
  const world = await open();
  const blobs = await largeFile(world);
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  world.peer.before = (digest) => (blobs.includes(digest) ? held : Promise.resolve());
  const sync = world.start();
  await vi.waitFor(() => expect(sync.status().pending).toBe(3));
  const points = await segment(world, 0);
  await vi.waitFor(() => expect(world.peer.came).toEqual([points]));
  expect(sync.status().settled).toBe(false);
  release();
  await sync.whenSettled();
  expect(world.peer.came).toEqual([points, ...blobs]);
});

it('[RPL-28] what travels on request is sent when the request comes, and after a restart that cut it short', async () => {
  const world = await open();
  const digest = 'c'.repeat(64) as BlobDigest;
  const blobs = await largeFile(world, { travel: 'request', digest });
  const never = await world.blobs.write(random.bytes(9));
  await file(world, { travel: 'never', digest: never, size: 9 });
  const first = world.start();
  await first.whenSettled();
  expect(world.peer.came).toEqual([]);
  // The first chunk goes through, then nobody answers any more.
  world.peer.before = (asked) =>
    asked === blobs[0] ? Promise.resolve() : Promise.reject(new FieldbookError('peer_unreachable', 'gone'));
  for (const value of [digest, never]) {
    await world.replica.transact(BOOK as DocumentName, (doc) =>
      new Book(doc).addEdit(makeTestEdit({ field: 'request', op: 'add', value })),
    );
  }
  await vi.waitFor(() => expect(first.status().problem?.code).toBe('peer_unreachable'));
  expect(world.peer.came).toEqual([blobs[0]]);
  await first.stop();
  world.peer.before = () => Promise.resolve();
  await world.start().whenSettled();
  expect(world.peer.came).toEqual(blobs);
});
