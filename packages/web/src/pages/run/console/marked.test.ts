import { describe, expect, it } from 'vitest';
import { markedWithin, readMarked, writeMarked } from './marked.ts';

describe('marked lines of a console', () => {
  it('[CON-7] are one line or several, as an address and a person write them', () => {
    expect(['12', '10-20', ' 10 – 20 ', '7-7'].map(readMarked)).toEqual([
      [11, 11],
      [9, 19],
      [9, 19],
      [6, 6],
    ]);
    for (const text of ['1', '10-20']) expect(writeMarked(readMarked(text)!)).toBe(text);
    expect(writeMarked([6, 6])).toBe('7');
  });

  it('[CON-7] are none where the text names none', () => {
    for (const text of [null, '', '0', '20-10', '1.5', '-3', '10-', '1e3', 'ten']) expect(readMarked(text)).toBeNull();
  });

  it('[CON-7] end with the console', () => {
    expect([markedWithin([9, 19], 15), markedWithin([30, 40], 15), markedWithin([1, 2], 15)]).toEqual([
      [9, 14],
      [14, 14],
      [1, 2],
    ]);
  });
});
