import type { DocumentName, ProjectId, RunId } from '@fieldbook/core';
import { isFieldbookError } from '@fieldbook/core';
import type { Book } from '@fieldbook/core/documents';
import type { RunState } from '@fieldbook/core/fold';
import { ProjectFold } from '@fieldbook/core/fold';
import { parseCardKey } from '@fieldbook/core/record';
import type { Row, Window, WindowRequest, View } from './api.ts';
import type { RunConflicts } from './past-api.ts';
import { Live } from './live.ts';
import type { Found, Tally, Wanted } from './table.ts';
import { ProjectTable } from './table.ts';
import type { TableHead } from './table-store.ts';
import { Turns } from './turns.ts';
import type { Covered } from './watch.ts';

/** How long folding goes on before the page hears of what there is so far. */
const TELL_MS = 400;
const STATES_KEPT = 4_000;

/** One book of a project: listed, its records in the table, or open besides. */
export interface ProjectBook {
  /** All its records are in the table. */
  loaded: boolean;
  /** How much of it a stored table covers: the book need not be open. */
  covered: Covered | null;
  open: boolean;
}

export interface ProjectListeners {
  onChange: (runs: readonly RunId[]) => void;
  onLive: (runs: readonly RunId[]) => void;
  /** Opens a book that only the stored table has; resolves when `follow` has. */
  wake: (book: DocumentName) => Promise<void>;
  /** Bytes of parts of the stored table; undefined when one is not there any more. */
  readParts: (head: TableHead, parts: readonly string[]) => Promise<(Uint8Array | undefined)[]>;
  /** The stored table was replaced or cannot be read: another one instead, null for none. */
  lost: (project: Project, why: 'replaced' | 'unreadable') => Promise<TableHead | null>;
}

/**
 * One project in this tab: a table that queries see, and the fold of those books that are open. It begins with the
 * table of the last visit, where there is one; books are opened when something in them is new or a run's whole state
 * is asked for. A change of a book refolds the runs it names and nothing else.
 */
export class Project {
  readonly id: ProjectId;
  title: string;
  readonly fold: ProjectFold;
  readonly table = new ProjectTable();
  readonly books = new Map<DocumentName, ProjectBook>();
  readonly live: Live;
  /** Runs whose notes say several things at once. */
  readonly forked = new Set<RunId>();
  /** What the stored table was when this tab read or wrote it last. */
  head: TableHead | null = null;
  /** Runs that books speak of and that are not in the table, with those books. */
  readonly outside = new Map<RunId, Set<DocumentName>>();
  readonly #states = new Map<RunId, RunState>();
  /** Where a run's card lies, of books that are open; its edits go there too. */
  readonly #homes = new Map<RunId, DocumentName>();
  /** Runs to be folded again once books that hold more of them are open. */
  readonly #waiting = new Map<RunId, Set<DocumentName>>();
  readonly #listeners: ProjectListeners;
  #tally: { version: number; tally: Tally } | null = null;
  #lastGood = '';
  #selected: (Found & { key: string }) | null = null;
  /** Parts are read one request after the other. */
  #reading: Promise<void> = Promise.resolve();

  constructor(id: ProjectId, title: string, listeners: ProjectListeners) {
    this.live = new Live((runs) => listeners.onLive(runs));
    this.id = id;
    this.title = title;
    this.fold = new ProjectFold(id);
    this.#listeners = listeners;
  }

  get loading(): boolean {
    for (const { loaded } of this.books.values()) if (!loaded) return true;
    return false;
  }

  /** Everything that is known of its books is in the table. */
  get settled(): boolean {
    return !this.loading && this.#waiting.size === 0;
  }

  /** Begins with a stored table. Throws `snapshot_unreadable`. */
  restore(head: TableHead): void {
    this.table.restore(head.directory);
    this.head = head;
    this.outside.clear();
    this.forked.clear();
    for (const run of head.forked) this.forked.add(run);
    for (const [run, books] of head.outside) this.outside.set(run, new Set(books));
    for (const { document, ...covered } of head.books) this.books.set(document, { loaded: true, covered, open: false });
    this.#forget();
  }

  /** Forgets the stored table: every book has to be opened. */
  reset(): void {
    this.table.reset();
    this.head = null;
    this.outside.clear();
    for (const book of this.books.values()) Object.assign(book, { loaded: false, covered: null, open: false });
    this.#forget();
  }

  /**
   * Resolves when the table has what a request needs of it, all of it with nothing said: await it before anything
   * that reads the table.
   */
  async prepare(wanted?: Wanted): Promise<void> {
    for (;;) {
      if (this.table.needs(wanted).length === 0) return;
      const turn = this.#reading.then(() => this.#read(wanted));
      this.#reading = turn.catch(() => undefined);
      await turn;
    }
  }

  async #read(wanted?: Wanted): Promise<void> {
    const parts = this.table.needs(wanted);
    const { head } = this;
    if (head === null || parts.length === 0) return;
    try {
      const turns = new Turns();
      const found = await this.#listeners.readParts(head, parts);
      for (const [index, part] of parts.entries()) {
        const bytes = found[index];
        if (bytes === undefined) return await this.#begin();
        this.table.unpack(part, bytes);
        await turns.next();
      }
    } catch (error) {
      // A table that cannot be read is made again of the books.
      if (!isFieldbookError(error, 'snapshot_unreadable') && !(error instanceof DOMException)) throw error;
      this.reset();
      await this.#listeners.lost(this, 'unreadable');
    }
  }

  /** Another tab has replaced the table while this one had read part of it: nothing here depends on it yet. */
  async #begin(): Promise<void> {
    const before = this.head?.generation;
    this.reset();
    const head = await this.#listeners.lost(this, 'replaced');
    if (head === null) return;
    // The same one again, whose parts are gone: something has deleted them.
    if (head.generation === before) await this.#listeners.lost(this, 'unreadable');
    else this.restore(head);
  }

  /** Takes in a loaded book and follows it. Resolves when all of it that is new is in the table. */
  async follow(name: DocumentName, book: Book): Promise<void> {
    await this.prepare();
    const covered = this.books.get(name)?.covered ?? null;
    const fresh = covered === null ? null : new Set<string>();
    const runs = new Set<RunId>();
    const note = (run: RunId | undefined, key: string): void => {
      if (run !== undefined && (fresh === null || fresh.has(key))) runs.add(run);
    };
    if (covered !== null) {
      for (const { kind, key } of book.changedSince(covered.stateVector)) {
        fresh!.add(key);
        if (kind === 'card' && book.card(key) === undefined) note(this.#setCard(name, key, undefined), key);
      }
    }
    // A change while the records are taken in counts when they are: a run is not folded of half of them.
    let taken = false;
    book.observe(({ cards, edits }) => {
      const changed = this.#take(name, book, cards, edits);
      if (!taken) for (const run of changed) runs.add(run);
      else if (changed.size > 0) {
        for (const run of changed) this.#refold(run, name);
        this.#tell([...changed]);
      }
    });
    const turns = new Turns();
    for (const [key, bytes] of book.cards()) {
      note(this.#setCard(name, key, bytes), key);
      await turns.next();
    }
    for (const [key, bytes] of book.edits()) {
      note(this.fold.addEdit(key, bytes), key);
      await turns.next();
    }
    taken = true;
    this.books.set(name, { loaded: covered !== null, covered: null, open: true });
    let tellAt = performance.now() + TELL_MS;
    for (const run of runs) {
      this.#refold(run, name);
      const now = performance.now();
      if (now > tellAt) {
        this.#tell([]);
        tellAt = now + TELL_MS;
      }
      await turns.next();
    }
    this.books.set(name, { loaded: true, covered: null, open: true });
    for (const [run, books] of this.#waiting) {
      if (!books.delete(name) || books.size > 0) continue;
      this.#waiting.delete(run);
      this.#refold(run, name);
      runs.add(run);
      await turns.next();
    }
    this.#tell([...runs]);
  }

  /** Resolves when the whole states of runs can be had: opens the books that hold records of them. */
  async wake(runs: Iterable<RunId>): Promise<void> {
    await this.prepare({});
    const asleep = new Set<DocumentName>();
    for (const run of runs) for (const book of this.#asleep(run)) asleep.add(book);
    await Promise.all([...asleep].map((book) => this.#listeners.wake(book)));
  }

  /** The run's state; undefined when nothing of it is here. Await `wake` before. */
  state(id: RunId): RunState | undefined {
    let state = this.#states.get(id);
    if (state === undefined) {
      state = this.fold.run(id);
      if (state === undefined) return undefined;
      if (this.#states.size >= STATES_KEPT) this.#states.clear();
      this.#states.set(id, state);
    }
    return state;
  }

  has(id: RunId): boolean {
    return this.table.has(id);
  }

  ids(): Iterable<RunId> {
    return this.table.ids();
  }

  homeOf(id: RunId): DocumentName | undefined {
    return this.#homes.get(id);
  }

  /** Rows of a view in its order. With a query that cannot be read: those of the last one that could, and the error. */
  select(view: View, now: number): Found {
    const key = JSON.stringify([view.drawer, view.query, view.sort, this.table.version]);
    if (this.#selected?.key === key) return this.#selected;
    let found = this.table.select(view, now);
    if (found.error === null) this.#lastGood = view.query;
    else found = { ...this.table.select({ ...view, query: this.#lastGood }, now), error: found.error };
    this.#selected = { key, ...found };
    return this.#selected;
  }

  window(request: WindowRequest, now: number, unsavedOf: (run: RunId) => Row['unsaved']): Window {
    const found = this.select(request, now);
    const total = found.rows.length;
    const first = Math.max(0, Math.min(request.first, total));
    const rows = this.#rows(found.rows.subarray(first, first + request.count), request.columns, now, unsavedOf);
    const all = this.table.inDrawer(request.drawer);
    const places = request.places?.map((id) => this.table.placeOf(found.rows, id as RunId));
    return {
      total,
      all,
      first,
      rows,
      ...(places === undefined ? {} : { places }),
      error: found.error,
      loading: this.loading,
    };
  }

  /** Ids of a view between two places of its order. */
  idsOf(view: View, first: number, count: number, now: number): RunId[] {
    return this.table.idsOf(this.select(view, now).rows.subarray(first, first + count));
  }

  rows(
    ids: readonly RunId[],
    columns: readonly string[],
    now: number,
    unsavedOf: (run: RunId) => Row['unsaved'],
  ): Row[] {
    return this.#rows(this.table.rowsOf(ids), columns, now, unsavedOf);
  }

  line(): Tally {
    if (this.head !== null && this.table.needs({}).length > 0) return this.head.tally;
    const { version } = this.table;
    if (this.#tally?.version !== version) this.#tally = { version, tally: this.table.tally() };
    return this.#tally.tally;
  }

  /** Runs, trashed ones aside, whose edits contradict each other; the ones last changed first. */
  async conflicts(now: number): Promise<RunConflicts[]> {
    await this.prepare({});
    const runs: RunId[] = [];
    for (const drawer of ['runs', 'archive'] as const) {
      const { rows } = this.table.select({ drawer, query: 'conflicted', sort: [] }, now);
      runs.push(...this.table.idsOf(rows));
    }
    await this.wake(runs);
    const found = runs.flatMap((id) => this.state(id) ?? []);
    return found.sort((a, b) => b.updated - a.updated).map(({ id, name, conflicts }) => ({ run: id, name, conflicts }));
  }

  #rows(rows: Uint32Array, columns: readonly string[], now: number, unsavedOf: (run: RunId) => Row['unsaved']): Row[] {
    return this.table.rows(rows, columns, now, unsavedOf, (run, updated) => this.live.of(run, updated, now));
  }

  #setCard(name: DocumentName, key: string, bytes: Uint8Array | undefined): RunId | undefined {
    const run = this.fold.setCard(name, key, bytes);
    const parsed = run === undefined ? undefined : parseCardKey(key);
    if (parsed !== undefined) this.#homes.set(parsed.run, name);
    return run;
  }

  #take(name: DocumentName, book: Book, cards: ReadonlySet<string>, edits: ReadonlySet<string>): Set<RunId> {
    const runs = new Set<RunId>();
    for (const key of cards) {
      const run = this.#setCard(name, key, book.card(key));
      if (run !== undefined) runs.add(run);
    }
    for (const key of edits) {
      const bytes = book.edit(key);
      const run = bytes === undefined ? undefined : this.fold.addEdit(key, bytes);
      if (run !== undefined) runs.add(run);
    }
    return runs;
  }

  /** Folds a run of which a book has said something. What other books say of it has to be open, too. */
  #refold(run: RunId, name: DocumentName): void {
    const asleep = this.#asleep(run);
    if (asleep.length > 0) {
      const waiting = this.#waiting.get(run) ?? new Set<DocumentName>();
      this.#waiting.set(run, waiting);
      for (const book of asleep) {
        waiting.add(book);
        void this.#listeners.wake(book);
      }
      // What brought it here counts when the time comes.
      this.#note(run, name);
      return;
    }
    this.#states.delete(run);
    const state = this.fold.run(run);
    if ((state?.heads.notes?.length ?? 0) > 1) this.forked.add(run);
    else this.forked.delete(run);
    if (state === undefined || !state.known || state.purged) {
      const sources = new Set([...this.#sources(run), name]);
      this.table.remove(run);
      this.outside.set(run, sources);
      return;
    }
    const before = this.outside.get(run);
    this.outside.delete(run);
    this.table.upsert(state, [...(before ?? []), name]);
  }

  /** Books that hold records of a run. */
  #sources(run: RunId): readonly DocumentName[] {
    return [...(this.table.sourcesOf(run) as DocumentName[]), ...(this.outside.get(run) ?? [])];
  }

  #note(run: RunId, name: DocumentName): void {
    if (this.table.has(run)) this.table.addSource(run, name);
    else this.outside.set(run, new Set([...this.#sources(run), name]));
  }

  /** Those that only the stored table has. */
  #asleep(run: RunId): DocumentName[] {
    return this.#sources(run).filter((book) => this.books.get(book)?.covered != null);
  }

  #forget(): void {
    this.#states.clear();
    this.#tally = null;
    this.#selected = null;
  }

  #tell(runs: readonly RunId[]): void {
    this.#listeners.onChange(runs);
  }
}
