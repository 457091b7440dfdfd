import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { DeviceId, DocumentName, Log, RunId, Timers, WriterId } from '@fieldbook/core';
import { mintWriterId } from '@fieldbook/core';
import { Book, RunDocument } from '@fieldbook/core/documents';
import type { JsonObject } from '@fieldbook/core/journal';
import { JournalWriter } from '@fieldbook/core/journal';
import type { Card } from '@fieldbook/core/record';
import { decodeCard } from '@fieldbook/core/record';
import type { Replica } from '@fieldbook/core/replica';
import { openReplica } from '@fieldbook/core/replica';
import { SeriesReader } from '@fieldbook/core/series';
import { levelStorage } from '@fieldbook/core/store';
import { FakeClock, SeededRandom } from '@fieldbook/core/testing';
import { fileBlobs } from '../machine/blobs.ts';
import { openLevel } from '../machine/store.ts';
import type { Ingest, IngestOptions, LiveMetrics } from './ingest.ts';
import { startIngest } from './ingest.ts';
import { startOf } from './liveness.ts';

const T0 = 1_768_478_400_000;
const DEVICE = 'd000000000000000000000001' as DeviceId;
const BOOK = 'book/mnist/2026-01' as DocumentName;
const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
const random = new SeededRandom(42);

/** A journal on disk, written as a training script would: whole records appended, rotated into new files. */
class Script {
  readonly writer: WriterId;
  readonly run: RunId;
  readonly root: string;
  readonly meta: JsonObject;
  number = 0;
  journal: JournalWriter;
  #written = 0;

  constructor(root: string, run: string, meta: JsonObject = {}) {
    this.root = root;
    this.run = run as RunId;
    this.writer = mintWriterId({ now: () => T0 }, random);
    // By default a writer of this very process: alive, whatever locks say.
    this.meta = { project: 'MNIST', run, writer: this.writer, created: T0, host: 'elsewhere', ...meta };
    this.journal = this.#begin(0);
  }

  get path(): string {
    return join(this.root, 'mnist', this.run, `${this.writer}.${String(this.number).padStart(6, '0')}.fbj`);
  }

  log(steps: number, from = 0): this {
    for (let step = from; step < from + steps; step++) this.journal.scalars(T0 + step, step, [0, 1], [step / 2, -step]);
    return this.flush();
  }

  close(status = 'finished'): this {
    this.journal.json('CLOSE', { time: T0 + 60_000, status });
    return this.flush();
  }

  rotate(): this {
    this.journal.rotated(T0, this.number + 1);
    this.flush();
    this.number++;
    this.#written = 0;
    this.journal = this.#begin(this.journal.sequence);
    return this.flush();
  }

  /** Appends what is new to the file. */
  flush(): this {
    mkdirSync(dirname(this.path), { recursive: true });
    appendFileSync(this.path, this.journal.bytes().subarray(this.#written));
    this.#written = this.journal.length;
    return this;
  }

  #begin(first: number): JournalWriter {
    const journal = new JournalWriter({ writer: this.writer, nonce: random.bytes(16), number: this.number, first });
    journal.json('META', this.meta);
    journal.declare([
      [0, 'loss'],
      [1, 'acc'],
    ]);
    return journal;
  }
}

class Bench {
  readonly root = mkdtempSync(join(tmpdir(), 'fieldbook-ingest-'));
  readonly journals = join(this.root, 'journals');
  readonly clock = new FakeClock(T0);
  readonly live: LiveMetrics[] = [];
  replica!: Replica;
  ingest!: Ingest;
  #options: Partial<IngestOptions>;

  constructor(options: Partial<IngestOptions> = {}) {
    this.#options = options;
  }

  async open(): Promise<this> {
    const storage = levelStorage(await openLevel(join(this.root, 'store')));
    this.replica = await openReplica({ storage, device: DEVICE, random });
    this.ingest = await startIngest({
      replica: this.replica,
      blobs: fileBlobs(join(this.root, 'blobs')),
      home: { journals: this.journals },
      clock: this.clock,
      timers: { after: () => () => undefined },
      device: DEVICE,
      log: silent,
      watch: false,
      onLive: (live) => this.live.push(live),
      ...this.#options,
    });
    return this;
  }

  async close(): Promise<void> {
    await this.ingest.close();
    await this.replica.close();
  }

  async reopen(): Promise<void> {
    await this.close();
    await this.open();
  }

  async points(run: string, metric = 'loss'): Promise<number[]> {
    const entries = await this.replica.read(`run/${run}` as DocumentName, (doc) =>
      [...new RunDocument(doc).entries()].map(([, entry]) => entry),
    );
    const series = await new SeriesReader(fileBlobs(join(this.root, 'blobs'))).read({ entries, metric });
    return [...series.points!.steps];
  }

  async card(run: string): Promise<Card | undefined> {
    return await this.replica.read(BOOK, (doc) => {
      for (const [key, bytes] of new Book(doc).cards()) if (key.startsWith(`${run}/`)) return decodeCard(bytes);
      return undefined;
    });
  }
}

const benches: Bench[] = [];
async function bench(options: Partial<IngestOptions> = {}): Promise<Bench> {
  const made = await new Bench(options).open();
  benches.push(made);
  return made;
}

afterEach(async () => {
  for (const made of benches.splice(0)) {
    await made.close();
    rmSync(made.root, { recursive: true, force: true });
  }
});

const upTo = (count: number): number[] => Array.from({ length: count }, (_, step) => step);

describe('ingest', () => {
  it('[ING-12] takes in every journal there is, days later or while it is written, and goes on after a restart', async () => {
    const b = await bench();
    const done = new Script(b.journals, 'done').log(100).close();
    const going = new Script(b.journals, 'going').log(10);
    await b.ingest.drain();
    expect(await b.card('done')).toMatchObject({ status: 'finished' });
    expect(await b.card('going')).toMatchObject({ status: 'running', project: 'mnist' });
    going.log(10, 10);
    await b.ingest.drain();
    expect(await b.points('going')).toEqual(upTo(20));
    await b.reopen();
    const seq = b.replica.lastSeq;
    await b.ingest.drain();
    expect(b.replica.lastSeq).toBe(seq);
    going.log(5, 20).close('failed');
    await b.ingest.drain();
    expect(await b.points('going', 'acc')).toHaveLength(25);
    expect(await b.card('going')).toMatchObject({ status: 'failed' });
    expect(await b.points('done')).toEqual(upTo(100));
    expect(b.ingest.status()).toMatchObject({ writers: 2, active: 0, problems: [] });
    expect(done.writer).not.toBe(going.writer);
  });

  it('[ING-13] follows rotated files in order, also when they all come at once', async () => {
    const b = await bench();
    const script = new Script(b.journals, 'long').log(10);
    await b.ingest.drain();
    script.rotate().log(10, 10).rotate().log(10, 20);
    await b.ingest.drain();
    await b.reopen();
    script.log(10, 30).rotate().log(10, 40).close();
    await b.ingest.drain();
    expect(await b.points('long')).toEqual(upTo(50));
    expect(await b.card('long')).toMatchObject({ status: 'finished' });
    expect((await b.card('long'))?.metrics.get('loss' as never)?.count).toBe(50);
  });

  it('[ING-14] removes rotated files only on request, durable and a day old, never the newest', async () => {
    const day = 24 * 60 * 60_000;
    for (const removeRotatedAfter of [null, day]) {
      const b = await bench({ removeRotatedAfter });
      const script = new Script(b.journals, 'long').log(10);
      const [first, second] = [script.path, script.rotate().log(10, 10).path];
      const old = (T0 - 2 * day) / 1000;
      utimesSync(first, old, old);
      utimesSync(second, T0 / 1000, T0 / 1000);
      script.rotate().log(5, 20).close();
      utimesSync(script.path, old, old);
      await b.ingest.drain();
      const there = async (path: string): Promise<boolean> =>
        stat(path).then(
          () => true,
          () => false,
        );
      expect([await there(first), await there(second), await there(script.path)]).toEqual([
        removeRotatedAfter === null,
        true,
        true,
      ]);
      await b.reopen();
      await b.ingest.drain();
      expect(await b.points('long')).toEqual(upTo(25));
      expect(b.ingest.status().problems).toEqual([]);
    }
  });

  it('[ING-15] waits for what is torn, and takes in what is behind damage when it can be told', async () => {
    const b = await bench();
    const torn = new Script(b.journals, 'torn').log(10);
    const whole = torn.journal.bytes();
    torn.log(1, 10);
    const longer = torn.journal.bytes();
    writeFileSync(torn.path, longer.subarray(0, whole.length + 20));
    await b.ingest.drain();
    expect(await b.points('torn')).toEqual(upTo(10));
    writeFileSync(torn.path, longer);
    await b.ingest.drain();
    expect(await b.points('torn')).toEqual(upTo(11));

    const broken = new Script(b.journals, 'broken').log(20);
    const bytes = broken.journal.bytes();
    bytes[bytes.length - 400]! ^= 1;
    writeFileSync(broken.path, bytes);
    await b.ingest.drain();
    expect(await b.points('broken')).toHaveLength(19);
    expect(b.ingest.status().problems).toMatchObject([{ code: 'journal_corrupt' }]);
    broken.log(5, 20).close();
    await b.ingest.drain();
    expect(await b.points('broken')).toHaveLength(24);
    expect(await b.card('broken')).toMatchObject({ status: 'finished' });
  });

  it('[ING-16] reports files that shrink, are replaced, vanish or are no journals, and takes in all others', async () => {
    const b = await bench();
    const shrunk = new Script(b.journals, 'shrunk').log(50);
    const replaced = new Script(b.journals, 'replaced').log(50);
    const gone = new Script(b.journals, 'gone').log(10);
    const fine = new Script(b.journals, 'fine').log(10);
    await b.ingest.drain();
    truncateSync(shrunk.path, 300);
    const other = new Script(b.root, 'other').log(90);
    renameSync(other.path, replaced.path);
    rmSync(dirname(gone.path), { recursive: true });
    mkdirSync(join(b.journals, 'mnist', 'junk'), { recursive: true });
    writeFileSync(
      join(b.journals, 'mnist', 'junk', `${fine.writer.replace(/.$/, '0')}.000000.fbj`),
      'this is no journal at all, but long enough to be looked at as one. '.repeat(3),
    );
    writeFileSync(join(b.journals, 'mnist', 'README'), 'a file where a run should be');
    fine.log(5, 10).close();
    await b.ingest.drain();
    expect(await b.points('fine')).toEqual(upTo(15));
    expect(await b.points('shrunk')).toEqual(upTo(50));
    expect(await b.points('replaced')).toEqual(upTo(50));
    expect(await b.points('gone')).toEqual(upTo(10));
    const problems = b.ingest.status().problems.map(({ path, code }) => [path.split('/').at(-2), code]);
    expect(problems).toEqual(
      expect.arrayContaining([
        ['shrunk', 'journal_corrupt'],
        ['replaced', 'journal_corrupt'],
        ['junk', 'journal_corrupt'],
      ]),
    );
    expect(problems).toHaveLength(3);
  });

  it('[ING-42] goes on with a journal that was gone at one look and is back at the next', async () => {
    const b = await bench();
    const only = new Script(b.journals, 'only').log(10);
    const rotated = new Script(b.journals, 'rotated').log(10);
    const first = rotated.path;
    rotated.rotate().log(10, 10);
    await b.ingest.drain();
    const aside = [only.path, first, rotated.path].map((path, index) => {
      const to = join(b.root, `aside-${index}`);
      renameSync(path, to);
      return [to, path] as const;
    });
    await b.ingest.drain();
    // What a copy does that unlinks what it replaces: the names are back, as other files and with more in them.
    for (const [from, to] of aside) copyFileSync(from, to);
    only.log(10, 10).close();
    rotated.log(10, 20).close();
    await b.ingest.drain();
    expect(await b.points('only')).toEqual(upTo(20));
    expect(await b.points('rotated')).toEqual(upTo(30));
    for (const run of ['only', 'rotated']) expect(await b.card(run)).toMatchObject({ status: 'finished' });
    expect(b.ingest.status()).toMatchObject({ writers: 2, problems: [] });
  });

  it.skipIf(process.getuid?.() === 0)('[ING-16] reports what it may not read and tries again', async () => {
    const b = await bench();
    const script = new Script(b.journals, 'secret').log(5);
    chmodSync(script.path, 0);
    await b.ingest.drain();
    expect(b.ingest.status().problems).toMatchObject([{ code: 'EACCES' }]);
    chmodSync(script.path, 0o600);
    b.clock.advance(60_000);
    await b.ingest.drain();
    expect(await b.points('secret')).toEqual(upTo(5));
  });

  it('[ING-17] tells running, crashed and lost writers apart', async () => {
    const b = await bench();
    const boot = (await import('node:fs')).readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const pidNs = (await stat('/proc/self/ns/pid')).ino;
    const start = await startOf(process.pid);
    const here = { boot, pid_ns: pidNs, lock: 'ofd' };
    const running = new Script(b.journals, 'running', { ...here, pid: process.pid, pid_start: start }).log(3);
    const reused = new Script(b.journals, 'reused', { ...here, pid: process.pid, pid_start: start! - 1 }).log(3);
    const dead = new Script(b.journals, 'dead', { ...here, pid: 2 ** 22 + 1, pid_start: 5 }).log(3);
    const container = new Script(b.journals, 'container', { ...here, pid_ns: 1, pid: 1, pid_start: 5 }).log(3);
    const forked = new Script(b.journals, 'forked', { ...here, pid: 2 ** 22 + 1, forked: true }).log(3);
    const elsewhere = new Script(b.journals, 'elsewhere', { boot: 'another', host: 'far' }).log(3);
    for (const script of [elsewhere, running]) utimesSync(script.path, T0 / 1000, T0 / 1000);
    await b.ingest.drain();
    const statuses = async (): Promise<Record<string, string | undefined>> =>
      Object.fromEntries(
        await Promise.all(
          [running, reused, dead, container, forked, elsewhere].map(
            async ({ run }) => [run, (await b.card(run))?.status] as const,
          ),
        ),
      );
    expect(await statuses()).toEqual({
      running: 'running',
      reused: 'crashed',
      dead: 'crashed',
      container: 'crashed',
      forked: 'finished',
      elsewhere: 'running',
    });
    b.clock.advance(11 * 60_000);
    await b.ingest.drain();
    expect(await statuses()).toMatchObject({ running: 'running', elsewhere: 'lost' });
    // The laptop wakes up.
    elsewhere.log(2, 3);
    utimesSync(elsewhere.path, b.clock.now() / 1000, b.clock.now() / 1000);
    await b.ingest.drain();
    expect(await statuses()).toMatchObject({ elsewhere: 'running' });
    expect(await b.points('elsewhere')).toEqual(upTo(5));
  });

  it('[ING-18] tells live values between cards', async () => {
    const b = await bench();
    const script = new Script(b.journals, 'r').log(3);
    await b.ingest.drain();
    script.log(1, 3);
    await b.ingest.drain();
    await b.ingest.drain();
    expect(b.live.at(-1)).toEqual({
      run: 'r',
      project: 'mnist',
      writer: script.writer,
      at: T0,
      metrics: { loss: { value: 1.5, step: 3 }, acc: { value: -3, step: 3 } },
    });
    expect(b.live).toHaveLength(2);
  });

  it('[ING-12] finds new runs, writers and bytes by itself', async () => {
    let fire: (() => void) | undefined;
    const timers: Timers = {
      after: (ms, run) => {
        if (ms >= 1_000 || fire === undefined) fire = run;
        return () => (fire = undefined);
      },
    };
    const b = await bench({ watch: true, timers });
    // One look around, as the timer would start it; drain waits for it to end and here has nothing left to do.
    const look = async (): Promise<void> => {
      const run = fire;
      fire = undefined;
      run?.();
      await expect.poll(() => fire).toBeDefined();
    };
    await look();
    const script = new Script(b.journals, 'new').log(4);
    utimesSync(script.path, T0 / 1000, T0 / 1000);
    await look();
    expect(await b.points('new')).toEqual(upTo(4));
    script.log(4, 4);
    b.clock.advance(31_000);
    await look();
    expect(await b.points('new')).toEqual(upTo(8));
    const second = new Script(b.journals, 'new').log(1, 100);
    await look();
    expect(await b.points('new')).toEqual([...upTo(8), 100]);
    expect(second.writer).not.toBe(script.writer);
  });

  it('[ING-19] costs a thousand journals at rest little', async () => {
    const b = await bench();
    for (let index = 0; index < 1_000; index++) new Script(b.journals, `run-${index}`).log(2).close();
    await b.ingest.drain();
    expect(b.ingest.status()).toMatchObject({ writers: 1_000, active: 0, problems: [] });
    expect(await b.points('run-999')).toEqual(upTo(2));
    const seq = b.replica.lastSeq;
    const started = performance.now();
    await b.ingest.drain();
    expect(b.replica.lastSeq).toBe(seq);
    expect(performance.now() - started).toBeLessThan(2_000);
  }, 60_000);
});
