import { describe, expect, it } from 'vitest';
import type { Timers } from '../../ports.ts';

/** The contract of the Timers port. `pass` lets that many ms go by, in truth or by hand. */
export function timersContract(name: string, timers: Timers, pass: (ms: number) => Promise<void>): void {
  describe(`timers contract: ${name}`, () => {
    it('[POR-4] fire once, later than at once, in order of due time, and not when cancelled', async () => {
      const fired: string[] = [];
      timers.after(60, () => fired.push('second'));
      timers.after(1, () => fired.push('first'));
      const cancel = timers.after(30, () => fired.push('never'));
      expect(fired).toEqual([]);
      cancel();
      cancel();
      while (fired.length < 2) await pass(20);
      await pass(20);
      expect(fired).toEqual(['first', 'second']);
    });
  });
}
