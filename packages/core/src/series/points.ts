/**
 * Points of one writer in the order they were taken in, as growable columns: 36 bytes a point and no object per point.
 * `metric` holds the writer's own metric numbers; whoever needs names brings the table.
 */
export class PointBuffer {
  metric: Uint32Array;
  step: Float64Array;
  value: Float64Array;
  /** Whole ms since the epoch. */
  time: Float64Array;
  /** Sequence number of the journal record. */
  ordinal: Float64Array;
  length = 0;

  constructor(capacity = 256) {
    this.metric = new Uint32Array(capacity);
    this.step = new Float64Array(capacity);
    this.value = new Float64Array(capacity);
    this.time = new Float64Array(capacity);
    this.ordinal = new Float64Array(capacity);
  }

  push(metric: number, step: number, value: number, time: number, ordinal: number): void {
    const index = this.length;
    if (index === this.metric.length) this.#grow(index * 2);
    this.metric[index] = metric;
    this.step[index] = step;
    this.value[index] = value;
    this.time[index] = time;
    this.ordinal[index] = ordinal;
    this.length = index + 1;
  }

  /** The points from `start` on, without copying; valid until the next `push` or `clear`. */
  from(start: number): PointColumns {
    const end = this.length;
    return {
      metric: this.metric.subarray(start, end),
      step: this.step.subarray(start, end),
      value: this.value.subarray(start, end),
      time: this.time.subarray(start, end),
      ordinal: this.ordinal.subarray(start, end),
    };
  }

  /** Bytes held, used or not. */
  get bytes(): number {
    return this.metric.length * BYTES_PER_POINT;
  }

  /** Forgets all points; a buffer that had grown large gives its memory back. */
  clear(): void {
    this.length = 0;
    if (this.metric.length > KEPT_CAPACITY) this.#allocate(256);
  }

  #grow(capacity: number): void {
    const before = this.from(0);
    this.#allocate(Math.max(256, capacity));
    this.metric.set(before.metric);
    this.step.set(before.step);
    this.value.set(before.value);
    this.time.set(before.time);
    this.ordinal.set(before.ordinal);
  }

  #allocate(capacity: number): void {
    this.metric = new Uint32Array(capacity);
    this.step = new Float64Array(capacity);
    this.value = new Float64Array(capacity);
    this.time = new Float64Array(capacity);
    this.ordinal = new Float64Array(capacity);
  }
}

export const BYTES_PER_POINT = 36;
/** 64k points are 2.3 MB: worth keeping for a writer that fills it again within minutes, not beyond. */
const KEPT_CAPACITY = 65_536;

/** Parallel columns of points. */
export interface PointColumns {
  metric: Uint32Array;
  step: Float64Array;
  value: Float64Array;
  time: Float64Array;
  ordinal: Float64Array;
}

/**
 * The order in which points are stored: by metric rank, then step, then as given (that is by ordinal, because that is how they were
 * taken in). Counting sort over metrics, then a check per metric, because steps nearly always come in order already.
 * `rank[metric]` is the metric's place; `starts[rank]` is where its points begin in `order`.
 */
export function storageOrder(
  points: PointColumns,
  rank: Uint32Array,
  metrics: number,
): { order: Uint32Array; starts: Uint32Array } {
  const length = points.metric.length;
  const starts = new Uint32Array(metrics + 1);
  for (let index = 0; index < length; index++) starts[rank[points.metric[index]!]! + 1]!++;
  for (let index = 0; index < metrics; index++) starts[index + 1]! += starts[index]!;
  const next = starts.slice();
  const order = new Uint32Array(length);
  for (let index = 0; index < length; index++) order[next[rank[points.metric[index]!]!]!++] = index;
  for (let metric = 0; metric < metrics; metric++) {
    const run = order.subarray(starts[metric], starts[metric + 1]);
    if (!ascending(run, points.step)) run.sort((a, b) => points.step[a]! - points.step[b]! || a - b);
  }
  return { order, starts };
}

function ascending(order: Uint32Array, keys: Float64Array): boolean {
  for (let index = 1; index < order.length; index++) if (keys[order[index]!]! < keys[order[index - 1]!]!) return false;
  return true;
}

/** `column` in the given order. */
export function gather(column: Float64Array, order: Uint32Array): Float64Array {
  const result = new Float64Array(order.length);
  for (let index = 0; index < order.length; index++) result[index] = column[order[index]!]!;
  return result;
}
