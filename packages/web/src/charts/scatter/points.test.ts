import { SeededRandom } from '@fieldbook/core/testing';
import { describe, expect, it } from 'vitest';
import type { Direction } from '../definition.ts';
import { numberScale } from '../scale.ts';
import { paretoFront, placePoints, PointIndex, within } from './points.ts';

function cloud(count: number, seed: number): { x: Float64Array; y: Float64Array } {
  const random = new SeededRandom(seed);
  const number = (): number => {
    const [a, b] = random.bytes(2);
    return ((a! << 8) | b!) % 97;
  };
  // Few distinct numbers, so that there are equal points and ties in one axis.
  return { x: Float64Array.from({ length: count }, number), y: Float64Array.from({ length: count }, number) };
}

describe('points of a scatter', () => {
  it('[PLT-2] the front is every run that no other beats, for each pair of directions, equal ones included', () => {
    for (const seed of [1, 2, 3]) {
      const { x, y } = cloud(200, seed);
      x[7] = NaN;
      y[9] = Infinity;
      for (const wayX of ['min', 'max'] as const)
        for (const wayY of ['min', 'max'] as const) {
          const good = (way: Direction, a: number, b: number): number => (way === 'min' ? b - a : a - b);
          const usable = [...x.keys()].filter((at) => Number.isFinite(x[at]!) && Number.isFinite(y[at]!));
          const wanted = usable.filter(
            (at) =>
              !usable.some((other) => {
                const [dx, dy] = [good(wayX, x[other]!, x[at]!), good(wayY, y[other]!, y[at]!)];
                return dx >= 0 && dy >= 0 && (dx > 0 || dy > 0);
              }),
          );
          expect(
            [...paretoFront(x, y, wayX, wayY)].sort((a, b) => a - b),
            `${seed} ${wayX} ${wayY}`,
          ).toEqual(wanted);
        }
    }
    expect([...paretoFront(new Float64Array(), new Float64Array(), 'min', 'min')]).toEqual([]);
    const [twiceX, twiceY] = [Float64Array.of(1, 0, 2, 1, 0, 1), Float64Array.of(1, 5, 3, 1, 5, 4)];
    expect([...paretoFront(twiceX, twiceY, 'min', 'min')]).toEqual([1, 4, 0, 3]);
  });

  it('[PLT-3] the point under the pointer is the nearest of all', () => {
    const { x, y } = cloud(5_000, 4);
    x[3] = NaN;
    const scale = numberScale('number', false, 0, 97);
    const points = placePoints(x, y, scale, scale, 640, 400);
    expect(points.placed).toBe(4_999);
    const index = new PointIndex(points, 640, 400);
    for (const [px, py] of [
      [0, 0],
      [320.4, 199.7],
      [640, 400],
      [13, 377],
    ] as const) {
      let [best, least] = [-1, 30 * 30];
      for (let at = 0; at < x.length; at++) {
        const away = (points.x[at]! - px) ** 2 + (points.y[at]! - py) ** 2;
        if (away < least) [best, least] = [at, away];
      }
      expect(index.nearest(px, py, 30)).toBe(best);
    }
    expect(new PointIndex(placePoints(x.fill(NaN), y, scale, scale, 640, 400), 640, 400).nearest(5, 5, 30)).toBe(-1);
  });

  it('[PLT-3] a lasso holds what lies inside its line, also where the line is not convex', () => {
    const points = { x: Float64Array.of(5, 15, 25, NaN, 15), y: Float64Array.of(15, 5, 15, 1, 25), placed: 4 };
    // A U: the place in its opening is outside.
    const line = [
      { x: 0, y: 0 },
      { x: 10, y: 0 },
      { x: 10, y: 20 },
      { x: 20, y: 20 },
      { x: 20, y: 0 },
      { x: 30, y: 0 },
      { x: 30, y: 30 },
      { x: 0, y: 30 },
    ];
    expect(within(points, line)).toEqual([0, 2, 4]);
    expect(within(points, [])).toEqual([]);
  });
});
