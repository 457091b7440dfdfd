import { describe, expect, it } from 'vitest';
import type { Line } from '../line.ts';
import { drawnRows } from './figure.ts';

const floats = (...values: number[]): Float64Array => Float64Array.from(values);
const LINE: Line = {
  id: 'a',
  metric: 'loss',
  name: 'first',
  colour: '#000',
  dash: [],
  ascending: true,
  x: floats(0, 1, 2, 3, 4),
  y: floats(10, 11, NaN, 13, 14),
  smooth: null,
  band: null,
  odd: { x: floats(2), kind: Uint8Array.of(0) },
  runs: null,
  oddRuns: null,
};
const cells = (line: Line, x: { min: number; max: number }): unknown[][] =>
  drawnRows({ axis: 'step', x, lines: [line] })
    .slice(1)
    .map((row) => row.slice(3));

describe('rows of what is drawn', () => {
  it('[CHT-14] are those of the stretch in view, both ends with it', () => {
    expect(cells(LINE, { min: 1, max: 3 })).toEqual([
      [1, 11],
      [2, 'NaN'],
      [3, 13],
    ]);
    expect(cells(LINE, { min: -Infinity, max: Infinity })).toHaveLength(5);
    const smooth = { x: floats(0, 2, 4), y: floats(10, 12, 14) };
    expect(cells({ ...LINE, smooth }, { min: 2, max: 3.5 })).toEqual([
      [2, 'NaN', 'recorded'],
      [3, 13, 'recorded'],
      [2, 12, 'smoothed'],
    ]);
  });

  it('[CHT-14] keep their order where x goes back and forth, and the bands of groups their places', () => {
    expect(cells({ ...LINE, ascending: false, x: floats(3, 9, 1, 8, 2) }, { min: 1, max: 3 })).toEqual([
      [3, 10],
      [1, 'NaN'],
      [2, 14],
    ]);
    const band = { x: LINE.x, low: floats(0, 1, 2, 3, 4), high: floats(20, 21, 22, 23, 24) };
    const group = { ...LINE, band, runs: Uint32Array.of(5, 6, 7, 8, 9), oddRuns: Uint32Array.of(0, 0, 1, 0, 0) };
    expect(cells(group, { min: 3, max: 3 })).toEqual([[3, 13, 3, 23, 8, 0]]);
  });
});
