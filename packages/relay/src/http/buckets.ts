interface Bucket {
  /** What may still come at once; below zero it is owed. */
  left: number;
  /** When that was so, in ms. */
  at: number;
}

/** Keys that are remembered at once. Beyond them those go that were not used for longest: they were full, or nearly so. */
const MOST = 20_000;
/** What was saved up in so long may come at once. */
const SAVED_SECONDS = 10;

/** Token buckets by key, filling at one rate. Memory is bounded by `MOST`, and a bucket that is full again goes. */
export class Buckets {
  readonly #perSecond: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Takes one; or takes nothing and says how many ms until one is there. */
  take(key: string, now: number): number {
    if (this.#perSecond === Number.POSITIVE_INFINITY) return 0;
    const bucket = this.#filled(key, now);
    if (bucket.left < 1) return this.#until(1 - bucket.left);
    bucket.left -= 1;
    return 0;
  }

  /** Takes in any case what has come already; says how many ms until it is made up for. */
  spend(key: string, amount: number, now: number): number {
    if (this.#perSecond === Number.POSITIVE_INFINITY) return 0;
    const bucket = this.#filled(key, now);
    bucket.left -= amount;
    return bucket.left >= 0 ? 0 : this.#until(-bucket.left);
  }

  /** Forgets who would find a full bucket anyway. */
  sweep(now: number): void {
    for (const [key, { left, at }] of this.#buckets)
      if (left + (this.#perSecond * (now - at)) / 1_000 >= this.#most) this.#buckets.delete(key);
  }

  get #most(): number {
    return this.#perSecond * SAVED_SECONDS;
  }

  #until(missing: number): number {
    return Math.ceil((missing * 1_000) / this.#perSecond);
  }

  #filled(key: string, now: number): Bucket {
    const known = this.#buckets.get(key);
    const bucket = known ?? { left: this.#most, at: now };
    // A clock that was set back gives nobody anything.
    bucket.left = Math.min(this.#most, bucket.left + (this.#perSecond * Math.max(0, now - bucket.at)) / 1_000);
    bucket.at = now;
    // The order of the map is that of use.
    if (known !== undefined) this.#buckets.delete(key);
    else makeRoom(this.#buckets);
    this.#buckets.set(key, bucket);
    return bucket;
  }
}

/** Lets the oldest eighth of a full map go: one at a time would walk over what was deleted before each time. */
export function makeRoom(map: Map<string, unknown>): void {
  if (map.size < MOST) return;
  let left = MOST / 8;
  for (const key of map.keys()) {
    if (left === 0) return;
    left -= 1;
    map.delete(key);
  }
}
