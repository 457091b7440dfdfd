import type { Units } from '../app/units.ts';
import { setUnits, USUAL } from '../app/units.ts';
import { Persisted } from './persisted.svelte.ts';

/** The person's units, kept in this browser. What is shown is made again when `stamp` changes. */
class UnitChoice {
  readonly choice = new Persisted<Units>('units', USUAL);
  stamp = $state(0);

  /** Before the first paint. */
  start(): void {
    setUnits(this.choice.current);
  }

  change(part: Partial<Units>): void {
    this.choice.current = { ...this.choice.current, ...part };
    setUnits(this.choice.current);
    this.stamp += 1;
  }
}

export const unitChoice = new UnitChoice();
