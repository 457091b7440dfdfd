import { describe, expect, it } from 'vitest';
import { stretchesOf } from './stretches.ts';

const size = 95;
/** A line that rises by one a place, with one spike of its band in either direction and a gap. */
const band = () => ({
  x: Float64Array.from({ length: size }, (_, at) => 10 * at),
  centre: Float64Array.from({ length: size }, (_, at) => (at === 4 ? NaN : at)),
  low: Float64Array.from({ length: size }, (_, at) => (at === 4 ? NaN : at === 61 ? -500 : at - 1)),
  high: Float64Array.from({ length: size }, (_, at) => (at === 4 ? NaN : at === 61 ? 900 : at + 1)),
  runs: Uint32Array.from({ length: size }, (_, at) => (at === 4 ? 0 : 7)),
  oddRuns: Uint32Array.from({ length: size }, (_, at) => (at === 4 ? 7 : 0)),
});

describe('the table of a group', () => {
  it('[CHT-14] has all places in its rows, each with the least and greatest of what it stands for', () => {
    const rows = stretchesOf(band(), 40);
    expect(rows.length).toBeLessThanOrEqual(40);
    expect(rows.reduce((sum, { places }) => sum + places, 0)).toBe(size);
    expect(rows[1]).toEqual({ from: 30, to: 50, places: 3, centre: [3, 5], low: 2, high: 6, runs: [0, 7], odd: 7 });
    expect(Math.min(...rows.map(({ low }) => low))).toBe(-500);
    expect(Math.max(...rows.map(({ high }) => high))).toBe(900);
    expect(rows.at(-1)).toMatchObject({ from: 930, to: 940, places: 2 });
    // Few places are rows of their own; one without a value has none.
    const few = stretchesOf(band(), 200);
    expect(few).toHaveLength(size);
    expect(few[4]).toMatchObject({ from: 40, to: 40, centre: [NaN, NaN], low: NaN, high: NaN, runs: [0, 0], odd: 7 });
  });
});
