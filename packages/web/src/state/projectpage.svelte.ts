import type { ProjectId, RunId } from '@fieldbook/core';
import type { Change } from '@fieldbook/core/fold';
import { clickSort, readViewState, writeViewState } from '../app/viewstate.ts';
import { count } from '../app/format.ts';
import { compareHref, runHref } from '../app/routes.ts';
import { assignColours } from '../charts/colours.ts';
import type { Drawer, Row, SortKey, View } from '../worker/api.ts';
import { actions } from './actions.svelte.ts';
import { client } from './client.svelte.ts';
import { Columns } from './columns.svelte.ts';
import { router } from './router.svelte.ts';
import { Selection } from './selection.ts';
import { RowWindow } from './window.svelte.ts';

/** Runs drawn when nothing is selected: the top of the table. */
const CHARTED_UNASKED = 8;
/** More lines than this tell nothing. */
const CHARTED_MOST = 50;

export type Asked = { kind: 'tags' | 'columns' | 'purge'; rows: readonly Row[] } | { kind: 'notes'; row: Row } | null;

/** Everything that a project's page knows and does; the components show it. */
export class ProjectPage {
  readonly id: ProjectId;
  query = $state('');
  sort = $state.raw<readonly SortKey[]>([]);
  drawer = $state<Drawer>('runs');
  selection = $state.raw(Selection.none);
  renaming = $state<string | null>(null);
  /** Which dialog is open. */
  asked = $state.raw<Asked>(null);
  readonly columns: Columns;
  readonly rows: RowWindow;
  readonly view: View = $derived({ drawer: this.drawer, query: this.query, sort: this.sort });
  /** Runs on the charts: those selected, else the first of the table. */
  readonly charted: readonly RunId[] = $derived.by(() => {
    if (this.selection.size > 0) return this.selection.ids.slice(0, CHARTED_MOST) as RunId[];
    return this.rows.first === 0 ? this.rows.rows.slice(0, CHARTED_UNASKED).map(({ id }) => id) : this.#lastTop;
  });
  readonly colours: ReadonlyMap<string, number> = $derived(assignColours(this.charted));
  #lastTop: readonly RunId[] = [];
  readonly #stop: () => void;
  #columnTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(id: ProjectId) {
    this.id = id;
    this.columns = new Columns(id);
    const state = readViewState(router.search);
    this.query = state.query;
    this.sort = state.sort;
    this.drawer = state.drawer;
    this.rows = new RowWindow(id, this.view, this.columns.ids);
    this.#stop = client.follow((change) => {
      if (change.project === id && !change.live) this.#readColumnsSoon();
    });
    void this.#start(state.selected);
  }

  close(): void {
    this.#stop();
    clearTimeout(this.#columnTimer);
    this.rows.close();
  }

  async #start(selected: readonly string[]): Promise<void> {
    await this.#readColumns();
    await client.worker.openProject(this.id);
    await this.#readColumns();
    if (selected.length > 0) this.selection = new Selection(await client.worker.resolveIds(this.id, selected));
  }

  /** Writes the address; called whenever what is in it changes. */
  writeAddress(): void {
    router.replaceSearch(
      writeViewState({ query: this.query, sort: this.sort, drawer: this.drawer, selected: this.selection.ids }),
    );
  }

  /** The back button, or a link to the same project. */
  readAddress(search: string): void {
    const state = readViewState(search);
    if (
      search ===
      writeViewState({ query: this.query, sort: this.sort, drawer: this.drawer, selected: this.selection.ids })
    )
      return;
    this.query = state.query;
    this.sort = state.sort;
    this.drawer = state.drawer;
  }

  noteTop(): void {
    if (this.rows.first === 0) this.#lastTop = this.rows.rows.slice(0, CHARTED_UNASKED).map(({ id }) => id);
  }

  click(column: string, more: boolean): void {
    const numeric = column.startsWith('m:') || column === 'created' || column === 'updated' || column === 'duration';
    this.sort = clickSort(this.sort, column, more, numeric);
  }

  async select(row: Row, how: 'only' | 'toggle' | 'range', index: number): Promise<void> {
    if (how === 'only') {
      this.selection =
        this.selection.size === 1 && this.selection.has(row.id) ? Selection.none : this.selection.only(row.id);
      return;
    }
    const anchor = this.selection.anchor;
    const from = how === 'range' && anchor !== null ? await this.#indexOf(anchor) : -1;
    if (how === 'toggle' || from === -1) {
      this.selection = this.selection.toggle(row.id);
      return;
    }
    const first = Math.min(from, index);
    this.selection = this.selection.extend(await this.rows.ids(first, Math.abs(index - from) + 1));
  }

  async selectAll(): Promise<void> {
    this.selection = new Selection(await this.rows.ids(0, this.rows.total));
  }

  selectNone(): void {
    this.selection = Selection.none;
  }

  /** The selected runs as rows, or the one given when it is not among them. */
  async targets(row: Row | null): Promise<readonly Row[]> {
    if (row !== null && !this.selection.has(row.id)) return [row];
    return client.worker.rows(this.id, this.selection.ids as RunId[], []);
  }

  async tag(row: Row | null): Promise<void> {
    this.asked = { kind: 'tags', rows: await this.targets(row) };
  }

  note(row: Row): void {
    this.asked = { kind: 'notes', row };
  }

  async rename(row: Row, name: string): Promise<void> {
    await actions.change(
      name === '' ? `Took the name of ${row.name} away` : `Renamed ${row.name} to ${name}`,
      this.id,
      [row.id],
      [{ field: 'name', op: 'set', value: name === '' ? null : name }],
    );
  }

  /** Turns a switch for all targets: on unless all of them have it. */
  async turn(field: 'star' | 'archived' | 'trashed', row: Row | null): Promise<void> {
    const targets = await this.targets(row);
    const on = !targets.every((each) => each[field]);
    const verbs = {
      star: ['Starred', 'Took the star off'],
      archived: ['Archived', 'Took out of the archive:'],
      trashed: ['Moved to the trash:', 'Restored'],
    } as const;
    const whom = targets.length === 1 ? targets[0]!.name : count(targets.length, 'run');
    const change: Change = { field, op: 'set', value: on };
    if (
      await actions.change(
        `${verbs[field][on ? 0 : 1]} ${whom}`,
        this.id,
        targets.map(({ id }) => id),
        [change],
      )
    ) {
      if (field !== 'star') this.selectNone();
    }
  }

  async askPurge(row: Row | null): Promise<void> {
    this.asked = { kind: 'purge', rows: await this.targets(row) };
  }

  async purge(rows: readonly Row[]): Promise<void> {
    this.selectNone();
    await actions.change(
      `Purged ${rows.length === 1 ? rows[0]!.name : count(rows.length, 'run')}`,
      this.id,
      rows.map(({ id }) => id),
      [{ field: 'purge', op: 'set', value: true }],
    );
  }

  compare(): void {
    router.go(compareHref(this.id, this.selection.ids.slice(0, 50)));
  }

  open(row: Row): void {
    router.go(runHref(row.id));
  }

  filterByTag(tag: string): void {
    const term = `tags has ${JSON.stringify(tag)}`;
    if (!this.query.includes(term)) this.query = this.query.trim() === '' ? term : `${this.query} and ${term}`;
  }

  /** A single key on a row; false when it means nothing. */
  key(key: string, row: Row): boolean {
    const does: Readonly<Record<string, () => void>> = {
      t: () => void this.tag(row),
      n: () => this.note(row),
      s: () => void this.turn('star', row),
      e: () => void this.turn('archived', row),
      Delete: () => void this.turn('trashed', row),
      F2: () => (this.renaming = row.id),
      c: () => this.selection.size > 1 && this.compare(),
    };
    does[key]?.();
    return does[key] !== undefined;
  }

  async #indexOf(id: string): Promise<number> {
    const near = this.rows.find(id);
    if (near !== undefined) return near.index;
    return (await this.rows.ids(0, this.rows.total)).indexOf(id as RunId);
  }

  async #readColumns(): Promise<void> {
    this.columns.infos = await client.worker.columns(this.id);
  }

  #readColumnsSoon(): void {
    clearTimeout(this.#columnTimer);
    this.#columnTimer = setTimeout(() => void this.#readColumns(), 300);
  }
}
