import type { RunState } from '@fieldbook/core/fold';
import { exact, number } from '../../app/format.ts';
import type { Direction } from '../../charts/definition.ts';
import { goalOf } from '../../charts/goals.ts';
import { attributeColumn, cellOf, metricColumn, parseColumn } from '../../worker/columns.ts';
import type { Surroundings } from '../../worker/compare-api.ts';
import type { MetricGoal } from '../../worker/plots-api.ts';

/** One thing of several runs, side by side. */
export interface CompareLine {
  key: string;
  /** Tells durations from other numbers; '' of what is no column. */
  column: string;
  label: string;
  /** Lines of one kind stand together. */
  part: string;
  values: readonly unknown[];
  differs: boolean;
  /** Place of the best by the metric's goal; null when nobody can tell. */
  best: number | null;
}

const FIELDS = ['status', 'created', 'duration', 'user', 'host', 'group', 'tags', 'notes'];

/** Everything recorded of the runs, one line each: fields, attributes, then metrics at their best or where they stand. */
export function compareLines(states: readonly RunState[], goals: readonly MetricGoal[], now: number): CompareLine[] {
  const paths = (of: (state: RunState) => Iterable<string>): string[] =>
    [...new Set(states.flatMap((state) => [...of(state)]))].sort();
  const columns: [part: string, column: string][] = FIELDS.map((field) => ['Run', field]);
  for (const path of paths((state) => state.attributes.keys()))
    if (!path.startsWith('metric/')) columns.push(['Attributes', attributeColumn(path)]);
  for (const path of paths((state) => state.metrics.keys())) {
    const goal = goalOf(path, goals);
    if (goal !== null) columns.push(['Metrics', metricColumn(path, goal)]);
    columns.push(['Metrics', metricColumn(path, 'last')]);
  }
  return columns.flatMap(([part, id]) => {
    const column = parseColumn(id);
    if (column === undefined) return [];
    const values = states.map((state) => cellOf(state, column, now));
    if (values.every((value) => value === undefined)) return [];
    const goal = column.source === 'metric' ? goalOf(column.path, goals) : null;
    const label =
      column.aggregate === null || column.aggregate === 'last' ? column.path : `${column.path} · ${column.aggregate}`;
    return [lineOf(id, id, label, part, values, goal)];
  });
}

/** Sections of what was captured, flattened to a line per value. What differs in every run by nature is no line. */
export function surroundingLines(all: readonly Surroundings[], sections: readonly string[]): CompareLine[] {
  return sections.flatMap((section) => {
    const flat = all.map(({ sections: captured }) => flatten(captured[section] ?? {}));
    const keys = [...new Set(flat.flatMap((map) => [...map.keys()]))];
    return keys
      .filter((key) => !/(^|\.)(pid|seconds|free_bytes|time)$/.test(key))
      .map((key) =>
        lineOf(
          `${section}/${key}`,
          '',
          key,
          section,
          flat.map((map) => map.get(key)),
          null,
        ),
      );
  });
}

/** Whether the packages of a run were captured; where they were not, nobody knows what was installed. */
export function hasPackages({ sections }: Surroundings): boolean {
  const packages = sections['packages']?.['packages'];
  return typeof packages === 'object' && packages !== null;
}

/** Installed packages by name, whatever their spelling: versions of each run. Runs whose packages were not captured differ in none. */
export function packageLines(all: readonly Surroundings[]): CompareLine[] {
  const lists = all.map((each) => {
    const found = new Map<string, { name: string; version: string }>();
    if (!hasPackages(each)) return found;
    const packages = each.sections['packages']!['packages'] as object;
    for (const [name, version] of Object.entries(packages) as [string, unknown][])
      // PyPI's own rule for names that are one.
      if (typeof version === 'string') found.set(name.toLowerCase().replace(/[-_.]+/g, '-'), { name, version });
    return found;
  });
  const keys = [...new Set(lists.flatMap((list) => [...list.keys()]))].sort();
  const captured = all.map(hasPackages);
  return keys.map((key) => {
    const name = lists.find((list) => list.has(key))!.get(key)!.name;
    const versions = lists.map((list) => list.get(key)?.version);
    const differs = new Set(versions.filter((_version, at) => captured[at])).size > 1;
    return { ...lineOf(`packages/${key}`, '', name, 'packages', versions, null), differs };
  });
}

/** What is said of runs whose packages do not differ, as far as they are known. */
export function samePackagesWords(all: readonly Surroundings[]): string {
  const known = all.filter(hasPackages).length;
  if (known === all.length) return 'All of these runs had the same packages.';
  if (known === 1) return 'The packages of only one of these runs are known.';
  return `The ${known} runs whose packages are known had the same.`;
}

/** How two lists of packages differ: what an upgrade, a new and a missing package are. */
export function packageCounts(
  lines: readonly CompareLine[],
  before: number,
  after: number,
): { added: number; removed: number; changed: number } {
  const counts = { added: 0, removed: 0, changed: 0 };
  for (const { values } of lines) {
    const [a, b] = [values[before], values[after]];
    if (a === b) continue;
    counts[a === undefined ? 'added' : b === undefined ? 'removed' : 'changed'] += 1;
  }
  return counts;
}

function lineOf(
  key: string,
  column: string,
  label: string,
  part: string,
  values: readonly unknown[],
  goal: Direction | null,
): CompareLine {
  const texts = values.map(textOf);
  return {
    key,
    column,
    label,
    part,
    values,
    differs: texts.some((text) => text !== texts[0]),
    best: bestOf(values, goal),
  };
}

/** NaN and infinities are values of their own here, which JSON has not. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => (typeof part === 'number' ? String(part) : part)) ?? '';
}

function bestOf(values: readonly unknown[], goal: Direction | null): number | null {
  if (goal === null) return null;
  let best: number | null = null;
  let equal = true;
  for (const [place, value] of values.entries()) {
    if (typeof value !== 'number' || !Number.isFinite(value)) continue;
    if (best === null) best = place;
    else if (value !== values[best]) {
      equal = false;
      if ((goal === 'max') === value > (values[best] as number)) best = place;
    }
  }
  // Where all are as good nobody is the best.
  return equal ? null : best;
}

/** What a number is beside the baseline's: `+0.02 (+2.1 %)`; empty where that says nothing. */
export function differenceWords(value: unknown, baseline: unknown): string {
  if (typeof value !== 'number' || typeof baseline !== 'number') return '';
  if (!Number.isFinite(value) || !Number.isFinite(baseline) || value === baseline) return '';
  const difference = value - baseline;
  const sign = difference > 0 ? '+' : '';
  const share =
    baseline === 0 ? '' : ` (${sign}${number(Number(((difference / Math.abs(baseline)) * 100).toPrecision(2)))} %)`;
  return `${sign}${number(Number(difference.toPrecision(4)))}${share}`;
}

export function exactText(value: unknown): string {
  if (value === undefined) return '';
  if (typeof value === 'number') return exact(value);
  if (typeof value === 'string') return value;
  if (typeof value === 'object' && value !== null && 'time' in value)
    return new Date((value as { time: number }).time).toISOString();
  return Array.isArray(value) ? value.map((part) => String(part)).join(', ') : JSON.stringify(value);
}

/** Values by their path within an object: `disks.0.filesystem`. Lists of plain values stay one. */
function flatten(value: Readonly<Record<string, unknown>>, prefix = ''): Map<string, unknown> {
  const found = new Map<string, unknown>();
  for (const [key, part] of Object.entries(value)) {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    const nested = Array.isArray(part)
      ? part.some((each) => typeof each === 'object' && each !== null)
      : typeof part === 'object' && part !== null;
    if (nested) for (const [inner, each] of flatten(part as Record<string, unknown>, path)) found.set(inner, each);
    else if (part !== null && !(Array.isArray(part) && part.length === 0)) found.set(path, part);
  }
  return found;
}
