import { describe, expect, it } from 'vitest';
import { Selection } from './selection.ts';

describe('selection', () => {
  it('toggles, replaces and extends, keeping the order of choice', () => {
    const two = Selection.none.toggle('c').toggle('a');
    expect(two.ids).toEqual(['c', 'a']);
    expect(two.anchor).toBe('a');
    expect(two.extend(['a', 'b', 'd']).ids).toEqual(['c', 'a', 'b', 'd']);
    expect(two.extend(['a', 'b']).anchor).toBe('a');
    expect(two.toggle('c').ids).toEqual(['a']);
    expect(two.only('z').ids).toEqual(['z']);
    expect(Selection.none.extend(['p', 'q']).anchor).toBe('p');
  });
  it('forgets what is gone and stays itself when nothing is', () => {
    const two = new Selection(['a', 'b']);
    expect(two.keep(() => true)).toBe(two);
    expect(two.keep((id) => id !== 'b')).toMatchObject({ ids: ['a'], anchor: null });
  });
});
