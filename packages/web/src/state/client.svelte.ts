import * as Comlink from 'comlink';
import type { ProjectId, RunId } from '@fieldbook/core';
import { browserName } from '../worker/browser.ts';
import { Forgetting } from '../worker/forgetting.ts';
import { Repeated } from './repeated.ts';
import type { FieldbookWorker, ProjectLine, Session, WorkerEvent } from '../worker/api.ts';

export interface RunsChanged {
  project: ProjectId;
  runs: readonly RunId[];
  /** Only what is true now changed, no record: there are newer points. */
  live: boolean;
}

/**
 * The page's end of the worker: what it says is reactive state here, everything else is asked for. One per page.
 */
class Client {
  session = $state.raw<Session | null>(null);
  projects = $state.raw<ProjectLine[] | null>(null);
  /** The worker could not start, in words. */
  failure = $state<string | null>(null);
  /** Another tab has made this browser forget everything: the worker has ended, and nothing here is answered any more. */
  forgotten = $state(false);
  /** Rises when a saved view or a link comes in. */
  viewsChanged = $state(0);
  readonly worker: Comlink.Remote<FieldbookWorker>;
  readonly #worker: Worker;
  readonly #forgetting = new Forgetting(() => {
    this.#worker.terminate();
    this.forgotten = true;
  });
  readonly #followers = new Set<(change: RunsChanged) => void>();
  readonly #projects = new Repeated(async () => {
    this.projects = await this.worker.projects();
  });

  constructor() {
    const worker = new Worker(new URL('../worker/worker.ts', import.meta.url), { type: 'module', name: 'fieldbook' });
    worker.addEventListener(
      'error',
      (event) => (this.failure = event.message || 'The part of the page that reads your data did not start.'),
    );
    this.#worker = worker;
    this.worker = Comlink.wrap<FieldbookWorker>(worker);
  }

  async start(token: string | null): Promise<void> {
    try {
      this.session = await this.worker.start(
        { origin: location.origin, token, browser: browserName(navigator.userAgent) },
        Comlink.proxy((event: WorkerEvent) => this.#take(event)),
      );
      await this.#projects.run();
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    }
  }

  /** Forgets every document, series and setting of this browser, and begins again on the first page. */
  async forget(): Promise<void> {
    this.#worker.terminate();
    await this.#forgetting.everything();
    localStorage.clear();
    location.assign('/');
  }

  /** Calls `follower` with runs that changed; returns the way to stop. */
  follow(follower: (change: RunsChanged) => void): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  /** Edits made in this browser that no server has acknowledged. */
  get unsaved(): number {
    return this.session?.unsaved ?? 0;
  }

  get online(): boolean {
    return this.session?.connection.state === 'online';
  }

  /** The token lets this browser look and nothing else, as the server last said. */
  get isViewer(): boolean {
    return this.session?.server?.mayWrite === false;
  }

  /** Where edits go: "the agent", "the relay". */
  get serverName(): string {
    return this.session?.server === null || this.session === null ? 'a server' : `the ${this.session.server.kind}`;
  }

  #take(event: WorkerEvent): void {
    switch (event.kind) {
      case 'session':
        this.session = event.session;
        return;
      case 'projects':
        void this.#projects.run();
        return;
      case 'rebuilt':
        location.reload();
        return;
      case 'views':
        this.viewsChanged += 1;
        return;
      case 'project':
      case 'live':
        for (const follower of this.#followers)
          follower({ project: event.id, runs: event.runs, live: event.kind === 'live' });
        if (event.kind === 'project') void this.#projects.run();
    }
  }
}

export const client = new Client();
