import type { ProjectId, RunId } from '@fieldbook/core';
import type { QueryProblem, Row, View } from '../worker/api.ts';
import type { Layout, Line, Lines } from '../worker/groups-api.ts';
import { client } from './client.svelte.ts';
import { sameLines } from './lines.ts';
import { Repeated } from './repeated.ts';

/** Lines asked for beyond each end of what is visible: a flick of the wheel stays inside. */
const AHEAD = 60;
/** While somebody scrolls: beyond the end that they go to, beyond the other, and how near to the first the next ones are asked for. */
const ONWARD = 160;
const BEHIND = 30;
const NEAR = 100;
/** Between two questions that nobody's hand asked for: runs that speak all the time leave time for everything else. */
const REST_MS = 150;

/** What a table shows: the view, and how its runs are grouped, null for not at all. */
export interface Shown {
  view: View;
  layout: Layout | null;
  /** By place of the table's columns; null for one that the worker has nothing for. */
  columns: readonly (string | null)[];
}

/** Where the table is, told by who is there: data that comes in above must not move what somebody looks at. */
export interface Holder {
  /** The line at the top of the table, unless that is its very beginning; then lines that the page follows besides. */
  places: () => readonly string[];
  /** Where those lines are now, just before the answer is shown. Returns by how many lines the first visible one moves. */
  settle: (places: readonly (number | null)[], sameView: boolean) => number;
  /** The answer is shown. */
  settled: () => void;
}

/**
 * The lines of a table that are near the visible ones. The worker has all of them; this asks for a window, keeps the
 * last answer while the next one comes, and asks again when runs change.
 */
export class RowWindow {
  lines = $state.raw<readonly Line[]>([]);
  /** Runs among them, in order. */
  readonly rows: readonly Row[] = $derived(this.lines.flatMap((line) => (line.kind === 'run' ? line.row : [])));
  first = $state(0);
  /** Lines, and runs that match. */
  total = $state(0);
  runs = $state(0);
  /** On the outermost level; 0 while the table is not grouped. */
  groups = $state(0);
  /** Runs in the drawer. */
  all = $state(0);
  error = $state.raw<QueryProblem | null>(null);
  /** The query that the rows answer; while one is typed, the one before for a moment. */
  query = $state('');
  /** Books are still coming. */
  loading = $state(true);
  /** At least one answer has come. */
  answered = $state(false);
  holder: Holder | null = null;
  readonly #project: ProjectId;
  #shown: Shown;
  /** The question that the lines here answer: view and grouping, not which of them. */
  answeredTo = $state('');
  #wanted = { first: 0, count: 40 };
  /** Lines that the question under way asks for. */
  #asked = { first: 0, end: 0 };
  /** Where the scrolling goes: up, down, or nowhere yet. */
  #going: -1 | 0 | 1 = 0;
  readonly #asking = new Repeated(() => this.#ask());
  #lastAsked = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stop: () => void;

  constructor(project: ProjectId, shown: Shown) {
    this.#project = project;
    this.#shown = shown;
    this.#stop = client.follow((change) => {
      if (change.project === project) this.#refreshSoon();
    });
    this.refresh();
  }

  close(): void {
    this.#stop();
    clearTimeout(this.#timer);
  }

  line(index: number): Line | undefined {
    return this.lines[index - this.first];
  }

  row(index: number): Row | undefined {
    const line = this.line(index);
    return line?.kind === 'run' ? line.row : undefined;
  }

  find(id: string): { index: number; line: Line } | undefined {
    const at = this.lines.findIndex((line) => line.id === id);
    return at === -1 ? undefined : { index: this.first + at, line: this.lines[at]! };
  }

  show(shown: Shown): void {
    this.#shown = shown;
    this.refresh();
  }

  /** These lines are visible. */
  want(first: number, count: number): void {
    if (first !== this.#wanted.first) this.#going = first < this.#wanted.first ? -1 : 1;
    this.#wanted = { first, count };
    // A scroll that comes near to the end of what is here asks before it gets there.
    const start = Math.max(0, first - (this.#going < 0 ? NEAR : 0));
    const end = Math.min(first + count + (this.#going > 0 ? NEAR : 0), this.total);
    if (this.answered && start >= this.first && end <= this.first + this.lines.length) return;
    if (this.#asking.isAsking && start >= this.#asked.first && end <= this.#asked.end) return;
    this.refresh();
  }

  /** Ids of runs on the lines between two places, wherever they are. */
  async ids(first: number, count: number): Promise<RunId[]> {
    const { view, layout } = this.#shown;
    return layout === null
      ? client.worker.idsOf(this.#project, view, first, count)
      : client.worker.lineRuns(this.#project, layout, first, count);
  }

  /** The place of a run or a group, wherever it is; null where it is not shown. */
  async placeOf(id: string): Promise<number | null> {
    return this.find(id)?.index ?? (await this.#request(0, 0, [id])).places[0] ?? null;
  }

  refresh(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    void this.#asking.run();
  }

  /** At once when nothing was asked lately: an edit of one's own is shown before anybody wonders. */
  #refreshSoon(): void {
    this.#timer ??= setTimeout(() => this.refresh(), Math.max(0, this.#lastAsked + REST_MS - performance.now()));
  }

  async #ask(): Promise<void> {
    this.#lastAsked = performance.now();
    const shown = this.#shown;
    const key = JSON.stringify([shown.view, shown.layout === null ? null : [shown.layout.by, shown.layout.summary]]);
    const places = this.holder?.places() ?? [];
    let { first, count } = this.#wanted;
    let window = await this.#requestAround(first, count, places);
    const shift = this.holder?.settle(window.places, key === this.answeredTo) ?? 0;
    if (shift !== 0) {
      this.#wanted = { first: Math.max(0, this.#wanted.first + shift), count: this.#wanted.count };
      ({ first, count } = this.#wanted);
      const end = Math.min(first + count, window.total);
      if (first < window.first || end > window.first + window.lines.length)
        window = await this.#requestAround(first, count, places);
    }
    this.answeredTo = key;
    this.query = shown.view.query;
    this.#take(window);
    this.holder?.settled();
  }

  #requestAround(first: number, count: number, places: readonly string[]): Promise<Lines> {
    const [above, below] = this.#going === 0 ? [AHEAD, AHEAD] : this.#going < 0 ? [ONWARD, BEHIND] : [BEHIND, ONWARD];
    const start = Math.max(0, first - above);
    this.#asked = { first: start, end: first + count + below };
    return this.#request(start, this.#asked.end - start, places);
  }

  async #request(first: number, count: number, places: readonly string[]): Promise<Lines> {
    const { view, layout, columns } = this.#shown;
    const part = { first, count, places, columns: columns.map((column) => column ?? '') };
    if (layout !== null) return client.worker.lines(this.#project, { ...layout, ...part });
    const window = await client.worker.window(this.#project, { ...view, ...part });
    return {
      ...window,
      runs: window.total,
      groups: 0,
      lines: window.rows.map((row) => ({ kind: 'run', id: row.id, depth: 0, group: null, row })),
      places: window.places ?? [],
    };
  }

  #take({ lines, first, total, runs, groups, all, error, loading }: Lines): void {
    this.lines = sameLines(this.lines, lines);
    this.first = first;
    this.total = total;
    this.runs = runs;
    this.groups = groups;
    this.all = all;
    this.error = error;
    this.loading = loading;
    this.answered = true;
  }
}
