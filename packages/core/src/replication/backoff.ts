const FIRST_MS = 500;
/** A relay that was down for a night is found again within this. */
const LONGEST_MS = 60_000;

/**
 * How long to wait after `failures` failures in a row: doubling from half a second to a minute, of which between half
 * and all is waited (`random` in [0, 1)), so that peers that lost one relay together come back apart.
 */
export function backoffMs(failures: number, random: number): number {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures, 20));
  return Math.round(full * (0.5 + random / 2));
}
