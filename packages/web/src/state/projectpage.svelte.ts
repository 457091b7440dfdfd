import type { ProjectId, RunId } from '@fieldbook/core';
import { LIMITS } from '@fieldbook/core';
import { count } from '../app/format.ts';
import { compareHref, projectHref, runHref } from '../app/routes.ts';
import type { Shape, ViewState } from '../app/viewstate.ts';
import {
  ALL,
  clickSort,
  MOST_LEVELS,
  NEWEST_FIRST,
  readViewState,
  SELECTED_IN_ADDRESS,
  USUAL_CHARTS,
  USUAL_VIEW,
  writeViewState,
} from '../app/viewstate.ts';
import { gestureOf } from '../charts/address.ts';
import { assignColours } from '../charts/colours.ts';
import { whyOf } from '../charts/why.ts';
import type { Drawer, Row, SortKey, View } from '../worker/api.ts';
import type { GroupCharted, GroupLine, GroupsCharted, Layout, SummaryKind } from '../worker/groups-api.ts';
import type { SavedView } from '../worker/views-api.ts';
import { actions } from './actions.svelte.ts';
import { client } from './client.svelte.ts';
import { Columns, words } from './columns.svelte.ts';
import { ownCharts, Persisted } from './persisted.svelte.ts';
import { ProjectEdits } from './projectedits.svelte.ts';
import { ProjectSelection } from './projectselection.svelte.ts';
import { ProjectViews } from './projectviews.svelte.ts';
import { router } from './router.svelte.ts';
import type { Selection } from './selection.ts';
import { RowWindow } from './window.svelte.ts';

/** Runs drawn when nothing is selected: the top of the table. */
const CHARTED_UNASKED = 8;
/** More lines than this tell nothing. */
const CHARTED_MOST = 50;
/** Groups that lines are drawn of: as many as there are colours. */
const GROUPS_CHARTED = 10;
/** Groups that charts of single values show: a bar each, which nobody reads more of. */
const GROUPS_MOST = 500;
const GROUPS_REST_MS = 1_500;
const SHAPE_WORDS: Readonly<Record<Shape, string>> = {
  table: 'Showed the table only',
  both: 'Showed the table and the charts',
  charts: 'Showed the charts only',
};

/** What of a page a person sets and can take back. */
type Settings = Pick<ViewState, 'query' | 'sort' | 'drawer' | 'by' | 'summary' | 'open' | 'charts'>;

interface Snapshot {
  set: Settings;
  linked: Columns['linked'];
  view: string | null;
  shape: Shape | null;
  ownShape: Shape;
  selection: Selection;
}

/** Everything that a project's page knows and does; the components show it. What is done to runs is in `edits`, saved views are in `views`. */
export class ProjectPage {
  readonly id: ProjectId;
  query = $state('');
  sort = $state.raw<readonly SortKey[]>([]);
  drawer = $state<Drawer>('runs');
  by = $state.raw<readonly string[]>([]);
  summary = $state<SummaryKind>('mean');
  open = $state.raw<readonly string[] | 'all'>([]);
  /** What is set about charts, as the address says it. */
  charts = $state('');
  /** Another shape than one's own, for as long as this page is open. */
  #linkedShape = $state<Shape | null>(null);
  readonly #ownShape = new Persisted<Shape>('shape', 'both');
  readonly columns: Columns;
  readonly rows: RowWindow;
  readonly edits: ProjectEdits;
  readonly views: ProjectViews;
  readonly selected: ProjectSelection;
  readonly view: View = $derived.by(() => ({
    drawer: this.drawer,
    query: this.query,
    sort: this.sort.map(({ column, descending }) => ({ column: this.columns.asked(column), descending })),
  }));
  readonly layout: Layout | null = $derived(
    this.by.length === 0 ? null : { ...this.view, by: this.by, summary: this.summary, open: this.open },
  );
  readonly asked: readonly (string | null)[] = $derived.by(() => this.columns.shown.map(({ asked }) => asked));
  /** Runs on the charts: those selected, else the first of the table. */
  readonly charted: readonly RunId[] = $derived.by(() => {
    const now = this.#chartedNow();
    // The same runs are the same array: the table answers anew whenever a run grows, and charts would begin anew.
    return (this.#charted = isSame(this.#charted, now) ? this.#charted : now);
  });
  #charted: readonly RunId[] = [];
  #groups = $state.raw<GroupsCharted | null>(null);
  /** Groups of the table, at most `GROUPS_MOST`; of a selection, its runs in them. Null without any. */
  readonly allGroups: GroupsCharted | null = $derived.by(() => {
    if (this.by.length === 0 || this.#groups === null) return null;
    if (this.selection.size === 0) return this.#groups.groups.length === 0 ? null : this.#groups;
    const groups = this.#groups.groups
      .map((group) => ({ ...group, runs: group.runs.filter((run) => this.selection.has(run)) }))
      .filter(({ runs }) => runs.length > 0);
    // What is selected elsewhere has lines of its own.
    return groups.length === 0 ? null : { groups, total: groups.length };
  });
  /** Groups that lines are drawn of. */
  readonly groups: readonly GroupCharted[] | null = $derived(this.allGroups?.groups.slice(0, GROUPS_CHARTED) ?? null);
  /** Which runs the charts are of, in words. */
  readonly why: string = $derived.by(() => {
    const { groups, allGroups, selection, charted } = this;
    return whyOf({ groups, total: allGroups?.total ?? 0, selected: selection.size, runs: charted.length });
  });
  /** By run, or by group where there are groups. */
  readonly colours: ReadonlyMap<string, number> = $derived(
    assignColours((this.groups?.map(({ id }) => id) ?? this.charted) as RunId[]),
  );
  #lastTop: readonly RunId[] = [];
  /** The address selects runs, and which those are is not known yet: no others are drawn meanwhile. */
  selecting = $state(false);
  #closed = false;
  /** The address has been read: only now it may be written. */
  #ready = $state(false);
  readonly #stop: () => void;
  #columnTimer: ReturnType<typeof setTimeout> | undefined;
  #groupTimer: ReturnType<typeof setTimeout> | undefined;

  #chartedNow(): readonly RunId[] {
    if (this.selection.size > 0) return this.selection.ids.slice(0, CHARTED_MOST) as RunId[];
    if (this.groups !== null) return this.groups.flatMap(({ runs }) => runs.slice(0, 5)).slice(0, CHARTED_MOST);
    return this.rows.first === 0 ? this.rows.rows.slice(0, CHARTED_UNASKED).map(({ id }) => id) : this.#lastTop;
  }

  constructor(id: ProjectId) {
    this.id = id;
    this.columns = new Columns(id);
    this.edits = new ProjectEdits(this);
    this.views = new ProjectViews(this);
    this.selected = new ProjectSelection(this);
    const state = readViewState(router.search);
    this.selecting = state.selected.length > 0;
    this.#take(state);
    this.rows = new RowWindow(id, this.#shown());
    this.#stop = client.follow((change) => {
      if (change.project !== id) return;
      if (!change.live) {
        this.#readColumnsSoon();
        void this.selected.find();
      }
      if (this.#groups !== null) this.readGroupsSoon();
      this.selected.lookSoon();
    });
    void this.#start(state.selected);
  }

  close(): void {
    this.#closed = true;
    this.#stop();
    clearTimeout(this.#columnTimer);
    clearTimeout(this.#groupTimer);
    this.selected.close();
    this.rows.close();
  }

  async #start(selected: ViewState['selected']): Promise<void> {
    // Charts say one's own settings by themselves, sooner or later than the views are there.
    const asked = (): string => writeViewState({ ...this.state, charts: '', selected: [] });
    const before = asked();
    await this.views.read();
    // Somebody may have begun to ask meanwhile.
    if (router.search === '' && asked() === before) this.views.openUsual();
    try {
      await this.#readColumns();
      await client.worker.openProject(this.id);
      await this.#readColumns();
      if (selected.length > 0) await this.selected.take(selected);
      this.#ready = true;
    } finally {
      this.selecting = false;
    }
  }

  /** Tells the table what to show; called whenever any of it changes. */
  ask(): void {
    this.rows.show(this.#shown());
  }

  #shown(): Parameters<RowWindow['show']>[0] {
    return { view: this.view, layout: this.layout, columns: this.asked };
  }

  get selection(): Selection {
    return this.selected.current;
  }

  // ---- the address

  get state(): ViewState {
    const { query, sort, drawer, by, summary, open, charts, columns } = this;
    const { pinned, varying } = columns.choice;
    return {
      query,
      sort,
      drawer,
      by,
      summary,
      open,
      charts,
      selected: this.selected.said,
      columns: columns.said,
      pinned,
      varying,
      shape: this.#linkedShape,
    };
  }

  /** Writes the address; called whenever what is in it changes. */
  writeAddress(): void {
    const search = writeViewState(this.state);
    if (!this.#ready) return;
    this.selected.keep();
    router.replaceSearch(search);
  }

  /** The back button, or a link to the same project. */
  readAddress(search: string): void {
    if (!this.#ready || search === writeViewState(this.state)) return;
    const state = readViewState(search);
    this.#take(state);
    void this.selected.take(state.selected);
  }

  /** All that is shown, also what is as usual: for others, who have choices of their own. */
  get whole(): ViewState {
    return { ...this.state, columns: this.columns.ids, shape: this.shape };
  }

  /** The page as a link for others: with the whole selection as far as a link has room. */
  linkTarget(): { target: string; lacks: string | null } {
    const state = this.whole;
    const whole = projectHref(this.id) + writeViewState(state, Infinity, true);
    if (whole.length <= LIMITS.addressLength) return { target: whole, lacks: null };
    const without = projectHref(this.id) + writeViewState({ ...state, selected: [] }, 0, true);
    return {
      target: without,
      lacks: `${count(this.selection.size, 'selected run')} are too many for a link, which has room for about 1,400: it has everything else of this page.`,
    };
  }

  /** `whole`: what is not said is as usual, not as whoever looks has it. */
  #take(state: ViewState, whole = false): void {
    this.#apply(state);
    const { columns, pinned, varying } = state;
    this.columns.link(columns === null && !varying && !whole ? null : { columns, pinned, varying });
    if (state.shape !== null) this.#linkedShape = state.shape;
  }

  #apply(state: Settings): void {
    this.query = state.query;
    this.sort = state.sort;
    this.drawer = state.drawer;
    this.by = state.by;
    this.summary = state.summary;
    this.open = state.open;
    this.charts = state.charts;
  }

  // ---- what is shown; each is one step to undo

  /** Makes a change of the view that Ctrl+Z takes back, also from another page. */
  step(what: string, change: () => void, kind?: string): void {
    const before = this.#snapshot();
    change();
    const after = this.#snapshot();
    const same = ({ selection: _selection, ...rest }: Snapshot): string => JSON.stringify(rest);
    if (before.selection === after.selection && same(before) === same(after)) return;
    actions.did({
      what,
      ...(kind === undefined ? {} : { kind }),
      undo: () => this.#restore(after, before),
      redo: () => this.#restore(before, after),
    });
  }

  #snapshot(): Snapshot {
    const { query, sort, drawer, by, summary, open, charts } = this;
    return {
      set: { query, sort, drawer, by, summary, open, charts },
      linked: this.columns.linked,
      view: this.views.opened,
      shape: this.#linkedShape,
      ownShape: this.#ownShape.current,
      selection: this.selection,
    };
  }

  /** Goes from one of two snapshots to the other: what a step left alone stays as it is by now. */
  #restore(from: Snapshot, to: Snapshot): void {
    this.#apply(to.set);
    this.columns.link(to.linked);
    this.views.opened = to.view;
    if (to.shape !== from.shape) this.#linkedShape = to.shape;
    if (to.ownShape !== from.ownShape) this.#ownShape.current = to.ownShape;
    if (to.selection !== from.selection) this.selected.current = to.selection;
    if (!this.#closed) return;
    this.selected.keep();
    // The page that it opens has no memory of what one's own charts were: they are said, also as usual.
    router.go(projectHref(this.id) + writeViewState(this.state, SELECTED_IN_ADDRESS, true));
  }

  /** Shows what a saved view says, the selection aside. */
  openView(what: string, { search, id }: SavedView): void {
    this.step(what, () => this.openQuietly(search, id));
  }

  /** As an address does it: nothing to undo, for nobody did it. */
  openQuietly(search: string, view: string): void {
    const state = readViewState(search);
    this.#take(state.charts === '' ? { ...state, charts: USUAL_CHARTS } : state, true);
    this.views.opened = view;
  }

  /** Back to all runs and to one's own choices. */
  leaveView(): void {
    this.step('Left the saved view', () => {
      // By their name: with nothing said, charts that were shown before would come back, whoever set them.
      this.#take({ ...USUAL_VIEW, charts: ownCharts(this.id).current });
      this.#linkedShape = null;
      this.views.opened = null;
    });
  }

  setQuery(query: string, what = query.trim() === '' ? 'Cleared the query' : `Asked for ${query}`): void {
    this.step(what, () => (this.query = query), 'query');
  }

  /** A brush on a chart: the query that it makes, and the charts with it. */
  brush(query: string, charts: string): void {
    this.step(
      query.trim() === '' ? 'Cleared the query' : `Asked for ${query}`,
      () => {
        this.query = query;
        this.charts = charts;
      },
      'brush',
    );
  }

  /** Asks for what is asked and for this, too. */
  async refine(term: string): Promise<void> {
    const query = await client.worker.refine(this.id, this.query, term);
    this.step(`Asked for ${term}, too`, () => (this.query = query));
  }

  setDrawer(drawer: Drawer): void {
    this.step(`Went to the ${drawer}`, () => {
      this.drawer = drawer;
      this.selected.clear();
    });
  }

  /** `asked`: somebody did it; else the charts say what they begin with. */
  setCharts(charts: string, asked: boolean): void {
    if (!asked) {
      this.charts = charts;
      return;
    }
    const gesture = gestureOf(this.charts, charts);
    this.step('Changed the charts', () => (this.charts = charts), gesture === null ? undefined : `charts: ${gesture}`);
  }

  click(column: string, more: boolean): void {
    const numeric =
      column.startsWith('m:') ||
      column === 'created' ||
      column === 'updated' ||
      column === 'duration' ||
      column === 'runs';
    this.sortBy(clickSort(this.sort, column, more, numeric));
  }

  sortBy(sort: readonly SortKey[]): void {
    this.step(`Sorted by ${sort.map(({ column }) => words(column)).join(', ')}`, () => (this.sort = sort));
  }

  groupBy(by: readonly string[]): void {
    const levels = by.slice(0, MOST_LEVELS);
    this.step(
      levels.length === 0 ? 'Ungrouped the runs' : `Grouped the runs by ${levels.map(words).join(', ')}`,
      () => {
        this.by = levels;
        this.open = [];
        if (levels.length === 0)
          this.sort = this.sort.some(({ column }) => column === 'runs') ? NEWEST_FIRST : this.sort;
      },
    );
  }

  summarise(summary: SummaryKind): void {
    this.step('Changed what groups say of a column', () => (this.summary = summary));
  }

  /** Opens a group, or closes it. */
  turnGroup(group: Pick<GroupLine, 'id' | 'open'>): void {
    const named = this.open === 'all' ? [ALL] : this.open;
    // Named are those open, or after a `*` those closed.
    const name = group.open === (named[0] === ALL);
    const next = name ? [...named, group.id] : named.filter((id) => id !== group.id);
    this.step(group.open ? 'Closed a group' : 'Opened a group', () => {
      this.open = next.length === 1 && next[0] === ALL ? 'all' : next;
    });
  }

  turnAllGroups(open: boolean): void {
    this.step(open ? 'Opened all groups' : 'Closed all groups', () => (this.open = open ? 'all' : []));
  }

  get shape(): Shape {
    return this.#linkedShape ?? this.#ownShape.current;
  }

  set shape(shape: Shape) {
    this.step(SHAPE_WORDS[shape], () => {
      this.#ownShape.current = shape;
      this.#linkedShape = shape === 'both' ? null : shape;
    });
  }

  noteTop(): void {
    if (this.rows.first === 0) this.#lastTop = this.rows.rows.slice(0, CHARTED_UNASKED).map(({ id }) => id);
  }

  // ---- the selected runs

  compare(): void {
    if (this.selection.size > 50) actions.say('Fifty runs are compared at most: the first fifty of the selection.');
    router.go(compareHref(this.id, this.selection.ids.slice(0, 50)));
  }

  openRun(row: Pick<Row, 'id'>): void {
    router.go(runHref(row.id));
  }

  // ---- what the worker says of the project

  async #readColumns(): Promise<void> {
    const [infos, goals] = await Promise.all([client.worker.columns(this.id), client.worker.goals(this.id)]);
    this.columns.infos = infos;
    this.columns.goals = goals;
  }

  #readColumnsSoon(): void {
    clearTimeout(this.#columnTimer);
    this.#columnTimer = setTimeout(() => void this.#readColumns(), 300);
  }

  /** Groups for the charts; asked for when the grouping changes and, now and then, when runs do. */
  async readGroups(): Promise<void> {
    const { layout } = this;
    if (layout === null) {
      this.#groups = null;
      return;
    }
    const groups = await client.worker.groupsCharted(this.id, { ...layout, open: [] }, GROUPS_MOST);
    if (layout === this.layout && !areSame(this.#groups, groups)) this.#groups = groups;
  }

  readGroupsSoon(): void {
    this.#groupTimer ??= setTimeout(() => {
      this.#groupTimer = undefined;
      void this.readGroups();
    }, GROUPS_REST_MS);
  }
}

function isSame<T>(before: readonly T[], after: readonly T[]): boolean {
  return before.length === after.length && after.every((each, place) => each === before[place]);
}

/** Whether groups are of the same runs in the same order, and are called the same. */
function areSame(before: GroupsCharted | null, after: GroupsCharted | null): boolean {
  if (before === null || after === null) return before === after;
  const { groups } = after;
  if (before.total !== after.total || before.groups.length !== groups.length) return false;
  return groups.every((group, place) => {
    const old = before.groups[place]!;
    return old.id === group.id && old.label === group.label && isSame(old.runs, group.runs);
  });
}
