import { describe, expect, it } from 'vitest';
import { Book, RunDocument } from '../documents/index.ts';
import type { DeviceId, DocumentName, ProjectId } from '../ids.ts';
import { salvage } from '../journal/index.ts';
import { ObjectReader } from '../objects/index.ts';
import type { BlobDigest } from '../ports.ts';
import type { FileEntry } from '../record/index.ts';
import { decodeRecord, encodeRecord, fileKey } from '../record/index.ts';
import { SeriesReader } from '../series/index.ts';
import { makeTestEdit, SeededRandom } from '../testing/index.ts';
import {
  DEVICE,
  DIGEST,
  feedIntake,
  imageFile,
  NAME,
  objectJournal,
  ObjectWorld,
  RUN,
  T0,
  WRITER,
} from '../testing/object-intake.ts';
import type { IntakeContext } from './intake-context.ts';
import { WriterIntake } from './intake.ts';
import { POLICY } from './policy.ts';
import { PurgedRuns } from './purged-runs.ts';
import { decodeSaved, putPrivate, stateKey } from './saved.ts';

describe('object rows, files and captures, once', () => {
  it('[ING-23] whoever opens a writer again takes in every row, file and capture once, at whatever write it failed', async () => {
    for (let seed = 1; seed <= 25; seed++) {
      const random = new SeededRandom(seed);
      const world = await ObjectWorld.open();
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
          putPrivate: (entries) => world.replica.putPrivate(entries),
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
      const writer = objectJournal();
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
            await feedIntake(intake, writer, random);
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

  it('[ING-27] the state that an older program saved is taken up', async () => {
    const world = await ObjectWorld.open();
    let intake = await WriterIntake.open(world.context, WRITER);
    const writer = objectJournal();
    writer.json('TAGS', { time: T0, add: ['old'], remove: [] });
    await feedIntake(intake, writer);
    await intake.commit({ force: true });
    const saved = decodeRecord((await world.replica.getPrivate(stateKey(WRITER)))!, 1 << 20)!;
    for (const newer of ['p', 'X', 'A', 'K', 'B']) delete saved[newer];
    const old = encodeRecord(saved);
    expect(decodeSaved(old)).toMatchObject({ objects: { slots: 0, rows: 0, open: false } });
    await world.replica.transact(NAME, () => {}, [putPrivate(stateKey(WRITER), old)]);
    intake = await WriterIntake.open(world.context, WRITER);
    writer.console(T0, 1, 0, 'new');
    await feedIntake(intake, writer);
    await intake.commit({ seal: true });
    expect(await world.texts('console/stdout')).toEqual(['new']);
    // What the older program passed over is nobody's word.
    expect(await world.of('objects')).toMatchObject([{ first: 2, last: 2 }]);
    expect((await world.card()).tags).toEqual(['old']);
  });

  it('[ING-30] tails that have gone are taken in again, and what was stored of files stays stored', async () => {
    const world = await ObjectWorld.open();
    let intake = await WriterIntake.open(world.context, WRITER);
    const writer = objectJournal();
    writer.console(T0, 1, 0, 'a\nb');
    writer.console(T0, 2, 1, 'open');
    writer.json('FILE', { time: T0, path: 'model', name: 'm', spool: 'm' });
    await feedIntake(intake, writer);
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
    await feedIntake(intake, writer);
    await intake.commit({ force: true });
    expect(await world.texts('console/stdout')).toEqual(['a', 'b']);
    expect(await world.texts('console/stderr')).toEqual(['open']);
    const kept = await world.replica.read(NAME, (doc) => new RunDocument(doc).get(fileKey(stored)));
    expect(kept).toEqual(stored);
  });

  it('[ING-30] a journal that is taken in again hides nothing that was sealed before', async () => {
    const world = await ObjectWorld.open();
    let intake = await WriterIntake.open(world.context, WRITER);
    const writer = objectJournal();
    writer.console(T0, 1, 0, 'a');
    const half = writer.length;
    writer.console(T0, 1, 0, 'b\nc');
    await feedIntake(intake, writer);
    await intake.commit({ seal: true });
    writer.console(T0, 1, 0, 'd');
    await feedIntake(intake, writer);
    await intake.commit({ force: true });
    await world.replica.transact(NAME, (doc) => new RunDocument(doc).remove(`objecttail/${WRITER}/${DEVICE}/0`));
    intake = await WriterIntake.open(world.context, WRITER);
    const bytes = writer.bytes().subarray(0, half);
    await intake.openFile(0, bytes);
    intake.push(bytes);
    await intake.commit({ seal: true });
    expect(await world.texts('console/stdout')).toEqual(['a', 'b', 'c']);
    await feedIntake(intake, writer);
    await intake.commit({ force: true });
    expect(await world.texts('console/stdout')).toEqual(['a', 'b', 'c', 'd']);
  });

  it('[ING-31] no object entry covers ordinals of damaged records', async () => {
    const world = await ObjectWorld.open();
    const intake = await WriterIntake.open(world.context, WRITER);
    const writer = objectJournal();
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

  it('[ING-33] two devices that seal one journal at different places show each row once', async () => {
    for (let seed = 1; seed <= 15; seed++) {
      const random = new SeededRandom(seed);
      const worlds = [await ObjectWorld.open(), await ObjectWorld.open('d000000000000000000000002' as DeviceId)];
      const writer = objectJournal();
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
          await feedIntake(intake, writer, random);
          worlds[index]!.clock.advance(31_000);
          await intake.commit({ force: true, seal: random.chance(0.3) });
        }
      }
      await feedIntake(intakes[0]!, writer);
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

  it('[ING-34] a purge removes object segments and leaves blobs that other runs share', async () => {
    const world = await ObjectWorld.open();
    const purged = new PurgedRuns(world.replica, world.blobs);
    const intake = await WriterIntake.open(world.context, WRITER);
    const shared = await world.blobs.write(new Uint8Array([1, 2, 3]));
    const own = await world.blobs.write(new Uint8Array([4]));
    await world.replica.transact('run/another' as DocumentName, (doc) =>
      new RunDocument(doc).putObjects({
        kind: 'objects',
        writer: WRITER,
        device: world.context.device,
        first: 0,
        last: 0,
        digest: shared,
        size: 1,
        rows: 1,
        startTime: 1,
        endTime: 1,
        paths: [],
        files: [shared],
        extra: {},
      }),
    );
    const writer = objectJournal();
    writer.json('OBJECT', {
      time: T0,
      path: 'b',
      step: 0,
      kind: 'image',
      file: { ...imageFile('b.png'), sha256: own },
    });
    writer.json('OBJECT', {
      time: T0,
      path: 'a',
      step: 0,
      kind: 'image',
      file: { ...imageFile('a.png'), sha256: shared },
    });
    writer.json('CLOSE', { time: T0, status: 'finished' });
    await feedIntake(intake, writer);
    await intake.commit({ force: true });
    const [sealed] = await world.of('objects');
    const other = { ...sealed!, digest: DIGEST, files: [shared] };
    await world.replica.transact('run/run-2' as DocumentName, (doc) => new RunDocument(doc).putObjects(other));
    expect(sealed!.files).toEqual([own, shared].sort());
    expect(await world.blobs.stat(sealed!.digest)).toBeDefined();
    await world.replica.transact('book/mnist/2026-03' as DocumentName, (doc) =>
      new Book(doc).addEdit(makeTestEdit({ run: RUN, field: 'purge', value: true })),
    );
    await purged.has(RUN, 'mnist' as ProjectId);
    await purged.settled();
    expect(await world.entries()).toEqual([]);
    expect(await world.blobs.stat(sealed!.digest)).toBeUndefined();
    expect(await world.blobs.stat(shared)).toBeDefined();
    expect(await world.blobs.stat(own)).toBeUndefined();
    await purged.close();
  });
});
