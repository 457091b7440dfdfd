import { expect, it } from 'vitest';
import * as Y from 'yjs';
import { Book, noteText, RunDocument } from '../documents/index.ts';
import { CHUNK_BYTES, encodeChunkList } from '../files/index.ts';
import type { DeviceId, DocumentName, ProjectId, RunId } from '../ids.ts';
import { noteDocumentName, runDocumentName } from '../ids.ts';
import { Library } from '../library/index.ts';
import type { BlobDigest } from '../ports.ts';
import { encodeRecord } from '../record/index.ts';
import type { Replica } from '../replica/index.ts';
import {
  codeOf,
  makeCard,
  makeTestEdit,
  MemoryBlobStore,
  memoryStorage,
  MemoryStorage,
  SeededRandom,
} from '../testing/index.ts';
import { openTestReplica } from '../testing/replicas.ts';
import { entryDevice, entryOf, putEntries } from '../testing/stored-runs.ts';
import { PurgedRuns } from './purged-runs.ts';

const random = new SeededRandom(52);
const project = 'mnist' as ProjectId;
const bookOf = (of: string): DocumentName => `book/${of}/2026-03` as DocumentName;

const purge = (run: string, of = 'mnist'): ((replica: Replica) => Promise<unknown>) => {
  const edit = makeTestEdit({ run: run as RunId, field: 'purge', value: true });
  return (replica) => replica.transact(bookOf(of), (doc) => new Book(doc).addEdit(edit));
};
const card = (replica: Replica, run: string, of = 'mnist', device = entryDevice): Promise<unknown> =>
  replica.transact(bookOf(of), (doc) =>
    new Book(doc).putCard(makeCard({ run: run as RunId, project: of as ProjectId, device })),
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

/** What is left of a run: entries of its document, blobs, and letters of its note. */
async function remains(replica: Replica, blobs: MemoryBlobStore, run: string): Promise<[number, number, number]> {
  const name = runDocumentName(run as RunId);
  const [entries, note] = [
    await replica.read(name, (doc) => [...new RunDocument(doc).entries()].length),
    await replica.read(noteDocumentName(run as RunId), (doc) => noteText(doc).length),
  ];
  return [entries, (await left(blobs)).length, note];
}

const WHOLE = [1, 1, 4];
const GONE = [0, 0, 0];

/** Steps in which the records of a run may come, and what must be left of it behind each. */
const REACHES: [what: string, steps: [string, number[]][]][] = [
  [
    'the purge of a project that has no card of it',
    [
      ['card mnist', WHOLE],
      ['purge speech', WHOLE],
    ],
  ],
  [
    'the same before the card comes',
    [
      ['purge speech', WHOLE],
      ['card mnist', WHOLE],
    ],
  ],
  [
    'the purge of one of its two projects',
    [
      ['card mnist', WHOLE],
      ['card speech', WHOLE],
      ['purge speech', WHOLE],
    ],
  ],
  [
    'the same in another order',
    [
      ['purge speech', WHOLE],
      ['card mnist', WHOLE],
      ['card speech', WHOLE],
    ],
  ],
  [
    'the purge of both',
    [
      ['card mnist', WHOLE],
      ['card speech', WHOLE],
      ['purge speech', WHOLE],
      ['purge mnist', GONE],
    ],
  ],
  [
    'the purge of both before the cards',
    [
      ['purge speech', WHOLE],
      ['purge mnist', WHOLE],
      ['card mnist', GONE],
    ],
  ],
  [
    'the purge of its project',
    [
      ['card mnist', WHOLE],
      ['purge mnist', GONE],
    ],
  ],
  [
    'the purge of its project before the card',
    [
      ['purge mnist', WHOLE],
      ['card mnist', GONE],
    ],
  ],
  // What a machine that follows one project knows of a run of two, or of somebody who was first to use its id.
  [
    'cards of devices that wrote nothing in it',
    [
      ['foreign speech', WHOLE],
      ['purge speech', WHOLE],
    ],
  ],
  [
    'the purge of its project, where somebody put a card of it into another',
    [
      ['card mnist', WHOLE],
      ['foreign speech', WHOLE],
      ['purge mnist', GONE],
    ],
  ],
  [
    'the same, and then its own',
    [
      ['foreign speech', WHOLE],
      ['purge speech', WHOLE],
      ['card speech', GONE],
    ],
  ],
];

it.each(REACHES)('[ACC-70] how far a purge reaches: %s', async (_what, steps) => {
  const blobs = new MemoryBlobStore();
  const replica = await openTestReplica(new MemoryStorage());
  await putEntries(replica, 'r', entryOf.segment(await blobs.write(random.bytes(30))));
  await replica.transact(noteDocumentName('r' as RunId), (doc) => noteText(doc).insert(0, 'note'));
  const library = await Library.open(replica);
  const purged = new PurgedRuns(replica, blobs);
  await purged.scanAll();
  for (const [step, expected] of steps) {
    const [what, of] = step.split(' ') as [string, string];
    if (what === 'purge') await purge('r', of)(replica);
    else await card(replica, 'r', of, what === 'card' ? entryDevice : ('d'.padEnd(25, '9') as DeviceId));
    await purged.has('r' as RunId, of as ProjectId);
    await purged.settled();
    expect([step, ...(await remains(replica, blobs, 'r'))]).toEqual([step, ...expected]);
    // Nothing is swept up that somebody is shown.
    const shown = await Promise.all(['mnist', 'speech'].map((each) => library.run(each as ProjectId, 'r' as RunId)));
    const isForeign = steps.some(([each]) => each.startsWith('foreign'));
    if (expected === GONE && !isForeign) expect(shown.some((state) => state?.known)).toBe(false);
    if (shown.some((state) => state?.known)) expect(await library.isPurged('r' as RunId)).toBe(false);
  }
  // What comes later, by this machine or another, goes too, or stays.
  await putEntries(replica, 'r', entryOf.segment(await blobs.write(random.bytes(30))));
  await purged.settled();
  const later = await remains(replica, blobs, 'r');
  expect(later).toEqual(steps.at(-1)![1] === GONE ? GONE : [2, 2, 4]);
  library.close();
  await purged.close();
  await replica.close();
});

it('[ACC-70] while a book cannot be read, in which there may be a card, no run is swept up; once it is rebuilt they are', async () => {
  const blobs = new MemoryBlobStore();
  const storage = await memoryStorage();
  const before = await openTestReplica(storage);
  await putEntries(before, 'r', entryOf.segment(await blobs.write(random.bytes(30))));
  await card(before, 'r', 'mnist');
  await card(before, 'other', 'speech');
  for await (const [key, value] of storage.range({})) {
    // An update in the log of the other project's book.
    if (key[0] !== 0x75 || !new TextDecoder('latin1').decode(value).includes('other/')) continue;
    value[9]! ^= 1;
    await storage.batch([{ type: 'put', key, value }], { sync: true });
  }
  const replica = await openTestReplica(storage);
  expect(await codeOf(replica.read(bookOf('speech'), () => {}))).toBe('document_quarantined');
  const purged = new PurgedRuns(replica, blobs);
  await purge('r', 'mnist')(replica);
  expect(await purged.has('r' as RunId, project)).toBe(true);
  await purged.settled();
  expect(await remains(replica, blobs, 'r')).toEqual([1, 1, 0]);
  await replica.adopt(bookOf('speech'), { generation: 1, updates: [Y.encodeStateAsUpdate(new Y.Doc())] });
  await purged.scanAll();
  await purged.settled();
  expect(await remains(replica, blobs, 'r')).toEqual(GONE);
  await purged.close();
  await replica.close();
});
