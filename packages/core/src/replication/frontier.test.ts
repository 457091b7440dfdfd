import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../testing/index.ts';
import { Frontier } from './frontier.ts';

describe('frontier', () => {
  it('[RPL-7] stays below everything unfinished and reaches what was passed when all is finished', () => {
    const frontier = new Frontier(10);
    const [a, b, c] = [frontier.begin(12), frontier.begin(13), frontier.begin(20)];
    expect(frontier.value).toBe(11);
    frontier.finish(b);
    expect(frontier.value).toBe(11);
    frontier.finish(a);
    expect(frontier.value).toBe(19);
    frontier.reach(25);
    expect(frontier.value).toBe(19);
    frontier.finish(c);
    expect(frontier.value).toBe(25);
  });

  it('[RPL-7] never falls and never passes an unfinished seq, in any order of finishing', () => {
    for (let seed = 1; seed < 8; seed++) {
      const random = new SeededRandom(seed);
      const frontier = new Frontier(0);
      const open = new Map<ReturnType<Frontier['begin']>, number>();
      let seq = 0;
      let before = 0;
      for (let step = 0; step < 3_000; step++) {
        seq += 1;
        if (random.chance(0.6)) open.set(frontier.begin(seq), seq);
        else frontier.reach(seq);
        if (random.chance(0.5) && open.size > 0) {
          const ticket = random.pick([...open.keys()]);
          open.delete(ticket);
          frontier.finish(ticket);
        }
        const lowest = open.size === 0 ? seq : Math.min(...open.values()) - 1;
        expect(frontier.value).toBeLessThanOrEqual(lowest);
        expect(frontier.value).toBeGreaterThanOrEqual(before);
        before = frontier.value;
        for (const ticket of open.size > 40 ? [...open.keys()].slice(5) : []) {
          open.delete(ticket);
          frontier.finish(ticket);
        }
      }
      for (const ticket of open.keys()) frontier.finish(ticket);
      expect(frontier.value).toBe(seq);
    }
  });
});
