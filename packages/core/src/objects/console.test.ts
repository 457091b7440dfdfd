import { describe, expect, it } from 'vitest';
import type { DeviceId, RunId, WriterId } from '../ids.ts';
import type { BlobDigest } from '../ports.ts';
import type { Entry, ObjectRow } from '../record/index.ts';
import { MemoryBlobStore, SeededRandom } from '../testing/index.ts';
import type { ConsoleLine, ConsoleView } from './console.ts';
import { ConsoleReader } from './console.ts';
import { GAP_META, OPEN_META } from './sources.ts';
import { sealObjects } from './segment.ts';

const RUN = 'run-1' as RunId;
const writerOf = (n: number): WriterId => `01kf${String(n).padStart(22, '0')}` as WriterId;
const deviceOf = (n: number): DeviceId => `d${String(n).padStart(24, '0')}` as DeviceId;
const never = { pause: () => Promise.resolve(), isCancelled: () => false };

class Manifest {
  readonly blobs = new MemoryBlobStore();
  readonly entries: Entry[] = [];
  readonly digests: BlobDigest[] = [];

  async seal(
    rows: readonly ObjectRow[],
    first: number,
    last: number,
    writer: WriterId,
    device = deviceOf(1),
  ): Promise<BlobDigest> {
    const { bytes, ...sealed } = await sealObjects({ run: RUN, writer, first, last }, rows);
    const digest = await this.blobs.write(bytes);
    this.entries.push({
      kind: 'objects',
      writer,
      device,
      first,
      last,
      digest,
      size: bytes.length,
      ...sealed,
      extra: {},
    });
    this.digests.push(digest);
    return digest;
  }

  tail(rows: readonly ObjectRow[], first: number, last: number, writer: WriterId, device = deviceOf(1)): void {
    this.entries.push({ kind: 'objecttail', writer, device, first, last, rows, extra: {} });
  }
}

/** Console records of a process: each some lines of one stream. `noise` puts other objects between them. */
function printed(
  random: SeededRandom,
  records: number,
  options: { start: number; streams: readonly string[]; noise?: boolean },
): ObjectRow[] {
  const rows: ObjectRow[] = [];
  const steps = new Map<string, number>();
  let time = options.start;
  for (let ordinal = 0; ordinal < records; ordinal++) {
    time += random.int(5);
    const base = { time, kind: 'text', digest: '' as const, size: 0, mime: '', name: '', meta: '', ordinal };
    if (options.noise === true && random.chance(0.2)) {
      rows.push({ ...base, path: 'samples', step: ordinal, text: 'not of the console', part: 0 });
      continue;
    }
    const path = `console/${random.pick(options.streams)}`;
    for (let part = 0; part < 1 + random.int(3); part++) {
      const step = steps.get(path) ?? 0;
      steps.set(path, step + 1);
      rows.push({ ...base, path, step, text: `${path.slice(8)} ${ordinal}.${part} ${random.int(100)}`, part });
    }
  }
  return rows;
}

async function lay(
  manifest: Manifest,
  random: SeededRandom,
  rows: readonly ObjectRow[],
  writer: WriterId,
  device = deviceOf(1),
  whole = false,
): Promise<void> {
  const records = rows.at(-1)!.ordinal + 1;
  for (let first = 0; first < records;) {
    const last = Math.min(records - 1, first + random.int(40));
    const inside = rows.filter(({ ordinal }) => ordinal >= first && ordinal <= last);
    if (inside.length === 0 || (!whole && random.chance(0.3))) manifest.tail(inside, first, last, writer, device);
    else await manifest.seal(inside, first, last, writer, device);
    first = last + 1;
  }
}

const told = (lines: readonly ConsoleLine[]): string[] => lines.map(({ writer, text }) => `${writer} ${text}`);

/** Read in windows of random sizes, from random places too. */
async function readAll(view: ConsoleView, random: SeededRandom): Promise<ConsoleLine[]> {
  const lines: ConsoleLine[] = [];
  while (lines.length < view.count) lines.push(...(await view.read(lines.length, lines.length + 1 + random.int(30))));
  for (let round = 0; round < 10 && view.count > 0; round++) {
    const from = random.int(view.count);
    const to = from + random.int(20);
    expect(await view.read(from, to)).toEqual(lines.slice(from, to));
  }
  return lines;
}

describe('a console', () => {
  it('[CON-1] has every line once, of one writer in the order of its journal, whichever devices sealed it where', async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const random = new SeededRandom(seed);
      const manifest = new Manifest();
      const rows = printed(random, 120, { start: 1_000, streams: ['stdout', 'stderr'], noise: true });
      await lay(manifest, random, rows, writerOf(1));
      await lay(manifest, random, rows, writerOf(1), deviceOf(2));
      const view = await new ConsoleReader(manifest.blobs).view(random.shuffle(manifest.entries));
      const expected = rows.filter(({ path }) => path.startsWith('console/'));
      const lines = await readAll(view, random);
      expect(told(lines), `seed ${seed}`).toEqual(expected.map(({ text }) => `${writerOf(1)} ${text}`));
      expect(lines.map(({ index }) => index)).toEqual(expected.map((_, index) => index));
      expect(lines.map(({ stream }) => stream)).toEqual(expected.map(({ path }) => path.slice(8)));
      expect(lines.map(({ time }) => time)).toEqual(expected.map(({ time }) => time));
    }
  });

  it('[CON-1] of several writers is by time, and no line stands before an earlier one of its writer though its clock was put back', async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const random = new SeededRandom(100 + seed);
      const manifest = new Manifest();
      const all = new Map<WriterId, ObjectRow[]>();
      for (let rank = 1; rank <= 4; rank++) {
        const rows = printed(random, 60, {
          start: 1_000 + random.int(300),
          streams: rank === 4 ? ['output'] : ['stdout', 'stderr'],
        });
        if (rank === 2) for (const row of rows) if (row.ordinal > 30) row.time -= 60;
        all.set(writerOf(rank), rows);
        await lay(manifest, random, rows, writerOf(rank));
      }
      const reader = new ConsoleReader(manifest.blobs);
      const view = await reader.view(random.shuffle(manifest.entries));
      const lines = await readAll(view, random);
      expect(view.count).toBe([...all.values()].reduce((sum, rows) => sum + rows.length, 0));
      for (const [writer, rows] of all)
        expect(
          lines.filter((line) => line.writer === writer).map(({ text }) => text),
          `seed ${seed}`,
        ).toEqual(rows.map(({ text }) => text));
      const steady = lines.filter(({ writer }) => writer !== writerOf(2)).map(({ time }) => time);
      expect(steady).toEqual([...steady].sort((a, b) => a - b));
      const one = await reader.view(manifest.entries, {
        writers: new Set([writerOf(3)]),
        streams: new Set(['stderr']),
      });
      expect(told(await readAll(one, random))).toEqual(
        all
          .get(writerOf(3))!
          .filter(({ path }) => path === 'console/stderr')
          .map(({ text }) => `${writerOf(3)} ${text}`),
      );
      expect(one.sources).toEqual(view.sources);
    }
  });

  it('[CON-2] is searched to its last line: every line that has it is found, with its number, and a search can be stopped', async () => {
    for (let seed = 1; seed <= 8; seed++) {
      const random = new SeededRandom(200 + seed);
      const manifest = new Manifest();
      for (let rank = 1; rank <= (seed % 2) + 1; rank++)
        await lay(
          manifest,
          random,
          printed(random, 150, { start: 1_000, streams: ['stdout', 'stderr'] }),
          writerOf(rank),
        );
      const view = await new ConsoleReader(manifest.blobs).view(manifest.entries);
      const expected = (await view.read(0, view.count))
        .filter(({ text }) => text.includes('7'))
        .map(({ index }) => index);
      const from = random.int(view.count);
      const found: number[] = [];
      let searched = 0;
      const onProgress = (count: number, more: Uint32Array): void => {
        expect(count).toBeGreaterThanOrEqual(searched);
        searched = count;
        found.push(...more);
      };
      expect(await view.search((text) => text.includes('7'), { ...never, onProgress })).toBe(true);
      expect(found, `seed ${seed}`).toEqual(expected);
      expect(searched).toBe(view.count);
      const later: number[] = [];
      await view.search((text) => text.includes('7'), { ...never, from, onProgress: (_, more) => later.push(...more) });
      expect(later).toEqual(expected.filter((index) => index >= from));
      let calls = 0;
      const stopped = await view.search(() => true, {
        ...never,
        isCancelled: () => (calls += 1) > 2,
        onProgress: () => undefined,
      });
      expect([stopped, calls]).toEqual([false, 3]);
    }
  });

  it('[CON-3] keeps the numbers of lines whose bytes are absent and says why they are, and takes them from who else has them', async () => {
    const random = new SeededRandom(7);
    const manifest = new Manifest();
    const rows = printed(random, 30, { start: 1_000, streams: ['stdout', 'stderr'] });
    const part = (first: number, last: number): ObjectRow[] =>
      rows.filter(({ ordinal }) => ordinal >= first && ordinal <= last);
    await manifest.seal(part(0, 9), 0, 9, writerOf(1));
    const gone = await manifest.seal(part(10, 19), 10, 19, writerOf(1));
    const broken = await manifest.seal(part(20, 29), 20, 29, writerOf(1));
    const blobs = {
      read: async (digest: BlobDigest) =>
        digest === gone ? undefined : digest === broken ? new Uint8Array(50) : manifest.blobs.read(digest),
    };
    const reader = new ConsoleReader(blobs);
    const view = await reader.view(manifest.entries);
    expect(view.count).toBe(rows.length);
    const lines = await view.read(0, view.count);
    const absences = lines.map(({ absent }) => absent);
    expect(absences).toEqual([
      ...part(0, 9).map(() => null),
      ...part(10, 19).map(() => 'missing'),
      ...part(20, 29).map(() => 'corrupt'),
    ]);
    expect(lines.slice(0, part(0, 9).length).map(({ text }) => text)).toEqual(part(0, 9).map(({ text }) => text));
    const found: number[] = [];
    await view.search(() => true, { ...never, onProgress: (_, more) => found.push(...more) });
    expect(found).toEqual(part(0, 9).map((_, index) => index));

    // Another device has sealed the same ordinals in other pieces.
    await manifest.seal(part(5, 24), 5, 24, writerOf(1), deviceOf(2));
    const again = await reader.view(manifest.entries);
    const second = await again.read(0, again.count);
    expect(second.slice(0, part(0, 24).length).map(({ text }) => text)).toEqual(part(0, 24).map(({ text }) => text));
    reader.retry();
    const whole = new ConsoleReader(manifest.blobs);
    expect((await (await whole.view(manifest.entries)).read(0, 999)).map(({ text }) => text)).toEqual(
      rows.map(({ text }) => text),
    );
  });

  it('[CON-4] ends with the lines that are still being written, and marks what was left out', async () => {
    const manifest = new Manifest();
    const rows = printed(new SeededRandom(3), 6, { start: 1_000, streams: ['stdout'] });
    rows[2]!.meta = GAP_META;
    manifest.tail(rows, 0, 5, writerOf(1));
    const open = { ...rows.at(-1)!, step: rows.length, text: '42%', meta: OPEN_META, ordinal: 6 };
    manifest.tail([open], 6, 6, writerOf(1));
    const view = await new ConsoleReader(manifest.blobs).view(manifest.entries);
    const lines = await view.read(0, 99);
    expect(lines.map((line) => [line.text, line.gap, line.open])).toEqual([
      ...rows.map(({ text }, at) => [text, at === 2, false]),
      ['42%', false, true],
    ]);
  });

  it('[CON-5] opens only the segments whose lines are looked at', async () => {
    const random = new SeededRandom(9);
    const manifest = new Manifest();
    const rows = printed(random, 2_000, { start: 1_000, streams: ['stdout', 'stderr'] });
    await lay(manifest, random, rows, writerOf(1), deviceOf(1), true);
    const read = new Set<BlobDigest>();
    const reader = new ConsoleReader({
      read: async (digest) => {
        read.add(digest);
        return manifest.blobs.read(digest);
      },
    });
    const view = await reader.view(manifest.entries);
    expect(read.size).toBe(0);
    await view.read(view.count - 20, view.count);
    expect(manifest.digests.length).toBeGreaterThan(50);
    expect(read.size).toBeLessThanOrEqual(21);
    await view.read(1_000, 1_001);
    expect(read.size).toBeLessThanOrEqual(22);
  });
});
