import { FieldbookError, isFieldbookError } from '../errors.ts';
import type { RunState } from '../fold/state.ts';
import type { AttributePath, RunId } from '../ids.ts';
import type { MetricSummary } from '../record/index.ts';
import type { Path, Query } from './ast.ts';
import { pathsOf } from './ast.ts';
import { Bitset } from './bitset.ts';
import type { Cell, Column } from './columns.ts';
import { AttributeColumn, cellAt, MetricColumn, NO_VALUES } from './columns.ts';
import type { QuerySchema } from './complete.ts';
import type { TableDirectory } from './directory.ts';
import { IDS, makeDirectory, partOf, readDirectory } from './directory.ts';
import { evaluate } from './evaluate.ts';
import { FIELD_PARTS, FieldColumns } from './field-columns.ts';
import type { AggregateRequest, Group, Summary } from './group.ts';
import { groupRows, summarise } from './group.ts';
import type { TimeFrame } from './literal.ts';
import { parseQuery } from './parse.ts';
import type { PackedWords } from './part.ts';
import { PartReader, PartWriter, unreadable } from './part.ts';
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
  /** Made when first needed: a table that is only looked at needs no index of its 100,000 ids. */
  #index: Map<RunId, number> | null = new Map();
  #ids: (RunId | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #live = new Bitset();
  readonly #fields = new FieldColumns();
  readonly #attributes = new Map<string, AttributeColumn>();
  readonly #metrics = new Map<string, MetricColumn>();
  /** Columns that are stored and not read yet, by the name of their part, with what a list of columns says of them. */
  readonly #sealed = new Map<string, readonly ColumnInfo[]>();
  /** Parts that changed since they were last packed. */
  readonly #changed = new Set<string>([IDS, ...FIELD_PARTS]);
  readonly #note = (part: string): unknown => this.#changed.add(part);
  #version = 0;
  /** All rows in the order asked for last, for the next query that asks for it. */
  #sorted: { sort: string; version: number; rows: Uint32Array } | null = null;

  /** A table of many states at once. */
  static from(states: Iterable<RunState>): RunTable {
    const table = new RunTable();
    for (const state of states) table.upsert(state);
    return table;
  }

  /**
   * A table as `directory` described it, of which nothing is read yet: `needs` says which parts a request needs,
   * `unpack` takes them in. Throws `snapshot_unreadable`.
   */
  static sealed(directory: unknown): RunTable {
    const table = new RunTable();
    table.#changed.clear();
    for (const [part, infos] of readDirectory(directory)) table.#sealed.set(part, infos);
    return table;
  }

  /** What `sealed` needs to know of the parts: their names and the columns in each, as JSON. */
  directory(): TableDirectory {
    return makeDirectory(this.columns());
  }

  /** Parts that changed since they were last packed, those that are gone included. */
  get unpacked(): readonly string[] {
    return [...this.#changed];
  }

  /** The bytes of a part as it is now; null for a column that no run has any more. */
  pack(part: string): Uint8Array<ArrayBuffer> | null {
    this.#changed.delete(part);
    const into = new PartWriter();
    if (part === IDS) {
      const order = into.words(this.#fields.rowsById((id) => this.#rows.get(id)!));
      return into.finish({ ids: this.#ids.map((id) => id ?? null), order });
    }
    if (part.startsWith('f:')) return into.finish(this.#fields.pack(part, into));
    const path = part.slice(2);
    const column = part.startsWith('a:') ? this.#attributes.get(path) : this.#metrics.get(path);
    return column === undefined || column.filled === 0 ? null : into.finish(column.pack(into));
  }

  /** Every part counts as changed: what was packed is not kept. */
  unpackedAll(): void {
    for (const [part] of this.directory().parts) this.#changed.add(part);
  }

  /** Parts not read yet: all, or those that a request needs. `columns` are what `values` and `stats` will be asked. */
  needs(request?: Pick<GroupRequest, 'query' | 'sort'> & { columns?: readonly string[] }): string[] {
    if (this.#sealed.size === 0 || request === undefined) return [...this.#sealed.keys()];
    const needed = new Set([IDS, ...FIELD_PARTS]);
    const references = [...(request.columns ?? []), ...(request.sort ?? []).map(({ column }) => column)].map((id) =>
      resolveColumn(id, this),
    );
    const query = typeof request.query === 'string' ? parseQuery(request.query) : request.query;
    if (query !== undefined) references.push(...pathsOf(query).map((path) => resolvePath(path, this)));
    for (const reference of references)
      if (reference !== undefined && reference.source !== 'field') needed.add(partOf(reference.source, reference.path));
    return [...needed].filter((part) => this.#sealed.has(part));
  }

  /** Takes in a part that is not read yet; one that is, is left as it is. Throws `snapshot_unreadable`. */
  unpack(part: string, bytes: Uint8Array): void {
    if (!this.#sealed.has(part)) return;
    const from = new PartReader(bytes);
    try {
      if (part === IDS) this.#unpackIds(from);
      else if (part.startsWith('f:')) this.#fields.unpack(part, from);
      else if (part.startsWith('a:')) this.#attributes.set(part.slice(2), AttributeColumn.unpack(from));
      else this.#metrics.set(part.slice(2), MetricColumn.unpack(from));
    } catch (error) {
      // The checksum was right: another program wrote it that calls itself by the same format.
      throw isFieldbookError(error) ? error : unreadable(String(error));
    }
    this.#sealed.delete(part);
    this.#version += 1;
  }

  #unpackIds(from: PartReader): void {
    const { ids, order } = from.header as { ids: (RunId | null)[]; order: PackedWords };
    this.#ids = ids.map((id) => id ?? undefined);
    this.#index = null;
    for (let row = 0; row < ids.length; row++) {
      if (ids[row] === null) this.#free.push(row);
      else this.#live.add(row);
    }
    this.#fields.putIds(this.#ids, from.words(order));
  }

  get #rows(): Map<RunId, number> {
    if (this.#index === null) {
      this.#index = new Map();
      for (let row = 0; row < this.#ids.length; row++) {
        const id = this.#ids[row];
        if (id !== undefined) this.#index.set(id, row);
      }
    }
    return this.#index;
  }

  /** Runs in the table. */
  get size(): number {
    return this.#ids.length - this.#free.length;
  }

  /** Ids of all runs, in no order. */
  *ids(): Generator<RunId> {
    for (const id of this.#ids) if (id !== undefined) yield id;
  }

  /** Rises with every change; rows and selections of another version mean nothing. */
  get version(): number {
    return this.#version;
  }

  /**
   * Takes in a run's state in place of the one before. Purged runs and runs without a card are taken out. `sources`
   * name documents that hold records of it. All parts must be read before.
   */
  upsert(state: RunState, sources: readonly string[] = []): void {
    if (state.purged || !state.known) {
      this.remove(state.id);
      return;
    }
    this.#open();
    this.#version += 1;
    let row = this.#rows.get(state.id);
    if (row === undefined) {
      row = this.#free.pop() ?? this.#ids.length;
      this.#rows.set(state.id, row);
      this.#ids[row] = state.id;
      this.#live.add(row);
      this.#changed.add(IDS);
    } else this.#clearOthers(row, state);
    this.#fields.set(row, state, this.#note);
    this.addSources(row, sources);
    for (const [path, value] of state.attributes)
      if (this.#attribute(path).set(row, value)) this.#changed.add(partOf('attribute', path));
    for (const [path, summary] of state.metrics)
      if (this.#metric(path).set(row, summary)) this.#changed.add(partOf('metric', path));
  }

  /** Registers of a run whose concurrent edits disagree. */
  conflicts(row: number): readonly string[] {
    return this.#fields.lists.conflicts.get(row) ?? [];
  }

  /** Summaries of all metrics of a run, by path. */
  metricsOf(row: number): Map<AttributePath, MetricSummary> {
    const found = new Map<AttributePath, MetricSummary>();
    for (const [path, metric] of this.#metrics) {
      const summary = metric.get(row);
      if (summary !== undefined) found.set(path as AttributePath, summary);
    }
    return found;
  }

  /** Documents that hold records of a run, as `upsert` was told. */
  sources(row: number): readonly string[] {
    return this.#fields.lists.sources.get(row) ?? [];
  }

  addSources(row: number, added: readonly string[]): void {
    this.#open();
    const sources = this.sources(row);
    if (added.every((source) => sources.includes(source))) return;
    this.#fields.lists.sources.set(row, [...new Set([...sources, ...added])].sort());
    this.#changed.add('f:sources');
  }

  /** A row that is written in a column and not in another would be half a run. */
  #open(): void {
    if (this.#sealed.size > 0)
      throw new FieldbookError('invalid_argument', 'A stored table is changed only when all of it is read.');
  }

  /** Takes a run out; one that is not in it is no error. */
  remove(id: RunId): void {
    this.#open();
    const row = this.#rows.get(id);
    if (row === undefined) return;
    this.#version += 1;
    this.#clearOthers(row);
    this.#fields.clear(row, this.#note);
    this.#changed.add(IDS);
    this.#rows.delete(id);
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
    return this.#rows.get(id);
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
    const found = this.#matching(query, request);
    const rows = this.#inOrder(found, request);
    const offset = Math.max(0, request.offset ?? 0);
    const page =
      request.limit === undefined && offset === 0
        ? rows
        : rows.subarray(offset, offset + (request.limit ?? rows.length));
    const unknown = query === undefined ? [] : pathsOf(query).filter((path) => !this.#exists(path));
    return { rows: page, total: rows.length, unknown };
  }

  /** Rows that match, counted. Throws `query_syntax` and `query_type`. */
  count(request: Pick<SelectRequest, 'query' | keyof TimeFrame>): number {
    return this.#matching(
      typeof request.query === 'string' ? parseQuery(request.query) : request.query,
      request,
    ).count();
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

  /** Some rows in groups by equal values of one column, in order of the values; the next level of a nested grouping. */
  divide(rows: Uint32Array, by: string, frame: TimeFrame): Group[] {
    return groupRows(rows, [this.#resolve(by, frame)], []);
  }

  /** Some rows summed up in columns. */
  summaries(rows: Uint32Array, aggregates: readonly AggregateRequest[], frame: TimeFrame): Summary[] {
    return aggregates.map(({ column, goal }) => summarise(rows, this.#resolve(column, frame), goal));
  }

  /** Attributes and metrics that any run has, by path; metrics once per aggregate. Fields are in `FIELDS`. */
  columns(): ColumnInfo[] {
    const infos: ColumnInfo[] = [...this.#sealed.values()].flat();
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
    return this.#sealed.has(partOf('attribute', path)) || (this.#attributes.get(path)?.filled ?? 0) > 0;
  }

  hasMetric(path: string): boolean {
    return this.#sealed.has(partOf('metric', path)) || (this.#metrics.get(path)?.filled ?? 0) > 0;
  }

  #matching(query: Query | undefined, frame: TimeFrame): Bitset {
    const size = this.#ids.length;
    const live = new Bitset(size).or(this.#live);
    if (query === undefined) return live;
    return evaluate(
      query,
      { size, live, column: (path) => this.#column(resolvePath(path, this), frame), ...this.#fields.searched },
      frame,
    );
  }

  /** Those rows as a request wants them; equal ones in the order of their run ids. */
  #inOrder(found: Bitset, request: SelectRequest): Uint32Array {
    const sort = request.sort === undefined || request.sort.length === 0 ? NEWEST_FIRST : request.sort;
    const name = JSON.stringify(sort);
    const all = this.#fields.rowsById((id) => this.#rows.get(id)!);
    if (this.#sorted?.sort === name && this.#sorted.version === this.#version) return within(this.#sorted.rows, found);
    const by = sort.map(({ column, descending }) => ({
      column: this.#resolve(column, request),
      descending: descending === true,
    }));
    // A duration of a running run is another every moment.
    if (by.some(({ column }) => column.duration)) {
      const rows = within(all, found);
      sortRows(rows, by);
      return rows;
    }
    const rows = all.slice();
    sortRows(rows, by);
    this.#sorted = { sort: name, version: this.#version, rows };
    return within(rows, found);
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
        return this.#attributes.get(reference.path) ?? this.#mustNeed(reference);
      case 'metric': {
        const metric = this.#metrics.get(reference.path) ?? this.#mustNeed(reference);
        return metric === undefined ? undefined : { ...NO_VALUES, numbers: metric[reference.aggregate] };
      }
    }
  }

  /** Nothing of a column that no run has; one that is not read is not empty. */
  #mustNeed({ source, path }: { source: 'attribute' | 'metric'; path: string }): undefined {
    if (this.#sealed.has(partOf(source, path)))
      throw new FieldbookError('invalid_argument', `The column ${path} is stored and not read yet; see "needs".`);
    return undefined;
  }

  /** Takes a row out of every column, or of those that its new state no longer has. */
  #clearOthers(row: number, state?: RunState): void {
    for (const [path, column] of this.#attributes) {
      if (state?.attributes.has(path as AttributePath) !== true && column.clear(row))
        this.#changed.add(partOf('attribute', path));
    }
    for (const [path, column] of this.#metrics) {
      if (state?.metrics.has(path as AttributePath) !== true && column.clear(row))
        this.#changed.add(partOf('metric', path));
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

/** The rows that are in a set, in the order given. */
function within(rows: Uint32Array, set: Bitset): Uint32Array {
  const found = new Uint32Array(set.count());
  let count = 0;
  for (let index = 0; index < rows.length; index++) if (set.has(rows[index]!)) found[count++] = rows[index]!;
  return found;
}
