import type { ProjectId, RunId } from '@fieldbook/core';
import type { RunState } from '@fieldbook/core/fold';
import { shortId } from '../app/routes.ts';
import { withParameters } from '../app/search.ts';
import { assignColours } from '../charts/colours.ts';
import type { MetricGoal } from '../worker/plots-api.ts';
import { actions } from './actions.svelte.ts';
import { client } from './client.svelte.ts';
import { Question } from './question.ts';
import { router } from './router.svelte.ts';

/** Runs beside each other; more tell nobody anything. */
export const COMPARED = 50;
const REREAD_MS = 500;

/** What a comparison shows; all that is chosen is in the address. */
export class ComparePage {
  readonly project: ProjectId;
  /** In the order of the address; null before the first answer. */
  states = $state.raw<readonly RunState[] | null>(null);
  goals = $state.raw<readonly MetricGoal[]>([]);
  readonly #parameters = $derived(new URLSearchParams(router.search));
  /** As the address has them, unknown ones included. */
  readonly named: readonly string[] = $derived(
    (this.#parameters.get('runs') ?? '').split(',').filter((id) => id !== ''),
  );
  /** As many of them as are compared. */
  readonly asked: readonly string[] = $derived(this.named.slice(0, COMPARED));
  readonly #key = $derived((this.states ?? []).map(({ id }) => id).join(','));
  /** The same array until the runs are others: states are new at every read, and what reads of these runs asks again for another array. */
  readonly ids: readonly RunId[] = $derived(this.#key === '' ? [] : (this.#key.split(',') as RunId[]));
  /** Rises when one of the runs has changed: what else is read of them may be another. */
  changes = $state(0);
  readonly colours: ReadonlyMap<string, number> = $derived(assignColours(this.ids));
  /** Place of the run that others are measured against; null without one. */
  readonly baseline: number | null = $derived(this.#place(this.#parameters.get('base')));
  /** The two runs whose sources and data are compared: the baseline, else the first, and the next one. */
  readonly left: number = $derived(this.#place(this.#parameters.get('a')) ?? this.baseline ?? 0);
  readonly right: number = $derived(this.#place(this.#parameters.get('b')) ?? (this.left === 0 ? 1 : 0));
  readonly #stop: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #touched = false;
  readonly #reading = new Question<readonly [readonly RunState[], readonly MetricGoal[]]>(
    ([states, goals]) => {
      this.states = states;
      if (JSON.stringify(goals) !== JSON.stringify(this.goals)) this.goals = goals;
    },
    (error) => actions.fail(error),
  );

  constructor(project: ProjectId) {
    this.project = project;
    this.#stop = client.follow((change) => {
      if (change.project !== project || change.live) return;
      this.#touched ||= change.runs.some((run) => this.ids.includes(run));
      // Also runs that were not here when the page opened.
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        if (this.#touched) this.changes += 1;
        this.#touched = false;
        this.read();
      }, REREAD_MS);
    });
    void client.worker.openProject(project).then(() => this.read());
  }

  close(): void {
    this.#stop();
    clearTimeout(this.#timer);
    this.#reading.drop();
  }

  /** Asks for the runs of the address; a busy project keeps no answer from coming. */
  read(): void {
    const asked = [...this.asked];
    this.#reading.ask(asked.join(','), async () => {
      const ids = await client.worker.resolveIds(this.project, asked);
      return Promise.all([client.worker.states(this.project, ids), client.worker.goals(this.project)]);
    });
  }

  param(name: string): string {
    return this.#parameters.get(name) ?? '';
  }

  /** Empty ones leave the address. */
  set(choices: Readonly<Record<string, string>>): void {
    router.replaceSearch(withParameters(router.search, choices));
  }

  /** As `set`, and Ctrl+Z takes it back, from elsewhere too: then it comes back to the comparison. */
  choose(what: string, choices: Readonly<Record<string, string>>): void {
    const { path, search: before } = router;
    this.set(choices);
    const { search: after } = router;
    if (before === after) return;
    const show = (search: string): void => {
      const then = new URLSearchParams(search);
      const those = Object.fromEntries(Object.keys(choices).map((name) => [name, then.get(name) ?? '']));
      // What was chosen since stays.
      if (router.path === path) router.replaceSearch(withParameters(router.search, those));
      else router.go(path + search);
    };
    actions.did({ what, undo: () => show(before), redo: () => show(after) });
  }

  remove(id: RunId): void {
    const short = shortId(id);
    const gone = ['base', 'a', 'b'].filter((name) => this.param(name) === short).map((name) => [name, '']);
    const runs = this.named.filter((each) => !isOf(each, id));
    this.choose(`Took ${this.#nameOf(id)} out of the comparison`, {
      ...Object.fromEntries(gone),
      runs: runs.join(','),
    });
    this.states = this.states?.filter((state) => state.id !== id) ?? null;
  }

  /** Changes the order; runs of the address that are not compared keep their places. */
  move(id: RunId, by: number): void {
    const { ids } = this;
    const to = ids[Math.max(0, Math.min(ids.length - 1, ids.indexOf(id) + by))]!;
    if (to === id) return;
    const place = this.named.findIndex((each) => isOf(each, to));
    const runs = this.named.filter((each) => !isOf(each, id));
    runs.splice(place, 0, shortId(id));
    const states = this.states?.filter((state) => state.id !== id) ?? [];
    const moved = this.states?.find((state) => state.id === id);
    this.choose(`Moved ${this.#nameOf(id)}`, { runs: runs.join(',') });
    if (moved !== undefined) this.states = states.toSpliced(ids.indexOf(to), 0, moved);
  }

  toggleBaseline(id: RunId): void {
    const base = this.baseline !== null && this.ids[this.baseline] === id ? '' : shortId(id);
    this.choose(base === '' ? 'Took the baseline off' : `Made ${this.#nameOf(id)} the baseline`, { base });
  }

  #nameOf(id: RunId): string {
    return this.states?.find((state) => state.id === id)?.name ?? shortId(id);
  }

  #place(short: string | null): number | null {
    const found =
      short === null || short === '' ? -1 : this.ids.findIndex((id) => id === short || shortId(id) === short);
    return found === -1 ? null : found;
  }
}

/** Whether an address means this run: by its id or the end of it. */
function isOf(named: string, id: RunId): boolean {
  return named === id || named === shortId(id);
}
