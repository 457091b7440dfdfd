import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import * as encoding from 'lib0/encoding';
import { Book, Workspace } from '../documents/index.ts';
import type { BookMonth, DocumentName, ProjectId, RunId } from '../ids.ts';
import { WORKSPACE_DOCUMENT } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { Entry } from '../record/index.ts';
import {
  cardKey,
  encodeCard,
  encodeDirectoryRecord,
  encodeEdit,
  encodeEntry,
  encodeRecord,
  linkId,
} from '../record/index.ts';
import type { FaultStorage } from '../testing/index.ts';
import {
  makeCard,
  makeTestEdit,
  SeededRandom,
  testDevice,
  testEditId,
  testHlc,
  BOOK,
  RUN,
  openTestReplica as open,
  editsOf as edits,
  addEdit,
  clientIdsOf,
  codeOf,
  memoryStorage,
} from '../testing/index.ts';
import { splitUpdate } from '../replication/split.ts';
import type { Replica } from './replica.ts';
import { scanUpdate } from './update-scan.ts';

const random = new SeededRandom(98);

/** An update that a peer might send: what `change` does to a document that already holds `base`. */
function updateOf(change: (doc: Y.Doc) => void, base?: Uint8Array): Uint8Array {
  const doc = new Y.Doc();
  if (base !== undefined) Y.applyUpdate(doc, base);
  const vector = Y.encodeStateVector(doc);
  doc.transact(() => change(doc));
  return Y.encodeStateAsUpdate(doc, vector);
}

describe('entries of a run', () => {
  const head = { writer: '01kf0000000000000000000000', device: 'd000000000000000000000000', extra: {} };
  const place = `${head.writer}/${head.device}`;
  const digest = 'ab'.repeat(32);
  const file = { path: 'a', size: 1, time: 1, modified: null, mime: null, meta: null, travel: null, chunks: null };
  const rest = { spool: null, expected: null, source: null, failure: null };
  const range = { first: 3, last: 4 };
  const row = {
    path: 'a',
    step: 0,
    time: 1,
    kind: 'text',
    text: 'x',
    digest: '',
    size: 0,
    mime: '',
    name: '',
    meta: '',
  };
  const kinds = [
    [
      `file/${place}/3`,
      { kind: 'file', ...head, ...file, ...rest, ordinal: 3, place: null, name: 'a', fileKind: 'file', digest },
    ],
    [
      `file/${place}/3.1`,
      { kind: 'file', ...head, ...file, ...rest, ordinal: 3, place: 1, name: '', fileKind: 'removed', digest: null },
    ],
    [
      `objects/${place}/3`,
      {
        kind: 'objects',
        ...head,
        ...range,
        digest,
        size: 1,
        rows: 1,
        startTime: 1,
        endTime: 1,
        paths: [],
        files: [digest],
      },
    ],
    [`objecttail/${place}/0`, { kind: 'objecttail', ...head, ...range, rows: [{ ...row, ordinal: 3, part: 0 }] }],
    [`capture/${place}/git`, { kind: 'capture', ...head, ordinal: 3, section: 'git', data: '{}' }],
  ] as unknown as [key: string, entry: Entry][];

  it.each(kinds)('[ADM-1] takes %s under its own key only, and lets it go', async (key, entry) => {
    const replica = await open(await memoryStorage());
    const bytes = encodeEntry(entry);
    const put = (at: string, value = bytes): Uint8Array => updateOf((doc) => doc.getMap('entries').set(at, value));
    const foreign = [`${key}0/1`, `segment/${place}/3`, key.replace(head.device, 'd000000000000000000000009')];
    for (const other of foreign.filter((other) => !(other.startsWith('objecttail') && other.endsWith('/1')))) {
      expect(await codeOf(replica.apply(RUN, put(other), 'mallory')), other).toBe('update_forbidden_content');
    }
    expect(await codeOf(replica.apply(RUN, put(key, bytes.slice(0, -1)), 'mallory'))).toBe('record_malformed');
    const good = put(key);
    await replica.apply(RUN, good, 'peer');
    await replica.apply(
      RUN,
      updateOf((doc) => doc.getMap('entries').delete(key), good),
      'peer',
    );
    expect(await replica.read(RUN, (doc) => doc.getMap('entries').size)).toBe(0);
  });
});

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

  it('[VIEW-2] takes in views and links, under names that older replicas let through, and lets nobody change them', async () => {
    const { replica } = await seeded();
    const at = testHlc(1, 0);
    const view = encodeDirectoryRecord({
      kind: 'view',
      view: testEditId(1),
      project: 'mnist' as ProjectId,
      name: 'mine',
      search: '?q=a',
      removed: null,
      usual: null,
      by: 'ada',
      device: testDevice(random),
      at,
      extra: {},
    });
    const other = encodeDirectoryRecord({ kind: 'link', target: '/p/other', extra: {} });
    const made = updateOf((doc) => {
      doc.getMap('x-views').set(testEditId(2), view);
      new Workspace(doc).addLink('/p/mnist');
    });
    expect(await codeOf(replica.apply(WORKSPACE_DOCUMENT, made, 'peer'))).toBeUndefined();
    const refused = async (change: (doc: Y.Doc) => void): Promise<string | undefined> =>
      codeOf(replica.apply(WORKSPACE_DOCUMENT, updateOf(change, made), 'peer'));
    expect(await refused((doc) => doc.getMap('x-views').set(testEditId(2), other))).toBe('record_immutable');
    expect(await refused((doc) => doc.getMap('x-views').delete(testEditId(2)))).toBe('record_immutable');
    expect(await refused((doc) => doc.getMap('x-links').delete(linkId('/p/mnist')))).toBe('record_immutable');
    expect(await refused((doc) => doc.getMap('x-links').set('000000000000', other))).toBe('update_forbidden_content');
    expect(await refused((doc) => doc.getMap('x-views').set(testEditId(3), other))).toBe('update_forbidden_content');
    // The same address kept by two people at once is one record, and no conflict.
    const again = updateOf((doc) => void new Workspace(doc).addLink('/p/mnist'));
    expect(await codeOf(replica.apply(WORKSPACE_DOCUMENT, again, 'peer'))).toBeUndefined();
    expect(await replica.read(WORKSPACE_DOCUMENT, (doc) => new Workspace(doc).link(linkId('/p/mnist')))).toBe(
      '/p/mnist',
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

  it('[ADM-1] refuses the deletion of a card and of a directory line, and lets a manifest entry go', async () => {
    const { replica, base } = await seeded();
    const gone = updateOf((doc) => doc.getMap('cards').delete(cardKey(card)), base);
    expect(await codeOf(replica.apply(BOOK, gone, 'mallory'))).toBe('record_immutable');
    const workspace = 'workspace' as DocumentName;
    const listed = updateOf((doc) =>
      new Workspace(doc).ensureBook('mnist' as ProjectId, '2026-11' as BookMonth, 'x', 1),
    );
    await replica.apply(workspace, listed, 'peer');
    const unlisted = updateOf((doc) => doc.getMap('books').delete('mnist/2026-11'), listed);
    expect(await codeOf(replica.apply(workspace, unlisted, 'mallory'))).toBe('record_immutable');
    const astray = updateOf((doc) =>
      doc.getMap('books').set('../etc', encodeDirectoryRecord({ kind: 'book', title: 'x', created: 1, extra: {} })),
    );
    expect(await codeOf(replica.apply(workspace, astray, 'mallory'))).toBe('update_forbidden_content');
    const entry = updateOf((doc) => doc.getMap('entries').set('x', encodeRecord({ k: 'x' })));
    await replica.apply(RUN, entry, 'peer');
    await replica.apply(
      RUN,
      updateOf((doc) => doc.getMap('entries').delete('x'), entry),
      'peer',
    );
    expect(await replica.read(RUN, (doc) => doc.getMap('entries').size)).toBe(0);
  });

  it("[ADM-2] refuses content that its length or clock would put out of everybody's reach", async () => {
    const { replica } = await seeded();
    const [victim] = await clientIdsOf(replica);
    const clock = await replica.read(BOOK, (doc) => Y.getState(doc.store, victim!));
    for (const length of [0, 2 ** 41, Number.MAX_SAFE_INTEGER]) {
      const bytes = encoding.encode((encoder) => {
        for (const value of [1, 1, victim!, clock]) encoding.writeVarUint(encoder, value);
        encoding.writeUint8(encoder, 1 | 32); // deleted content with a key
        encoding.writeVarUint(encoder, 1);
        encoding.writeVarString(encoder, 'cards');
        encoding.writeVarString(encoder, 'x');
        encoding.writeVarUint(encoder, length);
        encoding.writeVarUint(encoder, 0);
      });
      expect(await codeOf(replica.apply(BOOK, bytes, 'mallory'))).toBe('update_malformed');
    }
  });

  it('[ADM-3] takes a large state in parts, records that were overwritten since included', async () => {
    const doc = new Y.Doc();
    for (let round = 0; round < 4; round++) {
      doc.transact(() => {
        for (let index = 0; index < 50; index++) {
          const run = `run-${index}` as RunId;
          new Book(doc).putCard(makeCard({ run, ordinal: round + 1, notes: 'n'.repeat(500) }));
          new Book(doc).addEdit(makeTestEdit({ run }));
        }
      });
    }
    const parts = splitUpdate(Y.encodeStateAsUpdate(doc), 5_000);
    expect(parts.length).toBeGreaterThan(5);
    const replica = await open(await memoryStorage());
    for (const part of parts) expect(await codeOf(replica.apply(BOOK, part, 'peer'))).toBeUndefined();
    const { update } = await replica.encodeState(BOOK);
    const copy = new Y.Doc();
    Y.applyUpdate(copy, update);
    expect(recordsOf(copy)).toEqual(recordsOf(doc));
  });

  it('[ADM-7] a missing predecessor is noticed before anything is touched', async () => {
    const { replica, storage, base } = await seeded();
    const other = new Y.Doc();
    Y.applyUpdate(other, base);
    new Book(other).putCard({ ...card, ordinal: 2 });
    const third = new Y.Doc();
    Y.applyUpdate(third, Y.encodeStateAsUpdate(other));
    const vector = Y.encodeStateVector(third);
    new Book(third).putCard({ ...card, ordinal: 3 });
    const built = Y.encodeStateAsUpdate(third, vector);
    const loads = storage.reads;
    for (let attempt = 0; attempt < 20; attempt++) {
      expect(await codeOf(replica.apply(BOOK, built, 'peer'))).toBe('missing_dependency');
    }
    expect(storage.reads).toBe(loads);
    expect(await codeOf(replica.apply(BOOK, Y.encodeStateAsUpdate(third), 'peer'))).toBeUndefined();
  });

  it('[ADM-6] decides on any bytes in time and memory that follow their number', async () => {
    const { replica } = await seeded();
    const size = LIMITS.updateBytes;
    const hostile = {
      structs: encoding.encode((encoder) => {
        for (const value of [1, 4_000_000_000, 7, 0]) encoding.writeVarUint(encoder, value);
        encoding.writeUint8Array(encoder, new Uint8Array(size - 100).fill(1));
      }),
      clients: new Uint8Array(size).fill(127),
      deletes: encoding.encode((encoder) => {
        for (const value of [0, 1, 7, 2_000_000_000]) encoding.writeVarUint(encoder, value);
        encoding.writeUint8Array(encoder, new Uint8Array(size - 100).fill(1));
      }),
    };
    for (const [name, bytes] of Object.entries(hostile)) {
      const began = performance.now();
      expect(await codeOf(replica.apply(BOOK, bytes, name))).toMatch(/^(update_|missing_)/);
      expect(performance.now() - began).toBeLessThan(2_000);
    }
  });

  it('[ADM-8] an update scanned without Yjs holds what Yjs says it holds', () => {
    const storm = new SeededRandom(7);
    for (let round = 0; round < 100; round++) {
      const doc = new Y.Doc();
      const cut = storm.int(12);
      let vector = Y.encodeStateVector(doc);
      for (let step = 0; step < 15; step++) {
        if (step === cut) vector = Y.encodeStateVector(doc);
        const map = doc.getMap(storm.pick(['cards', 'größe']));
        if (storm.chance(0.2)) map.delete(`k${storm.int(4)}`);
        else map.set(`k${storm.int(4)}`, storm.bytes(storm.int(300)));
        if (storm.chance(0.3)) doc.clientID = 1 + storm.uint32();
      }
      const update = Y.encodeStateAsUpdate(doc, vector);
      const scan = scanUpdate(update, { structs: 1_000, keyBytes: 100 });
      const meta = Y.parseUpdateMeta(update);
      const spans = [...scan.spans].map(([client, { start, end }]) => [client, start, end]);
      expect(spans).toEqual([...meta.to].map(([client, end]) => [client, meta.from.get(client), end]));
      expect(scan.structs).toBe(Y.decodeUpdate(update).structs.length);
    }
  });
});

function recordsOf(doc: Y.Doc): unknown {
  return ['cards', 'edits'].map((map) => [...doc.getMap(map).entries()].sort(([a], [b]) => (a < b ? -1 : 1)));
}
