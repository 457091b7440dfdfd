import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import { Book, Workspace } from '../documents/index.ts';
import { isFieldbookError } from '../errors.ts';
import type { BookMonth, DeviceId, DocumentName, ProjectId, RunId, WriterId } from '../ids.ts';
import { bookName, noteDocumentName, runDocumentName, WORKSPACE_DOCUMENT } from '../ids.ts';
import type { WriterEntry } from '../record/index.ts';
import { encodeDirectoryRecord, encodeEntry, encodeRecord, writerKey } from '../record/index.ts';
import type { Replica } from '../replica/replica.ts';
import {
  makeCard,
  makeTestEdit,
  memoryStorage,
  openTestReplica,
  SeededRandom,
  testDevice,
  testEditId,
} from '../testing/index.ts';
import type { Grant, Role } from './index.ts';
import { Gate, RunIndex } from './index.ts';

const random = new SeededRandom(51);
const [MINE, THEIRS] = [testDevice(random), testDevice(random)];
const [vision, speech] = ['vision', 'speech'] as ProjectId[];
const month = '2026-11' as BookMonth;
const BOOK = bookName(vision!, month);
const writer = '01kf0000000000000000000000' as WriterId;
const [own, other, fresh] = ['own', 'other', 'fresh'] as RunId[];

type Change = (doc: Y.Doc) => void;
type Case = [what: string, name: DocumentName, change: Change];

const cardOf = (run: RunId, device: DeviceId, project = vision!): Change => {
  return (doc) => new Book(doc).putCard(makeCard({ run, device, project, ordinal: 7 }));
};
let edits = 5_000;
const editOf =
  (run: RunId): Change =>
  (doc) =>
    new Book(doc).addEdit(makeTestEdit({ id: testEditId((edits += 1)), run }));
const entryOf =
  (device: DeviceId): Change =>
  (doc) => {
    const head = {
      kind: 'writer',
      writer,
      device,
      ordinal: 3,
      attributes: {},
      environment: {},
      exitCode: null,
    } as const;
    const rest = {
      traceback: null,
      dropped: 0,
      signal: null,
      reason: null,
      damage: null,
      system: new Map(),
      extra: {},
    };
    const entry: WriterEntry = { ...head, ...rest };
    doc.getMap('entries').set(writerKey(entry), encodeEntry(entry));
  };
const deviceOf =
  (device: DeviceId): Change =>
  (doc) =>
    new Workspace(doc).putDevice({
      kind: 'device',
      device,
      role: 'agent',
      name: 'gpu-9',
      publicKey: new Uint8Array(32),
      created: 1,
      extra: {},
    });
const both =
  (...changes: Change[]): Change =>
  (doc) => {
    for (const change of changes) change(doc);
  };
const book = (key: string, title: string): Change => {
  return (doc) => doc.getMap('books').set(key, encodeDirectoryRecord({ kind: 'book', title, created: 1, extra: {} }));
};
const write: Change = (doc) => doc.getText('text').insert(0, 'words');

/** What a contributor may, and what the same may not. */
const ALLOWED: Case[] = [
  ['a card of a run that nobody has', BOOK, cardOf(fresh!, MINE!)],
  ['its own card again', BOOK, cardOf(own!, MINE!)],
  ['an edit of its own run', BOOK, editOf(own!)],
  ['an edit of a run that it adds with it', BOOK, both(cardOf(fresh!, MINE!), editOf(fresh!))],
  ['entries of its own device', runDocumentName(own!), entryOf(MINE!)],
  ['entries of a run whose card is still to come', runDocumentName(fresh!), entryOf(MINE!)],
  ['notes of its own run', noteDocumentName(own!), write],
  ['its own device', WORKSPACE_DOCUMENT, deviceOf(MINE!)],
  ['a book that is not listed', WORKSPACE_DOCUMENT, book('vision/2026-12', 'Vision')],
];
const FORBIDDEN: Case[] = [
  ["another device's card", BOOK, cardOf(fresh!, THEIRS!)],
  ["a card of its own in another's run", BOOK, cardOf(other!, MINE!)],
  ["an edit of another's run", BOOK, editOf(other!)],
  ["an edit of another's run beside a card of its own", BOOK, both(cardOf(fresh!, MINE!), editOf(other!))],
  ['a record that nobody can read', BOOK, (doc) => doc.getMap('edits').set('x', encodeRecord({ k: 'vote' }))],
  ['a map of a newer version', BOOK, (doc) => doc.getMap('x-moods').set('x', encodeRecord({ k: 'mood' }))],
  ["another device's entries", runDocumentName(own!), entryOf(THEIRS!)],
  ["its own entries in another's run", runDocumentName(other!), entryOf(MINE!)],
  ["the removal of another's entries", runDocumentName(own!), (doc) => doc.getMap('entries').clear()],
  ["notes of another's run", noteDocumentName(other!), write],
  ['another device', WORKSPACE_DOCUMENT, deviceOf(THEIRS!)],
  ['a title that is listed', WORKSPACE_DOCUMENT, book('vision/2026-11', 'Mine now')],
  ['a shared link', WORKSPACE_DOCUMENT, (doc) => void new Workspace(doc).addLink('/p/vision')],
];

describe('a gate', () => {
  async function seeded(): Promise<{ replica: Replica; runs: RunIndex }> {
    const replica = await openTestReplica(await memoryStorage(), { trusting: true });
    const runs = new RunIndex(replica);
    await replica.transact(BOOK, both(cardOf(own!, MINE!), cardOf(other!, THEIRS!)));
    await replica.transact(runDocumentName(own!), entryOf(THEIRS!));
    await replica.transact(WORKSPACE_DOCUMENT, book('vision/2026-11', 'Vision'));
    return { replica, runs };
  }

  function gateOf(role: Role, runs: RunIndex, override: Partial<Grant> = {}): Gate {
    return new Gate(
      { role, projects: null, token: 'abcdefgh', name: 'ada', devices: new Set([MINE!]), ...override },
      runs,
    );
  }

  /** The code that an update is refused with; the state must then be as before. */
  async function send(replica: Replica, gate: Gate, name: DocumentName, change: Change): Promise<string | undefined> {
    const { update: base } = await replica.encodeState(name);
    const doc = new Y.Doc();
    Y.applyUpdate(doc, base);
    const vector = Y.encodeStateVector(doc);
    doc.transact(() => change(doc));
    const before = replica.lastSeq;
    try {
      await gate.apply(replica, name, Y.encodeStateAsUpdate(doc, vector), 'peer');
      expect(replica.lastSeq).toBe(before + 1);
      return undefined;
    } catch (error) {
      if (!isFieldbookError(error)) throw error;
      expect((await replica.encodeState(name)).update).toEqual(base);
      expect(replica.lastSeq).toBe(before);
      expect(error.message).toMatch(/contributor|only read|other projects/);
      return error.code;
    }
  }

  it.each(ALLOWED)('[ACC-14] lets a contributor send %s', async (_what, name, change) => {
    const { replica, runs } = await seeded();
    expect(await send(replica, gateOf('contributor', runs), name, change)).toBeUndefined();
  });

  it.each(FORBIDDEN)('[ACC-14] refuses a contributor %s, as a whole, and a member may', async (_what, name, change) => {
    const { replica, runs } = await seeded();
    expect(await send(replica, gateOf('contributor', runs), name, change)).toBe('forbidden');
    expect(await send(replica, gateOf('member', runs), name, change)).toBeUndefined();
  });

  it.each([...ALLOWED, ...FORBIDDEN])(
    '[ACC-13] refuses a viewer %s, and lets an admin',
    async (_what, name, change) => {
      const { replica, runs } = await seeded();
      expect(await send(replica, gateOf('viewer', runs), name, change)).toBe('forbidden');
      expect(await send(replica, gateOf('admin', runs), name, change)).toBeUndefined();
    },
  );

  it('[ACC-14] a contributor without a proven device has nothing of its own', async () => {
    const { replica, runs } = await seeded();
    const gate = gateOf('contributor', runs, { devices: new Set() });
    expect(await send(replica, gate, BOOK, cardOf(fresh!, MINE!))).toBe('forbidden');
    expect(gate.mayEdit(own!)).toBe(false);
    const known = gateOf('contributor', runs);
    await known.ready();
    expect([known.mayEdit(own!), known.mayEdit(other!), known.mayEdit(fresh!)]).toEqual([true, false, false]);
  });

  it('[ACC-15] a token of some projects reads and writes those alone; what belongs to a run goes with its cards', async () => {
    const { replica, runs } = await seeded();
    const gate = gateOf('member', runs, { projects: [speech!] });
    await gate.ready();
    const speechBook = bookName(speech!, month);
    const reads = (...names: DocumentName[]): unknown[] => names.map((name) => gate.reads(name));
    expect(reads(WORKSPACE_DOCUMENT, speechBook, BOOK)).toEqual([true, true, false]);
    expect(reads(runDocumentName(own!), noteDocumentName(own!), runDocumentName(fresh!))).toEqual([
      false,
      false,
      undefined,
    ]);
    expect(await send(replica, gate, BOOK, editOf(own!))).toBe('forbidden');
    expect(await send(replica, gate, runDocumentName(own!), entryOf(MINE!))).toBe('forbidden');
    // A run of two projects is seen from both, whoever's card came last; what has no card yet waits for one.
    expect(await send(replica, gate, runDocumentName(fresh!), entryOf(MINE!))).toBeUndefined();
    expect(await send(replica, gate, speechBook, cardOf(fresh!, MINE!, speech!))).toBeUndefined();
    await replica.transact(speechBook, cardOf(own!, THEIRS!, speech!));
    expect(reads(runDocumentName(fresh!), runDocumentName(own!))).toEqual([true, true]);
  });

  it('[ACC-72] a card from who may not read a run is taken and opens it to nobody, over restarts', async () => {
    const { replica, runs } = await seeded();
    const gate = gateOf('member', runs, { projects: [speech!] });
    await gate.ready();
    const speechBook = bookName(speech!, month);
    const reads = (of: Gate, ...names: RunId[]): unknown[] => names.map((run) => of.reads(runDocumentName(run)));
    // With an honest run in one update, which is not held up.
    const cards = both(cardOf(other!, MINE!, speech!), cardOf(fresh!, MINE!, speech!));
    expect(await send(replica, gate, speechBook, cards)).toBeUndefined();
    expect(reads(gate, other!, fresh!)).toEqual([false, true]);
    expect(await send(replica, gate, runDocumentName(other!), entryOf(MINE!))).toBe('forbidden');
    expect(await send(replica, gate, noteDocumentName(other!), write)).toBe('forbidden');
    expect(await send(replica, gate, runDocumentName(fresh!), entryOf(MINE!))).toBeUndefined();
    // Its own project goes on, and the card may be said again.
    expect(reads(gateOf('viewer', runs, { projects: [vision!] }), other!)).toEqual([true]);
    expect(await send(replica, gate, speechBook, cardOf(other!, THEIRS!, speech!))).toBeUndefined();
    expect(reads(gate, other!)).toEqual([false]);
    const anew = new RunIndex(replica);
    const later = gateOf('member', anew, { projects: [speech!] });
    await later.ready();
    expect(reads(later, other!, fresh!)).toEqual([false, true]);
  });

  it('[ACC-72] a card from who reads a run opens it to its project, whoever wrote it', async () => {
    const { replica, runs } = await seeded();
    const speechBook = bookName(speech!, month);
    const reader = gateOf('viewer', runs, { projects: [speech!] });
    await reader.ready();
    for (const [run, gate] of [
      [own!, gateOf('member', runs)],
      [other!, gateOf('member', runs, { projects: [vision!, speech!] })],
    ] as const) {
      expect(reader.reads(runDocumentName(run))).toBe(false);
      expect(await send(replica, gate, speechBook, cardOf(run, THEIRS!, speech!))).toBeUndefined();
      expect(reader.reads(runDocumentName(run))).toBe(true);
    }
  });

  it('[ACC-72] nor does a card in a book that somebody of its project alone brings as a whole', async () => {
    const { replica, runs } = await seeded();
    const gate = gateOf('member', runs, { projects: [speech!] });
    await gate.ready();
    const speechBook = bookName(speech!, month);
    const doc = new Y.Doc();
    both(cardOf(other!, MINE!, speech!), cardOf(fresh!, MINE!, speech!))(doc);
    gate.checkAdopt(speechBook);
    await replica.adopt(speechBook, { generation: 1, updates: [Y.encodeStateAsUpdate(doc)] });
    expect([other!, fresh!].map((run) => gate.reads(runDocumentName(run)))).toEqual([false, true]);
  });

  it('[ACC-14] the index of runs is in step with every commit, whoever made it and whenever it is first asked', async () => {
    const { replica, runs } = await seeded();
    await runs.ready();
    const devices = (run: RunId): DeviceId[] => [...(runs.of(run)?.devices ?? [])].sort();
    for (let count = 0; count < 40; count++) {
      const run = `r${random.int(8)}` as RunId;
      const device = random.pick([MINE!, THEIRS!]);
      // By many clients, in one document and in others, rewritten and concurrent.
      const doc = new Y.Doc();
      if (random.chance(0.5)) Y.applyUpdate(doc, (await replica.encodeState(BOOK)).update);
      cardOf(run, device)(doc);
      await replica.apply(BOOK, Y.encodeStateAsUpdate(doc), 'peer');
    }
    const anew = new RunIndex(replica);
    await anew.ready();
    for (let run = 0; run < 8; run++)
      expect(devices(`r${run}` as RunId)).toEqual([...(anew.of(`r${run}` as RunId)?.devices ?? [])].sort());
    expect(devices('r1' as RunId).length).toBeGreaterThan(0);
  });
});
