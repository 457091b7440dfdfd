import type { Timers } from '../ports.ts';

export interface RoomOptions {
  /** Bytes that one holder, and all of them together, may have here at a time; `Infinity` for no limit. */
  perHolder: number;
  inAll: number;
  timers: Timers;
  /** Called for who has waited long enough; throws `rate_limited`. */
  refuse(limit: 'holder' | 'all'): never;
}

/** What one body or answer takes of a room. */
export interface Place {
  /** Takes so many bytes more; waits for them, ten seconds at most. Rejects with `rate_limited`; what was there stays. */
  grow(bytes: number): Promise<void>;
  /** Takes so many bytes in all from now on: fewer at once, more as `grow`, or without waiting when not `patient`. */
  fit(bytes: number, patient?: boolean): Promise<void>;
  /** Gives back everything, and ends a wait. Again changes nothing. */
  leave(): void;
}

interface Waiter {
  holder: string;
  bytes: number;
  small: boolean;
  admit(): void;
}

/** How long somebody waits for others to go. Shorter than any program waits for an answer. */
const WAIT_MS = 10_000;
/** Edits and questions do not wait behind uploads: what is small finds a little more room than there is. */
const SMALL = { bytes: 128 * 1024, more: 16 * 1024 * 1024 } as const;

/**
 * Memory that what strangers send or ask for may take, per holder and in all. Who finds none waits in line for it, and is refused after
 * ten seconds. Whoever has nothing here gets in with whatever it is, when nobody else is here: a limit smaller than the largest body
 * lets these through one at a time.
 */
export class Room {
  readonly #options: RoomOptions;
  readonly #used = new Map<string, number>();
  readonly #line = new Set<Waiter>();
  #all = 0;

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  /** Bytes that are taken now, by everybody. */
  get used(): number {
    return this.#all;
  }

  /** Who waits now. */
  get waiting(): number {
    return this.#line.size;
  }

  /** A place of no bytes. */
  place(holder: string): Place {
    let held = 0;
    let isOver = false;
    let giveUp: (() => void) | undefined;
    const grow = async (bytes: number, patient = true): Promise<void> => {
      if (isOver || bytes <= 0) return;
      const small = held + bytes <= SMALL.bytes;
      const lacks = this.#lacks(holder, bytes, small);
      if (lacks === undefined && (small || !this.#isBehind(holder))) this.#take(holder, bytes);
      else if (!patient) this.#options.refuse(lacks ?? 'holder');
      else if (!(await this.#wait({ holder, bytes, small }, (cancel) => (giveUp = cancel)))) return;
      giveUp = undefined;
      // Who left in the moment of being let in.
      if (isOver) this.#give(holder, bytes);
      else held += bytes;
    };
    return {
      grow,
      fit: async (bytes, patient) => {
        if (bytes > held) return grow(bytes - held, patient);
        if (bytes === held) return;
        const less = held - bytes;
        held = bytes;
        this.#give(holder, less);
      },
      leave: () => {
        if (isOver) return;
        isOver = true;
        giveUp?.();
        if (held > 0) this.#give(holder, held);
        held = 0;
      },
    };
  }

  /** True when the bytes were taken, false when whoever waited has left. */
  async #wait(who: Omit<Waiter, 'admit'>, onWait: (cancel: () => void) => void): Promise<boolean> {
    const how = await new Promise<'in' | 'gone' | 'late'>((resolve) => {
      const done = (end: 'in' | 'gone' | 'late'): void => {
        this.#line.delete(waiter);
        stop();
        resolve(end);
      };
      const waiter: Waiter = { ...who, admit: () => done('in') };
      const stop = this.#options.timers.after(WAIT_MS, () => done('late'));
      this.#line.add(waiter);
      onWait(() => done('gone'));
    });
    // Whoever stood behind may fit.
    if (how !== 'in') this.#serve();
    if (how === 'late') this.#options.refuse(this.#lacks(who.holder, who.bytes, who.small) ?? 'holder');
    return how === 'in';
  }

  /** Which limit stands against it; undefined for none. */
  #lacks(holder: string, bytes: number, small: boolean): 'holder' | 'all' | undefined {
    const { perHolder, inAll } = this.#options;
    const more = small ? SMALL.more : 0;
    const own = this.#used.get(holder) ?? 0;
    if (own > 0 && own + bytes > perHolder + more) return 'holder';
    return this.#all > 0 && this.#all + bytes > inAll + more ? 'all' : undefined;
  }

  /** Whether somebody else of the same holder waits already: a large body is not passed by many smaller ones. */
  #isBehind(holder: string): boolean {
    for (const waiter of this.#line) if (waiter.holder === holder) return true;
    return false;
  }

  #take(holder: string, bytes: number): void {
    this.#all += bytes;
    this.#used.set(holder, (this.#used.get(holder) ?? 0) + bytes);
  }

  #give(holder: string, bytes: number): void {
    this.#all -= bytes;
    const left = this.#used.get(holder)! - bytes;
    if (left > 0) this.#used.set(holder, left);
    else this.#used.delete(holder);
    this.#serve();
  }

  /** Lets in who fits now, in their order; behind one for whom all have too much only small ones pass. */
  #serve(): void {
    let isFull = false;
    const stuck = new Set<string>();
    for (const waiter of this.#line) {
      const { holder, bytes, small } = waiter;
      if (!small && (isFull || stuck.has(holder))) continue;
      const lacks = this.#lacks(holder, bytes, small);
      if (lacks === undefined) {
        this.#take(holder, bytes);
        waiter.admit();
      } else if (lacks === 'all' && !small) isFull = true;
      else if (lacks === 'holder' && !small) stuck.add(holder);
    }
  }
}
