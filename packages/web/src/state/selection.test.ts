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
  it('[WEB-49] a range takes the place of the one before from the same anchor, and gives nothing back that was chosen otherwise', () => {
    const chosen = Selection.none.toggle('e').toggle('b');
    const far = chosen.extend(['b', 'c', 'd', 'e', 'f']);
    expect(far.ids).toEqual(['e', 'b', 'c', 'd', 'f']);
    const near = far.extend(['b', 'c']);
    expect(near.ids).toEqual(['e', 'b', 'c']);
    // On the other side of the anchor, and back again.
    expect(near.extend(['a', 'b']).ids).toEqual(['e', 'b', 'a']);
    expect(near.extend(['a', 'b']).extend(['b', 'c', 'd']).ids).toEqual(['e', 'b', 'c', 'd']);
    // With another anchor the last range stays.
    expect(near.toggle('x').extend(['x', 'y', 'z']).extend(['x', 'y']).ids).toEqual(['e', 'b', 'c', 'x', 'y']);
    expect(near.keep((id) => id !== 'c').extend(['b']).ids).toEqual(['e', 'b']);
  });
  it('forgets what is gone and stays itself when nothing is', () => {
    const two = new Selection(['a', 'b']);
    expect(two.keep(() => true)).toBe(two);
    expect(two.keep((id) => id !== 'b')).toMatchObject({ ids: ['a'], anchor: null });
    expect(new Selection(['a', 'b'], 'a', true).keep((id) => id !== 'b').everything).toBe(true);
  });
});
