import type { RunId } from '@fieldbook/core';
import type { ProjectTable } from '../table.ts';
import type { ChartedMetric, MembersAsked } from './api.ts';
import { readMeanings } from './definitions.ts';

/** Rows looked at before it is asked whether a metric was found among them. */
const STRETCH = 2_048;
const FRAME = { now: 0 };

/**
 * Metrics of all runs of groups, from the table's columns: what `known` lacks is added, and with `extremes` least and greatest are those of
 * all. A metric that many runs have is found at once; one that none has costs a look at each run.
 */
export function addMembers(
  known: Map<string, ChartedMetric>,
  table: ProjectTable,
  { runs, extremes }: MembersAsked,
): void {
  const rows = table.rowsOf(runs);
  for (const { id, path, source, aggregate } of table.runs.columns()) {
    if (source !== 'metric' || aggregate !== 'count') continue;
    let metric = known.get(path);
    if (metric === undefined) {
      const holder = firstWith(table, rows, id);
      if (holder === undefined) continue;
      const state = table.glimpse(holder)!;
      const { min, max } = state.metrics.get(path as never)!;
      known.set(path, (metric = { path, min, max, ...readMeanings(state.attributes)(path) }));
    }
    if (!extremes) continue;
    const [least, greatest] = (['min', 'max'] as const).map((end) => {
      const column = `${id.slice(0, -'count'.length)}${end}`;
      return table.runs.summaries(rows, [{ column }], FRAME)[0]![end] ?? NaN;
    }) as [number, number];
    known.set(path, { ...metric, min: least, max: greatest });
  }
}

function firstWith(table: ProjectTable, rows: Uint32Array, column: string): RunId | undefined {
  for (let start = 0; start < rows.length; start += STRETCH) {
    const stretch = rows.subarray(start, start + STRETCH);
    if (table.runs.summaries(stretch, [{ column }], FRAME)[0]!.count === 0) continue;
    const at = table.runs.cells(stretch, column, FRAME).findIndex((cell) => cell !== undefined);
    return table.runs.id(stretch[at]!);
  }
  return undefined;
}
