import { describe, expect, it } from 'vitest';
import { clickSort, NEWEST_FIRST, readViewState, spellOut, USUAL_VIEW, writeViewState } from './viewstate.ts';

describe('the address of a project page', () => {
  it('[WEB-2] restores what it was written from', () => {
    const state = {
      query: 'params/lr < 0.01 and name ~ /res+net/ & "a b"',
      sort: [
        { column: 'm:val/acc.max', descending: true },
        { column: 'a:params/lr', descending: false },
        { column: 'runs', descending: true },
      ],
      drawer: 'trash',
      selected: ['lr-0.1', 'abcdefghjk'],
      columns: ['a:odd,path!', 'tags', 'm:val/acc.best', 'a:100%'],
      pinned: ['a:odd,path!'],
      varying: true,
      by: ['a:params/lr', 'status'],
      summary: 'range',
      open: ['1z9', 'k2'],
      charts: 'xr~wloss*a!0b~z1*2',
      shape: 'table',
    } as const;
    expect(readViewState(writeViewState(state))).toEqual(state);
    expect(new URL(`http://h/p/x${writeViewState(state)}`).searchParams.get('q')).toBe(state.query);
    const others = { ...state, selected: 'all', open: 'all', columns: [], pinned: [] } as const;
    expect(readViewState(writeViewState(others))).toEqual(others);
  });

  it('[WEB-83] names the few closed groups when all others are open, however many were closed', () => {
    const closed = Array.from({ length: 300 }, (_, index) => `g${index}`);
    const written = writeViewState({ ...USUAL_VIEW, by: ['status'], open: ['*', ...closed] });
    expect(readViewState(written).open).toEqual(['*', ...closed.slice(-100)]);
    expect(readViewState('?by=status&open=*').open).toBe('all');
  });

  it('[WEB-80] says for others what is as usual, too', () => {
    expect(writeViewState({ ...USUAL_VIEW, columns: ['tags'], shape: 'both' }, 50, true)).toBe(
      '?cols=tags&show=both&c=-',
    );
    expect(readViewState('?c=-&show=both')).toMatchObject({ charts: '-', shape: 'both' });
  });

  it('[VIEW-4] of a view that was saved before views said it has what is as usual, and a newer one is as it was saved', () => {
    const usual = { columns: ['tags', 'created'], shape: 'both' } as const;
    expect(spellOut('?q=a&sort=name', usual)).toBe('?q=a&sort=name&cols=tags,created&show=both&c=-');
    const saved = writeViewState({ ...USUAL_VIEW, query: 'a', columns: ['a:lr', 'tags'], shape: 'table' }, 0, true);
    expect(spellOut(saved, usual)).toBe(saved);
    expect(saved).toContain('c=-');
  });

  it('[WEB-2] is empty when everything is as usual', () => {
    expect(writeViewState({ ...USUAL_VIEW, query: ' ' })).toBe('');
    expect(readViewState('')).toEqual(USUAL_VIEW);
    expect(readViewState('?sort=nonsense&in=cellar&sum=sum&show=all&cols')).toEqual({ ...USUAL_VIEW, columns: [] });
  });

  it('[WEB-43] says that more runs are selected than it holds, and a link holds them all', () => {
    const selected = Array.from({ length: 300 }, (_, index) => `run-${index}`);
    expect(readViewState(writeViewState({ ...USUAL_VIEW, selected })).selected).toBe('elsewhere');
    expect(readViewState(writeViewState({ ...USUAL_VIEW, selected }, Infinity)).selected).toEqual(selected);
    expect(readViewState(writeViewState({ ...USUAL_VIEW, selected: 'elsewhere' })).selected).toBe('elsewhere');
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
