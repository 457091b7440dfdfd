import { createHash, randomFillSync } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeviceId, DocumentName, RunId, WriterId } from '@fieldbook/core';
import { FileBlobStore } from '@fieldbook/core/blobs';
import { RunDocument } from '@fieldbook/core/documents';
import { JournalReader, JournalWriter } from '@fieldbook/core/journal';
import { openReplica } from '@fieldbook/core/replica';
import { PointBuffer, sealSegment, SeriesReader } from '@fieldbook/core/series';
import { levelStorage } from '@fieldbook/core/store';
import { ClassicLevel } from 'classic-level';
import { startIngest } from '../packages/node-agent/src/ingest/index.ts';
import { gunzip, pageCompressor } from '../packages/node-agent/src/machine/ports.ts';
import { fitExponent, interleave, medianOf, medianRow, repeatsFor, row } from './harness.ts';
import type { Bench, Row } from './harness.ts';

const DEVICE = 'd000000000000000000000001' as DeviceId;
const WRITER = '01kf0000000000000000000001' as WriterId;
const T0 = 1_768_478_400_000;
const ROTATE = 16 * 1024 * 1024;
const random = { bytes: (length: number) => randomFillSync(new Uint8Array(length)) };
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

/** Run `number` of its kind. */
const runOf = (points: number, metrics: number, number: number): string =>
  `run-${points}-${metrics}${number === 0 ? '' : `-${number}`}`;

/** A journal of so many points, in rotated files as the client writes them; its folder. */
function makeJournal(root: string, points: number, metrics: number, run = 0): string {
  const WRITER = `01kf${String(run + 1).padStart(22, '0')}` as WriterId;
  const folder = join(root, 'bench', runOf(points, metrics, run));
  mkdirSync(folder, { recursive: true });
  const numbers = Array.from({ length: metrics }, (_, index) => index);
  const values = new Float64Array(metrics);
  const begin = (number: number, first: number): JournalWriter => {
    const journal = new JournalWriter({ writer: WRITER, nonce: random.bytes(16), number, first });
    journal.json('META', {
      project: 'bench',
      run: runOf(points, metrics, run),
      writer: WRITER,
      created: T0,
      host: 'bench',
    });
    journal.declare(numbers.map((index) => [index, `train/metric-${index}`]));
    return journal;
  };
  let number = 0;
  let journal = begin(0, 0);
  const write = (): void =>
    writeFileSync(join(folder, `${WRITER}.${String(number).padStart(6, '0')}.fbj`), journal.bytes());
  for (let step = 0; step * metrics < points; step++) {
    // A float32 loss that falls and shakes, as trainings log it.
    for (let index = 0; index < metrics; index++)
      values[index] = Math.fround(1 / (1 + step / 1000) + Math.random() / 50);
    journal.scalars(T0 + step * 37, step, numbers, values);
    if (journal.length >= ROTATE) {
      journal.rotated(T0, number + 1);
      write();
      journal = begin(++number, journal.sequence);
    }
  }
  journal.json('CLOSE', { time: T0, status: 'finished' });
  write();
  return folder;
}

/** Everything from bytes on disk to fsynced points that a series shows; ms. */
async function ingestOnce(
  root: string,
  journals: string,
  points: number,
  metrics: number,
  writers = 1,
): Promise<{ ms: number; bytes: number }> {
  const home = mkdtempSync(join(root, 'home-'));
  const db = new ClassicLevel<Uint8Array, Uint8Array>(join(home, 'store'), {
    keyEncoding: 'view',
    valueEncoding: 'view',
  });
  await db.open();
  const replica = await openReplica({ storage: levelStorage(db as never), device: DEVICE, random });
  const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest());
  const blobs = new FileBlobStore({ fs, root: join(home, 'blobs'), random, sha256 });
  const timers = { after: () => () => undefined };
  const clock = { now: () => Date.now() };
  const began = performance.now();
  const ingest = await startIngest({
    replica,
    blobs,
    home: { journals },
    clock,
    timers,
    device: DEVICE,
    log: quiet,
    watch: false,
  });
  await ingest.drain();
  const reader = new SeriesReader(blobs, { gunzip });
  let bytes = 0;
  for (let run = 0; run < writers; run++) {
    const name = `run/${runOf(points, metrics, run)}` as DocumentName;
    const entries = await replica.read(name, (doc) => [...new RunDocument(doc).entries()].map(([, entry]) => entry));
    const series = await reader.read({ entries, metric: 'train/metric-0', maxPoints: 2000 });
    if (series.total !== Math.ceil(points / metrics)) throw new Error(`${series.total} points arrived`);
    bytes += entries.reduce((sum, entry) => sum + (entry.kind === 'segment' ? entry.size : 0), 0);
  }
  const ms = performance.now() - began;
  await ingest.close();
  await replica.close();
  rmSync(home, { recursive: true });
  return { ms, bytes };
}

const files = (folder: string): string[] =>
  readdirSync(folder)
    .sort()
    .map((name) => join(folder, name));

/** Reading the files and checking every record's CRC, nothing else. */
function readOnly(folder: string): number {
  const began = performance.now();
  let sum = 0;
  const sink = {
    point: (_metric: number, _step: number, _time: number, value: number) => void (sum += value),
    record() {},
  };
  for (const path of files(folder)) new JournalReader().push(readFileSync(path), sink);
  return performance.now() - began + (sum > 0 ? 0 : 1);
}

/** Writing the points as one Parquet file in memory, nothing else. */
async function sealOnly(folder: string, metrics: number): Promise<number> {
  const buffer = new PointBuffer(1 << 20);
  const sink = {
    point: (metric: number, step: number, time: number, value: number, ordinal: number) =>
      buffer.push(metric, step, value, time, ordinal),
    record() {},
  };
  for (const path of files(folder)) new JournalReader().push(readFileSync(path), sink);
  const names = Array.from({ length: metrics }, (_, index) => `train/metric-${index}`);
  const header = { run: 'r' as RunId, writer: WRITER, first: 0, last: buffer.ordinal[buffer.length - 1]! };
  const began = performance.now();
  await sealSegment(header, buffer.from(0), names, { compressor: pageCompressor, effort: 'fast' });
  return performance.now() - began;
}

const bench: Bench = {
  name: 'ingest',
  about: 'Points per second from journal files to fsynced segments that a series has been read from, in one process.',
  async run({ smoke }): Promise<Row[]> {
    const root = mkdtempSync(join(tmpdir(), 'fieldbook-bench-'));
    const rows: Row[] = [];
    try {
      const sizes = smoke ? [2_000, 4_000] : [300_000, 1_000_000, 3_000_000];
      const most = sizes[1]!;
      for (const metrics of [1, 10, 100]) {
        const journals = join(root, `journals-${metrics}`);
        const name = `${most} points, ${metrics} metric${metrics === 1 ? '' : 's'} a record`;
        const folder = makeJournal(journals, most, metrics);
        let bytes = 0;
        const measured = await interleave(
          {
            ingest: async () => {
              const done = await ingestOnce(root, journals, most, metrics);
              bytes = done.bytes;
              return done.ms;
            },
            read: () => readOnly(folder),
            seal: () => sealOnly(folder, metrics),
          },
          repeatsFor(smoke),
        );
        const perSecond = (times: readonly number[]): number[] => times.map((ms) => (most / ms) * 1000);
        const figure = 'points_per_s';
        rows.push(
          medianRow(perSecond(measured.ingest), { system: 'fieldbook', case: name, figure, durability: 'fsync' }),
          medianRow(perSecond(measured.read), {
            system: 'floor: read and CRC',
            case: name,
            figure,
            durability: 'none',
          }),
          medianRow(perSecond(measured.seal), {
            system: 'floor: Parquet in memory',
            case: name,
            figure,
            durability: 'none',
          }),
          row({ system: 'fieldbook', case: name, figure: 'stored_bytes_per_point', value: bytes / most }),
          row({
            system: 'journal',
            case: name,
            figure: 'stored_bytes_per_point',
            value: files(folder).reduce((sum, path) => sum + statSync(path).size, 0) / most,
          }),
        );
      }
      // Sustained: several writers at once, as many points as keep it busy for seconds.
      const each = smoke ? 2_000 : 1_000_000;
      const counts = smoke ? [1, 2] : [1, 4, 16];
      for (const writers of counts) {
        const journals = join(root, `writers-${writers}`);
        for (let run = 0; run < writers; run++) makeJournal(journals, each, 10, run);
        const { ingest } = await interleave(
          { ingest: async () => (await ingestOnce(root, journals, each, 10, writers)).ms },
          repeatsFor(smoke),
        );
        rows.push(
          medianRow(
            ingest.map((ms) => ((each * writers) / ms) * 1000),
            {
              system: 'fieldbook',
              case: `${writers} writer${writers === 1 ? '' : 's'} at once, ${each} points each, 10 metrics a record`,
              figure: 'points_per_s',
              durability: 'fsync',
            },
          ),
        );
        rmSync(journals, { recursive: true });
      }
      const growth: [number, number][] = [];
      for (const points of sizes) {
        const journals = join(root, `growth-${points}`);
        makeJournal(journals, points, 10);
        const times: number[] = [];
        for (let round = 0; round < (smoke ? 1 : 3); round++)
          times.push((await ingestOnce(root, journals, points, 10)).ms);
        growth.push([points, medianOf(times)]);
      }
      rows.push(
        row({
          system: 'fieldbook',
          case: `${sizes.join(', ')} points, 10 metrics a record`,
          figure: 'time_exponent',
          value: fitExponent(growth),
        }),
      );
      return rows;
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  },
};
export default bench;
