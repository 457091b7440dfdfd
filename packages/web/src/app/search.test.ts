import { describe, expect, it } from 'vitest';
import { withParameters } from './search.ts';

describe('parameters of an address', () => {
  it('are put in, changed and taken out, and all others stay', () => {
    const search = withParameters('?tab=charts&runs=a,b', { c: 'as;x~1&2', tab: 'values', at: null });
    expect(search).toBe('?tab=values&runs=a,b&c=as;x%7E1%262');
    expect(new URLSearchParams(search).get('c')).toBe('as;x~1&2');
    expect(withParameters(search, { c: '', tab: null, runs: '' })).toBe('');
  });
});
