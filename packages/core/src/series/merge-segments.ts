import type { Gunzip } from './compression.ts';
import { portableGunzip } from './compression.ts';
import { broken } from './parquet-reader.ts';
import type { MetricColumns, Segment } from './segment-reader.ts';
import { segmentOf } from './segment-reader.ts';
import type { SealedSegment, SealOptions, SegmentHeader } from './segment.ts';
import { sealSorted } from './segment.ts';

/**
 * Several segments of one writer as one, the same points and nothing else. `inputs` are their bytes, in ordinal order, with
 * neighbouring coverage. Holds the columns of all points, 32 bytes each, and the bytes of inputs and result. Throws
 * `segment_corrupt`, also when an input is not of that writer or not in order.
 */
export async function mergeSegments(
  header: SegmentHeader,
  inputs: readonly Uint8Array[],
  options: SealOptions & { gunzip?: Gunzip | undefined } = {},
): Promise<SealedSegment> {
  const { gunzip = portableGunzip, ...rest } = options;
  const segments: Segment[] = [];
  let next = header.first;
  for (const bytes of inputs) {
    const segment = await segmentOf(bytes, gunzip);
    const { writer, first, last } = segment.header;
    if (writer !== header.writer || first !== next) throw broken('does not follow the one that it is merged with');
    next = last + 1;
    segments.push(segment);
  }
  if (next !== header.last + 1) throw broken('does not follow the one that it is merged with');
  const counts = new Map<string, number>();
  for (const { metrics } of segments)
    for (const [path, { count }] of metrics) counts.set(path, (counts.get(path) ?? 0) + count);
  const directory = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
  const rows = directory.reduce((sum, [, count]) => sum + count, 0);
  const columns = {
    step: new Float64Array(rows),
    time: new Float64Array(rows),
    value: new Float64Array(rows),
    ordinal: new Float64Array(rows),
  };
  // Whole groups are decoded once, and their rows put where their metrics go.
  const places = new Map<string, number>();
  let start = 0;
  for (const [path, count] of directory) {
    places.set(path, start);
    start += count;
  }
  for (const segment of segments) {
    await segment.eachMetric((path, part) => {
      const at = places.get(path)!;
      columns.step.set(part.step, at);
      columns.time.set(part.time, at);
      columns.value.set(part.value, at);
      columns.ordinal.set(part.ordinal!, at);
      places.set(path, at + part.step.length);
    });
    await options.pause?.();
  }
  for (const [path, count] of directory) {
    const end = places.get(path)!;
    sortRows(columns as MetricColumns & { ordinal: Float64Array }, end - count, end);
  }
  return await sealSorted(header, { directory, ...columns }, rest);
}

/** Rows `[start, end)` by step, then as they are: ordinals come in order. Nearly always nothing has to move. */
function sortRows(columns: MetricColumns & { ordinal: Float64Array }, start: number, end: number): void {
  const { step } = columns;
  let row = start + 1;
  while (row < end && step[row]! >= step[row - 1]!) row++;
  if (row >= end) return;
  const order = Uint32Array.from({ length: end - start }, (_, index) => start + index);
  order.sort((a, b) => step[a]! - step[b]! || columns.ordinal[a]! - columns.ordinal[b]!);
  for (const column of [columns.step, columns.time, columns.value, columns.ordinal]) {
    const moved = Float64Array.from(order, (from) => column[from]!);
    column.set(moved, start);
  }
}
