import type { RunId } from '@fieldbook/core';
import type { LiveRun } from '../live.ts';

/** A whole series as recorded, ascending by step. Valid until the next change; copy what is kept. */
export interface Columns {
  steps: Float64Array;
  /** ms since the epoch. */
  times: Float64Array;
  values: Float64Array;
  origin: 'fresh' | 'kept';
  note: string | null;
}

/** What is known of a series without reading it. */
export interface SeriesFacts {
  running: boolean;
  /** The run's `updated`. */
  updated: number;
  /** Points by its card; 0 when no card says so. */
  count: number;
}

/** Reads points with a step of at least `from`, all without it. Throws when they cannot be had. */
export type ReadColumns = (run: RunId, metric: string, from: number | null, facts: SeriesFacts) => Promise<Columns>;

/** Four million points; one series that is longer is held alone. */
const HELD_BYTES = 96 * 1024 * 1024;
/** What was logged between two live values is asked for so often, and with many growing series each ten times a second at most in all. */
const DELTA_MS = 2_000;
const DELTA_EACH_MS = 100;
/** A series that nobody asked for so long does not count as watched. */
const WATCHED_MS = 10_000;

interface Held {
  steps: Float64Array;
  times: Float64Array;
  values: Float64Array;
  /** Points that were read; behind them come live ones, up to `length`. */
  settled: number;
  length: number;
  origin: 'fresh' | 'kept';
  note: string | null;
  updated: number;
  running: boolean;
  /** The card's count that was last held against what was read. */
  counted: number;
  readAt: number;
  usedAt: number;
  reading: boolean;
  derived: { key: string; length: number; settled: number; value: unknown } | null;
}

/**
 * Whole series in memory, least recently used ones forgotten. A growing one is read once; after that live values are put behind it as they are
 * heard, and only what was logged since is asked for, so that nothing travels twice.
 */
export class ColumnStore {
  readonly #read: ReadColumns;
  readonly #now: () => number;
  /** By run, then metric, in order of last use. */
  readonly #held = new Map<string, Held>();
  readonly #loading = new Map<string, Promise<Held>>();

  constructor(read: ReadColumns, now: () => number) {
    this.#read = read;
    this.#now = now;
  }

  get bytes(): number {
    let bytes = 0;
    for (const { steps } of this.#held.values()) bytes += 24 * steps.length;
    return bytes;
  }

  async of(run: RunId, metric: string, facts: SeriesFacts): Promise<Columns> {
    return view(await this.#entry(run, metric, facts));
  }

  /** Something made of a series, made again only when it has grown. */
  async derive<T>(
    run: RunId,
    metric: string,
    facts: SeriesFacts,
    key: string,
    make: (columns: Columns) => T,
  ): Promise<{ columns: Columns; made: T }> {
    const held = await this.#entry(run, metric, facts);
    const columns = view(held);
    const { derived } = held;
    if (derived?.key === key && derived.length === held.length && derived.settled === held.settled)
      return { columns, made: derived.value as T };
    const made = make(columns);
    held.derived = { key, length: held.length, settled: held.settled, value: made };
    return { columns, made };
  }

  /** The newest values of a run, as its machine says them. */
  take(run: RunId, live: LiveRun): void {
    for (const [metric, value] of live.metrics) {
      const held = this.#held.get(`${run}\n${metric}`);
      const step = live.steps.get(metric);
      if (held === undefined || !held.running || step === undefined) continue;
      if (held.length > 0 && !(step > held.steps[held.length - 1]!)) continue;
      push(held, step, live.at, value);
    }
  }

  async #entry(run: RunId, metric: string, facts: SeriesFacts): Promise<Held> {
    const key = `${run}\n${metric}`;
    const held = this.#held.get(key);
    if (held === undefined) return this.#load(key, run, metric, facts);
    this.#held.delete(key);
    this.#held.set(key, held);
    held.usedAt = this.#now();
    if (!facts.running) {
      const lacks = held.note !== null && this.#now() - held.readAt >= DELTA_MS;
      if (held.running || held.updated < facts.updated || held.origin === 'kept' || lacks) {
        // What is kept shows while it is asked for again, but a run that has just ended is read whole, and so is what was incomplete.
        const whole = this.#load(key, run, metric, facts);
        return held.running || held.updated < facts.updated || lacks ? await whole.catch(() => held) : held;
      }
      return held;
    }
    if (facts.count > held.settled && facts.count > held.counted) {
      held.counted = facts.count;
      // Steps that lie further back were logged late: only a whole look finds them, once for each word of the card.
      void this.#delta(held, run, metric, facts).then(() => {
        if (held.settled < facts.count) void this.#load(key, run, metric, facts).catch(() => undefined);
      });
    } else if (this.#now() - held.readAt >= this.#deltaEvery()) void this.#delta(held, run, metric, facts);
    return held;
  }

  #deltaEvery(): number {
    const now = this.#now();
    let watched = 0;
    for (const { running, usedAt } of this.#held.values()) if (running && now - usedAt < WATCHED_MS) watched += 1;
    return Math.max(DELTA_MS, watched * DELTA_EACH_MS);
  }

  #load(key: string, run: RunId, metric: string, facts: SeriesFacts): Promise<Held> {
    const there = this.#loading.get(key);
    if (there !== undefined) return there;
    const loading = this.#read(run, metric, null, facts)
      .then((columns) => {
        const now = this.#now();
        const { steps, times, values, origin, note } = columns;
        const held: Held = {
          steps,
          times,
          values,
          settled: steps.length,
          length: steps.length,
          origin,
          note,
          updated: facts.updated,
          running: facts.running,
          counted: Math.max(facts.count, steps.length),
          readAt: now,
          usedAt: now,
          reading: false,
          derived: null,
        };
        this.#held.delete(key);
        this.#held.set(key, held);
        this.#trim();
        return held;
      })
      .finally(() => this.#loading.delete(key));
    this.#loading.set(key, loading);
    return loading;
  }

  /** Reads what was logged since, from the last step on, which may have got another point. */
  async #delta(held: Held, run: RunId, metric: string, facts: SeriesFacts): Promise<void> {
    if (held.reading) return;
    held.reading = true;
    held.readAt = this.#now();
    try {
      const from = held.settled === 0 ? null : held.steps[held.settled - 1]!;
      const read = await this.#read(run, metric, from, facts);
      let keep = held.settled;
      while (from !== null && keep > 0 && held.steps[keep - 1]! >= from) keep -= 1;
      const live: [number, number, number][] = [];
      const last = read.steps.at(-1) ?? -Infinity;
      for (let row = held.settled; row < held.length; row++)
        if (held.steps[row]! > last) live.push([held.steps[row]!, held.times[row]!, held.values[row]!]);
      if (read.steps.length >= held.settled - keep) {
        reserve(held, keep + read.steps.length + live.length);
        held.steps.set(read.steps, keep);
        held.times.set(read.times, keep);
        held.values.set(read.values, keep);
        held.settled = held.length = keep + read.steps.length;
        for (const point of live) push(held, ...point);
      }
      held.note = read.note;
      held.origin = read.origin;
    } catch {
      // It stays as it is; live values go on, and the next beat asks again.
    } finally {
      held.reading = false;
    }
  }

  #trim(): void {
    let bytes = this.bytes;
    for (const [key, { steps }] of this.#held) {
      if (bytes <= HELD_BYTES || this.#held.size <= 1) return;
      this.#held.delete(key);
      bytes -= 24 * steps.length;
    }
  }
}

function view(held: Held): Columns {
  const { steps, times, values, length, origin, note } = held;
  return {
    steps: steps.subarray(0, length),
    times: times.subarray(0, length),
    values: values.subarray(0, length),
    origin,
    note,
  };
}

function push(held: Held, step: number, time: number, value: number): void {
  reserve(held, held.length + 1);
  held.steps[held.length] = step;
  held.times[held.length] = time;
  held.values[held.length] = value;
  held.length += 1;
}

/** Makes room, doubling: views that were handed out keep the old bytes. */
function reserve(held: Held, size: number): void {
  if (size <= held.steps.length) return;
  const grown = (column: Float64Array): Float64Array => {
    const next = new Float64Array(Math.max(64, size, 2 * held.length));
    next.set(column.subarray(0, held.length));
    return next;
  };
  held.steps = grown(held.steps);
  held.times = grown(held.times);
  held.values = grown(held.values);
}
