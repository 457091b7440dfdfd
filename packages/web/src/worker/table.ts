import { isFieldbookError } from '@fieldbook/core';
import type { AttributePath, FieldbookError, RunId } from '@fieldbook/core';
import type { RunState } from '@fieldbook/core/fold';
import type { Node, Query, SortKey, TableDirectory } from '@fieldbook/core/query';
import { completions, parseQuery, pathsOf, quote, RunTable, tokens } from '@fieldbook/core/query';
import type { AttributeValue, RegisterName, RunStatus } from '@fieldbook/core/record';
import type { Cell, ColumnInfo, Completion, Drawer, QueryProblem, QueryReading, Row, View } from './api.ts';
import { AGGREGATES, parseColumn } from './columns.ts';
import type { LiveRun } from './live.ts';
import type { MetricGoal, PlotData } from './plots-api.ts';
import { goalColumns, goalsOf, plotData } from './plots.ts';
import { chipsOf } from './terms.ts';

const NUMBERS_OFFERED = 8;

export interface Found {
  /** Places in the table, in the view's order; good until the table changes. */
  rows: Uint32Array;
  error: QueryProblem | null;
}

/** How many runs lie where, and when the last of those outside the trash changed. */
export interface Tally {
  runs: number;
  running: number;
  archived: number;
  trashed: number;
  /** Runs with a conflict. */
  conflicts: number;
  /** ms since the epoch; 0 without any. */
  updated: number;
}

export type RunGlimpse = Pick<
  RunState,
  'id' | 'name' | 'status' | 'created' | 'updated' | 'ended' | 'attributes' | 'metrics'
>;

/** Attributes by which `define_metric` says what a metric means. */
const MEANING = 'metric/';

/** What a request needs of a stored table: a view, columns by their ids, the paths in a text. */
export interface Wanted {
  view?: Pick<View, 'query' | 'sort'> | undefined;
  columns?: readonly string[];
  text?: string;
}

/** What every row shows, besides the cells asked for. */
const SHOWN = [
  'name',
  'unnamed',
  'status',
  'created',
  'updated',
  'ended',
  'star',
  'archived',
  'trashed',
  'notes',
  'tags',
];
const NOTES_SHOWN = 200;

/**
 * The query engine as the page sees it: core's columns and queries, with the drawer of the table (runs, archive,
 * trash) laid over whatever the person asks.
 */
export class ProjectTable {
  #table = new RunTable();
  /** Of tables before this one: versions rise for ever. */
  #versions = 0;
  #glimpses = { version: -1, of: new Map<RunId, RunGlimpse>() };
  #said: { version: number; paths: string[] } | null = null;

  /** The engine itself, for groups, plots and exports. */
  get runs(): RunTable {
    return this.#table;
  }

  /** Takes a stored table in place of this one. Throws `snapshot_unreadable`. */
  restore(directory: TableDirectory): void {
    this.#replace(RunTable.sealed(directory));
  }

  reset(): void {
    this.#replace(new RunTable());
  }

  /** Parts of the stored table that a request needs and that are not read yet; without one, all of them. */
  needs(wanted?: Wanted): string[] {
    if (wanted === undefined) return this.#table.needs();
    const { view, columns = [], text = '' } = wanted;
    const shown = columns.flatMap((id) => parseColumn(id)?.id ?? []);
    // Paths of a query that is being typed, whether it can be read or not.
    for (const query of [text, view?.query ?? ''])
      for (const { kind, start, end } of query === '' ? [] : tokens(query))
        if (kind === 'path') shown.push(query.slice(start, end).replaceAll('"', ''));
    return this.#table.needs({ columns: shown, sort: view?.sort ?? [] });
  }

  unpack(part: string, bytes: Uint8Array): void {
    this.#table.unpack(part, bytes);
  }

  /** Parts that changed since they were last packed. */
  get unpacked(): readonly string[] {
    return this.#table.unpacked;
  }

  pack(part: string): Uint8Array | null {
    return this.#table.pack(part);
  }

  unpackedAll(): void {
    this.#table.unpackedAll();
  }

  directory(): TableDirectory {
    return this.#table.directory();
  }

  upsert(state: RunState, sources: readonly string[] = []): void {
    this.#table.upsert(state, sources);
  }

  /** Documents that hold records of a run. */
  sourcesOf(id: RunId): readonly string[] {
    const row = this.#table.row(id);
    return row === undefined ? [] : this.#table.sources(row);
  }

  addSource(id: RunId, source: string): void {
    const row = this.#table.row(id);
    if (row !== undefined) this.#table.addSources(row, [source]);
  }

  #replace(table: RunTable): void {
    this.#versions += this.#table.version + 1;
    this.#table = table;
  }

  remove(id: RunId): void {
    this.#table.remove(id);
  }

  get size(): number {
    return this.#table.size;
  }

  /** Rises with every change: rows of another version mean nothing. */
  get version(): number {
    return this.#versions + this.#table.version;
  }

  has(id: RunId): boolean {
    return this.#table.row(id) !== undefined;
  }

  ids(): Iterable<RunId> {
    return this.#table.ids();
  }

  /** Ids of rows, in their order. */
  idsOf(rows: Uint32Array): RunId[] {
    return Array.from(rows, (row) => this.#table.id(row)!);
  }

  /** The place of a run among rows; null where it is not. */
  placeOf(rows: Uint32Array, id: RunId): number | null {
    const row = this.#table.row(id);
    const at = row === undefined ? -1 : rows.indexOf(row);
    return at === -1 ? null : at;
  }

  rowsOf(ids: readonly RunId[]): Uint32Array {
    return Uint32Array.from(ids.flatMap((id) => this.#table.row(id) ?? []));
  }

  /** Ids of the columns that `glimpse` needs: all metrics, and what scripts said of them. */
  glimpseColumns(): string[] {
    const metrics = this.#table.columns().filter(({ source, path }) => source === 'metric' || path.startsWith(MEANING));
    return [...new Set(metrics.map(({ id }) => id))];
  }

  /** What charts need of a run, without its records; of attributes only those that say what metrics mean. */
  glimpse(id: RunId): RunGlimpse | undefined {
    if (this.#glimpses.version !== this.version) this.#glimpses = { version: this.version, of: new Map() };
    const known = this.#glimpses.of.get(id);
    if (known !== undefined) return known;
    const row = this.#table.row(id);
    if (row === undefined) return undefined;
    const said = this.#meanings();
    const columns = ['name', 'status', 'created', 'updated', 'ended', ...said.map((path) => `a:${path}`)];
    const [name, status, created, updated, ended, ...values] = this.#table.values([row], columns, { now: 0 })[0]!;
    const attributes = new Map<AttributePath, AttributeValue>();
    for (const [index, value] of values.entries())
      if (value !== undefined) attributes.set(said[index] as AttributePath, value);
    const glimpse: RunGlimpse = {
      id,
      name: name as string,
      status: status as RunStatus,
      created: timeOf(created) ?? 0,
      updated: timeOf(updated) ?? 0,
      ended: timeOf(ended),
      attributes,
      metrics: this.#table.metricsOf(row),
    };
    this.#glimpses.of.set(id, glimpse);
    return glimpse;
  }

  #meanings(): string[] {
    if (this.#said?.version !== this.version) {
      const paths = this.#table.columns().flatMap(({ path }) => (path.startsWith(MEANING) ? [path] : []));
      this.#said = { version: this.version, paths };
    }
    return this.#said.paths;
  }

  statusOf(id: RunId): RunStatus | undefined {
    const row = this.#table.row(id);
    return row === undefined ? undefined : (this.#table.value(row, 'status', { now: 0 }) as RunStatus);
  }

  select(view: View, now: number): Found {
    try {
      const query = inDrawer(parseQuery(view.query), view.drawer);
      const { rows } = this.#table.select({ query, sort: view.sort as readonly SortKey[], now });
      return { rows, error: null };
    } catch (error) {
      if (!isFieldbookError(error)) throw error;
      return { rows: new Uint32Array(), error: problemOf(error) };
    }
  }

  /** Runs of a drawer. */
  inDrawer(drawer: Drawer): number {
    return this.#table.count({ query: inDrawer(EVERYTHING, drawer), now: 0 });
  }

  tally(): Tally {
    const count = (text: string): number => this.#table.count({ query: `not trashed and ${text}`, now: 0 });
    let updated = 0;
    const { rows } = this.#table.select({ query: 'not trashed', now: 0, sort: [UPDATED], limit: 1 });
    if (rows.length > 0) updated = (this.#table.value(rows[0]!, 'updated', { now: 0 }) as { time: number }).time;
    return {
      runs: this.inDrawer('runs'),
      archived: this.inDrawer('archive'),
      trashed: this.inDrawer('trash'),
      running: count('status:running'),
      conflicts: count('conflicted'),
      updated,
    };
  }

  /** Rows as the page shows them. `live` gives newer values of metrics than the records have. */
  rows(
    rows: Uint32Array,
    columns: readonly string[],
    now: number,
    unsavedOf: (run: RunId) => Row['unsaved'],
    live: (run: RunId, updated: number) => LiveRun | undefined,
  ): Row[] {
    const parsed = columns.map(parseColumn);
    const known = parsed.flatMap((column) => column?.id ?? []);
    const values = this.#table.values(rows, [...SHOWN, ...known], { now });
    return values.map((cells, index) => {
      const row = rows[index]!;
      const id = this.#table.id(row)!;
      const [name, unnamed, status, created, updated, ended, star, archived, trashed, notes, tags] = cells;
      const newer = status === 'running' ? live(id, timeOf(updated) ?? 0) : undefined;
      let next = SHOWN.length;
      const text = (notes ?? '') as string;
      return {
        id,
        name: name as string,
        unnamed: unnamed === true,
        status: status as RunStatus,
        created: timeOf(created) ?? 0,
        ended: timeOf(ended),
        star: star === true,
        archived: archived === true,
        trashed: trashed === true,
        notes: text.length > NOTES_SHOWN ? `${text.slice(0, NOTES_SHOWN)}…` : text,
        tags: (tags ?? []) as readonly string[],
        conflicts: this.#table.conflicts(row) as readonly RegisterName[],
        unsaved: unsavedOf(id),
        cells: parsed.map((column) => {
          if (column === undefined) return undefined;
          const cell = cells[next++];
          return (column.aggregate === 'last' ? newer?.metrics.get(column.path) : undefined) ?? cell;
        }),
      };
    });
  }

  columns(): ColumnInfo[] {
    const known: readonly string[] = AGGREGATES;
    return this.#table
      .columns()
      .filter(({ aggregate }) => aggregate === null || known.includes(aggregate))
      .map(({ id, source, path, aggregate, kinds, filled, varies }) => ({
        id,
        source,
        path,
        aggregate: aggregate as ColumnInfo['aggregate'],
        numeric: kinds.length === 1 && kinds[0] === 'number',
        filled,
        varies,
      }));
  }

  read(text: string): QueryReading {
    const reading = { tokens: tokens(text).map(({ start, end, kind }) => ({ start, end, kind })) };
    try {
      return { ...reading, error: null, chips: chipsOf(text) };
    } catch (error) {
      if (!isFieldbookError(error)) throw error;
      return { ...reading, error: problemOf(error), chips: [] };
    }
  }

  complete(text: string, cursor: number, now: number): Completion[] {
    const offers = completions(text, cursor, this.#table.schema({ now }));
    // Fifteen digits of somebody's loss are no help in choosing a bound.
    const numbers = offers.filter(
      ({ kind, text: value }) => kind === 'value' && value !== '' && !Number.isNaN(Number(value)),
    );
    return numbers.length > NUMBERS_OFFERED ? offers.filter((offer) => !numbers.includes(offer)) : offers;
  }

  plot(runs: Iterable<RunId>, columns: readonly string[], now: number): PlotData {
    return plotData(this.#table, runs, columns, now);
  }

  /** Ids of the columns that `goals` needs. */
  goalColumns(): string[] {
    return goalColumns(this.#table);
  }

  goals(now: number): MetricGoal[] {
    return goalsOf(this.#table, now);
  }

  tags(): string[] {
    return this.#table.tags().map(([tag]) => tag);
  }

  /** Runs with a tag in every drawer. */
  tagged(tag: string, now: number): RunId[] {
    const { rows } = this.#table.select({ query: `tags = ${quote(tag)}`, now });
    return Array.from(rows, (row) => this.#table.id(row)!);
  }
}

const EVERYTHING: Query = parseQuery('');
const UPDATED: SortKey = { column: 'updated', descending: true };

function timeOf(cell: Cell): number | null {
  return typeof cell === 'object' && cell !== null && 'time' in cell ? cell.time : null;
}

/** The query within a drawer. Who asks for `archived` or `trashed` by name gets what they ask for. */
export function inDrawer(query: Query, drawer: Drawer): Query {
  const asked = new Set(pathsOf(query).map(({ text, quoted, scope }) => (quoted || scope !== 'any' ? '' : text)));
  const terms: Node[] = [];
  if (!asked.has('trashed')) terms.push(flag('trashed', drawer === 'trash'));
  if (!asked.has('archived') && drawer !== 'trash') terms.push(flag('archived', drawer === 'archive'));
  if (query.root !== null) terms.push(query.root);
  const [only, ...more] = terms;
  if (only === undefined) return query;
  return {
    text: query.text,
    root: more.length === 0 ? only : { kind: 'and', terms, start: 0, end: query.text.length },
  };
}

function flag(text: string, on: boolean): Node {
  const span = { start: 0, end: 0 };
  const node: Node = { kind: 'flag', path: { text, quoted: false, scope: 'any', ...span }, ...span };
  return on ? node : { kind: 'not', term: node, ...span };
}

function problemOf(error: FieldbookError): QueryProblem {
  const { position, length, expected } = error.details as {
    position?: number;
    length?: number;
    expected?: readonly string[];
  };
  return { message: error.message, position: position ?? 0, length: length ?? 1, expected: expected ?? [] };
}
