import type { RunState } from '../fold/state.ts';
import type { AttributePath, RunId } from '../ids.ts';
import type { Path, Query } from './ast.ts';
import { pathsOf } from './ast.ts';
import { Bitset } from './bitset.ts';
import type { Cell, Column } from './columns.ts';
import { AttributeColumn, cellAt, MetricColumn, NO_VALUES } from './columns.ts';
import type { QuerySchema } from './complete.ts';
import { evaluate } from './evaluate.ts';
import { FieldColumns } from './field-columns.ts';
import type { AggregateRequest, Group } from './group.ts';
import { groupRows } from './group.ts';
import type { TimeFrame } from './literal.ts';
import { parseQuery } from './parse.ts';
import type { Known, Reference } from './reference.ts';
import { resolveColumn, resolvePath } from './reference.ts';
import type { SortKey } from './sort.ts';
import { sortRows } from './sort.ts';
import type { ColumnInfo, ColumnStats } from './stats.ts';
import { attributeInfo, kindsOf, metricInfo, statsOf, VALUES_LISTED } from './stats.ts';

export interface SelectRequest extends TimeFrame {
  /** A query or its text; all runs without one. */
  query?: Query | string;
  /** The most important column first; the newest run first without any. Equal runs are in the order of their ids. */
  sort?: readonly SortKey[];
  offset?: number;
  limit?: number;
}

/** Rows are places in the table: good until the next `upsert` or `remove`, see `RunTable.version`. */
export interface Selection {
  /** Those of the page asked for, in order. */
  rows: Uint32Array;
  /** Rows that match, on all pages. */
  total: number;
  /** Paths of the query that no run has: most often a mistyped name. */
  unknown: readonly Path[];
}

export interface GroupRequest extends SelectRequest {
  by: readonly string[];
  aggregates?: readonly AggregateRequest[];
}

export interface GroupedSelection extends Selection {
  groups: readonly Group[];
}

const NEWEST_FIRST: readonly SortKey[] = [{ column: 'created', descending: true }];

/**
 * The runs of a project as columns: filters, sorts and groups 100,000 of them while somebody types. Fed with folded
 * states one by one, of which it keeps nothing but the values. Columns are named by ids (`created`, `a:params/lr`,
 * `m:val/acc.max`) or by what people type (`params/lr`, `val/acc.max`); docs/query.md says how that is resolved.
 */
export class RunTable implements Known {
  readonly #rowOf = new Map<RunId, number>();
  readonly #ids: (RunId | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #live = new Bitset();
  readonly #fields = new FieldColumns();
  readonly #attributes = new Map<string, AttributeColumn>();
  readonly #metrics = new Map<string, MetricColumn>();
  #version = 0;

  /** A table of many states at once. */
  static from(states: Iterable<RunState>): RunTable {
    const table = new RunTable();
    for (const state of states) table.upsert(state);
    return table;
  }

  /** Runs in the table. */
  get size(): number {
    return this.#rowOf.size;
  }

  /** Rises with every change; rows and selections of another version mean nothing. */
  get version(): number {
    return this.#version;
  }

  /** Takes in a run's state in place of the one before. Purged runs and runs without a card are taken out. */
  upsert(state: RunState): void {
    if (state.purged || !state.known) {
      this.remove(state.id);
      return;
    }
    this.#version += 1;
    let row = this.#rowOf.get(state.id);
    if (row === undefined) {
      row = this.#free.pop() ?? this.#ids.length;
      this.#rowOf.set(state.id, row);
      this.#ids[row] = state.id;
      this.#live.add(row);
    } else this.#clearOthers(row, state);
    this.#fields.set(row, state);
    for (const [path, value] of state.attributes) this.#attribute(path).set(row, value);
    for (const [path, summary] of state.metrics) this.#metric(path).set(row, summary);
  }

  /** Takes a run out; one that is not in it is no error. */
  remove(id: RunId): void {
    const row = this.#rowOf.get(id);
    if (row === undefined) return;
    this.#version += 1;
    this.#clearOthers(row);
    this.#fields.clear(row);
    this.#rowOf.delete(id);
    this.#ids[row] = undefined;
    this.#live.delete(row);
    this.#free.push(row);
  }

  /** The run of a row. */
  id(row: number): RunId | undefined {
    return this.#ids[row];
  }

  /** The row of a run. */
  row(id: RunId): number | undefined {
    return this.#rowOf.get(id);
  }

  /** A cell; undefined when the run has none. `frame.now` ends the duration of a run that is running. */
  value(row: number, column: string, frame: TimeFrame): Cell {
    return cellAt(this.#resolve(column, frame), row);
  }

  /** Cells of several rows, a column at a time: what a window of the table shows. */
  values(rows: ArrayLike<number>, columns: readonly string[], frame: TimeFrame): Cell[][] {
    const found = columns.map((column) => this.#resolve(column, frame));
    return Array.from(rows, (row) => found.map((column) => cellAt(column, row)));
  }

  /** Cells of one column by row: what charts of many runs read. */
  cells(rows: ArrayLike<number>, column: string, frame: TimeFrame): Cell[] {
    const found = this.#resolve(column, frame);
    return Array.from(rows, (row) => cellAt(found, row));
  }

  /** Rows that match, sorted. Throws `query_syntax` and `query_type`. */
  select(request: SelectRequest): Selection {
    const query = typeof request.query === 'string' ? parseQuery(request.query) : request.query;
    const rows = this.#matching(query, request);
    const sort = request.sort === undefined || request.sort.length === 0 ? NEWEST_FIRST : request.sort;
    sortRows(
      rows,
      sort.map(({ column, descending }) => ({
        column: this.#resolve(column, request),
        descending: descending === true,
      })),
    );
    const offset = Math.max(0, request.offset ?? 0);
    const page =
      request.limit === undefined && offset === 0
        ? rows
        : rows.subarray(offset, offset + (request.limit ?? rows.length));
    const unknown = query === undefined ? [] : pathsOf(query).filter((path) => !this.#exists(path));
    return { rows: page, total: rows.length, unknown };
  }

  /** The same, and the matching rows in groups. `offset` and `limit` are those of `rows`; groups hold all that match. */
  group(request: GroupRequest): GroupedSelection {
    const { offset, limit, ...rest } = request;
    const all = this.select(rest);
    const by = request.by.map((column) => this.#resolve(column, request));
    const aggregates = (request.aggregates ?? []).map(({ column, goal }) => ({
      column: this.#resolve(column, request),
      ...(goal === undefined ? {} : { goal }),
    }));
    const groups = groupRows(all.rows, by, aggregates);
    const from = Math.max(0, offset ?? 0);
    return { ...all, rows: all.rows.subarray(from, from + (limit ?? all.total)), groups };
  }

  /** Attributes and metrics that any run has, by path; metrics once per aggregate. Fields are in `FIELDS`. */
  columns(): ColumnInfo[] {
    const infos: ColumnInfo[] = [];
    for (const [path, column] of this.#attributes) if (column.filled > 0) infos.push(attributeInfo(path, column));
    for (const [path, column] of this.#metrics) if (column.filled > 0) infos.push(...metricInfo(path, column));
    return infos.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  }

  /** Extremes and distinct values of one column. */
  stats(column: string, frame: TimeFrame): ColumnStats {
    return statsOf(this.#resolve(column, frame), this.#live, this.#ids.length);
  }

  /** What completion needs to know of the runs. */
  schema(frame: TimeFrame): QuerySchema {
    const found = (path: Path): Column => this.#column(resolvePath(path, this), frame) ?? NO_VALUES;
    return {
      attributes: [...this.#attributes].flatMap(([path, column]) =>
        column.filled > 0 ? [{ path, kinds: kindsOf(column), filled: column.filled }] : [],
      ),
      metrics: [...this.#metrics].flatMap(([path, { filled }]) => (filled > 0 ? [{ path, filled }] : [])),
      kinds: (path) => kindsOf(found(path)),
      values: (path) => {
        const column = found(path);
        // Of a list, its elements are what a query names.
        if (column.lists === null) return statsOf(column, this.#live, this.#ids.length).values;
        const elements = [...column.lists.elements()].sort((a, b) => b[1] - a[1]);
        return elements.slice(0, VALUES_LISTED).map(([value, runs]) => ({ value, runs }));
      },
    };
  }

  /** Tags in use with the number of runs that have each, most used first. */
  tags(): [tag: string, runs: number][] {
    return [...this.#fields.lists.tags.elements()].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  }

  hasAttribute(path: string): boolean {
    return (this.#attributes.get(path)?.filled ?? 0) > 0;
  }

  hasMetric(path: string): boolean {
    return (this.#metrics.get(path)?.filled ?? 0) > 0;
  }

  /** Matching rows in the order of their run ids, which breaks every tie of a sort. */
  #matching(query: Query | undefined, frame: TimeFrame): Uint32Array {
    const size = this.#ids.length;
    const live = new Bitset(size).or(this.#live);
    const found =
      query === undefined
        ? live
        : evaluate(
            query,
            { size, live, column: (path) => this.#column(resolvePath(path, this), frame), ...this.#fields.searched },
            frame,
          );
    const rows = new Uint32Array(found.count());
    let count = 0;
    for (const row of this.#fields.rowsById(this.#rowOf)) if (found.has(row)) rows[count++] = row;
    return rows;
  }

  #exists(path: Path): boolean {
    const reference = resolvePath(path, this);
    if (reference === undefined) return false;
    if (reference.source === 'field') return true;
    return reference.source === 'attribute' ? this.hasAttribute(reference.path) : this.hasMetric(reference.path);
  }

  #resolve(id: string, frame: TimeFrame): Column {
    return this.#column(resolveColumn(id, this), frame) ?? NO_VALUES;
  }

  #column(reference: Reference | undefined, frame: TimeFrame): Column | undefined {
    switch (reference?.source) {
      case undefined:
        return undefined;
      case 'field':
        return this.#fields.column(reference.field, frame.now);
      case 'attribute':
        return this.#attributes.get(reference.path);
      case 'metric': {
        const metric = this.#metrics.get(reference.path);
        return metric === undefined ? undefined : { ...NO_VALUES, numbers: metric[reference.aggregate] };
      }
    }
  }

  /** Takes a row out of every column, or of those that its new state no longer has. */
  #clearOthers(row: number, state?: RunState): void {
    for (const [path, column] of this.#attributes) {
      if (state?.attributes.has(path as AttributePath) !== true) column.clear(row);
    }
    for (const [path, column] of this.#metrics) {
      if (state?.metrics.has(path as AttributePath) !== true) column.clear(row);
    }
  }

  #attribute(path: string): AttributeColumn {
    let column = this.#attributes.get(path);
    if (column === undefined) this.#attributes.set(path, (column = new AttributeColumn()));
    return column;
  }

  #metric(path: string): MetricColumn {
    let column = this.#metrics.get(path);
    if (column === undefined) this.#metrics.set(path, (column = new MetricColumn()));
    return column;
  }
}
