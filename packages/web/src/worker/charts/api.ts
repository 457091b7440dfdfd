import type { ProjectId, RunId } from '@fieldbook/core';
import type { RunStatus } from '@fieldbook/core/record';
import type { ChartGroup, Centre, Spread } from '../../charts/groups.ts';
import type { Axis, Smoothing } from '../../charts/settings.ts';

/** What charts ask of the worker. It reads, joins, smooths and thins out; the page paints what it gets. */
export interface ChartsApi {
  /** Runs to draw and all of their metrics; with `system`, those of their machines instead. `members` adds the metrics of groups' runs. */
  chartRuns(
    project: ProjectId,
    runs: readonly RunId[],
    system?: boolean,
    members?: MembersAsked | null,
  ): Promise<ChartedRuns>;
  /** The lines of one panel, in the order asked for; a run without the metric is left out. */
  chartLines(request: LinesRequest): Promise<DrawnLine[]>;
  /** The line and band of each group, over all its runs. Answers with what is read so far; ask again while `pending` is not 0. */
  chartBands(request: BandsRequest): Promise<DrawnBand[]>;
  /** Counts on all points, not on those that are drawn. */
  chartCensus(request: CensusRequest): Promise<Census>;
  /** Points as recorded, for a table or a file. */
  chartPoints(request: PointsRequest): Promise<PointsPage>;
}

/** All runs of groups, of which only the table is looked at. */
export interface MembersAsked {
  runs: readonly RunId[];
  /** Extremes of a hundred thousand runs take a moment: for whom they matter. Else they are those of the runs that are drawn. */
  extremes: boolean;
}

export interface ChartedRuns {
  runs: readonly ChartedRun[];
  /** By path. */
  metrics: readonly ChartedMetric[];
}

export interface ChartedRun {
  id: RunId;
  name: string;
  status: RunStatus;
  created: number;
  updated: number;
}

/** A metric of the charted runs and what `define_metric` says of it. */
export interface ChartedMetric {
  path: string;
  /** Extremes over all runs, of finite values; NaN without any. */
  min: number;
  max: number;
  unit: string | null;
  goal: 'min' | 'max' | null;
  /** The metric that it is meant to be drawn against. */
  x: string | null;
}

export interface LinesRequest {
  series: readonly { run: RunId; metric: string }[];
  axis: Axis;
  /** In units of the axis: steps, ms since the run's creation, ms since the epoch, values of the other metric. */
  from: number | null;
  to: number | null;
  logX: boolean;
  smoothing: Smoothing | null;
  /** Up to so many points come as they are. */
  points: number;
}

/** A polyline of one series. With buckets, each contributes its first, least, greatest and last point, so no spike is lost. */
export interface DrawnLine {
  run: RunId;
  metric: string;
  x: Float64Array;
  /** As recorded. */
  y: Float64Array;
  /** False where x goes back and forth, as it may when another metric lies along it: points are in the order of steps. */
  ascending: boolean;
  smooth: { x: Float64Array; y: Float64Array } | null;
  /** Least and greatest of each bucket, when not every point is drawn. */
  band: { x: Float64Array; low: Float64Array; high: Float64Array } | null;
  /** Points in the range. */
  total: number;
  /** 0 when every point is drawn. */
  buckets: number;
  odd: OddMarks;
  nonFinite: number;
  /** Points that have no place on this axis: x of 0 or less on a logarithmic one, no value of the other metric at their step. */
  unplaced: number;
  /** `fresh` from the server just now, `kept` from this browser, `absent` nowhere. */
  origin: 'fresh' | 'kept' | 'absent';
  /** In words, when something of it is missing. */
  note: string | null;
}

/** Where values are that have no height. */
export interface OddMarks {
  x: Float64Array;
  /** Of each: 0 NaN, 1 +∞, 2 −∞, 3 several of them in one bucket. */
  kind: Uint8Array;
}

export interface BandsRequest {
  groups: readonly ChartGroup[];
  metric: string;
  axis: Axis;
  from: number | null;
  to: number | null;
  logX: boolean;
  smoothing: Smoothing | null;
  centre: Centre;
  spread: Spread;
}

export interface DrawnBand {
  group: string;
  x: Float64Array;
  /** NaN where no run counts. */
  centre: Float64Array;
  low: Float64Array;
  high: Float64Array;
  /** How many runs count at each x, and how many have NaN or infinities there. */
  runs: Uint32Array;
  oddRuns: Uint32Array;
  odd: OddMarks;
  /** How many runs have NaN or infinities anywhere here. */
  withOdd: number;
  /** Runs of the group that have the metric; those read so far; those not yet read; those whose points cannot be had. */
  total: number;
  read: number;
  pending: number;
  absent: number;
  points: number;
}

export interface CensusRequest extends Omit<LinesRequest, 'points'> {
  /** Values outside are counted. Null: those between which the middle `percent` of all values lie. */
  within: { min: number; max: number } | null;
  percent: number;
}

export interface Census {
  /** Finite values looked at. */
  values: number;
  /** The range that was counted against; null when there are no finite values. */
  within: { min: number; max: number } | null;
  above: number;
  below: number;
  /** 0 or less. */
  nonPositive: number;
  nan: number;
  plusInfinity: number;
  minusInfinity: number;
  /** False when some series could only be looked at as they are drawn: counts then are at least that. */
  complete: boolean;
}

export interface PointsRequest {
  run: RunId;
  metric: string;
  axis: Axis;
  from: number | null;
  to: number | null;
  first: number;
  count: number;
}

export interface PointsPage {
  total: number;
  steps: Float64Array;
  times: Float64Array;
  values: Float64Array;
  /** Values of the other metric, when one lies along the axis. */
  x: Float64Array | null;
  note: string | null;
}
