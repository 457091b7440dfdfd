import { expect, it } from 'vitest';
import * as Y from 'yjs';
import { Book, RunDocument } from '../documents/index.ts';
import { CHUNK_BYTES, encodeChunkList } from '../files/index.ts';
import type { DocumentName, ProjectId, RunId } from '../ids.ts';
import { runDocumentName } from '../ids.ts';
import type { BlobDigest } from '../ports.ts';
import { encodeRecord } from '../record/index.ts';
import type { Replica } from '../replica/index.ts';
import { makeCard, makeTestEdit, MemoryBlobStore, MemoryStorage, SeededRandom } from '../testing/index.ts';
import { openTestReplica } from '../testing/replicas.ts';
import { entryOf, putEntries } from '../testing/stored-runs.ts';
import { PurgedRuns } from './purged-runs.ts';

const random = new SeededRandom(52);
const project = 'mnist' as ProjectId;
const bookOf = (of: string): DocumentName => `book/${of}/2026-03` as DocumentName;

const purge = (run: string, of = 'mnist'): ((replica: Replica) => Promise<unknown>) => {
  const edit = makeTestEdit({ run: run as RunId, field: 'purge', value: true });
  return (replica) => replica.transact(bookOf(of), (doc) => new Book(doc).addEdit(edit));
};
const card = (replica: Replica, run: string, of = 'mnist'): Promise<unknown> =>
  replica.transact(bookOf(of), (doc) =>
    new Book(doc).putCard(makeCard({ run: run as RunId, project: of as ProjectId })),
  );

const left = async (blobs: MemoryBlobStore): Promise<string[]> => {
  const digests: string[] = [];
  for await (const { digest } of blobs.list()) digests.push(digest);
  return digests;
};

/** Every way in which a run document can name a blob. */
const WAYS: Record<string, (replica: Replica, run: string, digest: BlobDigest) => Promise<unknown>> = {
  segment: (replica, run, digest) => putEntries(replica, run, entryOf.segment(digest)),
  level: (replica, run, digest) => putEntries(replica, run, entryOf.segment('0'.repeat(64) as BlobDigest, [digest])),
  objects: (replica, run, digest) => putEntries(replica, run, entryOf.objects(digest)),
  'file of a row': (replica, run, digest) =>
    putEntries(replica, run, entryOf.objects('0'.repeat(64) as BlobDigest, [digest])),
  file: (replica, run, digest) => putEntries(replica, run, entryOf.file(digest, null, 9)),
};

it.each([false, true])(
  '[FIL-16] a purge removes nothing that another run names, whatever names it here and there (documents kept: %s)',
  async (keepDocuments) => {
    const blobs = new MemoryBlobStore();
    const replica = await openTestReplica(new MemoryStorage());
    const make = (): Promise<BlobDigest> => blobs.write(random.bytes(30));
    const victims: BlobDigest[] = [];
    for (const [way, name] of Object.entries(WAYS)) {
      const digest = await make();
      victims.push(digest);
      await name(replica, `victim ${way}`.replaceAll(' ', '-'), digest);
    }
    // A chunk of a file, in an entry of a newer kind, and in a document as it was before a repair.
    const chunks = [await blobs.write(new Uint8Array(CHUNK_BYTES).fill(3)), await make()] as [BlobDigest, BlobDigest];
    const size = CHUNK_BYTES + 30;
    const list = await blobs.write(encodeChunkList({ size, chunks }));
    victims.push(...chunks, list);
    await putEntries(replica, 'victim-chunks', entryOf.file('c'.repeat(64) as BlobDigest, list, size));
    const newer = await make();
    victims.push(newer);
    await replica.transact(runDocumentName('victim-newer' as RunId), (doc) =>
      doc.getMap('entries').set('kiln/1', encodeRecord({ k: 'kiln', v: 9, bricks: [{ d: newer }] })),
    );
    const aside = await make();
    victims.push(aside);
    const before = runDocumentName('victim-repaired' as RunId);
    await putEntries(replica, 'victim-repaired', entryOf.segment(aside));
    await replica.adopt(before, { generation: 1, updates: [Y.encodeStateAsUpdate(new Y.Doc())] });

    const purged = new PurgedRuns(replica, blobs, undefined, { keepDocuments });
    const own: BlobDigest[] = [];
    for (const [way, name] of Object.entries(WAYS)) {
      const thief = `thief ${way}`.replaceAll(' ', '-');
      await card(replica, thief);
      for (const digest of victims) await name(replica, thief, digest);
      own.push(await make());
      await name(replica, thief, own.at(-1)!);
    }
    // What somebody noted as if a purge had left it.
    await card(replica, 'thief-noted');
    await replica.transact(runDocumentName('thief-noted' as RunId), (doc) => new RunDocument(doc).clear(victims));
    for (const thief of [...Object.keys(WAYS), 'noted']) await purge(`thief ${thief}`.replaceAll(' ', '-'))(replica);
    await purged.scanAll();
    await purged.settled();
    const there = await left(blobs);
    expect(victims.filter((digest) => !there.includes(digest))).toEqual([]);
    // It is not that nothing is removed.
    expect(own.filter((digest) => there.includes(digest))).toEqual([]);
    await purged.close();
    await replica.close();
  },
);

it('[FIL-17] purges that come together look once at what other runs name', async () => {
  const blobs = new MemoryBlobStore();
  const replica = await openTestReplica(new MemoryStorage());
  for (let count = 0; count < 40; count++) {
    await card(replica, `run${count}`);
    await putEntries(replica, `run${count}`, entryOf.segment(await blobs.write(random.bytes(20))));
  }
  await replica.transact(bookOf('mnist'), (doc) => {
    for (let count = 0; count < 39; count++)
      new Book(doc).addEdit(makeTestEdit({ run: `run${count}` as RunId, field: 'purge', value: true }));
  });
  let passes = 0;
  const counting = new Proxy(replica, {
    get: (target, key) => {
      if (key === 'list')
        return (prefix?: string) => {
          if (prefix === 'run/') passes += 1;
          return target.list(prefix);
        };
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  const purged = new PurgedRuns(counting, blobs);
  expect(await purged.has('run0' as RunId, project)).toBe(true);
  await purged.settled();
  expect(await left(blobs)).toHaveLength(1);
  expect(passes).toBeLessThanOrEqual(2);
  await purged.close();
  await replica.close();
});

it.each(['00', '01', '00 01', 'ff 00', '02'])(
  '[FIL-18] a purge empties a run whose blobs have digests that begin with %s',
  async (beginnings) => {
    const replica = await openTestReplica(new MemoryStorage());
    const digests = beginnings.split(' ').map((beginning) => beginning.padEnd(64, '5') as BlobDigest);
    await card(replica, 'gone');
    for (const digest of digests) await putEntries(replica, 'gone', entryOf.segment(digest));
    const purged = new PurgedRuns(replica, new MemoryBlobStore());
    await purge('gone')(replica);
    expect(await purged.has('gone' as RunId, project)).toBe(true);
    await purged.settled();
    const name = runDocumentName('gone' as RunId);
    const [isCleared, noted] = await replica.read(name, (doc) => {
      const document = new RunDocument(doc);
      return [document.isCleared, [...document.purgedBlobs()].sort()];
    });
    expect([isCleared, noted]).toEqual([true, digests.toSorted()]);
    // Another machine takes it in.
    const other = await openTestReplica(new MemoryStorage());
    await other.apply(name, (await replica.encodeState(name)).update, 'peer');
    await purged.close();
    await replica.close();
    await other.close();
  },
);
