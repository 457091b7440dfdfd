import { describe, expect, it } from 'vitest';
import { JournalWriter } from '../journal/index.ts';
import { ObjectReader } from '../objects/index.ts';
import type { Card } from '../record/index.ts';
import { SeededRandom } from '../testing/index.ts';
import {
  DIGEST,
  feedIntake,
  imageFile,
  META,
  objectJournal,
  ObjectWorld,
  RUN,
  T0,
  WRITER,
} from '../testing/object-intake.ts';
import { WriterIntake } from './intake.ts';
import { POLICY } from './policy.ts';

describe('taking in what is not a number', () => {
  it('[ING-22] a first commit has files, captures, object rows and console lines in entries', async () => {
    const world = await ObjectWorld.open();
    const intake = await WriterIntake.open(world.context, WRITER);
    const writer = objectJournal();
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
      file: imageFile('a.png'),
      meta: { a: 1 },
    });
    writer.console(T0 + 6, 1, 0, 'one\n\nthree');
    await feedIntake(intake, writer);
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

  it('[ING-24] lines are numbered per stream; an unfinished one is shown until the next record, and is a line at the end', async () => {
    const world = await ObjectWorld.open();
    let intake = await WriterIntake.open(world.context, WRITER);
    const writer = objectJournal();
    const step = async (): Promise<void> => {
      await feedIntake(intake, writer);
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
    const sealed = async (write: (writer: JournalWriter, world: ObjectWorld) => void): Promise<[number, number]> => {
      const world = await ObjectWorld.open();
      const intake = await WriterIntake.open(world.context, WRITER);
      const writer = objectJournal();
      writer.console(T0, 1, 0, 'first');
      await feedIntake(intake, writer);
      await intake.commit({ force: true });
      expect([(await world.of('objects')).length, (await world.of('objecttail')).length]).toEqual([0, 1]);
      write(writer, world);
      await feedIntake(intake, writer);
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

  it('[ING-25] a writer that says little is sealed at widening intervals', async () => {
    const world = await ObjectWorld.open();
    const intake = await WriterIntake.open(world.context, WRITER);
    const writer = objectJournal();
    const hours = 72;
    for (let minute = 0; minute < hours * 60; minute++) {
      writer.console(T0 + minute * 60_000, 1, 0, `minute ${minute}`);
      await feedIntake(intake, writer);
      await intake.commit();
      world.clock.advance(60_000);
    }
    const segments = (await world.of('objects')).length;
    expect(segments).toBeGreaterThan(30);
    expect(segments).toBeLessThan(50);
    const sealed = (await world.of('objects')).reduce((sum, { rows }) => sum + rows, 0);
    const open = (await world.of('objecttail')).reduce((sum, { rows }) => sum + rows.length, 0);
    expect(sealed + open).toBe(hours * 60);
  });

  it('[ING-26] a backlog of a million lines is in few segments, and its memory is bounded', async () => {
    const world = await ObjectWorld.open();
    const intake = await WriterIntake.open(world.context, WRITER);
    const writer = objectJournal();
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

  it('[ING-28] a writer that was told of its end and says nothing more was preempted', async () => {
    const ends = async (write: (writer: JournalWriter) => void, signal = 15): Promise<Card> => {
      const world = await ObjectWorld.open();
      let intake = await WriterIntake.open(world.context, WRITER);
      const writer = objectJournal();
      writer.json('STATUS', { time: T0 + 5, status: 'preempted', signal: 15, reason: 'SIGTERM' });
      await feedIntake(intake, writer);
      await intake.commit({ force: true });
      expect((await world.card()).status).toBe('running');
      // The word holds over a restart of the agent.
      intake = await WriterIntake.open(world.context, WRITER);
      write(writer);
      await feedIntake(intake, writer);
      intake.judge('crashed');
      await intake.commit({ force: true });
      const entry = (await world.entries()).find((each) => each.kind === 'writer');
      expect(entry).toMatchObject({ signal: signal === 0 ? null : signal, reason: signal === 0 ? null : 'SIGTERM' });
      return await world.card();
    };
    expect(await ends(() => {})).toMatchObject({ status: 'preempted', ended: T0 + 5 });
    const goesOn = (writer: JournalWriter): void => writer.json('STATUS', { time: T0 + 6, status: 'running' });
    expect(await ends(goesOn, 0)).toMatchObject({ status: 'crashed' });
    expect(await ends((writer) => writer.json('CLOSE', { time: T0 + 7, status: 'finished' }))).toMatchObject({
      status: 'finished',
    });
    expect(await ends((writer) => writer.json('CLOSE', { time: T0 + 7, status: 'preempted' }))).toMatchObject({
      status: 'preempted',
      ended: T0 + 7,
    });
  });

  it('[ING-29] roles and removals are on the card, and a removal of a path removes files at and below it', async () => {
    const world = await ObjectWorld.open();
    let intake = await WriterIntake.open(world.context, WRITER);
    const writer = new JournalWriter({ writer: WRITER, nonce: new Uint8Array(16) });
    writer.json('META', { ...META, role: 'system' });
    writer.json('ATTRS', { time: T0, set: { 'own/a': 1 }, del: [] });
    writer.json('ATTRS', { time: T0, set: {}, del: ['own'] });
    writer.json('ATTRS', { time: T0 + 1, set: { 'params/lr': 1 }, del: ['params', 'a//b'] });
    writer.json('FILE', { time: T0 + 2, path: 'ckpt/last', name: 'm', spool: 'm' });
    writer.json('ATTRS', { time: T0 + 3, set: {}, del: ['x', 'ckpt'] });
    await feedIntake(intake, writer);
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

  it('[ING-41] metrics of the machine are told in the entry, and a companion with nothing else has no card', async () => {
    for (const role of ['system', null]) {
      for (const says of [false, true]) {
        const world = await ObjectWorld.open();
        let intake = await WriterIntake.open(world.context, WRITER);
        const writer = new JournalWriter({ writer: WRITER, nonce: new Uint8Array(16) });
        writer.json('META', { ...META, role });
        writer.declare([
          [0, 'sys/machine/cpu_percent'],
          [1, 'loss'],
        ]);
        writer.scalars(T0, 0, [0], [40]);
        writer.scalars(T0 + 1, 1, [0], [60]);
        if (says) writer.scalars(T0 + 2, 1, [1], [0.5]);
        writer.json('CLOSE', { time: T0 + 3, status: 'finished' });
        await feedIntake(intake, writer);
        await intake.commit({ force: true });
        expect(intake.done).toBe(true);
        const [entry] = await world.of('writer');
        expect([...entry!.system.keys()]).toEqual(['sys/machine/cpu_percent']);
        expect([...entry!.system.values()]).toMatchObject([{ count: 2, min: 40, max: 60, last: 60 }]);
        const cards = await world.cards();
        expect(cards).toHaveLength(role === null || says ? 1 : 0);
        for (const card of cards) expect([...card.metrics.keys()]).toEqual(says ? ['loss'] : []);
        // Nothing is left to do for whoever opens it again.
        intake = await WriterIntake.open(world.context, WRITER);
        await intake.commit({ force: true });
        expect(intake.done).toBe(true);
        expect(await world.cards()).toEqual(cards);
      }
    }
  });

  it('[ING-41] [ING-32] more metrics of the machine than an entry holds are cut, and the writer is taken in', async () => {
    const world = await ObjectWorld.open();
    const intake = await WriterIntake.open(world.context, WRITER);
    const writer = new JournalWriter({ writer: WRITER, nonce: new Uint8Array(16) });
    writer.json('META', { ...META, role: 'system' });
    // Nothing that a path shares with the one before it.
    const names = Array.from({ length: 3_000 }, (_, index) => `sys/${String(index).padEnd(508, String(index))}`);
    for (let from = 0; from < names.length; from += 1_000) {
      writer.declare(names.slice(from, from + 1_000).map((name, index) => [from + index, name] as const));
    }
    const numbers = names.map((_, index) => index);
    writer.scalars(T0, 0, numbers, numbers);
    writer.json('CLOSE', { time: T0 + 3, status: 'failed', traceback: 'x'.repeat(60_000) });
    await feedIntake(intake, writer);
    await intake.commit({ force: true });
    expect(intake.done).toBe(true);
    const [entry] = await world.of('writer');
    expect(entry!.system.size).toBeGreaterThan(100);
    expect(entry!.system.size).toBeLessThan(names.length);
  });

  it('[ING-32] whatever a journal says, entries are within all limits and the rest is noted', async () => {
    const world = await ObjectWorld.open();
    const intake = await WriterIntake.open(world.context, WRITER);
    const writer = objectJournal();
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
    await feedIntake(intake, writer, new SeededRandom(9));
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
});
