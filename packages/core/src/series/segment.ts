import { FieldbookError } from '../errors.ts';
import type { RunId, WriterId } from '../ids.ts';
import { packDirectory } from './directory.ts';
import { DELTA_MAX } from './encodings.ts';
import { buildLevels } from './levels.ts';
import type { Column, ParquetOptions } from './parquet-writer.ts';
import { ParquetWriter } from './parquet-writer.ts';
import type { PointColumns } from './points.ts';
import { gather, storageOrder } from './points.ts';

/**
 * Segments: the Parquet files that points are sealed into. docs/formats/segments.md states columns, encodings and keys.
 * Rows are sorted by metric, then step, then ordinal. Row groups begin and end with metrics where metrics are
 * large, and the footer tells where each metric begins, so that one metric is read without decoding the others.
 */
export const SEGMENT_VERSION = 2;

/** Small metrics share a row group of at least this many rows: a footer entry of 500 bytes per group stays below 1 % of it. */
const GROUP_ROWS = 16_384;
/** A larger metric is cut here: what a zoomed chart reads beyond its range is at most one group at either end, 100 to 300 kB. */
const GROUP_ROWS_MAX = 32_768;

export interface SegmentHeader {
  run: RunId;
  writer: WriterId;
  /** First and last sequence number covered, inclusive. */
  first: number;
  last: number;
}

export interface SealedSegment {
  bytes: Uint8Array;
  points: number;
  /** ms since the epoch. */
  startTime: number;
  endTime: number;
  /** How many of the bytes are coarse levels. */
  levelBytes: number;
}

export interface SealOptions extends ParquetOptions {
  /** Awaited between row groups, so that sealing a million points does not hold up a server. */
  pause?: (() => Promise<void>) | undefined;
}

/**
 * Seals points into the bytes of a segment. `names[metric]` is the path of a metric number. The points must be in ordinal order;
 * there must be at least one. Costs about 0.2 µs a point, and compression as much on other threads.
 */
export async function sealSegment(
  header: SegmentHeader,
  points: PointColumns,
  names: readonly (string | undefined)[],
  options: SealOptions = {},
): Promise<SealedSegment> {
  const used = usedMetrics(points.metric, names);
  const rank = new Uint32Array(names.length);
  used.forEach((metric, index) => (rank[metric] = index));
  const { order, starts } = storageOrder(points, rank, used.length);
  const directory = used.map((metric, index): [string, number] => [
    names[metric]!,
    starts[index + 1]! - starts[index]!,
  ]);
  return await sealSorted(
    header,
    {
      directory,
      step: gather(points.step, order),
      time: gather(points.time, order),
      value: gather(points.value, order),
      ordinal: gather(points.ordinal, order),
    },
    options,
  );
}

/** Columns in storage order: by metric as `directory` lists them, then by step, then by ordinal. */
export interface SegmentColumns {
  directory: readonly (readonly [path: string, rows: number])[];
  step: Float64Array;
  time: Float64Array;
  value: Float64Array;
  ordinal: Float64Array;
}

/** Like `sealSegment`, of points that are in storage order already. */
export async function sealSorted(
  header: SegmentHeader,
  columns: SegmentColumns,
  options: SealOptions = {},
): Promise<SealedSegment> {
  const { directory, step, time, ordinal } = columns;
  const value = isSingle(columns.value) ? Float32Array.from(columns.value) : columns.value;
  const writer = new ParquetWriter(options);
  const whole = time.every((at) => Number.isInteger(at) && at >= -DELTA_MAX && at <= DELTA_MAX);
  const counts = directory.map(([, count]) => count);
  let start = 0;
  let metric = 0;
  let left = counts[0]!;
  for (const rows of rowGroups(counts)) {
    const end = start + rows;
    const names: string[] = [];
    const shares: number[] = [];
    for (let free = rows; free > 0;) {
      const share = Math.min(free, left);
      names.push(directory[metric]![0]);
      shares.push(share);
      free -= share;
      left -= share;
      if (left === 0) left = counts[++metric] ?? 0;
    }
    const group: Column[] = [
      { name: 'metric', type: 'names', names, counts: shares },
      { name: 'step', type: 'float', values: step.subarray(start, end), steady: true },
      whole
        ? { name: 'time', type: 'whole', values: time.subarray(start, end) }
        : { name: 'time', type: 'float', values: time.subarray(start, end), steady: true },
      { name: 'value', type: 'float', values: value.subarray(start, end) },
      { name: 'ordinal', type: 'whole', values: ordinal.subarray(start, end) },
    ];
    await writer.writeGroup(group);
    start = end;
    await options.pause?.();
  }
  const levels = await buildLevels({ directory, step, time, value }, options);
  const keys: [string, string][] = [
    ['fieldbook.segment', String(SEGMENT_VERSION)],
    ['fieldbook.run', header.run],
    ['fieldbook.writer', header.writer],
    ['fieldbook.first', String(header.first)],
    ['fieldbook.last', String(header.last)],
    ['fieldbook.metrics', await packDirectory(directory, options.compressor)],
  ];
  if (levels !== null) {
    const at = writer.embed(levels);
    keys.push(['fieldbook.levels', JSON.stringify([at, at + levels.length])]);
  }
  let startTime = Infinity;
  let endTime = -Infinity;
  for (const at of time) {
    if (at < startTime) startTime = at;
    if (at > endTime) endTime = at;
  }
  return { bytes: writer.finish(keys), points: step.length, startTime, endTime, levelBytes: levels?.length ?? 0 };
}

/** Row counts of the groups: whole metrics until `GROUP_ROWS` is reached, larger ones alone and cut at `GROUP_ROWS_MAX`. */
export function rowGroups(counts: readonly number[]): number[] {
  const groups: number[] = [];
  let open = 0;
  for (const count of counts) {
    if (count >= GROUP_ROWS && open > 0) {
      groups.push(open);
      open = 0;
    }
    open += count;
    while (open > GROUP_ROWS_MAX) {
      groups.push(GROUP_ROWS_MAX);
      open -= GROUP_ROWS_MAX;
    }
    if (open >= GROUP_ROWS) {
      groups.push(open);
      open = 0;
    }
  }
  if (open > 0) groups.push(open);
  return groups;
}

/** True when every value is exactly a float32. */
function isSingle(values: Float64Array): boolean {
  for (const value of values) if (Math.fround(value) !== value && value === value) return false;
  return true;
}

/** The metric numbers that occur, sorted by name. Two numbers of one name cannot be: a path is declared once. */
function usedMetrics(metric: Uint32Array, names: readonly (string | undefined)[]): number[] {
  const seen = new Uint8Array(names.length);
  for (const number of metric) seen[number] = 1;
  const used: number[] = [];
  for (let number = 0; number < seen.length; number++) {
    if (seen[number] === 0) continue;
    if (names[number] === undefined) throw new FieldbookError('internal', `Metric ${number} has no name.`);
    used.push(number);
  }
  return used.sort((a, b) => (names[a]! < names[b]! ? -1 : names[a]! > names[b]! ? 1 : 0));
}
