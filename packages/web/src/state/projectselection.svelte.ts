import type { RunId } from '@fieldbook/core';
import { count } from '../app/format.ts';
import { shortId } from '../app/routes.ts';
import type { ViewState } from '../app/viewstate.ts';
import { SELECTED_IN_ADDRESS } from '../app/viewstate.ts';
import type { Row, View } from '../worker/api.ts';
import type { GroupLine } from '../worker/groups-api.ts';
import { actions } from './actions.svelte.ts';
import { client } from './client.svelte.ts';
import type { ProjectPage } from './projectpage.svelte.ts';
import { Selection } from './selection.ts';

/** Between two looks for selected runs that changes of the project took away or out of the list. */
const REST_MS = 1_500;

/** Which runs of a project's page are selected. What takes the place of several is a step to undo. */
export class ProjectSelection {
  readonly #page: ProjectPage;
  current = $state.raw(Selection.none);
  /** Selected runs that the list does not show: whatever is done is done to them, too. */
  outside = $state(0);
  /** Short ids that an address selects and that are not here yet; a choice by hand forgets them. */
  #missing = $state.raw<readonly string[]>([]);
  /** The view of which all were selected while runs were still coming. */
  #partial: View | null = null;
  /** The list of which all were selected last. */
  #allOf = $state('');
  #ranges = 0;
  #looks = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(page: ProjectPage) {
    this.#page = page;
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  /** As an address says it. */
  get said(): readonly string[] | 'all' {
    const { current } = this;
    const all = current.everything && this.#allOf === listOf(this.#page.view);
    return all && current.size > SELECTED_IN_ADDRESS ? 'all' : [...current.ids, ...this.#missing];
  }

  /** Takes what an address says. */
  async take(selected: ViewState['selected']): Promise<void> {
    const { id } = this.#page;
    if (selected === 'all') return this.all();
    const short = selected === 'elsewhere' ? keptSelection(id) : selected;
    if (selected === 'elsewhere' && short.length === 0) {
      actions.say(
        'More runs were selected than an address holds. "Copy link" where they are selected makes a link that has them.',
      );
      return;
    }
    const { current } = this;
    const ids = await client.worker.resolveIds(id, short);
    if (this.current !== current) return;
    this.current = new Selection(ids);
    this.#missing = without(short, ids);
  }

  /** Selects what an address named and came in later than it, from a colleague's link or to a browser without a token yet. */
  async find(): Promise<void> {
    const wanted = this.#missing;
    if (wanted.length === 0) return;
    const ids = await client.worker.resolveIds(this.#page.id, wanted);
    if (ids.length === 0 || this.#missing !== wanted) return;
    this.#missing = without(wanted, ids);
    this.current = this.current.add(ids);
  }

  /** Selects nothing any more, as part of something else that is done. */
  clear(): void {
    this.#missing = [];
    this.current = Selection.none;
  }

  /** Takes runs out of it, as part of something else that is done to them. */
  drop(runs: readonly Pick<Row, 'id'>[]): void {
    const gone = new Set<string>(runs.map(({ id }) => id));
    const left = this.current.keep((id) => !gone.has(id));
    if (left === this.current) return;
    if (left.size === 0) this.clear();
    else this.current = left;
  }

  /** Keeps with the tab what the address has no room for. */
  keep(): void {
    const { said } = this;
    keepSelection(this.#page.id, said !== 'all' && said.length > SELECTED_IN_ADDRESS ? said : []);
  }

  async pick(row: Pick<Row, 'id'> | null, how: 'only' | 'toggle' | 'range', index: number): Promise<void> {
    const { current } = this;
    if (how === 'range') await this.#extend(row, index);
    else if (row === null) return;
    else if (how === 'toggle') this.current = current.toggle(row.id);
    else if (current.size === 1 && current.has(row.id)) this.clear();
    else {
      this.#missing = [];
      this.#replace(current.only(row.id), `Selected one run instead of ${current.size.toLocaleString('en')}`);
    }
  }

  /** Selects up to a line: from the anchor, in place of the range before. */
  async #extend(row: Pick<Row, 'id'> | null, index: number): Promise<void> {
    const mine = (this.#ranges += 1);
    const { rows } = this.#page;
    const { anchor } = this.current;
    const from = anchor === null ? null : await rows.placeOf(anchor);
    if (from === null) {
      if (row !== null) this.current = this.current.toggle(row.id);
      return;
    }
    const range = await rows.ids(Math.min(from, index), Math.abs(index - from) + 1);
    // A key that was pressed since has the say.
    if (mine === this.#ranges) this.current = this.current.extend(range);
  }

  /** Selects all runs of a group, or none of them when all are. */
  async group(group: GroupLine): Promise<void> {
    const { id, layout } = this.#page;
    if (layout === null) return;
    const { current } = this;
    const runs = await client.worker.groupRuns(id, layout, [group.id]);
    if (this.current === current)
      this.#replace(current.toggleAll(runs, group.id), `Took ${count(runs.length, 'run')} out of the selection`);
  }

  /** Selects runs that a hand drew around. */
  these(runs: readonly RunId[]): void {
    this.#missing = [];
    this.#replace(new Selection(runs), `Selected ${count(runs.length, 'run')} on a chart`);
  }

  async all(): Promise<void> {
    const { id, view, rows } = this.#page;
    const { current } = this;
    this.#partial = rows.loading ? view : null;
    const ids = await client.worker.idsOf(id, view, 0, Number.MAX_SAFE_INTEGER);
    if (this.current !== current) return;
    this.#allOf = listOf(view);
    this.#missing = [];
    this.#replace(new Selection(ids, ids.at(-1) ?? null, true), 'Selected all runs that match');
  }

  /** Called when all runs are in the table: a selection of all of them that was made before has the rest, too. */
  complete(): void {
    if (this.#partial === this.#page.view && this.current.everything) void this.all();
    this.#partial = null;
  }

  none(): void {
    this.#missing = [];
    this.#replace(Selection.none, 'Selected nothing');
  }

  /** One run or none is soon selected again; several are work that Ctrl+Z brings back. */
  #replace(next: Selection, what: string): void {
    const { current } = this;
    const put = (): void => void (this.current = next);
    if (current.size > 1 && current.ids.some((id) => !next.has(id))) this.#page.step(what, put);
    else put();
  }

  /** Looks which of the selected runs the list does not show; lets go of those that the project does not have any more. */
  async look(changed = false): Promise<void> {
    const mine = (this.#looks += 1);
    const { current } = this;
    const { id, view } = this.#page;
    // A hundred thousand ids need not travel to learn what is known.
    if (current.size === 0 || (!changed && current.everything && this.#allOf === listOf(view))) {
      this.outside = 0;
      return;
    }
    const { gone, outside } = await client.worker.standing(id, view, current.ids as RunId[]);
    if (mine !== this.#looks) return;
    this.outside = outside;
    const lost = new Set<string>(gone);
    if (lost.size > 0) this.current = current.keep((run) => !lost.has(run));
  }

  /** The project has changed. */
  lookSoon(): void {
    if (this.current.size === 0) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.look(true);
    }, REST_MS);
  }
}

/** Those short ids that none of some runs has. */
function without(short: readonly string[], ids: readonly RunId[]): readonly string[] {
  const found = new Set<string>([...ids, ...ids.map(shortId)]);
  return short.filter((id) => !found.has(id));
}

/** What decides which runs a view has; its order does not. */
function listOf({ drawer, query }: View): string {
  return `${drawer} ${query}`;
}

/** A selection too large for the address bar stays with its tab. */
function keepSelection(project: string, ids: readonly string[]): void {
  try {
    if (ids.length === 0) sessionStorage.removeItem(`fieldbook/selected/${project}`);
    else sessionStorage.setItem(`fieldbook/selected/${project}`, ids.join(','));
  } catch {
    // Then a reload forgets it, and says so.
  }
}

function keptSelection(project: string): readonly string[] {
  try {
    return (sessionStorage.getItem(`fieldbook/selected/${project}`) ?? '').split(',').filter((id) => id !== '');
  } catch {
    return [];
  }
}
