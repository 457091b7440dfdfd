import { expect, it, onTestFinished, vi } from 'vitest';
import { Book, RunDocument } from '../documents/index.ts';
import { FieldbookError } from '../errors.ts';
import { CHUNK_BYTES, encodeChunkList, RequestedFiles } from '../files/index.ts';
import type { AttributePath, DeviceId, DocumentName, WriterId } from '../ids.ts';
import type { BlobDigest } from '../ports.ts';
import type { FileEntry } from '../record/index.ts';
import type { Replica } from '../replica/index.ts';
import { FakeClock, makeTestEdit, MemoryBlobStore, MemoryStorage, SeededRandom } from '../testing/index.ts';
import { BOOK, openTestReplica, RUN } from '../testing/replicas.ts';
import type { BlobPeer } from './blob-peer.ts';
import { BlobPull } from './blob-pull.ts';
import { BlobSync } from './blob-sync.ts';
import { PeerMemories } from './peer-memories.ts';

const random = new SeededRandom(61);
const WRITER = '01kf000000000000000000000a' as WriterId;
const DEVICE = 'd000000000000000000000001' as DeviceId;
const OTHER_DEVICE = 'd000000000000000000000002' as DeviceId;
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
  losses = 0;
  asked = 0;

  about(): Promise<{ replica: string; losses: number }> {
    return Promise.resolve({ replica: 'peer', losses: this.losses });
  }

  async missing(digests: readonly BlobDigest[]): Promise<BlobDigest[]> {
    const missing = [];
    this.asked += 1;
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
  clock: FakeClock;
  memories: PeerMemories;
  /** What the connection to the peer proved. */
  proven: DeviceId | null;
  start(documentsWait?: () => boolean, at?: Peer): BlobSync;
}

async function open(): Promise<World> {
  const replica = await openTestReplica(new MemoryStorage());
  const blobs = new MemoryBlobStore();
  const peer = new Peer();
  const clock = new FakeClock();
  const memories = new PeerMemories(replica);
  const start = (documentsWait = () => false, at = peer): BlobSync => {
    const requested = new RequestedFiles(replica);
    const sync = new BlobSync({
      replica,
      blobs,
      peer: at,
      memories: { of: (id) => memories.of(id, world.proven) },
      clock,
      timers,
      random,
      log: quiet,
      requested,
      documentsWait,
    });
    onTestFinished(async () => {
      requested.close();
      await sync.stop();
    });
    sync.start();
    return sync;
  };
  const world: World = { replica, blobs, peer, clock, memories, proven: null, start };
  return world;
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

async function segment(world: World, first: number, name = RUN, of?: BlobDigest): Promise<BlobDigest> {
  const digest = of ?? (await world.blobs.write(random.bytes(30)));
  await world.replica.transact(name, (doc) =>
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
    await world.replica.putPrivate([
      [`${cursor}/-/peer`, new TextEncoder().encode(String(lastSeq))],
      [`${cursor}-losses/-/peer`, new TextEncoder().encode('0')],
    ]);
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
    about: () => {
      looked++;
      return Promise.resolve({ replica: 'peer', losses: 0 });
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

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

it('[RPL-60] blobs of a document that the peer took long after them are asked for again, also after a restart', async () => {
  const world = await open();
  const { peer, clock, memories, replica } = world;
  const points = await segment(world, 0);
  const [first, second, list] = await largeFile(world);
  const blobs = [points, first!, second!, list!];
  const memory = await memories.of('peer');
  const { seq } = (await replica.info(RUN))!;
  memory.refuse('there', RUN, { seq, code: 'forbidden', reason: 'not yours' });
  let sync = world.start();
  await sync.whenSettled();
  expect(peer.came).toHaveLength(4);
  const known = (): boolean[] => blobs.map((blob) => sync.isKnownThere(blob, RUN, seq, true));
  expect(known()).toEqual([true, true, true, true]);
  clock.advance(93 * DAY);
  for (const blob of blobs) await peer.blobs.remove(blob);
  // Nothing there names them, so nobody knows.
  expect(known()).toEqual([false, false, false, false]);
  await sync.stop();
  sync = world.start();
  await sync.whenSettled();
  expect(peer.came).toHaveLength(4);
  expect(known()).toEqual([false, false, false, false]);
  memory.hold(RUN, seq);
  expect(sync.status().settled).toBe(false);
  await sync.whenSettled();
  expect(peer.came.slice(4).toSorted((a, b) => (a < b ? -1 : 1))).toEqual(blobs.toSorted((a, b) => (a < b ? -1 : 1)));
  expect(known()).toEqual([true, true, true, true]);
  // From now on they are named there.
  clock.advance(93 * DAY);
  expect(known()).toEqual([true, true, true, true]);
});

it('[RPL-60] a document that is taken in time, and what the peer holds, cost no question however long ago that was', async () => {
  const world = await open();
  const { peer, clock, memories, replica } = world;
  await segment(world, 0);
  await largeFile(world);
  const memory = await memories.of('peer');
  const first = world.start();
  await first.whenSettled();
  const { seq } = (await replica.info(RUN))!;
  expect(await notes(replica)).toEqual([`blobs-at-unheld/-/peer/${RUN}`, `files-at-unheld/-/peer/${RUN}`]);
  clock.advance(11 * HOUR);
  memory.hold(RUN, seq);
  // Nothing is kept of what is there.
  await vi.waitFor(async () => expect(await notes(replica)).toEqual([]));
  await first.stop();
  const { asked } = peer;
  clock.advance(93 * DAY);
  const sync = world.start();
  await sync.whenSettled();
  memory.reached(seq);
  await sync.whenSettled();
  expect(peer.asked).toBe(asked);
});

it('[RPL-60] a blob that another document names, which the peer was asked for long ago, is asked for again', async () => {
  const world = await open();
  const { peer, clock, memories, replica } = world;
  const memory = await memories.of('peer');
  const points = await segment(world, 0);
  const sync = world.start();
  await sync.whenSettled();
  memory.hold(RUN, (await replica.info(RUN))!.seq);
  // Both sides merge the points into others, and the peer lets go of these.
  clock.advance(2 * DAY);
  await peer.blobs.remove(points);
  await segment(world, 10, 'run/late' as DocumentName, points);
  await sync.whenSettled();
  expect(peer.came).toEqual([points, points]);
});

it('[RPL-61] chunks that went while the rest of their file was sent are sent again before the list', async () => {
  const world = await open();
  const [first, second, list] = await largeFile(world);
  world.peer.before = async (digest) => {
    if (digest === second) await world.peer.blobs.remove(first!);
  };
  await world.start().whenSettled();
  expect(world.peer.came).toEqual([first, second, first, list]);
});

it('[RPL-62] who has lost blobs gets again what is here, after a restart too, and asks nobody twice', async () => {
  const world = await open();
  const { peer, memories, replica } = world;
  const points = await segment(world, 0);
  const [first] = await largeFile(world);
  const memory = await memories.of('peer');
  const sync = world.start();
  await sync.whenSettled();
  memory.hold(RUN, (await replica.info(RUN))!.seq);
  peer.came.length = 0;
  await peer.blobs.remove(points);
  peer.losses = 1;
  await sync.whenSettled();
  expect(peer.came).toEqual([points]);
  await sync.stop();
  await peer.blobs.remove(first!);
  peer.losses = 2;
  const again = world.start();
  await again.whenSettled();
  expect(peer.came).toEqual([points, first]);
  await again.stop();
  const { asked } = peer;
  await world.start().whenSettled();
  expect(peer.asked).toBe(asked);
});

it('[BLB-11] a peer that says it has lost more is asked soon, and once', async () => {
  const world = await open();
  const { peer, memories, replica } = world;
  const points = await segment(world, 0);
  const sync = world.start();
  await sync.whenSettled();
  (await memories.of('peer')).hold(RUN, (await replica.info(RUN))!.seq);
  await peer.blobs.remove(points);
  peer.losses = 1;
  sync.hearLosses(1);
  expect(sync.status().settled).toBe(false);
  await vi.waitFor(() => expect(peer.came).toEqual([points, points]));
  await vi.waitFor(() => expect(sync.status().settled).toBe(true));
  const { asked } = peer;
  sync.hearLosses(1);
  expect(sync.status().settled).toBe(true);
  // One whose answer is another is asked once for each time that it says so.
  sync.hearLosses(2);
  await vi.waitFor(() => expect(sync.status().settled).toBe(true));
  expect(peer.asked).toBe(asked);
});

it('[BND-21] blobs that come after their document count as there when they were offered, also after a restart', async () => {
  const world = await open();
  const { peer, memories, replica, blobs } = world;
  const bytes = random.bytes(30);
  const digest = await new MemoryBlobStore().write(bytes);
  let sync = world.start();
  sync.expect(RUN);
  await segment(world, 0, RUN, digest);
  await sync.whenSettled();
  const { seq } = (await replica.info(RUN))!;
  (await memories.of('peer')).hold(RUN, seq);
  const isKnown = (): boolean => sync.isKnownThere(digest, RUN, seq, true);
  expect(isKnown()).toBe(false);
  await sync.doubt([[RUN, seq]], '-/peer');
  await blobs.write(bytes);
  await sync.stop();
  sync = world.start();
  await sync.whenSettled();
  expect([peer.came, isKnown()]).toEqual([[digest], true]);
  expect(await notes(replica)).toEqual([]);
});

it('[BND-21] what comes while it is looked for is looked for again, and nothing is kept of it', async () => {
  const world = await open();
  const { peer, memories, replica, blobs } = world;
  const bytes = random.bytes(30);
  const digest = await new MemoryBlobStore().write(bytes);
  const sync = world.start();
  await sync.whenSettled();
  await segment(world, 0, RUN, digest);
  const { seq } = (await replica.info(RUN))!;
  (await memories.of('peer')).hold(RUN, seq);
  await sync.whenSettled();
  expect(sync.isKnownThere(digest, RUN, seq, true)).toBe(true);
  sync.expect(RUN);
  expect(sync.isKnownThere(digest, RUN, seq, true)).toBe(false);
  await sync.doubt([[RUN, seq]], '-/peer');
  await sync.whenSettled();
  expect(sync.isKnownThere(digest, RUN, seq, true)).toBe(false);
  await blobs.write(bytes);
  sync.arrived(new Set([RUN]), true);
  expect([sync.status().settled, sync.isKnownThere(digest, RUN, seq, true)]).toEqual([false, false]);
  await sync.whenSettled();
  expect([peer.came, sync.isKnownThere(digest, RUN, seq, true)]).toEqual([[digest], true]);
  await vi.waitFor(async () => expect(await notes(replica)).toEqual([]));
});

it('[BND-21] of a peer that has not answered since the start it is written down too', async () => {
  const world = await open();
  const { peer, memories, replica, blobs } = world;
  const bytes = random.bytes(30);
  const digest = await new MemoryBlobStore().write(bytes);
  await segment(world, 0, RUN, digest);
  const first = world.start();
  await first.whenSettled();
  const { seq } = (await replica.info(RUN))!;
  (await memories.of('peer')).hold(RUN, seq);
  await first.stop();
  const about = peer.about.bind(peer);
  peer.about = () => Promise.reject(new FieldbookError('peer_unreachable', 'gone'));
  const away = world.start();
  away.expect(RUN);
  await away.doubt([[RUN, seq]], '-/peer');
  await blobs.write(bytes);
  await away.stop();
  peer.about = about;
  await world.start().whenSettled();
  expect(peer.came).toEqual([digest]);
});

it('[BLB-11] [RPL-64] a relay fetches from one that it dials what it lost, and tells of what came', async () => {
  const { replica, blobs, peer, ...world } = await open();
  const points = await segment({ replica, blobs, peer, ...world }, 0);
  await peer.blobs.write((await blobs.read(points))!);
  const came: DocumentName[] = [];
  const requested = new RequestedFiles(replica);
  const pull = new BlobPull({
    replica,
    blobs,
    fetch: async (digest) => {
      const bytes = await peer.blobs.read(digest);
      if (bytes !== undefined) await blobs.write(bytes, digest);
      return bytes;
    },
    requested,
    onFetched: (name) => came.push(name),
    timers,
    log: quiet,
  });
  onTestFinished(async () => {
    requested.close();
    await pull.stop();
  });
  pull.start();
  const fresh = await peer.blobs.write(random.bytes(30));
  await segment({ replica, blobs, peer, ...world }, 10, 'run/far' as DocumentName, fresh);
  await vi.waitFor(async () => expect(await blobs.stat(fresh)).toBeDefined());
  await vi.waitFor(() => expect(came).toEqual(['run/far']));
  await blobs.remove(points);
  pull.rescan();
  await vi.waitFor(() => expect(came).toEqual(['run/far', RUN]));
  expect(await blobs.stat(points)).toBeDefined();
});

async function notes(replica: Replica): Promise<string[]> {
  const keys: string[] = [];
  for (const lane of ['blobs', 'files'])
    for await (const [key] of replica.listPrivate(`${lane}-at-unheld/`)) keys.push(key);
  return keys;
}

it('[RPL-65] what a server says of blobs counts for the device that it proved, not for the replica id that it says', async () => {
  const world = await open();
  world.proven = DEVICE;
  const first = await segment(world, 0);
  const sync = world.start();
  await sync.whenSettled();
  await sync.stop();
  // Another one says that id, and that it has everything.
  const liar = new Peer();
  liar.missing = () => Promise.resolve([]);
  const second = await segment(world, 10);
  world.proven = OTHER_DEVICE;
  const lied = world.start(undefined, liar);
  await lied.whenSettled();
  await lied.stop();
  expect(liar.came).toEqual([]);
  world.proven = DEVICE;
  await world.start().whenSettled();
  expect(world.peer.came).toEqual([first, second]);
});
