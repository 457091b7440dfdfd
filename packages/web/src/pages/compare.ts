import type { RunState } from '@fieldbook/core/fold';
import { cellOf, metricColumn, parseColumn, attributeColumn } from '../worker/columns.ts';

export interface CompareLine {
  key: string;
  column: string;
  label: string;
  values: readonly unknown[];
  differs: boolean;
  /** Place of the least loss or the greatest score; null when that is not clear. */
  best: number | null;
}

/** Everything recorded of the runs, one line each: fields, attributes, then metrics where they stand. */
export function compareLines(states: readonly RunState[], now: number): CompareLine[] {
  const columns: string[] = ['status', 'created', 'duration', 'user', 'host', 'group', 'tags'];
  const paths = (of: (state: RunState) => Iterable<string>): string[] =>
    [...new Set(states.flatMap((state) => [...of(state)]))].sort();
  columns.push(...paths((state) => state.attributes.keys()).map(attributeColumn));
  columns.push(...paths((state) => state.metrics.keys()).map((path) => metricColumn(path, 'last')));
  return columns.flatMap((id) => {
    const column = parseColumn(id);
    if (column === undefined) return [];
    const values = states.map((state) => cellOf(state, column, now));
    if (values.every((value) => value === undefined)) return [];
    const texts = values.map(
      (value) => JSON.stringify(value, (_key, part: unknown) => (typeof part === 'number' ? String(part) : part)) ?? '',
    );
    return [
      {
        key: id,
        column: id,
        label: column.path,
        values,
        differs: texts.some((text) => text !== texts[0]),
        best: column.source === 'metric' ? bestOf(column.path, values) : null,
      },
    ];
  });
}

/** By the metric's name: less loss is better, more accuracy is. */
function bestOf(path: string, values: readonly unknown[]): number | null {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const sign = /loss|err|perplexity|ppl|mse|mae|rmse/i.test(name)
    ? -1
    : /acc|f1|auc|score|precision|recall|bleu|map|iou|r2/i.test(name)
      ? 1
      : 0;
  if (sign === 0) return null;
  let best: number | null = null;
  for (const [place, value] of values.entries()) {
    if (typeof value !== 'number' || !Number.isFinite(value)) continue;
    if (best === null || (value - (values[best] as number)) * sign > 0) best = place;
  }
  return best;
}
