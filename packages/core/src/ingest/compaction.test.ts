import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { MemoryLevel } from 'memory-level';
import { describe, expect, it } from 'vitest';
import { RunDocument } from '../documents/index.ts';
import type { DeviceId, DocumentName, RunId, WriterId } from '../ids.ts';
import type { BlobDigest, Storage } from '../ports.ts';
import type { Entry, SegmentEntry } from '../record/index.ts';
import type { Replica } from '../replica/index.ts';
import { openReplica } from '../replica/index.ts';
import { PointBuffer, sealSegment, SeriesReader } from '../series/index.ts';
import { levelStorage } from '../store/index.ts';
import { FakeClock, MemoryBlobStore, SeededRandom } from '../testing/index.ts';
import type { CompactionContext } from './compaction.ts';
import { JournalWriter } from '../journal/index.ts';
import { Compactor, endedMark, REPLACED_GRACE } from './compaction.ts';
import type { IntakeContext } from './intake-context.ts';
import { WriterIntake } from './intake.ts';
import { POLICY } from './policy.ts';

const T0 = 1_768_478_400_000;
const WRITER = '01kf0000000000000000000001' as WriterId;
const DEVICE = 'd000000000000000000000001' as DeviceId;
const RUN = 'run-1' as RunId;
const NAME = `run/${RUN}` as DocumentName;
const NAMES = ['loss', 'acc'];

function memory(): Storage {
  return levelStorage(new MemoryLevel<Uint8Array, Uint8Array>({ keyEncoding: 'view', valueEncoding: 'view' }) as never);
}

class World {
  readonly clock = new FakeClock(T0);
  readonly blobs = new MemoryBlobStore();
  readonly replica: Replica;
  readonly context: CompactionContext;
  next = 0;

  private constructor(replica: Replica) {
    this.replica = replica;
    this.context = {
      replica,
      blobs: this.blobs,
      device: DEVICE,
      clock: this.clock,
      compressor: { gzip: (bytes) => Promise.resolve(new Uint8Array(gzipSync(bytes))) },
      gunzip: (bytes) => gunzipSync(bytes),
    };
  }

  static async open(): Promise<World> {
    return new World(await openReplica({ storage: memory(), device: DEVICE, random: new SeededRandom(1) }));
  }

  /** Seals so many records of two metrics as the intake does: steps repeat and come out of order. */
  async seal(records: number, ended = false): Promise<void> {
    const points = new PointBuffer();
    const first = this.next;
    for (let ordinal = first; ordinal < first + records; ordinal++) {
      for (const metric of [0, 1]) points.push(metric, ordinal ^ 3, valueOf(metric, ordinal), T0 + ordinal, ordinal);
    }
    this.next += records;
    const last = this.next - 1;
    const sealed = await sealSegment({ run: RUN, writer: WRITER, first, last }, points.from(0), NAMES);
    const digest = await this.blobs.write(sealed.bytes);
    const entry: SegmentEntry = {
      kind: 'segment',
      writer: WRITER,
      device: DEVICE,
      first,
      last,
      digest,
      size: sealed.bytes.length,
      points: sealed.points,
      startTime: sealed.startTime,
      endTime: sealed.endTime,
      levels: [],
      extra: {},
    };
    const also = ended ? [endedMark(RUN, WRITER)] : [];
    await this.replica.transact(NAME, (doc) => new RunDocument(doc).putSegment(entry), also);
  }

  async segments(): Promise<SegmentEntry[]> {
    const found = await this.replica.read(NAME, (doc) => [...new RunDocument(doc).segments()]);
    return found.sort((a, b) => a.first - b.first);
  }

  async held(): Promise<Set<BlobDigest>> {
    const held = new Set<BlobDigest>();
    for await (const { digest } of this.blobs.list()) held.add(digest);
    return held;
  }
}

/** Every point is there, once and as it was. */
async function check(world: World, entries?: readonly Entry[], note?: string): Promise<void> {
  const reader = new SeriesReader(world.blobs);
  for (const [metric, name] of NAMES.entries()) {
    const series = await reader.read({
      entries: entries ?? (await world.segments()),
      metric: name,
      identities: true,
    });
    const points = series.points!;
    const read = Array.from(points.ordinals!, (ordinal, row) => [ordinal, points.steps[row], points.values[row]]);
    const expected = Array.from({ length: world.next }, (_, ordinal) => [
      ordinal,
      ordinal ^ 3,
      valueOf(metric, ordinal),
    ]);
    expect(series.missing, note).toEqual([]);
    expect(
      read.sort((a, b) => a[0]! - b[0]!),
      note,
    ).toEqual(expected);
    expect([...points.steps], note).toEqual([...points.steps].sort((a, b) => a - b));
  }
}

function valueOf(metric: number, ordinal: number): number {
  return metric === 0 ? Math.fround(Math.sin(ordinal)) : ordinal % 17 === 0 ? -0 : Math.round(ordinal / 7) / 100;
}

describe('compaction', () => {
  it('[ING-37] merges small neighbours into one segment that covers them, with every point as it was', async () => {
    const world = await World.open();
    const compactor = await Compactor.open(world.context);
    for (let count = 0; count < 40; count++) {
      await world.seal(100 + count);
      compactor.note(RUN, WRITER, false);
      await compactor.settled();
    }
    const segments = await world.segments();
    expect(segments.length).toBeLessThan(12);
    expect(segments[0]!.first).toBe(0);
    segments.forEach((segment, index) => index > 0 && expect(segment.first).toBe(segments[index - 1]!.last + 1));
    await check(world);
    await world.seal(10, true);
    compactor.note(RUN, WRITER, true);
    await compactor.settled();
    expect(await world.segments()).toMatchObject([{ first: 0, last: world.next - 1, points: world.next * 2 }]);
    await check(world);
    await compactor.close();
  });

  it('[ING-38] goes on after a crash at any write: old entries or the new one, and no point lost or doubled', async () => {
    let reached = 0;
    for (const [failAt, late] of Array.from({ length: 24 }, (_, index) => [index >> 1, index % 2 === 1] as const)) {
      const world = await World.open();
      let writes = 0;
      const failing = async <T>(write: () => Promise<T>): Promise<T> => {
        const fails = writes++ === failAt;
        if (fails && !late) throw new Error('disk');
        const result = await write();
        // A crash may hit on either side of the write.
        if (fails) throw new Error('disk');
        return result;
      };
      const { replica, blobs } = world;
      const context: CompactionContext = {
        ...world.context,
        replica: {
          read: (name, read) => replica.read(name, read),
          info: (name) => replica.info(name),
          listPrivate: (prefix) => replica.listPrivate(prefix),
          transact: (name, change, also) => failing(() => replica.transact(name, change, also)),
          putPrivate: (entries) => failing(() => replica.putPrivate(entries)),
        },
        blobs: {
          read: (digest, range) => blobs.read(digest, range),
          write: (bytes, expected) => failing(() => blobs.write(bytes, expected)),
          remove: (digest) => failing(() => blobs.remove(digest)),
        },
      };
      let compactor = await Compactor.open(context);
      for (let round = 0; round < 12; round++) {
        await world.seal(24, round === 11);
        compactor.note(RUN, WRITER, round === 11);
        await compactor.settled();
        if (round % 4 === 3) await check(world, undefined, `write ${failAt}, round ${round}`);
        if (writes > failAt) {
          // What was in memory is gone.
          await compactor.close();
          compactor = await Compactor.open(context);
        }
        world.clock.advance(REPLACED_GRACE / 4);
        await compactor.sweep();
      }
      await compactor.close();
      if (writes > failAt) reached++;
      compactor = await Compactor.open(world.context);
      await compactor.settled();
      world.clock.advance(REPLACED_GRACE);
      await compactor.sweep();
      await compactor.close();
      await check(world, undefined, `write ${failAt}`);
      const segments = await world.segments();
      expect(segments, `write ${failAt}`).toHaveLength(1);
      // Nothing is left but what is named; a crash between the bytes and their entry may leave bytes that nothing names.
      const left = [...(await world.held())].filter((digest) => digest !== segments[0]!.digest);
      expect(left.length, `write ${failAt}`).toBeLessThanOrEqual(1);
    }
    expect(reached).toBeGreaterThan(8);
  });

  it('[ING-39] keeps replaced blobs for a grace, over restarts, and never removes what an entry names again', async () => {
    const world = await World.open();
    for (let count = 0; count < 8; count++) await world.seal(50);
    const before = await world.segments();
    let compactor = await Compactor.open(world.context);
    compactor.note(RUN, WRITER, true);
    await compactor.settled();
    const [merged] = await world.segments();
    // A peer that still has the old manifest reads what it always read.
    await check(world, before);
    world.clock.advance(REPLACED_GRACE - 1);
    await compactor.sweep();
    for (const { digest } of before) expect((await world.held()).has(digest)).toBe(true);
    // Another device sealed the same: its entry keeps the blob.
    const other = { ...before[0]!, device: 'd000000000000000000000002' as DeviceId };
    await world.replica.transact(NAME, (doc) => new RunDocument(doc).putSegment(other));
    await compactor.close();
    compactor = await Compactor.open(world.context);
    world.clock.advance(1);
    await compactor.sweep();
    expect(await world.held()).toEqual(new Set([merged!.digest, other.digest]));
    await check(world);
    expect(
      createHash('sha256')
        .update((await world.blobs.read(merged!.digest))!)
        .digest('hex'),
    ).toBe(merged!.digest);
    await compactor.close();
  });

  it('[ING-39] a replica with the new entry and only the old blobs says what is missing, and reads all with both', async () => {
    const world = await World.open();
    for (let count = 0; count < 8; count++) await world.seal(50);
    const before = await world.segments();
    const compactor = await Compactor.open(world.context);
    compactor.note(RUN, WRITER, true);
    await compactor.settled();
    await compactor.close();
    const after = await world.segments();
    // Entries of both states at once, as while a manifest is under way: each point once.
    await check(world, [...before, ...after]);
    await world.blobs.remove(after[0]!.digest);
    await check(world, [...before, ...after]);
    const { missing, total } = await new SeriesReader(world.blobs).read({ entries: after, metric: 'loss' });
    expect(total).toBe(0);
    expect(missing).toMatchObject([{ first: 0, last: world.next - 1 }]);
  });

  it('[ING-38] does not touch entries that changed while it was merging', async () => {
    const world = await World.open();
    for (let count = 0; count < 8; count++) await world.seal(50);
    let emptied = false;
    const compactor = await Compactor.open({
      ...world.context,
      blobs: {
        ...world.context.blobs,
        read: (digest) => world.blobs.read(digest),
        remove: (digest) => world.blobs.remove(digest),
        // The run is purged while its segments are being merged.
        write: async (bytes) => {
          if (!emptied) await world.replica.transact(NAME, (doc) => new RunDocument(doc).clear());
          emptied = true;
          return await world.blobs.write(bytes);
        },
      },
    });
    compactor.note(RUN, WRITER, true);
    await compactor.settled();
    expect(emptied).toBe(true);
    expect(await world.segments()).toEqual([]);
    await compactor.close();
  });

  it('[ING-37] a run that was sealed piece by piece is one segment when it has ended, also after a restart', async () => {
    for (const restart of [false, true]) {
      const world = await World.open();
      let compactor = await Compactor.open(world.context);
      const context = (): IntakeContext => ({
        ...world.context,
        replica: world.replica,
        isPurged: () => Promise.resolve(false),
        listed: new Set(),
        compactor,
      });
      let intake = await WriterIntake.open(context(), WRITER);
      const journal = new JournalWriter({ writer: WRITER, nonce: new Uint8Array(16).fill(7) });
      journal.json('META', { project: 'p', run: RUN, writer: WRITER, created: T0, host: 'x' });
      journal.declare([...NAMES.entries()]);
      await intake.openFile(0, journal.bytes());
      const take = async (): Promise<void> => {
        intake.push(journal.bytes().subarray(intake.place.offset));
        await intake.commit();
        await compactor.settled();
      };
      for (let step = 0; step < 20; step++) {
        journal.scalars(T0 + step, step, [0, 1], [step, -step]);
        world.clock.advance(POLICY.sealAge);
        await take();
      }
      expect((await world.segments()).length).toBeGreaterThan(1);
      if (restart) {
        await compactor.close();
        compactor = await Compactor.open(world.context);
        intake = await WriterIntake.open(context(), WRITER);
        await intake.openFile(0, journal.bytes());
      }
      // Its last word comes when all its points are sealed.
      journal.json('CLOSE', { time: T0 + 20, status: 'finished' });
      await take();
      expect(await world.segments(), `restart ${restart}`).toMatchObject([{ first: 0, points: 40 }]);
      const { points } = await new SeriesReader(world.blobs).read({ entries: await world.segments(), metric: 'acc' });
      expect([...points!.values]).toEqual(Array.from({ length: 20 }, (_, step) => -step));
      // Nothing is left to do for whoever comes next.
      await compactor.close();
      const next = await Compactor.open(world.context);
      await next.settled();
      expect(next.written).toBe(0);
      await next.close();
    }
  });
});
