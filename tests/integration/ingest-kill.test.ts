import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { DeviceId, DocumentName, ProjectId, RunId, WriterId } from '@fieldbook/core';
import { mintWriterId } from '@fieldbook/core';
import { RunDocument, Workspace } from '@fieldbook/core/documents';
import { JournalWriter } from '@fieldbook/core/journal';
import { Library } from '@fieldbook/core/library';
import type { RowPlace } from '@fieldbook/core/objects';
import { ObjectReader } from '@fieldbook/core/objects';
import { openReplica } from '@fieldbook/core/replica';
import { SeriesReader } from '@fieldbook/core/series';
import { levelStorage } from '@fieldbook/core/store';
import { SeededRandom } from '@fieldbook/core/testing';
import { expect, it } from 'vitest';
import { startIngest } from '../../packages/node-agent/src/ingest/index.ts';
import { fileBlobs } from '../../packages/node-agent/src/machine/blobs.ts';
import { openLevel } from '../../packages/node-agent/src/machine/store.ts';
import { amount } from '../scaffold/mode.ts';

const DEVICE = 'd000000000000000000000001' as DeviceId;
const METRICS = ['loss', 'acc', 'lr'];

/** A training script's journal, its points remembered. */
class Script {
  readonly writer: WriterId;
  readonly run: string;
  readonly logged = METRICS.map(() => [] as [ordinal: number, step: number, value: number][]);
  readonly lines: string[] = [];
  readonly files: number[] = [];
  readonly #random: SeededRandom;
  readonly #folder: string;
  #number = 0;
  #journal!: JournalWriter;
  #written = 0;
  #closed = false;

  constructor(home: string, run: string, random: SeededRandom) {
    this.run = run;
    this.#random = random;
    this.writer = mintWriterId({ now: () => Date.now() }, random);
    this.#folder = join(home, 'journals', 'kill', run);
    mkdirSync(this.#folder, { recursive: true });
    this.#begin(0);
  }

  log(records: number): void {
    for (let index = 0; index < records; index++) {
      const chosen = [...METRICS.keys()].filter(() => this.#random.chance(0.7));
      const step = this.#random.int(500);
      const values = chosen.map(() => (this.#random.chance(0.02) ? Number.NaN : this.#random.float()));
      chosen.forEach((metric, at) => this.logged[metric]!.push([this.#journal.sequence, step, values[at]!]));
      this.#journal.scalars(Date.now(), step, chosen, values);
    }
    for (let count = this.#random.int(4); count > 0; count--) this.#print();
    if (this.#random.chance(0.1)) {
      this.files.push(this.#journal.sequence);
      this.#journal.json('FILE', { time: Date.now(), path: 'model', name: 'm', spool: 'm' });
    }
    if (this.#random.chance(0.1))
      this.#journal.json('ATTRS', { time: Date.now(), set: { n: this.#journal.sequence }, del: [] });
    this.#flush();
    if (this.#random.chance(0.2)) {
      this.#journal.rotated(Date.now(), this.#number + 1);
      this.#flush();
      this.#number++;
      this.#begin(this.#journal.sequence);
    }
  }

  #print(): void {
    const { sequence } = this.#journal;
    if (this.#random.chance(0.2)) return this.#journal.console(Date.now(), 2, 1, `progress ${sequence}`);
    const lines = Array.from({ length: 1 + this.#random.int(50) }, (_, line) => `line ${sequence}.${line}`);
    this.lines.push(...lines);
    this.#journal.console(Date.now(), 1, 0, lines.join('\n'));
  }

  close(): void {
    if (!this.#closed) this.#journal.json('CLOSE', { time: Date.now(), status: 'finished' });
    this.#closed = true;
    this.#flush();
  }

  #begin(first: number): void {
    this.#journal = new JournalWriter({
      writer: this.writer,
      nonce: this.#random.bytes(16),
      number: this.#number,
      first,
    });
    this.#written = 0;
    this.#journal.json('META', {
      project: 'kill',
      run: this.run,
      writer: this.writer,
      created: Date.now(),
      host: 'far',
      boot: 'x',
    });
    this.#journal.declare([...METRICS.entries()]);
    this.#flush();
  }

  /** In two pieces, cut anywhere: readers see torn records. */
  #flush(): void {
    const path = join(this.#folder, `${this.writer}.${String(this.#number).padStart(6, '0')}.fbj`);
    const bytes = this.#journal.bytes().subarray(this.#written);
    const cut = this.#random.int(bytes.length + 1);
    appendFileSync(path, bytes.subarray(0, cut));
    appendFileSync(path, bytes.subarray(cut));
    this.#written = this.#journal.length;
  }
}

async function victim(home: string, started: number): Promise<ChildProcess & { commits: number }> {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'ingest/child.mjs'), home, DEVICE, String(started)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const counted = Object.assign(child, { commits: -1 }); // the first line says that the store is open
  child.stdout.on('data', (text: Buffer) => (counted.commits += text.toString().split('\n').length - 1));
  await once(child.stdout, 'data');
  return counted;
}

it(
  '[ING-20] [ING-23] kill -9 while journals are taken in loses no point, line or file and doubles none',
  async () => {
    const seed = Date.now() % 1e9;
    const random = new SeededRandom(seed);
    const home = mkdtempSync(join(tmpdir(), 'fieldbook-kill-'));
    const kills = amount(8, 100);
    let commits = 0;
    try {
      mkdirSync(dirname(join(home, 'store')), { recursive: true });
      const started = Date.now();
      const scripts = Array.from({ length: 4 }, (_, index) => new Script(home, `run-${index % 3}`, random));
      scripts[0]!.log(40_000);
      for (let kill = 0; kill < kills; kill++) {
        const child = await victim(home, started);
        // So many commits later, and then at any moment of what it does next.
        for (
          const enough = random.int(16), rounds = { left: 40 };
          child.commits < enough && rounds.left > 0;
          rounds.left--
        ) {
          for (const script of scripts) if (random.chance(0.6)) script.log(random.int(200));
          await Promise.race([once(child.stdout!, 'data'), wait(50)]);
        }
        await wait(random.int(20));
        child.kill('SIGKILL');
        await once(child, 'exit');
        commits += child.commits;
      }
      for (const script of scripts) script.close();

      const replica = await openReplica({
        storage: levelStorage(await openLevel(join(home, 'store'))),
        device: DEVICE,
        random,
      });
      const blobs = fileBlobs(join(home, 'blobs'));
      const log = { debug() {}, info() {}, warn() {}, error() {} };
      const clock = { now: () => Date.now() };
      const ingest = await startIngest({
        replica,
        blobs,
        home: { journals: join(home, 'journals') },
        clock,
        timers: { after: () => () => undefined },
        device: DEVICE,
        log,
        watch: false,
      });
      await ingest.drain();
      expect(ingest.status()).toMatchObject({ writers: 4, active: 0, problems: [] });
      const reader = new SeriesReader(blobs);
      const objects = new ObjectReader(blobs);
      for (const run of new Set(scripts.map((script) => script.run))) {
        const entries = await replica.read(`run/${run}` as DocumentName, (doc) =>
          [...new RunDocument(doc).entries()].map(([, entry]) => entry),
        );
        expect(
          entries.filter(({ kind }) => kind === 'tail' || kind === 'objecttail'),
          `seed ${seed}`,
        ).toEqual([]);
        for (const script of scripts.filter((one) => one.run === run)) {
          const ask = { entries, path: 'console/stdout', writer: script.writer, limit: 10_000 };
          const shown: string[] = [];
          for (let after: RowPlace | undefined; ;) {
            const answer = await objects.read({ ...ask, ...(after === undefined ? {} : { after }) });
            shown.push(...answer.rows.map(({ text }) => text));
            if (answer.next === null) break;
            after = answer.next;
          }
          expect(shown, `seed ${seed}, lines of ${script.writer}`).toEqual(script.lines);
          const files = entries.flatMap((one) =>
            one.kind === 'file' && one.writer === script.writer ? [one.ordinal] : [],
          );
          expect(
            files.sort((a, b) => a - b),
            `seed ${seed}`,
          ).toEqual(script.files);
        }
        for (const [number, metric] of METRICS.entries()) {
          const { points, missing, corrupt } = await reader.read({ entries, metric, identities: true });
          expect([missing, corrupt]).toEqual([[], []]);
          const expected = scripts
            .filter((script) => script.run === run)
            .flatMap((script) =>
              script.logged[number]!.map(([ordinal, step, value]) => ({ writer: script.writer, ordinal, step, value })),
            )
            .sort(
              (a, b) => a.step - b.step || (a.writer < b.writer ? -1 : a.writer > b.writer ? 1 : a.ordinal - b.ordinal),
            );
          const shown = Array.from(points!.steps, (step, index) => ({
            writer: points!.writers[points!.writer![index]!]!,
            ordinal: points!.ordinals![index]!,
            step,
            value: points!.values[index]!,
          }));
          expect(shown.length, `seed ${seed}, ${run} ${metric}`).toBe(expected.length);
          expect(shown, `seed ${seed}, ${run} ${metric}`).toEqual(expected);
        }
      }
      const library = await Library.open(replica);
      for (const run of new Set(scripts.map((script) => script.run))) {
        const state = await library.run('kill' as ProjectId, run as RunId);
        const count = scripts
          .filter((script) => script.run === run)
          .reduce((sum, script) => sum + script.logged[0]!.length, 0);
        expect(state?.metrics.get('loss' as never)?.count, `seed ${seed}`).toBe(count);
        expect(state?.status).toBe('finished');
      }
      library.close();
      const books = await replica.read('workspace' as DocumentName, (doc) => new Workspace(doc).books());
      expect(books.map(({ project }) => project)).toEqual(['kill']);
      // Not vacuous: the victims were at work when they died.
      expect(commits).toBeGreaterThan(kills * 3);
      await ingest.close();
      await replica.close();
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  },
  amount(120_000, 30 * 60_000),
);
