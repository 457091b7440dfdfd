import * as Y from 'yjs';
import type { Edit } from '../record/index.ts';

/** Field of an edit's record that holds its mark. */
const MARK = 't';
/** What an edit of the longest text has room for beside it. */
const MARK_BYTES = 6 * 1024;

/**
 * Which characters a text consists of: for each client how far it is known, and what of that is deleted. Of two replicas
 * that have all of it, both see the same characters in the same order, whatever else they have.
 */
export type TextState = Y.Snapshot;

/** The state of a note's document now, for an edit that says its text: null when it would not fit into one. */
export function markOf(doc: Y.Doc): Uint8Array | null {
  const mark = Y.encodeSnapshot(Y.snapshot(doc));
  return mark.length > MARK_BYTES ? null : mark;
}

/** The further fields of an edit that says what a note's text was: it is of the text, and the text need not take it in. */
export function marked(mark: Uint8Array | null): Edit['extra'] {
  return { [MARK]: mark ?? new Uint8Array() };
}

/** True for an edit that was made by writing in the text. */
export function isOfText(edit: Pick<Edit, 'field' | 'extra'>): boolean {
  return edit.field === 'notes' && edit.extra[MARK] instanceof Uint8Array;
}

/** The state of the text that an edit says; undefined for an edit without one, or with one that cannot be read. */
export function stateOf(edit: Pick<Edit, 'field' | 'extra'>): TextState | undefined {
  const mark = edit.extra[MARK];
  if (!isOfText(edit) || !(mark instanceof Uint8Array) || mark.length === 0) return undefined;
  try {
    const { ds, sv } = Y.decodeSnapshot(mark);
    // Merging sorts: bytes of others may be in any order.
    return Y.createSnapshot(Y.mergeDeleteSets([ds]), sv);
  } catch {
    return undefined;
  }
}
