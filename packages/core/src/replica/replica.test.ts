import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { Book, RunDocument } from '../documents/index.ts';
import { FieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import { encodeRecord } from '../record/index.ts';
import type { RestoreGuard } from '../store/index.ts';
import {
  makeTestEdit,
  BOOK,
  openTestReplica as open,
  editsOf as edits,
  addEdit,
  clientIdsOf,
  codeOf,
  memoryStorage,
  afterPowerCut,
} from '../testing/index.ts';

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
    const first = await open(storage, { guard: guard('here') });
    await addEdit(first);
    await first.close();
    const backup = storage.durable;
    const again = await open(storage, { guard: guard('here') });
    await addEdit(again);
    expect(await clientIdsOf(again)).toHaveLength(1);
    expect(again.id).toBe(first.id);
    await again.close();

    const elsewhere = await afterPowerCut(storage);
    const copy = await open(elsewhere, { guard: guard('there') });
    await addEdit(copy);
    expect(await clientIdsOf(copy)).toHaveLength(2);
    expect(copy.id).not.toBe(first.id);

    counter = 2;
    const restored = await memoryStorage();
    await restored.batch(backup, { sync: true });
    const old = await open(restored, { guard: guard('here') });
    await addEdit(old);
    expect(await clientIdsOf(old)).toHaveLength(2);
    // What the restored store writes merges with what was written after the backup was made.
    const merged = await open(await memoryStorage());
    await merged.apply(BOOK, (await copy.encodeState(BOOK)).update, 'copy');
    await merged.apply(BOOK, (await old.encodeState(BOOK)).update, 'old');
    expect(await edits(merged)).toHaveLength(4);
  });

  it('[REP-4] a store that was not closed gets another client id and goes on far behind its feed', async () => {
    const storage = await memoryStorage();
    let counter: number | undefined;
    const guard: RestoreGuard = {
      fingerprint: 'here',
      readCounter: () => Promise.resolve(counter),
      writeCounter: (count) => Promise.resolve(void (counter = count)),
    };
    const first = await open(storage, { guard });
    await addEdit(first);
    // Copied while it is open: the number of openings is right.
    const backup = await afterPowerCut(storage);
    await addEdit(first);
    const restored = await open(backup, { guard });
    expect(restored.id).toBe(first.id);
    expect(restored.lastSeq).toBe(1);
    await addEdit(restored);
    expect(await clientIdsOf(restored)).toHaveLength(2);
    expect(restored.lastSeq).toBeGreaterThan(1_000_000);
    await restored.close();
    const again = await open(await afterPowerCut(backup), { guard });
    await addEdit(again);
    expect(await clientIdsOf(again)).toHaveLength(2);
    expect(await again.changedSince(1, 10)).toHaveLength(1);
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
    const replica = await open(storage, { cacheBytes: 2_000 });
    const names = Array.from({ length: 50 }, (_, index) => `run/r${index}` as DocumentName);
    for (const name of names)
      await replica.transact(name, (doc) => doc.getMap('entries').set('x', encodeRecord({ k: 'x', name })));
    const inMemory = new Set<Y.Doc>();
    for (const name of names) {
      const { size } = (await replica.info(name))!;
      const entries = await replica.read(name, (doc) => {
        inMemory.add(doc);
        doc.on('destroy', () => inMemory.delete(doc));
        return [...new RunDocument(doc).entries()].length + doc.getMap('entries').size;
      });
      expect(entries).toBe(1);
      expect(inMemory.size).toBeLessThanOrEqual(Math.ceil(2_000 / size));
    }
    expect(inMemory.size).toBeGreaterThan(1);
    const listed: string[] = [];
    for await (const info of replica.list('run/')) listed.push(info.name);
    expect(listed).toEqual([...names].sort());
    expect(await replica.info('run/none' as DocumentName)).toBeUndefined();
    await replica.read('run/none' as DocumentName, () => {});
    expect(await replica.info('run/none' as DocumentName)).toBeUndefined();
  });

  it('[REP-6] documents count in memory for what they have grown to, and go when the next one is loaded', async () => {
    const replica = await open(await memoryStorage(), { cacheBytes: 2_000 });
    const inMemory = new Set<Y.Doc>();
    const watch = (doc: Y.Doc): void => {
      if (inMemory.has(doc)) return;
      inMemory.add(doc);
      doc.on('destroy', () => inMemory.delete(doc));
    };
    const grow = (name: string, bytes: number): Promise<unknown> =>
      replica.transact(name as DocumentName, (doc) => {
        watch(doc);
        doc.getMap('entries').set('x', encodeRecord({ k: 'x', filler: 'x'.repeat(bytes) }));
      });
    for (let each = 0; each < 10; each++) await grow(`run/r${each}`, 20);
    expect(inMemory.size).toBe(10);
    await grow('run/r9', 1_900);
    await replica.read('run/new' as DocumentName, watch);
    expect(inMemory.size).toBeLessThan(4);
    expect(inMemory.size).toBeGreaterThan(0);
    // One that alone is too large is served, and goes with the next.
    await grow('run/r9', 5_000);
    await replica.read('run/newer' as DocumentName, watch);
    expect(inMemory.size).toBe(1);
    // What went counts no more.
    for (let each = 10; each < 20; each++) await grow(`run/r${each}`, 20);
    expect(inMemory.size).toBe(11);
  });

  it('[REP-7] encoded state names the last commit that it holds, not one that came behind it', async () => {
    const storage = await memoryStorage();
    const replica = await open(storage);
    await addEdit(replica);
    storage.hold();
    const first = addEdit(replica);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    const state = replica.encodeState(BOOK);
    const vector = replica.stateVector(BOOK);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    const second = addEdit(replica);
    expect(replica.lastSeq).toBe(1);
    storage.release();
    await Promise.all([first, second]);
    const { update, seq } = await state;
    const doc = new Y.Doc();
    Y.applyUpdate(doc, update);
    expect([seq, (await vector).seq, [...new Book(doc).edits()].length]).toEqual([2, 2, 2]);
    expect(replica.lastSeq).toBe(3);
  });

  it('[REP-7] who asks for state while a write fails gets the state without it', async () => {
    const storage = await memoryStorage();
    const replica = await open(storage);
    const kept = await addEdit(replica);
    storage.hold();
    const failing = codeOf(addEdit(replica));
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    const state = replica.encodeState(BOOK);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    storage.failNextBatches(1, new FieldbookError('disk_full', 'no'));
    storage.release();
    expect(await failing).toBe('disk_full');
    const doc = new Y.Doc();
    Y.applyUpdate(doc, (await state).update);
    expect([...new Book(doc).edits()].map(([key]) => key)).toEqual([kept]);
    expect((await state).seq).toBe(1);
  });

  it('[REP-8] a peer that knows more of our client id than we do makes us take another one', async () => {
    const storage = await memoryStorage();
    const replica = await open(storage);
    await addEdit(replica);
    const backup = storage.durable;
    await addEdit(replica);
    await addEdit(replica);
    const full = (await replica.encodeState(BOOK)).update;
    const theirs = await replica.stateVector(BOOK);

    for (const how of ['told', 'sent'] as const) {
      const peer = await open(await memoryStorage());
      await peer.apply(BOOK, full, 'first');
      const restored = await memoryStorage();
      await restored.batch(backup, { sync: true });
      const old = await open(restored);
      if (how === 'told') {
        expect(await old.noteClientIdSeen(BOOK, theirs.stateVector)).toBe(true);
        expect(await old.noteClientIdSeen(BOOK, theirs.stateVector)).toBe(false);
      } else {
        await old.apply(BOOK, (await peer.encodeState(BOOK)).update, 'peer');
      }
      // A power cut right after must not bring the old id back.
      const later = await open(await afterPowerCut(restored));
      const id = await addEdit(later);
      expect(await clientIdsOf(later)).toHaveLength(2);
      await peer.apply(BOOK, (await later.encodeState(BOOK)).update, 'again');
      await later.apply(BOOK, (await peer.encodeState(BOOK)).update, 'again');
      expect(await edits(peer)).toContain(id);
      expect(await edits(later)).toEqual(await edits(peer));
    }
    expect(await replica.noteClientIdSeen(BOOK, theirs.stateVector)).toBe(false);
    expect(await codeOf(replica.noteClientIdSeen(BOOK, new Uint8Array([200])))).toBe('update_malformed');
  });

  it('[REP-8] a client id that a peer knew more of stays given up when the disk fails just then and is well again', async () => {
    const [storage, peer] = [await memoryStorage(), await open(await memoryStorage())];
    const replica = await open(storage);
    await addEdit(replica);
    const backup = storage.durable;
    await addEdit(replica);
    await peer.apply(BOOK, (await replica.encodeState(BOOK)).update, 'first');
    const restored = await memoryStorage();
    await restored.batch(backup, { sync: true });
    const old = await open(restored);
    restored.failNextBatches(2, new FieldbookError('storage_failed', 'EIO'));
    const { stateVector } = await peer.stateVector(BOOK);
    expect(await codeOf(old.noteClientIdSeen(BOOK, stateVector))).toBe('storage_failed');
    expect(await codeOf(old.putPrivate([['anything', new Uint8Array(1)]]))).toBe('storage_failed');
    await old.close();
    // Before it meets the peer again.
    const later = await open(await afterPowerCut(restored));
    const ours = await addEdit(later);
    await peer.apply(BOOK, (await later.encodeState(BOOK)).update, 'later');
    await later.apply(BOOK, (await peer.encodeState(BOOK)).update, 'peer');
    expect(await edits(peer)).toContain(ours);
    expect(await edits(later)).toEqual(await edits(peer));
  });

  it('[REP-8] a peer that holds more of our feed than we ever committed makes us another replica', async () => {
    const storage = await memoryStorage();
    const replica = await open(storage);
    await addEdit(replica);
    const { id } = replica;
    expect(await replica.noteFeedSeen(1)).toBe(false);
    expect(await replica.noteFeedSeen(2)).toBe(true);
    expect(replica.id).not.toBe(id);
    await addEdit(replica);
    const ids = await clientIdsOf(replica);
    expect(ids).toHaveLength(2);
    const reopened = await open(await afterPowerCut(storage));
    expect(reopened.id).toBe(replica.id);
    await addEdit(reopened);
    expect(new Set(await clientIdsOf(reopened))).toEqual(new Set(ids));
  });

  it('[REP-3] a local change that others would refuse is refused here, and so is a key outside of x/', async () => {
    const replica = await open(await memoryStorage());
    const id = await addEdit(replica);
    const forge = (change: (doc: Y.Doc) => void): Promise<string | undefined> => codeOf(replica.transact(BOOK, change));
    expect(await forge((doc) => doc.getText('t').insert(0, 'x'))).toBe('update_forbidden_content');
    expect(await forge((doc) => doc.getMap('edits').delete(id))).toBe('record_immutable');
    expect(await forge((doc) => doc.getMap('cards').set('x', new Uint8Array([1, 99])))).toBe('record_malformed');
    const also = [{ type: 'put', key: new TextEncoder().encode('d/x'), value: new Uint8Array(1) }] as const;
    expect(await codeOf(replica.transact(BOOK, () => {}, also))).toBe('invalid_argument');
    expect(await edits(replica)).toEqual([id]);
    expect(replica.lastSeq).toBe(1);
  });

  it('[REP-3] those who waited for the document while another change spoilt it get it fresh', async () => {
    const storage = await memoryStorage();
    const id = await addEdit(await open(storage));
    const replica = await open(await afterPowerCut(storage));
    // All four wait for the same load; the second spoils what the others were about to use.
    const [read, forged, added, after] = await Promise.all([
      edits(replica),
      codeOf(replica.transact(BOOK, (doc) => doc.getMap('edits').delete(id))),
      addEdit(replica),
      edits(replica),
    ]);
    expect([read, forged, after]).toEqual([[id], 'record_immutable', [id, added].sort()]);
    expect(await edits(await open(await afterPowerCut(storage)))).toEqual([id]);
  });

  it('[REP-3] a refusal while a commit is on its way costs that commit nothing', async () => {
    const storage = await memoryStorage();
    const replica = await open(storage);
    const id = await addEdit(replica);
    storage.hold();
    const adding = addEdit(replica);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    expect(await codeOf(replica.transact(BOOK, (doc) => doc.getMap('edits').delete(id)))).toBe('record_immutable');
    const reading = edits(replica);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    storage.release();
    expect(await reading).toEqual([id, await adding].sort());
    expect((await replica.info(BOOK))?.quarantined).toBe(false);
  });

  it('[REP-9] after close every call rejects with store_closed', async () => {
    const replica = await open(await memoryStorage());
    await addEdit(replica);
    await replica.close();
    expect(await codeOf(addEdit(replica))).toBe('store_closed');
    expect(await codeOf(edits(replica))).toBe('store_closed');
    expect(await codeOf(replica.putPrivate([['a', new Uint8Array(1)]]))).toBe('store_closed');
  });
});
