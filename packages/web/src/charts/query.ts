import { isFieldbookError } from '@fieldbook/core';
import { fieldNamed, parseQuery, printPath, topTerms } from '@fieldbook/core/query';
import { parseColumn } from '../worker/columns.ts';
import { alternativesOf } from '../worker/terms.ts';
import type { PlotKind } from '../worker/plots-api.ts';
import type { Brush } from './definition.ts';

interface Brushed {
  column: { id: string; kind: PlotKind };
  brush: Brush | null;
}

/** The query that finds what is brushed in all the columns; empty when nothing is. */
export function termsOf(brushed: readonly Brushed[], known: readonly { source: string; path: string }[]): string {
  return brushed.flatMap(({ column, brush }) => (brush === null ? [] : termOf(column, brush, known))).join(' and ');
}

function termOf(column: Brushed['column'], brush: Brush, known: readonly { source: string; path: string }[]): string[] {
  const path = pathOf(column.id, known);
  if ('values' in brush) {
    const values = [...new Set(brush.values)].filter((value) => value !== '');
    if (values.length === 0) return [];
    return [values.length === 1 ? `${path} = ${values[0]}` : `${path} in (${values.join(', ')})`];
  }
  const [low, high] = [literal(column.kind, brush.low), literal(column.kind, brush.high)];
  return [`${path} >= ${low}`, `${path} <= ${high}`];
}

/** The path as people would type it; with its scope where that could mean something else. */
function pathOf(id: string, known: readonly { source: string; path: string }[]): string {
  const parsed = parseColumn(id);
  if (parsed === undefined || parsed.source === 'field') return id;
  const text =
    parsed.aggregate === null
      ? parsed.path
      : parsed.aggregate === 'last'
        ? parsed.path
        : `${parsed.path}.${parsed.aggregate}`;
  const metric = parsed.source === 'metric';
  const clashes = metric
    ? known.some(
        ({ source, path }) =>
          (source === 'attribute' && path === text) || (source === 'metric' && path === text && path !== parsed.path),
      )
    : fieldNamed(text) !== undefined;
  // Behind `m:` an aggregate at the end is always one.
  if (clashes && metric)
    return printPath({ text: `${parsed.path}.${parsed.aggregate ?? 'last'}`, quoted: false, scope: 'metric' });
  if (fieldNamed(text) !== undefined) return printPath({ text, quoted: false, scope: metric ? 'metric' : 'attribute' });
  return printPath({ text, quoted: false, scope: 'any' });
}

/** The value as it is, for what is bright is what it finds; durations in seconds, moments with milliseconds where they have any. */
function literal(kind: PlotKind, value: number): string {
  if (kind === 'time') return new Date(value).toISOString().replace('.000Z', 'Z');
  // A quotient has digits of its own at the end.
  return String(kind === 'duration' ? Number((value / 1_000).toPrecision(15)) : value);
}

/** A page's query with a chart's part of it replaced: `before` is what that was, empty when there was none. */
export function withTerms(query: string, before: string, after: string): string {
  const rest = withoutTerms(query, before);
  if (after === '') return rest;
  if (rest.trim() === '') return after;
  // `or` binds looser than what is added.
  return `${partsOf(rest)?.[0]?.or === 'open' ? `(${rest})` : rest} and ${after}`;
}

/** A query without a chart's terms, wherever among those joined by `and` they stand; one that somebody has changed since is theirs. */
export function withoutTerms(query: string, terms: string): string {
  if (terms === '') return query;
  const parts = partsOf(query);
  const own = partsOf(terms)?.map(({ text }) => text);
  if (parts === null || own === undefined) return query;
  const gone = new Set<Part>();
  for (const text of own) {
    // What the chart said stands behind what somebody wrote who said the same.
    const found = parts.findLast((part) => part.text === text && !gone.has(part));
    if (found !== undefined) gone.add(found);
  }
  const rest = parts.filter((part) => !gone.has(part));
  const [first] = rest;
  if (gone.size === 0) return query;
  if (first === undefined) return '';
  // The brackets that `withTerms` put around it.
  if (rest.length === 1 && first.or === 'bracketed') return first.text.slice(1, -1);
  return rest.map(({ text }) => text).join(' and ');
}

interface Part {
  text: string;
  or: ReturnType<typeof alternativesOf>;
}

/** What a query joins by `and`; null where it cannot be read. */
function partsOf(query: string): Part[] | null {
  try {
    return topTerms(parseQuery(query)).map((node) => ({
      text: query.slice(node.start, node.end),
      or: alternativesOf(node, query),
    }));
  } catch (error) {
    // It is being typed.
    if (isFieldbookError(error)) return null;
    throw error;
  }
}
