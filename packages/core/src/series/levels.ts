import type { Gunzip } from './compression.ts';
import type { Numbers, SegmentFile } from './parquet-reader.ts';
import { broken, guarded, openParquet } from './parquet-reader.ts';
import type { ParquetFile } from './parquet-reader.ts';
import type { Column, ParquetOptions } from './parquet-writer.ts';
import { ParquetWriter } from './parquet-writer.ts';
import type { MetricPlace } from './directory.ts';
import { packDirectory, placesOf, unpackDirectory } from './directory.ts';

/**
 * The coarse levels of a segment: what each run of 64 and of 4096 points of a metric amounts to. They are a small Parquet file
 * inside the segment, so that one digest names, moves and removes both. docs/formats/segments.md states their columns.
 */
export const LEVEL_FACTORS = [4_096, 64] as const;
export type LevelFactor = (typeof LEVEL_FACTORS)[number];

/** Fewer points of a metric are read as they are, in less time than their levels. */
export const LEVEL_POINTS = 8_192;
/** Row groups of levels: a footer entry of 2 kB per group stays below 2 % of it. */
const GROUP_ROWS = 2_048;
const GROUP_ROWS_MAX = 8_192;

/** So little that it came with the footer of the segment: no read of its own. */
const FOOTER_GUESS = 10 * 1024;

/** Sorted columns of a segment and where each metric lies in them. */
export interface SortedPoints {
  directory: readonly (readonly [path: string, rows: number])[];
  step: Float64Array;
  time: Float64Array;
  value: Float64Array | Float32Array;
}

/** Blocks of one metric and factor along one axis, in storage order; parallel columns. */
export interface LevelBlocks {
  factor: LevelFactor;
  /** Least and greatest x of all blocks. */
  least: number;
  most: number;
  /** Points in the block; all but a metric's last have `factor`. */
  count: Uint16Array;
  /** NaN and infinite values among them. */
  nonFinite: Uint16Array;
  /** Least and greatest x. */
  from: Numbers;
  to: Numbers;
  /** Extremes over finite values and where each is first; NaN when the block has none. */
  min: Numbers;
  minX: Numbers;
  max: Numbers;
  maxX: Numbers;
  /** Mean of the finite values, as a float32. */
  mean: Numbers;
  /** First and last value in storage order. */
  first: Numbers;
  last: Numbers;
}

/** The levels of points as the bytes of a Parquet file; null when no metric has enough points. */
export async function buildLevels(points: SortedPoints, options: ParquetOptions): Promise<Uint8Array | null> {
  const places = placesOf(points.directory).filter(({ count }) => count >= LEVEL_POINTS);
  if (places.length === 0) return null;
  const writer = new ParquetWriter(options);
  const sections: [number, [string, number][]][] = [];
  for (const factor of LEVEL_FACTORS) {
    const used = places.filter(({ count }) => factor === 64 || count >= factor * 4);
    if (used.length === 0) continue;
    sections.push([factor, used.map(({ path, count }) => [path, Math.ceil(count / factor)])]);
    for (let next = 0; next < used.length;) {
      // Whole metrics until a group is large enough; a metric larger than a group is cut.
      const group = [used[next++]!];
      let rows = Math.ceil(group[0]!.count / factor);
      while (rows < GROUP_ROWS && next < used.length && rows + used[next]!.count / factor <= GROUP_ROWS_MAX) {
        group.push(used[next++]!);
        rows = group.reduce((sum, { count }) => sum + Math.ceil(count / factor), 0);
      }
      if (group.length > 1) await writer.writeGroup(columnsOf(points, group, factor));
      else {
        const { path, start, count } = group[0]!;
        const points_ = GROUP_ROWS_MAX * factor;
        for (let from = 0; from < count; from += points_)
          await writer.writeGroup(
            columnsOf(points, [{ path, start: start + from, count: Math.min(points_, count - from) }], factor),
          );
      }
    }
  }
  const directory = await Promise.all(
    sections.map(async ([factor, list]) => [factor, await packDirectory(list, options.compressor)] as const),
  );
  return writer.finish(directory.map(([factor, packed]) => [`fieldbook.level.${factor}`, packed]));
}

function columnsOf(points: SortedPoints, places: readonly MetricPlace[], factor: number): Column[] {
  const counts = places.map(({ count }) => Math.ceil(count / factor));
  const rows = counts.reduce((sum, count) => sum + count, 0);
  const make = (): Float64Array => new Float64Array(rows);
  const float = points.value instanceof Float32Array;
  const values = (): Numbers => (float ? new Float32Array(rows) : make());
  const c = {
    count: make(),
    nonFinite: make(),
    stepFirst: make(),
    stepLast: make(),
    timeFirst: make(),
    timeLast: make(),
    min: values(),
    minStep: make(),
    minTime: make(),
    max: values(),
    maxStep: make(),
    maxTime: make(),
    first: values(),
    last: values(),
    mean: new Float32Array(rows),
  };
  const { step, time, value } = points;
  let row = 0;
  for (const { start, count } of places) {
    for (let from = start; from < start + count; from += factor, row++) {
      const to = Math.min(start + count, from + factor);
      let minAt = -1;
      let maxAt = -1;
      let least = Infinity;
      let most = -Infinity;
      let sum = 0;
      let finite = 0;
      let early = Infinity;
      let late = -Infinity;
      for (let at = from; at < to; at++) {
        const t = time[at]!;
        if (t < early) early = t;
        if (t > late) late = t;
        const y = value[at]!;
        if (y - y !== 0) continue;
        finite++;
        sum += y;
        if (y < least) {
          least = y;
          minAt = at;
        }
        if (y > most) {
          most = y;
          maxAt = at;
        }
      }
      c.count[row] = to - from;
      c.nonFinite[row] = to - from - finite;
      c.stepFirst[row] = step[from]!;
      c.stepLast[row] = step[to - 1]!;
      c.timeFirst[row] = early;
      c.timeLast[row] = late;
      c.min[row] = minAt < 0 ? NaN : least;
      c.max[row] = maxAt < 0 ? NaN : most;
      c.minStep[row] = step[minAt < 0 ? from : minAt]!;
      c.minTime[row] = time[minAt < 0 ? from : minAt]!;
      c.maxStep[row] = step[maxAt < 0 ? from : maxAt]!;
      c.maxTime[row] = time[maxAt < 0 ? from : maxAt]!;
      c.first[row] = value[from]!;
      c.last[row] = value[to - 1]!;
      c.mean[row] = finite === 0 ? NaN : sum / finite;
    }
  }
  const steady = true;
  const whole = (name: string, column: Float64Array): Column => ({ name, type: 'whole', values: column });
  const number = (name: string, column: Numbers): Column => ({ name, type: 'float', values: column });
  const steps = (name: string, column: Float64Array): Column => ({ name, type: 'float', values: column, steady });
  const times = points.time.every((t) => Number.isInteger(t) && Math.abs(t) < 2 ** 50) ? whole : steps;
  return [
    { name: 'metric', type: 'names', names: places.map(({ path }) => path), counts },
    whole('factor', new Float64Array(rows).fill(factor)),
    whole('count', c.count),
    whole('non_finite', c.nonFinite),
    steps('step_from', c.stepFirst),
    steps('step_to', c.stepLast),
    times('time_from', c.timeFirst),
    times('time_to', c.timeLast),
    number('min', c.min),
    steps('min_step', c.minStep),
    times('min_time', c.minTime),
    number('max', c.max),
    steps('max_step', c.maxStep),
    times('max_time', c.maxTime),
    number('mean', c.mean),
    number('first', c.first),
    number('last', c.last),
  ];
}

/** The levels of an open segment. */
export class Levels {
  readonly #file: ParquetFile;
  readonly #places = new Map<LevelFactor, ReadonlyMap<string, MetricPlace>>();

  private constructor(file: ParquetFile, metrics: ReadonlyMap<string, MetricPlace>) {
    this.#file = file;
    let start = 0;
    for (const factor of LEVEL_FACTORS) {
      const packed = file.keys.get(`fieldbook.level.${factor}`);
      if (packed === undefined) continue;
      const places = placesOf(unpackDirectory(packed), start);
      // A level with more or fewer blocks than its points make would be drawn as points that nobody logged.
      for (const { path, count } of places)
        if (count !== Math.ceil((metrics.get(path)?.count ?? 0) / factor)) {
          throw broken('has levels that do not fit its points');
        }
      this.#places.set(factor, new Map(places.map((place) => [place.path, place])));
      for (const { count } of places) start += count;
    }
    if (start !== file.rows) throw broken('has a list of levels that does not fit its rows');
  }

  /** `metrics`: those of the segment. Throws `segment_corrupt`. */
  static async open(file: SegmentFile, gunzip: Gunzip, metrics: ReadonlyMap<string, MetricPlace>): Promise<Levels> {
    return new Levels(await openParquet(file, gunzip, FOOTER_GUESS), metrics);
  }

  get bytes(): number {
    let metrics = 0;
    for (const places of this.#places.values()) metrics += places.size;
    return this.#file.bytes + metrics * 96;
  }

  has(factor: LevelFactor, metric: string): boolean {
    return this.#places.get(factor)?.has(metric) === true;
  }

  /** The blocks of a metric along an axis; undefined where it has none. Throws `segment_corrupt`. */
  async read(factor: LevelFactor, metric: string, x: 'step' | 'time'): Promise<LevelBlocks | undefined> {
    return await guarded(() => this.#read(factor, metric, x));
  }

  async #read(factor: LevelFactor, metric: string, x: 'step' | 'time'): Promise<LevelBlocks | undefined> {
    const place = this.#places.get(factor)?.get(metric);
    if (place === undefined) return undefined;
    const columns = ['count', 'non_finite', `${x}_from`, `${x}_to`, 'min', `min_${x}`, 'max', `max_${x}`];
    columns.push('mean', 'first', 'last');
    const { groups } = this.#file;
    let joined: Numbers[] | undefined;
    const end = place.start + place.count;
    for (let group = 0; group + 1 < groups.length; group++) {
      const from = Math.max(place.start, groups[group]!);
      const to = Math.min(end, groups[group + 1]!);
      if (from >= to) continue;
      const read = await this.#file.read(group, columns, from, to);
      if (joined === undefined && from === place.start && to === end) joined = read;
      else {
        joined ??= read.map((part) =>
          part instanceof Float32Array ? new Float32Array(place.count) : new Float64Array(place.count),
        );
        read.forEach((part, index) => joined![index]!.set(part, from - place.start));
      }
    }
    const [counts, odd, from, to, min, minX, max, maxX, mean, first, last] = joined as Columns11;
    // A block has 4,096 points at most: as doubles these two would be a quarter of what is kept.
    const count = Uint16Array.from(counts);
    const nonFinite = Uint16Array.from(odd);
    let least = Infinity;
    let most = -Infinity;
    for (let row = 0; row < from.length; row++) {
      if (from[row]! < least) least = from[row]!;
      if (to[row]! > most) most = to[row]!;
      const whole = counts[row] === factor || (row === from.length - 1 && counts[row]! > 0 && counts[row]! <= factor);
      if (!whole || !(odd[row]! >= 0 && odd[row]! <= counts[row]!) || !(from[row]! <= to[row]!))
        throw broken('has a broken level');
    }
    return { factor, least, most, count, nonFinite, from, to, min, minX, max, maxX, mean, first, last };
  }
}

type N = Numbers;
type Columns11 = [N, N, N, N, N, N, N, N, N, N, N];

/** Bytes that blocks hold in memory. */
export function blocksBytes(blocks: LevelBlocks): number {
  const { count, nonFinite, from, to, min, minX, max, maxX, mean, first, last } = blocks;
  const columns = [count, nonFinite, from, to, min, minX, max, maxX, mean, first, last];
  return columns.reduce((sum, { byteLength }) => sum + byteLength, 256);
}
