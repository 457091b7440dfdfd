import type { EditId, ProjectId, RunId } from '@fieldbook/core';
import type { EditReceipt } from './api.ts';

/** Notes as texts that several people write at once: what the page asks of its worker. */
export interface NotesApi {
  /** Opens the text of a run's notes; `listener` hears of it until `closeNote`. */
  openNote(project: ProjectId, run: RunId, listener: (event: NoteEvent) => void): Promise<OpenedNote>;
  /** What the person typed, as a Yjs update. */
  typeNote(note: number, update: Uint8Array): Promise<void>;
  /** Where the person's cursor is; null: not in the text. */
  pointNote(note: number, cursor: NoteCursor | null): Promise<void>;
  /** Says now what would be said a moment later: the page is about to go. Resolves to whether everything typed is said. */
  publishNote(note: number): Promise<boolean>;
  /** Says what the text says over everything that was said elsewhere, what cannot be placed in it included. */
  settleNote(note: number): Promise<void>;
  closeNote(note: number): Promise<void>;
}

export interface OpenedNote {
  note: number;
  /** The text as a Yjs document, with what was said of it elsewhere. */
  update: Uint8Array;
  state: NoteState;
}

export type NoteEvent =
  | { kind: 'update'; update: Uint8Array }
  /** The text begins anew: a script said something else before anybody typed. */
  | { kind: 'anew'; update: Uint8Array }
  | { kind: 'people'; people: readonly NoteWriter[] }
  | { kind: 'state'; state: NoteState }
  /** The register says now what the text says; `session` is the same for what is undone together. */
  | { kind: 'published'; receipt: EditReceipt; session: string };

export interface NoteState {
  /** Something was typed here that the register does not say yet. */
  typed: boolean;
  /** Longer than an edit can say: others see it in the text only. */
  tooLong: boolean;
  /** Edits made elsewhere on text that has not arrived. */
  waiting: number;
  /** Edits made elsewhere that cannot be placed in the text. */
  stranded: readonly EditId[];
}

/** A place in the text, as Yjs writes relative positions. */
export interface NotePlace {
  type: null;
  tname: string | null;
  item: { client: number; clock: number } | null;
  assoc: number;
}

export interface NoteCursor {
  anchor: NotePlace;
  head: NotePlace;
}

/** Somebody else who has the note open. */
export interface NoteWriter {
  /** Of this visit. */
  client: number;
  name: string;
  cursor: NoteCursor | null;
  /** ms since the epoch when they last typed; 0 when not yet. */
  typed: number;
}
