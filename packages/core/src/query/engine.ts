import { FieldbookError } from '../errors.ts';
import type { RunState } from '../fold/state.ts';
import type { ProjectId, RunId } from '../ids.ts';
import type { Clock } from '../ports.ts';
import type { Series, SeriesRequest } from '../series/index.ts';
import type { Query } from './ast.ts';
import type { Cell } from './columns.ts';
import type { AggregateRequest, Summary } from './group.ts';
import type { SortKey } from './sort.ts';
import { RunTable } from './table.ts';

/**
 * Answers what pages and commands ask of a project, from the data here or from a server that has it.
 * - `table` answers for every change that was committed before it was called. Rejects with `query_syntax` and
 *   `query_type` as `parseQuery` throws them; an unknown project has no runs and is no error.
 * - `series` rejects with `invalid_argument` for a range that makes no sense.
 * - `watch` calls with the runs that changed, after `table` would show them; never again once its result was called.
 * - After `close`, `table` and `series` reject with `closed` and nobody is called.
 */
export interface QueryEngine {
  table(request: TableRequest): Promise<TableAnswer>;
  series(request: Omit<SeriesRequest, 'entries'> & { run: RunId }): Promise<Series>;
  watch(project: ProjectId, listener: (runs: ReadonlySet<RunId>) => void): () => void;
  close(): void;
}

export interface TableRequest {
  project: ProjectId;
  query?: Query | string;
  sort?: readonly SortKey[];
  offset?: number;
  limit?: number;
  /** Cells to answer with each run. */
  columns?: readonly string[];
  /** Groups to answer besides the runs. */
  by?: readonly string[];
  aggregates?: readonly AggregateRequest[];
  /** Minutes east of UTC for dates that name no zone. */
  zone?: number;
}

export interface TableAnswer {
  /** Runs that match, on all pages. */
  total: number;
  runs: readonly { id: RunId; cells: readonly Cell[] }[];
  groups: readonly GroupAnswer[] | null;
  /** Paths of the query that no run has. */
  unknown: readonly string[];
}

export interface GroupAnswer {
  key: readonly Cell[];
  runs: readonly RunId[];
  summaries: readonly (Omit<Summary, 'best'> & { best: RunId | null })[];
}

/** Where a local engine gets states from; the library is one. `run` answers for every change committed before. */
export interface RunSource {
  runs(project: ProjectId): Promise<readonly RunState[]>;
  run(project: ProjectId, id: RunId): Promise<RunState | undefined>;
  onChange(listener: (change: { project: ProjectId; runs: ReadonlySet<RunId> }) => void): () => void;
}

interface Followed {
  table: RunTable;
  /** Runs that changed since they were last read; null before the table was filled. */
  stale: Set<RunId> | null;
  /** Updates wait for the one before. */
  turn: Promise<void>;
}

/** A table of 100,000 runs takes about 140 MB; nobody looks at more projects than these at a time. */
const TABLES_KEPT = 4;
/** No run has it: asking for it brings a source up to date. */
const NOBODY = '' as RunId;

/** The engine over data that is here: a table per project, made when it is first asked for and kept up to date. */
export class LocalQueryEngine implements QueryEngine {
  readonly #source: RunSource;
  readonly #series: QueryEngine['series'];
  readonly #clock: Clock;
  readonly #tables = new Map<ProjectId, Followed>();
  readonly #watchers = new Set<{ project: ProjectId; listener: (runs: ReadonlySet<RunId>) => void }>();
  readonly #stop: () => void;
  #closed = false;

  constructor(options: { source: RunSource; series: QueryEngine['series']; clock: Clock }) {
    this.#source = options.source;
    this.#series = options.series;
    this.#clock = options.clock;
    this.#stop = this.#source.onChange(({ project, runs }) => {
      const stale = this.#tables.get(project)?.stale;
      for (const run of runs) stale?.add(run);
      for (const watcher of this.#watchers) {
        if (watcher.project === project) watcher.listener(runs);
      }
    });
  }

  async table(request: TableRequest): Promise<TableAnswer> {
    this.#open();
    const { project, columns = [], by, aggregates = [], ...rest } = request;
    const table = await this.#upToDate(project);
    const select = { ...rest, now: this.#clock.now() };
    const found =
      by === undefined ? { ...table.select(select), groups: null } : table.group({ ...select, by, aggregates });
    const id = (row: number): RunId => table.id(row)!;
    const cells = table.values(found.rows, columns, select);
    return {
      total: found.total,
      unknown: found.unknown.map(({ text }) => text),
      runs: Array.from(found.rows, (row, index) => ({ id: id(row), cells: cells[index]! })),
      groups:
        found.groups?.map(({ key, rows, summaries }) => ({
          key,
          runs: Array.from(rows, id),
          summaries: summaries.map((summary) => ({
            ...summary,
            best: summary.best === null ? null : id(summary.best),
          })),
        })) ?? null,
    };
  }

  async series(request: Parameters<QueryEngine['series']>[0]): Promise<Series> {
    this.#open();
    return this.#series(request);
  }

  watch(project: ProjectId, listener: (runs: ReadonlySet<RunId>) => void): () => void {
    const watcher = { project, listener };
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  close(): void {
    this.#closed = true;
    this.#stop();
    this.#watchers.clear();
    this.#tables.clear();
  }

  #open(): void {
    if (this.#closed) throw new FieldbookError('closed', 'The query engine is closed.');
  }

  async #upToDate(project: ProjectId): Promise<RunTable> {
    const followed = this.#tables.get(project) ?? { table: new RunTable(), stale: null, turn: Promise.resolve() };
    // Last in the map is the one used last.
    this.#tables.delete(project);
    this.#tables.set(project, followed);
    for (const other of this.#tables.keys()) {
      if (this.#tables.size <= TABLES_KEPT) break;
      this.#tables.delete(other);
    }
    followed.turn = followed.turn.catch(() => undefined).then(() => this.#update(project, followed));
    await followed.turn;
    return followed.table;
  }

  async #update(project: ProjectId, followed: Followed): Promise<void> {
    if (followed.stale === null) {
      // From here on: a change told between the answer and its arrival must not be lost.
      followed.stale = new Set();
      try {
        for (const state of await this.#source.runs(project)) followed.table.upsert(state);
      } catch (error) {
        followed.stale = null;
        throw error;
      }
      return;
    }
    await this.#source.run(project, NOBODY);
    for (const run of followed.stale) {
      followed.stale.delete(run);
      let state: RunState | undefined;
      try {
        state = await this.#source.run(project, run);
      } catch (error) {
        followed.stale.add(run);
        throw error;
      }
      if (state === undefined) followed.table.remove(run);
      else followed.table.upsert(state);
    }
  }
}
