import { describe, expect, it } from 'vitest';
import { amount } from '../scaffold/mode.ts';
import type { Tally } from './convergence.ts';
import { NOTHING } from './convergence.ts';
import { FIRST_SEED, play, playMany } from './schedules.ts';

/**
 * Seeds that have found something, each under what it found; played in every run, whatever the base seed. The first
 * found a store whose batches were written without fsync, which was broken on purpose to see the fuzz notice.
 */
const FOUND: readonly [seed: number, steps: number, what: string][] = [
  [1, 80, 'a batch that a power cut took back'],
  [7277, 80, 'a restore that nobody whom it met could tell, which is not promised'],
];

describe('convergence fuzz', () => {
  it.each(FOUND)('[CNV-1] [CNV-2] seed %i over %i steps, which once found %s', async (seed, steps) => {
    const tally: Tally = { ...NOTHING };
    await play(seed, steps, tally);
    expect(tally.powerCuts + tally.restarts).toBeGreaterThan(0);
  });

  it('[CNV-1] [CNV-2] [CNV-3] replicas converge and lose nothing under seeded schedules that are not vacuous', async () => {
    expect(await playMany(FIRST_SEED, amount(36, 5_000))).toEqual([]);
  });
});
