import { MemoryLevel } from 'memory-level';
import { describe, expect, it } from 'vitest';
import { Book, RunDocument } from '../documents/index.ts';
import type { DeviceId, DocumentName, ProjectId, RunId, WriterId } from '../ids.ts';
import type { JsonObject } from '../journal/index.ts';
import { JournalWriter, salvage } from '../journal/index.ts';
import { ObjectReader } from '../objects/index.ts';
import type { BlobDigest } from '../ports.ts';
import type { Card, Entry, FileEntry, ObjectRow } from '../record/index.ts';
import { decodeCard, decodeRecord, encodeRecord, fileKey } from '../record/index.ts';
import type { Replica } from '../replica/index.ts';
import { openReplica } from '../replica/index.ts';
import { SeriesReader } from '../series/index.ts';
import { levelStorage } from '../store/index.ts';
import { FakeClock, makeTestEdit, MemoryBlobStore, SeededRandom } from '../testing/index.ts';
import type { IntakeContext } from './intake.ts';
import { WriterIntake } from './intake.ts';
import { POLICY } from './policy.ts';
import { PurgedRuns } from './purged-runs.ts';
import { decodeSaved, putPrivate, stateKey } from './saved.ts';
import type { Spool } from './spool.ts';

const T0 = 1_768_478_400_000;
const WRITER = '01kf0000000000000000000001' as WriterId;
const DEVICE = 'd000000000000000000000001' as DeviceId;
const RUN = 'run-1' as RunId;
const NAME = `run/${RUN}` as DocumentName;
const META: JsonObject = { project: 'MNIST', run: RUN, writer: WRITER, created: T0 };
const DIGEST = 'ab'.repeat(32) as BlobDigest;

class World {
  readonly clock = new FakeClock(T0);
  readonly blobs = new MemoryBlobStore();
  readonly told: string[] = [];
  readonly context: IntakeContext;
  readonly replica: Replica;

  constructor(replica: Replica, device = DEVICE) {
    this.replica = replica;
    const spool: Spool = {
      storeObjects: async (owner, files) => {
        for (const { digest } of files) this.told.push(`store ${owner.writer} ${digest}`);
      },
      objectsCommitted: (_, files) => void this.told.push(...files.map(({ spool: name }) => `committed ${name}`)),
      filesPending: (owner) => void this.told.push(`pending ${owner.project}/${owner.run}/${owner.writer}`),
    };
    this.context = {
      replica,
      blobs: this.blobs,
      device,
      clock: this.clock,
      isPurged: () => Promise.resolve(false),
      spool,
      listed: new Set(),
    };
  }

  static async open(device = DEVICE): Promise<World> {
    const level = new MemoryLevel<Uint8Array, Uint8Array>({ keyEncoding: 'view', valueEncoding: 'view' });
    const storage = levelStorage(level as never);
    return new World(await openReplica({ storage, device, random: new SeededRandom(1) }), device);
  }

  async entries(): Promise<Entry[]> {
    return await this.replica.read(NAME, (doc) => [...new RunDocument(doc).entries()].map(([, entry]) => entry));
  }

  async of<K extends Entry['kind']>(kind: K): Promise<Extract<Entry, { kind: K }>[]> {
    return (await this.entries()).filter((entry) => entry.kind === kind) as Extract<Entry, { kind: K }>[];
  }

  async card(): Promise<Card> {
    return await this.replica.read('book/mnist/2026-01' as DocumentName, (doc) => {
      for (const [, bytes] of new Book(doc).cards()) return decodeCard(bytes)!;
      throw new Error('there is no card');
    });
  }

  /** Everything that a reader finds, as path → rows. */
  async rows(): Promise<Map<string, ObjectRow[]>> {
    const reader = new ObjectReader(this.blobs);
    const entries = await this.entries();
    const found = new Map<string, ObjectRow[]>();
    for (const { path, rows: count } of await reader.list(entries)) {
      const { rows, next } = await reader.read({ entries, path, limit: 10_000 });
      if (next !== null || rows.length !== count) throw new Error(`${path} has ${rows.length} rows of ${count}`);
      found.set(path, rows);
    }
    return found;
  }

  async texts(path: string): Promise<string[]> {
    return ((await this.rows()).get(path) ?? []).map(({ text }) => text);
  }
}

function journal(): JournalWriter {
  const writer = new JournalWriter({ writer: WRITER, nonce: new Uint8Array(16).fill(7) });
  writer.json('META', META);
  return writer;
}

async function feed(intake: WriterIntake, writer: JournalWriter, random = new SeededRandom(3)): Promise<void> {
  const bytes = writer.bytes();
  if (intake.reader === null) await intake.openFile(0, bytes.subarray(0, 4096));
  for (let at = intake.place.offset; at < bytes.length;) {
    const end = Math.min(bytes.length, at + 1 + random.int(4096));
    intake.push(bytes.subarray(at, end));
    at = end;
  }
}

const image = (spool: string): JsonObject => ({ spool, name: spool, size: 9, mime: 'image/png', sha256: DIGEST });

describe('taking in what is not a number', () => {
  it('[ING-22] a first commit has files, captures, object rows and console lines in entries', async () => {
    const world = await World.open();
    const intake = await WriterIntake.open(world.context, WRITER);
    const writer = journal();
    writer.json('FILE', {
      time: T0 + 1,
      path: 'model',
      name: 'm.pt',
      spool: '1-m.pt',
      size: 5,
      kind: 'model',
      sha256: DIGEST,
    });
    writer.json('FILE', {
      time: T0 + 2,
      path: 'data',
      name: 'train',
      spool: null,
      source: 's3://b/train',
      sha256: DIGEST,
    });
    writer.json('CAPTURE', { time: T0 + 3, section: 'git', data: { commit: null } });
    writer.json('CAPTURE', { time: T0 + 4, section: 'git', data: { commit: 'abc' } });
    writer.json('OBJECT', {
      time: T0 + 5,
      path: 'samples',
      step: 2,
      kind: 'image',
      file: image('a.png'),
      meta: { a: 1 },
    });
    writer.console(T0 + 6, 1, 0, 'one\n\nthree');
    await feed(intake, writer);
    await intake.commit();
    const files = (await world.of('file')).sort((a, b) => a.ordinal - b.ordinal);
    expect(files).toMatchObject([
      {
        ordinal: 1,
        path: 'model',
        fileKind: 'model',
        spool: '1-m.pt',
        digest: null,
        expected: DIGEST,
        size: 5,
        time: T0 + 1,
      },
      { ordinal: 2, path: 'data', fileKind: 'file', spool: null, digest: null, source: 's3://b/train' },
    ]);
    expect(await world.of('capture')).toMatchObject([{ section: 'git', ordinal: 4, data: '{"commit":"abc"}' }]);
    expect((await world.rows()).get('samples')).toMatchObject([
      { step: 2, time: T0 + 5, kind: 'image', digest: DIGEST, size: 9, mime: 'image/png', meta: '{"a":1}', ordinal: 5 },
    ]);
    expect((await world.rows()).get('console/stdout')).toMatchObject([
      { step: 0, text: 'one', ordinal: 6, part: 0, time: T0 + 6 },
      { step: 1, text: '', ordinal: 6, part: 1 },
      { step: 2, text: 'three', ordinal: 6, part: 2 },
    ]);
    expect(world.told).toEqual([`store ${WRITER} ${DIGEST}`, 'committed a.png', `pending mnist/${RUN}/${WRITER}`]);
  });

  it('[ING-23] whoever opens a writer again takes in every row, file and capture once, at whatever write it failed', async () => {
    for (let seed = 1; seed <= 25; seed++) {
      const random = new SeededRandom(seed);
      const world = await World.open();
      let budget = random.int(8);
      const fail = (): void => {
        if (budget-- === 0) {
          budget = random.int(12);
          throw new Error('disk');
        }
      };
      const context: IntakeContext = {
        ...world.context,
        replica: {
          read: (name, read) => world.replica.read(name, read),
          getPrivate: (key) => world.replica.getPrivate(key),
          transact: async (name, change, also) => {
            if (random.chance(0.5)) fail();
            const commit = await world.replica.transact(name, change, also);
            // A crash may hit on either side of it.
            fail();
            return commit;
          },
        },
        blobs: {
          write: async (bytes) => {
            fail();
            return await world.blobs.write(bytes);
          },
        },
      };
      const writer = journal();
      writer.declare([[0, 'loss']]);
      const said = { points: [] as number[], lines: [] as string[], samples: [] as number[], files: [] as number[] };
      let intake = await WriterIntake.open(context, WRITER);
      for (let round = 0; round < 40; round++) {
        for (let count = random.int(12); count > 0; count--) {
          const ordinal = writer.sequence;
          const what = random.int(6);
          if (what === 0) {
            said.points.push(ordinal);
            writer.scalars(T0 + ordinal, ordinal, [0], [ordinal]);
          } else if (what === 1) {
            said.samples.push(ordinal);
            writer.json('OBJECT', {
              time: T0 + ordinal,
              path: 'samples',
              step: random.int(5),
              kind: 'text',
              text: `s${ordinal}`,
            });
          } else if (what === 2) {
            const lines = Array.from({ length: 1 + random.int(3) }, (_, part) => `${ordinal}.${part}`);
            said.lines.push(...lines);
            writer.console(T0 + ordinal, 1, 0, lines.join('\n'));
          } else if (what === 3) writer.console(T0 + ordinal, 1, 1, `progress ${ordinal}`);
          else if (what === 4) {
            said.files.push(ordinal);
            writer.json('FILE', { time: T0 + ordinal, path: 'model', name: 'm', spool: `m-${ordinal}` });
          } else writer.json('CAPTURE', { time: T0 + ordinal, section: 'python', data: { ordinal } });
        }
        const last = round === 39;
        if (last) writer.json('CLOSE', { time: T0 + 1e6, status: 'finished' });
        world.clock.advance(random.pick([1_600, 31_000, POLICY.sealAge]));
        for (let attempt = 0; attempt < 30; attempt++) {
          try {
            await feed(intake, writer, random);
            await intake.commit({ force: last || random.chance(0.3), seal: random.chance(0.1) });
            break;
          } catch {
            for (;;) {
              try {
                intake = await WriterIntake.open(context, WRITER);
                break;
              } catch {
                // Opening writes too, when tails are gone.
              }
            }
          }
        }
        if (random.chance(0.2))
          intake = await WriterIntake.open(world.context, WRITER)
            .then(() => WriterIntake.open(context, WRITER))
            .catch(() => intake);
      }
      const rows = await world.rows();
      const lines = (rows.get('console/stdout') ?? []).map(({ text }) => text);
      // What was unfinished at the end is a line of the last word.
      const open = lines.at(-1)?.startsWith('progress') === true ? lines.pop() : undefined;
      expect([lines, open === undefined || open.startsWith('progress')], `seed ${seed}`).toEqual([said.lines, true]);
      const steps = (rows.get('console/stdout') ?? []).map(({ step }) => step);
      expect(steps).toEqual(steps.map((_, index) => index));
      const ordinals = (rows.get('samples') ?? []).map(({ ordinal }) => ordinal).sort((a, b) => a - b);
      expect(ordinals, `seed ${seed}`).toEqual(said.samples);
      expect((await world.of('file')).map(({ ordinal }) => ordinal).sort((a, b) => a - b)).toEqual(said.files);
      const { points } = await new SeriesReader(world.blobs).read({ entries: await world.entries(), metric: 'loss' });
      expect([...points!.steps], `seed ${seed}`).toEqual(said.points);
      expect(await world.of('objecttail')).toEqual([]);
      expect((await world.card()).status).toBe('finished');
    }
  }, 60_000);

  it('[ING-24] lines are numbered per stream; an unfinished one is shown until the next record, and is a line at the end', async () => {
    const world = await World.open();
    let intake = await WriterIntake.open(world.context, WRITER);
    const writer = journal();
    const step = async (): Promise<void> => {
      await feed(intake, writer);
      await intake.commit({ force: true });
    };
    writer.console(T0, 1, 0, 'a\nb');
    writer.console(T0, 2, 1, '10 %');
    await step();
    expect((await world.rows()).get('console/stderr')).toMatchObject([
      { step: 0, text: '10 %', meta: '{"open":true}' },
    ]);
    writer.console(T0, 2, 1, '20 %');
    writer.console(T0, 1, 2, '5 lines were left out\nof them all');
    await step();
    expect(await world.texts('console/stderr')).toEqual(['20 %']);
    expect((await world.rows()).get('console/stdout')).toMatchObject([
      { step: 0, text: 'a', meta: '' },
      { step: 1, text: 'b', meta: '' },
      { step: 2, text: '5 lines were left out\nof them all', meta: '{"gap":true}' },
    ]);
    const tails = (await world.of('objecttail')).filter(({ rows }) => rows[0]!.meta !== '{"open":true}');
    expect(tails.map(({ first, last, rows }) => [first, last, rows.length])).toEqual([
      [0, 2, 2],
      [2, 4, 1],
    ]);
    intake = await WriterIntake.open(world.context, WRITER);
    writer.console(T0, 2, 0, '100 %');
    writer.console(T0, 2, 1, 'at ');
    await step();
    expect(await world.texts('console/stderr')).toEqual(['100 %', 'at ']);
    intake.judge('crashed');
    await intake.commit();
    expect(await world.texts('console/stderr')).toEqual(['100 %', 'at ']);
    writer.json('CLOSE', { time: T0 + 9, status: 'failed' });
    await step();
    expect(await world.of('objecttail')).toEqual([]);
    expect((await world.rows()).get('console/stderr')).toMatchObject([
      { step: 0, text: '100 %' },
      { step: 1, text: 'at ', meta: '', ordinal: writer.sequence - 1 },
    ]);
  });

  it('[ING-25] rows are sealed by number, by text, by age and at the end, and their tails go', async () => {
    const sealed = async (write: (writer: JournalWriter, world: World) => void): Promise<[number, number]> => {
      const world = await World.open();
      const intake = await WriterIntake.open(world.context, WRITER);
      const writer = journal();
      writer.console(T0, 1, 0, 'first');
      await feed(intake, writer);
      await intake.commit({ force: true });
      expect([(await world.of('objects')).length, (await world.of('objecttail')).length]).toEqual([0, 1]);
      write(writer, world);
      await feed(intake, writer);
      await intake.commit();
      return [(await world.of('objects')).length, (await world.of('objecttail')).length];
    };
    const lines = (count: number, text: string): string => Array.from({ length: count }, () => text).join('\n');
    expect(await sealed((writer) => writer.console(T0, 1, 0, 'second'))).toEqual([0, 1]);
    expect(await sealed((writer) => writer.console(T0, 1, 0, lines(POLICY.sealRows, 'x')))).toEqual([1, 0]);
    expect(
      await sealed((writer) => {
        for (let index = 0; index < 5; index++) writer.console(T0, 1, 0, lines(2, 'x'.repeat(120_000)));
      }),
    ).toEqual([1, 0]);
    expect(await sealed((_, world) => world.clock.advance(POLICY.sealAge))).toEqual([1, 0]);
    expect(await sealed((writer) => writer.json('CLOSE', { time: T0, status: 'finished' }))).toEqual([1, 0]);
  });

  it('[ING-26] a backlog of a million lines is in few segments, and its memory is bounded', async () => {
    const world = await World.open();
    const intake = await WriterIntake.open(world.context, WRITER);
    const writer = journal();
    const total = 1_000_000;
    for (let line = 0; line < total; line += 1_000) {
      const text = Array.from({ length: 1_000 }, (_, index) => `line ${line + index} of a rather chatty program`);
      writer.console(T0 + line, 1, 0, text.join('\n'));
    }
    writer.json('CLOSE', { time: T0 + total, status: 'finished' });
    const bytes = writer.bytes();
    await intake.openFile(0, bytes.subarray(0, 4096));
    let most = 0;
    for (let at = 0; at < bytes.length; at += 1 << 20) {
      intake.push(bytes.subarray(at, at + (1 << 20)));
      most = Math.max(most, intake.bytes);
      await intake.commit({ more: at + (1 << 20) < bytes.length });
    }
    expect(most).toBeLessThan(24 * 1024 * 1024);
    const segments = await world.of('objects');
    expect(segments.reduce((sum, { rows }) => sum + rows, 0)).toBe(total);
    expect(segments.length).toBeLessThan(15);
    expect(segments.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(bytes.length);
    const reader = new ObjectReader(world.blobs);
    const entries = await world.entries();
    const last = await reader.read({ entries, path: 'console/stdout', end: 'last', limit: 2 });
    expect(last.rows.map(({ step, text }) => [step, text])).toEqual([
      [total - 2, `line ${total - 2} of a rather chatty program`],
      [total - 1, `line ${total - 1} of a rather chatty program`],
    ]);
  }, 60_000);

  it('[ING-27] the state that an older program saved is taken up', async () => {
    const world = await World.open();
    let intake = await WriterIntake.open(world.context, WRITER);
    const writer = journal();
    writer.json('TAGS', { time: T0, add: ['old'], remove: [] });
    await feed(intake, writer);
    await intake.commit({ force: true });
    const saved = decodeRecord((await world.replica.getPrivate(stateKey(WRITER)))!, 1 << 20)!;
    for (const newer of ['p', 'X', 'A', 'K', 'B']) delete saved[newer];
    const old = encodeRecord(saved);
    expect(decodeSaved(old)).toMatchObject({ objects: { slots: 0, rows: 0, open: false } });
    await world.replica.transact(NAME, () => {}, [putPrivate(stateKey(WRITER), old)]);
    intake = await WriterIntake.open(world.context, WRITER);
    writer.console(T0, 1, 0, 'new');
    await feed(intake, writer);
    await intake.commit({ seal: true });
    expect(await world.texts('console/stdout')).toEqual(['new']);
    // What the older program passed over is nobody's word.
    expect(await world.of('objects')).toMatchObject([{ first: 2, last: 2 }]);
    expect((await world.card()).tags).toEqual(['old']);
  });

  it('[ING-28] a writer that was told of its end and says nothing more was preempted', async () => {
    const ends = async (write: (writer: JournalWriter) => void): Promise<Card> => {
      const world = await World.open();
      let intake = await WriterIntake.open(world.context, WRITER);
      const writer = journal();
      writer.json('STATUS', { time: T0 + 5, status: 'preempted', signal: 15, reason: 'SIGTERM' });
      await feed(intake, writer);
      await intake.commit({ force: true });
      expect((await world.card()).status).toBe('running');
      // The word holds over a restart of the agent.
      intake = await WriterIntake.open(world.context, WRITER);
      write(writer);
      await feed(intake, writer);
      intake.judge('crashed');
      await intake.commit({ force: true });
      return await world.card();
    };
    expect(await ends(() => {})).toMatchObject({ status: 'preempted', ended: T0 + 5 });
    expect(await ends((writer) => writer.json('STATUS', { time: T0 + 6, status: 'running' }))).toMatchObject({
      status: 'crashed',
    });
    expect(await ends((writer) => writer.json('CLOSE', { time: T0 + 7, status: 'finished' }))).toMatchObject({
      status: 'finished',
    });
    expect(await ends((writer) => writer.json('CLOSE', { time: T0 + 7, status: 'preempted' }))).toMatchObject({
      status: 'preempted',
      ended: T0 + 7,
    });
  });

  it('[ING-29] roles and removals are on the card, and a removal of a path removes files at and below it', async () => {
    const world = await World.open();
    let intake = await WriterIntake.open(world.context, WRITER);
    const writer = new JournalWriter({ writer: WRITER, nonce: new Uint8Array(16) });
    writer.json('META', { ...META, role: 'system' });
    writer.json('ATTRS', { time: T0, set: { 'own/a': 1 }, del: [] });
    writer.json('ATTRS', { time: T0, set: {}, del: ['own'] });
    writer.json('ATTRS', { time: T0 + 1, set: { 'params/lr': 1 }, del: ['params', 'a//b'] });
    writer.json('FILE', { time: T0 + 2, path: 'ckpt/last', name: 'm', spool: 'm' });
    writer.json('ATTRS', { time: T0 + 3, set: {}, del: ['x', 'ckpt'] });
    await feed(intake, writer);
    await intake.commit({ force: true });
    intake = await WriterIntake.open(world.context, WRITER);
    await intake.commit({ force: true });
    const card = await world.card();
    expect([card.role, card.removed]).toEqual(['system', ['own', 'params', 'x', 'ckpt']]);
    expect(Object.fromEntries(card.attributes)).toEqual({ 'params/lr': 1 });
    const files = (await world.of('file')).map(({ fileKind, path, ordinal, place }) => [
      fileKind,
      path,
      ordinal,
      place,
    ]);
    expect(files.sort((a, b) => (a.join() < b.join() ? -1 : 1))).toEqual([
      ['file', 'ckpt/last', 4, null],
      ['removed', 'ckpt', 5, 1],
      ['removed', 'params', 3, 0],
      ['removed', 'x', 5, 0],
    ]);
  });

  it('[ING-30] tails that have gone are taken in again, and what was stored of files stays stored', async () => {
    const world = await World.open();
    let intake = await WriterIntake.open(world.context, WRITER);
    const writer = journal();
    writer.console(T0, 1, 0, 'a\nb');
    writer.console(T0, 2, 1, 'open');
    writer.json('FILE', { time: T0, path: 'model', name: 'm', spool: 'm' });
    await feed(intake, writer);
    await intake.commit();
    const stored: FileEntry = { ...(await world.of('file'))[0]!, spool: null, digest: DIGEST };
    await world.replica.transact(NAME, (doc) => {
      const document = new RunDocument(doc);
      document.putFile(stored);
      document.remove(`objecttail/${WRITER}/${DEVICE}/0`);
    });
    intake = await WriterIntake.open(world.context, WRITER);
    expect(intake.place).toEqual({ file: -1, offset: 0 });
    expect(await world.of('objecttail')).toEqual([]);
    await feed(intake, writer);
    await intake.commit({ force: true });
    expect(await world.texts('console/stdout')).toEqual(['a', 'b']);
    expect(await world.texts('console/stderr')).toEqual(['open']);
    const kept = await world.replica.read(NAME, (doc) => new RunDocument(doc).get(fileKey(stored)));
    expect(kept).toEqual(stored);
  });

  it('[ING-31] no object entry covers ordinals of damaged records', async () => {
    const world = await World.open();
    const intake = await WriterIntake.open(world.context, WRITER);
    const writer = journal();
    const starts: number[] = [];
    for (let index = 0; index < 6; index++) {
      starts.push(writer.length);
      writer.console(T0, 1, 0, `line ${index}`);
    }
    const bytes = writer.bytes();
    bytes[starts[3]! + 20]! ^= 0xff;
    await intake.openFile(0, bytes.subarray(0, 4096));
    expect(intake.push(bytes)).toBe('corrupt');
    const { offset, sequence, header } = intake.reader!;
    const found = salvage(bytes.subarray(offset), { offset, sequence, nonce: header!.nonce });
    await intake.skip(found!);
    intake.push(bytes.subarray(found!.offset));
    await intake.commit({ force: true, seal: true });
    expect((await world.of('objects')).map(({ first, last }) => [first, last])).toEqual([
      [0, 3],
      [5, 6],
    ]);
    expect(await world.texts('console/stdout')).toEqual(['line 0', 'line 1', 'line 2', 'line 4', 'line 5']);
  });

  it('[ING-32] whatever a journal says, entries are within all limits and the rest is noted', async () => {
    const world = await World.open();
    const intake = await WriterIntake.open(world.context, WRITER);
    const writer = journal();
    const long = (index: number): string => `${index}/${'x'.repeat(500)}`;
    // Paths that fill an entry, lines that are many, texts that are long.
    for (let index = 0; index < 3_000; index++) {
      writer.json('OBJECT', { time: T0, path: long(index), step: index, kind: 'k'.repeat(60), data: { index } });
    }
    writer.console(T0, 1, 0, '\n'.repeat(200_000));
    writer.console(T0, 2, 0, '€'.repeat(87_000));
    writer.json('OBJECT', { time: T0, path: 'a//b', step: 0, kind: 'text', text: 'x' });
    for (let index = 0; index < 70; index++) writer.json('CAPTURE', { time: T0, section: `s${index}`, data: {} });
    for (let index = 0; index < 20_010; index++) writer.json('FILE', { time: T0, path: 'm', name: 'm', spool: 'm' });
    await feed(intake, writer, new SeededRandom(9));
    await intake.commit({ force: true, seal: true });
    const rows = await world.rows().catch((error: unknown) => error);
    expect(rows).toBeInstanceOf(Error); // more rows of a path than one answer gives
    const reader = new ObjectReader(world.blobs);
    const listed = await reader.list(await world.entries());
    expect(listed).toHaveLength(3_002);
    expect(listed.find(({ path }) => path === 'console/stdout')).toMatchObject({ rows: 200_001, lastStep: 200_000 });
    expect((await world.of('objects')).length).toBeGreaterThan(1);
    expect(await world.of('capture')).toHaveLength(64);
    expect(await world.of('file')).toHaveLength(20_000);
    const damage = (await world.of('writer'))[0]!.damage!;
    for (const part of ['too many files', 'too large or empty', 'too much']) expect(damage).toContain(part);
  }, 60_000);

  it('[ING-34] a purge removes object segments and leaves blobs that other runs may share', async () => {
    const world = await World.open();
    const purged = new PurgedRuns(world.replica, world.blobs);
    const intake = await WriterIntake.open(world.context, WRITER);
    const shared = await world.blobs.write(new Uint8Array([1, 2, 3]));
    const writer = journal();
    writer.json('OBJECT', { time: T0, path: 'a', step: 0, kind: 'image', file: { ...image('a.png'), sha256: shared } });
    writer.json('CLOSE', { time: T0, status: 'finished' });
    await feed(intake, writer);
    await intake.commit({ force: true });
    const [sealed] = await world.of('objects');
    expect(sealed!.files).toEqual([shared]);
    expect(await world.blobs.stat(sealed!.digest)).toBeDefined();
    await world.replica.transact('book/mnist/2026-03' as DocumentName, (doc) =>
      new Book(doc).addEdit(makeTestEdit({ run: RUN, field: 'purge', value: true })),
    );
    await purged.has(RUN, 'mnist' as ProjectId);
    await purged.settled();
    expect(await world.entries()).toEqual([]);
    expect(await world.blobs.stat(sealed!.digest)).toBeUndefined();
    expect(await world.blobs.stat(shared)).toBeDefined();
    await purged.close();
  });

  it('[ING-33] two devices that seal one journal at different places show each row once', async () => {
    for (let seed = 1; seed <= 15; seed++) {
      const random = new SeededRandom(seed);
      const worlds = [await World.open(), await World.open('d000000000000000000000002' as DeviceId)];
      const writer = journal();
      const intakes = await Promise.all(worlds.map(async (world) => await WriterIntake.open(world.context, WRITER)));
      const lines: string[] = [];
      for (let round = 0; round < 20; round++) {
        for (let count = random.int(5); count > 0; count--) {
          lines.push(`${round}.${count}`);
          writer.console(T0 + round, 1, 0, lines.at(-1)!);
          if (random.chance(0.2)) writer.console(T0 + round, 1, 1, `open ${round}`);
        }
        for (const [index, intake] of intakes.entries()) {
          if (random.chance(0.5)) continue;
          await feed(intake, writer, random);
          worlds[index]!.clock.advance(31_000);
          await intake.commit({ force: true, seal: random.chance(0.3) });
        }
      }
      await feed(intakes[0]!, writer);
      await intakes[0]!.commit({ force: true });
      const blobs = {
        read: async (digest: BlobDigest) =>
          (await worlds[0]!.blobs.read(digest)) ?? (await worlds[1]!.blobs.read(digest)),
      };
      const entries = random.shuffle([...(await worlds[0]!.entries()), ...(await worlds[1]!.entries())]);
      const reader = new ObjectReader(blobs);
      const { rows } = await reader.read({ entries, path: 'console/stdout', limit: 10_000 });
      const shown = rows.filter(({ meta }) => meta === '').map(({ text }) => text);
      expect(shown, `seed ${seed}`).toEqual(lines);
      const [listed] = await reader.list(entries);
      expect(listed?.rows ?? 0, `seed ${seed}`).toBe(rows.length);
      expect(rows.filter(({ meta }) => meta !== '').length, `seed ${seed}`).toBeLessThanOrEqual(1);
    }
  });
});
