import type { AttributePath } from '../ids.ts';
import type { MetricSummary } from '../record/index.ts';

/** Columns of summaries per metric, in this order: that is also their order in saved bytes. */
const COLUMNS = 8;
const COUNT = 0;
const LAST = 1;
const LAST_STEP = 2;
const MIN = 3;
const MIN_STEP = 4;
const MAX = 5;
const MAX_STEP = 6;
const NON_FINITE = 7;

/**
 * The metrics of one writer: a dense slot per path, in order of first declaration, and a running summary per slot. Adding a
 * point is a few array accesses, because it happens a million times a second.
 */
export class MetricTable {
  readonly names: AttributePath[] = [];
  readonly #slots = new Map<string, number>();
  #summaries = new Float64Array(16 * COLUMNS);

  get size(): number {
    return this.names.length;
  }

  /** The slot of a path, a new one if need be. */
  slot(path: AttributePath): number {
    const known = this.#slots.get(path);
    if (known !== undefined) return known;
    const slot = this.names.length;
    this.names.push(path);
    this.#slots.set(path, slot);
    if ((slot + 1) * COLUMNS > this.#summaries.length) {
      const grown = new Float64Array(this.#summaries.length * 2);
      grown.set(this.#summaries);
      this.#summaries = grown;
    }
    const base = slot * COLUMNS;
    this.#summaries.fill(Number.NaN, base, base + COLUMNS);
    this.#summaries[base + COUNT] = 0;
    this.#summaries[base + NON_FINITE] = 0;
    return slot;
  }

  add(slot: number, step: number, value: number): void {
    const summaries = this.#summaries;
    const base = slot * COLUMNS;
    summaries[base + COUNT]!++;
    summaries[base + LAST] = value;
    summaries[base + LAST_STEP] = step;
    if (value - value !== 0) {
      summaries[base + NON_FINITE]!++;
      return;
    }
    // The negated comparisons are true for the NaN that stands for "none yet".
    if (!(value >= summaries[base + MIN]!)) {
      summaries[base + MIN] = value;
      summaries[base + MIN_STEP] = step;
    }
    if (!(value <= summaries[base + MAX]!)) {
      summaries[base + MAX] = value;
      summaries[base + MAX_STEP] = step;
    }
  }

  count(slot: number): number {
    return this.#summaries[slot * COLUMNS + COUNT]!;
  }

  summary(slot: number): MetricSummary {
    const at = (column: number): number => this.#summaries[slot * COLUMNS + column]!;
    const empty = Number.isNaN(at(MIN));
    return {
      count: at(COUNT),
      last: at(LAST),
      lastStep: at(LAST_STEP),
      min: at(MIN),
      minStep: empty ? at(LAST_STEP) : at(MIN_STEP),
      max: at(MAX),
      maxStep: empty ? at(LAST_STEP) : at(MAX_STEP),
      nonFinite: at(NON_FINITE),
    };
  }

  /** Names one per line (paths have no control characters) and the columns as they are: 64 bytes a metric. */
  save(): { names: string; summaries: Uint8Array } {
    const columns = this.#summaries.slice(0, this.names.length * COLUMNS);
    return { names: this.names.join('\n'), summaries: new Uint8Array(columns.buffer) };
  }

  static load(names: string, summaries: Uint8Array): MetricTable {
    const table = new MetricTable();
    if (names !== '') for (const name of names.split('\n')) table.slot(name as AttributePath);
    table.#summaries.set(new Float64Array(summaries.slice().buffer, 0, table.size * COLUMNS));
    return table;
  }
}
