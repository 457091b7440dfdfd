import { MemoryLevel } from 'memory-level';
import { describe, expect, it, vi } from 'vitest';
import { Book, Workspace } from '../documents/index.ts';
import { isFieldbookError } from '../errors.ts';
import { Author, ProjectFold } from '../fold/index.ts';
import { HybridClock } from '../hlc.ts';
import type { BookMonth, DocumentName, ProjectId, RunId, WriterId } from '../ids.ts';
import { WORKSPACE_DOCUMENT } from '../ids.ts';
import type { Card } from '../record/index.ts';
import type { Replica } from '../replica/index.ts';
import { openReplica } from '../replica/index.ts';
import { levelStorage } from '../store/index.ts';
import { FakeClock, makeCard, makeTestEdit, SeededRandom, testDevice } from '../testing/index.ts';
import type { LibraryChange } from './library.ts';
import { Library } from './library.ts';

const mnist = 'mnist' as ProjectId;
const november = 'book/mnist/2026-11' as DocumentName;
const december = 'book/mnist/2026-12' as DocumentName;

async function memoryReplica(): Promise<Replica> {
  const random = new SeededRandom(7);
  const db = new MemoryLevel<Uint8Array, Uint8Array>({ keyEncoding: 'view', valueEncoding: 'view' });
  await db.open();
  return openReplica({ storage: levelStorage(db as never), device: testDevice(random), random });
}

let writers = 0;
function card(id: string, override: Partial<Card> = {}): Card {
  writers += 1;
  return makeCard({ run: id as RunId, writer: `01kf${String(writers).padStart(22, '0')}` as WriterId, ...override });
}

describe('library', () => {
  it('[LIB-1] folds every book, follows commits, and tells which runs changed', async () => {
    const replica = await memoryReplica();
    await replica.transact(november, (doc) => new Book(doc).putCard(card('one', { name: 'first' })));
    await replica.transact(WORKSPACE_DOCUMENT, (doc) =>
      new Workspace(doc).ensureBook(mnist, '2026-11' as BookMonth, 'MNIST', 1),
    );
    const library = await Library.open(replica);
    expect(await library.projects()).toMatchObject([
      { id: 'mnist', title: 'MNIST', runs: 1, running: 1, books: [november] },
    ]);

    const told: LibraryChange[] = [];
    let wake = (): void => {};
    library.onChange((change) => {
      told.push(change);
      wake();
    });
    const next = new Promise<void>((resolve) => (wake = resolve));
    // The edit of a run may lie in a later month's book than its card.
    await replica.transact(december, (doc) =>
      new Book(doc).addEdit(makeTestEdit({ run: 'one' as RunId, value: 'renamed' })),
    );
    await next;
    expect(told).toEqual([{ project: mnist, runs: new Set(['one']) }]);
    expect((await library.run(mnist, 'one' as RunId))?.name).toBe('renamed');
    expect(await library.history(mnist, 'one' as RunId)).toHaveLength(1);

    await replica.transact(november, (doc) => new Book(doc).putCard(card('two', { status: 'finished', ended: 5 })));
    expect(await library.projects()).toMatchObject([{ runs: 2, running: 1, books: [november, december] }]);
    const author = new Author({
      device: replica.device,
      by: 'ada',
      hybrid: new HybridClock(new FakeClock()),
      clock: new FakeClock(),
      random: new SeededRandom(1),
    });
    for (const field of ['trashed', 'purge'] as const) {
      const edit = author.edit((await library.run(mnist, 'two' as RunId))!, { field, op: 'set', value: true })!;
      await replica.transact(december, (doc) => new Book(doc).addEdit(edit));
      expect(await library.projects()).toMatchObject([{ runs: 1, trashed: field === 'trashed' ? 1 : 0 }]);
    }
    expect((await library.runs(mnist)).map((state) => state.id)).toEqual(['one']);
    const visited: string[] = [];
    await library.eachRun(mnist, (state) => visited.push(state.id));
    expect(visited).toEqual(['one']);
    const other = await Library.open(replica);
    expect(await other.digest(mnist)).toBe(await library.digest(mnist));
    await replica.close();
  });

  it('[LIB-2] finds a run by id, beginning of id or name, and names the candidates when several match', async () => {
    const replica = await memoryReplica();
    await replica.transact(november, (doc) => {
      const book = new Book(doc);
      for (const [id, name] of [
        ['abcd-1', 'alpha'],
        ['abcd-2', 'beta'],
        ['abcd', 'gamma'],
        ['zeta-9', 'beta'],
      ] as const)
        book.putCard(card(id, { name }));
    });
    const library = await Library.open(replica);
    expect((await library.resolve('abcd')).name).toBe('gamma');
    expect((await library.resolve('abcd-2')).name).toBe('beta');
    expect((await library.resolve('zeta')).id).toBe('zeta-9');
    expect((await library.resolve('alpha')).id).toBe('abcd-1');
    const codes: unknown[] = [];
    for (const text of ['beta', 'abcd-', 'nothing', 'zet']) {
      await library.resolve(text).catch((error: unknown) => {
        if (!isFieldbookError(error)) throw error;
        codes.push([
          error.code,
          (error.details.candidates as { id: string }[] | undefined)?.map(({ id }) => id).sort(),
        ]);
      });
    }
    expect(codes).toEqual([
      ['ambiguous', ['abcd-2', 'zeta-9']],
      ['ambiguous', ['abcd-1', 'abcd-2']],
      ['not_found', undefined],
      ['not_found', undefined],
    ]);
    await replica.close();
  });

  it('[LIB-1] folds each run once for whoever reads all of them, and again only those that changed', async () => {
    const replica = await memoryReplica();
    await replica.transact(november, (doc) => {
      for (let run = 0; run < 2_000; run++) new Book(doc).putCard(card(`run-${run}`, { name: `name ${run}` }));
    });
    const library = await Library.open(replica);
    const fold = vi.spyOn(ProjectFold.prototype, 'run');
    const folds = (): number => fold.mock.calls.splice(0).length;

    expect(await library.has(mnist)).toBe(true);
    expect((await library.resolve('run-7')).name).toBe('name 7');
    expect(folds()).toBe(1);
    let seen = 0;
    await library.eachRun(mnist, () => (seen += 1));
    expect(seen).toBe(2_000);
    expect(folds()).toBe(1_999);
    expect(await library.projects()).toMatchObject([{ runs: 2_000 }]);
    expect((await library.resolve('name 8')).id).toBe('run-8');
    expect((await library.run(mnist, 'run-8' as RunId))?.name).toBe('name 8');
    expect(folds()).toBe(1);

    for (const [run, field] of [
      ['run-8', 'name'],
      ['run-1999', 'purge'],
    ] as const) {
      const value = field === 'name' ? 'renamed' : true;
      await replica.transact(december, (doc) =>
        new Book(doc).addEdit(makeTestEdit({ run: run as RunId, field, value })),
      );
    }
    expect(await library.projects()).toMatchObject([{ runs: 1_999 }]);
    expect((await library.resolve('renamed')).id).toBe('run-8');
    await expect(library.resolve('run-1999', mnist)).rejects.toMatchObject({ code: 'not_found' });
    expect(folds()).toBe(2);
    fold.mockRestore();
  });
});
