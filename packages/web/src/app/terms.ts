import type { ChipTest } from '../worker/api.ts';

/** What a term can test, in the words of a list to choose from. */
export const OPERATORS: readonly (readonly [op: string, words: string])[] = [
  ['=', '= is'],
  ['!=', '≠ is not'],
  ['>', '> more than'],
  ['>=', '≥ at least'],
  ['<', '< less than'],
  ['<=', '≤ at most'],
  [':', ': contains'],
  ['has', 'has'],
  ['~', '~ matches'],
  ['!~', '!~ does not match'],
  ['in', 'is one of'],
  ['not in', 'is none of'],
  ['exists', 'exists'],
  ['missing', 'is missing'],
];

export function takesValue(op: string): boolean {
  return op !== 'exists' && op !== 'missing';
}

/** A term from its parts; what was typed gets the quotes, slashes or brackets that it needs. */
export function termText({ path, op, value }: ChipTest): string {
  if (!takesValue(op)) return `${path} ${op}`;
  const text = (value ?? '').trim();
  if (op === '~' || op === '!~')
    return `${path} ${op} ${/^\/.*\/i?$/s.test(text) ? text : `/${text.replaceAll('/', '\\/')}/`}`;
  if (op === 'in' || op === 'not in') return `${path} ${op} (${text.replace(/^\((.*)\)$/s, '$1')})`;
  const quoted = /^".*"$/s.test(text) || (text !== '' && !/[\s()"]|^[<>=~!]/.test(text));
  const literal = quoted ? text : JSON.stringify(text);
  return op === ':' ? `${path}:${literal}` : `${path} ${op} ${literal}`;
}

/** The query with one part in place of another. */
export function replaced(query: string, { start, end }: { start: number; end: number }, text: string): string {
  return query.slice(0, start) + text + query.slice(end);
}

/** The query without one of its parts, and without the `and` that joined it. */
export function without(
  query: string,
  parts: readonly { start: number; end: number; text: string }[],
  at: number,
): string {
  const part = parts[at]!;
  if (parts.length === 1) return '';
  const [before, after] = [parts[at - 1], parts[at + 1]];
  return before === undefined
    ? query.slice(after!.start)
    : query.slice(0, before.end) + (after === undefined ? '' : query.slice(part.end));
}
