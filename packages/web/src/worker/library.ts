import type { DocumentName, ProjectId, RunId } from '@fieldbook/core';
import { WORKSPACE_DOCUMENT } from '@fieldbook/core';
import { Book, Workspace } from '@fieldbook/core/documents';
import type { ProjectLine } from './api.ts';
import type { Alone } from './alone.ts';
import type { Ledger } from './ledger.ts';
import { Project } from './project.ts';
import type { Shelf } from './shelf.ts';
import { TableKeeper } from './table-keeper.ts';
import type { TableHead, TableStore } from './table-store.ts';

/** Books loaded at a time: IndexedDB and the network are shared, and the first project should not wait for the last. */
const AT_ONCE = 3;
/** The first windows of a page come before a look at whether anything is new. */
const WATCH_AFTER_MS = 400;

/** All projects of the workspace: their stored tables, and the books that have something new, those of the project on screen first. */
export class WebLibrary {
  readonly #shelf: Shelf;
  readonly #store: TableStore | null;
  readonly #keeper: TableKeeper | null;
  readonly #heads = new Map<ProjectId, TableHead>();
  readonly #projects = new Map<ProjectId, Project>();
  readonly #waiting: { project: Project; book: DocumentName; done: () => void }[] = [];
  /** Books that are or will be open. */
  readonly #loads = new Map<DocumentName, Promise<void>>();
  readonly #onProjects: () => void;
  readonly #onRuns: (project: ProjectId, runs: readonly RunId[]) => void;
  readonly #onLive: (project: ProjectId, runs: readonly RunId[]) => void;
  readonly #hasUnsaved: (book: DocumentName) => boolean;
  #working = 0;

  constructor(
    shelf: Shelf,
    store: TableStore | null,
    listeners: {
      onProjects: () => void;
      onRuns: (project: ProjectId, runs: readonly RunId[]) => void;
      onLive: (project: ProjectId, runs: readonly RunId[]) => void;
      /** Whether a book holds edits that no server has acknowledged. */
      hasUnsaved: (book: DocumentName) => boolean;
    },
  ) {
    this.#shelf = shelf;
    this.#store = store;
    this.#keeper = store === null ? null : new TableKeeper(store, shelf);
    this.#onProjects = listeners.onProjects;
    this.#onRuns = listeners.onRuns;
    this.#onLive = listeners.onLive;
    this.#hasUnsaved = listeners.hasUnsaved;
  }

  /** Opens the workspace document and everything that it lists now and later. Resolves when it is loaded. */
  async open(): Promise<void> {
    const { doc, loaded } = this.#shelf.take(WORKSPACE_DOCUMENT);
    const heads = await this.#store?.heads().catch(() => []);
    for (const head of heads ?? []) this.#heads.set(head.project, head);
    doc.on('afterTransaction', (transaction) => {
      if (transaction.changed.size > 0) this.#list();
    });
    await loaded;
    this.#list();
  }

  get workspace(): Workspace {
    return new Workspace(this.#shelf.get(WORKSPACE_DOCUMENT)!.doc);
  }

  get counts(): { listed: number; loaded: number } {
    const counts = { listed: 0, loaded: 0 };
    for (const project of this.#projects.values()) {
      for (const { loaded } of project.books.values()) {
        counts.listed += 1;
        if (loaded) counts.loaded += 1;
      }
    }
    return counts;
  }

  project(id: ProjectId): Project | undefined {
    return this.#projects.get(id);
  }

  projects(): IterableIterator<Project> {
    return this.#projects.values();
  }

  /** The project that has a run, of those whose tables are read; see `find`. */
  projectOf(run: RunId): Project | undefined {
    for (const project of this.#projects.values()) if (project.has(run)) return project;
    return undefined;
  }

  /** The project that has a run; undefined while no table has it. */
  async find(run: RunId): Promise<Project | undefined> {
    for (const project of this.#projects.values()) {
      await project.prepare({});
      if (project.has(run)) return project;
    }
    return undefined;
  }

  /** Loads a project's books before all others. */
  async prefer(id: ProjectId): Promise<void> {
    this.#waiting.sort((a, b) => Number(b.project.id === id) - Number(a.project.id === id));
    const project = this.#projects.get(id);
    if (project === undefined) return;
    await project.prepare({});
    for (const [book, { loaded }] of project.books) if (!loaded) await this.#loads.get(book);
  }

  lines(ledger: Ledger, alone: Alone): ProjectLine[] {
    const lines: ProjectLine[] = [];
    for (const project of this.#projects.values()) {
      lines.push({
        id: project.id,
        title: project.title,
        ...project.line(),
        unsaved: ledger.countOf(project.id),
        alone: alone.of(project.id),
        loading: project.loading,
      });
    }
    return lines.sort((a, b) => b.updated - a.updated || (a.id < b.id ? -1 : 1));
  }

  #list(): void {
    let changed = false;
    for (const { document, project: id, title } of this.workspace.books()) {
      const project = this.#projects.get(id) ?? this.#make(id, title);
      if (project.books.has(document)) continue;
      changed = true;
      project.books.set(document, { loaded: false, covered: null, open: false });
      void this.#wake(project, document);
    }
    if (!changed) return;
    this.#onProjects();
    this.#work();
  }

  #make(id: ProjectId, title: string): Project {
    const project: Project = new Project(id, title, {
      onChange: (runs) => {
        this.#keeper?.changed(project);
        this.#onRuns(id, runs);
      },
      onLive: (runs) => this.#onLive(id, runs),
      wake: (book) => this.#wake(project, book),
      readParts: async (head, parts) => (await this.#store?.parts(head, parts)) ?? parts.map(() => undefined),
      lost: async (_, why) => this.#another(project, why),
    });
    this.#projects.set(id, project);
    const head = this.#heads.get(id);
    if (head !== undefined) this.#restore(project, head);
    return project;
  }

  #restore(project: Project, head: TableHead): void {
    try {
      project.restore(head);
    } catch {
      project.reset();
      void this.#store?.remove(project.id).catch(() => undefined);
      return;
    }
    // Whoever can makes one text of them.
    if (head.forked.length > 0) void project.wake(head.forked);
    for (const { document, ...covered } of head.books) {
      if (this.#hasUnsaved(document)) void this.#wake(project, document);
      else
        setTimeout(() => {
          // A book may be open by now, or covered by another table.
          if (project.books.get(document)?.covered?.key !== covered.key || this.#loads.has(document)) return;
          this.#shelf.watch(document, covered, () => void this.#wake(project, document));
        }, WATCH_AFTER_MS);
    }
    this.#onProjects();
  }

  /** A project's stored table is no longer what it was: that of another tab, or none. */
  async #another(project: Project, why: 'replaced' | 'unreadable'): Promise<TableHead | null> {
    if (why === 'unreadable') await this.#store?.remove(project.id).catch(() => undefined);
    const head = why === 'replaced' ? await this.#store?.head(project.id).catch(() => undefined) : undefined;
    const known = new Set(head?.books.map(({ document }) => document));
    for (const book of project.books.keys()) if (!known.has(book)) void this.#wake(project, book);
    return head ?? null;
  }

  /** Opens a book; resolves when all of it is in the table. */
  async #wake(project: Project, book: DocumentName): Promise<void> {
    let load = this.#loads.get(book);
    if (load === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      load = promise;
      this.#loads.set(book, promise);
      this.#waiting.push({ project, book, done: resolve });
      this.#work();
    }
    return load;
  }

  #work(): void {
    while (this.#working < AT_ONCE) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#working += 1;
      void this.#load(next.project, next.book).finally(() => {
        this.#working -= 1;
        next.done();
        this.#keeper?.changed(next.project);
        this.#onProjects();
        this.#work();
      });
    }
  }

  async #load(project: Project, name: DocumentName): Promise<void> {
    const shelved = this.#shelf.take(name);
    project.live.listen(shelved.provider.awareness);
    await shelved.loaded;
    await project.follow(name, new Book(shelved.doc));
  }
}
