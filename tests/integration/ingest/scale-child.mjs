// One size of scale.test.ts: writes journals as fast as it can, lets the built agent's ingest take them in on a clock of its own,
// and prints what it cost as one line of JSON. Arguments: home, runs, metrics, rounds, records a round, ms a round.
import { createHash, randomFillSync } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { FileBlobStore } from '@fieldbook/core/blobs';
import { RunDocument } from '@fieldbook/core/documents';
import { JournalWriter } from '@fieldbook/core/journal';
import { openReplica } from '@fieldbook/core/replica';
import { SeriesReader } from '@fieldbook/core/series';
import { levelStorage } from '@fieldbook/core/store';
import { ClassicLevel } from 'classic-level';
import { startIngest } from '../../../packages/node-agent/dist/ingest/index.js';

const home = process.argv[2] ?? '';
const [runs = 1, metrics = 1, rounds = 1, records = 1, step = 1_000] = process.argv.slice(3).map(Number);
const T0 = 1_768_478_400_000;
const ROTATE = 16 * 1024 * 1024;
let now = T0;
/** @type {(() => void) | undefined} */
let fire;
const random = { bytes: (/** @type {number} */ length) => randomFillSync(new Uint8Array(length)) };

const db = new ClassicLevel(join(home, 'store'), { keyEncoding: 'view', valueEncoding: 'view' });
await db.open();
const storage = levelStorage(/** @type {any} */ (db));
const cost = { storeBytes: 0, batches: 0, blobBytes: 0, blobs: 0 };
const batch = storage.batch.bind(storage);
storage.batch = async (operations, options) => {
  cost.batches++;
  for (const operation of operations)
    cost.storeBytes += operation.key.length + (operation.type === 'put' ? operation.value.length : 0);
  return await batch(operations, options);
};
const device = /** @type {any} */ ('d000000000000000000000001');
const replica = await openReplica({ storage, device, random });
const blobs = new FileBlobStore(
  /** @type {any} */ ({
    fs,
    root: join(home, 'blobs'),
    random,
    sha256: (/** @type {Uint8Array} */ bytes) => new Uint8Array(createHash('sha256').update(bytes).digest()),
  }),
);
const write = blobs.write.bind(blobs);
blobs.write = async (bytes, ...rest) => {
  cost.blobs++;
  cost.blobBytes += bytes.length;
  return await write(bytes, ...rest);
};

let peak = 0;
let heap = 0;
const watch = setInterval(() => {
  const { rss, heapUsed } = process.memoryUsage();
  peak = Math.max(peak, rss);
  heap = Math.max(heap, heapUsed);
}, 20);

/** Keeps nothing of a journal in memory but a writer that is begun anew for each piece. */
class Script {
  /** @param {number} number */
  constructor(number) {
    this.run = `run-${number}`;
    this.writer = /** @type {any} */ (`01kf${String(number).padStart(22, '0')}`);
    this.folder = join(home, 'journals', 'scale', this.run);
    this.step = 0;
    this.file = 0;
    this.written = 0;
    mkdirSync(this.folder, { recursive: true });
    this.begin(0);
  }

  /** @param {number} first */
  begin(first) {
    const { writer, run } = this;
    this.journal = new JournalWriter({ writer, nonce: random.bytes(16), number: this.file, first });
    this.journal.json('META', { project: 'scale', run, writer, created: T0, host: 'far', boot: 'x' });
    this.journal.declare(NUMBERS.map((metric) => [metric, nameOf(metric)]));
    this.written = 0;
  }

  /** @param {number} count */
  log(count) {
    for (let record = 0; record < count; record++, this.step++) {
      for (let metric = 0; metric < metrics; metric++) values[metric] = Math.fround(Math.random() + metric);
      this.journal.scalars(now + record, this.step, NUMBERS, values);
      if (this.journal.length >= ROTATE) {
        this.journal.rotated(now, this.file + 1);
        this.flush();
        this.file++;
        this.begin(this.journal.sequence);
      }
    }
    this.flush();
  }

  close() {
    this.journal.json('CLOSE', { time: now, status: 'finished' });
    this.flush();
  }

  flush() {
    const path = join(this.folder, `${this.writer}.${String(this.file).padStart(6, '0')}.fbj`);
    appendFileSync(path, this.journal.bytes().subarray(this.written));
    this.written = this.journal.length;
  }
}

const NUMBERS = Array.from({ length: metrics }, (_, metric) => metric);
/** @param {number} metric */
const nameOf = (metric) => `layers/${metric % 50}/metric-${metric}/norm`;
const values = new Float64Array(metrics);
const scripts = Array.from({ length: runs }, (_, number) => new Script(number));
const quiet = { debug() {}, info() {}, warn: report, error: report };
/** @param {string} event @param {unknown} [fields] */
function report(event, fields) {
  process.stderr.write(`${event} ${JSON.stringify(fields)}\n`);
}

const ingest = await startIngest({
  replica,
  blobs,
  home: { journals: join(home, 'journals') },
  clock: { now: () => now },
  // Looks around when told to: a round of this program is a second or a minute of the agent's life.
  timers: {
    after: (_ms, run) => {
      fire = run;
      return () => {
        if (fire === run) fire = undefined;
      };
    },
  },
  device,
  log: quiet,
});

async function look() {
  while (fire === undefined) await wait(1);
  const run = fire;
  fire = undefined;
  run();
  while (ingest.status().lookedAt !== now) await wait(1);
}

for (let round = 0; round < rounds; round++) {
  for (const script of scripts) script.log(records);
  now += step;
  await look();
}
for (const script of scripts) script.close();
now += step;
await ingest.drain();

/** @type {Set<number>} */
const totals = new Set();
let segments = 0;
let read = 0;
const reader = new SeriesReader(blobs);
const looked = performance.now();
for (const script of scripts.slice(0, 20)) {
  const entries = await replica.read(/** @type {any} */ (`run/${script.run}`), (doc) =>
    [...new RunDocument(doc).entries()].map(([, entry]) => entry),
  );
  segments += entries.filter(({ kind }) => kind === 'segment').length;
  for (const metric of new Set([0, metrics >> 1, metrics - 1])) {
    const series = await reader.read({ entries, metric: nameOf(metric), maxPoints: 2_000 });
    totals.add(series.total + series.missing.length + series.corrupt.length);
    read++;
  }
}
clearInterval(watch);
const result = {
  points: runs * metrics * rounds * records,
  totals: [...totals],
  segments,
  readMs: (performance.now() - looked) / read,
  peakMb: peak / 1e6,
  heapMb: heap / 1e6,
  readerMb: Object.values(reader.bytes).reduce((sum, bytes) => sum + bytes, 0) / 1e6,
  problems: ingest.status().problems.length,
  ...cost,
};
await ingest.close();
await replica.close();
process.stdout.write(`${JSON.stringify(result)}\n`);
