import type { Centre, Spread } from '../../charts/groups.ts';
import type { OddMarks } from './api.ts';
import { placing } from './envelope.ts';

/** One run of a group: its points, or buckets with their mean and extremes, ascending by x. */
export interface Sample {
  x: Float64Array;
  mean: Float64Array;
  low: Float64Array;
  high: Float64Array;
  /** Finite values that each stands for. */
  count: Float64Array;
  /** Where it has NaN or infinities. */
  odd: OddMarks;
}

/** Places at which a group is looked at, and how far each reaches. */
export interface Grid {
  x: Float64Array;
  /** The place that an x belongs to; -1 outside. */
  place: (x: number) => number;
}

/** Equal stretches from `from` to `to`, of equal ratio on a logarithmic axis. */
export function evenGrid(from: number, to: number, size: number, log: boolean): Grid {
  if (!(to > from)) return exactGrid(Float64Array.of(from));
  const x = Float64Array.from({ length: size }, (_, cell) => {
    const share = (cell + 0.5) / size;
    return log ? from * (to / from) ** share : from + (to - from) * share;
  });
  const place = placing(from, to, size, log);
  return { x, place: (at) => (at < from || at > to ? -1 : Math.max(0, place(at))) };
}

/** The places where points are, when those are few: nothing then is moved. */
export function exactGrid(x: Float64Array): Grid {
  const places = new Map([...x].map((at, cell) => [at, cell]));
  return { x, place: (at) => places.get(at) ?? -1 };
}

/** What a group does at each place of a grid. */
export interface Statistics {
  centre: Float64Array;
  low: Float64Array;
  high: Float64Array;
  runs: Uint32Array;
  /** How many runs have NaN or infinities there, and of which kind: as `OddMarks` has it. */
  odd: Uint32Array;
  oddKind: Uint8Array;
}

/**
 * Statistics over runs, taken in one by one. A run counts at each place with the mean of its points there, else with the straight line
 * between its neighbouring points where both have a value, and not before its first or behind its last; for least and greatest with its
 * own extremes there. Runs with NaN or infinities are counted at each place.
 * Mean and deviation by B. P. Welford, "Note on a Method for Calculating Corrected Sums of Squares and Products" (1962).
 */
export class GroupStatistics {
  readonly grid: Grid;
  readonly #keepsAll: boolean;
  readonly #count: Uint32Array;
  readonly #mean: Float64Array;
  readonly #squares: Float64Array;
  readonly #low: Float64Array;
  readonly #high: Float64Array;
  readonly #all: Float64Array[] = [];
  readonly #odd: Uint32Array;
  readonly #oddKind: Uint8Array;
  /** A bit for each place, of each run that has any. */
  readonly #oddPlaces: Uint8Array[] = [];
  points = 0;

  /** `keepsAll`: a median needs the values of all runs. */
  constructor(grid: Grid, keepsAll: boolean) {
    const { length } = grid.x;
    this.grid = grid;
    this.#keepsAll = keepsAll;
    this.#count = new Uint32Array(length);
    this.#mean = new Float64Array(length);
    this.#squares = new Float64Array(length);
    this.#low = new Float64Array(length).fill(Infinity);
    this.#high = new Float64Array(length).fill(-Infinity);
    this.#odd = new Uint32Array(length);
    this.#oddKind = new Uint8Array(length);
  }

  add(sample: Sample): void {
    const { mean, low, high, points } = resample(sample, this.grid);
    this.points += points;
    for (let cell = 0; cell < mean.length; cell++) {
      const value = mean[cell]!;
      if (Number.isNaN(value)) continue;
      this.#count[cell]! += 1;
      const away = value - this.#mean[cell]!;
      this.#mean[cell]! += away / this.#count[cell]!;
      this.#squares[cell]! += away * (value - this.#mean[cell]!);
      if (low[cell]! < this.#low[cell]!) this.#low[cell] = low[cell]!;
      if (high[cell]! > this.#high[cell]!) this.#high[cell] = high[cell]!;
    }
    if (this.#keepsAll) this.#all.push(mean);
    this.#note(sample.odd);
  }

  #note({ x, kind }: OddMarks): void {
    let bits: Uint8Array | null = null;
    for (let row = 0; row < x.length; row++) {
      const cell = this.grid.place(x[row]!);
      if (cell === -1) continue;
      bits ??= new Uint8Array(Math.ceil(this.#odd.length / 8));
      const its = kind[row]!;
      this.#oddKind[cell] = this.#odd[cell] === 0 || this.#oddKind[cell] === its ? its : 3;
      const bit = 1 << (cell & 7);
      if ((bits[cell >> 3]! & bit) !== 0) continue;
      bits[cell >> 3]! |= bit;
      this.#odd[cell]! += 1;
    }
    if (bits !== null) this.#oddPlaces.push(bits);
  }

  /** How many runs have NaN or infinities at any of the places from `start` up to `end`. */
  oddRuns(start: number, end: number): number {
    let runs = 0;
    for (const bits of this.#oddPlaces)
      for (let cell = start; cell < end; cell++)
        if ((bits[cell >> 3]! & (1 << (cell & 7))) !== 0) {
          runs += 1;
          break;
        }
    return runs;
  }

  read(centre: Centre, spread: Spread): Statistics {
    const size = this.#count.length;
    const made: Statistics = {
      centre: new Float64Array(size).fill(NaN),
      low: new Float64Array(size).fill(NaN),
      high: new Float64Array(size).fill(NaN),
      runs: this.#count.slice(),
      odd: this.#odd.slice(),
      oddKind: this.#oddKind.slice(),
    };
    for (let cell = 0; cell < size; cell++) {
      const count = this.#count[cell]!;
      if (count === 0) continue;
      const mean = this.#mean[cell]!;
      const values = centre === 'median' ? this.#valuesAt(cell) : null;
      made.centre[cell] = values === null ? mean : quantile(values, 0.5);
      if (spread === 'minmax') {
        made.low[cell] = this.#low[cell]!;
        made.high[cell] = this.#high[cell]!;
      } else if (spread !== 'none' && count > 1 && values !== null) {
        const [low, high] = spread === 'std' ? [quantile(values, 0.16), quantile(values, 0.84)] : medianWithin(values);
        made.low[cell] = low;
        made.high[cell] = high;
      } else if (spread !== 'none' && count > 1) {
        const deviation = Math.sqrt(this.#squares[cell]! / (count - 1));
        const reach = spread === 'std' ? deviation : (studentT95(count - 1) * deviation) / Math.sqrt(count);
        made.low[cell] = mean - reach;
        made.high[cell] = mean + reach;
      }
    }
    return made;
  }

  /** Ascending. */
  #valuesAt(cell: number): Float64Array {
    return Float64Array.from(this.#all, (column) => column[cell]!)
      .filter((value) => !Number.isNaN(value))
      .sort();
  }
}

/** Of ascending values, with straight lines between them: definition 7 of Hyndman and Fan, "Sample Quantiles" (1996). */
export function quantile(values: Float64Array, share: number): number {
  const at = (values.length - 1) * share;
  const below = values[Math.floor(at)]!;
  const above = values[Math.ceil(at)]!;
  return below === above ? below : below + (above - below) * (at - Math.floor(at));
}

/**
 * Where the median lies with a confidence of 95 %, whatever the distribution: the values whose ranks the binomial distribution gives
 * (Conover, "Practical Nonparametric Statistics", 3.2; beyond 200 values by its normal approximation). Fewer than six do not tell: all of them.
 */
export function medianWithin(values: Float64Array): [low: number, high: number] {
  const { length } = values;
  let below = 0;
  if (length > 200) below = Math.floor((length - 1.959964 * Math.sqrt(length)) / 2);
  else {
    let chance = 0.5 ** length;
    for (let sum = chance; 2 * sum <= 0.05; sum += chance) {
      below += 1;
      chance *= (length - below + 1) / below;
    }
  }
  const rank = Math.max(1, below);
  return [values[rank - 1]!, values[length - rank]!];
}

/** A run on a grid; NaN where it does not count: outside of its points, and beside one that is NaN or infinite. */
export function resample(
  { x, mean, low, high, count }: Sample,
  grid: Grid,
): { mean: Float64Array; low: Float64Array; high: Float64Array; points: number } {
  const size = grid.x.length;
  const sums = new Float64Array(size);
  const counts = new Float64Array(size);
  const least = new Float64Array(size).fill(Infinity);
  const greatest = new Float64Array(size).fill(-Infinity);
  let points = 0;
  for (let row = 0; row < x.length; row++) {
    if (!Number.isFinite(mean[row]!)) continue;
    const cell = grid.place(x[row]!);
    if (cell === -1) continue;
    sums[cell]! += mean[row]! * count[row]!;
    counts[cell]! += count[row]!;
    points += count[row]!;
    if (low[row]! < least[cell]!) least[cell] = low[row]!;
    if (high[row]! > greatest[cell]!) greatest[cell] = high[row]!;
  }
  const made = new Float64Array(size);
  let row = 0;
  for (let cell = 0; cell < size; cell++) {
    if (counts[cell]! > 0) {
      made[cell] = sums[cell]! / counts[cell]!;
      continue;
    }
    const at = grid.x[cell]!;
    while (row < x.length && x[row]! <= at) row += 1;
    let value = NaN;
    if (row > 0 && row < x.length && Number.isFinite(mean[row - 1]!) && Number.isFinite(mean[row]!)) {
      const [left, right] = [x[row - 1]!, x[row]!];
      value = mean[row - 1]! + (mean[row]! - mean[row - 1]!) * (right > left ? (at - left) / (right - left) : 0);
    }
    made[cell] = least[cell] = greatest[cell] = value;
  }
  return { mean: made, low: least, high: greatest, points };
}

/** Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom: a group of runs is small. */
const T95 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/** From the table, and beyond it by the first terms of its expansion (Abramowitz and Stegun, 26.7.5). */
export function studentT95(freedom: number): number {
  const z = 1.959964;
  return (
    T95[freedom - 1] ?? z + (z ** 3 + z) / (4 * freedom) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom * freedom)
  );
}
