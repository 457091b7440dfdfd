import type { ProjectId, RunId } from '@fieldbook/core';
import type { View } from './api.ts';

/** Columns of many runs at once, for charts that show a point or a line per run. */
export interface PlotsApi {
  /** All runs of a view in its order, or those named that the project has. One answer, in typed arrays. */
  plot(project: ProjectId, scope: PlotScope, columns: readonly string[]): Promise<PlotData>;
  /** Which values of metrics the scripts have called good, by the name or pattern given to `define_metric`. */
  goals(project: ProjectId): Promise<readonly MetricGoal[]>;
}

export type PlotScope = { view: View } | { runs: readonly RunId[] };

export interface PlotData {
  /** Joined by line feeds: one text crosses to the page faster than 100,000 do. */
  ids: string;
  count: number;
  columns: readonly PlotColumn[];
}

export type PlotKind = 'number' | 'duration' | 'time' | 'category' | 'empty';

export interface PlotColumn {
  id: string;
  kind: PlotKind;
  /** By run, in the order of the ids: a number, ms, or a place in `categories`. NaN where there is none. */
  values: Float64Array;
  /** In natural order. */
  categories: readonly PlotCategory[];
  /** Runs that have no value, and those whose number is NaN or infinite. */
  missing: number;
  nonFinite: number;
}

export interface PlotCategory {
  label: string;
  /** As a query names it: quoted text, `true`, `null`, a number. */
  literal: string;
}

export interface MetricGoal {
  /** A metric, or with `*` a pattern of them. */
  name: string;
  goal: 'min' | 'max';
}
