import { FieldbookError } from './errors.ts';
import { LIMITS } from './limits.ts';
import type { Clock } from './ports.ts';

/**
 * A hybrid logical clock reading: `ms * 65536 + counter` as one safe-to-compare number would need 64 bits, so it is
 * kept as a 16-digit hexadecimal string: 12 digits of ms since the epoch, 4 digits of counter. Strings compare in
 * causal order. (Kulkarni et al., "Logical Physical Clocks", 2014.)
 */
export type Hlc = string & { readonly __brand: 'Hlc' };

const HLC = /^[0-9a-f]{16}$/;
const MAX_MS = 2 ** 48 - 1;

export function makeHlc(ms: number, counter: number): Hlc {
  return (ms.toString(16).padStart(12, '0') + counter.toString(16).padStart(4, '0')) as Hlc;
}

/** The wall part, in ms since the epoch. */
export function hlcMs(at: Hlc): number {
  return Number.parseInt(at.slice(0, 12), 16);
}

export function hlcCounter(at: Hlc): number {
  return Number.parseInt(at.slice(12), 16);
}

/** Throws `record_malformed` unless `text` is a clock reading. */
export function parseHlc(text: string): Hlc {
  if (!HLC.test(text))
    throw new FieldbookError('record_malformed', 'A record has a clock that is not 16 hexadecimal digits.');
  return text as Hlc;
}

/**
 * Issues clock readings that never repeat and never go backwards on this device, and that come after everything
 * the device has seen. A remote clock may pull ours ahead by at most `LIMITS.clockAheadMs`; `ahead` says how far
 * beyond that the most advanced one was, so that it can be shown.
 */
export class HybridClock {
  #clock: Clock;
  #ms: number;
  #counter: number;
  #skewMs = 0;

  /** `last` is the newest reading this device has ever issued or seen, as kept in its store. */
  constructor(clock: Clock, last?: Hlc) {
    this.#clock = clock;
    this.#ms = last === undefined ? 0 : hlcMs(last);
    this.#counter = last === undefined ? 0 : hlcCounter(last);
  }

  /** The newest reading issued or accepted; keep it with the store. */
  get last(): Hlc {
    return makeHlc(this.#ms, this.#counter);
  }

  /** How many ms the most advanced remote clock seen was ahead of ours (0 if none was). */
  get skewMs(): number {
    return this.#skewMs;
  }

  /** A fresh reading for a record made now. */
  tick(): Hlc {
    const now = Math.min(Math.max(0, Math.floor(this.#clock.now())), MAX_MS);
    if (now > this.#ms) {
      this.#ms = now;
      this.#counter = 0;
    } else if (this.#counter === 0xffff) {
      this.#ms += 1;
      this.#counter = 0;
    } else {
      this.#counter += 1;
    }
    return this.last;
  }

  /** Takes note of a remote record's reading. Returns false when it lies too far ahead to be followed. */
  observe(at: Hlc): boolean {
    const ms = hlcMs(at);
    const ahead = ms - Math.floor(this.#clock.now());
    if (ahead > this.#skewMs) this.#skewMs = ahead;
    if (ahead > LIMITS.clockAheadMs) return false;
    if (at > this.last) {
      this.#ms = ms;
      this.#counter = hlcCounter(at);
    }
    return true;
  }
}
