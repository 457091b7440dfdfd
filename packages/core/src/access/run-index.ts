import * as Y from 'yjs';
import { isFieldbookError } from '../errors.ts';
import type { DeviceId, DocumentName, ProjectId, RunId } from '../ids.ts';
import { parseDocumentName } from '../ids.ts';
import { parseCardKey } from '../record/index.ts';
import type { Commit, Replica } from '../replica/replica.ts';

/** Where a run belongs: the projects and devices of its cards. */
export interface RunOwners {
  readonly projects: ReadonlySet<ProjectId>;
  readonly devices: ReadonlySet<DeviceId>;
  /** `project device` of each card. */
  readonly pairs: ReadonlySet<string>;
}

/** Of the private values that say which project's cards do not open a run: `shut/<project>/<run>`. */
const SHUT_PREFIX = 'shut/';

/**
 * To which projects and devices each run belongs, in step with every commit: what scopes and contributors are judged by. Filled
 * when somebody first needs it, from the keys of all cards, and kept up from the keys that commits add; cards are never
 * deleted, so it only grows. Runs that are alike share an entry: 100,000 of them take about 12 MB.
 */
export class RunIndex {
  readonly #replica: Pick<Replica, 'list' | 'read' | 'onCommit' | 'listPrivate' | 'putPrivate'>;
  readonly #runs = new Map<RunId, RunOwners>();
  readonly #alike = new Map<string, RunOwners>();
  readonly #listeners = new Set<(run: RunId) => void>();
  readonly #stop: () => void;
  #filling: Promise<void> | undefined;
  /** Books that cannot be read: of any run there may be cards in them. */
  readonly #damaged = new Set<DocumentName>();
  /** Projects that have cards of a run from somebody who may not read it. */
  readonly #shut = new Map<RunId, ReadonlySet<ProjectId>>();
  /** Books that are being replaced as wholes by somebody who sees these projects only. */
  readonly #replacing = new Map<DocumentName, (project: ProjectId) => boolean>();

  /** Follows the replica at once: make it before whoever asks it about a commit. */
  constructor(replica: Pick<Replica, 'list' | 'read' | 'onCommit' | 'listPrivate' | 'putPrivate'>) {
    this.#replica = replica;
    this.#stop = replica.onCommit((commit) => this.#committed(commit));
  }

  /** Resolves once every commit of before is known; from then on `of` is always up to date. */
  ready(): Promise<void> {
    this.#filling ??= this.#fill().catch((error: unknown) => {
      this.#filling = undefined;
      throw error;
    });
    return this.#filling;
  }

  /** False while a book cannot be read, in which there may be cards of any run. */
  get isWhole(): boolean {
    return this.#damaged.size === 0;
  }

  /** Undefined for a run of which no card has come. */
  of(run: RunId): RunOwners | undefined {
    return this.#runs.get(run);
  }

  /**
   * The projects whose people read a run: those of its cards, but for such as came, when the run had cards of other projects already, from
   * somebody who saw none of these. Undefined while no card has come.
   */
  opensTo(run: RunId): ReadonlySet<ProjectId> | undefined {
    const projects = this.#runs.get(run)?.projects;
    const shut = this.#shut.get(run);
    if (projects === undefined || shut === undefined) return projects;
    return new Set([...projects].filter((project) => !shut.has(project)));
  }

  /** Whether a card of the project, from somebody who sees the projects that `sees` says, is to open the run to nobody. Asked before it is there. */
  isForeign(run: RunId, project: ProjectId, sees: (project: ProjectId) => boolean): boolean {
    const owners = this.#runs.get(run);
    if (owners === undefined || owners.projects.has(project) || this.#shut.get(run)?.has(project) === true)
      return false;
    return ![...this.opensTo(run)!].some(sees);
  }

  /** Cards of the project open these runs to nobody, over restarts. Durable when it resolves; in force at once. */
  async shut(project: ProjectId, runs: readonly RunId[]): Promise<void> {
    for (const run of runs) this.#shut.set(run, new Set(this.#shut.get(run)).add(project));
    await this.#replica.putPrivate(runs.map((run) => [`${SHUT_PREFIX}${project}/${run}`, new Uint8Array([1])]));
  }

  /** A book is about to be replaced by somebody who sees some projects (null: all); its cards are judged as they come. */
  replacing(name: DocumentName, sees: ((project: ProjectId) => boolean) | null): void {
    if (sees === null) this.#replacing.delete(name);
    else if (projectOf(name) !== undefined) this.#replacing.set(name, sees);
  }

  /** Called with each run that a commit brings, or that belongs to more since. Returns the way to stop. */
  onFound(listener: (run: RunId) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#stop();
    this.#listeners.clear();
  }

  async #fill(): Promise<void> {
    for await (const [key] of this.#replica.listPrivate(SHUT_PREFIX)) {
      const [, project, run] = key.split('/', 3) as [string, ProjectId, RunId];
      this.#shut.set(run, new Set(this.#shut.get(run)).add(project));
    }
    for await (const { name, quarantined } of this.#replica.list('book/')) {
      const project = projectOf(name);
      if (project === undefined) continue;
      try {
        if (quarantined) this.#damaged.add(name);
        else
          await this.#replica.read(name, (doc) => {
            for (const key of doc.getMap('cards').keys()) this.#add(project, key);
          });
      } catch (error) {
        if (!isFieldbookError(error, 'document_quarantined')) throw error;
        this.#damaged.add(name);
      }
    }
  }

  #committed({ name, update, rebuilt }: Commit): void {
    // Whoever fills it reads this commit, too.
    if (this.#filling === undefined) return;
    const project = projectOf(name);
    if (project === undefined) return;
    const sees = rebuilt === true ? this.#replacing.get(name) : undefined;
    const foreign = new Set<RunId>();
    if (rebuilt === true) {
      this.#damaged.delete(name);
      this.#replacing.delete(name);
    }
    // A key stands in the first struct of its history; rewrites name no key, and it is known then.
    for (const struct of Y.decodeUpdate(update).structs) {
      if (!(struct instanceof Y.Item)) continue;
      // Before an update is integrated the parent is its name, whatever the type says.
      const parent = struct.parent as unknown;
      if (parent !== 'cards' || struct.parentSub === null) continue;
      const run = parseCardKey(struct.parentSub)?.run;
      if (sees !== undefined && run !== undefined && this.isForeign(run, project, sees)) foreign.add(run);
      // Shut before it is there, so that nobody is told of it meanwhile; a full disk that does not keep it is met at the next commit.
      if (run !== undefined && foreign.has(run)) this.#shut.set(run, new Set(this.#shut.get(run)).add(project));
      this.#add(project, struct.parentSub);
    }
    if (foreign.size > 0) void this.shut(project, [...foreign]).catch(() => undefined);
  }

  #add(project: ProjectId, key: string): void {
    const card = parseCardKey(key);
    if (card === undefined) return;
    const before = this.#runs.get(card.run);
    const pair = `${project} ${card.device}`;
    if (before?.pairs.has(pair) === true) return;
    const projects = [...new Set(before?.projects).add(project)].sort();
    const devices = [...new Set(before?.devices).add(card.device)].sort();
    const pairs = [...new Set(before?.pairs).add(pair)].sort();
    const alike = pairs.join(',');
    let owners = this.#alike.get(alike);
    if (owners === undefined) {
      owners = { projects: new Set(projects), devices: new Set(devices), pairs: new Set(pairs) };
      this.#alike.set(alike, owners);
    }
    this.#runs.set(card.run, owners);
    for (const listener of this.#listeners) listener(card.run);
  }
}

function projectOf(name: DocumentName): ProjectId | undefined {
  if (!name.startsWith('book/')) return undefined;
  const parsed = parseDocumentName(name);
  return parsed.kind === 'book' ? parsed.project : undefined;
}
