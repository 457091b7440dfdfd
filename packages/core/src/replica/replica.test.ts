import { MemoryLevel } from 'memory-level';
import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { Book, RunDocument } from '../documents/index.ts';
import { FieldbookError, isFieldbookError } from '../errors.ts';
import type { DocumentName, RunId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { Storage } from '../ports.ts';
import { cardKey, encodeCard, encodeEdit, encodeRecord } from '../record/index.ts';
import type { RestoreGuard } from '../store/index.ts';
import { levelStorage } from '../store/index.ts';
import { FaultStorage, makeCard, makeTestEdit, SeededRandom, testDevice } from '../testing/index.ts';
import { openReplica } from './open.ts';
import type { Commit, Replica } from './replica.ts';

const BOOK = 'book/mnist/2026-11' as DocumentName;
const RUN = 'run/run-1' as DocumentName;
const random = new SeededRandom(99);
const device = testDevice(random);

async function memoryStorage(): Promise<FaultStorage> {
  const db = new MemoryLevel<Uint8Array, Uint8Array>({ keyEncoding: 'view', valueEncoding: 'view' });
  await db.open();
  const storage = levelStorage(db as never);
  // Closing a memory-level database loses it; a replica is reopened on the same one here.
  return new FaultStorage({
    ...storage,
    range: (range) => storage.range(range),
    keys: (range) => storage.keys(range),
    close: () => Promise.resolve(),
  });
}

/** What a power cut would leave of `storage`, as a new one. */
async function afterPowerCut(storage: FaultStorage): Promise<FaultStorage> {
  const fresh = await memoryStorage();
  await fresh.batch(storage.durable, { sync: true });
  return fresh;
}

const open = (storage: Storage, guard?: RestoreGuard): Promise<Replica> =>
  openReplica({ storage, device, random, ...(guard === undefined ? {} : { guard }) });
const edits = (replica: Replica, name = BOOK): Promise<string[]> =>
  replica.read(name, (doc) => [...new Book(doc).edits()].map(([key]) => key).sort());
const addEdit = async (replica: Replica, edit = makeTestEdit()): Promise<string> => {
  await replica.transact(BOOK, (doc) => new Book(doc).addEdit(edit));
  return edit.id;
};
const codeOf = (work: Promise<unknown>): Promise<string | undefined> =>
  work.then(
    () => undefined,
    (error: unknown) => (isFieldbookError(error) ? error.code : `not ours: ${String(error)}`),
  );
const clientIdsOf = (replica: Replica, name = BOOK): Promise<number[]> =>
  replica
    .encodeState(name)
    .then(({ update }) => [...Y.decodeStateVector(Y.encodeStateVectorFromUpdate(update)).keys()]);

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
    for (const failAt of [0, 1]) {
      const copy = await afterPowerCut(storage);
      const other = await open(copy);
      await other.read(BOOK, () => {});
      const batches: FaultStorage[] = [];
      if (failAt === 0) copy.failNextBatches(1, new FieldbookError('storage_failed', 'no'));
      else {
        const compacting = other.compact(BOOK);
        await compacting;
        copy.failNextBatches(1, new FieldbookError('storage_failed', 'no'));
      }
      await other.compact(BOOK).catch(() => {});
      batches.push(copy);
      expect(await edits(await open(await afterPowerCut(copy)))).toEqual(held);
      expect(await edits(other)).toEqual(held);
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
});

describe('replica', () => {
  it('[REP-1] listeners and encoded state speak only of what is on disk', async () => {
    const storage = await memoryStorage();
    const replica = await open(storage);
    await addEdit(replica);
    const seen: number[] = [];
    replica.onCommit(({ seq }) => {
      seen.push(seq);
      throw new Error('a listener that throws stops nobody');
    });
    storage.hold();
    const id = await new Promise<string>((resolve) => {
      const edit = makeTestEdit();
      void replica.transact(BOOK, (doc) => {
        new Book(doc).addEdit(edit);
        resolve(edit.id);
      });
    });
    expect(await edits(replica)).toContain(id);
    let answered = false;
    const state = replica.encodeState(BOOK).then((encoded) => {
      answered = true;
      return encoded;
    });
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    expect([seen, answered]).toEqual([[], false]);
    storage.release();
    const { update, seq } = await state;
    expect([seen, seq]).toEqual([[2], 2]);
    const doc = new Y.Doc();
    Y.applyUpdate(doc, update);
    expect([...new Book(doc).edits()].map(([key]) => key)).toContain(id);
  });

  it('[REP-2] applying an update twice stores it once', async () => {
    const from = await open(await memoryStorage());
    const to = await open(await memoryStorage());
    await addEdit(from);
    const { update } = await from.encodeState(BOOK);
    expect(await to.apply(BOOK, update, 'peer')).toMatchObject({ seq: 1, origin: 'peer' });
    expect(await to.apply(BOOK, update, 'peer')).toBeUndefined();
    expect(to.lastSeq).toBe(1);
    expect(await edits(to)).toEqual(await edits(from));
  });

  it('[REP-3] a change that throws leaves nothing behind', async () => {
    const replica = await open(await memoryStorage());
    const id = await addEdit(replica);
    const work = replica.transact(BOOK, (doc) => {
      new Book(doc).addEdit(makeTestEdit());
      throw new Error('half-way');
    });
    await expect(work).rejects.toThrow('half-way');
    expect(await edits(replica)).toEqual([id]);
  });

  it('[REP-4] a device keeps its client id over restarts, and takes a new one in a copied or restored store', async () => {
    const storage = await memoryStorage();
    let counter: number | undefined;
    const guard = (fingerprint: string): RestoreGuard => ({
      fingerprint,
      readCounter: () => Promise.resolve(counter),
      writeCounter: (count) => {
        counter = count;
        return Promise.resolve();
      },
    });
    const first = await open(storage, guard('here'));
    await addEdit(first);
    await first.close();
    const backup = storage.durable;
    const again = await open(storage, guard('here'));
    await addEdit(again);
    expect(await clientIdsOf(again)).toHaveLength(1);
    expect(again.id).toBe(first.id);
    await again.close();

    const elsewhere = await afterPowerCut(storage);
    const copy = await open(elsewhere, guard('there'));
    await addEdit(copy);
    expect(await clientIdsOf(copy)).toHaveLength(2);
    expect(copy.id).not.toBe(first.id);

    counter = 2;
    const restored = await memoryStorage();
    await restored.batch(backup, { sync: true });
    const old = await open(restored, guard('here'));
    await addEdit(old);
    expect(await clientIdsOf(old)).toHaveLength(2);
    // What the restored store writes merges with what was written after the backup was made.
    const merged = await open(await memoryStorage());
    for (const source of [again, old]) {
      void source;
    }
    await merged.apply(BOOK, (await copy.encodeState(BOOK)).update, 'copy');
    await merged.apply(BOOK, (await old.encodeState(BOOK)).update, 'old');
    expect(await edits(merged)).toHaveLength(4);
  });

  it('[REP-5] after a failed write the client id is not used again with other content', async () => {
    const storage = await memoryStorage();
    const replica = await open(storage);
    await addEdit(replica);
    storage.failNextBatches(1, new FieldbookError('storage_failed', 'perhaps written, perhaps not'));
    await codeOf(addEdit(replica));
    await addEdit(replica);
    expect(await clientIdsOf(replica)).toHaveLength(2);
  });

  it('[REP-6] many documents are served from a bounded memory', async () => {
    const storage = await memoryStorage();
    const replica = await openReplica({ storage, device, random, cacheBytes: 2_000 });
    const names = Array.from({ length: 50 }, (_, index) => `run/r${index}` as DocumentName);
    for (const name of names)
      await replica.transact(name, (doc) => doc.getMap('entries').set('x', encodeRecord({ k: 'x', name })));
    for (const name of names)
      expect(
        await replica.read(name, (doc) => [...new RunDocument(doc).entries()].length + doc.getMap('entries').size),
      ).toBe(1);
    const listed: string[] = [];
    for await (const info of replica.list('run/')) listed.push(info.name);
    expect(listed).toEqual([...names].sort());
    expect(await replica.info('run/none' as DocumentName)).toBeUndefined();
    await replica.read('run/none' as DocumentName, () => {});
    expect(await replica.info('run/none' as DocumentName)).toBeUndefined();
  });
});

/** An update that a peer might send: what `change` does to a document that already holds `base`. */
function updateOf(change: (doc: Y.Doc) => void, base?: Uint8Array): Uint8Array {
  const doc = new Y.Doc();
  if (base !== undefined) Y.applyUpdate(doc, base);
  const vector = Y.encodeStateVector(doc);
  doc.transact(() => change(doc));
  return Y.encodeStateAsUpdate(doc, vector);
}

describe('admission', () => {
  const edit = makeTestEdit({ run: 'run-1' as RunId });
  const card = makeCard();

  async function seeded(): Promise<{
    replica: Replica;
    storage: FaultStorage;
    base: Uint8Array;
    snapshot: () => Promise<string>;
  }> {
    const storage = await memoryStorage();
    const replica = await open(storage);
    await replica.transact(BOOK, (doc) => {
      new Book(doc).addEdit(edit);
      new Book(doc).putCard(card);
    });
    const snapshot = async (): Promise<string> => Buffer.from((await replica.encodeState(BOOK)).update).toString('hex');
    return { replica, storage, base: (await replica.encodeState(BOOK)).update, snapshot };
  }

  const forgeries: [what: string, code: string, update: (base: Uint8Array) => Uint8Array][] = [
    ['random bytes', 'update_malformed', () => new Uint8Array([7, 200, 200, 200, 1, 2, 3])],
    ['nothing at all', 'update_malformed', () => new Uint8Array(0)],
    ['too many bytes', 'update_too_large', () => new Uint8Array(LIMITS.updateBytes + 1)],
    [
      'an overwritten edit',
      'record_immutable',
      (base) => updateOf((doc) => doc.getMap('edits').set(edit.id, encodeEdit({ ...edit, value: 'forged' })), base),
    ],
    ['a deleted edit', 'record_immutable', (base) => updateOf((doc) => doc.getMap('edits').delete(edit.id), base)],
    [
      'an edit under another key',
      'update_forbidden_content',
      () => updateOf((doc) => doc.getMap('edits').set('01kf9999999999999999999999', encodeEdit(edit))),
    ],
    [
      "a card under another device's key",
      'update_forbidden_content',
      (base) =>
        updateOf(
          (doc) => doc.getMap('cards').set(cardKey(card), encodeCard({ ...card, device: testDevice(random) })),
          base,
        ),
    ],
    [
      'a broken record',
      'record_malformed',
      () => updateOf((doc) => doc.getMap('edits').set('x', new Uint8Array([1, 99]))),
    ],
    [
      'a value that is not bytes',
      'update_forbidden_content',
      () => updateOf((doc) => doc.getMap('edits').set('x', { nested: true })),
    ],
    ['a nested type', 'update_forbidden_content', () => updateOf((doc) => doc.getMap('cards').set('x', new Y.Map()))],
    ['text', 'update_forbidden_content', () => updateOf((doc) => doc.getText('cards').insert(0, 'hello'))],
    [
      'list content in a map',
      'update_forbidden_content',
      () => updateOf((doc) => doc.getArray('cards').push([new Uint8Array([1])])),
    ],
    [
      'a map of no known name',
      'update_forbidden_content',
      () => updateOf((doc) => doc.getMap('secrets').set('x', encodeRecord({ k: 'x' }))),
    ],
    [
      'an oversize record',
      'record_too_large',
      () =>
        updateOf((doc) => doc.getMap('cards').set('x', encodeRecord({ k: 'x', fill: 'y'.repeat(LIMITS.cardBytes) }))),
    ],
  ];

  it.each(forgeries)('[ADM-1] refuses %s with %s and changes nothing', async (_what, code, forge) => {
    const { replica, storage, base, snapshot } = await seeded();
    const before = await snapshot();
    const batches = storage.batches;
    expect(await codeOf(replica.apply(BOOK, forge(base), 'mallory'))).toBe(code);
    expect([await snapshot(), storage.batches]).toEqual([before, batches]);
    // Everybody else goes on.
    await addEdit(replica);
    expect(await edits(replica)).toHaveLength(2);
  });

  it("[ADM-2] refuses a forged GC struct under a victim's client id", async () => {
    const { replica } = await seeded();
    const [victim] = await clientIdsOf(replica);
    const clock = await replica.read(BOOK, (doc) => Y.getState(doc.store, victim!));
    // One client, one struct: client id, clock, then info 0 (GC) and its length; no deletes.
    const { createEncoder, writeVarUint, writeUint8, toUint8Array } = await import('lib0/encoding');
    const encoder = createEncoder();
    for (const value of [1, 1, victim!, clock]) writeVarUint(encoder, value);
    writeUint8(encoder, 0);
    writeVarUint(encoder, 5);
    writeVarUint(encoder, 0);
    expect(await codeOf(replica.apply(BOOK, toUint8Array(encoder), 'mallory'))).toBe('update_forbidden_content');
    await addEdit(replica);
    expect(await edits(replica)).toHaveLength(2);
  });

  it('[ADM-3] refuses an update whose predecessors are missing, and takes it once they are there', async () => {
    const source = new Y.Doc();
    const updates: Uint8Array[] = [];
    source.on('update', (update: Uint8Array) => updates.push(update));
    for (let index = 0; index < 3; index++) new Book(source).putCard({ ...card, ordinal: index + 1 });
    const replica = await open(await memoryStorage());
    expect(await codeOf(replica.apply(BOOK, updates[1]!, 'peer'))).toBe('missing_dependency');
    expect(await codeOf(replica.apply(BOOK, Y.mergeUpdates([updates[0]!, updates[2]!]), 'peer'))).toBe(
      'missing_dependency',
    );
    expect(replica.lastSeq).toBe(0);
    for (const update of updates) expect(await codeOf(replica.apply(BOOK, update, 'peer'))).toBeUndefined();
    expect(await replica.read(BOOK, (doc) => new Book(doc).card(cardKey(card)))).toEqual(
      encodeCard({ ...card, ordinal: 3 }),
    );
  });

  it('[ADM-4] lets records of newer kinds and maps of newer versions through', async () => {
    const { replica } = await seeded();
    const update = updateOf((doc) => {
      doc.getMap('cards').set('comet', encodeRecord({ k: 'comet', tail: true }));
      doc.getMap('edits').set('future', new Uint8Array([2, 1, 2, 3]));
      doc.getMap('x-moods').set('monday', encodeRecord({ k: 'mood' }));
    });
    expect(await codeOf(replica.apply(BOOK, update, 'newer'))).toBeUndefined();
    const { update: state } = await replica.encodeState(BOOK);
    const doc = new Y.Doc();
    Y.applyUpdate(doc, state);
    expect([...doc.getMap('x-moods').keys(), ...doc.getMap('cards').keys()]).toEqual(
      expect.arrayContaining(['monday', 'comet']),
    );
  });

  it('[ADM-5] the same edit made twice elsewhere with the same bytes is one edit', async () => {
    const { replica, base } = await seeded();
    const again = updateOf((doc) => doc.getMap('edits').set(edit.id, encodeEdit(edit)));
    expect(await codeOf(replica.apply(BOOK, again, 'peer'))).toBeUndefined();
    expect(await edits(replica)).toEqual([edit.id]);
    // A replica that has neither takes both at once, the first already replaced by the second.
    const fresh = await open(await memoryStorage());
    expect(await codeOf(fresh.apply(BOOK, (await replica.encodeState(BOOK)).update, 'peer'))).toBeUndefined();
    expect(await codeOf(fresh.apply(BOOK, base, 'peer'))).toBeUndefined();
    expect(await edits(fresh)).toEqual([edit.id]);
  });

  it('[ADM-6] survives any bytes: a seeded storm of mutated updates changes nothing unless admitted', async () => {
    const { replica, base } = await seeded();
    const storm = new SeededRandom(4242);
    const samples = [base, ...forgeries.slice(3, 13).map(([, , forge]) => forge(base))];
    const codes = new Map<string, number>();
    for (let round = 0; round < 3_000; round++) {
      const bytes = storm.pick(samples).slice(0, storm.chance(0.2) ? storm.int(base.length) : undefined);
      for (let flips = 1 + storm.int(3); flips > 0 && bytes.length > 0; flips--)
        bytes[storm.int(bytes.length)] = storm.int(256);
      const code = (await codeOf(replica.apply(BOOK, bytes, 'storm'))) ?? 'admitted';
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    expect([...codes.keys()].filter((code) => code.startsWith('not ours'))).toEqual([]);
    expect([...codes.values()].reduce((sum, count) => sum + count, 0) - (codes.get('admitted') ?? 0)).toBeGreaterThan(
      1_000,
    );
    expect(await replica.read(BOOK, (doc) => new Book(doc).edit(edit.id))).toEqual(encodeEdit(edit));
    expect(await replica.read(BOOK, (doc) => doc.store.pendingStructs ?? doc.store.pendingDs)).toBeNull();
  });
});
