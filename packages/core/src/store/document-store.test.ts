import { describe, expect, it } from 'vitest';
import { FieldbookError } from '../errors.ts';
import { encodeRecord } from '../record/index.ts';
import {
  makeTestEdit,
  BOOK,
  RUN,
  openTestReplica as open,
  editsOf as edits,
  addEdit,
  codeOf,
  contentsOf,
  memoryStorage,
  afterPowerCut,
} from '../testing/index.ts';
import type { Commit } from '../replica/index.ts';

describe('store', () => {
  it('[STO-2] an acknowledged change survives a power cut, and one batch holds update, feed and bookkeeping', async () => {
    const storage = await memoryStorage();
    const replica = await open(storage);
    const id = await addEdit(replica);
    const reopened = await open(await afterPowerCut(storage));
    expect(await edits(reopened)).toEqual([id]);
    expect(await reopened.changedSince(0, 10)).toEqual([{ seq: 1, name: BOOK, generation: 0 }]);
    const before = storage.batches;
    await addEdit(replica);
    expect(storage.batches - before).toBe(1);
  });

  it('[STO-3] changes made while a batch is on its way share the next one and are acknowledged in order', async () => {
    const storage = await memoryStorage();
    const replica = await open(storage);
    const commits: number[] = [];
    replica.onCommit(({ seq }) => commits.push(seq));
    await replica.read(BOOK, () => {});
    storage.hold();
    const first = addEdit(replica);
    await Promise.resolve();
    const rest = Promise.all(Array.from({ length: 100 }, () => addEdit(replica)));
    const before = storage.syncs;
    storage.release();
    await Promise.all([first, rest]);
    expect(storage.syncs - before).toBeLessThanOrEqual(3);
    expect(commits).toEqual(Array.from({ length: 101 }, (_, index) => index + 1));
  });

  it('[STO-4] the feed names each document once, at its last commit', async () => {
    const replica = await open(await memoryStorage());
    for (let round = 0; round < 3; round++) {
      await addEdit(replica);
      await replica.transact(RUN, (doc) => doc.getMap('entries').set(`x${round}`, encodeRecord({ k: 'x', round })));
    }
    expect(await replica.changedSince(0, 10)).toEqual([
      { seq: 5, name: BOOK, generation: 0 },
      { seq: 6, name: RUN, generation: 0 },
    ]);
    expect(await replica.changedSince(5, 10)).toEqual([{ seq: 6, name: RUN, generation: 0 }]);
    expect(await replica.changedSince(0, 1)).toHaveLength(1);
    expect(replica.lastSeq).toBe(6);
    await replica.transact(RUN, () => {}, [
      { type: 'put', key: new TextEncoder().encode('x/only'), value: new Uint8Array([1]) },
    ]);
    expect(await replica.getPrivate('only')).toEqual(new Uint8Array([1]));
    expect(replica.lastSeq).toBe(6);
  });

  it('[STO-5] a failed write rejects with its code, leaves memory as the disk has it, and later writes succeed', async () => {
    for (const code of ['disk_full', 'storage_failed'] as const) {
      const storage = await memoryStorage();
      const replica = await open(storage);
      const kept = await addEdit(replica);
      const commits: Commit[] = [];
      replica.onCommit((commit) => commits.push(commit));
      storage.failNextBatches(1, new FieldbookError(code, 'no'));
      expect(await Promise.all([codeOf(addEdit(replica)), codeOf(addEdit(replica))])).toEqual([code, code]);
      expect(commits).toEqual([]);
      expect(await edits(replica)).toEqual([kept]);
      const later = await addEdit(replica);
      expect(await edits(replica)).toEqual([kept, later].sort());
      expect(await edits(await open(await afterPowerCut(storage)))).toEqual([kept, later].sort());
    }
  });

  it('[STO-6] compaction keeps every record, and a crash at any of its batches is harmless', async () => {
    const storage = await memoryStorage();
    const replica = await open(storage);
    const ids = [];
    for (let index = 0; index < 40; index++) ids.push(await addEdit(replica));
    const held = ids.sort();
    for (const failAt of [1, 2]) {
      const copy = await afterPowerCut(storage);
      const other = await open(copy);
      await other.read(BOOK, () => {});
      copy.failNextBatches(1, new FieldbookError('storage_failed', 'no'), false, failAt);
      expect(await codeOf(other.compact(BOOK))).toBe('storage_failed');
      expect(await edits(await open(await afterPowerCut(copy)))).toEqual(held);
      const added = await addEdit(other);
      await other.compact(BOOK);
      const reopened = await open(await afterPowerCut(copy));
      expect(await edits(reopened)).toEqual([...held, added].sort());
      expect(
        (await contentsOf(copy)).filter((line) => line.startsWith('117,') || line.startsWith('115,')),
      ).toHaveLength(1);
    }
    await replica.compact(BOOK);
    const after = await open(await afterPowerCut(storage));
    expect(await edits(after)).toEqual(held);
    const id = await addEdit(after);
    expect(await edits(after)).toEqual([...held, id].sort());
    let updates = 0;
    for await (const key of storage.keys({})) if (key[0] === 'u'.charCodeAt(0)) updates += 1;
    expect(updates).toBe(0);
  });

  it('[STO-7] a long log is compacted by itself and nothing is lost meanwhile', async () => {
    const storage = await memoryStorage();
    const replica = await open(storage);
    const ids = [];
    for (let index = 0; index < 1200; index++) ids.push(await addEdit(replica));
    await replica.flush();
    let updates = 0;
    for await (const key of storage.keys({})) if (key[0] === 'u'.charCodeAt(0)) updates += 1;
    expect(updates).toBeLessThan(1100);
    expect(await edits(await open(await afterPowerCut(storage)))).toEqual(ids.sort());
  });

  it('[STO-8] a damaged document is quarantined with its bytes kept, and the rest of the store opens', async () => {
    const damages: ((value: Uint8Array) => Uint8Array | undefined)[] = [
      (value) => value.map((byte, index) => (index === value.length - 1 ? byte ^ 1 : byte)),
      (value) => value.slice(0, value.length - 3),
      () => new Uint8Array(0),
      () => undefined,
    ];
    for (const damage of damages) {
      for (const which of ['u', 'd'] as const) {
        const storage = await memoryStorage();
        const replica = await open(storage);
        await addEdit(replica);
        await addEdit(replica);
        await replica.transact(RUN, (doc) => doc.getMap('entries').set('x', encodeRecord({ k: 'x' })));
        await replica.close();
        let key: Uint8Array | undefined;
        let value: Uint8Array | undefined;
        const prefix = new TextEncoder().encode(`${which}/${BOOK}`);
        for await (const [at, bytes] of storage.range({ gte: prefix })) {
          if (key === undefined) [key, value] = [at, bytes];
        }
        const damaged = damage(value!);
        if (damaged === undefined && which === 'd') continue;
        await storage.batch(
          [damaged === undefined ? { type: 'del', key: key! } : { type: 'put', key: key!, value: damaged }],
          { sync: true },
        );
        const reopened = await open(storage);
        expect(await codeOf(reopened.read(BOOK, () => {}))).toBe('document_quarantined');
        expect(await codeOf(addEdit(reopened))).toBe('document_quarantined');
        expect((await reopened.info(BOOK))?.quarantined).toBe(true);
        expect(await reopened.read(RUN, (doc) => doc.getMap('entries').size)).toBe(1);
        expect(await storage.get(key!)).toEqual(damaged);
      }
    }
  });

  it('[STO-9] a store of a newer version is refused', async () => {
    const storage = await memoryStorage();
    await storage.batch([{ type: 'put', key: new TextEncoder().encode('v'), value: new Uint8Array([9]) }], {
      sync: true,
    });
    expect(await codeOf(open(storage))).toBe('store_version');
  });

  it('[STO-6] compaction under steady writes, and a load in the middle of it, see every record', async () => {
    const storage = await memoryStorage();
    const replica = await open(storage, { cacheBytes: 0 });
    const ids: string[] = [];
    for (let round = 0; round < 30; round++) {
      const adding = Array.from({ length: 4 }, () => addEdit(replica));
      const compacting = replica.compact(BOOK);
      // Another document pushes the book out of memory, so that it is loaded while it is compacted.
      await replica.read(RUN, () => {});
      const reading = edits(replica);
      ids.push(...(await Promise.all(adding)));
      await Promise.all([compacting, reading]);
    }
    expect(await edits(replica)).toEqual(ids.sort());
    expect(await edits(await open(await afterPowerCut(storage)))).toEqual(ids.sort());
    expect((await replica.info(BOOK))?.quarantined).toBe(false);
  });

  it('[STO-10] a write that failed and is on disk all the same is a commit of its own when that comes out', async () => {
    const storage = await memoryStorage();
    const replica = await open(storage);
    const kept = await addEdit(replica);
    const commits: Commit[] = [];
    replica.onCommit((commit) => commits.push(commit));
    storage.failNextBatches(1, new FieldbookError('storage_failed', 'fsync failed'), true);
    const edit = makeTestEdit();
    expect(await codeOf(addEdit(replica, edit))).toBe('storage_failed');
    expect(await edits(replica)).toEqual([kept]);
    expect([replica.lastSeq, commits]).toEqual([1, []]);
    const later = await addEdit(replica);
    const all = [kept, edit.id, later].sort();
    expect(await edits(replica)).toEqual(all);
    // Whoever held the feed through the seq that failed is told of it under a new one.
    expect(commits.map(({ seq, origin }) => [seq, origin])).toEqual([
      [3, 'surfaced'],
      [4, 'local'],
    ]);
    const peer = await open(await memoryStorage());
    for (const { update } of [{ update: (await replica.encodeState(BOOK)).update }, ...commits]) {
      await peer.apply(BOOK, update, 'replica');
    }
    expect(await edits(peer)).toEqual(all);
    expect(await replica.changedSince(0, 10)).toEqual([{ seq: 4, name: BOOK, generation: 0 }]);
    const reopened = await open(await afterPowerCut(storage));
    expect(await edits(reopened)).toEqual(all);
    expect(await reopened.changedSince(0, 10)).toEqual([{ seq: 4, name: BOOK, generation: 0 }]);
  });

  it('[STO-10] also when the document was new, and when making sure fails at first', async () => {
    const storage = await memoryStorage();
    const replica = await open(storage);
    storage.failNextBatches(1, new FieldbookError('storage_failed', 'fsync failed'), true);
    const edit = makeTestEdit();
    expect(await codeOf(addEdit(replica, edit))).toBe('storage_failed');
    storage.failNextBatches(3, new FieldbookError('disk_full', 'still'));
    for (let attempt = 0; attempt < 3; attempt++) expect(await codeOf(addEdit(replica))).toBe('disk_full');
    expect(await edits(replica)).toEqual([]);
    const later = await addEdit(replica);
    expect(await edits(replica)).toEqual([edit.id, later].sort());
    expect(await edits(await open(await afterPowerCut(storage)))).toEqual([edit.id, later].sort());
  });

  it('[STO-12] a store whose head is damaged or gone is refused, not begun anew', async () => {
    for (const value of [undefined, new Uint8Array([1, 2, 3]), new Uint8Array(0)]) {
      const storage = await memoryStorage();
      await addEdit(await open(storage));
      const key = new TextEncoder().encode('i');
      await storage.batch([value === undefined ? { type: 'del', key } : { type: 'put', key, value }], { sync: true });
      expect(await codeOf(open(storage))).toBe('store_corrupt');
    }
  });
});
