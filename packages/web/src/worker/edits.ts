import type { DeviceId, DocumentName, EditId, RunId } from '@fieldbook/core';
import { bookName, FieldbookError, HybridClock, mintEditId, monthOf } from '@fieldbook/core';
import type { Hlc } from '@fieldbook/core';
import { Book, Workspace } from '@fieldbook/core/documents';
import type { Change } from '@fieldbook/core/fold';
import { Author, undoOf } from '@fieldbook/core/fold';
import type { Edit } from '@fieldbook/core/record';
import type * as Y from 'yjs';
import type { EditReceipt } from './api.ts';
import type { BrowserDevice } from './device.ts';
import { clock, random } from './device.ts';
import type { Keep } from './keep.ts';
import type { Unsaved } from './ledger.ts';
import { Ledger } from './ledger.ts';
import type { Project } from './project.ts';

interface Told {
  add?: Unsaved[];
  remove?: EditId[];
}

export interface EditorListeners {
  /** The person or the number of edits that are not saved changed. */
  onChange: () => void;
  /** Edits that a server has acknowledged, to this tab or another. */
  onSaved: (edits: readonly Unsaved[]) => void;
  /** What has to outlive the tab could not be kept. */
  onProblem: (error: unknown) => void;
}

/**
 * Writes edits of this browser's person into books and keeps count of those that no server has acknowledged: in
 * IndexedDB, so that the count survives the tab, and over BroadcastChannel, so that tabs show the same one.
 */
export class Editor {
  readonly ledger = new Ledger();
  readonly #device: BrowserDevice;
  readonly #author: Author;
  readonly #keep: Keep;
  readonly #channel = new BroadcastChannel('fieldbook/unsaved');
  readonly #onChange: () => void;
  readonly #onSaved: (edits: readonly Unsaved[]) => void;
  readonly #onProblem: (error: unknown) => void;
  #person: string | null;

  private constructor(
    device: BrowserDevice,
    person: string | null,
    hybrid: HybridClock,
    keep: Keep,
    listeners: EditorListeners,
  ) {
    this.#onSaved = listeners.onSaved;
    this.#onProblem = listeners.onProblem;
    const { onChange } = listeners;
    this.#device = device;
    this.#person = person;
    this.#keep = keep;
    this.#onChange = onChange;
    this.#author = new Author({ device: device.id, by: person ?? '', hybrid, clock, random });
    this.#channel.onmessage = ({ data }: MessageEvent<Told>) => {
      this.ledger.addForeign(data.add ?? []);
      this.#onSaved(this.ledger.remove(data.remove ?? []));
      onChange();
    };
  }

  static async open(device: BrowserDevice, keep: Keep, listeners: EditorListeners): Promise<Editor> {
    const [person, last, unsaved] = await Promise.all([
      keep.get<string>('person'),
      keep.get<Hlc>('hlc'),
      keep.get<Unsaved[]>('unsaved'),
    ]);
    const editor = new Editor(device, person ?? null, new HybridClock(clock, last), keep, listeners);
    editor.ledger.add(unsaved ?? []);
    return editor;
  }

  get person(): string | null {
    return this.#person;
  }

  /** Writes what is kept once more, after the browser has cleared it. */
  async keepAgain(): Promise<void> {
    if (this.#person !== null) await this.#keep.put('person', this.#person);
    await this.#keep.put('hlc', this.#author.hybrid.last);
    await this.#keep.put('unsaved', [...this.ledger.values()]);
  }

  async setPerson(name: string): Promise<void> {
    this.#person = name;
    this.#author.by = name;
    await this.#keep.put('person', name);
    this.#onChange();
  }

  /** Makes the changes to each run, one transaction per book. Runs that would not change get no edit. Throws `config_invalid` while nobody said who writes, `invalid_value`. */
  async change(
    project: Project,
    runs: readonly RunId[],
    changes: readonly Change[],
    documentOf: (name: DocumentName) => Y.Doc,
  ): Promise<EditReceipt> {
    await project.wake(runs);
    const edits: Edit[] = [];
    for (const run of runs) for (const change of changes) edits.push(...this.#make(project, run, change));
    return this.#write(project, edits, documentOf);
  }

  /** Takes edits back by new ones; the receipt of those redoes. Edits that somebody has overruled since stay. */
  async undo(project: Project, receipt: EditReceipt, documentOf: (name: DocumentName) => Y.Doc): Promise<EditReceipt> {
    await project.wake(receipt.edits.map(({ run }) => run));
    const edits: Edit[] = [];
    const together = new Set<string>(receipt.edits.map(({ id }) => id));
    /** Registers that are taken back already: several edits of one go together. */
    const done = new Set<string>();
    let same = false;
    for (const { run, id } of [...receipt.edits].reverse()) {
      const history = project.fold.history(run);
      const edit = history.find((each) => each.id === id);
      const change = edit === undefined ? null : undoOf(edit, history, together);
      if (change === null) continue;
      const register = `${run} ${change.field} ${change.path ?? ''} ${change.field === 'tags' ? id : ''}`;
      if (done.has(register)) continue;
      done.add(register);
      const made = this.#make(project, run, change);
      if (made.length === 0) same = true;
      edits.push(...made);
    }
    const written = this.#write(project, edits, documentOf);
    return edits.length === 0 && same ? { ...written, same } : written;
  }

  /** What this browser says of itself to the workspace, once it has written something. */
  introduce(workspace: Y.Doc, name: string): void {
    const { id, publicKey, created } = this.#device;
    workspace.transact(() =>
      new Workspace(workspace).putDevice({
        kind: 'device',
        device: id,
        role: 'browser',
        name,
        publicKey,
        created,
        extra: {},
      }),
    );
  }

  /** Id, author and clock of a record that is no edit of a run. Throws `config_invalid` while nobody said who writes. */
  stamp(): { id: EditId; by: string; device: DeviceId; at: Hlc } {
    const by = this.#mustHavePerson();
    const { hybrid } = this.#author;
    const at = hybrid.tick();
    void this.#keep.put('hlc', hybrid.last).catch(() => undefined);
    return { id: mintEditId(clock, random), by, device: this.#device.id, at };
  }

  /** Counts records as not yet saved elsewhere; before they are written. */
  note(records: Unsaved[]): void {
    this.#record({ add: records });
  }

  acked(document: DocumentName, frames: number): void {
    const saved = this.ledger.acked(document, frames);
    if (saved.length === 0) return;
    this.#record({ remove: saved.map(({ id }) => id) });
    this.#onSaved(saved);
  }

  #mustHavePerson(): string {
    if (this.#person === null)
      throw new FieldbookError('config_invalid', 'Say who you are first: edits carry their author.');
    return this.#person;
  }

  #make(project: Project, run: RunId, change: Change): Edit[] {
    this.#mustHavePerson();
    const state = project.state(run);
    if (state === undefined) return [];
    // What was seen comes before what is written, whatever the clocks of the machines say.
    for (const { at } of project.fold.history(run)) this.#author.hybrid.observe(at);
    const edit = this.#author.edit(state, change);
    return edit === null ? [] : [edit];
  }

  #write(project: Project, edits: readonly Edit[], documentOf: (name: DocumentName) => Y.Doc): EditReceipt {
    const byBook = new Map<DocumentName, Edit[]>();
    for (const edit of edits) {
      const book = project.homeOf(edit.run) ?? bookName(project.id, monthOf(clock.now()));
      byBook.set(book, [...(byBook.get(book) ?? []), edit]);
    }
    for (const [name, list] of byBook) {
      this.#record({ add: list.map(({ id, run }) => ({ id, run, project: project.id, document: name })) });
      const doc = documentOf(name);
      const book = new Book(doc);
      doc.transact(() => list.forEach((edit) => book.addEdit(edit)));
    }
    if (edits.length > 0) void this.#keep.put('hlc', this.#author.hybrid.last).catch(() => undefined);
    return { project: project.id, edits: edits.map(({ run, id }) => ({ run, id })) };
  }

  #record(told: Told): void {
    this.ledger.add(told.add ?? []);
    this.#channel.postMessage(told);
    const gone = new Set(told.remove);
    void this.#keep
      .update<Unsaved[]>('unsaved', (before) => [
        ...(before ?? []).filter(({ id }) => !gone.has(id)),
        ...(told.add ?? []),
      ])
      .catch((error: unknown) => this.#onProblem(error));
    this.#onChange();
  }
}
