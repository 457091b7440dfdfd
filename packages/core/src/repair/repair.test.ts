import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { Book, noteText, RunDocument } from '../documents/index.ts';
import type { DeviceId, DocumentName, RunId, WriterId } from '../ids.ts';
import { PurgedRuns } from '../ingest/index.ts';
import { Library } from '../library/index.ts';
import type { Edit } from '../record/index.ts';
import { decodeCard, encodeEdit, encodeRecord, REPAIRS } from '../record/index.ts';
import { readRepairs } from '../record/repair.ts';
import type { Replica } from '../replica/index.ts';
import {
  addEdit,
  afterPowerCut,
  BOOK,
  clientIdsOf,
  codeOf,
  editsOf,
  FakeClock,
  makeCard,
  makeTestEdit,
  MemoryBlobStore,
  memoryStorage,
  openTestReplica,
  RUN,
  SeededRandom,
  testHistory,
} from '../testing/index.ts';
import { nextGeneration, rebuildings } from './index.ts';

const T0 = 1_768_478_400_000;

async function open(history = testHistory()): Promise<Replica> {
  return openTestReplica(await memoryStorage(), { history });
}

const forged = 'd111111111111111111111111' as DeviceId;

/** Edits by somebody else, who is not connected any more, as one update. */
function updateOf(edits: readonly Edit[], before?: Uint8Array): { update: Uint8Array; client: number } {
  const doc = new Y.Doc();
  if (before !== undefined) Y.applyUpdate(doc, before);
  const vector = Y.encodeStateVector(doc);
  doc.transact(() => {
    for (const edit of edits) new Book(doc).addEdit(edit);
  });
  return { update: Y.encodeStateAsUpdate(doc, vector), client: doc.clientID };
}

const peer = (token: string) => ({ source: { via: 'replication', device: forged, replica: 'r', token } });
const repair = { reason: 'repair', time: T0 };

describe('a document that is rebuilt', () => {
  it('[GEN-1] has the records that it kept under a higher generation and a fresh client id, and what it was lies aside', async () => {
    const replica = await open();
    const ids = [await addEdit(replica), await addEdit(replica)];
    await replica.transact(BOOK, (doc) => new Book(doc).putCard(makeCard({ ordinal: 1 })));
    await replica.transact(BOOK, (doc) => new Book(doc).putCard(makeCard({ ordinal: 2 })));
    const before = await clientIdsOf(replica);
    const commits: unknown[] = [];
    replica.onCommit((commit) => commits.push(commit));
    const dry = await replica.rebuild(BOOK, { ...repair, dryRun: true });
    expect([dry.commit, commits.length, (await replica.info(BOOK))!.generation]).toEqual([undefined, 0, 0]);
    const rebuilt = await replica.rebuild(BOOK, repair);
    expect(commits).toEqual([expect.objectContaining({ name: BOOK, rebuilt: true, generation: rebuilt.generation })]);
    expect(await editsOf(replica)).toEqual(ids);
    const card = await replica.read(BOOK, (doc) =>
      [...new Book(doc).cards()].map(([, bytes]) => decodeCard(bytes)!.ordinal),
    );
    expect(card).toEqual([2]);
    expect(rebuildings(rebuilt.generation)).toBe(1);
    expect((await clientIdsOf(replica)).filter((id) => before.includes(id))).toEqual([]);
    const [aside] = await replica.asides(BOOK);
    expect(aside).toMatchObject({ generation: 0, seq: 4, reason: 'repair' });
    // Two rebuildings elsewhere at the same time are not taken for one.
    const random = new SeededRandom(1);
    expect(new Set(Array.from({ length: 50 }, () => nextGeneration(0, random))).size).toBe(50);
    expect(nextGeneration(rebuilt.generation, random)).toBeGreaterThan(rebuilt.generation);
    // And it is written to as before.
    const more = await addEdit(replica);
    expect(await editsOf(replica)).toEqual([...ids, more].sort());
    await replica.compact(BOOK);
    expect(await editsOf(replica)).toEqual([...ids, more].sort());
  });

  it('[GEN-2] leaves out what a client, a device, a token or a range of commits brought', async () => {
    for (const by of ['client', 'device', 'token', 'seq'] as const) {
      const replica = await open();
      const kept = await addEdit(replica);
      const { update, client } = updateOf([
        makeTestEdit({ device: forged }),
        makeTestEdit({ device: forged, run: 'run-2' as RunId }),
      ]);
      const commit = await replica.apply(BOOK, update, peer('t1'));
      const other = await replica.apply(BOOK, updateOf([makeTestEdit()]).update, peer('t2'));
      await replica.compact(BOOK);
      const without = {
        client: { clients: [client] },
        device: { devices: [forged] },
        token: { tokens: ['t1'] },
        seq: { seqs: [commit!.seq, commit!.seq] as const },
      }[by];
      const rebuilt = await replica.rebuild(BOOK, { ...repair, without });
      expect(new Set(rebuilt.removed.map(({ run }) => run))).toEqual(new Set(['run-1', 'run-2']));
      expect(rebuilt.reachesBack).toBe(true);
      const left = await editsOf(replica);
      expect([left.length, left.includes(kept), other?.seq]).toEqual([2, true, 3]);
    }
  });

  it('[GEN-2] has again what somebody who is left out had overwritten or deleted, as far as the log reaches', async () => {
    for (const reaches of [true, false]) {
      const replica = await open(reaches ? testHistory() : testHistory({ maxBytes: 0 }));
      await replica.transact(BOOK, (doc) => new Book(doc).putCard(makeCard({ ordinal: 1, name: 'before' })));
      await replica.transact(RUN, (doc) => doc.getMap('entries').set('newer/x', encodeRecord({ k: 'newer' })));
      const overwriting = new Y.Doc();
      Y.applyUpdate(overwriting, (await replica.encodeState(BOOK)).update);
      new Book(overwriting).putCard(makeCard({ ordinal: 9, name: 'forged' }));
      await replica.apply(BOOK, Y.encodeStateAsUpdate(overwriting), peer('t1'));
      const deleting = new Y.Doc();
      Y.applyUpdate(deleting, (await replica.encodeState(RUN)).update);
      deleting.getMap('entries').delete('newer/x');
      await replica.apply(RUN, Y.encodeStateAsUpdate(deleting), peer('t1'));
      await replica.compact(BOOK);
      await replica.compact(RUN);
      const without = { clients: [overwriting.clientID], tokens: ['t1'] };
      const book = await replica.rebuild(BOOK, { ...repair, without });
      const run = await replica.rebuild(RUN, { ...repair, without });
      const names = await replica.read(BOOK, (doc) =>
        [...new Book(doc).cards()].map(([, bytes]) => decodeCard(bytes)!.name),
      );
      const keys = await replica.read(RUN, (doc) => [...doc.getMap('entries').keys()]);
      expect([names, book.restored.length, book.unrestorable.length]).toEqual(
        reaches ? [['before'], 1, 0] : [[], 0, 1],
      );
      expect([keys, run.restored.length]).toEqual(reaches ? [['newer/x'], 1] : [[], 0]);
    }
  });

  it('[GEN-2] leaves out what a client typed into a note', async () => {
    const replica = await open();
    const note = 'note/run-1' as DocumentName;
    await replica.transact(note, (doc) => noteText(doc).insert(0, 'good run'));
    const other = new Y.Doc();
    Y.applyUpdate(other, (await replica.encodeState(note)).update);
    noteText(other).insert(5, 'FORGED ');
    await replica.apply(note, Y.encodeStateAsUpdate(other), 'x');
    await replica.rebuild(note, { ...repair, without: { clients: [other.clientID] } });
    expect(await replica.read(note, (doc) => noteText(doc).toJSON())).toBe('good run');
  });

  it('[GEN-1] shows a library what is left: records of before are gone from every fold', async () => {
    const replica = await open();
    const library = await Library.open(replica);
    await replica.transact(BOOK, (doc) => {
      new Book(doc).putCard(makeCard({ name: 'card' }));
      new Book(doc).putCard(
        makeCard({ run: 'run-9' as RunId, writer: '01kf0000000000000000000009' as WriterId, device: forged }),
      );
    });
    await replica.apply(BOOK, updateOf([makeTestEdit({ value: 'forged', device: forged })]).update, peer('t1'));
    expect((await library.resolve('run-1')).name).toBe('forged');
    expect(await library.runs('mnist' as never)).toHaveLength(2);
    const told: string[] = [];
    library.onChange(({ runs }) => told.push(...runs));
    await replica.rebuild(BOOK, { ...repair, without: { devices: [forged] } });
    expect((await library.resolve('run-1')).name).toBe('card');
    expect(await library.runs('mnist' as never)).toHaveLength(1);
    expect(new Set(told)).toEqual(new Set(['run-1', 'run-9']));
    library.close();
  });
});

/** Gives `from`'s whole document to `to`, as replication does. */
async function give(from: Replica, to: Replica, name = BOOK): Promise<{ added: number; removed: number }> {
  const { update, generation } = await from.encodeState(name);
  const { added, removed } = await to.adopt(name, { generation, updates: [update] });
  return { added, removed };
}

async function exchange(a: Replica, b: Replica, name = BOOK): Promise<void> {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const)
    await to.apply(name, (await from.encodeState(name)).update, 'peer');
}

describe('a replica that meets a higher generation', () => {
  it('[GEN-3] takes it whole, adds what the repair did not know, and brings back nothing that it left out', async () => {
    const [a, b] = [await open(), await open()];
    const shared = await addEdit(a);
    const bad = makeTestEdit({ device: forged });
    const { update, client } = updateOf([bad]);
    await a.apply(BOOK, update, peer('t1'));
    await exchange(a, b);
    // Unknown to the repair: an edit of b, and more by who is left out.
    const late = await addEdit(b);
    const { update: more } = updateOf([makeTestEdit({ device: forged })]);
    await b.apply(BOOK, more, 'peer');
    await a.rebuild(BOOK, { ...repair, without: { devices: [forged], clients: [client] } });
    const { generation } = (await a.info(BOOK))!;
    expect(await give(a, b)).toEqual({ added: 1, removed: 1 });
    expect((await b.info(BOOK))!.generation).toBe(generation);
    expect(await editsOf(b)).toEqual([shared, late].sort());
    await exchange(a, b);
    expect(await editsOf(a)).toEqual([shared, late].sort());
    expect((await b.asides(BOOK))[0]).toMatchObject({ generation: 0, reason: 'adopted' });
    // The same again, or an older one, is refused and changes nothing.
    expect(await codeOf(give(a, b))).toBe('generation_mismatch');
  });

  it('[GEN-3] keeps the newer of two cards and does its own deletions again', async () => {
    const [a, b] = [await open(), await open()];
    const entry = (key: string) => [key, encodeRecord({ k: 'newer', w: key })] as const;
    await a.transact(BOOK, (doc) => new Book(doc).putCard(makeCard({ ordinal: 1 })));
    await a.transact(RUN, (doc) => {
      for (const [key, bytes] of [entry('newer/1'), entry('newer/2')]) doc.getMap('entries').set(key, bytes);
    });
    for (const name of [BOOK, RUN]) await exchange(a, b, name);
    await b.transact(BOOK, (doc) => new Book(doc).putCard(makeCard({ ordinal: 5 })));
    // Known to the repair and deleted before it: b, which missed that, does not bring it back.
    await a.transact(RUN, (doc) => new RunDocument(doc).remove('newer/1'));
    for (const name of [BOOK, RUN]) {
      await a.rebuild(name, repair);
      await give(a, b, name);
    }
    const ordinals = await b.read(BOOK, (doc) =>
      [...new Book(doc).cards()].map(([, bytes]) => decodeCard(bytes)!.ordinal),
    );
    expect(ordinals).toEqual([5]);
    expect(await b.read(RUN, (doc) => [...doc.getMap('entries').keys()])).toEqual(['newer/2']);
  });

  it('[GEN-4] may be any number of generations behind: what any repair removed stays away, what none knew is added', async () => {
    const [a, b] = [await open(), await open()];
    const shared = await addEdit(a);
    const bad = [makeTestEdit({ device: forged }), makeTestEdit()] as const;
    await a.apply(BOOK, updateOf([bad[0]]).update, 'peer');
    await exchange(a, b);
    // b has the second bad edit before it is removed from a, by way of nobody that a knows.
    const { update } = updateOf([bad[1]]);
    await b.apply(BOOK, update, 'peer');
    const late = await addEdit(b);
    await a.rebuild(BOOK, { ...repair, without: { devices: [forged] } });
    const commit = await a.apply(BOOK, updateOf([bad[1]]).update, peer('t9'), (await a.info(BOOK))!.generation);
    expect(commit).toBeDefined();
    await a.rebuild(BOOK, { ...repair, without: { tokens: ['t9'] } });
    await a.rebuild(BOOK, { ...repair, reason: 'compaction' });
    expect(rebuildings((await a.info(BOOK))!.generation)).toBe(3);
    expect(await a.read(BOOK, (doc) => readRepairs(doc).length)).toBe(3);
    expect(await give(a, b)).toEqual({ added: 1, removed: 1 });
    expect(await editsOf(b)).toEqual([shared, late].sort());
  });

  it('[GEN-5] takes nothing of another generation into its document, also what is under way while it is replaced', async () => {
    const replica = await open();
    await addEdit(replica);
    const { update } = updateOf([makeTestEdit()]);
    const [rebuilt, code] = await Promise.all([
      replica.rebuild(BOOK, repair),
      codeOf(replica.apply(BOOK, update, 'peer', 0)),
    ]);
    expect([code, await editsOf(replica).then((ids) => ids.length)]).toEqual(['generation_mismatch', 1]);
    // Notes of a repair come with a rebuilt document only.
    const doc = new Y.Doc();
    doc.getMap(REPAIRS).set('9/0', encodeRecord({ k: 'repair', f: 0, v: new Uint8Array([0]), x: new Uint8Array(0) }));
    expect(await codeOf(replica.apply(BOOK, Y.encodeStateAsUpdate(doc), 'peer'))).toBe('update_forbidden_content');
    expect((await replica.info(BOOK))!.generation).toBe(rebuilt.generation);
  });

  it('[GEN-7] is there before or after, never between, whatever the disk and the power do', async () => {
    const other = await open();
    await addEdit(other);
    const shared = (await other.encodeState(BOOK)).update;
    await other.rebuild(BOOK, repair);
    const whole = await other.encodeState(BOOK);
    const outcomes = new Set<string>();
    for (let batches = 0; batches < 8; batches++) {
      const storage = await memoryStorage();
      const replica = await openTestReplica(storage, { history: testHistory() });
      await replica.apply(BOOK, shared, 'peer');
      const own = await addEdit(replica);
      let written = 0;
      const { batch } = storage;
      storage.batch = async (operations, options) => {
        if (written++ >= batches) throw new Error('the power is gone');
        await batch.call(storage, operations, options);
      };
      await replica.adopt(BOOK, { generation: whole.generation, updates: [whole.update] }).catch(() => undefined);
      storage.batch = batch;
      const reopened = await openTestReplica(await afterPowerCut(storage));
      const info = (await reopened.info(BOOK))!;
      expect([info.quarantined, (await editsOf(reopened)).length, (await editsOf(reopened)).includes(own)]).toEqual([
        false,
        2,
        true,
      ]);
      expect(await reopened.changedSince(0, 9)).toHaveLength(1);
      outcomes.add(info.generation === whole.generation ? 'new' : 'old');
      // And it can be done again.
      if (info.generation !== whole.generation) await give(other, reopened);
      expect((await reopened.info(BOOK))!.generation).toBe(whole.generation);
    }
    expect([...outcomes].sort()).toEqual(['new', 'old']);
  });

  it('[GEN-12] takes a whole document in the place of a damaged one, with what is left of that; damaged bytes lie aside', async () => {
    const storage = await memoryStorage();
    const replica = await openTestReplica(storage, { history: testHistory() });
    const shared = await addEdit(replica);
    const other = await open();
    await other.apply(BOOK, (await replica.encodeState(BOOK)).update, 'peer');
    await addEdit(replica);
    const { update } = updateOf([makeTestEdit()]);
    await replica.apply(BOOK, update, 'peer');
    const ids = await editsOf(replica);
    const logged: Uint8Array[] = [];
    for await (const key of storage.keys({})) if (key[0] === 0x75) logged.push(key);
    const broken = (await storage.get(logged[1]!))!;
    broken[9]! ^= 1;
    await storage.batch([{ type: 'put', key: logged[1]!, value: broken }], { sync: true });
    const damaged = await openTestReplica(storage, { history: testHistory() });
    expect(await codeOf(editsOf(damaged))).toBe('document_quarantined');
    const { added } = await give(other, damaged);
    expect(added).toBe(1);
    // The edit in the broken update is nowhere else; everything that is intact anywhere is there.
    expect(await editsOf(damaged)).toEqual(ids.filter((id) => id === shared || id === ids[2]));
    expect((await damaged.info(BOOK))!).toMatchObject({ quarantined: false, generation: 0 });
    expect((await damaged.asides(BOOK))[0]).toMatchObject({ reason: 'healed' });
    await addEdit(damaged);
    const reopened = await openTestReplica(await afterPowerCut(storage));
    expect(await editsOf(reopened)).toHaveLength(3);
  });

  it('[GEN-13] a damaged document that nobody else has is rebuilt from what is left, which is said', async () => {
    const storage = await memoryStorage();
    const replica = await openTestReplica(storage, { history: testHistory() });
    for (let n = 0; n < 3; n++) await replica.apply(BOOK, updateOf([makeTestEdit()]).update, 'peer');
    const ids = await editsOf(replica);
    const logged: Uint8Array[] = [];
    for await (const key of storage.keys({})) if (key[0] === 0x75) logged.push(key);
    await storage.batch([{ type: 'del', key: logged[1]! }], { sync: true });
    const damaged = await openTestReplica(storage, { history: testHistory() });
    const rebuilt = await damaged.rebuild(BOOK, repair);
    expect([rebuilt.damage, rebuilt.records]).toEqual([['1 of 3 updates are missing.'], 2]);
    expect(await editsOf(damaged)).toEqual([ids[0], ids[2]]);
  });
});

describe('a machine that returns after a year', () => {
  it('[GEN-16] ends with a purged run emptied, though its book and its run were rebuilt meanwhile and it had more of it', async () => {
    const [a, b] = [await open(), await open()];
    const entry = encodeRecord({ k: 'newer' });
    await a.transact(BOOK, (doc) => new Book(doc).putCard(makeCard()));
    await a.transact(RUN, (doc) => doc.getMap('entries').set('newer/1', entry));
    const bad = await addEdit(a, makeTestEdit({ device: forged }));
    for (const name of [BOOK, RUN]) await exchange(a, b, name);
    await b.transact(RUN, (doc) => doc.getMap('entries').set('newer/late', entry));
    const late = await addEdit(b);
    await addEdit(a, makeTestEdit({ field: 'purge', value: true }));
    await a.transact(RUN, (doc) => new RunDocument(doc).clear());
    for (const name of [BOOK, RUN]) await a.rebuild(name, { ...repair, without: { devices: [forged] } });
    const purged = new PurgedRuns(b, new MemoryBlobStore());
    await purged.scanAll();
    for (const name of [BOOK, RUN]) await give(a, b, name);
    await purged.scanAll();
    await purged.settled();
    expect(await b.read(RUN, (doc) => [...doc.getMap('entries').keys()])).toEqual([]);
    expect(await editsOf(b)).toContain(late);
    expect(await editsOf(b)).not.toContain(bad);
    for (const name of [BOOK, RUN]) await exchange(a, b, name);
    expect(await editsOf(a)).toEqual(await editsOf(b));
    expect(await a.read(RUN, (doc) => [...doc.getMap('entries').keys()])).toEqual([]);
    await purged.close();
  });

  it('[GEN-16] opens a store of before there was a log for repair, compacts, adopts and keeps from then on', async () => {
    const storage = await memoryStorage();
    const before = await openTestReplica(storage);
    const old = [await addEdit(before), await addEdit(before)];
    await before.close();
    const replica = await openTestReplica(storage, { history: testHistory() });
    await replica.compact(BOOK);
    await addEdit(replica);
    const sources: (string | null)[] = [];
    for await (const { source } of replica.history(BOOK)) sources.push(source?.via ?? null);
    expect(sources).toEqual([null, null, 'local']);
    const fresh = await open();
    await fresh.apply(BOOK, (await replica.encodeState(BOOK)).update, 'x');
    await fresh.rebuild(BOOK, repair);
    const late = await addEdit(replica);
    await give(fresh, replica);
    expect(await editsOf(replica)).toEqual(expect.arrayContaining([...old, late]));
    // And a program without the log reads what one with it has written.
    const again = await openTestReplica(await afterPowerCut(storage));
    expect(await editsOf(again)).toEqual(await editsOf(replica));
    await again.compact(BOOK);
    expect(await editsOf(again)).toHaveLength(4);
  });
});

describe('the log of commits', () => {
  it('[STO-15] holds every update with where it came from, through compactions and restarts, each once', async () => {
    const storage = await memoryStorage();
    const clock = new FakeClock(T0);
    const replica = await openTestReplica(storage, { history: testHistory({ clock }) });
    await addEdit(replica);
    clock.advance(5);
    await replica.apply(BOOK, updateOf([makeTestEdit()]).update, peer('t1'));
    await replica.compact(BOOK);
    await addEdit(replica);
    await replica.compact(BOOK);
    await addEdit(replica);
    const reopened = await openTestReplica(await afterPowerCut(storage), { history: testHistory({ clock }) });
    const doc = new Y.Doc();
    const said: unknown[] = [];
    for await (const { seq, time, source, update } of reopened.history(BOOK)) {
      said.push([seq, time! - T0, source!.via, source!.device, source!.token]);
      Y.applyUpdate(doc, update);
    }
    expect(said).toEqual([
      [1, 0, 'local', null, null],
      [2, 5, 'replication', forged, 't1'],
      [3, 5, 'local', null, null],
      [4, 5, 'local', null, null],
    ]);
    expect([...doc.getMap('edits').keys()].sort()).toEqual(await editsOf(reopened));
  });

  it('[STO-15] keeps to its size and age, the oldest going first, and never takes a document with it', async () => {
    const clock = new FakeClock(T0);
    const replica = await open(testHistory({ clock, maxBytes: 2_500 }));
    const random = new SeededRandom(3);
    const seqs = async (): Promise<number[]> => {
      const found: number[] = [];
      for await (const { seq } of replica.history(BOOK)) found.push(seq);
      return found;
    };
    for (let n = 0; n < 12; n++) {
      const value = [...random.bytes(200)].map((byte) => byte.toString(16)).join('');
      await addEdit(replica, makeTestEdit({ value }));
      await replica.compact(BOOK);
    }
    const kept = await seqs();
    expect(kept.length).toBeGreaterThan(1);
    expect(kept.length).toBeLessThan(8);
    expect(kept.at(-1)).toBe(12);
    expect(await editsOf(replica)).toHaveLength(12);
    clock.advance(366 * 86_400_000);
    await addEdit(replica);
    await replica.compact(BOOK);
    expect(await seqs()).toEqual([13]);
  });

  it('[STO-15] a damaged part of it is passed over; without one nothing is kept and all works', async () => {
    const storage = await memoryStorage();
    const replica = await openTestReplica(storage, { history: testHistory() });
    await addEdit(replica);
    await replica.compact(BOOK);
    await addEdit(replica);
    for await (const [key, value] of storage.range({})) {
      if (key[0] !== 0x72) continue;
      value[8]! ^= 1;
      await storage.batch([{ type: 'put', key, value }], { sync: true });
    }
    const seqs: number[] = [];
    for await (const { seq } of replica.history(BOOK)) seqs.push(seq);
    expect(seqs).toEqual([2]);
    const plain = await openTestReplica(await memoryStorage());
    await addEdit(plain);
    for await (const commit of plain.history(BOOK)) throw new Error(`${commit.seq} was kept`);
    expect(encodeEdit(makeTestEdit()).length).toBeGreaterThan(0);
  });
});
