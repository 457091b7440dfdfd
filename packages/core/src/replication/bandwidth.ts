import type { Clock, Timers } from '../ports.ts';

export interface BandwidthOptions {
  clock: Clock;
  timers: Timers;
  /** Bytes per second in each direction; null for as much as there is. */
  limit?: number | null;
}

/** A quiet moment saves up for this long, so that an edit after it leaves at once. */
const BURST_MS = 1_000;
const LOOK_AGAIN_MS = 1_000;
const SLICE_BYTES = 16 * 1024;

/**
 * How much may go over a connection. What must not wait (edits, acknowledgements) is charged and sent; what can wait
 * waits until that debt is paid, so that all together keep the limit.
 */
export class Bandwidth {
  readonly #clock: Clock;
  readonly #timers: Timers;
  #limit: number | null;
  /** Bytes that may be sent now; negative while more was sent than that. */
  #level: number;
  #at: number;

  constructor({ clock, timers, limit = null }: BandwidthOptions) {
    this.#clock = clock;
    this.#timers = timers;
    this.#limit = limit;
    this.#level = this.#most;
    this.#at = clock.now();
  }

  /** Bytes per second; null for as much as there is. */
  get limit(): number | null {
    return this.#limit;
  }

  set limit(limit: number | null) {
    this.#limit = limit;
    this.#at = this.#clock.now();
    this.#level = Math.min(Math.max(this.#level, 0), this.#most);
  }

  /** So many bytes are sent or have come. */
  charge(bytes: number): void {
    if (this.#limit === null) return;
    this.#refill();
    this.#level -= bytes;
  }

  /** How long what can wait has to wait, ms. */
  get delayMs(): number {
    if (this.#limit === null) return 0;
    this.#refill();
    return this.#level >= 0 ? 0 : Math.ceil((-this.#level / this.#limit) * 1_000);
  }

  /** The same, a second at most: who waits looks again then, since the limit may have been lifted. */
  get waitMs(): number {
    return Math.min(this.delayMs, LOOK_AGAIN_MS);
  }

  /** Resolves when what can wait may go. */
  async ready(): Promise<void> {
    for (let ms = this.waitMs; ms > 0; ms = this.waitMs)
      await new Promise<void>((resolve) => this.#timers.after(ms, resolve));
  }

  /** `bytes` in pieces, each when it may go. */
  async *paced(bytes: Uint8Array | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of bytes instanceof Uint8Array ? slices(bytes) : bytes) {
      await this.ready();
      this.charge(piece.length);
      yield piece;
    }
  }

  get #most(): number {
    return ((this.#limit ?? 0) * BURST_MS) / 1_000;
  }

  #refill(): void {
    const now = this.#clock.now();
    // A clock that was set back or far ahead neither stops the exchange nor opens it.
    const passed = Math.min(Math.max(now - this.#at, 0), 2 * BURST_MS);
    this.#at = now;
    this.#level = Math.min(this.#level + ((this.#limit ?? 0) * passed) / 1_000, this.#most);
  }
}

function* slices(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) yield bytes.subarray(at, at + SLICE_BYTES);
}
