import type { Clock } from '../ports.ts';

/** A clock that the test turns by hand, in both directions. */
export class FakeClock implements Clock {
  #ms: number;

  /** Starts at 2026-01-15T12:00:00Z unless told otherwise. */
  constructor(ms = 1_768_478_400_000) {
    this.#ms = ms;
  }

  now(): number {
    return this.#ms;
  }

  set(ms: number): void {
    this.#ms = ms;
  }

  advance(ms: number): void {
    this.#ms += ms;
  }
}
