import { parseQuery } from '@fieldbook/core/query';
import { describe, expect, it } from 'vitest';
import { termsOf, withoutTerms, withTerms } from './query.ts';

const number = (id: string) => ({ id, kind: 'number' as const });

describe('the query of a brush', () => {
  it('[PLT-4] is one that people would type, and that can be read', () => {
    const text = termsOf(
      [
        { column: number('a:params/lr'), brush: { low: 0.00100012, high: 0.01 } },
        { column: { id: 'a:params/opt', kind: 'category' }, brush: { values: ['"adam"', '"s g\\"d"'] } },
        { column: { id: 'a:params/nesterov', kind: 'category' }, brush: { values: ['true'] } },
        { column: number('m:val/acc.max'), brush: { low: -Infinity, high: 1e-7 } },
        { column: number('m:val/loss.last'), brush: null },
        { column: { id: 'duration', kind: 'duration' }, brush: { low: 1_500, high: 90_000 } },
        { column: { id: 'created', kind: 'time' }, brush: { low: 0, high: 1_600 } },
      ],
      [],
    );
    expect(text).toBe(
      'params/lr >= 0.001 and params/lr <= 0.01 and params/opt in ("adam", "s g\\"d") and params/nesterov = true' +
        ' and val/acc.max >= -Infinity and val/acc.max <= 1e-7 and duration >= 1.5 and duration <= 90' +
        ' and created >= 1970-01-01T00:00:00Z and created <= 1970-01-01T00:00:02Z',
    );
    expect(() => parseQuery(text)).not.toThrow();
  });

  it('[PLT-4] says which is meant where a name means several things', () => {
    const brush = { low: 1, high: 2 };
    const attribute = [{ source: 'attribute', path: 'loss' }];
    expect(termsOf([{ column: number('m:loss.last'), brush }], attribute)).toBe(
      'm:loss.last >= 1 and m:loss.last <= 2',
    );
    expect(termsOf([{ column: number('a:status'), brush }], [])).toBe('a:status >= 1 and a:status <= 2');
    expect(termsOf([{ column: number('a:my path'), brush }], [])).toBe('"my path" >= 1 and "my path" <= 2');
  });

  it('[PLT-4] replaces what the same chart had put into the query of the page, and nothing else', () => {
    const [first, second] = ['x >= 1 and x <= 2', 'x >= 1 and x <= 3'];
    expect(withTerms('', '', first)).toBe(first);
    const once = withTerms('status:failed', '', first);
    expect(once).toBe(`status:failed and ${first}`);
    expect(withTerms(once, first, second)).toBe(`status:failed and ${second}`);
    expect(withTerms(once, first, '')).toBe('status:failed');
    const either = withTerms('a = 1 or b = 2', '', first);
    expect(either).toBe(`(a = 1 or b = 2) and ${first}`);
    expect(withTerms(either, first, '')).toBe('a = 1 or b = 2');
    expect(withoutTerms('(a = 1) or (b = 2)', first)).toBe('(a = 1) or (b = 2)');
    // Somebody asked for more since, before and behind it.
    expect(withTerms(`${first} and tags has "z"`, first, second)).toBe(`tags has "z" and ${second}`);
    expect(withTerms(`a = 1 and ${first} and tags has "and x >= 1"`, first, '')).toBe(
      'a = 1 and tags has "and x >= 1"',
    );
    // One end of it was changed by hand: that is theirs, the other is the chart's.
    expect(withTerms('x >= 1.5 and x <= 2', first, second)).toBe(`x >= 1.5 and ${second}`);
    // What they wrote themselves and the chart said too, they keep.
    expect(withTerms(`x >= 1 and y = 2 and ${first}`, first, '')).toBe('x >= 1 and y = 2');
    // Not at the top: it is part of something else.
    expect(withoutTerms(`not (${first})`, first)).toBe(`not (${first})`);
    for (const alternatives of ['(a = 1 or b = 2) or c = 3', '(a = 1 or b = 2) or (c = 3 or d = 4)']) {
      expect(withTerms(alternatives, '', first)).toBe(`(${alternatives}) and ${first}`);
      expect(withTerms(`(${alternatives}) and ${first}`, first, '')).toBe(alternatives);
    }
    expect(withTerms('"this or that"', '', first)).toBe(`"this or that" and ${first}`);
    expect(withoutTerms('x >= 1 and (', first)).toBe('x >= 1 and (');
  });
});
