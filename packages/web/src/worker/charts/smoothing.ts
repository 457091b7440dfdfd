import type { SmoothingKind } from '../../charts/settings.ts';

/*
 * Smoothing of a whole series, before anything is left out for drawing. Each value stands for a stretch of x, not for one sample:
 * a stretch that was logged twice as densely weighs as much as before. So a result depends on the values, on their x and on the
 * width, and neither on how often was logged, nor on the panel, the zoom or other runs. NaN and infinities are passed
 * over and stay where they are.
 */

/**
 * `width` is in units of x. For `ema` it is the distance after which a value counts 1/e as much, for `gaussian` the standard
 * deviation, for `mean` the whole window. `x` is ascending.
 */
export function smooth(kind: SmoothingKind, x: Float64Array, y: Float64Array, width: number): Float64Array {
  if (!(width > 0)) return y.slice();
  if (kind === 'ema') return exponential(x, y, width);
  const result = kind === 'mean' ? windowMean(x, y, width) : gaussian(x, y, width);
  for (let index = 0; index < y.length; index++) if (!Number.isFinite(y[index]!)) result[index] = y[index]!;
  return result;
}

/**
 * Exponential moving average of unevenly spaced values: `EMA_next` of A. Eckner, "Algorithms for Unevenly Spaced Time Series: Moving
 * Averages and Other Rolling Operators" (2019), where a value holds over the stretch before it and the past fades by
 * `exp(-distance / width)`. The bias towards the start is taken out as in D. P. Kingma and J. Ba, "Adam" (2015), section 3:
 * divided by the weight that all values so far have together. Values of one x count as their mean.
 */
function exponential(x: Float64Array, y: Float64Array, width: number): Float64Array {
  const result = new Float64Array(y.length);
  let sum = 0;
  let mass = 0;
  let previous = NaN;
  let lastGap = NaN;
  let kept = 0;
  // The first value has no stretch before it; it gets as much as the second.
  const first = firstGap(x, y);
  for (let start = 0; start < y.length;) {
    const at = x[start]!;
    let end = start;
    let total = 0;
    let count = 0;
    for (; end < y.length && x[end] === at; end++) {
      if (!Number.isFinite(y[end]!)) continue;
      total += y[end]!;
      count += 1;
    }
    if (count > 0) {
      const gap = Number.isNaN(previous) ? first : at - previous;
      if (gap !== lastGap) {
        kept = Math.exp(-gap / width);
        lastGap = gap;
      }
      // Not `1 - kept`: of a gap that is tiny beside the width nothing would be left.
      const weight = kept > 0.999 ? -Math.expm1(-gap / width) : 1 - kept;
      sum = sum * kept + (total / count) * weight;
      mass = mass * kept + weight;
      previous = at;
    }
    for (; start < end; start++) result[start] = Number.isFinite(y[start]!) ? sum / mass : y[start]!;
  }
  return result;
}

function firstGap(x: Float64Array, y: Float64Array): number {
  let previous = NaN;
  for (let index = 0; index < x.length; index++) {
    if (!Number.isFinite(y[index]!)) continue;
    if (x[index]! > previous) return x[index]! - previous;
    if (Number.isNaN(previous)) previous = x[index]!;
  }
  return 1;
}

/** More would be nearer to the Gaussian, and slower. */
const PASSES = 4;

/**
 * A Gaussian as moving averages one after another: W. M. Wells, "Efficient Synthesis of
 * Gaussian Filters by Cascaded Uniform Filters" (1986). The variance of a window of width w is w²/12, so n of them
 * with w² = 12 σ² / n have σ² together; with four the kernel is nowhere off by more than 5 % of its height. Linear in the number of points whatever the width.
 */
function gaussian(x: Float64Array, y: Float64Array, deviation: number): Float64Array {
  let result = y;
  for (let pass = 0; pass < PASSES; pass++) result = windowMean(x, result, deviation * Math.sqrt(12 / PASSES));
  return result as Float64Array<ArrayBuffer>;
}

/**
 * The mean over `[x - width/2, x + width/2]`, cut where the series ends, of the values each held half way to its neighbours: the
 * rolling `SMA` of Eckner (2019) on a centred window. Sums are never taken apart again, so one value of 1e300 does
 * not spoil those that come after it.
 */
function windowMean(x: Float64Array, y: Float64Array, width: number): Float64Array {
  const { at, value, edges } = cellsOf(x, y);
  const cells = at.length;
  const result = new Float64Array(y.length).fill(NaN);
  if (cells === 0) return result;
  const means = new Float64Array(cells);
  const half = width / 2;
  const begin = edges[0]!;
  const end = edges[cells]!;
  const sliding = new SlidingSum(cells);
  // Cells [low, high) lie wholly within the window and are in `sliding`.
  let low = 0;
  let high = 0;
  for (let index = 0; index < cells; index++) {
    const from = Math.max(begin, at[index]! - half);
    const to = Math.min(end, at[index]! + half);
    while (high < cells && edges[high + 1]! <= to) {
      sliding.push(value[high]! * (edges[high + 1]! - edges[high]!));
      high += 1;
    }
    while (low < high && edges[low]! < from) {
      sliding.shift();
      low += 1;
    }
    // A window within one cell holds no whole one.
    if (low > high) high = low;
    let sum = sliding.sum;
    const left = low - 1;
    if (left >= 0 && left === high) sum += value[left]! * (to - from);
    else {
      if (left >= 0 && edges[low]! > from) sum += value[left]! * (Math.min(to, edges[low]!) - from);
      if (high < cells && edges[high]! < to && high >= low) sum += value[high]! * (to - Math.max(from, edges[high]!));
    }
    means[index] = to > from ? sum / (to - from) : value[index]!;
  }
  for (let index = 0, cell = 0; index < y.length; index++) {
    while (cell + 1 < cells && at[cell]! < x[index]!) cell += 1;
    result[index] = means[cell]!;
  }
  return result;
}

/** Finite values, those of one x as their mean, each with the stretch of x that is nearest to it. */
function cellsOf(x: Float64Array, y: Float64Array): { at: Float64Array; value: Float64Array; edges: Float64Array } {
  const at = new Float64Array(x.length);
  const value = new Float64Array(x.length);
  let cells = 0;
  for (let start = 0; start < x.length;) {
    let total = 0;
    let count = 0;
    let end = start;
    for (; end < x.length && x[end] === x[start]; end++) {
      if (!Number.isFinite(y[end]!)) continue;
      total += y[end]!;
      count += 1;
    }
    if (count > 0) {
      at[cells] = x[start]!;
      value[cells] = total / count;
      cells += 1;
    }
    start = end;
  }
  const edges = new Float64Array(cells + 1);
  if (cells > 0) {
    edges[0] = at[0]!;
    edges[cells] = at[cells - 1]!;
    for (let index = 1; index < cells; index++) edges[index] = at[index - 1]! + (at[index]! - at[index - 1]!) / 2;
  }
  return { at: at.subarray(0, cells), value: value.subarray(0, cells), edges };
}

/** The sum of a queue without ever subtracting: two stacks, of which one keeps the sums from each element to its end. */
class SlidingSum {
  readonly #back: Float64Array;
  readonly #front: Float64Array;
  #backSize = 0;
  #backSum = 0;
  #frontSize = 0;

  constructor(most: number) {
    this.#back = new Float64Array(most);
    this.#front = new Float64Array(most);
  }

  get sum(): number {
    return this.#backSum + (this.#frontSize === 0 ? 0 : this.#front[this.#frontSize - 1]!);
  }

  push(value: number): void {
    this.#back[this.#backSize++] = value;
    this.#backSum += value;
  }

  /** Drops the oldest. */
  shift(): void {
    if (this.#frontSize === 0) {
      let sum = 0;
      while (this.#backSize > 0) {
        sum += this.#back[--this.#backSize]!;
        this.#front[this.#frontSize++] = sum;
      }
      this.#backSum = 0;
    }
    this.#frontSize -= 1;
  }
}
