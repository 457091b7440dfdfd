import type { ColumnInfo } from '../worker/api.ts';
import type { MetricGoal } from '../worker/plots-api.ts';
import type { AddedChart } from './definition.ts';
import { goalOf } from './goals.ts';

export const CHART_KINDS: readonly (readonly [kind: AddedChart['kind'], label: string])[] = [
  ['scatter', 'Scatter'],
  ['parallel', 'Parallel coordinates'],
  ['bars', 'Bars'],
  ['media', 'Images and other objects'],
];

const AXES = 5;

/** A chart that shows something at once: what varies among parameters against what was trained for. Undefined where nothing can be shown. */
export function newChart(
  kind: AddedChart['kind'],
  columns: readonly ColumnInfo[],
  goals: readonly MetricGoal[],
  series: readonly string[],
): AddedChart | undefined {
  const main = mainMetric(columns, goals);
  const parameters = columns
    .filter(({ source, varies, path }) => source === 'attribute' && varies && !/^(sys|metric|data|git)\//.test(path))
    // What most runs have, those that were set on purpose first.
    .sort((a, b) => Number(isParameter(b)) - Number(isParameter(a)) || b.filled - a.filled);
  const numbers = parameters.filter(({ numeric }) => numeric);
  switch (kind) {
    case 'scatter': {
      const x = numbers[0]?.id ?? 'duration';
      const y = main?.id ?? numbers[1]?.id ?? 'created';
      return {
        kind,
        x,
        y,
        colour: null,
        logX: /\b(lr|learning_rate|weight_decay|wd|eps)$/.test(x),
        logY: false,
        front: null,
      };
    }
    case 'parallel': {
      const chosen = [...parameters.slice(0, AXES).map(({ id }) => id), ...(main === null ? [] : [main.id])];
      const axes = (chosen.length < 2 ? ['created', 'duration', ...chosen] : chosen).map((column) => ({
        column,
        log: /\b(lr|learning_rate|weight_decay|wd|eps)$/.test(column),
        brush: null,
      }));
      return { kind, axes, colour: main?.id ?? null };
    }
    case 'bars':
      return { kind, column: main?.id ?? 'duration', by: null, spread: 'std', descending: main?.goal !== 'min' };
    case 'media':
      return series.length === 0 ? undefined : { kind, series: series.slice(0, 2), step: null };
  }
}

/** The metric that says how good a run is, at its best: one with a goal, of validation before training. */
export function mainMetric(
  columns: readonly ColumnInfo[],
  goals: readonly MetricGoal[],
): { id: string; path: string; goal: 'min' | 'max' } | null {
  const metrics = columns.filter(({ source, aggregate }) => source === 'metric' && aggregate === 'last');
  const rank = ({ path, filled }: ColumnInfo): number => {
    const goal = goalOf(path, goals);
    if (goal === null || /^sys(tem)?\//.test(path)) return -1;
    const said = goals.some(({ name }) => name === path) ? 4 : 0;
    return said + (/^(val|valid|validation|test|eval)\b/.test(path) ? 2 : 0) + (goal === 'max' ? 1 : 0) + filled / 1e9;
  };
  const best = metrics.reduce<ColumnInfo | null>((a, b) => (rank(b) > (a === null ? -1 : rank(a)) ? b : a), null);
  if (best === null) return null;
  const goal = goalOf(best.path, goals)!;
  return { id: `m:${best.path}.${goal}`, path: best.path, goal };
}

function isParameter({ path }: ColumnInfo): boolean {
  return /^(params|parameters|config|hparams)\//.test(path);
}
