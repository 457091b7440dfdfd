import { expect, it } from 'vitest';
import { Book } from '../documents/index.ts';
import type { LoggedCommit } from '../store/index.ts';
import type { Replica } from '../replica/index.ts';
import {
  addEdit,
  BOOK,
  editsOf,
  FakeClock,
  makeTestEdit,
  MemoryStorage,
  openTestReplica,
  testHistory,
} from '../testing/index.ts';

const DAY = 86_400_000;

async function logOf(replica: Replica, generation: number): Promise<number[]> {
  const log: LoggedCommit[] = [];
  for await (const commit of replica.history(BOOK, generation)) log.push(commit);
  return log.map(({ seq }) => seq);
}

it('[OPS-19] the log for repair and what was put aside go when they are old, told before, and no document with them', async () => {
  const storage = new MemoryStorage();
  storage.close = () => Promise.resolve();
  const clock = new FakeClock();
  const history = testHistory({ clock, maxAgeMs: 400 * DAY });
  let replica = await openTestReplica(storage, { history });
  await addEdit(replica);
  await replica.compact(BOOK);
  const began = clock.now();
  await replica.rebuild(BOOK, { reason: 'repair', time: began });
  clock.advance(300 * DAY);
  await addEdit(replica, makeTestEdit());
  await replica.transact(BOOK, (doc) => new Book(doc).addEdit(makeTestEdit()));
  await replica.compact(BOOK);
  await replica.rebuild(BOOK, { reason: 'repair', time: clock.now() });
  await addEdit(replica);
  await replica.compact(BOOK);
  const { generation } = (await replica.info(BOOK))!;
  const second = await logOf(replica, generation);
  const edits = await editsOf(replica);
  expect(edits).toHaveLength(4);
  expect(await replica.asides(BOOK)).toHaveLength(2);
  const told: unknown[] = [];
  const about = async (what: string, { count }: { count: number }): Promise<void> => {
    told.push([what, count, (await replica.asides(BOOK)).length, (await logOf(replica, 0)).length]);
  };
  const expire = (dryRun: boolean) => replica.expire({ asidesBefore: clock.now() - 400 * DAY, dryRun, about });
  expect(await expire(false)).toEqual({ log: { count: 0, bytes: 0 }, replaced: { count: 0, bytes: 0 } });
  clock.advance(101 * DAY);
  const said = await expire(true);
  expect(said).toMatchObject({ log: { count: 1 }, replaced: { count: 1 } });
  expect(told).toEqual([]);
  const first = await logOf(replica, 0);
  expect(first.length).toBeGreaterThan(0);
  expect(await expire(false)).toEqual(said);
  expect(told).toEqual([
    ['log', 1, 2, first.length],
    ['replaced', 1, 2, 0],
  ]);
  expect((await replica.asides(BOOK)).map(({ time }) => time)).toEqual([began + 300 * DAY]);
  expect(await logOf(replica, generation)).toEqual(second);
  expect(second.length).toBeGreaterThan(0);
  // The same after a restart, and nothing of the document went.
  await replica.close();
  replica = await openTestReplica(storage, { history });
  expect(await editsOf(replica)).toEqual(edits);
  expect(await expire(true)).toEqual({ log: { count: 0, bytes: 0 }, replaced: { count: 0, bytes: 0 } });
  clock.advance(1_000 * DAY);
  await replica.expire({ asidesBefore: null, dryRun: false, about });
  expect(await replica.asides(BOOK)).toHaveLength(1);
});
