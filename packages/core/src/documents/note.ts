import type * as Y from 'yjs';

/** Name of the one shared type of a note's document. */
export const NOTE_TEXT = 'text';

/** The text of a note's document. */
export function noteText(doc: Y.Doc): Y.Text {
  return doc.getText(NOTE_TEXT);
}

/** Empties a note: what a purge leaves of it. */
export function clearNote(doc: Y.Doc): void {
  const text = noteText(doc);
  text.delete(0, text.length);
}
