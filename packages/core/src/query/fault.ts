import { FieldbookError } from '../errors.ts';
import type { Span } from './ast.ts';

/** An error about a place in a query: `details {position, length, expected}`. */
export function queryError(
  code: 'query_syntax' | 'query_type',
  message: string,
  { start, end }: Span,
  expected: readonly string[],
): FieldbookError {
  return new FieldbookError(code, message, { details: { position: start, length: end - start, expected } });
}
