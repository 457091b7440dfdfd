import type { ProjectId, RunId } from '@fieldbook/core';
import type { Cell, QueryProblem, Row, View } from './api.ts';

/** A table whose runs are in groups by equal values of columns, on several levels. */
export interface GroupsApi {
  /** Heads of groups and, below those that are open, their subgroups or runs; only the lines asked for. */
  lines(project: ProjectId, request: LinesRequest): Promise<Lines>;
  /** Runs on the lines between two places, those of closed groups included, each once. */
  lineRuns(project: ProjectId, layout: Layout, first: number, count: number): Promise<RunId[]>;
  /** Runs of groups, in the order of the table. */
  groupRuns(project: ProjectId, layout: Layout, groups: readonly string[]): Promise<RunId[]>;
  /** The first groups of the outermost level with all their runs, for charts, and how many there are. */
  groupsCharted(project: ProjectId, layout: Layout, most: number): Promise<GroupsCharted>;
}

/** What a group says of a column of numbers: mean ± deviation, least and greatest, or the best by the column's goal. */
export const SUMMARY_KINDS = ['mean', 'range', 'best'] as const;
export type SummaryKind = (typeof SUMMARY_KINDS)[number];

/** A sort key of this column orders groups by their number of runs. */
export const GROUP_SIZE = 'runs';

export interface Layout extends View {
  /** Columns to group by, the outermost level first; at least one. */
  by: readonly string[];
  summary: SummaryKind;
  /** Ids of open groups. */
  open: readonly string[] | 'all';
}

export interface LinesRequest extends Layout {
  columns: readonly string[];
  first: number;
  count: number;
  /** Ids of runs or groups whose places the page wants to know. */
  places: readonly string[];
}

export interface Lines {
  /** Lines of the table, runs that match, and groups on the outermost level. */
  total: number;
  runs: number;
  groups: number;
  /** Runs in the drawer. */
  all: number;
  first: number;
  lines: Line[];
  places: (number | null)[];
  error: QueryProblem | null;
  loading: boolean;
}

export type Line = RunLine | GroupLine;

export interface RunLine {
  kind: 'run';
  id: RunId;
  depth: number;
  /** The outermost group that it is in. */
  group: string | null;
  row: Row;
}

export interface GroupLine {
  kind: 'group';
  id: string;
  depth: number;
  /** The outermost group that it is, or is in. */
  group: string;
  /** What it is grouped by on this level, and the value that its runs share. */
  column: string;
  key: Cell;
  runs: number;
  open: boolean;
  /** One per column asked for. */
  cells: GroupCell[];
}

/** Of numbers and times a summary over the finite ones; of anything else the value that all share, or how many there are. */
export type GroupCell =
  | {
      kind: 'numbers';
      time: boolean;
      count: number;
      nonFinite: number;
      mean: number;
      std: number | null;
      min: number;
      max: number;
      /** Null when nobody can tell what is good. */
      best: { value: number; run: RunId } | null;
    }
  | { kind: 'same'; value: Cell }
  | { kind: 'several'; distinct: number; more: boolean }
  | null;

export interface GroupsCharted {
  groups: GroupCharted[];
  total: number;
}

export interface GroupCharted {
  id: string;
  label: string;
  runs: RunId[];
}
