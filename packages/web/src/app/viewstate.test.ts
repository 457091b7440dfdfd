import { describe, expect, it } from 'vitest';
import { clickSort, NEWEST_FIRST, readViewState, writeViewState } from './viewstate.ts';

describe('the address of a project page', () => {
  it('[WEB-2] restores what it was written from', () => {
    const state = {
      query: 'params/lr < 0.01 and name ~ /res+net/ & "a b"',
      sort: [
        { column: 'm:val/acc.max', descending: true },
        { column: 'a:params/lr', descending: false },
      ],
      drawer: 'trash',
      selected: ['lr-0.1', 'abcdefghjk'],
    } as const;
    expect(readViewState(writeViewState(state))).toEqual(state);
    expect(new URL(`http://h/p/x${writeViewState(state)}`).searchParams.get('q')).toBe(state.query);
  });

  it('[WEB-2] is empty when everything is as usual', () => {
    expect(writeViewState({ query: ' ', sort: NEWEST_FIRST, drawer: 'runs', selected: [] })).toBe('');
    expect(readViewState('?sort=nonsense&in=cellar')).toEqual({
      query: '',
      sort: NEWEST_FIRST,
      drawer: 'runs',
      selected: [],
    });
  });
});

describe('a click on a header', () => {
  const up = { column: 'name', descending: false };
  const down = { column: 'name', descending: true };
  it('sorts, turns round, goes back', () => {
    expect(clickSort(NEWEST_FIRST, 'name', false, false)).toEqual([up]);
    expect(clickSort([up], 'name', false, false)).toEqual([down]);
    expect(clickSort([down], 'name', false, false)).toBe(NEWEST_FIRST);
  });
  it('adds a key with shift and turns it in place', () => {
    const both = clickSort([up], 'created', true, true);
    expect(both).toEqual([up, { column: 'created', descending: true }]);
    expect(clickSort(both, 'name', true, false)).toEqual([down, { column: 'created', descending: true }]);
    expect(clickSort(both, 'name', false, false)).toEqual([up]);
    expect(clickSort([up], 'name', true, true)).toBe(NEWEST_FIRST);
  });
});
