import { describe, expect, it } from 'vitest';
import type { SeriesAnswer } from './api.ts';
import { packAnswer, packColumn, unpackAnswer, unpackColumn } from './kept-answer.ts';

/** Bytes that a browser would store. */
const sizeOf = (value: unknown): number =>
  ArrayBuffer.isView(value)
    ? value.byteLength
    : typeof value === 'object' && value !== null
      ? Object.values(value).reduce<number>((sum, each) => sum + sizeOf(each), 0)
      : 8;

describe('answers kept in the browser', () => {
  it('[CHT-22] come back exactly', () => {
    const columns = [
      [],
      [0, 1, 2, 4_294_967_295],
      [1_768_478_400_000, 1_768_478_400_040],
      [0.5, 1.5, NaN, Infinity, -Infinity],
      [0.1, 1 / 3, 5e-324, 1.7e308],
      [-0, 1],
      [2 ** 53, 2 ** 53 + 2],
      [0, 4_294_967_296],
      [-3, -1],
    ];
    for (const column of columns) {
      const packed = structuredClone(packColumn(Float64Array.from(column)));
      expect([...unpackColumn(packed)]).toEqual(column);
    }
  });

  it('[CHT-22] are small enough to be stored beside each other, and are none when a piece is gone', () => {
    const x = Float64Array.from({ length: 4_000 }, (_, row) => row * 250);
    const y = x.map((step) => Math.sin(step) / 3);
    const part = (of: (row: number) => number): Float64Array =>
      Float64Array.from({ length: 1_000 }, (_, row) => of(row));
    const band = {
      x: part((row) => row + 0.5),
      low: part(Math.sin),
      high: part(Math.cos),
      mean: part(Math.tan),
      count: part(() => 1_000),
    };
    const answer: SeriesAnswer = {
      x,
      y,
      band,
      total: 1e6,
      buckets: 1_000,
      nonFinite: 0,
      odd: { x: new Float64Array(), kind: new Uint8Array() },
      origin: 'fresh',
      note: null,
    };
    const packed = structuredClone(packAnswer({ updated: 7, answer }));
    for (const piece of [packed.line, packed.band]) expect(sizeOf(piece)).toBeLessThan(60_000);
    expect(unpackAnswer(packed.line, packed.band)).toEqual({ updated: 7, answer });
    expect(unpackAnswer(packed.line, undefined)).toBeUndefined();
    expect(unpackAnswer(undefined, packed.band)).toBeUndefined();
  });
});
