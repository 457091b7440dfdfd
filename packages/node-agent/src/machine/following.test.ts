import { expect, it } from 'vitest';
import type { DocumentName, RunId } from '@fieldbook/core';
import type { FollowSettings } from '@fieldbook/core/api';
import { Book } from '@fieldbook/core/documents';
import { openReplica } from '@fieldbook/core/replica';
import type { Replica } from '@fieldbook/core/replica';
import { FakeClock, FakeTimers, makeCard, memoryStorage, SeededRandom, testDevice } from '@fieldbook/core/testing';
import { Following } from './following.ts';

const random = new SeededRandom(5);
let cards = 0;
const none: FollowSettings = { projects: [], runDocuments: 'on-demand' };
const book = (project: string): DocumentName => `book/${project}/2026-11` as DocumentName;
const run = (id: string): DocumentName => `run/${id}` as DocumentName;

async function putCard(replica: Replica, project: string, id: string, isOwn: boolean): Promise<void> {
  const device = isOwn ? replica.device : testDevice(random);
  const card = makeCard({
    project: project as never,
    run: id as RunId,
    device,
    writer: `01kf${String(++cards).padStart(22, '0')}` as never,
  });
  await replica.transact(book(project), (doc) => new Book(doc).putCard(card));
}

it('[RPL-57] [RPL-59] a machine wants the workspace, books and runs of its own and followed ones, and what somebody has pinned or open', async () => {
  const timers = new FakeTimers(new FakeClock());
  const storage = await memoryStorage();
  const options = { storage, device: testDevice(random), random };
  const before = await openReplica(options);
  await putCard(before, 'mine', 'own', true);
  await before.close();
  const replica = await openReplica(options);
  const following = await Following.open(replica, none, timers);
  const wants = (...names: string[]): boolean[] => names.map((name) => following.wants(name as DocumentName));

  // Its own book and run are known from what is on the disk.
  expect(wants('workspace', book('mine'), book('other'), run('own'), 'note/own', run('far'))).toEqual([
    true,
    true,
    false,
    true,
    true,
    false,
  ]);
  expect(wants('newer/kind')).toEqual([true]);

  const told: (readonly DocumentName[] | undefined)[] = [];
  const stop = following.onChange((names) => told.push(names));
  const { revision } = following;
  // Writing in a book makes it one's own, once.
  await putCard(replica, 'new', 'n1', true);
  await putCard(replica, 'new', 'n2', true);
  expect(told).toEqual([[book('new')]]);
  expect(following.revision).toBe(revision + 1);
  expect(wants(book('new'))).toEqual([true]);
  // The runs of cards that came are looked for together, a moment later, when they are wanted.
  timers.advance(200);
  expect(told.slice(1)).toEqual([[run('n1'), 'note/n1', run('n2'), 'note/n2']]);

  // Two have a run open; it is wanted until a while after the second has closed it, however often one says so.
  told.length = 0;
  const [first, second] = [following.hold('far' as RunId), following.hold('far' as RunId)];
  expect([told, wants(run('far'))]).toEqual([[[run('far'), 'note/far']], [true]]);
  first();
  first();
  timers.advance(11 * 60_000);
  expect(wants(run('far'))).toEqual([true]);
  second();
  timers.advance(9 * 60_000);
  expect(wants(run('far'))).toEqual([true]);
  timers.advance(2 * 60_000);
  expect(wants(run('far'))).toEqual([false]);

  // Pins are kept over restarts, and settings take effect at once.
  await following.pin('kept' as RunId, true);
  following.close();
  stop();
  const again = await Following.open(replica, none, timers);
  expect([again.pinned, again.wants(run('kept')), again.isPinned('other' as RunId)]).toEqual([['kept'], true, false]);
  await again.pin('kept' as RunId, false);
  expect([again.pinned, again.wants(run('kept'))]).toEqual([[], false]);
  const looks: unknown[] = [];
  again.onChange((names) => looks.push(names));
  await again.change({ projects: ['other' as never], runDocuments: 'on-demand' });
  expect([looks, again.wants(book('other')), again.wants(book('third'))]).toEqual([[undefined], true, false]);
  await again.change({ projects: 'all', runDocuments: 'all' });
  expect([again.isEverything, again.wants(run('far'))]).toEqual([true, true]);
  again.close();
  await replica.close();
});
