import type { PlotColumn } from '../../worker/plots-api.ts';
import type { Spread } from '../definition.ts';
import { valueLabel } from '../scale.ts';

export interface Bar {
  id: string;
  /** Null: the name of the run `id`. */
  label: string | null;
  value: number;
  /** Ends of the error bar; null for one run, or a spread that one value has not. */
  low: number | null;
  high: number | null;
  /** Runs that have a value. */
  count: number;
  runs: readonly string[];
}

export interface BarGroup {
  id: string;
  label: string;
  runs: readonly string[];
}

/** One bar per run that has a number. */
export function barsOfRuns(ids: readonly string[], column: PlotColumn, descending: boolean): Bar[] {
  const bars = ids.flatMap((id, at): Bar[] => {
    const value = column.values[at]!;
    return Number.isFinite(value) ? [{ id, label: null, value, low: null, high: null, count: 1, runs: [id] }] : [];
  });
  return inOrder(bars, descending);
}

/** One bar per group: the mean over all its runs that have a number, and how far those lie apart. */
export function barsOfGroups(
  ids: readonly string[],
  column: PlotColumn,
  groups: readonly BarGroup[],
  spread: Spread,
  descending: boolean,
): Bar[] {
  const places = new Map(ids.map((id, at) => [id, at]));
  const bars = groups.flatMap((group): Bar[] => {
    const values: number[] = [];
    const runs: string[] = [];
    for (const run of group.runs) {
      const value = column.values[places.get(run) ?? -1];
      if (value === undefined || !Number.isFinite(value)) continue;
      values.push(value);
      runs.push(run);
    }
    if (values.length === 0) return [];
    return [{ id: group.id, label: group.label, count: values.length, runs, ...summary(values, spread) }];
  });
  return inOrder(bars, descending);
}

/** Runs by their value in a column; those without one are a group of their own. */
export function groupsBy(ids: readonly string[], by: PlotColumn): BarGroup[] {
  const groups = new Map<string, { id: string; label: string; runs: string[] }>();
  for (const [at, run] of ids.entries()) {
    const value = by.values[at]!;
    const key = String(value);
    const group = groups.get(key);
    if (group !== undefined) group.runs.push(run);
    else groups.set(key, { id: key, label: Number.isNaN(value) ? 'without' : valueLabel(by, value), runs: [run] });
  }
  return [...groups.values()];
}

function summary(values: readonly number[], spread: Spread): Pick<Bar, 'value' | 'low' | 'high'> {
  let [mean, squares] = [0, 0];
  for (const [at, value] of values.entries()) {
    const distance = value - mean;
    mean += distance / (at + 1);
    squares += distance * (value - mean);
  }
  if (values.length < 2) return { value: mean, low: null, high: null };
  if (spread === 'range')
    return {
      value: mean,
      low: values.reduce((a, b) => Math.min(a, b)),
      high: values.reduce((a, b) => Math.max(a, b)),
    };
  const std = Math.sqrt(squares / (values.length - 1));
  const half = spread === 'std' ? std : (student(values.length - 1) * std) / Math.sqrt(values.length);
  return { value: mean, low: mean - half, high: mean + half };
}

/** Student's t at 97.5 % for 1 to 30 degrees of freedom. */
const STUDENT = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];

function student(freedom: number): number {
  return STUDENT[freedom - 1] ?? 1.96 + 2.4 / freedom;
}

function inOrder(bars: Bar[], descending: boolean): Bar[] {
  const sign = descending ? -1 : 1;
  return bars.sort((a, b) => sign * (a.value - b.value) || (a.id < b.id ? -1 : 1));
}
