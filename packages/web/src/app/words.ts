import type { AttributeValue, Edit, RegisterName } from '@fieldbook/core/record';
import { moment } from './format.ts';

/** A register in a sentence: "the name", "params/lr". */
export function registerWords(register: RegisterName): string {
  return register.startsWith('attribute:') ? register.slice('attribute:'.length) : `the ${register}`;
}

/** An attribute's value as people read it: a text that looks like something else is told from it by its quotes. */
export function valueWords(value: AttributeValue): string {
  if (typeof value === 'string') return readValue(value) === value ? value : JSON.stringify(value);
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value);
  if ('time' in value) return moment(value.time);
  return JSON.stringify(value);
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const LACKING: Readonly<Record<string, number>> = {
  nan: Number.NaN,
  inf: Infinity,
  '+inf': Infinity,
  '-inf': -Infinity,
  infinity: Infinity,
  '-infinity': -Infinity,
};

/**
 * What somebody typed as the value it looks like: a number, true, false, null, a list of texts in JSON, a text in double
 * quotes; else the text itself, as on the command line.
 */
export function readValue(typed: string): AttributeValue {
  if (typed === 'true' || typed === 'false') return typed === 'true';
  if (typed === 'null') return null;
  if (NUMBER.test(typed)) return Number(typed);
  const lacking = LACKING[typed.toLowerCase()];
  if (lacking !== undefined) return lacking;
  if (!/^(".*"|\[.*\])$/s.test(typed)) return typed;
  try {
    const value: unknown = JSON.parse(typed);
    if (typeof value === 'string') return value;
    if (Array.isArray(value) && value.every((text) => typeof text === 'string')) return value as string[];
  } catch {
    // Then it is a text that has quotes or brackets around it.
  }
  return typed;
}

/** What an edit did, after the name of who made it. */
export function editWords(edit: Pick<Edit, 'field' | 'op' | 'path' | 'value'>): string {
  const { field, op, path } = edit;
  const value = typeof edit.value === 'string' && edit.value.length > 120 ? `${edit.value.slice(0, 120)}…` : edit.value;
  const text = typeof value === 'string' ? value : value === null ? '' : valueWords(value);
  switch (field) {
    case 'tags':
      return op === 'add' ? `tagged “${text}”` : `took the tag “${text}” off`;
    case 'name':
      return value === null ? 'took the name away' : `named it “${text}”`;
    case 'group':
      return value === null ? 'took it out of its group' : `put it into the group “${text}”`;
    case 'notes':
      return value === null || value === '' ? 'cleared the notes' : `wrote “${text}”`;
    case 'star':
      return value === true ? 'starred it' : 'took the star off';
    case 'archived':
      return value === true ? 'archived it' : 'took it out of the archive';
    case 'trashed':
      return value === true ? 'moved it to the trash' : 'restored it';
    case 'purge':
      return 'purged it';
    case 'request':
      return 'asked for a file of it';
    case 'attribute':
      if (op === 'set') return `set ${path} to ${valueWords(value)}`;
      if (op === 'remove') return `took ${path} off`;
      if (op === 'clear') return `brought back what the script said of ${path}`;
      return `changed ${path}`;
    default:
      return `changed ${field}`;
  }
}

/** Instead of an edit that no server would ever take. */
export const VIEWER_WORDS =
  'Your token for this relay may only read. Whoever runs the relay gives out tokens that may write.';
/** With the undoing of a settled conflict. Somebody has seen both sides: whatever is said then, they do not contradict each other any more. */
export const SETTLED_WORDS =
  'What differed is not a conflict again, for somebody has seen it all; every value is in the history, to be restored.';
