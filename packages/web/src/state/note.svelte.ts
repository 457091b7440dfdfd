import * as Comlink from 'comlink';
import type { ProjectId, RunId } from '@fieldbook/core';
import { noteText } from '@fieldbook/core/documents';
import { diffTexts } from '@fieldbook/core/notes';
import * as Y from 'yjs';
import type { NoteCursor, NoteEvent, NoteState, NoteWriter } from '../worker/notes-api.ts';
import { registerEditor } from '../app/editors.ts';
import { actions } from './actions.svelte.ts';
import { client } from './client.svelte.ts';
import { presence } from './presence.svelte.ts';

const FROM_WORKER = 'worker';

/** A note that is open in this page: its text, who else is in it, and whether the register says it yet. */
export class OpenNote {
  readonly run: RunId;
  /** Null until the worker has answered; another one when the text begins anew. */
  text = $state.raw<Y.Text | null>(null);
  /** What the text says, for who reads it beside. */
  value = $state('');
  state = $state.raw<NoteState>({ typed: false, tooLong: false, waiting: 0, stranded: [] });
  people = $state.raw<readonly NoteWriter[]>([]);
  failure = $state<string | null>(null);
  readonly #project: ProjectId;
  readonly #name: string;
  #note: number | null = null;
  #isClosed = false;
  #undo: Y.UndoManager | null = null;
  /** Typed here since the register was last known to say all of it. */
  #unsaid = 0;
  readonly #unregister = registerEditor({ finish: () => this.publish(), isWriting: () => this.#unsaid > 0 });

  /** `name` is what the run is called, for what can be undone. */
  constructor(project: ProjectId, run: RunId, name: string) {
    this.run = run;
    this.#project = project;
    this.#name = name;
    void this.#open().catch((error: unknown) => {
      this.failure = error instanceof Error ? error.message : String(error);
    });
  }

  /** Undoes what this person typed, and nothing else; outside of the text the last edit is undone. */
  get undoManager(): Y.UndoManager {
    return this.#undo!;
  }

  /** Where the cursor is; null: elsewhere. */
  point(cursor: NoteCursor | null): void {
    if (this.#note !== null) void client.worker.pointNote(this.#note, cursor);
  }

  /** Lets the register say now what the text says. */
  async publish(): Promise<void> {
    if (this.#note === null) return;
    const before = this.#unsaid;
    const isSaid = await client.worker.publishNote(this.#note);
    if (isSaid && this.#unsaid === before) this.#unsaid = 0;
  }

  /** Puts another text in its place, as the person's own change, and settles that it holds. */
  async replace(value: string): Promise<void> {
    const { text } = this;
    if (text?.doc == null || this.#note === null || !(await actions.introduced())) return;
    const hunks = diffTexts(text.toJSON(), value);
    text.doc.transact(() => {
      for (const { at, removed, inserted } of hunks.reverse()) {
        text.delete(at, removed);
        text.insert(at, inserted);
      }
    });
    await this.settle();
  }

  /** What the text says holds over all that was said elsewhere. */
  async settle(): Promise<void> {
    if (this.#note !== null && (await actions.introduced())) await client.worker.settleNote(this.#note);
  }

  close(): void {
    this.#isClosed = true;
    this.#unregister();
    presence.leave(this.run);
    if (this.#note !== null) void client.worker.closeNote(this.#note);
    this.#undo?.destroy();
    this.text?.doc?.destroy();
  }

  async #open(): Promise<void> {
    const listener = Comlink.proxy((event: NoteEvent) => this.#take(event));
    const { note, update, state } = await client.worker.openNote(this.#project, this.run, listener);
    this.#note = note;
    if (this.#isClosed) {
      void client.worker.closeNote(note);
      return;
    }
    this.state = state;
    this.#begin(update);
  }

  #begin(update: Uint8Array): void {
    this.#undo?.destroy();
    this.text?.doc?.destroy();
    const doc = new Y.Doc();
    Y.applyUpdate(doc, update, FROM_WORKER);
    const text = noteText(doc);
    doc.on('update', (typed: Uint8Array, origin: unknown) => {
      this.value = text.toJSON();
      if (origin === FROM_WORKER || this.#note === null) return;
      this.#unsaid++;
      void client.worker.typeNote(this.#note, typed);
    });
    this.value = text.toJSON();
    this.#undo = new Y.UndoManager(text, { trackedOrigins: new Set() });
    this.text = text;
  }

  #take(event: NoteEvent): void {
    if (event.kind === 'published') {
      // What was typed last is said when the note closes.
      actions.wrote(`Wrote the notes of ${this.#name}`, event.receipt, event.session);
      return;
    }
    if (this.#isClosed) return;
    switch (event.kind) {
      case 'update':
        if (this.text?.doc != null) Y.applyUpdate(this.text.doc, event.update, FROM_WORKER);
        return;
      case 'anew':
        this.#begin(event.update);
        return;
      case 'people':
        this.people = event.people;
        presence.arrive(this.run, event.people);
        return;
      case 'state':
        this.state = event.state;
    }
  }
}
