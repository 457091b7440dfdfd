import type { AttributeValue } from '@fieldbook/core/record';
import type { ChartedMetric } from './api.ts';

/** What `define_metric` says of a metric. */
export type MetricMeaning = Pick<ChartedMetric, 'unit' | 'goal' | 'x'>;

const PREFIX = 'metric/';
/** Patterns of one run that are looked at for each of its metrics; nobody writes more by hand. */
const PATTERNS = 200;

/**
 * Reads `metric/<name>/goal`, `/unit` and `/x` of a run's attributes. `*` in a name stands for any text; what is said of a whole name
 * counts more, then the longer pattern.
 */
export function readMeanings(attributes: ReadonlyMap<string, AttributeValue>): (metric: string) => MetricMeaning {
  const exact = new Map<string, MetricMeaning>();
  const patterns = new Map<string, MetricMeaning>();
  for (const [path, value] of attributes) {
    if (!path.startsWith(PREFIX) || typeof value !== 'string') continue;
    const slash = path.lastIndexOf('/');
    const name = path.slice(PREFIX.length, slash);
    const of = name.includes('*') ? patterns : exact;
    const known = of.get(name) ?? { unit: null, goal: null, x: null };
    switch (path.slice(slash + 1)) {
      case 'unit':
        of.set(name, { ...known, unit: value });
        break;
      case 'goal':
        if (value === 'min' || value === 'max') of.set(name, { ...known, goal: value });
        break;
      case 'x':
        of.set(name, { ...known, x: value });
        break;
      default:
        break;
    }
  }
  const ordered = [...patterns].sort(([a], [b]) => b.length - a.length || (a < b ? -1 : 1)).slice(0, PATTERNS);
  return (metric) => {
    const found: MetricMeaning = { unit: null, goal: null, x: null };
    const said = exact.get(metric);
    for (const meaning of [
      ...(said === undefined ? [] : [said]),
      ...ordered.flatMap(([pattern, its]) => (matches(pattern, metric) ? its : [])),
    ]) {
      found.unit ??= meaning.unit;
      found.goal ??= meaning.goal;
      found.x ??= meaning.x;
    }
    return found;
  };
}

/** Whether a text is the pattern's pieces with anything between them: greedy from the left, which is enough for `*` alone. */
export function matches(pattern: string, text: string): boolean {
  const pieces = pattern.split('*');
  const first = pieces[0]!;
  const last = pieces[pieces.length - 1]!;
  if (pieces.length === 1) return pattern === text;
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false;
  let at = first.length;
  const end = text.length - last.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = text.indexOf(piece, at);
    if (found === -1 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return true;
}
