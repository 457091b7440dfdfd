/** A count of bytes that only grows, read at a time. */
export interface Sample {
  at: number;
  bytes: number;
}

/** Over so long a rate is told: shorter ones jump with every blob. */
const WINDOW_MS = 10_000;
/** Nothing that moved in this time moves. */
const IDLE_MS = 5_000;

/** The samples with one more; those that no rate needs any more go. A count that fell begins anew: the program was restarted. */
export function withSample(samples: readonly Sample[], sample: Sample): Sample[] {
  const last = samples.at(-1);
  if (last !== undefined && sample.bytes < last.bytes) return [sample];
  if (last !== undefined && sample.bytes === last.bytes && samples.length > 1) return [...samples];
  return [...samples.filter(({ at }) => sample.at - at <= WINDOW_MS), sample];
}

/** Bytes a second; null when nothing moves, or nobody can say yet. */
export function rateOf(samples: readonly Sample[], now: number): number | null {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined || last.at === first.at || now - last.at > IDLE_MS) return null;
  const rate = ((last.bytes - first.bytes) / (last.at - first.at)) * 1_000;
  return rate > 0 ? rate : null;
}

/** ms until `pending` bytes have gone at this rate; null when that cannot be said. */
export function timeLeft(pending: number, rate: number | null): number | null {
  return rate === null || pending === 0 ? null : (pending / rate) * 1_000;
}
