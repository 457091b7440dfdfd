import { expect, it } from 'vitest';
import { Book, RunDocument } from '../documents/index.ts';
import { CHUNK_BYTES, encodeChunkList } from '../files/index.ts';
import type { DocumentName, ProjectId, RunId } from '../ids.ts';
import type { BlobDigest } from '../ports.ts';
import type { Replica } from '../replica/index.ts';
import { makeCard, makeTestEdit, MemoryBlobStore, MemoryStorage, SeededRandom } from '../testing/index.ts';
import { openTestReplica } from '../testing/replicas.ts';
import { entryDevice, entryOf, putEntries } from '../testing/stored-runs.ts';
import { PurgedRuns } from './purged-runs.ts';

const random = new SeededRandom(51);
const project = 'mnist' as ProjectId;
const BOOK = 'book/mnist/2026-03' as DocumentName;

const put = (replica: Replica, run: string, digest: BlobDigest, size: number, chunks: BlobDigest | null) =>
  putEntries(replica, run, entryOf.file(digest, chunks, size));

const purge = async (replica: Replica, run: string): Promise<void> => {
  await replica.transact(BOOK, (doc) => {
    new Book(doc).putCard(makeCard({ run: run as RunId, project, device: entryDevice }));
    new Book(doc).addEdit(makeTestEdit({ run: run as RunId, field: 'purge', value: true }));
  });
};

it('[FIL-14] the files of a purged run go, but for blobs and chunks that another run names', async () => {
  const blobs = new MemoryBlobStore();
  const replica = await openTestReplica(new MemoryStorage());
  const [shared, own, alsoOwn, theirs] = await Promise.all(
    [CHUNK_BYTES, 5, 6, 7].map((size, index) => blobs.write(new Uint8Array(size).fill(index + 1))),
  );
  const list = async (tail: BlobDigest, size: number): Promise<BlobDigest> =>
    blobs.write(encodeChunkList({ size: CHUNK_BYTES + size, chunks: [shared!, tail] }));
  const mine = await list(own!, 5);
  const other = await list(theirs!, 7);
  await put(replica, 'gone', 'a'.repeat(64) as BlobDigest, CHUNK_BYTES + 5, mine);
  await put(replica, 'gone', alsoOwn!, 6, null);
  const both = await blobs.write(random.bytes(20));
  await put(replica, 'gone', both, 20, null);
  await put(replica, 'stays', both, 20, null);
  await put(replica, 'stays', 'b'.repeat(64) as BlobDigest, CHUNK_BYTES + 7, other);
  const purged = new PurgedRuns(replica, blobs);
  await purge(replica, 'gone');
  await purged.has('gone' as RunId, project);
  await purged.settled();
  const left: string[] = [];
  for await (const { digest } of blobs.list()) left.push(digest);
  expect(left).toEqual([shared!, theirs!, other, both].sort());
  await purged.close();
  await replica.close();
});

it('[FIL-14] a process that ends while it removes them leaves the rest to the next one', async () => {
  const blobs = new MemoryBlobStore();
  const replica = await openTestReplica(new MemoryStorage());
  const digests = await Promise.all([1, 2, 3].map((size) => blobs.write(random.bytes(size))));
  for (const digest of digests) await put(replica, 'gone', digest, 1, null);
  let removed = 0;
  const dying = {
    read: blobs.read.bind(blobs),
    stat: blobs.stat.bind(blobs),
    removal: () => ({
      ...blobs.removal(),
      remove: async (digest: BlobDigest) => {
        if (removed++ > 0) throw new Error('killed');
        await blobs.remove(digest);
        return true;
      },
    }),
  };
  const first = new PurgedRuns(replica, dying);
  await purge(replica, 'gone');
  await first.has('gone' as RunId, project);
  await first.close();
  // Meanwhile another run has come by one of the files.
  const kept = (await Promise.all(digests.map((digest) => blobs.stat(digest)))).find((stat) => stat !== undefined)!;
  await put(replica, 'new', kept.digest, kept.size, null);
  const next = new PurgedRuns(replica, blobs);
  next.resume();
  await next.close();
  const left: string[] = [];
  for await (const { digest } of blobs.list()) left.push(digest);
  expect(left).toEqual([kept.digest]);
  const marks: string[] = [];
  for await (const [key] of replica.listPrivate('purging/')) marks.push(key);
  expect(marks).toEqual([]);
  await replica.close();
});

it('[FIL-15] a purge leaves what somebody stores while it looks at what others name', async () => {
  const blobs = new MemoryBlobStore();
  const replica = await openTestReplica(new MemoryStorage());
  const bytes = random.bytes(40);
  const [shared, own] = await Promise.all([blobs.write(bytes), blobs.write(random.bytes(41))]);
  await put(replica, 'gone', shared, 40, null);
  await put(replica, 'gone', own, 41, null);
  await put(replica, 'other', await blobs.write(random.bytes(42)), 42, null);
  // After the look at the other runs, of which none names it, and before the first removal.
  const storing = {
    read: blobs.read.bind(blobs),
    stat: blobs.stat.bind(blobs),
    removal: () => {
      const removal = blobs.removal();
      let stored: Promise<unknown> | undefined;
      return {
        ...removal,
        remove: async (digest: BlobDigest) => (await (stored ??= blobs.write(bytes)), removal.remove(digest)),
      };
    },
  };
  const purged = new PurgedRuns(replica, storing);
  await purge(replica, 'gone');
  await purged.has('gone' as RunId, project);
  await purged.close();
  await put(replica, 'new', shared, 40, null);
  expect(await blobs.stat(own)).toBeUndefined();
  expect(await blobs.read(shared)).toEqual(bytes);
  await replica.close();
});

it('[FIL-14] a replica that hears of the purge and of the emptying at once knows what to remove, and says nothing of its own', async () => {
  const bytes = [random.bytes(50), random.bytes(51)];
  const first = { replica: await openTestReplica(new MemoryStorage()), blobs: new MemoryBlobStore() };
  const digests = await Promise.all(bytes.map((one) => first.blobs.write(one)));
  await put(first.replica, 'gone', digests[0]!, 50, null);
  await put(first.replica, 'gone', digests[1]!, 51, null);
  const purged = new PurgedRuns(first.replica, first.blobs);
  await purge(first.replica, 'gone');
  await purged.has('gone' as RunId, project);
  await purged.close();
  for (const keepDocuments of [true, false]) {
    const replica = await openTestReplica(new MemoryStorage());
    const blobs = new MemoryBlobStore();
    await Promise.all(bytes.map((one) => blobs.write(one)));
    // One of them is that of another run here.
    await put(replica, 'stays', digests[1]!, 51, null);
    const here = new PurgedRuns(replica, blobs, undefined, { keepDocuments });
    const name = 'run/gone' as DocumentName;
    await replica.apply(name, (await first.replica.encodeState(name)).update, 'peer');
    const { lastSeq } = replica;
    await replica.apply(BOOK, (await first.replica.encodeState(BOOK)).update, 'peer');
    await here.has('gone' as RunId, project);
    await here.close();
    const left: string[] = [];
    for await (const { digest } of blobs.list()) left.push(digest);
    expect(left).toEqual([digests[1]]);
    // Only the book came: two machines that empty a document in turn would never end.
    expect(replica.lastSeq).toBe(lastSeq + 1);
    await replica.close();
  }
  await first.replica.close();
});

it('[FIL-14] a run that is not here is purged all the same: when what it recorded comes later, it is emptied and its files go', async () => {
  const [blobs, far] = [new MemoryBlobStore(), await openTestReplica(new MemoryStorage())];
  // It follows some: the book is here, the run is elsewhere.
  const replica = await openTestReplica(new MemoryStorage());
  const purged = new PurgedRuns(replica, blobs);
  await purge(replica, 'far');
  expect(await purged.has('far' as RunId, project)).toBe(true);
  await purged.settled();
  expect(await replica.info('run/far' as DocumentName)).toBeUndefined();
  // Somebody opens it on a machine that has not heard of the purge, and it comes.
  const digest = await blobs.write(random.bytes(20));
  await put(far, 'far', digest, 20, null);
  const { update } = await far.encodeState('run/far' as DocumentName);
  await replica.apply('run/far' as DocumentName, update, 'peer');
  await purged.settled();
  expect(await blobs.stat(digest)).toBeUndefined();
  expect(await replica.read('run/far' as DocumentName, (doc) => [...new RunDocument(doc).files()])).toEqual([]);
  await purged.close();
  await replica.close();
});
