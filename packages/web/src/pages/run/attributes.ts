import { isAttribute } from '@fieldbook/core/record';
import type { AttributeValue } from '@fieldbook/core/record';
import { dataDigestOf } from '@fieldbook/core/data';

/** The attribute in which a script lists values of which it could keep only the text: `<type> <path>` each. */
export const STRINGIFIED = 'sys/stringified';

/** What a value is, in a word; `other` for what an environment holds and no attribute can. */
export function typeOf(value: unknown): string {
  if (value === null) return 'none';
  if (typeof value === 'string') return dataDigestOf(value) === undefined ? 'text' : 'data';
  if (typeof value === 'number') return 'number';
  if (typeof value === 'boolean') return 'bool';
  if (isAttribute(value)) return Array.isArray(value) ? 'list' : 'time';
  return 'other';
}

/** By path the type of which only the text was kept. */
export function stringifiedOf(attributes: ReadonlyMap<string, AttributeValue>): ReadonlyMap<string, string> {
  const listed = attributes.get(STRINGIFIED);
  const found = new Map<string, string>();
  if (!Array.isArray(listed)) return found;
  for (const line of listed as readonly string[]) {
    const blank = line.indexOf(' ');
    if (blank > 0) found.set(line.slice(blank + 1), line.slice(0, blank));
  }
  return found;
}
