/**
 * Points in columns that grow: a sink for scalars that allocates nothing per point (25 bytes each while it holds
 * them). `clear` keeps the memory for the next batch.
 */
export class PointColumns {
  length = 0;
  metric: Uint32Array;
  step: Float64Array;
  time: Float64Array;
  value: Float64Array;
  ordinal: Float64Array;

  constructor(capacity = 4096) {
    this.metric = new Uint32Array(capacity);
    this.step = new Float64Array(capacity);
    this.time = new Float64Array(capacity);
    this.value = new Float64Array(capacity);
    this.ordinal = new Float64Array(capacity);
  }

  point(metric: number, step: number, time: number, value: number, ordinal: number): void {
    const at = this.length;
    if (at === this.metric.length) this.#grow();
    this.metric[at] = metric;
    this.step[at] = step;
    this.time[at] = time;
    this.value[at] = value;
    this.ordinal[at] = ordinal;
    this.length = at + 1;
  }

  clear(): void {
    this.length = 0;
  }

  #grow(): void {
    const capacity = Math.max(64, this.metric.length * 2);
    const metric = new Uint32Array(capacity);
    metric.set(this.metric);
    this.metric = metric;
    this.step = grown(this.step, capacity);
    this.time = grown(this.time, capacity);
    this.value = grown(this.value, capacity);
    this.ordinal = grown(this.ordinal, capacity);
  }
}

function grown(column: Float64Array, capacity: number): Float64Array {
  const result = new Float64Array(capacity);
  result.set(column);
  return result;
}
