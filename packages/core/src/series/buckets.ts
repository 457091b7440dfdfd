import type { LevelBlocks } from './levels.ts';
import type { Numbers } from './parquet-reader.ts';

/**
 * A series drawn on `size` equal intervals of x from `from` to `to`, of which only those with points are listed. Every
 * extreme of the data is the extreme of some bucket: a spike is never lost. Columns are parallel.
 *
 * What is made of blocks of 64 or 4096 points instead of the points themselves is exact but for this: of a block that lies across a
 * border, least and greatest value are in the bucket of their x, but what is second to them on the other side of the border is not
 * seen; and its points are counted on either side in proportion to its length, so that `count`, `nonFinite` and
 * `mean` of a bucket are off by less than the two blocks at its borders. Sums of counts are exact.
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
  /** Mean of the finite values; NaN when there is none. */
  mean: Float64Array;
  /** Values of the first and last point by x, whatever they are. */
  first: Float64Array;
  firstX: Float64Array;
  last: Float64Array;
  lastX: Float64Array;
  /** NaN and infinite values. */
  nonFinite: Uint32Array;
}

/** Buckets of points whose `x` is within `[from, to]`. One pass, about 5 ns a point. */
export function bucketise(x: Numbers, value: Numbers, from: number, to: number, size: number): Buckets {
  const grid = new BucketGrid(from, to, size);
  grid.addPoints(x, value);
  return grid.buckets();
}

/**
 * Buckets being filled, from points and blocks in any order of x. Among points of one x those added first are earlier. 76 bytes a
 * bucket, whatever is added.
 */
export class BucketGrid {
  readonly from: number;
  readonly to: number;
  readonly size: number;
  readonly #scale: number;
  readonly #count: Float64Array;
  readonly #nonFinite: Float64Array;
  readonly #sum: Float64Array;
  readonly #min: Float64Array;
  readonly #minX: Float64Array;
  readonly #max: Float64Array;
  readonly #maxX: Float64Array;
  readonly #first: Float64Array;
  readonly #firstX: Float64Array;
  readonly #last: Float64Array;
  readonly #lastX: Float64Array;

  constructor(from: number, to: number, size: number) {
    this.from = from;
    this.to = to;
    this.size = size;
    this.#scale = to > from ? size / (to - from) : 0;
    this.#count = new Float64Array(size);
    this.#nonFinite = new Float64Array(size);
    this.#sum = new Float64Array(size);
    this.#min = new Float64Array(size).fill(Infinity);
    this.#minX = new Float64Array(size).fill(NaN);
    this.#max = new Float64Array(size).fill(-Infinity);
    this.#maxX = new Float64Array(size).fill(NaN);
    this.#first = new Float64Array(size);
    this.#firstX = new Float64Array(size).fill(Infinity);
    this.#last = new Float64Array(size);
    this.#lastX = new Float64Array(size).fill(-Infinity);
  }

  /** The bucket of an x within `[from, to]`. */
  place(x: number): number {
    const bucket = Math.floor((x - this.from) * this.#scale);
    return bucket >= this.size ? this.size - 1 : bucket;
  }

  /** Points `[start, end)` of the columns; all have an x within the grid. */
  addPoints(x: Numbers, value: Numbers, start = 0, end = x.length): void {
    for (let row = start; row < end; row++) {
      const at = x[row]!;
      const bucket = this.place(at);
      const y = value[row]!;
      this.#count[bucket]!++;
      if (at < this.#firstX[bucket]!) {
        this.#firstX[bucket] = at;
        this.#first[bucket] = y;
      }
      if (at >= this.#lastX[bucket]!) {
        this.#lastX[bucket] = at;
        this.#last[bucket] = y;
      }
      if (y - y !== 0) {
        this.#nonFinite[bucket]!++;
        continue;
      }
      this.#sum[bucket]! += y;
      this.#extreme(bucket, at, y);
    }
  }

  /** True when a block's points lie in one bucket or in two neighbours, so that it says all that the grid shows of them. */
  fits(from: number, to: number): boolean {
    return this.place(to) - this.place(from) <= 1;
  }

  /** Adds block `row`, which lies within the grid and fits. */
  addBlock(blocks: LevelBlocks, row: number): void {
    const from = blocks.from[row]!;
    const to = blocks.to[row]!;
    const count = blocks.count[row]!;
    const nonFinite = blocks.nonFinite[row]!;
    const left = this.place(from);
    const right = this.place(to);
    let here = count;
    if (right !== left) {
      // Each side has at least the point that its end is of.
      const border = this.from + right / this.#scale;
      here = Math.min(count - 1, Math.max(1, Math.round((count * (border - from)) / (to - from))));
    }
    const odd = right === left ? nonFinite : Math.min(here, Math.round((nonFinite * here) / count));
    const oddThere = Math.min(count - here, nonFinite - odd);
    this.#share(left, here, nonFinite - oddThere, blocks.mean[row]!);
    if (right !== left) this.#share(right, count - here, oddThere, blocks.mean[row]!);
    if (from < this.#firstX[left]!) {
      this.#firstX[left] = from;
      this.#first[left] = blocks.first[row]!;
    }
    if (to >= this.#lastX[right]!) {
      this.#lastX[right] = to;
      this.#last[right] = blocks.last[row]!;
    }
    if (right !== left) this.#inner(left, right, from, to, blocks, row);
    const min = blocks.min[row]!;
    if (min !== min) return;
    this.#extreme(this.place(blocks.minX[row]!), blocks.minX[row]!, min);
    this.#extreme(this.place(blocks.maxX[row]!), blocks.maxX[row]!, blocks.max[row]!);
  }

  buckets(): Buckets {
    const index: number[] = [];
    for (let bucket = 0; bucket < this.size; bucket++) if (this.#count[bucket]! > 0) index.push(bucket);
    const pick = (column: Float64Array): Float64Array => Float64Array.from(index, (bucket) => column[bucket]!);
    const finite = (column: Float64Array): Float64Array =>
      Float64Array.from(index, (bucket) => (Number.isFinite(column[bucket]!) ? column[bucket]! : NaN));
    return {
      from: this.from,
      to: this.to,
      size: this.size,
      index: Uint32Array.from(index),
      count: Uint32Array.from(pick(this.#count)),
      min: finite(this.#min),
      minX: pick(this.#minX),
      max: finite(this.#max),
      maxX: pick(this.#maxX),
      mean: Float64Array.from(index, (bucket) => {
        const count = this.#count[bucket]! - this.#nonFinite[bucket]!;
        return count === 0 ? NaN : this.#sum[bucket]! / count;
      }),
      first: pick(this.#first),
      firstX: pick(this.#firstX),
      last: pick(this.#last),
      lastX: pick(this.#lastX),
      nonFinite: Uint32Array.from(pick(this.#nonFinite)),
    };
  }

  #share(bucket: number, count: number, nonFinite: number, mean: number): void {
    this.#count[bucket]! += count;
    this.#nonFinite[bucket]! += nonFinite;
    if (mean === mean) this.#sum[bucket]! += mean * (count - nonFinite);
  }

  /** Of the two points beside a border inside a block nothing is known but the block's own ends and extremes: they stand in. */
  #inner(left: number, right: number, from: number, to: number, blocks: LevelBlocks, row: number): void {
    if (from >= this.#lastX[left]!) {
      this.#lastX[left] = from;
      this.#last[left] = blocks.first[row]!;
    }
    if (to < this.#firstX[right]!) {
      this.#firstX[right] = to;
      this.#first[right] = blocks.last[row]!;
    }
  }

  #extreme(bucket: number, x: number, y: number): void {
    if (y < this.#min[bucket]! || (y === this.#min[bucket] && x < this.#minX[bucket]!)) {
      this.#min[bucket] = y;
      this.#minX[bucket] = x;
    }
    if (y > this.#max[bucket]! || (y === this.#max[bucket] && x < this.#maxX[bucket]!)) {
      this.#max[bucket] = y;
      this.#maxX[bucket] = x;
    }
  }
}
