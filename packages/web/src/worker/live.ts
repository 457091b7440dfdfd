import type { RunId } from '@fieldbook/core';
import type { Awareness } from 'y-protocols/awareness';

/** The newest values of a running run, before any card says them. */
export interface LiveRun {
  /** ms since the epoch. */
  at: number;
  metrics: ReadonlyMap<string, number>;
  /** The step of each value. */
  steps: ReadonlyMap<string, number>;
}

/** A run that said nothing for this long is not live any more; its card is what there is. */
const QUIET_MS = 60_000;
/** Machines speak up to ten times a second; a page need not paint so often. */
const TELL_MS = 500;

/**
 * What machines say of their running runs: awareness states `{live: [{run, at, metrics: {path: {step, value}}}]}` in
 * the rooms of books. Kept in memory only; said by programs of other versions too, so read with care.
 */
export class Live {
  readonly #runs = new Map<RunId, LiveRun>();
  readonly #onRuns: (runs: readonly RunId[]) => void;
  /** Hears every value at once, not only who has some. */
  onValues: ((run: RunId, live: LiveRun) => void) | null = null;
  #changed = new Set<RunId>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(onRuns: (runs: readonly RunId[]) => void) {
    this.#onRuns = onRuns;
  }

  listen(awareness: Awareness): void {
    awareness.on('update', ({ added, updated }: { added: number[]; updated: number[] }) => {
      const states = awareness.getStates();
      for (const speaker of [...added, ...updated]) this.take(states.get(speaker));
    });
  }

  take(state: unknown): void {
    for (const [run, live] of readLive(state)) {
      const before = this.#runs.get(run);
      if (before !== undefined && before.at >= live.at) continue;
      this.#runs.set(run, live);
      this.#changed.add(run);
      this.onValues?.(run, live);
    }
    if (this.#changed.size === 0 || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const runs = [...this.#changed];
      this.#changed = new Set();
      this.#onRuns(runs);
    }, TELL_MS);
  }

  /** The run's newest values if they are newer than its card. */
  of(run: RunId, cardUpdated: number, now: number): LiveRun | undefined {
    const live = this.#runs.get(run);
    if (live === undefined || live.at <= cardUpdated) return undefined;
    if (now - live.at <= QUIET_MS) return live;
    this.#runs.delete(run);
    return undefined;
  }
}

/** The live values in an awareness state; anything else in it is passed over. */
export function readLive(state: unknown): [RunId, LiveRun][] {
  const list = (state as { live?: unknown } | null | undefined)?.live;
  if (!Array.isArray(list)) return [];
  const found: [RunId, LiveRun][] = [];
  for (const value of list as unknown[]) {
    const { run, at, metrics } = (value ?? {}) as { run?: unknown; at?: unknown; metrics?: unknown };
    if (typeof run !== 'string' || typeof at !== 'number' || typeof metrics !== 'object' || metrics === null) continue;
    const read = new Map<string, number>();
    const steps = new Map<string, number>();
    for (const [path, point] of Object.entries(metrics)) {
      const { step, value: newest } = (point ?? {}) as { step?: unknown; value?: unknown };
      read.set(path, Number(newest));
      if (typeof step === 'number' && Number.isFinite(step)) steps.set(path, step);
    }
    found.push([run as RunId, { at, metrics: read, steps }]);
  }
  return found;
}
