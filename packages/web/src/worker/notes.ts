import type { DocumentName, EditId, ProjectId, RunId } from '@fieldbook/core';
import { LIMITS, noteDocumentName, utf8Length } from '@fieldbook/core';
import { noteText } from '@fieldbook/core/documents';
import { adoptNotes, isOfText, markOf } from '@fieldbook/core/notes';
import * as Y from 'yjs';
import type { Editor } from './edits.ts';
import type { Keep } from './keep.ts';
import { readCursor, readPeople } from './note-people.ts';
import type { NoteCursor, NoteEvent, NotesApi, NoteState, OpenedNote } from './notes-api.ts';
import type { Owed } from './owed-notes.ts';
import { OWED, owedNotes } from './owed-notes.ts';
import type { Project } from './project.ts';
import type { Shelf, Shelved } from './shelf.ts';

/** The register follows the text when the keys rest, and at the latest after a while: a history of sentences, not of letters. */
const REST_MS = 4_000;
const LATEST_MS = 60_000;
/** After a merge one of those who wrote says what came of it: the last first, the others if that one is gone, readers last. */
const MERGE_MS = { last: 1_500, other: 10_000, reader: 25_000 };
/** Edits of one sitting are undone together. */
const SITTING_MS = 10 * 60_000;
/** How long a text that nobody looks at may take to arrive before what it says is merged without. */
const SYNC_MS = 15_000;

const ORIGIN = { page: 'page', shelf: 'shelf', adopted: 'adopted' } as const;

export interface NotesContext {
  shelf: Shelf;
  editor: Editor;
  keep: Keep;
  project: (id: ProjectId) => Project | undefined;
  isOnline: () => boolean;
  /** Whether the server is known to take what this browser writes. */
  mayWrite: () => boolean;
  /** This browser as an author. */
  device: string;
  /** How many notes are not saved changed. */
  onChange: () => void;
  /** What is owed could not be kept. */
  onProblem: (error: unknown) => void;
}

interface OpenNote {
  project: ProjectId;
  run: RunId;
  shelved: Shelved;
  /** The document with what was taken in; that leaves this browser with the first key. */
  draft: Y.Doc;
  withheld: Uint8Array[];
  waiting: readonly EditId[];
  stranded: readonly EditId[];
  listeners: Map<number, (event: NoteEvent) => void>;
  told: string;
  timer: ReturnType<typeof setTimeout> | undefined;
  typedSince: number;
  typedAt: number;
  sitting: { name: string; last: number };
  stop: () => void;
}

/** The texts of notes that are open in this tab, and the saying of what they say: as edits of their registers. */
export class Notes implements NotesApi {
  readonly #context: NotesContext;
  readonly #open = new Map<RunId, OpenNote>();
  readonly #opening = new Map<RunId, Promise<OpenNote>>();
  readonly #notes = new Map<number, RunId>();
  readonly #owed = new Map<RunId, Owed>();
  /** The last frame of this connection that carried something of a document. */
  readonly #sent = new Map<DocumentName, number>();
  readonly #merges = new Map<RunId, ReturnType<typeof setTimeout>>();
  #next = 1;

  constructor(context: NotesContext) {
    this.#context = context;
  }

  /** Notes with something typed here that is not saved elsewhere. */
  get unsaved(): number {
    return this.#owed.size;
  }

  /** Says and sends what an earlier tab of this browser was closed over. */
  async resume(): Promise<void> {
    const left = await owedNotes(this.#context.keep);
    for (const [run, owed] of left) this.#owed.set(run, owed);
    if (left.length > 0) this.#context.onChange();
    for (const [run, { project, unsaid }] of left)
      void this.#within(project, run, (note) => (unsaid ? this.#publish(note) : Promise.resolve())).catch(
        () => undefined,
      );
  }

  /** Writes what is owed once more, after the browser has cleared it or had no room for it. */
  async keepAgain(): Promise<void> {
    if (this.#owed.size === 0) return;
    await this.#context.keep.update<[RunId, Owed][]>(OWED, (left) => [
      ...(left ?? []).filter(([run]) => !this.#owed.has(run)),
      ...this.#owed,
    ]);
  }

  async openNote(project: ProjectId, run: RunId, listener: (event: NoteEvent) => void): Promise<OpenedNote> {
    await this.#context.project(project)?.wake([run]);
    const open = await this.#take(project, run);
    const note = this.#next++;
    this.#notes.set(note, run);
    open.listeners.set(note, listener);
    const people = readPeople(open.shelved.provider.awareness.getStates(), open.shelved.doc.clientID);
    if (people.length > 0) listener({ kind: 'people', people });
    return { note, update: Y.encodeStateAsUpdate(open.draft), state: this.#stateOf(open) };
  }

  async typeNote(note: number, update: Uint8Array): Promise<void> {
    const open = this.#noteOf(note);
    if (open === undefined) return;
    this.#release(open);
    Y.applyUpdate(open.shelved.doc, update, ORIGIN.page);
    open.typedAt = Date.now();
    if (!this.#isUnsaid(open)) open.typedSince = open.typedAt;
    this.#owe(open.run, { project: open.project, unsaid: true, unsent: true });
    this.#publishLater(open);
    this.#point(open, {});
    this.#tell(open);
  }

  async pointNote(note: number, cursor: NoteCursor | null): Promise<void> {
    const open = this.#noteOf(note);
    if (open !== undefined) this.#point(open, { cursor: readCursor(cursor) });
  }

  async publishNote(note: number): Promise<boolean> {
    const open = this.#noteOf(note);
    if (open === undefined) return false;
    if (this.#isUnsaid(open)) await this.#publish(open);
    return !this.#isUnsaid(open);
  }

  async settleNote(note: number): Promise<void> {
    const open = this.#noteOf(note);
    if (open !== undefined) await this.#publish(open, []);
  }

  async closeNote(note: number): Promise<void> {
    const open = this.#noteOf(note);
    this.#notes.delete(note);
    if (open === undefined) return;
    if (open.listeners.size === 1) {
      open.shelved.provider.awareness.setLocalState(null);
      // Who closes it still hears what was written, and can take it back.
      if (this.#isUnsaid(open)) await this.#publish(open);
    }
    open.listeners.delete(note);
    if (open.listeners.size === 0) this.#drop(open);
  }

  /** A connection of a document begins anew, and with it the counting of frames. */
  connected(name: DocumentName): void {
    this.#sent.delete(name);
  }

  sent(name: DocumentName, frame: number): void {
    if (name.startsWith('note/')) this.#sent.set(name, frame);
  }

  /** The server holds the first `frames` frames of this connection. */
  acked(name: DocumentName, frames: number): void {
    const sent = this.#sent.get(name);
    if (sent === undefined || frames < sent) return;
    const run = name.slice('note/'.length) as RunId;
    const owed = this.#owed.get(run);
    if (owed?.unsent !== true) return;
    this.#owe(run, { ...owed, unsent: false });
    const open = this.#open.get(run);
    if (open !== undefined) this.#drop(open);
  }

  /** Records of runs changed: what was said of their notes elsewhere comes into the open texts. */
  changed(project: Project, runs: readonly RunId[]): void {
    for (const open of this.#open.values()) {
      if (open.project !== project.id || !runs.includes(open.run)) continue;
      this.#adopt(open);
      if (this.#isUnsaid(open) && open.timer === undefined) this.#publishLater(open);
    }
    for (const run of project.forked) this.#mergeLater(project, run);
  }

  async #take(project: ProjectId, run: RunId): Promise<OpenNote> {
    const there = this.#open.get(run);
    if (there !== undefined) return there;
    let opening = this.#opening.get(run);
    if (opening === undefined) {
      opening = this.#load(project, run).finally(() => this.#opening.delete(run));
      this.#opening.set(run, opening);
    }
    return opening;
  }

  async #load(project: ProjectId, run: RunId): Promise<OpenNote> {
    const shelved = this.#context.shelf.take(noteDocumentName(run));
    await shelved.loaded;
    const open: OpenNote = {
      project,
      run,
      shelved,
      draft: new Y.Doc(),
      withheld: [],
      waiting: [],
      stranded: [],
      listeners: new Map(),
      told: '',
      timer: undefined,
      typedSince: 0,
      typedAt: 0,
      sitting: { name: '', last: 0 },
      stop: () => undefined,
    };
    const onUpdate = (update: Uint8Array): void => {
      Y.applyUpdate(open.draft, update, ORIGIN.shelf);
      if (open.waiting.length > 0) this.#adopt(open);
    };
    const { awareness } = shelved.provider;
    const onPeople = (): void =>
      this.#say(open, { kind: 'people', people: readPeople(awareness.getStates(), shelved.doc.clientID) });
    shelved.doc.on('update', onUpdate);
    awareness.on('change', onPeople);
    open.stop = () => {
      shelved.doc.off('update', onUpdate);
      awareness.off('change', onPeople);
    };
    this.#open.set(run, open);
    this.#begin(open);
    return open;
  }

  /** A draft of what the document holds, followed. */
  #begin(open: OpenNote): void {
    open.draft.destroy();
    open.draft = new Y.Doc();
    open.withheld = [];
    Y.applyUpdate(open.draft, Y.encodeStateAsUpdate(open.shelved.doc), ORIGIN.shelf);
    open.draft.on('update', (update: Uint8Array) => this.#say(open, { kind: 'update', update }));
    this.#adopt(open);
  }

  /** Takes in what was said elsewhere. */
  #adopt(open: OpenNote): void {
    const history = this.#context.project(open.project)?.fold.notes(open.run);
    if (history === undefined) return;
    const isUntouched = open.withheld.length > 0 && open.shelved.doc.store.clients.size === 0;
    const { updates, waiting, stranded } = adoptNotes(open.draft, history, ORIGIN.adopted);
    open.withheld.push(...updates);
    Object.assign(open, { waiting, stranded });
    // A script that changes its mind before anybody has typed or said anything: its word is not an edit to be merged.
    if (isUntouched && history.edits.length === 0 && noteText(open.draft).toJSON() !== history.scripted) {
      this.#begin(open);
      this.#say(open, { kind: 'anew', update: Y.encodeStateAsUpdate(open.draft) });
      return;
    }
    if (this.#isUnsaid(open)) this.#release(open);
    this.#tell(open);
  }

  /** Lets what was taken in go where the document goes. */
  #release(open: OpenNote): void {
    for (const update of open.withheld.splice(0)) Y.applyUpdate(open.shelved.doc, update, ORIGIN.adopted);
  }

  #publishLater(open: OpenNote): void {
    clearTimeout(open.timer);
    const left = Math.max(0, open.typedSince + LATEST_MS - Date.now());
    open.timer = setTimeout(
      () => {
        open.timer = undefined;
        void this.#publish(open).catch(() => undefined);
      },
      Math.min(REST_MS, left),
    );
  }

  /** Makes the register say what the text says. What was said elsewhere and is not in the text stays beside it. */
  async #publish(open: OpenNote, unseen?: readonly EditId[]): Promise<void> {
    clearTimeout(open.timer);
    open.timer = undefined;
    const { editor, project: projectOf, shelf } = this.#context;
    const project = projectOf(open.project);
    if (project === undefined || editor.person === null) return;
    this.#adopt(open);
    this.#release(open);
    const value = noteText(open.shelved.doc).toJSON();
    if (utf8Length(value) > LIMITS.notesBytes) return this.#tell(open);
    const mark = markOf(open.shelved.doc);
    const receipt = await editor.change(
      project,
      [open.run],
      [{ field: 'notes', op: 'set', value, mark, unseen: unseen ?? [...open.stranded, ...open.waiting] }],
      (name) => shelf.take(name).doc,
    );
    const owed = this.#owed.get(open.run);
    // What was typed while this was being said is not said.
    const isSaid = noteText(open.shelved.doc).toJSON() === value;
    if (owed !== undefined && isSaid) this.#owe(open.run, { ...owed, unsaid: false });
    open.typedSince = Date.now();
    if (receipt.edits.length > 0) {
      const now = Date.now();
      if (now - open.sitting.last > SITTING_MS) open.sitting.name = `${open.run} ${now}`;
      open.sitting.last = now;
      this.#say(open, { kind: 'published', receipt, session: open.sitting.name });
    }
    this.#tell(open);
  }

  // --- what was written apart

  /** The heads of a register that texts were written on apart: one of those who wrote says what came of them. */
  #mergeLater(project: Project, run: RunId): void {
    if (this.#merges.has(run) || !this.#isApart(project, run)) return;
    const [last, ...others] = this.#headsOf(project, run);
    const { device } = this.#context;
    const isOpen = this.#open.has(run);
    const wait =
      last?.device === device
        ? MERGE_MS.last
        : others.some((edit) => edit.device === device && isOfText(edit))
          ? MERGE_MS.other
          : isOpen && this.#context.mayWrite()
            ? MERGE_MS.reader
            : null;
    if (wait === null) return;
    const merge = async (): Promise<void> => {
      this.#merges.delete(run);
      if (this.#isApart(project, run)) await this.#within(project.id, run, (note) => this.#publish(note));
    };
    this.#merges.set(
      run,
      setTimeout(() => void merge().catch(() => undefined), wait),
    );
  }

  #isApart(project: Project, run: RunId): boolean {
    const heads = this.#headsOf(project, run);
    return heads.some(isOfText) && heads.some(({ value }) => value !== heads[0]!.value);
  }

  #headsOf(project: Project, run: RunId) {
    const ids = project.state(run)?.heads.notes ?? [];
    if (ids.length < 2) return [];
    const edits = new Map(project.fold.notes(run).edits.map((edit) => [edit.id, edit]));
    return ids.flatMap((id) => edits.get(id as EditId) ?? []);
  }

  /** Works on a note that need not be open: with all of it that can be had now. */
  async #within(project: ProjectId, run: RunId, work: (note: OpenNote) => Promise<void>): Promise<void> {
    const open = await this.#take(project, run);
    await this.#arrived(open);
    if (this.#open.get(run) !== open) return;
    await work(open);
    this.#drop(open);
  }

  #arrived({ shelved }: OpenNote): Promise<void> {
    if (shelved.synced || !this.#context.isOnline()) return Promise.resolve();
    return new Promise((resolve) => {
      const { provider } = shelved;
      const done = (): void => {
        clearTimeout(timer);
        provider.off('sync', done);
        resolve();
      };
      const timer = setTimeout(done, SYNC_MS);
      provider.on('sync', done);
    });
  }

  // --- what the page and others see

  #point(open: OpenNote, change: { cursor?: NoteCursor | null }): void {
    const { awareness } = open.shelved.provider;
    const { person } = this.#context.editor;
    if (person === null) return;
    const before = awareness.getLocalState() ?? {};
    awareness.setLocalState({ ...before, ...change, user: { name: person }, typed: open.typedAt });
  }

  #stateOf({ run, waiting, stranded, draft }: OpenNote): NoteState {
    return {
      typed: this.#owed.get(run)?.unsaid === true,
      tooLong: utf8Length(noteText(draft).toJSON()) > LIMITS.notesBytes,
      waiting: waiting.length,
      stranded,
    };
  }

  #tell(open: OpenNote): void {
    const state = this.#stateOf(open);
    const text = JSON.stringify(state);
    if (text === open.told) return;
    open.told = text;
    this.#say(open, { kind: 'state', state });
  }

  #say(open: OpenNote, event: NoteEvent): void {
    for (const listener of open.listeners.values()) listener(event);
  }

  #noteOf(note: number): OpenNote | undefined {
    const run = this.#notes.get(note);
    return run === undefined ? undefined : this.#open.get(run);
  }

  #isUnsaid({ run }: OpenNote): boolean {
    return this.#owed.get(run)?.unsaid === true;
  }

  /** Closes a note that nobody looks at and that owes nothing: one that does is sent as soon as a server answers. */
  #drop(open: OpenNote): void {
    if (this.#open.get(open.run) !== open || open.listeners.size > 0 || this.#owed.has(open.run)) return;
    clearTimeout(open.timer);
    open.stop();
    open.draft.destroy();
    this.#open.delete(open.run);
    this.#context.shelf.release(open.shelved.name);
  }

  #owe(run: RunId, owed: Owed): void {
    const before = this.#owed.get(run);
    if (before?.unsaid === owed.unsaid && before.unsent === owed.unsent) return;
    const isOwed = owed.unsaid || owed.unsent;
    if (isOwed) this.#owed.set(run, owed);
    else this.#owed.delete(run);
    void this.#context.keep
      .update<[RunId, Owed][]>(OWED, (left) => [
        ...(left ?? []).filter(([each]) => each !== run),
        ...(isOwed ? [[run, owed] as [RunId, Owed]] : []),
      ])
      .catch((error: unknown) => this.#context.onProblem(error));
    this.#context.onChange();
  }
}
