import type { Project } from './project.ts';
import type { Shelf } from './shelf.ts';
import type { TableHead, TableStore } from './table-store.ts';
import { Turns } from './turns.ts';
import { coveredBy } from './watch.ts';

/** A table is stored when nothing has changed for this long, */
const QUIET_MS = 1_500;
/** and while things go on changing, this often. */
const BUSY_MS = 60_000;
/** After a failed write, a full disk for one. */
const AGAIN_MS = 5 * 60_000;

/** Stores the tables of projects in the background: the parts that changed, in slices. One tab of a browser does. */
export class TableKeeper {
  readonly #store: TableStore;
  readonly #shelf: Shelf;
  readonly #changed = new Map<Project, { first: number; timer: ReturnType<typeof setTimeout> }>();
  #mine = typeof navigator.locks === 'undefined';
  /** Projects that changed before this tab was the one that writes. */
  readonly #others = new Set<Project>();
  #turn: Promise<void> = Promise.resolve();

  constructor(store: TableStore, shelf: Shelf) {
    this.#store = store;
    this.#shelf = shelf;
    // Held until the tab is gone; then the next tab gets it. Without locks every tab writes, and the last one holds.
    if (!this.#mine)
      void navigator.locks.request('fieldbook/tables', () => {
        this.#mine = true;
        for (const project of this.#others) this.changed(project);
        this.#others.clear();
        return new Promise<never>(() => undefined);
      });
  }

  /** Something of a project's table or books changed. */
  changed(project: Project): void {
    if (!this.#mine) {
      this.#others.add(project);
      return;
    }
    const waiting = this.#changed.get(project);
    const now = performance.now();
    const first = waiting?.first ?? now;
    clearTimeout(waiting?.timer);
    const wait = Math.max(0, Math.min(QUIET_MS, first + BUSY_MS - now));
    this.#changed.set(project, { first, timer: setTimeout(() => this.#due(project), wait) });
  }

  #due(project: Project): void {
    this.#changed.delete(project);
    this.#turn = this.#turn
      .then(() => this.#keep(project))
      .catch(() => {
        // Whatever was packed for this time is not there.
        project.table.unpackedAll();
        this.#later(project);
      });
  }

  #later(project: Project): void {
    if (this.#changed.has(project)) return;
    this.#changed.set(project, {
      first: performance.now(),
      timer: setTimeout(() => this.#due(project), AGAIN_MS),
    });
  }

  async #keep(project: Project): Promise<void> {
    await project.prepare();
    // Who settles it says so.
    if (!project.settled) return;
    const books: { document: TableHead['books'][number]['document']; key: number | null }[] = [];
    for (const [document, { covered }] of project.books)
      if (covered === null) books.push({ document, key: await this.#shelf.caughtUp(document) });
    if (!project.settled) return;
    // From here to the next pause nothing changes: what is covered is in the table.
    const covered: TableHead['books'][number][] = [];
    for (const [document, book] of project.books)
      if (book.covered !== null) covered.push({ document, ...book.covered });
    for (const { document, key } of books) {
      const doc = this.#shelf.get(document)?.doc;
      // A document that is not stored has to be fetched anyway.
      if (doc !== undefined && key !== null && doc.store.pendingStructs === null)
        covered.push({ document, ...coveredBy(doc, key) });
    }
    const base = project.head;
    if (project.table.size === 0 && base === null) return;
    const generation = crypto.randomUUID();
    const turns = new Turns();
    const parts = new Map(Object.entries(base?.parts ?? {}));
    // Changes during the pauses change parts again; nobody changes a table faster than it is packed.
    for (let unpacked = project.table.unpacked; unpacked.length > 0; unpacked = project.table.unpacked) {
      for (const part of unpacked) {
        const bytes = project.table.pack(part);
        if (bytes === null) parts.delete(part);
        else parts.set(part, await this.#store.stage(project.id, generation, part, bytes));
        await turns.next();
      }
    }
    const head = {
      project: project.id,
      generation,
      directory: project.table.directory(),
      parts: Object.fromEntries(parts),
      books: covered,
      outside: [...project.outside].map(([run, sources]) => [run, [...sources]] as const),
      forked: [...project.forked],
      tally: project.line(),
    };
    if (await this.#store.commit(head, base?.generation ?? null)) project.head = { format: 1, ...head };
    else {
      // Another tab's table lies there: what was packed for this one is gone, and next time all of it is written.
      project.table.unpackedAll();
      const theirs = await this.#store.head(project.id);
      project.head = theirs === undefined ? null : { ...theirs, parts: {} };
      this.changed(project);
    }
  }
}
