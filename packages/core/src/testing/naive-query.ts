import type { RunState } from '../fold/state.ts';
import type { AttributePath } from '../ids.ts';
import type { AttributeValue } from '../record/index.ts';
import type { Literal, Node, Path, SortKey } from '../query/index.ts';
import type { TimeFrame } from '../query/index.ts';

/**
 * The meaning of a query, written once more over plain states, one run at a time and with no regard for cost: what
 * the columns of `@fieldbook/core/query` are compared with.
 */
export interface NaiveFrame extends TimeFrame {
  /** Reads a literal as a time; dates are the one part that is not written twice. */
  period(literal: Literal): { from: number; until: number } | undefined;
}

type Value = AttributeValue | undefined;
type Found = (state: RunState) => Value;

const DURATION = 'duration';

export function naiveSelect(
  states: readonly RunState[],
  root: Node | null,
  sort: readonly SortKey[],
  frame: NaiveFrame,
): RunState[] {
  const shown = states.filter((state) => state.known && !state.purged);
  const matching = shown.filter((state) => root === null || holds(root, state, shown, frame));
  const keys = sort.map((key) => ({
    find: columnOf(key.column, shown, frame),
    order: key.column === 'id' ? plainly : naturally,
    sign: key.descending === true ? -1 : 1,
  }));
  return matching.sort((a, b) => {
    for (const { find, order, sign } of keys) {
      const compared = compareCells(find(a), find(b), sign, order);
      if (compared !== 0) return compared;
    }
    return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
  });
}

function holds(node: Node, state: RunState, all: readonly RunState[], frame: NaiveFrame): boolean {
  switch (node.kind) {
    case 'and':
      return node.terms.every((term) => holds(term, state, all, frame));
    case 'or':
      return node.terms.some((term) => holds(term, state, all, frame));
    case 'not':
      return !holds(node.term, state, all, frame);
    case 'word': {
      const word = node.text.toLowerCase();
      return [state.name, state.notes, ...state.tags].some((text) => text.toLowerCase().includes(word));
    }
    default:
      break;
  }
  const value = pathOf(node.path, all, frame)(state);
  const duration = !node.path.quoted && node.path.scope === 'any' && node.path.text === DURATION;
  switch (node.kind) {
    case 'flag':
      return value === true;
    case 'presence':
      return (value !== undefined) === node.present;
    case 'match': {
      if (value === undefined) return false;
      const pattern = new RegExp(node.pattern, node.ignoreCase ? 'iu' : 'u');
      const texts = typeof value === 'string' ? [value] : Array.isArray(value) ? (value as readonly string[]) : [];
      return texts.some((text) => pattern.test(text)) !== node.negated;
    }
    case 'in':
      if (value === undefined) return false;
      return node.values.some((literal) => equal(value, literal, false, duration, frame)) !== node.negated;
    case 'compare': {
      if (value === undefined) return false;
      const { op, value: literal } = node;
      if (op === '=' || op === ':') return equal(value, literal, op === ':', duration, frame);
      if (op === '!=') return !equal(value, literal, false, duration, frame);
      if (op === 'has') {
        if (typeof value === 'string') return value.toLowerCase().includes(literal.text.toLowerCase());
        return Array.isArray(value) && value.includes(literal.text);
      }
      const id = !node.path.quoted && node.path.scope === 'any' && node.path.text === 'id';
      return ordered(value, op, literal, duration, id ? plainly : naturally, frame);
    }
  }
}

function equal(
  value: AttributeValue,
  literal: Literal,
  loosely: boolean,
  duration: boolean,
  frame: NaiveFrame,
): boolean {
  const { text, quoted } = literal;
  if (value === null) return !quoted && (text === 'null' || text === 'None');
  if (typeof value === 'number') {
    const number = numberOf(literal, duration);
    return number !== undefined && (Number.isNaN(number) ? Number.isNaN(value) : value === number);
  }
  if (typeof value === 'boolean') return !quoted && text.toLowerCase() === String(value);
  if (typeof value === 'string') return loosely ? value.toLowerCase().includes(text.toLowerCase()) : value === text;
  if ('time' in value) {
    const period = frame.period(literal);
    if (period === undefined) return false;
    return value.time === period.from || (value.time > period.from && value.time < period.until);
  }
  return value.some((element) => (loosely ? element.toLowerCase() === text.toLowerCase() : element === text));
}

function ordered(
  value: AttributeValue,
  op: '<' | '<=' | '>' | '>=',
  literal: Literal,
  duration: boolean,
  texts: (a: string, b: string) => number,
  frame: NaiveFrame,
): boolean {
  const test = (order: number): boolean =>
    op === '<' ? order < 0 : op === '<=' ? order <= 0 : op === '>' ? order > 0 : order >= 0;
  const number = numberOf(literal, duration);
  if (typeof value === 'number') {
    if (number === undefined || Number.isNaN(number) || Number.isNaN(value)) return false;
    return test(value < number ? -1 : value > number ? 1 : 0);
  }
  if (typeof value === 'string') return numberOf(literal, false) === undefined && test(texts(value, literal.text));
  if (value === null || typeof value !== 'object' || !('time' in value)) return false;
  const period = frame.period(literal);
  if (period === undefined) return false;
  if (value.time < period.from) return test(-1);
  return test(value.time > period.from && value.time >= period.until ? 1 : 0);
}

/** Numbers of the literals that the fuzz makes; a bare number is seconds of a duration. */
function numberOf({ text, quoted }: Literal, duration: boolean): number | undefined {
  if (quoted || text.trim() === '') return undefined;
  const named: Record<string, number> = { nan: Number.NaN, inf: Infinity, '-inf': -Infinity };
  const number = named[text] ?? Number(text);
  if (!Number.isNaN(number) || text === 'nan') return duration ? number * 1_000 : number;
  const units: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000 };
  const match = /^(\d+)([smh])$/.exec(text);
  return duration && match !== null ? Number(match[1]) * units[match[2]!]! : undefined;
}

function pathOf(path: Path, all: readonly RunState[], frame: NaiveFrame): Found {
  if (path.scope === 'attribute') return (state) => state.attributes.get(path.text as AttributePath);
  if (path.scope === 'metric') return metricOf(path.text, true, all)!;
  if (!path.quoted) {
    const field = fieldOf(path.text, frame);
    if (field !== undefined) return field;
  }
  return dataOf(path.text, all);
}

function columnOf(id: string, all: readonly RunState[], frame: NaiveFrame): Found {
  if (id.startsWith('a:')) return (state) => state.attributes.get(id.slice(2) as AttributePath);
  if (id.startsWith('m:')) return metricOf(id.slice(2), true, all)!;
  return fieldOf(id, frame) ?? dataOf(id, all);
}

function dataOf(text: string, all: readonly RunState[]): Found {
  const path = text as AttributePath;
  if (all.some((state) => state.attributes.has(path))) return (state) => state.attributes.get(path);
  if (all.some((state) => state.metrics.has(path))) return (state) => state.metrics.get(path)?.last;
  return metricOf(text, false, all) ?? (() => undefined);
}

/** A metric by path and aggregate; with `always` also one that no run has, and without an aggregate its last value. */
function metricOf(text: string, always: boolean, all: readonly RunState[]): Found | undefined {
  const match = /^(.+)\.(last|min|max|count|step|minStep|maxStep|nonFinite)$/s.exec(text);
  if (match === null) return always ? (state) => state.metrics.get(text as AttributePath)?.last : undefined;
  const path = match[1] as AttributePath;
  if (!always && !all.some((state) => state.metrics.has(path))) return undefined;
  return (state) => {
    const metric = state.metrics.get(path);
    if (metric === undefined) return undefined;
    switch (match[2]) {
      case 'min':
        return Number.isNaN(metric.min) ? undefined : metric.min;
      case 'minStep':
        return Number.isNaN(metric.min) ? undefined : metric.minStep;
      case 'max':
        return Number.isNaN(metric.max) ? undefined : metric.max;
      case 'maxStep':
        return Number.isNaN(metric.max) ? undefined : metric.maxStep;
      case 'step':
        return metric.lastStep;
      case 'count':
        return metric.count;
      case 'nonFinite':
        return metric.nonFinite;
      default:
        return metric.last;
    }
  };
}

function fieldOf(text: string, frame: NaiveFrame): Found | undefined {
  switch (text) {
    case 'id':
    case 'name':
    case 'project':
    case 'status':
    case 'archived':
    case 'trashed':
    case 'unnamed':
      return (state) => state[text];
    case 'star':
    case 'starred':
      return (state) => state.star;
    case 'group':
    case 'user':
    case 'host':
    case 'notes':
      return (state) => (state[text] === null || state[text] === '' ? undefined : state[text]);
    case 'created':
    case 'updated':
    case 'ended':
      return (state) => (state[text] === null ? undefined : { time: state[text] });
    case DURATION:
      return ({ created, updated, ended, status }) =>
        Math.max(0, (ended ?? (status === 'running' ? frame.now : updated)) - created);
    case 'tags':
    case 'tag':
      return (state) => (state.tags.length === 0 ? undefined : state.tags);
    case 'conflicted':
      return (state) => state.conflicts.length > 0;
    case 'writers':
      return (state) => state.writers.length;
    default:
      return undefined;
  }
}

/** Missing after NaN after the rest, in both directions; numbers, times, flags, texts, lists. */
function compareCells(a: Value, b: Value, sign: number, texts: (a: string, b: string) => number): number {
  const last = (cell: Value): number => (cell === undefined || cell === null ? 2 : Number.isNaN(cell) ? 1 : 0);
  if (last(a) !== 0 || last(b) !== 0) return last(a) - last(b);
  const kind = (cell: Value): number =>
    typeof cell === 'number'
      ? 0
      : typeof cell === 'boolean'
        ? 2
        : typeof cell === 'string'
          ? 3
          : Array.isArray(cell)
            ? 4
            : 1;
  if (kind(a) !== kind(b)) return sign * (kind(a) - kind(b));
  if (Array.isArray(a)) {
    const lists = [a, b] as readonly string[][];
    return sign * naturally(lists[0]!.join('\u0001'), lists[1]!.join('\u0001'));
  }
  if (typeof a === 'string') return sign * texts(a, b as string);
  const number = (cell: Value): number =>
    typeof cell === 'object' && cell !== null && 'time' in cell ? cell.time : Number(cell);
  return sign * (number(a) < number(b) ? -1 : number(a) > number(b) ? 1 : 0);
}

/** Ids order by code units, in which minted ones are in the order of their times. */
function plainly(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Runs of digits by value, everything else by code unit in lower case; equals by the texts themselves. */
function naturally(a: string, b: string): number {
  const parts = (text: string): string[] => text.toLowerCase().match(/\d+|\D/g) ?? [];
  const x = parts(a);
  const y = parts(b);
  for (let index = 0; index < Math.min(x.length, y.length); index++) {
    const [p, q] = [x[index]!, y[index]!];
    if (/\d/.test(p) && /\d/.test(q)) {
      if (BigInt(p) !== BigInt(q)) return BigInt(p) < BigInt(q) ? -1 : 1;
    } else if (p !== q) {
      const [s, t] = [/\d/.test(p) ? '0' : p, /\d/.test(q) ? '0' : q];
      return s < t ? -1 : 1;
    }
  }
  return x.length - y.length || (a < b ? -1 : a > b ? 1 : 0);
}
