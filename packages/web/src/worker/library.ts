import type { DocumentName, ProjectId, RunId } from '@fieldbook/core';
import { WORKSPACE_DOCUMENT } from '@fieldbook/core';
import { Book, Workspace } from '@fieldbook/core/documents';
import type { ProjectLine } from './api.ts';
import type { Ledger } from './ledger.ts';
import { Project } from './project.ts';
import type { Shelf } from './shelf.ts';

/** Books loaded at a time: IndexedDB and the network are shared, and the first project should not wait for the last. */
const AT_ONCE = 3;

/** All projects of the workspace: opens every book that its directory lists, those of the project on screen first. */
export class WebLibrary {
  readonly #shelf: Shelf;
  readonly #projects = new Map<ProjectId, Project>();
  readonly #waiting: { project: Project; book: DocumentName; done: () => void }[] = [];
  readonly #loads = new Map<DocumentName, Promise<void>>();
  readonly #onProjects: () => void;
  readonly #onRuns: (project: ProjectId, runs: readonly RunId[]) => void;
  readonly #onLive: (project: ProjectId, runs: readonly RunId[]) => void;
  #working = 0;

  constructor(
    shelf: Shelf,
    listeners: {
      onProjects: () => void;
      onRuns: (project: ProjectId, runs: readonly RunId[]) => void;
      onLive: (project: ProjectId, runs: readonly RunId[]) => void;
    },
  ) {
    this.#shelf = shelf;
    this.#onProjects = listeners.onProjects;
    this.#onRuns = listeners.onRuns;
    this.#onLive = listeners.onLive;
  }

  /** Opens the workspace document and everything that it lists now and later. Resolves when it is loaded. */
  async open(): Promise<void> {
    const { doc, loaded } = this.#shelf.take(WORKSPACE_DOCUMENT);
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

  /** The project that has a run; undefined while no loaded book names it. */
  projectOf(run: RunId): Project | undefined {
    for (const project of this.#projects.values()) if (project.has(run)) return project;
    return undefined;
  }

  /** Loads a project's books before all others. */
  async prefer(id: ProjectId): Promise<void> {
    this.#waiting.sort((a, b) => Number(b.project.id === id) - Number(a.project.id === id));
    const project = this.#projects.get(id);
    if (project === undefined) return;
    for (const book of project.books.keys()) await this.#loads.get(book);
  }

  lines(ledger: Ledger): ProjectLine[] {
    const lines: ProjectLine[] = [];
    for (const project of this.#projects.values()) {
      lines.push({
        id: project.id,
        title: project.title,
        ...project.line(),
        unsaved: ledger.countOf(project.id),
        loading: project.loading,
      });
    }
    return lines.sort((a, b) => b.updated - a.updated || (a.id < b.id ? -1 : 1));
  }

  #list(): void {
    let changed = false;
    for (const { document, project: id, title } of this.workspace.books()) {
      let project = this.#projects.get(id);
      if (project === undefined) {
        project = new Project(
          id,
          title,
          (runs) => this.#onRuns(id, runs),
          (runs) => this.#onLive(id, runs),
        );
        this.#projects.set(id, project);
      }
      if (project.books.has(document)) continue;
      changed = true;
      project.books.set(document, { loaded: false });
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#loads.set(document, promise);
      this.#waiting.push({ project, book: document, done: resolve });
    }
    if (!changed) return;
    this.#onProjects();
    this.#work();
  }

  #work(): void {
    while (this.#working < AT_ONCE) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#working += 1;
      void this.#load(next.project, next.book).finally(() => {
        this.#working -= 1;
        next.done();
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
