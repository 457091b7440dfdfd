import { describe, expect, it } from 'vitest';
import { RunDocument } from '../documents/index.ts';
import { FieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import type { BlobDigest } from '../ports.ts';
import { segmentKey } from '../record/index.ts';
import type { Replica } from '../replica/index.ts';
import {
  entryOf,
  FakeClock,
  fromNewerVersion,
  MemoryBlobStore,
  MemoryStorage,
  putEntries,
  SeededRandom,
} from '../testing/index.ts';
import { openTestReplica } from '../testing/replicas.ts';
import type { CleanedBlobs, CleanOptions } from './orphans.ts';
import { Orphans, UNNAMED_PREFIX } from './orphans.ts';

const random = new SeededRandom(78);
const DAY = 86_400_000;

class World {
  readonly storage = new MemoryStorage();
  readonly blobs = new MemoryBlobStore();
  readonly clock = new FakeClock();
  replica!: Replica;
  orphans!: Orphans;

  static async open(): Promise<World> {
    const world = new World();
    world.storage.close = () => Promise.resolve();
    await world.start();
    return world;
  }

  /** As a program that starts: what was in memory is gone. */
  async start(): Promise<void> {
    this.replica = await openTestReplica(this.storage);
    this.orphans = await Orphans.open(this);
  }

  blob(size = 10): Promise<BlobDigest> {
    return this.blobs.write(random.bytes(size));
  }

  clean(more: Partial<CleanOptions> = {}): Promise<CleanedBlobs> {
    return this.orphans.clean({ graceMs: 30 * DAY, dryRun: false, pause: () => Promise.resolve(), ...more });
  }

  /** So many days, with a look each that lets go of nothing. */
  async days(count: number): Promise<void> {
    for (let day = 0; day < count; day++) {
      this.clock.advance(DAY);
      await this.clean({ graceMs: Number.POSITIVE_INFINITY });
    }
  }

  async has(digest: BlobDigest): Promise<boolean> {
    return (await this.blobs.stat(digest)) !== undefined;
  }

  async waiting(): Promise<string[]> {
    const digests: string[] = [];
    for await (const [key] of this.replica.listPrivate(UNNAMED_PREFIX)) digests.push(key.slice(UNNAMED_PREFIX.length));
    return digests;
  }
}

describe('blobs that no run names', () => {
  it('[OPS-18] go when nobody has named them for the grace, over restarts, and what a run names never does', async () => {
    const world = await World.open();
    const [kept, level, gone, picture, file] = await Promise.all([1, 2, 3, 4, 5].map((n) => world.blob(n)));
    const was = entryOf.segment(gone!);
    const name = await putEntries(
      world.replica,
      'run-1',
      entryOf.segment(kept!, [level!]),
      was,
      entryOf.objects(picture!, []),
      entryOf.file(file!, null, 5),
    );
    world.clock.advance(1_000 * DAY);
    expect(await world.clean()).toEqual({ count: 0, bytes: 0, held: null });
    // Merged into others, a thousand days after it was stored: only now it begins to wait.
    await world.replica.transact(name, (doc) => new RunDocument(doc).remove(segmentKey(was)));
    expect(await world.clean()).toMatchObject({ count: 0 });
    expect(await world.waiting()).toEqual([gone]);
    await world.days(29);
    await world.start();
    expect(await world.clean()).toMatchObject({ count: 0 });
    world.clock.advance(DAY);
    expect(await world.clean({ dryRun: true })).toEqual({ count: 1, bytes: 3, held: null });
    expect(await world.has(gone!)).toBe(true);
    const told: unknown[] = [];
    const about = async (going: unknown): Promise<void> => {
      told.push(going, await world.has(gone!));
    };
    expect(await world.clean({ about })).toEqual({ count: 1, bytes: 3, held: null });
    // What goes is told before it goes.
    expect(told).toEqual([{ count: 1, bytes: 3 }, true]);
    expect(await world.has(gone!)).toBe(false);
    expect(await world.waiting()).toEqual([]);
    for (const digest of [kept, level, picture, file]) expect(await world.has(digest!)).toBe(true);
  });

  it('[OPS-18] wait anew when somebody asks for them, or a run names them again, also while others go', async () => {
    const world = await World.open();
    const digests = await Promise.all(Array.from({ length: 6 }, (_, n) => world.blob(100 + n)));
    await world.clean();
    expect(await world.waiting()).toHaveLength(6);
    await world.days(40);
    const [stat, read, kept, named, late, plain] = digests.toSorted((a, b) => (a < b ? -1 : 1));
    const store = world.orphans.watched();
    expect(await store.stat(stat!)).toBeDefined();
    await store.read(read!);
    expect(await store.keep(kept!)).toBe(true);
    await putEntries(world.replica, 'run-1', entryOf.segment(named!));
    // After the run documents were read, when the first is about to go.
    const about = async (): Promise<void> => {
      await putEntries(world.replica, 'run-2', entryOf.segment(late!));
    };
    expect(await world.clean({ about })).toMatchObject({ count: 1 });
    expect(await Promise.all([stat, read, kept, named, late, plain].map((each) => world.has(each!)))).toEqual([
      true,
      true,
      true,
      true,
      true,
      false,
    ]);
    await world.start();
    expect(await world.clean()).toMatchObject({ count: 0 });
    expect((await world.waiting()).toSorted((a, b) => (a < b ? -1 : 1))).toEqual([stat, read, kept]);
  });

  it('[OPS-18] stay while anything cannot be read, and while a repair could name them again', async () => {
    const world = await World.open();
    const [blob, before] = [await world.blob(), await world.blob()];
    const was = entryOf.segment(before);
    const name = await putEntries(world.replica, 'run-1', was, entryOf.segment(await world.blob()));
    await world.replica.rebuild(name, { reason: 'repair', time: world.clock.now() });
    await world.replica.transact(name, (doc) => new RunDocument(doc).remove(segmentKey(was)));
    await world.clean();
    expect(await world.waiting()).toEqual([blob]);
    await world.days(40);
    const newer = 'run/run-9' as DocumentName;
    await world.replica.apply(newer, fromNewerVersion(), 'elsewhere');
    expect(await world.clean()).toMatchObject({ count: 0, held: expect.stringContaining('newer version') as string });
    expect(await world.has(blob)).toBe(true);
  });

  it('[OPS-18] go just so in parts of any size, and a crash at any place leaves nothing half', async () => {
    const world = await World.open();
    for (let run = 0; run < 5; run++)
      await putEntries(world.replica, `run-${run}`, entryOf.segment(await world.blob()));
    const orphans = await Promise.all(Array.from({ length: 20 }, () => world.blob(7)));
    await world.clean({ tableMax: 3 });
    expect(await world.waiting()).toHaveLength(20);
    await world.days(31);
    // Removed, and the process ended before that was written down.
    await world.blobs.remove(orphans[0]!);
    await world.blobs.remove(orphans[1]!);
    await world.start();
    expect(await world.clean({ tableMax: 3 })).toEqual({ count: 18, bytes: 18 * 7, held: null });
    expect(await world.waiting()).toEqual([]);
    let left = 0;
    for await (const _ of world.blobs.list()) left += 1;
    expect(left).toBe(5);
    // A clock that was put back neither shortens the wait nor makes it endless.
    const blob = await world.blob();
    await world.clean();
    world.clock.advance(-100 * DAY);
    await world.clean();
    await world.days(29);
    expect(await world.clean()).toMatchObject({ count: 0 });
    expect(await world.has(blob)).toBe(true);
    world.clock.advance(DAY);
    expect(await world.clean()).toMatchObject({ count: 1 });
  });

  it('[OPS-18] a clock that jumps ahead makes nothing due: a look counts for two days at most', async () => {
    const world = await World.open();
    const blob = await world.blob();
    await world.clean();
    world.clock.advance(93 * DAY);
    expect(await world.clean({ dryRun: true })).toMatchObject({ count: 0 });
    // Nor do more looks at the same time, nor restarts.
    for (let look = 0; look < 40; look++) expect(await world.clean()).toMatchObject({ count: 0 });
    await world.start();
    expect(await world.clean()).toMatchObject({ count: 0 });
    await world.days(27);
    expect(await world.clean()).toMatchObject({ count: 0 });
    world.clock.advance(DAY);
    expect(await world.clean()).toMatchObject({ count: 1 });
    expect(await world.has(blob)).toBe(false);
  });

  it('[OPS-18] can be read, and go, while the disk is full', async () => {
    const world = await World.open();
    const digests = await Promise.all(Array.from({ length: 4 }, () => world.blob()));
    await world.clean();
    await world.days(31);
    const write = world.replica.putPrivate.bind(world.replica);
    world.replica.putPrivate = () => Promise.reject(new FieldbookError('disk_full', 'The disk is full.'));
    const [asked, ...others] = digests;
    expect(await world.orphans.watched().stat(asked!)).toBeDefined();
    expect(await world.clean()).toMatchObject({ count: 3 });
    expect(await world.has(asked!)).toBe(true);
    for (const digest of others) expect(await world.has(digest)).toBe(false);
    world.replica.putPrivate = write;
    await world.clean();
    expect(await world.waiting()).toEqual([asked]);
    await world.start();
    expect(await world.clean()).toMatchObject({ count: 0 });
  });
});
