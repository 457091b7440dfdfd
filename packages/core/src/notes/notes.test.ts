import { describe, expect, it } from 'vitest';
import * as encoding from 'lib0/encoding';
import * as Y from 'yjs';
import { Book, noteText } from '../documents/index.ts';
import { foldRun } from '../fold/index.ts';
import { PurgedRuns } from '../ingest/purged-runs.ts';
import type { DocumentName, EditId, ProjectId, RunId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { Edit } from '../record/index.ts';
import { scanUpdate } from '../replica/update-scan.ts';
import {
  BOOK,
  codeOf,
  makeCard,
  makeTestEdit,
  MemoryBlobStore,
  memoryStorage,
  openTestReplica,
  SeededRandom,
} from '../testing/index.ts';
import { adoptNotes, markOf, marked } from './index.ts';

const NOTE = 'note/run-1' as DocumentName;
const run = 'run-1' as RunId;
const project = 'mnist' as ProjectId;
const random = new SeededRandom(31);

function said(value: string | null, base: readonly Edit[] = [], mark?: Uint8Array | null): Edit {
  const extra = mark === undefined ? {} : marked(mark);
  return makeTestEdit({ field: 'notes', value, base: base.map(({ id }) => id), extra });
}

function documentWith(change: (text: Y.Text) => void, from?: Y.Doc): Y.Doc {
  const doc = new Y.Doc();
  if (from !== undefined) Y.applyUpdate(doc, Y.encodeStateAsUpdate(from));
  change(noteText(doc));
  return doc;
}

const textOf = (doc: Y.Doc): string => noteText(doc).toJSON();

describe('what a note takes in', () => {
  it('[NOTE-2] begins with what the script said, the same on two machines that never met', () => {
    const [here, there] = [new Y.Doc(), new Y.Doc()];
    for (const doc of [here, there]) adoptNotes(doc, { scripted: 'as planned', edits: [] });
    expect(textOf(here)).toBe('as planned');
    noteText(here).insert(10, ', here');
    noteText(there).insert(0, 'there ');
    Y.applyUpdate(here, Y.encodeStateAsUpdate(there));
    expect(textOf(here)).toBe('there as planned, here');
  });

  it('[NOTE-1] takes an edit of the command line as the difference to what its author saw, under what others typed meanwhile', () => {
    const first = said('lr is too high');
    const doc = new Y.Doc();
    adoptNotes(doc, { scripted: '', edits: [first] });
    const apart = documentWith((text) => text.insert(text.length, '!'), doc);
    const published = said(textOf(apart), [first], markOf(apart));
    // Meanwhile somebody types, and deletes what the edit builds on.
    noteText(doc).delete(0, 3);
    noteText(doc).insert(0, 'The rate ');
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(apart));
    const elsewhere = said('lr is far too high! See #12', [published]);
    const { waiting, stranded } = adoptNotes(doc, { scripted: '', edits: [elsewhere, published, first] });
    expect([waiting, stranded]).toEqual([[], []]);
    expect(textOf(doc)).toBe('The rate is far too high! See #12');
  });

  it('[NOTE-5] an edit of the text changes no text, and is no conflict with another one', () => {
    const doc = documentWith((text) => text.insert(0, 'one'));
    const first = said('one', [], markOf(doc));
    const second = said('one two', [], markOf(documentWith((text) => text.insert(3, ' two'), doc)));
    expect(adoptNotes(doc, { scripted: '', edits: [first, second] }).updates).toEqual([]);
    const state = foldRun(run, project, [makeCard()], [first, second]);
    expect([state.notes, state.conflicts, state.heads.notes]).toEqual(['one two', [], [second.id, first.id]]);
    const third = said('three', []);
    expect(foldRun(run, project, [makeCard()], [first, second, third]).conflicts).toHaveLength(1);
  });

  it('[NOTE-6] waits for text and edits that have not arrived, and names what cannot be placed', () => {
    const there = documentWith((text) => text.insert(0, 'typed there'));
    const published = said('typed there', [], markOf(there));
    const onIt = said('typed there, and here', [published]);
    const doc = new Y.Doc();
    expect(adoptNotes(doc, { scripted: '', edits: [published, onIt] }).waiting).toEqual([published.id, onIt.id]);
    expect(adoptNotes(doc, { scripted: '', edits: [onIt] }).waiting).toEqual([onIt.id]);
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(there));
    expect(adoptNotes(doc, { scripted: '', edits: [published, onIt] }).waiting).toEqual([]);
    expect(textOf(doc)).toBe('typed there, and here');
    const unmarked = said('long', [], null);
    const after = said('longer', [unmarked]);
    expect(adoptNotes(doc, { scripted: '', edits: [unmarked, after] }).stranded).toEqual([after.id]);
    const forged = said('x', [], new Uint8Array([255, 255, 255]));
    const onForged = said('y', [forged]);
    expect(adoptNotes(doc, { scripted: '', edits: [forged, onForged] }).stranded).toEqual([onForged.id]);
    const [a, b] = [said('a'), said('b')];
    const circle = [
      { ...a, base: [b.id] },
      { ...b, base: [a.id as EditId] },
    ];
    expect(adoptNotes(new Y.Doc(), { scripted: '', edits: circle }).stranded).toHaveLength(2);
  });

  it('[NOTE-1] a long history of edits is taken in within its limits', () => {
    const edits: Edit[] = [];
    let value = '';
    for (let index = 0; index < 500; index++) {
      value += `line ${index}\n`;
      edits.push(said(value, edits.slice(-1)));
    }
    const doc = new Y.Doc();
    adoptNotes(doc, { scripted: '', edits });
    expect(textOf(doc)).toBe(value);
    expect(Y.encodeStateAsUpdate(doc).length).toBeLessThan(20_000);
  });
});

describe('the document of a note', () => {
  const updateOf = (change: (doc: Y.Doc) => void): Uint8Array => {
    const doc = new Y.Doc();
    change(doc);
    return Y.encodeStateAsUpdate(doc);
  };

  it('[NOTE-3] holds text that was typed and deleted, and gives it back', async () => {
    const replica = await openTestReplica(await memoryStorage());
    const doc = documentWith((text) => (text.insert(0, 'größe 🙂 漢'), text.delete(2, 3), text.insert(0, '\uFEFFa')));
    await replica.apply(NOTE, Y.encodeStateAsUpdate(doc), 'peer');
    expect(await replica.read(NOTE, textOf)).toBe(textOf(doc));
    await replica.close();
  });

  it.each([
    ['a record', (doc: Y.Doc) => doc.getMap('text').set('a', new Uint8Array(1))],
    ['a record of its own map', (doc: Y.Doc) => doc.getMap('edits').set('a', new Uint8Array(1))],
    ['another text', (doc: Y.Doc) => doc.getText('other').insert(0, 'a')],
    ['a format', (doc: Y.Doc) => doc.getText('text').insert(0, 'a', { bold: true })],
    ['an embed', (doc: Y.Doc) => doc.getText('text').insertEmbed(0, { image: 'x' })],
    ['a type', (doc: Y.Doc) => doc.getArray('text').insert(0, [new Y.Map()])],
    ['bytes', (doc: Y.Doc) => doc.getArray('text').insert(0, [new Uint8Array(1)])],
    ['an element', (doc: Y.Doc) => doc.getXmlFragment('text').insert(0, [new Y.XmlText('a')])],
  ] as [string, (doc: Y.Doc) => void][])('[NOTE-3] holds no %s', async (_what, change) => {
    const replica = await openTestReplica(await memoryStorage());
    expect(await codeOf(replica.apply(NOTE, updateOf(change), 'mallory'))).toBe('update_forbidden_content');
    expect(await replica.info(NOTE)).toBeUndefined();
    await replica.close();
  });

  it('[NOTE-3] holds no text in other documents, none beyond its limit, and nothing that Yjs would read otherwise', async () => {
    const replica = await openTestReplica(await memoryStorage());
    const text = updateOf((doc) => doc.getText('text').insert(0, 'a'));
    for (const name of [BOOK, 'run/run-1', 'workspace'] as DocumentName[])
      expect(await codeOf(replica.apply(name, text, 'mallory'))).toBe('update_forbidden_content');
    const half = 'x'.repeat(LIMITS.noteDocumentBytes / 2);
    await replica.apply(
      NOTE,
      updateOf((doc) => doc.getText('text').insert(0, half)),
      'peer',
    );
    const more = updateOf((doc) => doc.getText('text').insert(0, half));
    expect(await codeOf(replica.apply(NOTE, more, 'mallory'))).toBe('update_too_large');
    const forged = (content: (encoder: encoding.Encoder) => void): Uint8Array => {
      const encoder = encoding.createEncoder();
      for (const number of [1, 1, 9, 0, 4, 1]) encoding.writeVarUint(encoder, number);
      encoding.writeVarString(encoder, 'text');
      content(encoder);
      encoding.writeVarUint(encoder, 0);
      return encoding.toUint8Array(encoder);
    };
    const broken = [
      (e: encoding.Encoder) => encoding.writeVarString(e, ''),
      (e: encoding.Encoder) => encoding.writeVarUint8Array(e, new Uint8Array([0xc3])),
    ];
    for (const content of broken)
      expect(await codeOf(replica.apply(NOTE, forged(content), 'mallory'))).toBe('update_malformed');
    await replica.close();
  });

  it('[ADM-8] a text scanned without Yjs holds what Yjs says it holds', () => {
    for (let round = 0; round < 200; round++) {
      const doc = new Y.Doc();
      const cut = random.int(12);
      let vector = Y.encodeStateVector(doc);
      for (let step = 0; step < 15; step++) {
        if (step === cut) vector = Y.encodeStateVector(doc);
        const text = noteText(doc);
        const at = random.int(text.length + 1);
        if (random.chance(0.3)) text.delete(at, Math.min(3, text.length - at));
        else text.insert(at, random.pick(['a', 'größe', '🙂', '\uFEFF', '漢字\n']));
        if (random.chance(0.3)) doc.clientID = 1 + random.uint32();
      }
      const update = Y.encodeStateAsUpdate(doc, vector);
      const scan = scanUpdate(update, { structs: 1_000, keyBytes: 100, holds: 'text' });
      const meta = Y.parseUpdateMeta(update);
      const spans = [...scan.spans].map(([client, { start, end }]) => [client, start, end]);
      expect(spans).toEqual([...meta.to].map(([client, end]) => [client, meta.from.get(client), end]));
      expect(scan.structs).toBe(Y.decodeUpdate(update).structs.length);
    }
  });

  it('[NOTE-7] a purge empties it, and what comes late', async () => {
    const replica = await openTestReplica(await memoryStorage());
    const doc = documentWith((text) => text.insert(0, 'a secret'));
    await replica.apply(NOTE, Y.encodeStateAsUpdate(doc), 'peer');
    const purged = new PurgedRuns(replica, new MemoryBlobStore());
    await replica.transact(BOOK, (book) => {
      new Book(book).putCard(makeCard({ run, project }));
      new Book(book).addEdit(makeTestEdit({ run, field: 'purge', value: true }));
    });
    await purged.has(run, project);
    await purged.settled();
    expect(await replica.read(NOTE, textOf)).toBe('');
    expect(new TextDecoder().decode((await replica.encodeState(NOTE)).update)).not.toContain('secret');
    noteText(doc).insert(0, 'late ');
    await replica.apply(NOTE, Y.encodeStateAsUpdate(doc), 'peer');
    await purged.settled();
    expect(await replica.read(NOTE, textOf)).toBe('');
    await purged.close();
    await replica.close();
  });
});
