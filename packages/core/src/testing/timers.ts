import type { Timers } from '../ports.ts';
import type { FakeClock } from './clock.ts';

/** Timers that the test fires by hand, turning the clock with them. */
export class FakeTimers implements Timers {
  readonly #clock: FakeClock;
  readonly #waiting = new Set<{ due: number; run: () => void }>();

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { due: this.#clock.now() + ms, run };
    this.#waiting.add(timer);
    return () => this.#waiting.delete(timer);
  }

  /** How many timers wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Turns the clock by `ms` and fires what falls due on the way, in order of due time, timers set meanwhile included. */
  advance(ms: number): void {
    const end = this.#clock.now() + ms;
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#waiting.delete(next);
      this.#clock.set(Math.max(this.#clock.now(), next.due));
      next.run();
    }
    this.#clock.set(end);
  }

  #next(end: number): { due: number; run: () => void } | undefined {
    let first: { due: number; run: () => void } | undefined;
    for (const timer of this.#waiting) if (timer.due <= end && timer.due < (first?.due ?? Infinity)) first = timer;
    return first;
  }
}
