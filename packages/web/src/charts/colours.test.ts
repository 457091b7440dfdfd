import { describe, expect, it } from 'vitest';
import { assignColours, ownColour } from './colours.ts';

describe('colours of runs', () => {
  it('stay with the run when others come and go, and never meet while there are enough', () => {
    const ids = Array.from({ length: 10 }, (_, index) => `run-${index}`);
    const all = assignColours(ids);
    expect(new Set(all.values()).size).toBe(10);
    expect(assignColours(['run-3']).get('run-3')).toBe(ownColour('run-3'));
    expect(assignColours(ids.slice(0, 4)).get('run-0')).toBe(all.get('run-0'));
  });
  it('repeat evenly beyond ten', () => {
    const counts = new Map<number, number>();
    for (const colour of assignColours(Array.from({ length: 25 }, (_, index) => `r${index}`)).values())
      counts.set(colour, (counts.get(colour) ?? 0) + 1);
    expect(Math.max(...counts.values()) - Math.min(...counts.values())).toBeLessThanOrEqual(1);
  });
});
