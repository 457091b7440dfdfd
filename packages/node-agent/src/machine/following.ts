import type { DeviceId, DocumentName, ProjectId, RunId, Timers } from '@fieldbook/core';
import { noteDocumentName, parseDocumentName, runDocumentName } from '@fieldbook/core';
import { RunIndex } from '@fieldbook/core/access';
import type { FollowSettings } from '@fieldbook/core/api';
import type { Replica } from '@fieldbook/core/replica';
import { parseCardKey } from '@fieldbook/core/record';
import type { Follows } from '@fieldbook/core/replication';

/** A run that somebody looked at is kept up to date for this long: pages and commands ask again and again. */
const OPEN_MS = 10 * 60_000;
/** Cards come by the thousand; runs that they name are looked for together. */
const SOON_MS = 100;

/**
 * What this machine takes of what others have: the workspace always, books of followed projects and those with runs of its
 * own, and of a run's documents what was asked for. Whose a run is and where it belongs is known from its cards here.
 */
export class Following implements Follows {
  revision = 0;
  readonly #replica: Replica;
  readonly #device: DeviceId;
  readonly #timers: Timers;
  readonly #runs: RunIndex;
  readonly #listeners = new Set<(names?: readonly DocumentName[]) => void>();
  readonly #ownBooks = new Set<DocumentName>();
  readonly #pinned = new Set<RunId>();
  /** Runs that somebody has open, and how many do; those that somebody looked at not long ago, and what ends that. */
  readonly #open = new Map<RunId, number>();
  readonly #looked = new Map<RunId, () => void>();
  readonly #found = new Set<RunId>();
  readonly #cancels = new Set<() => void>();
  readonly #stops: (() => void)[] = [];
  #settings: FollowSettings;
  #filled = false;

  private constructor(replica: Replica, settings: FollowSettings, timers: Timers) {
    this.#replica = replica;
    this.#device = replica.device;
    this.#settings = settings;
    this.#timers = timers;
    this.#runs = new RunIndex(replica);
    this.#stops.push(
      () => this.#runs.close(),
      replica.onCommit(({ name, origin }) => {
        if (origin === 'local' && name.startsWith('book/')) this.#ownBook(name);
      }),
    );
  }

  static async open(replica: Replica, settings: FollowSettings, timers: Timers): Promise<Following> {
    const following = new Following(replica, settings, timers);
    for await (const [key] of replica.listPrivate('pin/')) following.#pinned.add(key.slice('pin/'.length) as RunId);
    await following.#fill();
    return following;
  }

  get settings(): FollowSettings {
    return this.#settings;
  }

  get pinned(): readonly RunId[] {
    return [...this.#pinned].sort((a, b) => (a < b ? -1 : 1));
  }

  isPinned(run: RunId | undefined): boolean {
    return run !== undefined && this.#pinned.has(run);
  }

  /** Everything that others have is taken. */
  get isEverything(): boolean {
    return this.#settings.projects === 'all' && this.#settings.runDocuments === 'all';
  }

  wants(name: DocumentName): boolean {
    if (this.isEverything) return true;
    const [kind, of = ''] = name.split('/');
    if (kind === 'book') return this.#followsProject(of) || this.#ownBooks.has(name);
    if (kind === 'run' || kind === 'note') return this.#wantsRun(of as RunId);
    // The workspace, and whatever newer versions keep in few documents.
    return true;
  }

  onChange(listener: (names?: readonly DocumentName[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async change(settings: FollowSettings): Promise<void> {
    this.#settings = settings;
    await this.#fill();
    this.#tell();
  }

  /** Keeps a run's documents here from now on, over restarts; or no longer. */
  async pin(run: RunId, pinned: boolean): Promise<void> {
    await this.#replica.putPrivate([[`pin/${run}`, pinned ? new Uint8Array([1]) : null]]);
    if (pinned) this.#pinned.add(run);
    else this.#pinned.delete(run);
    if (pinned) this.#tell(documentsOf(run));
  }

  /** Somebody has a run open until the function that this returns is called, and a while longer. */
  hold(run: RunId): () => void {
    const isNew = !this.#wantsRun(run);
    this.#open.set(run, (this.#open.get(run) ?? 0) + 1);
    if (isNew && !this.isEverything) this.#tell(documentsOf(run));
    let released = false;
    return () => {
      if (released) return;
      released = true;
      this.look(run);
      const left = (this.#open.get(run) ?? 1) - 1;
      if (left > 0) this.#open.set(run, left);
      else this.#open.delete(run);
    };
  }

  /** Somebody looks at a run, and will again in a moment. */
  look(run: RunId): void {
    const isNew = !this.#wantsRun(run);
    this.#looked.get(run)?.();
    this.#looked.set(
      run,
      this.#timers.after(OPEN_MS, () => this.#looked.delete(run)),
    );
    if (isNew && !this.isEverything) this.#tell(documentsOf(run));
  }

  close(): void {
    for (const stop of this.#stops) stop();
    for (const cancel of [...this.#cancels, ...this.#looked.values()]) cancel();
    this.#listeners.clear();
  }

  #followsProject(project: string): boolean {
    const { projects } = this.#settings;
    return projects === 'all' || projects.includes(project as ProjectId);
  }

  #wantsRun(run: RunId): boolean {
    if (this.#pinned.has(run) || this.#open.has(run) || this.#looked.has(run)) return true;
    const owners = this.#runs.of(run);
    if (owners === undefined) return false;
    if (owners.devices.has(this.#device)) return true;
    return (
      this.#settings.runDocuments === 'all' && [...owners.projects].some((project) => this.#followsProject(project))
    );
  }

  /** What only a machine that follows less than everything has to know. */
  async #fill(): Promise<void> {
    if (this.isEverything || this.#filled) return;
    this.#filled = true;
    await this.#runs.ready();
    for await (const { name, quarantined } of this.#replica.list('book/')) {
      if (quarantined) continue;
      const isOwn = await this.#replica.read(name, (doc) => {
        for (const key of doc.getMap('cards').keys()) if (parseCardKey(key)?.device === this.#device) return true;
        return false;
      });
      if (isOwn) this.#ownBooks.add(name);
    }
    // Those of before are looked for with all the rest.
    this.#stops.push(this.#runs.onFound((run) => this.#foundRun(run)));
  }

  /** This machine has written in a book: what others write there concerns it. */
  #ownBook(name: DocumentName): void {
    if (this.#ownBooks.has(name)) return;
    this.#ownBooks.add(name);
    if (!this.isEverything) this.#tell([name]);
  }

  #foundRun(run: RunId): void {
    if (this.isEverything) return;
    if (this.#found.size === 0) {
      const cancel = this.#timers.after(SOON_MS, () => {
        this.#cancels.delete(cancel);
        const names = [...this.#found].filter((each) => this.#wantsRun(each)).flatMap(documentsOf);
        this.#found.clear();
        if (names.length > 0) this.#tell(names);
      });
      this.#cancels.add(cancel);
    }
    this.#found.add(run);
  }

  #tell(names?: readonly DocumentName[]): void {
    this.revision += 1;
    for (const listener of this.#listeners) listener(names);
  }
}

/** The run whose documents a name is one of. */
export function runOf(name: string): RunId | undefined {
  try {
    const parsed = parseDocumentName(name);
    return parsed.kind === 'run' || parsed.kind === 'note' ? parsed.run : undefined;
  } catch {
    return undefined;
  }
}

function documentsOf(run: RunId): DocumentName[] {
  return [runDocumentName(run), noteDocumentName(run)];
}
