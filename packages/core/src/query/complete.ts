import type { CompareOperator, Path } from './ast.ts';
import type { Cell, ValueKind } from './columns.ts';
import { AGGREGATES } from './columns.ts';
import { FIELD_NAMES, FIELDS, fieldOf, kindOfField } from './fields.ts';
import type { Frontier, Token } from './parse.ts';
import { readQuery } from './parse.ts';
import { printPath, quote } from './print.ts';

export type CompletionKind = 'field' | 'attribute' | 'metric' | 'aggregate' | 'operator' | 'keyword' | 'value';

export interface Completion {
  /** What to put in place of the text from `start` to `end`. */
  text: string;
  kind: CompletionKind;
  /** A few words about it, may be empty. */
  detail: string;
  start: number;
  end: number;
}

/** What completion knows of the data; `RunTable.schema` makes one. */
export interface QuerySchema {
  attributes: readonly { path: string; kinds: readonly ValueKind[]; filled: number }[];
  metrics: readonly { path: string; filled: number }[];
  /** Frequent values of a path, most frequent first. */
  values(path: Path): readonly { value: Cell; runs: number }[];
  /** Kinds of values that a path has. */
  kinds(path: Path): readonly ValueKind[];
}

const OFFERED = 50;
const TIMES = ['-1h', '-1d', '-7d', '-30d', 'today', 'yesterday'];
const DURATIONS = ['1m', '10m', '1h', '1d'];
const WORDY = new Set<Token['kind']>(['word', 'path', 'value', 'keyword']);

/**
 * What could stand at the cursor: fields, attributes and metrics where a term begins, tests behind a path, values
 * behind a test, `and` and `or` behind a whole term. Best first, at most 50; never throws.
 */
export function completions(text: string, cursor: number, schema: QuerySchema): Completion[] {
  const before = text.slice(0, Math.max(0, cursor));
  const partial = partialAt(before);
  const { frontier } = readQuery(before.slice(0, partial.start));
  if (frontier === null) return [];
  let end = before.length;
  while (end < text.length && !/[\s()",<>=~]/.test(text[end]!)) end += 1;
  const typed = before.slice(partial.start).replace(/^"/, '');
  const offers = offersFor(frontier, typed, schema);
  return ranked(offers, typed).map((offer) => ({ ...offer, start: partial.start, end }));
}

type Offer = Pick<Completion, 'text' | 'kind' | 'detail'> & { name?: string };

/** Where the word that is being typed begins; the end of the text when none is. */
function partialAt(before: string): { start: number } {
  // An unclosed text begins at its quotation mark, whatever is in it.
  const open = openQuote(before);
  if (open !== null) return { start: open };
  const { tokens } = readQuery(before);
  const last = tokens.at(-1);
  if (last === undefined || last.end !== before.length) return { start: before.length };
  if (WORDY.has(last.kind)) return { start: last.start };
  if (last.kind !== 'error') return { start: before.length };
  return { start: before.length - (/[^\s()",<>=:~]*$/.exec(before)?.[0].length ?? 0) };
}

function openQuote(text: string): number | null {
  let open: number | null = null;
  for (let index = 0; index < text.length; index++) {
    if (text[index] === '\\' && open !== null) index += 1;
    else if (text[index] === '"') open = open === null ? index : null;
  }
  return open;
}

function offersFor(frontier: Frontier, typed: string, schema: QuerySchema): Offer[] {
  switch (frontier.at) {
    case 'term':
      return termOffers(typed, schema);
    case 'operator': {
      const joins: Offer[] = [
        { text: 'and', kind: 'keyword', detail: 'both' },
        { text: 'or', kind: 'keyword', detail: 'either' },
      ];
      if (frontier.path === null) return [...joins, ...termOffers(typed, schema)];
      return [...operatorOffers(frontier.path, schema), ...joins];
    }
    case 'value':
      return valueOffers(frontier.path, frontier.op, schema);
    case 'list':
      return [
        { text: ',', kind: 'operator', detail: 'another value' },
        { text: ')', kind: 'operator', detail: 'end of the list' },
      ];
    case 'pattern':
      return [];
  }
}

function termOffers(typed: string, schema: QuerySchema): Offer[] {
  const scope = typed.startsWith('a:') ? 'attribute' : typed.startsWith('m:') ? 'metric' : 'any';
  if (scope !== 'any') return scopedOffers(scope, schema);
  const offers: Offer[] = FIELD_NAMES.map((field) => ({ text: field, kind: 'field', detail: FIELDS[field].about }));
  for (const { path, kinds, filled } of schema.attributes) {
    offers.push({ text: printed(path), name: path, kind: 'attribute', detail: `${kinds.join(', ')}, ${runs(filled)}` });
  }
  for (const { path, filled } of schema.metrics) {
    offers.push({ text: printed(path), name: path, kind: 'metric', detail: runs(filled) });
    // Aggregates of every metric would bury everything else.
    if (!typed.startsWith(path)) continue;
    for (const aggregate of AGGREGATES) {
      offers.push({
        text: printed(`${path}.${aggregate}`),
        name: `${path}.${aggregate}`,
        kind: 'aggregate',
        detail: path,
      });
    }
  }
  offers.push({ text: 'not', kind: 'keyword', detail: 'the opposite' });
  return offers;
}

/** Behind `a:` and `m:`, which are part of what is being typed. */
function scopedOffers(scope: 'attribute' | 'metric', schema: QuerySchema): Offer[] {
  const found = scope === 'attribute' ? schema.attributes : schema.metrics;
  return found.map(({ path, filled }) => {
    const text = printPath({ text: path, quoted: false, scope });
    return { text, name: `${scope === 'attribute' ? 'a' : 'm'}:${path}`, kind: scope, detail: runs(filled) };
  });
}

function operatorOffers(path: Path, schema: QuerySchema): Offer[] {
  const field = fieldOf(path);
  const kinds = field === undefined ? schema.kinds(path) : [];
  const kind = field === undefined ? null : kindOfField(field);
  const ordered =
    kinds.includes('number') || kinds.includes('time') || kind === 'time' || kind === 'duration' || kind === 'number';
  const texts = kinds.includes('text') || kinds.includes('list') || kind === 'text' || kind === 'list';
  const operators: [string, string][] = [
    ['=', 'equal'],
    ['!=', 'has another value'],
  ];
  if (ordered) operators.unshift(['<', 'less'], ['<=', 'at most'], ['>', 'greater'], ['>=', 'at least']);
  if (texts) operators.push(['has', 'contains'], ['~', 'matches a pattern, as in /res.*/']);
  operators.push(['in', 'one of a list'], ['exists', 'has a value'], ['missing', 'has none']);
  return operators.map(([text, detail]) => ({ text, kind: 'operator', detail }));
}

function valueOffers(path: Path, op: CompareOperator | 'in', schema: QuerySchema): Offer[] {
  const field = fieldOf(path);
  const kind = field === undefined ? null : kindOfField(field);
  const plain = (values: readonly string[]): Offer[] => values.map((text) => ({ text, kind: 'value', detail: '' }));
  if (kind === 'time') return plain(TIMES);
  if (kind === 'duration') return plain(DURATIONS);
  if (kind === 'flag') return plain(['true', 'false']);
  const offers: Offer[] = [];
  for (const { value, runs: count } of schema.values(path)) {
    const detail = runs(count);
    if (typeof value === 'string') {
      offers.push({ text: valueText(value, op), name: value, kind: 'value', detail });
    } else if (typeof value === 'number' || typeof value === 'boolean' || value === null) {
      offers.push({ text: String(value), kind: 'value', detail });
    }
  }
  return offers;
}

/** A text as a value; quoted where a bare one would be read as something else. */
function valueText(value: string, op: string): string {
  const bare =
    /^[\p{L}_][^\s()",]*$/u.test(value) &&
    !/^(?:true|false|null|none|nan|inf|infinity|now|today|yesterday)$/i.test(value);
  return bare && op !== 'has' ? value : quote(value);
}

function printed(path: string): string {
  return printPath({ text: path, quoted: Object.hasOwn(FIELDS, path), scope: 'any' });
}

function runs(count: number): string {
  return count === 1 ? '1 run' : `${count} runs`;
}

/** Those that begin with what was typed, then those that contain it, in the order given; what is typed already is left out. */
function ranked(offers: readonly Offer[], typed: string): Pick<Completion, 'text' | 'kind' | 'detail'>[] {
  const lower = typed.toLowerCase();
  const begin: Offer[] = [];
  const contain: Offer[] = [];
  for (const offer of offers) {
    const name = (offer.name ?? offer.text).toLowerCase();
    if (name.startsWith(lower)) begin.push(offer);
    else if (lower.length > 1 && name.includes(lower)) contain.push(offer);
  }
  return [...begin, ...contain].slice(0, OFFERED).map(({ text, kind, detail }) => ({ text, kind, detail }));
}
