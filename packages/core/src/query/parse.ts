import { FieldbookError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { CompareOperator, Node, Path, Query, Span } from './ast.ts';
import { checkTypes } from './check.ts';
import { queryError } from './fault.ts';
import { Parser } from './parser.ts';

export type TokenKind = 'keyword' | 'path' | 'operator' | 'value' | 'string' | 'pattern' | 'word' | 'bracket' | 'error';

export interface Token extends Span {
  kind: TokenKind;
}

/** What could be typed at the end of the text: what completion asks for. */
export type Frontier =
  | { at: 'term' }
  /** Behind something whole: `and`, `or`; behind a path also a test of it. */
  | { at: 'operator'; path: Path | null }
  | { at: 'value'; path: Path; op: CompareOperator | 'in' }
  | { at: 'pattern' }
  | { at: 'list' };

export interface Reading {
  root: Node | null;
  error: FieldbookError | null;
  tokens: readonly Token[];
  /** Null when the text does not end where something is expected. */
  frontier: Frontier | null;
}

/**
 * Reads a query; docs/query.md has the grammar. Throws `query_syntax` for a text that is none and `query_type` for a
 * test that a field cannot have, both with `details {position, length, expected}` in UTF-16 code units.
 */
export function parseQuery(text: string): Query {
  const { root, error } = readQuery(text);
  if (error !== null) throw error;
  return { text, root };
}

/** Reads as far as it goes: never throws. What highlighting and completion are made of. */
export function readQuery(text: string): Reading {
  if (text.length > LIMITS.queryLength) {
    const message = `A query has at most ${LIMITS.queryLength} characters, this one has ${text.length}.`;
    const error = queryError('query_syntax', message, { start: LIMITS.queryLength, end: text.length }, []);
    return { root: null, error, tokens: [{ start: 0, end: text.length, kind: 'error' }], frontier: null };
  }
  const parser = new Parser(text);
  try {
    const root = parser.query();
    if (root !== null) checkTypes(root);
    return { root, error: null, tokens: parser.tokens, frontier: parser.frontier };
  } catch (error) {
    if (!(error instanceof FieldbookError)) throw error;
    return { root: null, error, tokens: parser.rest(), frontier: parser.frontier };
  }
}

/** What highlighting colours, in order; white space is in none. What could not be read is `error` or plain words. */
export function tokens(text: string): Token[] {
  return [...readQuery(text).tokens];
}
