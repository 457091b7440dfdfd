import { MemoryLevel } from 'memory-level';
import { describe, expect, it } from 'vitest';
import { Book, RunDocument, Workspace } from '../documents/index.ts';
import type { BookMonth, DeviceId, DocumentName, ProjectId, RunId, WriterId } from '../ids.ts';
import type { JsonObject } from '../journal/index.ts';
import { JournalWriter } from '../journal/index.ts';
import type { Storage } from '../ports.ts';
import type { Card, Entry } from '../record/index.ts';
import { decodeCard } from '../record/index.ts';
import type { Replica } from '../replica/index.ts';
import { openReplica } from '../replica/index.ts';
import { SeriesReader } from '../series/index.ts';
import { levelStorage } from '../store/index.ts';
import { FakeClock, makeTestEdit, MemoryBlobStore, SeededRandom } from '../testing/index.ts';
import type { IntakeContext } from './intake-context.ts';
import { WriterIntake } from './intake.ts';
import { POLICY } from './policy.ts';
import { PurgedRuns } from './purged-runs.ts';
import { TAIL_FITS } from './tail.ts';

const T0 = 1_768_478_400_000;
const WRITER = '01kf0000000000000000000001' as WriterId;
const DEVICE = 'd000000000000000000000001' as DeviceId;
const RUN = 'run-1' as RunId;
const BOOK = 'book/mnist/2026-01' as DocumentName;

const META: JsonObject = {
  project: 'MNIST',
  run: RUN,
  writer: WRITER,
  created: T0,
  name: 'first',
  tags: ['baseline'],
  host: 'gpu-1',
  user: 'ada',
  pid: 7,
  cwd: '/work',
};

class World {
  readonly clock = new FakeClock(T0);
  readonly blobs: MemoryBlobStore;
  readonly random: SeededRandom;
  readonly context: IntakeContext;
  readonly replica: Replica;
  readonly purged: PurgedRuns;

  constructor(replica: Replica, blobs = new MemoryBlobStore(), random = new SeededRandom(1)) {
    this.replica = replica;
    this.blobs = blobs;
    this.random = random;
    this.purged = new PurgedRuns(replica, blobs);
    this.context = {
      replica,
      blobs,
      device: DEVICE,
      clock: this.clock,
      isPurged: (run, project) => this.purged.has(run, project),
      listed: new Set(),
    };
  }

  static async open(storage: Storage = memory()): Promise<World> {
    return new World(await openReplica({ storage, device: DEVICE, random: new SeededRandom(1) }));
  }

  async entries(): Promise<Entry[]> {
    return await this.replica.read(`run/${RUN}` as DocumentName, (doc) =>
      [...new RunDocument(doc).entries()].map(([, entry]) => entry),
    );
  }

  async card(): Promise<Card | undefined> {
    return await this.replica.read(BOOK, (doc) => {
      for (const [, bytes] of new Book(doc).cards()) return decodeCard(bytes);
      return undefined;
    });
  }

  async points(metric = 'loss'): Promise<[ordinal: number, step: number, value: number][]> {
    const { points } = await new SeriesReader(this.blobs).read({
      entries: await this.entries(),
      metric,
      identities: true,
    });
    return Array.from(points!.steps, (step, index) => [points!.ordinals![index]!, step, points!.values[index]!]);
  }
}

function memory(): Storage {
  return levelStorage(new MemoryLevel<Uint8Array, Uint8Array>({ keyEncoding: 'view', valueEncoding: 'view' }) as never);
}

function journal(): JournalWriter {
  const writer = new JournalWriter({ writer: WRITER, nonce: new Uint8Array(16).fill(7) });
  writer.json('META', META);
  return writer;
}

function log(writer: JournalWriter, steps: number, from = 0): void {
  if (from === 0) writer.declare([[0, 'loss']]);
  for (let step = from; step < from + steps; step++) writer.scalars(T0 + step * 100, step, [0], [1 / (1 + step)]);
}

/** Takes in what `writer` has beyond the intake's place, in pieces of random size. */
async function feed(intake: WriterIntake, writer: JournalWriter, random = new SeededRandom(3)): Promise<void> {
  const bytes = writer.bytes();
  if (intake.reader === null) await intake.openFile(0, bytes.subarray(0, 4096));
  for (let at = intake.place.offset; at < bytes.length;) {
    const end = Math.min(bytes.length, at + 1 + random.int(4096));
    intake.push(bytes.subarray(at, end));
    at = end;
  }
}

describe('taking in a journal', () => {
  it('[ING-1] writes card, entry, tail and directory as soon as a run begins', async () => {
    const world = await World.open();
    const intake = await WriterIntake.open(world.context, WRITER);
    const writer = journal();
    writer.json('ATTRS', { time: T0 + 5, set: { 'params/lr': 0.1, 'params/opt': 'adam', bad: { x: 1 } }, del: [] });
    log(writer, 3);
    await feed(intake, writer);
    await intake.commit();
    const card = await world.card();
    expect(card).toMatchObject({
      run: RUN,
      project: 'mnist',
      name: 'first',
      tags: ['baseline'],
      status: 'running',
      ended: null,
      ordinal: 5,
    });
    expect([...card!.attributes]).toEqual([
      ['params/lr', 0.1],
      ['params/opt', 'adam'],
    ]);
    expect(card!.metrics.get('loss' as never)).toEqual({
      count: 3,
      last: 1 / 3,
      lastStep: 2,
      min: 1 / 3,
      minStep: 2,
      max: 1,
      maxStep: 0,
      nonFinite: 0,
    });
    expect((await world.entries()).map(({ kind }) => kind).sort()).toEqual(['tail', 'writer']);
    expect(await world.points()).toEqual([
      [3, 0, 1],
      [4, 1, 1 / 2],
      [5, 2, 1 / 3],
    ]);
    const books = await world.replica.read('workspace' as DocumentName, (doc) => new Workspace(doc).books());
    expect(books).toMatchObject([
      { document: BOOK, project: 'mnist' as ProjectId, month: '2026-01' as BookMonth, title: 'MNIST' },
    ]);
  });

  it('[ING-2] seals when the writer closes, and leaves no tail', async () => {
    const world = await World.open();
    const intake = await WriterIntake.open(world.context, WRITER);
    const writer = journal();
    log(writer, 10);
    await feed(intake, writer);
    await intake.commit();
    log(writer, 10, 10);
    writer.json('CLOSE', {
      time: T0 + 9_000,
      status: 'failed',
      exit_code: 1,
      traceback: 'Boom',
      dropped: 0,
      points: 20,
    });
    await feed(intake, writer);
    await intake.commit();
    expect((await world.entries()).map(({ kind }) => kind).sort()).toEqual(['segment', 'writer']);
    expect(await world.points()).toHaveLength(20);
    expect(await world.card()).toMatchObject({ status: 'failed', ended: T0 + 9_000, ordinal: 22 });
    expect((await world.entries()).find(({ kind }) => kind === 'writer')).toMatchObject({
      exitCode: 1,
      traceback: 'Boom',
      environment: { pid: 7, cwd: '/work' },
    });
    expect(intake.done).toBe(true);
  });

  it('[ING-3] goes on from the last durable commit, with points taken in once', async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const random = new SeededRandom(seed);
      const world = await World.open();
      const writer = journal();
      writer.declare([
        [0, 'loss'],
        [5, 'acc'],
      ]);
      let intake = await WriterIntake.open(world.context, WRITER);
      const logged: number[] = [];
      for (let round = 0; round < 30; round++) {
        if (random.chance(0.3)) writer.json('TAGS', { time: T0, add: [`t${round}`], remove: [] });
        for (let count = random.int(40); count > 0; count--) {
          const step = random.int(1000);
          logged.push(writer.sequence);
          writer.scalars(T0 + writer.sequence, step, [0, 5], [step / 7, random.pick([Number.NaN, -0, step])]);
        }
        await feed(intake, writer, random);
        world.clock.advance(random.chance(0.5) ? 1_600 : random.int(90_000));
        if (random.chance(0.7)) await intake.commit({ force: random.chance(0.3) });
        // A crash: what was in memory is gone.
        if (random.chance(0.4)) intake = await WriterIntake.open(world.context, WRITER);
      }
      await feed(intake, writer, random);
      await intake.commit({ force: true });
      const ordinals = (await world.points()).map(([ordinal]) => ordinal).sort((a, b) => a - b);
      expect(ordinals, `seed ${seed}`).toEqual(logged);
      expect((await world.points('acc')).length).toBe(ordinals.length);
      const card = await world.card();
      expect(card?.metrics.get('loss' as never)?.count, `seed ${seed}`).toBe(ordinals.length);
      expect(card?.ordinal).toBe(writer.sequence - 1);
    }
  });

  it('[ING-3] takes in nothing twice when a file begins with records that another ended with', async () => {
    const world = await World.open();
    const intake = await WriterIntake.open(world.context, WRITER);
    const writer = journal();
    log(writer, 10);
    await feed(intake, writer);
    await intake.commit();
    const next = new JournalWriter({ writer: WRITER, nonce: new Uint8Array(16).fill(9), number: 1, first: 5 });
    next.declare([[0, 'loss']]);
    for (let step = 4; step < 20; step++) next.scalars(T0 + step, step, [0], [step]);
    await intake.openFile(1, next.bytes());
    intake.push(next.bytes());
    await intake.commit({ force: true });
    expect((await world.points()).map(([ordinal]) => ordinal)).toEqual(
      Array.from({ length: 20 }, (_, index) => index + 2),
    );
    expect((await world.card())?.metrics.get('loss' as never)?.count).toBe(20);
  });

  it('[ING-4] loses nothing and doubles nothing when any write fails', async () => {
    for (const [failAt, late] of Array.from({ length: 52 }, (_, index) => [index >> 1, index % 2 === 1] as const)) {
      const world = await World.open();
      let writes = 0;
      const failing = async (): Promise<void> => {
        if (writes++ === failAt) throw new Error('disk');
      };
      const context: IntakeContext = {
        ...world.context,
        replica: {
          read: (name, read) => world.replica.read(name, read),
          getPrivate: (key) => world.replica.getPrivate(key),
          putPrivate: (entries) => world.replica.putPrivate(entries),
          // Fails before or after the real commit: a crash may hit on either side of it.
          transact: async (name, change, also) => {
            if (!late) await failing();
            const commit = await world.replica.transact(name, change, also);
            if (late) await failing();
            return commit;
          },
        },
        blobs: {
          write: async (bytes) => {
            await failing();
            return await world.blobs.write(bytes);
          },
        },
      };
      const writer = journal();
      log(writer, 1);
      let intake = await WriterIntake.open(context, WRITER);
      for (let round = 0; round < 14; round++) {
        log(writer, 5, 1 + round * 5);
        if (round === 13) writer.json('CLOSE', { time: T0 + 1e6, status: 'finished' });
        world.clock.advance(round % 5 === 4 ? POLICY.sealAge : 31_000);
        for (let attempt = 0; attempt < 2; attempt++) {
          try {
            await feed(intake, writer);
            await intake.commit();
            break;
          } catch {
            intake = await WriterIntake.open(context, WRITER);
          }
        }
      }
      expect(writes).toBeGreaterThan(failAt);
      expect(
        (await world.points()).map(([, step]) => step),
        `write ${failAt} failed`,
      ).toEqual(Array.from({ length: 71 }, (_, step) => step));
      expect((await world.card())?.metrics.get('loss' as never)?.count).toBe(71);
      expect((await world.card())?.status).toBe('finished');
    }
  });

  it('[ING-5] gathers a backlog into large segments and does not write tails for it', async () => {
    const world = await World.open();
    const intake = await WriterIntake.open(world.context, WRITER);
    const writer = journal();
    writer.declare([[0, 'loss']]);
    const rows = POLICY.sealPoints + 500;
    for (let step = 0; step < rows; step++) writer.scalars(T0 + step, step, [0], [step]);
    const bytes = writer.bytes();
    await intake.openFile(0, bytes.subarray(0, 4096));
    for (let at = 0; at < bytes.length; at += 100_000) {
      intake.push(bytes.subarray(at, at + 100_000));
      await intake.commit({ more: at + 100_000 < bytes.length });
    }
    expect((await world.entries()).map((entry) => (entry.kind === 'segment' ? entry.points : entry.kind))).toEqual(
      expect.arrayContaining([rows, 'writer']),
    );
    expect(await world.entries()).toHaveLength(2);
    expect(await world.points()).toHaveLength(rows);
    expect(world.replica.lastSeq).toBeLessThan(5);
  });

  it('[ING-6] writes cards at widening intervals, at once when the status changes, and soon when details do', async () => {
    const world = await World.open();
    const intake = await WriterIntake.open(world.context, WRITER);
    const writer = journal();
    log(writer, 1);
    let cards = 0;
    world.replica.onCommit(({ name }) => (cards += name === BOOK ? 1 : 0));
    const hours = 72;
    for (let second = 0, step = 1; second < hours * 3600; second += 150, step++) {
      log(writer, 1, step);
      await feed(intake, writer);
      await intake.commit();
      world.clock.advance(150_000);
    }
    expect(cards).toBeGreaterThan(100);
    expect(cards).toBeLessThan(200);
    const before = cards;
    writer.json('TAGS', { time: T0, add: ['best'], remove: ['baseline'] });
    await feed(intake, writer);
    await intake.commit();
    expect(cards).toBe(before + 1);
    expect((await world.card())?.tags).toEqual(['best']);
    intake.judge('crashed');
    await intake.commit();
    expect((await world.card())?.status).toBe('crashed');
    expect(cards).toBe(before + 2);
  }, 60_000);

  it('[ING-6] never writes a card that is ahead of the durable points', async () => {
    const world = await World.open();
    const intake = await WriterIntake.open(world.context, WRITER);
    const writer = journal();
    log(writer, 1);
    await feed(intake, writer);
    await intake.commit();
    world.clock.advance(POLICY.detailFirst + 100);
    writer.json('TAGS', { time: T0, add: ['best'], remove: [] });
    await feed(intake, writer);
    await intake.commit();
    expect((await world.card())!.ordinal).toBe(intake.durable.next - 1);
    expect((await world.card())!.tags).toEqual(['baseline']);
    world.clock.advance(POLICY.tailFirst);
    await intake.commit();
    expect((await world.card())!.tags).toEqual(['baseline', 'best']);
  });

  it('[ING-7] takes a crashed writer for running again when its journal grows', async () => {
    const world = await World.open();
    let intake = await WriterIntake.open(world.context, WRITER);
    const writer = journal();
    log(writer, 2);
    await feed(intake, writer);
    intake.judge('crashed');
    await intake.commit();
    expect(await world.card()).toMatchObject({ status: 'crashed', ended: T0 + 100 });
    expect(intake.done).toBe(true);
    intake = await WriterIntake.open(world.context, WRITER);
    log(writer, 2, 2);
    await feed(intake, writer);
    await intake.commit();
    expect(await world.card()).toMatchObject({ status: 'running', ended: null });
    expect(await world.points()).toHaveLength(4);
    intake.judge('lost');
    await intake.commit();
    writer.json('CLOSE', { time: T0 + 5_000, status: 'finished' });
    await feed(intake, writer);
    await intake.commit();
    expect(await world.card()).toMatchObject({ status: 'finished', ended: T0 + 5_000 });
    intake.judge('crashed');
    await intake.commit({ force: true });
    expect(await world.card()).toMatchObject({ status: 'finished' });
  });

  it('[ING-8] stops at a purge, empties the run and leaves the journal alone, before and after a restart', async () => {
    const world = await World.open();
    let intake = await WriterIntake.open(world.context, WRITER);
    const writer = journal();
    log(writer, 5);
    await feed(intake, writer);
    world.clock.advance(POLICY.sealAge);
    await intake.commit();
    const [digest] = [...(await world.entries())].flatMap((entry) => (entry.kind === 'segment' ? [entry.digest] : []));
    expect(await world.blobs.stat(digest!)).toBeDefined();
    await world.replica.transact('book/mnist/2026-03' as DocumentName, (doc) =>
      new Book(doc).addEdit(makeTestEdit({ run: RUN, field: 'purge', value: true })),
    );
    await world.purged.has(RUN, 'mnist' as ProjectId);
    await world.purged.settled();
    expect(await world.entries()).toEqual([]);
    expect(await world.blobs.stat(digest!)).toBeUndefined();
    log(writer, 5, 5);
    await feed(intake, writer);
    await intake.commit({ force: true });
    expect(intake.purged).toBe(true);
    expect(await world.entries()).toEqual([]);
    intake = await WriterIntake.open(world.context, WRITER);
    await feed(intake, writer);
    await intake.commit({ force: true });
    expect(await world.entries()).toEqual([]);
  });

  it('[ING-9] begins again from the journal when its own tail entries have gone', async () => {
    const world = await World.open();
    let intake = await WriterIntake.open(world.context, WRITER);
    const writer = journal();
    log(writer, 5);
    await feed(intake, writer);
    await intake.commit();
    await world.replica.transact(`run/${RUN}` as DocumentName, (doc) => new RunDocument(doc).clear());
    intake = await WriterIntake.open(world.context, WRITER);
    expect(intake.place).toEqual({ file: -1, offset: 0 });
    await feed(intake, writer);
    await intake.commit({ force: true });
    expect(await world.points()).toHaveLength(5);
  });

  it('[ING-10] does not let coverage span damage, so that another copy can fill the hole', async () => {
    const world = await World.open();
    const intake = await WriterIntake.open(world.context, WRITER);
    const writer = journal();
    log(writer, 10);
    const bytes = writer.bytes();
    const { salvage } = await import('../journal/index.ts');
    bytes[bytes.length - 37 * 5 + 20]! ^= 0xff; // within the sixth record but last
    await intake.openFile(0, bytes.subarray(0, 4096));
    expect(intake.push(bytes)).toBe('corrupt');
    const { offset, sequence, header } = intake.reader!;
    const found = salvage(bytes.subarray(offset), { offset, sequence, nonce: header!.nonce });
    await intake.skip(found!);
    intake.push(bytes.subarray(found!.offset));
    await intake.commit({ force: true });
    const lost = sequence;
    const covered = (await world.entries()).flatMap((entry) => ('first' in entry ? [[entry.first, entry.last]] : []));
    expect(covered).toEqual([
      [0, lost - 1],
      [lost + 1, 11],
    ]);
    expect((await world.points()).map(([ordinal]) => ordinal)).toEqual(
      [2, 3, 4, 5, 6, 7, 8, 9, 10, 11].filter((ordinal) => ordinal !== lost),
    );
    expect((await world.entries()).find(({ kind }) => kind === 'writer')).toMatchObject({
      damage: expect.stringContaining('1 damaged record'),
    });
  });

  it('[ING-11] makes a card and an entry that every replica accepts, whatever the script said', async () => {
    const world = await World.open();
    const intake = await WriterIntake.open(world.context, WRITER);
    const writer = new JournalWriter({ writer: WRITER, nonce: new Uint8Array(16) });
    const deep = JSON.parse(`${'{"a":'.repeat(50)}1${'}'.repeat(50)}`) as JsonObject;
    writer.json('META', {
      ...META,
      name: 'ü'.repeat(400),
      notes: 'n'.repeat(100_000),
      tags: ['ok', ' bad ', 'x'.repeat(500)],
      environment: deep,
    });
    const set: JsonObject = {};
    for (let index = 0; index < 3_000; index++) set[`p/${index}`] = index % 2 === 0 ? 'v'.repeat(250) : index;
    writer.json('ATTRS', { time: T0, set, del: [] });
    writer.declare(Array.from({ length: 3_000 }, (_, index) => [index, `metric/${index}/${'long'.repeat(20)}`]));
    const numbers = Array.from({ length: 3_000 }, (_, index) => index);
    for (let step = 0; step < 4; step++) writer.scalars(T0 + step, step, numbers, numbers);
    writer.declare([[5_000, 'a//b']]);
    writer.scalars(T0, 9, [5_000], [1]);
    await feed(intake, writer);
    await intake.commit({ force: true });
    const card = await world.card();
    expect(card?.tags).toEqual(['ok']);
    expect(card!.metrics.size).toBeGreaterThan(100);
    expect(card!.attributes.size).toBeGreaterThan(100);
    expect(await world.points(`metric/7/${'long'.repeat(20)}`)).toHaveLength(4);
    const entry = (await world.entries()).find(({ kind }) => kind === 'writer');
    expect(entry).toMatchObject({ damage: expect.stringContaining('paths') });
    expect(TAIL_FITS).toBe(true);
  });
});
