import type { Random } from '../ports.ts';

/** Below it, what tells two rebuildings of one document apart that were made without knowledge of each other. */
const STEP = 2 ** 20;

/**
 * The generation of a document that is rebuilt now: above every one that its bytes came from, and not that of somebody
 * who rebuilds it elsewhere at the same time, since equal generations merge.
 */
export function nextGeneration(generation: number, random: Random): number {
  const bytes = random.bytes(3);
  const salt = ((bytes[0]! << 16) | (bytes[1]! << 8) | bytes[2]!) & (STEP - 1);
  return (Math.floor(generation / STEP) + 1) * STEP + salt;
}

/** How often a document was rebuilt. */
export function rebuildings(generation: number): number {
  return Math.floor(generation / STEP);
}
