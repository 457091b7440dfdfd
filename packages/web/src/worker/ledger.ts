import type { DocumentName, EditId, ProjectId, RunId } from '@fieldbook/core';

export interface Unsaved {
  id: EditId;
  /** Null for what is said of no run, as a saved view. */
  run: RunId | null;
  /** Null for what is of no project, as a link. */
  project: ProjectId | null;
  document: DocumentName;
}

/**
 * Which edits of this browser no server has acknowledged. Pure bookkeeping: an edit is *unsent* until a content
 * frame of its document leaves, *sent* in frame n of a connection until the server acknowledges n frames, then gone.
 * A new connection starts counting anew and sends what the server lacks in its first frame, so everything of the
 * document that is not acknowledged is unsent again.
 */
export class Ledger {
  readonly #unsaved = new Map<EditId, Unsaved>();
  /** How many of them each run has: asked for every row of a table that is shown. */
  readonly #ofRun = new Map<RunId, number>();
  /** Written by another tab, whose connection carries them; this one's does when it begins anew. */
  readonly #foreign = new Set<EditId>();
  /** Document → edit → the frame it left in. */
  readonly #sent = new Map<DocumentName, Map<EditId, number>>();

  get size(): number {
    return this.#unsaved.size;
  }

  has(id: EditId): boolean {
    return this.#unsaved.has(id);
  }

  values(): Iterable<Unsaved> {
    return this.#unsaved.values();
  }

  countOf(project: ProjectId): number {
    let count = 0;
    for (const edit of this.#unsaved.values()) if (edit.project === project) count += 1;
    return count;
  }

  hasDocument(document: DocumentName): boolean {
    for (const edit of this.#unsaved.values()) if (edit.document === document) return true;
    return false;
  }

  hasRun(run: RunId): boolean {
    return this.#ofRun.has(run);
  }

  /** Before the document is changed: the frame that carries the change may leave during the change. */
  add(edits: readonly Unsaved[]): void {
    for (const edit of edits) {
      if (!this.#unsaved.has(edit.id)) this.#count(edit, 1);
      this.#unsaved.set(edit.id, edit);
    }
  }

  /** What another tab has written: frames that leave here later do not carry it. */
  addForeign(edits: readonly Unsaved[]): void {
    for (const { id } of edits) if (!this.#unsaved.has(id)) this.#foreign.add(id);
    this.add(edits);
  }

  /** Returns those that were there. */
  remove(ids: readonly EditId[]): Unsaved[] {
    const removed: Unsaved[] = [];
    for (const id of ids) {
      const edit = this.#unsaved.get(id);
      if (edit === undefined) continue;
      this.#unsaved.delete(id);
      this.#foreign.delete(id);
      this.#count(edit, -1);
      this.#sent.get(edit.document)?.delete(id);
      removed.push(edit);
    }
    return removed;
  }

  #count({ run }: Unsaved, step: 1 | -1): void {
    if (run === null) return;
    const count = (this.#ofRun.get(run) ?? 0) + step;
    if (count === 0) this.#ofRun.delete(run);
    else this.#ofRun.set(run, count);
  }

  connected(document: DocumentName): void {
    this.#sent.delete(document);
    for (const id of this.#foreign) if (this.#unsaved.get(id)?.document === document) this.#foreign.delete(id);
  }

  sent(document: DocumentName, frame: number): void {
    const sent = this.#sent.get(document) ?? new Map<EditId, number>();
    for (const edit of this.#unsaved.values()) {
      if (edit.document === document && !sent.has(edit.id) && !this.#foreign.has(edit.id)) sent.set(edit.id, frame);
    }
    this.#sent.set(document, sent);
  }

  /** The server holds the first `frames` frames of this connection. Returns the edits that are saved by that. */
  acked(document: DocumentName, frames: number): Unsaved[] {
    const saved: EditId[] = [];
    for (const [id, frame] of this.#sent.get(document) ?? []) if (frame <= frames) saved.push(id);
    return this.remove(saved);
  }
}
