import { isFieldbookError } from '@fieldbook/core';
import type { FieldbookError, RunId } from '@fieldbook/core';
import type { RunState } from '@fieldbook/core/fold';
import type { Node, Path, Query, QuerySchema, SortKey } from '@fieldbook/core/query';
import {
  columnId,
  completions,
  parseQuery,
  pathsOf,
  resolvePath,
  RunTable,
  tokens,
  topTerms,
} from '@fieldbook/core/query';
import type { ColumnInfo, Completion, Drawer, QueryProblem, QueryReading, View } from './api.ts';
import { AGGREGATES } from './columns.ts';
import type { MetricGoal, PlotData } from './plots-api.ts';
import { goalsOf, plotData } from './plots.ts';

const NUMBERS_OFFERED = 8;

export interface Found {
  /** In the view's order. */
  ids: readonly RunId[];
  error: QueryProblem | null;
}

/**
 * The query engine as the page sees it: core's columns and queries, with the drawer of the table (runs, archive,
 * trash) laid over whatever the person asks.
 */
export class ProjectTable {
  readonly #table = new RunTable();

  upsert(state: RunState): void {
    this.#table.upsert(state);
  }

  remove(id: RunId): void {
    this.#table.remove(id);
  }

  select(view: View, now: number): Found {
    try {
      const query = inDrawer(parseQuery(view.query), view.drawer);
      const { rows } = this.#table.select({ query, sort: view.sort as readonly SortKey[], now });
      return { ids: Array.from(rows, (row) => this.#table.id(row)!), error: null };
    } catch (error) {
      if (!isFieldbookError(error)) throw error;
      return { ids: [], error: problemOf(error) };
    }
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
      const chips = topTerms(parseQuery(text)).map(({ start, end }) => ({ start, end, text: text.slice(start, end) }));
      return { ...reading, error: null, chips };
    } catch (error) {
      if (!isFieldbookError(error)) throw error;
      return { ...reading, error: problemOf(error), chips: [] };
    }
  }

  complete(text: string, cursor: number, now: number): Completion[] {
    const offers = completions(text, cursor, this.#schema(now));
    // Fifteen digits of somebody's loss are no help in choosing a bound.
    const numbers = offers.filter(
      ({ kind, text: value }) => kind === 'value' && value !== '' && !Number.isNaN(Number(value)),
    );
    return numbers.length > NUMBERS_OFFERED ? offers.filter((offer) => !numbers.includes(offer)) : offers;
  }

  plot(runs: Iterable<RunId>, columns: readonly string[], now: number): PlotData {
    return plotData(this.#table, runs, columns, now);
  }

  goals(now: number): MetricGoal[] {
    return goalsOf(this.#table, now);
  }

  tags(): string[] {
    return this.#table.tags().map(([tag]) => tag);
  }

  #schema(now: number): QuerySchema {
    const columns = this.#table.columns();
    const stats = (path: Path) => {
      const reference = resolvePath(path, this.#table);
      return reference === undefined ? undefined : this.#table.stats(columnId(reference), { now });
    };
    return {
      attributes: columns.filter(({ source }) => source === 'attribute'),
      metrics: columns.filter(({ source, aggregate }) => source === 'metric' && aggregate === 'last'),
      values: (path) => {
        const reference = resolvePath(path, this.#table);
        if (reference?.source === 'field' && reference.field === 'tags')
          return this.#table.tags().map(([value, runs]) => ({ value, runs }));
        return stats(path)?.values ?? [];
      },
      kinds: (path) => stats(path)?.kinds ?? [],
    };
  }
}

export function drawerOf(state: Pick<RunState, 'trashed' | 'archived'>): Drawer {
  return state.trashed ? 'trash' : state.archived ? 'archive' : 'runs';
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
