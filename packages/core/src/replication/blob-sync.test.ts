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
  start(documentsWait?: () => boolean): BlobSync;
}

async function open(): Promise<World> {
  const replica = await openTestReplica(new MemoryStorage());
  const blobs = new MemoryBlobStore();
  const peer = new Peer();
  const start = (documentsWait = () => false): BlobSync => {
    const requested = new RequestedFiles(replica);
    const sync = new BlobSync({ replica, blobs, peer, timers, random, log: quiet, requested, documentsWait });
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

it('[RPL-28] is not settled before it is known what was asked for', async () => {
  const world = await open();
  const digest = 'd'.repeat(64) as BlobDigest;
  const blobs = await largeFile(world, { travel: 'request', digest });
  await world.replica.transact(BOOK as DocumentName, (doc) =>
    new Book(doc).addEdit(makeTestEdit({ field: 'request', op: 'add', value: digest })),
  );
  // What an earlier process has looked at, before the request: nothing of it is looked at again for the feed's sake.
  const { lastSeq } = world.replica;
  for (const cursor of ['blobs-at', 'files-at'])
    await world.replica.putPrivate([[`${cursor}/peer`, new TextEncoder().encode(String(lastSeq))]]);
  // The books take long to read.
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const slow = new Proxy(world.replica, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (name !== 'list' || typeof value !== 'function')
        return typeof value === 'function' ? value.bind(target) : value;
      return async function* (prefix: string) {
        await held;
        yield* target.list(prefix);
      };
    },
  });
  const requested = new RequestedFiles(slow);
  let looked = 0;
  const peer = Object.assign(world.peer, {
    id: () => {
      looked++;
      return Promise.resolve('peer');
    },
  });
  const sync = new BlobSync({ ...world, peer, timers, random, log: quiet, requested });
  onTestFinished(async () => {
    requested.close();
    await sync.stop();
  });
  sync.start();
  let settled = false;
  const waiting = sync.whenSettled().then(() => (settled = true));
  // Both lanes have been around and are at rest.
  await vi.waitFor(() => expect([looked >= 2, sync.status().pending, sync.status().problem]).toEqual([true, 0, null]));
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  expect([sync.status().settled, settled]).toEqual([false, false]);
  release();
  await waiting;
  expect(world.peer.came).toEqual(blobs);
});

it('[RPL-32] a blob waits while documents are on their way, but not for ever', async () => {
  const world = await open();
  const digests = [await segment(world, 0), await segment(world, 10)];
  let asked = 0;
  // On their way when the first blob is looked at, through at the third look; then never again through.
  const sync = world.start(() => ++asked < 3 || world.peer.came.length > 0);
  let before = 0;
  world.peer.before = () => {
    if (world.peer.came.length === 0) before = asked;
    return Promise.resolve();
  };
  await sync.whenSettled();
  expect(before).toBe(3);
  expect(world.peer.came.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(digests.toSorted((a, b) => (a < b ? -1 : 1)));
  expect(asked).toBe(3 + 4);
});
