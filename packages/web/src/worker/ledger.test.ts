import type { DocumentName, EditId, ProjectId, RunId } from '@fieldbook/core';
import { describe, expect, it } from 'vitest';
import { Ledger } from './ledger.ts';

const book = 'book/mnist/2026-11' as DocumentName;
const other = 'book/mnist/2026-10' as DocumentName;
const project = 'mnist' as ProjectId;
const edit = (id: string, document = book) => ({ id: id as EditId, run: `run-${id}` as RunId, project, document });

describe('the ledger of unacknowledged edits', () => {
  it('[WEB-1] counts an edit as saved only when the frame that carried it is acknowledged', () => {
    const ledger = new Ledger();
    ledger.connected(book);
    ledger.add([edit('a')]);
    ledger.sent(book, 1);
    ledger.add([edit('b')]);
    ledger.sent(book, 2);
    expect(ledger.acked(book, 1).map(({ id }) => id)).toEqual(['a']);
    expect(ledger.has('b' as EditId)).toBe(true);
    expect(ledger.countOf(project)).toBe(1);
    expect(ledger.acked(book, 2).map(({ id }) => id)).toEqual(['b']);
    expect(ledger.size).toBe(0);
  });

  it('[WEB-1] does not take an edit of another tab for sent by its own frames, until a connection begins anew', () => {
    const ledger = new Ledger();
    ledger.connected(book);
    ledger.addForeign([edit('a')]);
    ledger.add([edit('b')]);
    ledger.sent(book, 1);
    expect(ledger.acked(book, 1).map(({ id }) => id)).toEqual(['b']);
    ledger.connected(book);
    ledger.sent(book, 1);
    expect(ledger.acked(book, 1).map(({ id }) => id)).toEqual(['a']);
    expect(ledger.size).toBe(0);
  });

  it('[WEB-1] takes an acknowledgement for nothing that was never sent', () => {
    const ledger = new Ledger();
    ledger.add([edit('a')]);
    expect(ledger.acked(book, 7)).toEqual([]);
    expect(ledger.size).toBe(1);
  });

  it('[WEB-1] starts again with each connection, and one document says nothing about another', () => {
    const ledger = new Ledger();
    ledger.add([edit('a'), edit('c', other)]);
    ledger.sent(book, 5);
    ledger.connected(book);
    expect(ledger.acked(book, 5)).toEqual([]);
    ledger.sent(book, 1);
    expect(ledger.acked(other, 1)).toEqual([]);
    expect(ledger.acked(book, 1).map(({ id }) => id)).toEqual(['a']);
    expect(ledger.hasRun('run-c' as RunId)).toBe(true);
    expect(ledger.hasRun('run-a' as RunId)).toBe(false);
  });
});
