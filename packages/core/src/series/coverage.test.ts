import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../testing/random.ts';
import { divide } from './coverage.ts';

const longest = (a: { first: number; last: number }, b: { first: number; last: number }): number =>
  b.last - b.first - (a.last - a.first);

describe('dividing ordinals among sources', () => {
  it('[SER-5] reads each covered ordinal from exactly one source that covers it', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = new SeededRandom(seed);
      const sources = Array.from({ length: 1 + random.int(12) }, (_, id) => {
        const first = random.int(60);
        return { id, first, last: first + random.int(20) };
      });
      const pieces = divide(sources, longest);
      const owner = new Map<number, number>();
      let before = -1;
      for (const { source, from, to, whole } of pieces) {
        expect(from, `seed ${seed}`).toBeGreaterThan(before);
        expect(whole).toBe(from === source.first && to === source.last);
        before = to;
        for (let ordinal = from; ordinal <= to; ordinal++) {
          expect(ordinal >= source.first && ordinal <= source.last).toBe(true);
          expect(owner.has(ordinal)).toBe(false);
          owner.set(ordinal, source.id);
        }
      }
      const covered = new Set(
        sources.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, n) => first + n)),
      );
      expect([...owner.keys()].sort((a, b) => a - b)).toEqual([...covered].sort((a, b) => a - b));
    }
  });

  it('[SER-5] lets the preferred source speak for all it covers', () => {
    const a = { name: 'a', first: 0, last: 9 };
    const b = { name: 'b', first: 5, last: 30 };
    const c = { name: 'c', first: 8, last: 40 };
    const pieces = divide([a, b, c], (x, y) => (x.name < y.name ? -1 : 1));
    expect(pieces.map(({ source, from, to }) => [source.name, from, to])).toEqual([
      ['a', 0, 9],
      ['b', 10, 30],
      ['c', 31, 40],
    ]);
  });
});
