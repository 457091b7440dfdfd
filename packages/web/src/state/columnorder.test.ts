import { describe, expect, it } from 'vitest';
import { beside, moved } from './columnorder.ts';

describe('the order of columns', () => {
  it('[WEB-47] takes a column behind one at its right and before one at its left, and is kept at the left with it', () => {
    const order = { columns: ['p', 'q', 'a', 'b', 'c'], pinned: ['p', 'q'] };
    expect(moved(order, 'a', 'c')).toEqual({ columns: ['p', 'q', 'b', 'c', 'a'], pinned: ['p', 'q'] });
    expect(moved(order, 'c', 'a').columns).toEqual(['p', 'q', 'c', 'a', 'b']);
    expect(moved(order, 'b', 'p')).toEqual({ columns: ['b', 'p', 'q', 'a', 'c'], pinned: ['b', 'p', 'q'] });
    expect(moved(order, 'p', 'a')).toEqual({ columns: ['q', 'a', 'p', 'b', 'c'], pinned: ['q'] });
  });

  it('[WEB-47] a step goes past columns that are left out, to the next that is seen', () => {
    const order = { columns: ['a', 'same', 'alike', 'b', 'c'], pinned: [] };
    const seen = (columns: readonly string[]): string[] => columns.filter((id) => id !== 'same' && id !== 'alike');
    const step = (id: string, by: -1 | 1): string[] => {
      const to = beside(seen(order.columns), id, by);
      return seen(to === undefined ? order.columns : moved(order, id, to).columns);
    };
    expect(step('b', -1)).toEqual(['b', 'a', 'c']);
    expect(step('a', 1)).toEqual(['b', 'a', 'c']);
    expect(step('a', -1)).toEqual(['a', 'b', 'c']);
    expect(step('c', 1)).toEqual(['a', 'b', 'c']);
    expect(beside(['a'], 'same', 1)).toBeUndefined();
  });
});
