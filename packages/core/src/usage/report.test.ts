import { describe, expect, it } from 'vitest';
import { Book, noteText, Workspace } from '../documents/index.ts';
import { CHUNK_BYTES, encodeChunkList } from '../files/index.ts';
import type { DocumentName, ProjectId, RunId } from '../ids.ts';
import { noteDocumentName, WORKSPACE_DOCUMENT } from '../ids.ts';
import type { BlobDigest } from '../ports.ts';
import type { Replica } from '../replica/index.ts';
import {
  entryOf,
  fromNewerVersion,
  FakeClock,
  makeCard,
  MemoryBlobStore,
  MemoryStorage,
  putEntries,
  SeededRandom,
  testHistory,
} from '../testing/index.ts';
import { openTestReplica } from '../testing/replicas.ts';
import type { StorageReport, UsageContext } from './report.ts';
import { measureUsage } from './report.ts';

const random = new SeededRandom(77);
const timers = { after: (_: number, run: () => void) => (setImmediate(run), () => {}) };

interface World {
  storage: MemoryStorage;
  replica: Replica;
  blobs: MemoryBlobStore;
}

async function world(): Promise<World> {
  const storage = new MemoryStorage();
  return { storage, replica: await openTestReplica(storage, { history: testHistory() }), blobs: new MemoryBlobStore() };
}

function measure({ storage, replica, blobs }: World, more: Partial<UsageContext> = {}): Promise<StorageReport> {
  return measureUsage({
    storage,
    replica,
    blobs,
    clock: new FakeClock(),
    timers,
    waiting: ['ingest/g/'],
    disk: () => Promise.resolve({ free: 5, total: 10 }),
    folders: () =>
      Promise.resolve(
        new Map([
          ['store', { files: 3, bytes: 1_000 }],
          ['audit log', { files: 1, bytes: 70 }],
        ]),
      ),
    ...more,
  });
}

async function card(replica: Replica, run: string, project: string): Promise<void> {
  const name = `book/${project}/2026-03` as DocumentName;
  await replica.transact(name, (doc) =>
    new Book(doc).putCard(makeCard({ run: run as RunId, project: project as ProjectId })),
  );
}

const blob = (blobs: MemoryBlobStore, size: number): Promise<BlobDigest> => blobs.write(random.bytes(size));

/** Two projects: runs with every kind of blob, one that both name, and two that nobody does. */
async function filled(): Promise<World & { waits: BlobDigest; file: BlobDigest }> {
  const made = await world();
  const { replica, blobs } = made;
  await replica.transact(WORKSPACE_DOCUMENT, (doc) =>
    new Workspace(doc).ensureBook('a' as ProjectId, '2026-03' as never, 'A', 1),
  );
  await card(replica, 'big', 'a');
  await card(replica, 'small', 'b');
  const [segment, level, objects, picture, shared] = await Promise.all(
    [100, 10, 200, 20, 3_000].map((size) => blob(blobs, size)),
  );
  const chunks = await Promise.all([CHUNK_BYTES, 7].map((size) => blob(blobs, size)));
  const list = await blobs.write(encodeChunkList({ size: CHUNK_BYTES + 7, chunks }));
  const whole = 'f'.repeat(64) as BlobDigest;
  await putEntries(
    replica,
    'big',
    entryOf.segment(segment!, [level!]),
    entryOf.objects(objects!, [picture!]),
    entryOf.file(whole, list, CHUNK_BYTES + 7),
    entryOf.file(shared!, null, 3_000),
  );
  await putEntries(replica, 'small', entryOf.file(shared!, null, 3_000), entryOf.segment('e'.repeat(64) as BlobDigest));
  await replica.transact(noteDocumentName('small' as RunId), (doc) => noteText(doc).insert(0, 'words'));
  await blob(blobs, 40);
  const waits = await blob(blobs, 50);
  await replica.putPrivate([[`ingest/g/${waits}`, new Uint8Array([1])]]);
  return { ...made, waits, file: list };
}

describe('the storage report', () => {
  it('[OPS-16] says what takes how much by kind, project and run, each blob once', async () => {
    const made = await filled();
    const report = await measure(made);
    const listSize = (await made.blobs.stat(made.file))!.size;
    const files = 3_000 + CHUNK_BYTES + 7 + listSize;
    expect(report.blobs).toEqual({
      count: 10,
      bytes: 110 + 220 + files + 90,
      points: { count: 2, bytes: 110 },
      objects: { count: 2, bytes: 220 },
      files: { count: 4, bytes: files },
      unnamed: { count: 2, bytes: 90 },
      waiting: { count: 1, bytes: 50 },
      shared: { count: 1, bytes: 3_000 },
    });
    expect(report.bytes).toBe(1_000 + report.blobs.bytes + 70);
    expect(report.folders).toEqual([{ name: 'audit log', files: 1, bytes: 70 }]);
    // The store itself, added up by other means.
    const kinds = Object.fromEntries(report.store.kinds.map(({ kind, count, bytes }) => [kind, [count, bytes]]));
    const [live, byLetter] = [{ bytes: 0 }, new Map<string, number>()];
    for await (const [key, value] of made.storage.range({})) {
      const [text, bytes] = [Buffer.from(key).toString('latin1'), key.length + value.length];
      live.bytes += bytes;
      const letter = /^[duso]\/run\//.test(text) ? 'run' : text[0]!;
      byLetter.set(letter, (byLetter.get(letter) ?? 0) + bytes);
    }
    expect(report.store.live).toBe(live.bytes);
    expect(kinds['runs']).toEqual([2, byLetter.get('run')]);
    expect(kinds['private']).toEqual([1, byLetter.get('x')]);
    expect(kinds['books']![0]).toBe(2);
    expect(report.store.kinds.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(live.bytes);
    const [big, small] = report.runs;
    expect(report.runs.map(({ run, project }) => [run, project])).toEqual([
      ['big', 'a'],
      ['small', 'b'],
    ]);
    expect(big).toMatchObject({ points: 110, objects: 220, files });
    // What both name counts with the first.
    expect(small).toMatchObject({ points: 0, objects: 0, files: 0 });
    expect(big!.documents + small!.documents).toBe(kinds['runs']![1]! + kinds['notes']![1]!);
    expect(report.projects.map(({ project, runs, bytes }) => [project, runs, bytes])).toEqual([
      ['a', 1, big!.bytes],
      ['b', 1, small!.bytes],
    ]);
    expect(report.unreadable).toBe(0);
  });

  it('[OPS-16] the log for repair, what lies aside and parts of a newer version stand by themselves', async () => {
    const { storage, replica, blobs } = await world();
    const name = await putEntries(replica, 'run-1', entryOf.segment(await blob(blobs, 9)));
    await replica.compact(name);
    await replica.rebuild(name, { reason: 'repair', time: 1_768_478_400_000 });
    await replica.apply(name, fromNewerVersion(), 'elsewhere');
    const report = await measure({ storage, replica, blobs });
    const of = (kind: string): number => report.store.kinds.find((each) => each.kind === kind)!.bytes;
    expect(of('log')).toBeGreaterThan(0);
    expect(of('replaced')).toBeGreaterThan(0);
    expect(report.unreadable).toBe(1);
    expect(report.projects).toMatchObject([{ project: null, runs: 1, points: 9 }]);
  });

  it('[OPS-17] is the same in parts of any size, names ten runs, and lets others work all the time', async () => {
    const made = await world();
    for (let run = 0; run < 40; run++) {
      const [points, file] = [await blob(made.blobs, 100 + run), await blob(made.blobs, 5)];
      await putEntries(made.replica, `run-${run}`, entryOf.segment(points), entryOf.file(file, null, 5));
    }
    // Every look at the clock takes a millisecond.
    const [clock, counts] = [new FakeClock(), { breaths: 0, looks: 0, longest: 0 }];
    const now = (): number => {
      counts.longest = Math.max(counts.longest, (counts.looks += 1));
      clock.advance(1);
      return clock.now();
    };
    const after = (_: number, run: () => void): (() => void) => {
      counts.breaths += 1;
      counts.looks = 0;
      setImmediate(run);
      return () => {};
    };
    const whole = await measure(made);
    const parts = await measure(made, { tableMax: 7, clock: { now }, timers: { after } });
    expect({ ...parts, at: 0, tookMs: 0 }).toEqual({ ...whole, at: 0, tookMs: 0 });
    expect(whole.runs).toHaveLength(10);
    expect(whole.runs.map(({ bytes }) => bytes)).toEqual(
      whole.runs.map(({ bytes }) => bytes).toSorted((a, b) => b - a),
    );
    // 80 blobs in parts of 7 are twelve rounds of 40 runs.
    expect(counts.breaths).toBeGreaterThan(40);
    expect(counts.longest).toBeLessThan(20);
    await made.replica.close();
  });
});
