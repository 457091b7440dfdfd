import { Gate } from '@fieldbook/core/access';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import * as Y from 'yjs';
import type { AttributePath, BookMonth, DeviceId, DocumentName, Log, ProjectId, RunId } from '@fieldbook/core';
import { mintWriterId } from '@fieldbook/core';
import { Book, Workspace } from '@fieldbook/core/documents';
import { Library } from '@fieldbook/core/library';
import { RunTable } from '@fieldbook/core/query';
import type { AttributeValue, Card, MetricSummary } from '@fieldbook/core/record';
import { decodeCard } from '@fieldbook/core/record';
import type { Replica } from '@fieldbook/core/replica';
import { openReplica } from '@fieldbook/core/replica';
import { PeerMemories, ReplicationSession } from '@fieldbook/core/replication';
import { levelStorage } from '@fieldbook/core/store';
import {
  FakeClock,
  FakeTimers,
  linkPair,
  makeCard,
  makeTestEdit,
  MemoryStorage,
  SeededRandom,
  testDevice,
} from '@fieldbook/core/testing';
import { fitExponent, interleave, medianOf, medianRow, repeatsFor, row } from './harness.ts';
import type { Bench, Row } from './harness.ts';

/** Machines that meet, and at most how many runs each of them brings. */
const CROWDS = [10, 50] as const;
const PARAMS = 20;
const METRICS = 20;
const MONTH = '2026-11' as BookMonth;
const PROJECT = 'mnist' as ProjectId;
const BOOK = `book/${PROJECT}/${MONTH}` as DocumentName;
const CREATED = Date.UTC(2026, 10, 3);
const silent: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Somebody's machine that was never online: each run's card at its start and at its end, and a tag on every tenth. */
async function makeMachine(index: number, runs: number): Promise<Replica> {
  const random = new SeededRandom(1_000 + index);
  const device = testDevice(random);
  const clock = new FakeClock(CREATED);
  const replica = await openReplica({ storage: new MemoryStorage(), device, random });
  await replica.transact('workspace' as DocumentName, (doc) =>
    new Workspace(doc).ensureBook(PROJECT, MONTH, 'MNIST', 1),
  );
  for (let number = 0; number < runs; number++) {
    const card = makeRun(random, device, `m${index}-${number}`, mintWriterId(clock, random));
    const start: Card = { ...card, ordinal: 1, status: 'running', ended: null, metrics: new Map() };
    const commits = [(book: Book) => book.putCard(start), (book: Book) => book.putCard(card)];
    if (number % 10 === 0) {
      const edit = makeTestEdit({ run: card.run, field: 'tags', op: 'add', value: 'picked', device });
      commits.push((book) => book.addEdit(edit));
    }
    await Promise.all(commits.map((commit) => replica.transact(BOOK, (doc) => commit(new Book(doc)))));
  }
  return replica;
}

function makeRun(random: SeededRandom, device: DeviceId, run: string, writer: Card['writer']): Card {
  const attributes = new Map<AttributePath, AttributeValue>();
  for (let param = 0; param < PARAMS; param++) {
    const value = param % 3 === 0 ? random.float() : param % 3 === 1 ? random.int(1_000) : `choice ${random.int(9)}`;
    attributes.set(`params/p${param}` as AttributePath, value);
  }
  const metrics = new Map<AttributePath, MetricSummary>();
  for (let metric = 0; metric < METRICS; metric++) {
    const [min, max, lastStep] = [random.float(), 1 + random.float(), 1_000];
    const summary = { count: 1_000, last: min, lastStep, min, minStep: 900, max, maxStep: 3, nonFinite: 0 };
    metrics.set(`val/m${metric}` as AttributePath, summary);
  }
  const ended = CREATED + random.int(1e9);
  const head = { run: run as RunId, writer, device, project: PROJECT, created: CREATED, updated: ended, ended };
  return makeCard({ ...head, ordinal: 2, status: 'finished', name: run, attributes, metrics });
}

interface Times {
  exchange: number;
  table: number;
}

/** A fresh machine meets all of them, one after the other, and shows the table. Checks what it shows. */
async function merge(machines: readonly Replica[], runs: number): Promise<Times> {
  const folder = mkdtempSync(join(tmpdir(), 'fieldbook-bench-'));
  const random = new SeededRandom(7);
  const db = new ClassicLevel<Uint8Array, Uint8Array>(folder, { keyEncoding: 'view', valueEncoding: 'view' });
  await db.open();
  const fresh = await openReplica({ storage: levelStorage(db as never), device: testDevice(random), random });
  try {
    const began = performance.now();
    const memories = new PeerMemories(fresh);
    for (const machine of machines) await exchange(machine, fresh, memories);
    const exchanged = performance.now();
    const library = await Library.open(fresh);
    const table = RunTable.from(await library.runs(PROJECT));
    const sort = [{ column: 'val/m0.min' }];
    const { rows, total } = table.select({ query: 'params/p0 < 2', sort, now: CREATED });
    const shown = performance.now();
    const first = await library.run(PROJECT, table.id(rows[0]!)!);
    const tagged = table.select({ query: 'tags has "picked"', now: CREATED }).total;
    const right =
      total === machines.length * runs &&
      tagged === machines.length * Math.ceil(runs / 10) &&
      first?.attributes.size === PARAMS &&
      first.metrics.size === METRICS &&
      first.status === 'finished';
    if (!right) throw new Error(`The merged table is wrong: ${total} runs, ${tagged} tagged.`);
    library.close();
    return { exchange: exchanged - began, table: shown - exchanged };
  } finally {
    await fresh.close();
    rmSync(folder, { recursive: true });
  }
}

/** One connection, from hello until the fresh machine holds everything durably and the other one knows. */
async function exchange(machine: Replica, fresh: Replica, memories: PeerMemories): Promise<void> {
  const pair = linkPair();
  const clock = new FakeClock();
  const timers = new FakeTimers(clock);
  const common = { clock, timers, log: silent, workspace: { id: 'w', name: null }, program: 'bench' };
  const theirs = {
    replica: machine,
    memories: new PeerMemories(machine),
    link: pair.a,
    grants: Gate.open('viewer'),
  } as const;
  const a = new ReplicationSession({ ...common, ...theirs });
  // To a viewer, so that the others stay as they were for the next round.
  const b = new ReplicationSession({ ...common, replica: fresh, memories, link: pair.b, grants: null });
  for (let turns = 0; !(a.settled && b.settled && fresh.lastSeq > 0); turns++) {
    if (turns > 100_000) throw new Error('The two machines did not come to an end.');
    if (pair.deliverAll() === 0) timers.advance(5);
    await new Promise((resolve) => setImmediate(resolve));
  }
  pair.cut();
}

const bench: Bench = {
  name: 'merge',
  about: `10 and 50 machines' runs of ${PARAMS + METRICS} attributes, made offline, to a correct table on a fresh machine.`,
  async run({ smoke }): Promise<Row[]> {
    const rows: Row[] = [];
    for (const crowd of CROWDS) rows.push(...(await measure(smoke ? crowd / 5 : crowd, smoke)));
    return rows;
  },
};

async function measure(crowd: number, smoke: boolean): Promise<Row[]> {
  const rows: Row[] = [];
  const costs: [number, number][] = [];
  for (const runs of smoke ? [3, 6] : [100, 300, 1_000]) {
    const machines: Replica[] = [];
    for (let index = 0; index < crowd; index++) machines.push(await makeMachine(index, runs));
    const states: Uint8Array[] = [];
    for (const machine of machines) states.push((await machine.encodeState(BOOK)).update);
    const parts: Times[] = [];
    const measured = await interleave(
      {
        merge: async () => {
          const times = await merge(machines, runs);
          parts.push(times);
          return times.exchange + times.table;
        },
        floor: () => applyAndDecode(states),
      },
      repeatsFor(smoke),
    );
    const name = `${crowd} × ${runs} runs, ${PARAMS + METRICS} attributes`;
    const system = 'fieldbook';
    const kept = parts.slice(smoke ? 0 : 1);
    rows.push(
      medianRow(measured.merge, { system, case: name, figure: 'merge_ms', durability: 'fsync' }),
      medianRow(
        kept.map((times) => times.exchange),
        { system, case: `${name}: exchange and store`, figure: 'part_ms', durability: 'fsync' },
      ),
      medianRow(
        kept.map((times) => times.table),
        { system, case: `${name}: fold, table and first query`, figure: 'part_ms', durability: 'none' },
      ),
      medianRow(measured.floor, {
        system: 'floor: Y.applyUpdate and decoding the cards',
        case: name,
        figure: 'merge_ms',
        durability: 'none',
      }),
    );
    costs.push([runs, medianOf(measured.merge)]);
    for (const machine of machines) await machine.close();
  }
  const exponent = fitExponent(costs);
  rows.push(
    row({
      system: 'fieldbook',
      case: crowd === 10 ? 'by number of runs' : `by number of runs of each of ${crowd}`,
      figure: 'merge_exponent',
      value: exponent,
    }),
  );
  return rows;
}

/** The same updates into one bare Y.Doc, and every card decoded once: what no store and no protocol could beat. */
function applyAndDecode(states: readonly Uint8Array[]): number {
  const began = performance.now();
  const doc = new Y.Doc();
  for (const state of states) Y.applyUpdate(doc, state);
  for (const bytes of doc.getMap<Uint8Array>('cards').values()) decodeCard(bytes);
  return performance.now() - began;
}

export default bench;
