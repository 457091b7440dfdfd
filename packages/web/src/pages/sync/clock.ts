import { duration } from '../../app/format.ts';
import type { PeerState } from '../../worker/sync-api.ts';

/** Less than this is the network and ordinary drift. */
const TOLD_MS = 60_000;

/** How the clocks of the agent's machine and a peer differ, in words; null when they agree, or nobody knows. */
export function clockWords({ clockAheadMs, incoming }: Pick<PeerState, 'clockAheadMs' | 'incoming'>): string | null {
  // An agent of before does not say.
  if (typeof clockAheadMs !== 'number' || Math.abs(clockAheadMs) < TOLD_MS) return null;
  const apart = duration(Math.abs(clockAheadMs));
  const other = incoming ? 'that machine’s' : 'the relay’s';
  return `The agent’s clock is ${apart} ${clockAheadMs > 0 ? 'behind' : 'ahead of'} ${other}: times of runs and edits are not comparable. Check NTP on both.`;
}
