import { MemoryLevel } from 'memory-level';
import { expect, it } from 'vitest';
import { Book } from '../documents/index.ts';
import type { RunState } from '../fold/state.ts';
import type { AttributePath, DeviceId, DocumentName, ProjectId, RunId, WriterId } from '../ids.ts';
import { Library } from '../library/index.ts';
import { openReplica } from '../replica/index.ts';
import { SeriesReader } from '../series/index.ts';
import { levelStorage } from '../store/index.ts';
import { queryEngineContract } from '../testing/contracts/index.ts';
import { FakeClock, makeCard, makeTestEdit, MemoryBlobStore, SeededRandom, testDevice } from '../testing/index.ts';
import type { RunSource } from './engine.ts';
import { LocalQueryEngine } from './engine.ts';

const project = 'mnist' as ProjectId;
const book = 'book/mnist/2026-11' as DocumentName;
const writer = '01kf0000000000000000000000' as WriterId;

queryEngineContract('local, over a library', async () => {
  const random = new SeededRandom(11);
  const db = new MemoryLevel<Uint8Array, Uint8Array>({ keyEncoding: 'view', valueEncoding: 'view' });
  await db.open();
  const device: DeviceId = testDevice(random);
  const replica = await openReplica({ storage: levelStorage(db as never), device, random });
  const library = await Library.open(replica);
  const series = new SeriesReader(new MemoryBlobStore());
  const engine = new LocalQueryEngine({
    source: library,
    series: (request) => series.read({ ...request, entries: [] }),
    clock: new FakeClock(),
  });
  let ordinal = 0;
  return {
    engine,
    project,
    put: async (id, x) => {
      ordinal += 1;
      const attributes = new Map([['params/x' as AttributePath, x]]);
      await replica.transact(book, (doc) =>
        new Book(doc).putCard(makeCard({ run: id as RunId, writer, device, ordinal, attributes })),
      );
    },
    purge: async (id) => {
      const edit = makeTestEdit({ run: id as RunId, device, field: 'purge', value: true });
      await replica.transact(book, (doc) => new Book(doc).addEdit(edit));
    },
    teardown: async () => {
      library.close();
      await replica.close();
    },
  };
});

it('[QRY-22] loses no change that is told while the table is being filled', async () => {
  let tell!: (change: { project: ProjectId; runs: ReadonlySet<RunId> }) => void;
  let x = 1;
  const id = 'run-a' as RunId;
  const state = (): RunState => ({ ...EMPTY, id, attributes: new Map([['x' as AttributePath, x]]) });
  const source: RunSource = {
    runs: async () => {
      const states = [state()];
      await Promise.resolve();
      // Between the answer and its arrival.
      x = 2;
      tell({ project, runs: new Set([id]) });
      return states;
    },
    run: (_, run) => Promise.resolve(run === id ? state() : undefined),
    onChange: (listener) => {
      tell = listener;
      return () => undefined;
    },
  };
  const engine = new LocalQueryEngine({
    source,
    series: () => Promise.reject(new Error('none')),
    clock: new FakeClock(),
  });
  await engine.table({ project });
  expect((await engine.table({ project, query: 'x = 2' })).total).toBe(1);
});

const EMPTY: RunState = {
  id: 'run-a' as RunId,
  project,
  name: 'run-a',
  unnamed: true,
  group: null,
  notes: '',
  tags: [],
  star: false,
  archived: false,
  trashed: false,
  purged: false,
  status: 'running',
  created: 0,
  updated: 0,
  ended: null,
  user: null,
  host: null,
  attributes: new Map(),
  edited: new Map(),
  metrics: new Map(),
  writers: [],
  conflicts: [],
  heads: {},
  tagAdds: new Map(),
  known: true,
};
