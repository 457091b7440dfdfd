import type { ProjectId, RunId } from '@fieldbook/core';
import type { Http } from './http.ts';
import type { SyncReader } from './sync.ts';
import type { AloneCount, AloneSummary, SyncState, Unshared } from './sync-api.ts';

/** What was changed so recently is on its way, as long as a relay is reached: a run that is being written is always a little ahead. */
const ON_ITS_WAY_MS = 10_000;
const SOON_MS = 300;
/** Between two looks; longer where a look takes long. */
const PAUSE_MS = 2_000;
const PAUSE_PART = 20;
const LOCK = 'fieldbook-alone';

/** What the tab that follows tells the others. */
interface Told {
  found: Found | null;
}

interface Found extends Unshared {
  files: number;
  reached: boolean;
}

const NOTHING: Unshared = { runs: [], runCount: 0, projects: [], complete: true };

/**
 * What is on the machine of this page's agent and on no relay, as the agent says it. Every page holds one, and one tab of all follows
 * the agent's events for it: browsers open only six connections to a server.
 */
export class Alone {
  readonly #http: Http;
  readonly #reader: SyncReader;
  readonly #onChange: (projects: readonly ProjectId[]) => void;
  readonly #channel = new BroadcastChannel('fieldbook/alone');
  #found: Found | null = null;
  #runs: ReadonlySet<string> = new Set();
  #projects: ReadonlyMap<string, AloneCount> = new Map();
  #following: AbortController | null = null;
  #leads = false;
  #state: SyncState | null = null;
  #seen = '';
  /** Looks tell what was last changed by this commit or before; null for all there is. */
  #through: number | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looking = false;
  /** Since when files wait. */
  #filesSince: number | null = null;
  #rested = 0;

  constructor(http: Http, reader: SyncReader, onChange: (projects: readonly ProjectId[]) => void) {
    this.#http = http;
    this.#reader = reader;
    this.#onChange = onChange;
    this.#channel.onmessage = ({ data }: MessageEvent<Told | 'ask'>) => {
      if (data !== 'ask') this.#following !== null && this.#take(data.found);
      else if (this.#leads) this.#tell();
    };
  }

  /** Null while there is no relay, and while nobody can say. */
  get summary(): AloneSummary | null {
    if (this.#found === null) return null;
    const { runCount, projects, files, reached, complete } = this.#found;
    return { runs: runCount, changes: projects.some(({ changes }) => changes), files, reached, complete };
  }

  has(run: RunId): boolean {
    return this.#runs.has(run);
  }

  of(project: ProjectId): AloneCount {
    return this.#projects.get(project) ?? { runs: 0, changes: false };
  }

  /** From now on, until `stop`: an agent answers here. */
  follow(): void {
    if (this.#following !== null || !('locks' in navigator)) return;
    const following = new AbortController();
    this.#following = following;
    const { signal } = following;
    void navigator.locks.request(LOCK, { signal }, () => this.#lead(signal)).catch(() => undefined);
    this.#channel.postMessage('ask');
  }

  /** Nobody answers, or a relay does. */
  stop(): void {
    if (this.#following === null) return;
    this.#following.abort();
    this.#following = null;
    this.#take(null);
  }

  async #lead(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    this.#leads = true;
    this.#seen = '';
    this.#reader.follow((state) => this.#hear(state));
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    this.#reader.stop();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#leads = false;
  }

  #hear(state: SyncState | null): void {
    if (state === null) return;
    const before = this.#state;
    this.#state = state;
    const { peers, lastSeq } = state;
    if (peers.length === 0) {
      this.#say(null);
      return;
    }
    // One that waits for nothing has everything.
    if (peers.some(({ pendingDocuments }) => pendingDocuments === 0)) {
      this.#rest();
      this.#through = null;
      this.#say(this.#foundOf(NOTHING));
      return;
    }
    const isReached = reached(state);
    if (isReached !== (before !== null && reached(before))) {
      this.#rest();
      this.#through = isReached ? lastSeq : null;
    }
    const { files, reached: was } = this.#found ?? {};
    const now = this.#foundOf(this.#found ?? NOTHING);
    if (now.files !== files || now.reached !== was) this.#say(now);
    const seen = `${lastSeq} ${isReached} ${peers.map(({ url, pushedThrough, pendingDocuments }) => `${url} ${pushedThrough} ${pendingDocuments}`).join()}`;
    if (seen === this.#seen) return;
    this.#seen = seen;
    this.#lookIn(isReached && (this.#found?.runCount ?? 0) === 0 ? ON_ITS_WAY_MS : SOON_MS);
  }

  #rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #lookIn(ms: number): void {
    if (this.#timer !== undefined) return;
    if (this.#state !== null && reached(this.#state)) this.#through ??= this.#state.lastSeq;
    const wait = Math.max(ms, this.#rested - Date.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#looking) this.#lookIn(SOON_MS);
      else void this.#look();
    }, wait);
  }

  async #look(): Promise<void> {
    const { signal } = this.#following ?? {};
    const through = this.#through;
    const began = Date.now();
    this.#looking = true;
    const answer = await this.#http
      .json<Unshared>(`/sync/unshared${through === null ? '' : `?through=${through}`}`, { timeoutMs: 60_000 })
      .catch(() => null);
    this.#looking = false;
    const took = Date.now() - began;
    this.#rested = Date.now() + Math.max(PAUSE_MS, PAUSE_PART * took);
    if (answer === null || signal === undefined || signal.aborted) return;
    if (this.#through !== through || this.#state?.peers.every(({ pendingDocuments }) => pendingDocuments > 0) !== true)
      return;
    this.#say(this.#foundOf(answer));
    // What was in question is there; the next look is about what came since.
    if (answer.runCount === 0 && !answer.projects.some(({ changes }) => changes)) this.#through = null;
  }

  #foundOf(unshared: Unshared): Found {
    const { peers } = this.#state!;
    const files = Math.min(...peers.map(({ pendingBlobs }) => pendingBlobs));
    const isReached = reached(this.#state!);
    if (files === 0) this.#filesSince = null;
    else this.#filesSince ??= Date.now();
    const isNew = this.#filesSince === null || Date.now() - this.#filesSince < ON_ITS_WAY_MS;
    return { ...unshared, files: isReached && isNew ? 0 : files, reached: isReached };
  }

  #say(found: Found | null): void {
    if (JSON.stringify(found) === JSON.stringify(this.#found)) return;
    this.#take(found);
    this.#tell();
  }

  #tell(): void {
    this.#channel.postMessage({ found: this.#found } satisfies Told);
  }

  #take(found: Found | null): void {
    const before = this.#projects;
    this.#found = found;
    this.#runs = new Set(found?.runs);
    this.#projects = new Map(found?.projects.map(({ project, runs, changes }) => [project, { runs, changes }]));
    this.#onChange([...new Set([...before.keys(), ...this.#projects.keys()])] as ProjectId[]);
  }
}

/** Some relay takes what is sent to it. */
function reached({ peers }: SyncState): boolean {
  return peers.some(({ connected, paused, problem }) => connected && !paused && problem === null);
}
