import type { Gunzip } from './compression.ts';
import { portableGunzip } from './compression.ts';
import type { MetricPlace } from './directory.ts';
import { placesOf, unpackDirectory } from './directory.ts';
import { Levels } from './levels.ts';
import type { Numbers, ParquetFile, SegmentFile } from './parquet-reader.ts';
import { broken, guarded, openParquet } from './parquet-reader.ts';

/** Versions of docs/formats/segments.md that are read. */
const VERSIONS = new Set(['1', '2']);

/** Columns of one metric in a segment, by step and then ordinal. */
export interface MetricColumns {
  step: Float64Array;
  time: Float64Array;
  value: Float64Array;
  /** Null when not asked for. */
  ordinal: Float64Array | null;
}

/** Rows of one metric that lie in one row group. */
export interface MetricPart {
  group: number;
  /** Rows of the file, `[from, to)`. */
  from: number;
  to: number;
  /** Bounds of x over the whole row group, which may hold other metrics too. */
  step: { min: number; max: number };
  time: { min: number; max: number };
}

/** An open segment: its footer is read, its columns are not. */
export class Segment {
  readonly header: { writer: string; run: string; first: number; last: number };
  /** Path → first row and number of rows. */
  readonly metrics: ReadonlyMap<string, MetricPlace>;
  readonly #parquet: ParquetFile;
  readonly #file: SegmentFile;
  readonly #gunzip: Gunzip;
  #levels: Promise<Levels | null> | undefined;
  #levelBytes = 0;

  constructor(file: SegmentFile, parquet: ParquetFile, gunzip: Gunzip) {
    this.#file = file;
    this.#parquet = parquet;
    this.#gunzip = gunzip;
    const { keys } = parquet;
    if (!VERSIONS.has(keys.get('fieldbook.segment') ?? '')) throw broken('is not a segment of a version known here');
    this.header = {
      writer: keys.get('fieldbook.writer') ?? '',
      run: keys.get('fieldbook.run') ?? '',
      first: Number(keys.get('fieldbook.first')),
      last: Number(keys.get('fieldbook.last')),
    };
    const places = placesOf(unpackDirectory(keys.get('fieldbook.metrics') ?? ''));
    this.metrics = new Map(places.map((place) => [place.path, place]));
    const last = places.at(-1);
    if ((last === undefined ? 0 : last.start + last.count) !== parquet.rows) {
      throw broken('has a list of metrics that does not fit its rows');
    }
  }

  /** Bytes that this holds in memory, about; the levels' footer included once it was read. */
  get bytes(): number {
    return this.#parquet.bytes + this.metrics.size * 160 + this.#levelBytes;
  }

  /** Where the rows of a metric lie, group by group; nothing when it has none here. */
  parts(metric: string): MetricPart[] {
    const place = this.metrics.get(metric);
    if (place === undefined) return [];
    const { groups } = this.#parquet;
    const parts: MetricPart[] = [];
    const end = place.start + place.count;
    for (let group = groupOf(groups, place.start); group + 1 < groups.length && groups[group]! < end; group++) {
      parts.push({
        group,
        from: Math.max(place.start, groups[group]!),
        to: Math.min(end, groups[group + 1]!),
        step: this.#parquet.bounds('step', group),
        time: this.#parquet.bounds('time', group),
      });
    }
    return parts;
  }

  /** Some columns of rows `[from, to)` within one group. Throws `segment_corrupt`. */
  async readRows(
    group: number,
    columns: readonly ('step' | 'time' | 'value' | 'ordinal')[],
    from: number,
    to: number,
  ): Promise<Numbers[]> {
    return await guarded(() => this.#parquet.read(group, columns, from, to));
  }

  /** The points of one metric; null when it has none here. Throws `segment_corrupt`. */
  async read(metric: string, options: { ordinals?: boolean } = {}): Promise<MetricColumns | null> {
    const place = this.metrics.get(metric);
    if (place === undefined) return null;
    const names: ('step' | 'time' | 'value' | 'ordinal')[] = ['step', 'time', 'value'];
    if (options.ordinals === true) names.push('ordinal');
    const columns = names.map(() => new Float64Array(place.count));
    for (const { group, from, to } of this.parts(metric)) {
      const read = await this.readRows(group, names, from, to);
      read.forEach((part, index) => columns[index]!.set(part, from - place.start));
    }
    const [step, time, value, ordinal = null] = columns as [Float64Array, Float64Array, Float64Array, Float64Array?];
    return { step, time, value, ordinal };
  }

  /** All points with their ordinals, metric by metric in the order of the file, a piece per row group; each group is decoded once. */
  async eachMetric(take: (path: string, part: MetricColumns) => void): Promise<void> {
    const places = [...this.metrics.values()];
    const { groups } = this.#parquet;
    let next = 0;
    for (let group = 0; group + 1 < groups.length; group++) {
      const [start, end] = [groups[group]!, groups[group + 1]!];
      const read = await this.readRows(group, ['step', 'time', 'value', 'ordinal'], start, end);
      const [step, time, value, ordinal] = read.map((column) => Float64Array.from(column)) as [
        Float64Array,
        Float64Array,
        Float64Array,
        Float64Array,
      ];
      for (; next < places.length && places[next]!.start < end; next++) {
        const place = places[next]!;
        const [from, to] = [Math.max(place.start, start) - start, Math.min(place.start + place.count, end) - start];
        take(place.path, {
          step: step.subarray(from, to),
          time: time.subarray(from, to),
          value: value.subarray(from, to),
          ordinal: ordinal.subarray(from, to),
        });
        if (place.start + place.count > end) break;
      }
    }
  }

  /** The coarse levels; null when no metric of the segment has enough points. Throws `segment_corrupt`. */
  async levels(): Promise<Levels | null> {
    this.#levels ??= this.#openLevels();
    // A read that failed is tried again; broken bytes stay broken.
    return await this.#levels.catch((error: unknown) => {
      this.#levels = undefined;
      throw error;
    });
  }

  async #openLevels(): Promise<Levels | null> {
    const text = this.#parquet.keys.get('fieldbook.levels');
    if (text === undefined) return null;
    return await guarded(async () => {
      const range: unknown = JSON.parse(text);
      const [start, end] = Array.isArray(range) ? (range as unknown[]) : [];
      if (
        typeof start !== 'number' ||
        typeof end !== 'number' ||
        !(start >= 4 && end > start && end <= this.#file.size)
      ) {
        throw broken('has levels outside of itself');
      }
      const read = (from: number, to: number): Promise<Uint8Array> => this.#parquet.bytesAt(start + from, start + to);
      const levels = await Levels.open({ size: end - start, read }, this.#gunzip, this.metrics);
      this.#levelBytes = levels.bytes;
      return levels;
    });
  }
}

/** Reads a segment's footer. Throws `segment_corrupt`. */
export async function openSegment(file: SegmentFile, gunzip: Gunzip = portableGunzip): Promise<Segment> {
  return await guarded(async () => new Segment(file, await openParquet(file, gunzip), gunzip));
}

/** A segment whose bytes are all in memory. Throws `segment_corrupt`. */
export async function segmentOf(bytes: Uint8Array, gunzip: Gunzip = portableGunzip): Promise<Segment> {
  const read = (start: number, end: number): Promise<Uint8Array> => Promise.resolve(bytes.subarray(start, end));
  return await openSegment({ size: bytes.length, read }, gunzip);
}

/** The points of one metric in a segment's bytes; null when it has none. Throws `segment_corrupt`. */
export async function readSegment(bytes: Uint8Array, metric: string): Promise<MetricColumns | null> {
  return await (await segmentOf(bytes)).read(metric, { ordinals: true });
}

/** The group that holds a row. */
function groupOf(groups: Float64Array, row: number): number {
  let low = 0;
  let high = groups.length - 1;
  while (low + 1 < high) {
    const middle = (low + high) >>> 1;
    if (groups[middle]! <= row) low = middle;
    else high = middle;
  }
  return low;
}
