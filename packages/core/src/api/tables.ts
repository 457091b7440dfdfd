import type { ProjectId, RunId } from '../ids.ts';
import type { Library } from '../library/index.ts';
import type { Clock } from '../ports.ts';
import type { AggregateRequest, Query, SortKey } from '../query/index.ts';
import { parseQuery, pathsOf, printQuery, RunTable } from '../query/index.ts';

export interface ListRequest {
  q: string;
  /** `-val/acc.max,name` */
  sort: string;
  /** Columns to group by, comma-separated; null for no groups. */
  group: string | null;
  /** What to summarise in groups: `val/loss.min:min,val/acc.max:max,params/lr`. */
  aggregate: string;
  /** Minutes east of UTC for dates of the query that name no zone. */
  zone: number;
}

export interface Listing {
  /** Runs that match, on all pages, in order. */
  rows: readonly RunId[];
  groups: readonly GroupView[] | null;
  /** Paths of the query that no run has. */
  unknown: readonly string[];
  /** What runs have in these columns, by run; null where one lacks it. */
  values(runs: readonly RunId[], columns: readonly string[]): unknown[][];
}

export interface GroupView {
  key: Readonly<Record<string, unknown>>;
  count: number;
  summaries: Readonly<Record<string, unknown>>;
}

interface Followed {
  table: RunTable;
  /** Runs that changed since the table was last brought up to date; null before it was filled. */
  stale: Set<RunId> | null;
  /** The last bringing up to date; each waits for the one before. */
  turn: Promise<void>;
}

/** A table of 100,000 runs takes tens of MB; nobody queries more projects than these at a time. */
const TABLES_KEPT = 8;
const NO_RUN = '' as RunId;

/** Answers queries over the library: a table per project, made when it is first asked for and kept up to date. */
export class RunTables {
  readonly #library: Library;
  readonly #clock: Clock;
  readonly #tables = new Map<ProjectId, Followed>();
  readonly #stop: () => void;

  constructor(library: Library, clock: Clock) {
    this.#library = library;
    this.#clock = clock;
    this.#stop = library.onChange(({ project, runs }) => {
      const stale = this.#tables.get(project)?.stale;
      for (const run of runs) stale?.add(run);
    });
  }

  close(): void {
    this.#stop();
    this.#tables.clear();
  }

  /** Throws `query_syntax` and `query_type`. Trashed runs are left out unless the query speaks of them. */
  async list(project: ProjectId, request: ListRequest): Promise<Listing> {
    const query = parseQuery(request.q);
    const table = await this.#upToDate(project);
    const frame = { now: this.#clock.now(), zone: request.zone };
    const select = { ...frame, query: withoutTrash(query), sort: sortKeys(request.sort) };
    const by = request.group === null ? null : names(request.group);
    const aggregates = names(request.aggregate).map(aggregateOf);
    const found = by === null ? { ...table.select(select), groups: null } : table.group({ ...select, by, aggregates });
    const id = (row: number): RunId => table.id(row)!;
    return {
      rows: Array.from(found.rows, id),
      unknown: found.unknown.map(({ text }) => text),
      groups:
        found.groups?.map(({ key, rows, summaries }) => ({
          key: Object.fromEntries(by!.map((column, index) => [column, key[index] ?? null])),
          count: rows.length,
          summaries: Object.fromEntries(
            summaries.map((summary, index) => [
              aggregates[index]!.column,
              { ...summary, best: summary.best === null ? null : id(summary.best) },
            ]),
          ),
        })) ?? null,
      values: (runs, columns) =>
        table
          .values(
            runs.map((run) => table.row(run) ?? -1),
            columns,
            frame,
          )
          .map((cells) => cells.map((cell) => cell ?? null)),
    };
  }

  /** The query's canonical text and its tree. Throws `query_syntax`. */
  parse(q: string): { canonical: string; query: object | null } {
    const query = parseQuery(q);
    return { canonical: printQuery(query), query: query.root };
  }

  async #upToDate(project: ProjectId): Promise<RunTable> {
    let followed = this.#tables.get(project);
    if (followed === undefined) {
      followed = { table: new RunTable(), stale: null, turn: Promise.resolve() };
      this.#tables.set(project, followed);
      this.#forgetOldest();
    }
    followed.turn = followed.turn.catch(() => undefined).then(() => this.#update(project, followed));
    await followed.turn;
    return followed.table;
  }

  async #update(project: ProjectId, followed: Followed): Promise<void> {
    if (followed.stale === null) {
      // Before the states are read: a change told while they are must not be missed.
      const stale = new Set<RunId>();
      followed.stale = stale;
      try {
        await this.#library.eachRun(project, (state) => followed.table.upsert(state));
      } catch (error) {
        followed.stale = null;
        throw error;
      }
      return;
    }
    // Asking for any run brings the library up to date, and that tells us which ones are stale.
    await this.#library.run(project, NO_RUN);
    for (const run of followed.stale) {
      followed.stale.delete(run);
      const state = await this.#library.run(project, run);
      if (state === undefined) followed.table.remove(run);
      else followed.table.upsert(state);
    }
  }

  #forgetOldest(): void {
    for (const project of this.#tables.keys()) {
      if (this.#tables.size <= TABLES_KEPT) return;
      this.#tables.delete(project);
    }
  }
}

/** What is in the trash is out of sight, unless somebody looks into it. */
function withoutTrash(query: Query): Query {
  if (mentionsTrash(query)) return query;
  const span = { start: 0, end: 0 };
  const path = { ...span, text: 'trashed', quoted: false, scope: 'any' as const };
  const kept = { ...span, kind: 'not' as const, term: { ...span, kind: 'flag' as const, path } };
  const terms =
    query.root === null ? [kept] : query.root.kind === 'and' ? [...query.root.terms, kept] : [query.root, kept];
  return { text: query.text, root: terms.length === 1 ? kept : { ...span, kind: 'and', terms } };
}

function mentionsTrash(query: Query): boolean {
  return pathsOf(query).some(({ text, quoted }) => !quoted && text === 'trashed');
}

function names(text: string): string[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

function sortKeys(text: string): SortKey[] {
  return names(text).map((name) =>
    name.startsWith('-') ? { column: name.slice(1), descending: true } : { column: name },
  );
}

function aggregateOf(text: string): AggregateRequest {
  const goal = /:(min|max)$/.exec(text)?.[1] as 'min' | 'max' | undefined;
  return goal === undefined ? { column: text } : { column: text.slice(0, -4), goal };
}
