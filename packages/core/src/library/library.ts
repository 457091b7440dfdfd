import { Book, Workspace } from '../documents/index.ts';
import { FieldbookError } from '../errors.ts';
import type { RunState } from '../fold/index.ts';
import { ProjectFold } from '../fold/index.ts';
import type { DocumentName, ProjectId, RunId } from '../ids.ts';
import { parseDocumentName, WORKSPACE_DOCUMENT } from '../ids.ts';
import type { Log } from '../ports.ts';
import type { Edit } from '../record/index.ts';
import type { Replica } from '../replica/replica.ts';

export interface ProjectInfo {
  id: ProjectId;
  /** The name as first typed. */
  title: string;
  /** Books in month order. */
  books: readonly DocumentName[];
  runs: number;
  running: number;
  trashed: number;
  /** ms since the epoch of the newest change to any run; 0 when there is none. */
  updated: number;
}

export interface LibraryChange {
  project: ProjectId;
  runs: ReadonlySet<RunId>;
}

/** What was last seen of one book: key → the very bytes, so that a rescan finds changes by identity. */
interface BookSeen {
  cards: Map<string, Uint8Array>;
  edits: Set<string>;
  dirty: boolean;
}

/** The few facts of every run that lists and look-ups need, so that 100,000 runs need not stay folded. */
type Summary = Pick<RunState, 'id' | 'name' | 'status' | 'updated' | 'trashed'>;

interface Project {
  fold: ProjectFold;
  /** Runs of a fold that was given up, until their listeners are told. */
  gone: Set<RunId>;
  books: Map<DocumentName, BookSeen>;
  /** Runs that are known and not purged, as of when they were last folded. */
  summaries: Map<RunId, Summary>;
  /** Runs whose summary is of an older state, or is not there yet. */
  unsummarised: Set<RunId>;
  /** Recently folded states, dropped when a record of the run changes. */
  states: Map<RunId, RunState>;
}

/** A folded state of 40 attributes takes about 10 kB of heap, so this is about 40 MB. */
const STATES_KEPT = 4_000;
/** More changes than these at once are a first look or a merge: whoever asks next wants few of them, and keeping them all costs twice the time of folding them. */
const STATES_KEPT_AT_ONCE = 500;

/**
 * The folded view of everything a replica holds: projects, runs, histories. Follows commits; a book that changed is
 * rescanned when somebody next asks or listens, so a burst of commits costs one scan.
 */
export class Library {
  readonly #replica: Replica;
  readonly #log: Log | undefined;
  readonly #projects = new Map<ProjectId, Project>();
  readonly #listeners = new Set<(change: LibraryChange) => void>();
  readonly #stop: () => void;
  #refreshing: Promise<void> | undefined;
  #scheduled = false;

  private constructor(replica: Replica, log?: Log) {
    this.#replica = replica;
    this.#log = log;
    this.#stop = replica.onCommit(({ name, rebuilt }) => {
      if (rebuilt === true) this.#forget(name);
      this.#mark(name);
    });
  }

  /** A library over all books that the replica holds now and later. */
  static async open(replica: Replica, log?: Log): Promise<Library> {
    const library = new Library(replica, log);
    for await (const info of replica.list('book/')) library.#mark(info.name);
    return library;
  }

  close(): void {
    this.#stop();
    this.#listeners.clear();
  }

  /** Called after changes with the runs that changed; returns the way to stop. */
  onChange(listener: (change: LibraryChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async projects(): Promise<ProjectInfo[]> {
    await this.#refresh();
    const titles = await this.#titles();
    const infos: ProjectInfo[] = [];
    for (const [id, project] of this.#projects) infos.push(this.#projectInfo(id, project, titles.get(id) ?? id));
    return infos.sort((a, b) => b.updated - a.updated || (a.id < b.id ? -1 : 1));
  }

  /** Whether there is a book of the project, which `projects` would tell only after folding every run. */
  async has(project: ProjectId): Promise<boolean> {
    await this.#refresh();
    return this.#projects.has(project);
  }

  /** States of a project's runs that are known and not purged; trashed and archived ones included. Empty for an unknown project. */
  async runs(project: ProjectId): Promise<RunState[]> {
    const states: RunState[] = [];
    await this.eachRun(project, (state) => states.push(state));
    return states;
  }

  /** As `runs`, one state at a time: 100,000 of them together would be a gigabyte. */
  async eachRun(project: ProjectId, visit: (state: RunState) => void): Promise<void> {
    await this.#refresh();
    const found = this.#projects.get(project);
    if (found === undefined) return;
    for (const id of found.fold.ids()) {
      const stale = found.unsummarised.has(id);
      if (!stale && !found.summaries.has(id)) continue;
      const state = found.states.get(id) ?? found.fold.run(id)!;
      if (stale) summarise(found, state);
      if (isListed(state)) visit(state);
    }
  }

  /** A run's state by project and id; purged runs included. */
  async run(project: ProjectId, id: RunId): Promise<RunState | undefined> {
    await this.#refresh();
    const found = this.#projects.get(project);
    return found?.fold.has(id) === true ? this.#state(found, id) : undefined;
  }

  /**
   * A run by what a person types: its id, the beginning of its id, or its name, in one project or in all. Throws
   * `not_found`, or `ambiguous` with the candidates in `details.candidates`. `among`: there are no other projects.
   */
  async resolve(text: string, project?: ProjectId, among?: ReadonlySet<ProjectId>): Promise<RunState> {
    await this.#refresh();
    const byId: [Project, Summary][] = [];
    const byPrefix: [Project, Summary][] = [];
    const byName: [Project, Summary][] = [];
    const candidates = [...this.#projects].filter(
      ([id]) => (project === undefined || id === project) && among?.has(id) !== false,
    );
    for (const [, candidate] of candidates) {
      if (!candidate.fold.has(text as RunId)) continue;
      const state = this.#state(candidate, text as RunId);
      if (isListed(state)) byId.push([candidate, state]);
    }
    // A whole id needs no look at the others, which would fold them all.
    for (const [, candidate] of byId.length > 0 ? [] : candidates) {
      this.#summarise(candidate);
      for (const summary of candidate.summaries.values()) {
        if (text.length >= 4 && summary.id.startsWith(text)) byPrefix.push([candidate, summary]);
        if (summary.name === text) byName.push([candidate, summary]);
      }
    }
    const matches = [byId, byName, byPrefix].find((list) => list.length > 0) ?? [];
    if (matches.length === 1) return this.#state(matches[0]![0], matches[0]![1].id);
    const where = project === undefined ? '' : ` in project ${project}`;
    if (matches.length === 0) {
      throw new FieldbookError('not_found', `There is no run "${text.slice(0, 80)}"${where}.`);
    }
    throw new FieldbookError(
      'ambiguous',
      `"${text.slice(0, 80)}" means ${matches.length} runs${where}; give the whole id.`,
      {
        details: {
          candidates: matches.slice(0, 20).map(([found, { id, name }]) => ({ project: found.fold.project, id, name })),
        },
      },
    );
  }

  /** Whether a project's records purge a run of this id; without one, whether any do and no other project shows it. */
  async isPurged(id: RunId, project?: ProjectId): Promise<boolean> {
    await this.#refresh();
    let isPurged = false;
    for (const [of, candidate] of this.#projects) {
      if ((project !== undefined && of !== project) || !candidate.fold.has(id)) continue;
      const state = this.#state(candidate, id);
      if (state.purged) isPurged = true;
      else if (state.known) return false;
    }
    return isPurged;
  }

  /** The projects of those of these runs that any project here knows; nothing is folded for it. */
  async projectsOf(runs: Iterable<RunId>): Promise<Map<RunId, ProjectId>> {
    await this.#refresh();
    const found = new Map<RunId, ProjectId>();
    for (const run of runs) for (const [id, { fold }] of this.#projects) if (fold.has(run)) found.set(run, id);
    return found;
  }

  async history(project: ProjectId, id: RunId): Promise<Edit[]> {
    await this.#refresh();
    return this.#projects.get(project)?.fold.history(id) ?? [];
  }

  async runAt(project: ProjectId, id: RunId, timeMs: number): Promise<RunState | undefined> {
    await this.#refresh();
    return this.#projects.get(project)?.fold.runAt(id, timeMs);
  }

  /** SHA-256 over the canonical folded state of a project: equal on replicas that hold the same records. */
  async digest(project: ProjectId): Promise<string | undefined> {
    await this.#refresh();
    return this.#projects.get(project)?.fold.digest();
  }

  #state(project: Project, id: RunId): RunState {
    let state = project.states.get(id);
    if (state === undefined) {
      state = project.fold.run(id)!;
      if (project.states.size >= STATES_KEPT) project.states.clear();
      project.states.set(id, state);
    }
    return state;
  }

  #projectInfo(id: ProjectId, project: Project, title: string): ProjectInfo {
    this.#summarise(project);
    const info = { id, title, books: [...project.books.keys()].sort(), runs: 0, running: 0, trashed: 0, updated: 0 };
    for (const summary of project.summaries.values()) {
      if (summary.trashed) {
        info.trashed += 1;
        continue;
      }
      info.runs += 1;
      if (summary.status === 'running') info.running += 1;
      info.updated = Math.max(info.updated, summary.updated);
    }
    return info;
  }

  async #titles(): Promise<Map<ProjectId, string>> {
    const titles = new Map<ProjectId, string>();
    const books = await this.#replica.read(WORKSPACE_DOCUMENT, (doc) => new Workspace(doc).books());
    for (const book of books) if (!titles.has(book.project)) titles.set(book.project, book.title);
    return titles;
  }

  /** A book was replaced: records that it had may be gone, which a fold cannot take back. All of its project is read anew. */
  #forget(name: DocumentName): void {
    const parsed = name.startsWith('book/') ? parseDocumentName(name) : undefined;
    const project = parsed?.kind === 'book' ? this.#projects.get(parsed.project) : undefined;
    if (project === undefined || parsed?.kind !== 'book') return;
    for (const run of project.fold.ids()) project.gone.add(run);
    project.fold = new ProjectFold(parsed.project);
    project.summaries.clear();
    project.unsummarised.clear();
    project.states.clear();
    for (const book of project.books.keys())
      project.books.set(book, { cards: new Map(), edits: new Set(), dirty: true });
  }

  #mark(name: DocumentName): void {
    if (!name.startsWith('book/')) return;
    const parsed = parseDocumentName(name);
    if (parsed.kind !== 'book') return;
    let project = this.#projects.get(parsed.project);
    if (project === undefined) {
      project = {
        fold: new ProjectFold(parsed.project),
        books: new Map(),
        summaries: new Map(),
        unsummarised: new Set(),
        states: new Map(),
        gone: new Set(),
      };
      this.#projects.set(parsed.project, project);
    }
    const seen = project.books.get(name);
    if (seen === undefined) project.books.set(name, { cards: new Map(), edits: new Set(), dirty: true });
    else seen.dirty = true;
    if (this.#listeners.size > 0 && !this.#scheduled) {
      this.#scheduled = true;
      void Promise.resolve()
        .then(() => this.#refresh())
        .catch((error: unknown) => this.#log?.error('library.refresh_failed', { error: String(error) }));
    }
  }

  /** Brings the fold up to date with every book marked so far. One at a time; callers share the run in progress and start another if more was marked. */
  async #refresh(): Promise<void> {
    while (this.#refreshing !== undefined) await this.#refreshing;
    if (!this.#anyDirty()) {
      this.#scheduled = false;
      return;
    }
    this.#refreshing = this.#rescan().finally(() => {
      this.#refreshing = undefined;
    });
    await this.#refreshing;
  }

  #anyDirty(): boolean {
    for (const project of this.#projects.values())
      for (const book of project.books.values()) if (book.dirty) return true;
    return false;
  }

  async #rescan(): Promise<void> {
    this.#scheduled = false;
    for (const [id, project] of this.#projects) {
      let changed: Set<RunId> | undefined;
      while (changed === undefined) changed = await this.#rescanProject(project);
      if (changed.size > 0) this.#tell({ project: id, runs: changed });
    }
  }

  /** Runs that changed; undefined when a book was replaced meanwhile, and all is to be read again. */
  async #rescanProject(project: Project): Promise<Set<RunId> | undefined> {
    const changed = new Set<RunId>(project.gone);
    project.gone.clear();
    const { fold } = project;
    for (const [name, seen] of project.books) {
      if (!seen.dirty) continue;
      seen.dirty = false;
      try {
        await this.#replica.read(name, (doc) => scan(new Book(doc), name, seen, fold, changed));
      } catch (error) {
        // A quarantined book must not take the others with it; the replica reports it.
        this.#log?.warn('library.book_unreadable', { name, error: String(error) });
      }
    }
    if (project.fold !== fold) {
      for (const run of changed) project.gone.add(run);
      return undefined;
    }
    for (const run of changed) {
      project.states.delete(run);
      if (fold.has(run)) project.unsummarised.add(run);
      else project.summaries.delete(run);
    }
    return changed;
  }

  /** Brings the summaries up to date; not at every commit, so that one fold serves both them and who reads all states. */
  #summarise(project: Project): void {
    const few = project.unsummarised.size <= STATES_KEPT_AT_ONCE;
    for (const run of project.unsummarised)
      summarise(project, few ? this.#state(project, run) : project.fold.run(run)!);
  }

  #tell(change: LibraryChange): void {
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        this.#log?.error('library.listener_failed', { error: String(error) });
      }
    }
  }
}

function summarise(project: Project, state: RunState): void {
  const { id, name, status, updated, trashed } = state;
  project.unsummarised.delete(id);
  if (isListed(state)) project.summaries.set(id, { id, name, status, updated, trashed });
  else project.summaries.delete(id);
}

/** Whether lists show a run: not one of which only edits have come, nor a purged one. */
function isListed({ known, purged }: RunState): boolean {
  return known && !purged;
}

function scan(book: Book, name: DocumentName, seen: BookSeen, fold: ProjectFold, changed: Set<RunId>): void {
  const note = (run: RunId | undefined): void => {
    if (run !== undefined) changed.add(run);
  };
  let cards = 0;
  for (const [key, bytes] of book.cards()) {
    cards += 1;
    const before = seen.cards.get(key);
    if (before === bytes) continue;
    seen.cards.set(key, bytes);
    // A document that was unloaded and loaded again has equal bytes in new arrays.
    if (before !== undefined && equalBytes(before, bytes)) continue;
    note(fold.setCard(name, key, bytes));
  }
  if (cards < seen.cards.size) {
    for (const key of seen.cards.keys()) {
      if (book.card(key) !== undefined) continue;
      seen.cards.delete(key);
      note(fold.setCard(name, key, undefined));
    }
  }
  for (const [key, bytes] of book.edits()) {
    if (seen.edits.has(key)) continue;
    seen.edits.add(key);
    note(fold.addEdit(key, bytes));
  }
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}
