import { isFieldbookError } from '@fieldbook/core';
import type { Known, Node } from '@fieldbook/core/query';
import { columnId, parseQuery, printPath, quote, resolveColumn, resolvePath, topTerms } from '@fieldbook/core/query';
import type { Cell, Chip, ChipTest, TermKind } from './api.ts';

/** The terms that a query joins by `and` at the top. Throws `query_syntax`, `query_type`. */
export function chipsOf(text: string): Chip[] {
  return topTerms(parseQuery(text)).map((node) => ({
    start: node.start,
    end: node.end,
    text: text.slice(node.start, node.end),
    test: testOf(node, text),
  }));
}

/** A term as path, operator and value that can be edited one by one; null for a word or anything nested. */
function testOf(node: Node, text: string): ChipTest | null {
  const of = ({ start, end }: { start: number; end: number }): string => text.slice(start, end);
  switch (node.kind) {
    case 'compare':
      return { path: of(node.path), op: node.op, value: of(node.value) };
    case 'match':
      return {
        path: of(node.path),
        op: node.negated ? '!~' : '~',
        value: `/${node.pattern.replaceAll('/', '\\/')}/${node.ignoreCase ? 'i' : ''}`,
      };
    case 'in':
      return { path: of(node.path), op: node.negated ? 'not in' : 'in', value: node.values.map(of).join(', ') };
    case 'presence':
      return { path: of(node.path), op: node.present ? 'exists' : 'missing', value: null };
    default:
      return null;
  }
}

/** Whether a term is several joined by `or`, and then whether brackets hold all of them together. */
export function alternativesOf({ kind, start, end }: Node, query: string): 'open' | 'bracketed' | null {
  if (kind !== 'or') return null;
  const text = query.slice(start, end);
  // `(a or b) or (c or d)` has brackets at both ends too.
  return text.startsWith('(') && text.endsWith(')') && isQuery(text.slice(1, -1)) ? 'bracketed' : 'open';
}

function isQuery(text: string): boolean {
  try {
    parseQuery(text);
    return true;
  } catch (error) {
    if (!isFieldbookError(error)) throw error;
    return false;
  }
}

/** A query that also asks for `term`: nothing is lost of it, and nothing said twice. */
export function refined(text: string, term: string): string {
  const query = text.trim();
  if (query === '') return term;
  try {
    const { root } = parseQuery(query);
    if (root !== null && alternativesOf(root, query) === 'open') return `(${query}) and ${term}`;
    if (chipsOf(query).some((chip) => chip.text === term)) return query;
  } catch (error) {
    // What cannot be read yet is somebody's to finish.
    if (!isFieldbookError(error)) throw error;
  }
  return `${query} and ${term}`;
}

/** A term about the value of a cell, as short as it can be written and still mean this column; null where it would say nothing. */
export function termOf(column: string, value: Cell, kind: TermKind, known: Known): string | null {
  const path = pathOf(column, known);
  if (path === null) return null;
  if (kind === 'exists') return `${path} exists`;
  const negated = kind === 'not';
  if (value === undefined) return kind === 'only' ? `${path} missing` : negated ? `${path} exists` : null;
  if (Array.isArray(value)) {
    if (kind === 'above' || kind === 'below') return null;
    if (value.length === 0) return `${path} ${negated ? 'exists' : 'missing'}`;
    const terms = value.map((element) => `${path} has ${quote(element)}`);
    return negated ? `not ${terms.length === 1 ? terms[0]! : `(${terms.join(' and ')})`}` : terms.join(' and ');
  }
  const operator = { only: '=', not: '!=', above: '>', below: '<' }[kind];
  const literal = literalOf(column, value, kind);
  return literal === null ? null : `${path} ${operator} ${literal}`;
}

function literalOf(column: string, value: NonNullable<Cell> | null, kind: TermKind): string | null {
  const orders = kind === 'above' || kind === 'below';
  if (typeof value === 'number') {
    if (Number.isNaN(value)) return orders ? null : 'nan';
    if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
    return column === 'duration' ? `${value / 1_000}s` : String(value);
  }
  if (typeof value === 'object' && value !== null && 'time' in value) {
    const text = new Date(value.time).toISOString();
    // Nobody means a millisecond.
    return orders ? text : text.slice(0, 10);
  }
  if (value === null || typeof value === 'boolean') return orders ? null : String(value);
  return typeof value === 'string' ? quote(value) : null;
}

/** A column as people type it: without `a:` or `m:` where that means the same here. */
function pathOf(column: string, known: Known): string | null {
  const reference = resolveColumn(column, known);
  if (reference === undefined) return null;
  if (reference.source === 'field') return reference.field;
  const full = reference.source === 'metric' ? `${reference.path}.${reference.aggregate}` : reference.path;
  const names = reference.source === 'metric' && reference.aggregate === 'last' ? [reference.path, full] : [full];
  for (const text of names) {
    const found = resolvePath({ text, quoted: false, scope: 'any' }, known);
    if (found !== undefined && columnId(found) === columnId(reference))
      return printPath({ text, quoted: false, scope: 'any' });
  }
  return printPath({ text: full, quoted: false, scope: reference.source === 'metric' ? 'metric' : 'attribute' });
}
