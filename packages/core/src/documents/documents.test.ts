import { describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import type { BookMonth, DeviceId, ProjectId, WriterId } from '../ids.ts';
import type { SegmentEntry, TailEntry, WriterEntry } from '../record/index.ts';
import { cardKey, decodeCard, decodeEdit, encodeRecord } from '../record/index.ts';
import type { BlobDigest } from '../ports.ts';
import { makeCard, makeTestEdit, testEditId, testHlc } from '../testing/index.ts';
import { Book } from './book.ts';
import { RunDocument } from './run-document.ts';
import { Workspace } from './workspace.ts';

const writer = '01kf0000000000000000000000' as WriterId;
const device = 'd000000000000000000000000' as DeviceId;
const mnist = 'mnist' as ProjectId;
const november = '2026-11' as BookMonth;

describe('documents', () => {
  it('[DOC-1] a book gives back its cards and edits and leaves an edit that is there alone', () => {
    const doc = new Y.Doc();
    const book = new Book(doc);
    const changes: { cards: string[]; edits: string[] }[] = [];
    const stop = book.observe(({ cards, edits }) => changes.push({ cards: [...cards], edits: [...edits] }));
    const card = makeCard({ name: 'one' });
    const edit = makeTestEdit();
    doc.transact(() => {
      book.putCard(card);
      book.addEdit(edit);
    });
    expect(decodeCard(book.card(cardKey(card))!)).toEqual(card);
    expect(decodeEdit(book.edit(edit.id)!)).toEqual(edit);
    book.addEdit({ ...edit, value: 'forged' });
    expect(decodeEdit(book.edit(edit.id)!)).toEqual(edit);
    book.putCard({ ...card, name: 'two' });
    expect(changes).toEqual([
      { cards: [cardKey(card)], edits: [edit.id] },
      { cards: [cardKey(card)], edits: [] },
    ]);
    stop();
    book.putCard(card);
    expect(changes).toHaveLength(2);
    expect([...book.cards()].length + [...book.edits()].length).toBe(2);
  });

  it('[DOC-3] a book says which records changed since a state vector: written, rewritten, by anybody, or gone', () => {
    const doc = new Y.Doc();
    const book = new Book(doc);
    const card = (n: number) => makeCard({ writer: `01kf000000000000000000000${n}` as WriterId });
    for (let n = 0; n < 4; n++) book.putCard(card(n));
    const old = makeTestEdit();
    book.addEdit(old);
    const then = Y.encodeStateVector(doc);
    const changed = (): string[] => [...book.changedSince(then)].map(({ key }) => key).sort();
    expect(changed()).toEqual([]);
    expect([...book.changedSince(null)]).toHaveLength(5);
    const other = new Y.Doc();
    Y.applyUpdate(other, Y.encodeStateAsUpdate(doc));
    new Book(other).putCard({ ...card(1), name: 'by another' });
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(other, then));
    book.putCard({ ...card(2), name: 'again' });
    doc.getMap('cards').delete(cardKey(card(3)));
    const fresh = makeTestEdit({ id: testEditId(9) });
    book.addEdit(fresh);
    expect(changed()).toEqual([cardKey(card(1)), cardKey(card(2)), cardKey(card(3)), fresh.id].sort());
  });

  it('[DOC-1] a run document keeps segments, tails and writers apart and skips what it cannot read', () => {
    const doc = new Y.Doc();
    const run = new RunDocument(doc);
    const head = { writer, device, extra: {} };
    const segment: SegmentEntry = {
      kind: 'segment',
      ...head,
      first: 1,
      last: 9,
      digest: 'cd'.repeat(32) as BlobDigest,
      size: 7,
      points: 9,
      startTime: 0,
      endTime: 1,
      levels: [],
    };
    const tail: TailEntry = {
      kind: 'tail',
      ...head,
      first: 10,
      last: 10,
      names: ['loss'],
      metric: new Uint16Array([0]),
      step: new Float64Array([1]),
      value: new Float64Array([0.5]),
      time: new Float64Array([3]),
      ordinal: new Float64Array([10]),
    };
    const said: WriterEntry = {
      kind: 'writer',
      ...head,
      ordinal: 10,
      attributes: {},
      environment: {},
      exitCode: null,
      traceback: null,
      dropped: 0,
      signal: null,
      reason: null,
      damage: null,
      system: new Map(),
    };
    run.putSegment(segment);
    run.putTail(tail, 3);
    run.putWriter(said);
    doc.getMap('entries').set('comet/x', encodeRecord({ k: 'comet' }));
    doc.getMap('entries').set('segment/broken', new Uint8Array([1, 99]));
    expect([...run.segments()]).toEqual([segment]);
    expect([...run.tails()]).toEqual([tail]);
    expect([...run.writers()]).toEqual([said]);
    expect([...run.entries()]).toHaveLength(3);
    run.remove(`tail/${writer}/${device}/3`);
    expect([...run.tails()]).toEqual([]);
    run.clear();
    expect([...run.entries()]).toEqual([]);
  });

  it('[DOC-2] the workspace lists a book once under the title typed first', () => {
    const here = new Y.Doc();
    const there = new Y.Doc();
    const workspace = new Workspace(here);
    expect(workspace.ensureBook(mnist, november, 'MNIST', 5)).toBe('book/mnist/2026-11');
    workspace.ensureBook(mnist, november, 'Mnist again', 6);
    new Workspace(there).ensureBook(mnist, '2026-10' as BookMonth, 'mnist', 4);
    Y.applyUpdate(here, Y.encodeStateAsUpdate(there));
    here.getMap('books').set('not a book', encodeRecord({ k: 'book', t: 'x', c: 1 }));
    expect(workspace.books().map((book) => [book.document, book.title])).toEqual([
      ['book/mnist/2026-10', 'mnist'],
      ['book/mnist/2026-11', 'MNIST'],
    ]);
    const self = {
      kind: 'device',
      device,
      role: 'agent',
      name: 'gpu-1',
      publicKey: new Uint8Array(32),
      created: 1,
      extra: {},
    } as const;
    workspace.putDevice(self);
    const vector = Y.encodeStateVector(here);
    workspace.putDevice(self);
    expect(Y.encodeStateVector(here)).toEqual(vector);
    expect(workspace.devices()).toEqual([self]);
    expect(workspace.name()).toBeNull();
    const named = { kind: 'workspace-name', by: 'ada', device, extra: {} } as const;
    workspace.setName('a', { ...named, name: 'later', at: testHlc(2) });
    workspace.setName('b', { ...named, name: 'earlier', at: testHlc(1) });
    expect(workspace.name()).toBe('later');
  });
});
