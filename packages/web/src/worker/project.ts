import type { DocumentName, ProjectId, RunId } from '@fieldbook/core';
import type { Book } from '@fieldbook/core/documents';
import type { RunState } from '@fieldbook/core/fold';
import { ProjectFold } from '@fieldbook/core/fold';
import { parseCardKey } from '@fieldbook/core/record';
import type { ColumnInfo, Row, Window, WindowRequest, View } from './api.ts';
import type { RunConflicts } from './past-api.ts';
import { Live } from './live.ts';
import type { Found, Tally } from './table.ts';
import { ProjectTable } from './table.ts';

/** How long folding goes on before the worker looks at its mailbox again, and before the page hears of what there is so far. */
const SLICE_MS = 20;
const TELL_MS = 400;
export interface Glance {
  key: string;
  window: Window;
  /** Without them the page would not ask for the columns that it showed. */
  columns: readonly ColumnInfo[];
}

/** What must be the same for a glance to be the answer: everything but where the window ends. */
export function glanceKey({ drawer, query, sort, columns }: WindowRequest): string {
  return JSON.stringify([drawer, query, sort, columns]);
}

const STATES_KEPT = 4_000;

/**
 * One project in this tab: its books' records folded into runs, and the table that queries see. Books come one by
 * one, each as soon as it is loaded; a change of a book refolds the runs it names and nothing else.
 */
export class Project {
  readonly id: ProjectId;
  title: string;
  /** The top of the table as it last was in this browser, shown until the books are read. */
  glance: Glance | null = null;
  readonly fold: ProjectFold;
  readonly table = new ProjectTable();
  /** Books listed, and those folded. */
  readonly books = new Map<DocumentName, { loaded: boolean }>();
  readonly live: Live;
  #tally: { version: number; tally: Tally } | null = null;
  /** Runs whose notes say several things at once. */
  readonly forked = new Set<RunId>();
  readonly #states = new Map<RunId, RunState>();
  /** Where a run's card lies; its edits go there too. */
  readonly #homes = new Map<RunId, DocumentName>();
  readonly #onChange: (runs: readonly RunId[]) => void;
  #lastGood = '';
  #selected: (Found & { key: string }) | null = null;

  constructor(
    id: ProjectId,
    title: string,
    onChange: (runs: readonly RunId[]) => void,
    onLive: (runs: readonly RunId[]) => void,
  ) {
    this.live = new Live(onLive);
    this.id = id;
    this.title = title;
    this.fold = new ProjectFold(id);
    this.#onChange = onChange;
  }

  get loading(): boolean {
    for (const { loaded } of this.books.values()) if (!loaded) return true;
    return false;
  }

  /** Takes in a loaded book and follows it. Resolves when all of it is in the table. */
  async follow(name: DocumentName, book: Book): Promise<void> {
    const runs = new Set<RunId>();
    const note = (run: RunId | undefined): void => {
      if (run !== undefined) runs.add(run);
    };
    for (const [key, bytes] of book.cards()) {
      note(this.fold.setCard(name, key, bytes));
      const parsed = parseCardKey(key);
      if (parsed !== undefined) this.#homes.set(parsed.run, name);
    }
    for (const [key, bytes] of book.edits()) note(this.fold.addEdit(key, bytes));
    book.observe(({ cards, edits }) => this.#changed(name, book, cards, edits));
    let sliceEnd = performance.now() + SLICE_MS;
    let tellAt = performance.now() + TELL_MS;
    for (const run of runs) {
      this.#refold(run);
      const now = performance.now();
      if (now > tellAt) {
        this.#tell([]);
        tellAt = now + TELL_MS;
      }
      if (now > sliceEnd) {
        await pause();
        sliceEnd = performance.now() + SLICE_MS;
      }
    }
    this.books.set(name, { loaded: true });
    this.#tell([...runs]);
  }

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

  window(request: WindowRequest, now: number, isUnsaved: (run: RunId) => boolean): Window {
    if (this.loading && this.glance !== null && request.first === 0 && this.glance.key === glanceKey(request))
      return { ...this.glance.window, loading: true };
    const found = this.select(request, now);
    const total = found.rows.length;
    const first = Math.max(0, Math.min(request.first, total));
    const rows = this.#rows(found.rows.subarray(first, first + request.count), request.columns, now, isUnsaved);
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

  rows(ids: readonly RunId[], columns: readonly string[], now: number, isUnsaved: (run: RunId) => boolean): Row[] {
    return this.#rows(this.table.rowsOf(ids), columns, now, isUnsaved);
  }

  line(): Tally {
    const { version } = this.table;
    if (this.#tally?.version !== version) this.#tally = { version, tally: this.table.tally() };
    return this.#tally.tally;
  }

  /** Runs, trashed ones aside, whose edits contradict each other; the ones last changed first. */
  conflicts(now: number): RunConflicts[] {
    const found: RunState[] = [];
    for (const drawer of ['runs', 'archive'] as const) {
      const { rows } = this.table.select({ drawer, query: 'conflicted', sort: [] }, now);
      for (const id of this.table.idsOf(rows)) found.push(this.state(id)!);
    }
    return found.sort((a, b) => b.updated - a.updated).map(({ id, name, conflicts }) => ({ run: id, name, conflicts }));
  }

  #rows(rows: Uint32Array, columns: readonly string[], now: number, isUnsaved: (run: RunId) => boolean): Row[] {
    return this.table.rows(rows, columns, now, isUnsaved, (run, updated) => this.live.of(run, updated, now));
  }

  #changed(name: DocumentName, book: Book, cards: ReadonlySet<string>, edits: ReadonlySet<string>): void {
    const runs = new Set<RunId>();
    for (const key of cards) {
      const run = this.fold.setCard(name, key, book.card(key));
      if (run === undefined) continue;
      runs.add(run);
      this.#homes.set(run, name);
    }
    for (const key of edits) {
      const bytes = book.edit(key);
      const run = bytes === undefined ? undefined : this.fold.addEdit(key, bytes);
      if (run !== undefined) runs.add(run);
    }
    for (const run of runs) this.#refold(run);
    if (runs.size > 0) this.#tell([...runs]);
  }

  #refold(run: RunId): void {
    const state = this.fold.run(run);
    this.#states.delete(run);
    if ((state?.heads.notes?.length ?? 0) > 1) this.forked.add(run);
    else this.forked.delete(run);
    if (state === undefined) this.table.remove(run);
    else this.table.upsert(state);
  }

  #tell(runs: readonly RunId[]): void {
    this.#selected = null;
    this.#onChange(runs);
  }
}

/** Lets messages in. A macrotask, because promises alone would starve them; not a timer, which waits 4 ms for nothing. */
function pause(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
