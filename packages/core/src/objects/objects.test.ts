import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isFieldbookError } from '../errors.ts';
import type { DeviceId, RunId, WriterId } from '../ids.ts';
import type { BlobDigest } from '../ports.ts';
import type { Entry, ObjectRow, ObjectsEntry } from '../record/index.ts';
import { MemoryBlobStore, SeededRandom } from '../testing/index.ts';
import { GAP_META, ObjectReader, OPEN_META } from './reader.ts';
import type { PlacedRow, RowPlace } from './reader.ts';
import { compareRows, ObjectSegment, sealObjects } from './segment.ts';

const RUN = 'run-1' as RunId;
const writerOf = (n: number): WriterId => `01kf${String(n).padStart(22, '0')}` as WriterId;
const deviceOf = (n: number): DeviceId => `d${String(n).padStart(24, '0')}` as DeviceId;
const WRITER = writerOf(1);
const DIGEST = 'ab'.repeat(32) as BlobDigest;

function row(change: Partial<ObjectRow> & { ordinal: number }): ObjectRow {
  const { ordinal } = change;
  const base = { path: 'samples', step: ordinal, time: 1_000 + ordinal, kind: 'text', text: `row ${ordinal}` };
  return { ...base, digest: '', size: 0, mime: '', name: '', meta: '', part: 0, ...change };
}

class Manifest {
  readonly blobs = new MemoryBlobStore();
  readonly entries: Entry[] = [];

  async seal(
    rows: readonly ObjectRow[],
    first: number,
    last: number,
    from: { writer?: WriterId; device?: DeviceId } = {},
  ): Promise<ObjectsEntry> {
    const { writer = WRITER, device = deviceOf(1) } = from;
    const { bytes, ...sealed } = await sealObjects({ run: RUN, writer, first, last }, rows);
    const digest = await this.blobs.write(bytes);
    const entry: ObjectsEntry = {
      kind: 'objects',
      writer,
      device,
      first,
      last,
      digest,
      size: bytes.length,
      ...sealed,
      extra: {},
    };
    this.entries.push(entry);
    return entry;
  }

  tail(
    rows: readonly ObjectRow[],
    first: number,
    last: number,
    from: { writer?: WriterId; device?: DeviceId } = {},
  ): void {
    const { writer = WRITER, device = deviceOf(1) } = from;
    this.entries.push({ kind: 'objecttail', writer, device, first, last, rows, extra: {} });
  }
}

describe('object segments', () => {
  const FOLDER = new URL('../../../../tests/golden/objects/', import.meta.url);
  /** In the order they were taken in, with what is easy to get wrong. */
  const ROWS: ObjectRow[] = [
    row({ ordinal: 3, path: 'samples', step: 2, text: 'größer\n🙂 "quoted"' }),
    row({ ordinal: 4, path: 'samples', step: -0.5, text: '' }),
    row({
      ordinal: 5,
      path: 'images/größe',
      kind: 'image',
      text: '',
      digest: DIGEST,
      size: 5e9,
      mime: 'image/png',
      name: 'a.png',
      meta: '{"caption":"∞"}',
    }),
    row({ ordinal: 6, path: 'console/stdout', step: 0, text: 'one', part: 0 }),
    row({ ordinal: 6, path: 'console/stdout', step: 1, text: '\u001b[31mtwo\u001b[0m', part: 1 }),
    row({ ordinal: 2 ** 40, path: 'samples', step: 2, text: 'the same step', meta: GAP_META }),
  ];

  it('[OBJ-1] the golden segment reads back as its rows, in both languages', async () => {
    // FIELDBOOK_GOLDEN=write makes the files anew; do that only with a new version number.
    if (process.env.FIELDBOOK_GOLDEN === 'write') {
      const { bytes } = await sealObjects({ run: RUN, writer: WRITER, first: 3, last: 2 ** 40 }, ROWS);
      writeFileSync(new URL('v1.parquet', FOLDER), bytes);
      writeFileSync(new URL('v1.json', FOLDER), `${JSON.stringify([...ROWS].sort(compareRows), null, 2)}\n`);
    }
    const segment = new ObjectSegment(new Uint8Array(readFileSync(new URL('v1.parquet', FOLDER))));
    const expected = JSON.parse(readFileSync(new URL('v1.json', FOLDER), 'utf8')) as ObjectRow[];
    expect(expected).toEqual([...ROWS].sort(compareRows));
    expect(await segment.all()).toEqual(expected);
    expect([...segment.paths]).toEqual([
      ['console/stdout', { start: 0, count: 2 }],
      ['images/größe', { start: 2, count: 1 }],
      ['samples', { start: 3, count: 3 }],
    ]);
  });

  it('[OBJ-1] rows come back over several row groups, by path and range', async () => {
    const rows = Array.from({ length: 10_000 }, (_, ordinal) =>
      row({ ordinal, path: ordinal % 3 === 0 ? 'a' : 'b', step: 10_000 - ordinal }),
    );
    const sealed = await sealObjects({ run: RUN, writer: WRITER, first: 0, last: 9_999 }, rows);
    expect(sealed).toMatchObject({ rows: 10_000, startTime: 1_000, endTime: 10_999, files: [] });
    expect(sealed.paths).toEqual([
      { path: 'a', kind: 'text', rows: 3_334, firstStep: 1, lastStep: 10_000 },
      { path: 'b', kind: 'text', rows: 6_666, firstStep: 2, lastStep: 9_999 },
    ]);
    const segment = new ObjectSegment(sealed.bytes);
    const expected = rows.filter(({ path }) => path === 'b').sort(compareRows);
    expect(await segment.rows('b', 0, 9_999)).toEqual(expected);
    expect(await segment.rows('b', 4_000, 4_010)).toEqual(expected.slice(4_000, 4_010));
    expect([...(await segment.steps('b'))]).toEqual(expected.map(({ step }) => step));
    const found = await segment.rowsWith('b', 100, 6_000, (text) => text.endsWith('7'));
    expect(found).toEqual(expected.slice(100, 6_000).filter(({ text }) => text.endsWith('7')));
    expect(await segment.rowsWith('b', 0, 9_999, (text) => text === 'row 7')).toMatchObject([{ ordinal: 7 }]);
    expect(await segment.rowsWith('b', 0, 9_999, () => false)).toEqual([]);
    expect(await segment.rows('c', 0, 9)).toEqual([]);
  });

  it('[OBJ-2] bytes that are no object segment are refused with segment_corrupt, whatever they are', async () => {
    const random = new SeededRandom(5);
    const { bytes } = await sealObjects({ run: RUN, writer: WRITER, first: 3, last: 9 }, ROWS);
    const codes = new Set<string>();
    for (let round = 0; round < 300; round++) {
      const broken = bytes.slice(0, random.chance(0.3) ? random.int(bytes.length) : bytes.length);
      for (let hits = 1 + random.int(4); hits > 0 && broken.length > 0; hits--)
        broken[random.int(broken.length)] = random.int(256);
      try {
        const segment = new ObjectSegment(broken);
        for (const path of segment.paths.keys()) await segment.steps(path);
        await segment.all();
      } catch (error) {
        codes.add(isFieldbookError(error) ? error.code : String(error));
      }
    }
    expect([...codes]).toEqual(['segment_corrupt']);
    await expect(sealObjects({ run: RUN, writer: WRITER, first: 3, last: 9 }, [])).rejects.toMatchObject({
      code: 'internal',
    });
  });
});

describe('reading objects', () => {
  /** What any answer must be: all rows of the path, sorted, filtered, cut. */
  function naive(
    all: readonly PlacedRow[],
    ask: { path: string; x: 'step' | 'time'; from: number; to: number; contains?: string },
  ): PlacedRow[] {
    const wanted = ask.contains?.toLowerCase();
    return all
      .filter((one) => one.path === ask.path && one[ask.x] >= ask.from && one[ask.x] <= ask.to)
      .filter(({ text }) => wanted === undefined || text.toLowerCase().includes(wanted))
      .sort(
        (a, b) =>
          a[ask.x] - b[ask.x] ||
          (a.writer < b.writer ? -1 : a.writer > b.writer ? 1 : a.ordinal - b.ordinal || a.part - b.part),
      );
  }

  it('[OBJ-3] pages of any size, from either end, by step or time, give every row once, whoever sealed it where', async () => {
    for (let seed = 1; seed <= 15; seed++) {
      const random = new SeededRandom(seed);
      const manifest = new Manifest();
      const all: PlacedRow[] = [];
      for (const writer of [writerOf(1), writerOf(2)]) {
        const rows: ObjectRow[] = [];
        const records = 30 + random.int(60);
        for (let ordinal = 0; ordinal < records; ordinal++) {
          const path = random.pick(['a', 'a', 'b']);
          const step = random.chance(0.7) ? ordinal : random.int(20);
          const parts = 1 + random.int(3);
          for (let part = 0; part < parts; part++) {
            rows.push(
              row({ ordinal, path, step, part, time: 1_000 + random.int(50), text: `Row ${ordinal % 7}.${part}` }),
            );
          }
        }
        all.push(...rows.map((one) => ({ ...one, writer })));
        for (const device of [deviceOf(1), deviceOf(2)]) {
          let first = 0;
          while (first < records) {
            const last = Math.min(records - 1, first + random.int(25));
            const inside = rows.filter(({ ordinal }) => ordinal >= first && ordinal <= last);
            if (random.chance(0.6)) await manifest.seal(inside, first, last, { writer, device });
            else manifest.tail(inside, first, last, { writer, device });
            first = last + 1;
          }
        }
      }
      const entries = random.shuffle(manifest.entries);
      const reader = new ObjectReader(manifest.blobs, { searchRows: 10 });
      const listed = await reader.list(entries);
      expect(
        listed.map(({ path, rows }) => [path, rows]),
        `seed ${seed}`,
      ).toEqual(['a', 'b'].map((path) => [path, all.filter((one) => one.path === path).length]));
      for (const x of ['step', 'time'] as const) {
        for (const end of ['first', 'last'] as const) {
          for (const contains of [undefined, 'ROW 3']) {
            const from = random.chance(0.5) ? -Infinity : x === 'step' ? random.int(20) : 1_000 + random.int(30);
            const to = random.chance(0.5) ? Infinity : from + 20;
            const found: PlacedRow[] = [];
            let after: RowPlace | undefined;
            for (let pages = 0; ; pages++) {
              expect(pages, `seed ${seed}`).toBeLessThan(400);
              const limit = 1 + random.int(9);
              const answer = await reader.read({
                entries,
                path: 'a',
                x,
                from,
                to,
                end,
                limit,
                ...(after === undefined ? {} : { after }),
                ...(contains === undefined ? {} : { contains }),
              });
              expect(answer.rows.length).toBeLessThanOrEqual(limit);
              if (end === 'first') found.push(...answer.rows);
              else found.unshift(...answer.rows);
              if (answer.next === null) break;
              after = answer.next;
            }
            const expected = naive(all, { path: 'a', x, from, to, ...(contains === undefined ? {} : { contains }) });
            expect(found, `seed ${seed} ${x} ${end} ${contains}`).toEqual(expected);
          }
        }
      }
    }
  }, 60_000);

  it('[OBJ-3] an answer has no more text than was asked for, but always a row', async () => {
    const manifest = new Manifest();
    const rows = Array.from({ length: 7 }, (_, ordinal) =>
      row({ ordinal, text: (ordinal === 3 ? 'x'.repeat(50) : 'x'.repeat(10)) + String(ordinal) }),
    );
    await manifest.seal(rows, 0, 9);
    const reader = new ObjectReader(manifest.blobs);
    const pages = async (end: 'first' | 'last'): Promise<number[][]> => {
      const found: number[][] = [];
      for (let after: RowPlace | undefined; ;) {
        const ask = { entries: manifest.entries, path: 'samples', end, limit: 4, characters: 40 };
        const answer = await reader.read({ ...ask, ...(after === undefined ? {} : { after }) });
        found.push(answer.rows.map(({ ordinal }) => ordinal));
        if (answer.next === null) return found;
        after = answer.next;
      }
    };
    expect(await pages('first')).toEqual([[0, 1, 2], [3], [4, 5, 6]]);
    expect(await pages('last')).toEqual([[4, 5, 6], [3], [0, 1, 2]]);
  });

  it('[OBJ-4] what is not here or broken is said, and another copy speaks for it where there is one', async () => {
    const manifest = new Manifest();
    const rows = Array.from({ length: 30 }, (_, ordinal) => row({ ordinal }));
    const first = await manifest.seal(rows.slice(0, 10), 0, 9);
    const second = await manifest.seal(rows.slice(10, 20), 10, 19);
    const third = await manifest.seal(rows.slice(20), 20, 29);
    const broken = await manifest.blobs.write(new Uint8Array([1, 2, 3]));
    await manifest.blobs.remove(first.digest);
    const entries: Entry[] = [first, second, { ...third, digest: broken }];
    const reader = new ObjectReader(manifest.blobs);
    const ask = { path: 'samples', limit: 100 };
    const answer = await reader.read({ ...ask, entries });
    expect(answer.rows.map(({ ordinal }) => ordinal)).toEqual(rows.slice(10, 20).map(({ ordinal }) => ordinal));
    expect(answer.missing).toEqual([
      { writer: WRITER, device: deviceOf(1), first: 0, last: 9, digest: first.digest, size: first.size, rows: 10 },
    ]);
    expect(answer.corrupt).toMatchObject([{ first: 20, last: 29, digest: broken, rows: 10 }]);
    // Nothing is said of what the answer does not need.
    expect(await reader.read({ ...ask, entries, from: 10, to: 19 })).toMatchObject({ missing: [], corrupt: [] });
    const whole = await reader.read({
      ...ask,
      entries: [...entries, await manifest.seal(rows, 0, 29, { device: deviceOf(2) })],
    });
    expect([whole.rows.length, whole.missing, whole.corrupt]).toEqual([30, [], []]);
    const [listed] = await reader.list(entries);
    expect(listed).toMatchObject({ path: 'samples', rows: 30, kinds: { text: 30 }, firstStep: 0, lastStep: 29 });
    // It comes when the blob does.
    await manifest.seal(rows.slice(0, 10), 0, 9);
    expect((await reader.read({ ...ask, entries })).missing).toEqual([]);
  });

  it('[OBJ-5] an unfinished line is shown while nothing has replaced it, whichever device knows', async () => {
    const manifest = new Manifest();
    const line = (ordinal: number, step: number, meta = ''): ObjectRow =>
      row({ ordinal, step, meta, path: 'console/stdout', text: `line ${step}${meta === '' ? '' : ' …'}` });
    await manifest.seal([line(1, 0), line(2, 1)], 0, 3);
    manifest.tail([line(3, 2, OPEN_META)], 3, 3);
    const reader = new ObjectReader(manifest.blobs);
    const texts = async (entries: Entry[]): Promise<string[]> => {
      const { rows } = await reader.read({ entries, path: 'console/stdout', limit: 10 });
      const [listed] = await reader.list(entries);
      expect(listed!.rows).toBe(rows.length);
      return rows.map(({ text }) => text);
    };
    expect(await texts(manifest.entries)).toEqual(['line 0', 'line 1', 'line 2 …']);
    // Another device has an older state of the line, and a third has what replaced it.
    manifest.tail([line(2, 1, OPEN_META)], 2, 2, { device: deviceOf(2) });
    expect(await texts(manifest.entries)).toEqual(['line 0', 'line 1', 'line 2 …']);
    manifest.tail([line(4, 2)], 4, 9, { device: deviceOf(3) });
    expect(await texts(manifest.entries)).toEqual(['line 0', 'line 1', 'line 2']);
  });

  it('[OBJ-6] a range and an end open only the segments that have them, and one writer can be asked for', async () => {
    const manifest = new Manifest();
    for (let part = 0; part < 20; part++) {
      const rows = Array.from({ length: 50 }, (_, index) => row({ ordinal: part * 50 + index }));
      await manifest.seal(rows, part * 50, part * 50 + 49);
    }
    await manifest.seal([row({ ordinal: 5, step: 990 })], 0, 9, { writer: writerOf(2) });
    const { entries } = manifest;
    const opened: BlobDigest[] = [];
    const blobs = {
      read: async (digest: BlobDigest) => {
        opened.push(digest);
        return await manifest.blobs.read(digest);
      },
    };
    const cost = async (ask: Partial<Parameters<ObjectReader['read']>[0]>): Promise<[number, number]> => {
      opened.length = 0;
      const { rows } = await new ObjectReader(blobs).read({ entries, path: 'samples', limit: 10, ...ask });
      return [rows.length, opened.length];
    };
    expect(await cost({})).toEqual([10, 1]);
    expect(await cost({ end: 'last' })).toEqual([10, 2]);
    expect(await cost({ end: 'last', writer: WRITER })).toEqual([10, 1]);
    expect(await cost({ from: 120, to: 160, limit: 100 })).toEqual([41, 2]);
    expect(await cost({ from: 5_000 })).toEqual([0, 0]);
    expect(await cost({ path: 'other' })).toEqual([0, 0]);
    expect(await cost({ writer: writerOf(2) })).toEqual([1, 1]);
    // A search that finds nothing stops on its way, and says where.
    opened.length = 0;
    const searcher = new ObjectReader(blobs, { searchRows: 100 });
    const search = { entries, path: 'samples', limit: 10, contains: 'nowhere', writer: WRITER };
    const stopped = await searcher.read(search);
    expect([stopped.rows, opened.length, stopped.next?.key]).toEqual([[], 2, 100]);
    expect((await searcher.read({ ...search, contains: 'ROW 120' })).rows).toEqual([]);
    const went = await searcher.read({ ...search, contains: 'ROW 120', after: stopped.next! });
    expect(went.rows.map(({ ordinal }) => ordinal)).toEqual([120]);
    const reader = new ObjectReader(blobs);
    for (const ask of [{ limit: 0 }, { limit: 10_001 }, { from: 2, to: 1 }, { from: Number.NaN }]) {
      const asked = reader.read({ entries, path: 'samples', limit: 5, ...ask });
      await expect(asked).rejects.toMatchObject({ code: 'invalid_argument' });
    }
  });
});
