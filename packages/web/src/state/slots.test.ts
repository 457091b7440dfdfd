import { describe, expect, it } from 'vitest';
import { Slots } from './slots.ts';

const show = (slots: Slots, first: number, names: string): Record<string, number> =>
  Object.fromEntries(
    slots
      .show(first, names.length, (index) => (names[index - first] === '.' ? undefined : names[index - first]))
      .map(({ slot, key }) => [key, slot]),
  );

describe('slots of the table', () => {
  it('[WEB-40] keep whoever stays visible, wherever the data moves them, and say whose element is new', () => {
    const slots = new Slots();
    const before = show(slots, 0, 'abcd');
    const after = show(slots, 0, 'xabc');
    expect([after['a'], after['b'], after['c']]).toEqual([before['a'], before['b'], before['c']]);
    expect(after['x']).toBe(before['d']);
    expect(slots.show(0, 4, (index) => 'axyc'[index]).filter(({ stays }) => !stays)).toMatchObject([
      { index: 2, key: 'y' },
    ]);
  });

  it('[WEB-40] scrolling by a line gives away one element', () => {
    const slots = new Slots();
    const before = show(slots, 10, 'abcd');
    const after = show(slots, 11, 'bcde');
    expect([after['b'], after['c'], after['d'], after['e']]).toEqual([
      before['b'],
      before['c'],
      before['d'],
      before['a'],
    ]);
  });

  it('[WEB-61] are the same objects where nothing of them changes', () => {
    const slots = new Slots();
    const keyOf = (index: number): string => `run ${index}`;
    slots.show(10, 6, keyOf);
    const before = slots.show(10, 6, keyOf);
    const after = slots.show(12, 6, keyOf);
    expect(after.filter((each) => before.includes(each)).map(({ index }) => index)).toEqual([12, 13, 14, 15]);
    expect(after.map(({ index }) => index).sort((a, b) => a - b)).toEqual([12, 13, 14, 15, 16, 17]);
  });

  it('[WEB-40] are laid out anew, from top to bottom, for another question', () => {
    const slots = new Slots();
    slots.show(0, 3, (index) => 'abc'[index], 'by name');
    const order = slots.show(0, 3, (index) => 'cab'[index], 'by loss').map(({ key, stays }) => [key, stays]);
    expect(order).toEqual([
      ['c', false],
      ['a', false],
      ['b', false],
    ]);
  });

  it('fill a blank line in place once it is known, and grow and shrink with the window', () => {
    const slots = new Slots();
    const before = show(slots, 5, '....');
    const after = show(slots, 5, 'abcd');
    expect(['a', 'b', 'c', 'd'].map((key) => after[key])).toEqual([5, 6, 7, 8].map((index) => before[`#${index}`]));
    expect(Object.keys(show(slots, 5, 'abcdefgh'))).toHaveLength(8);
    expect(Object.values(show(slots, 7, 'cd')).sort((a, b) => a - b)).toEqual([0, 1]);
    expect(Object.values(show(slots, 0, 'aaaa')).sort((a, b) => a - b)).toEqual([0, 1, 2, 3]);
  });
});
