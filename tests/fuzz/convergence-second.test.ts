import { describe, expect, it } from 'vitest';
import { LONG } from '../scaffold/mode.ts';
import { FIRST_SEED, playMany } from './schedules.ts';

/** A file of its own, so that both halves of the long run are played at the same time. */
describe('convergence fuzz, the second half of the long run', () => {
  it.runIf(LONG)(
    '[CNV-1] [CNV-2] [CNV-3] replicas converge and lose nothing under as many schedules of other seeds',
    async () => {
      expect(await playMany(FIRST_SEED + 5_000, 5_000)).toEqual([]);
    },
  );
});
