import { parseQuery } from '@fieldbook/core/query';
import { describe, expect, it } from 'vitest';
import { brushed } from './parallel/lines.ts';
import { termsOf, withoutTerms, withTerms } from './query.ts';
import { scaleOf, valueAt } from './scale.ts';

const number = (id: string) => ({ id, kind: 'number' as const });

describe('the query of a brush', () => {
  it('[PLT-4] is one that people would type, and that can be read', () => {
    const text = termsOf(
      [
        { column: number('a:params/lr'), brush: { low: 0.001, high: 0.01 } },
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
        ' and created >= 1970-01-01T00:00:00Z and created <= 1970-01-01T00:00:01.600Z',
    );
    expect(() => parseQuery(text)).not.toThrow();
  });

  it.each([
    {
      title: 'seeds',
      id: 'a:params/seed',
      from: 20_240_000,
      each: 1,
      terms: 'params/seed >= 20240034.6 and params/seed <= 20240064.4',
    },
    {
      title: 'tiny differences',
      id: 'm:acc.last',
      from: 0.9912,
      each: 1e-6,
      terms: 'acc >= 0.9912346 and acc <= 0.9912644',
    },
    { title: 'learning rates', id: 'a:lr', from: 1e-9, each: 1e-11, terms: 'lr >= 1.346e-9 and lr <= 1.644e-9' },
    { title: 'large numbers', id: 'a:size', from: 0, each: 1e6, terms: 'size >= 34600000 and size <= 64400000' },
  ])(
    '[PLT-4] [PLT-5] holds the runs that were chosen among $title, in few digits, and moves by a twentieth',
    ({ id, from, each, terms }) => {
      const values = Float64Array.from({ length: 100 }, (_, run) => from + run * each);
      const column = { id, kind: 'number' as const, values, categories: [], missing: 0, nonFinite: 0 };
      const scale = scaleOf(column, false);
      const brush = {
        low: valueAt(scale, scale.place(from + 34.6 * each)),
        high: valueAt(scale, scale.place(from + 64.4 * each)),
      };
      expect(termsOf([{ column, brush }], [])).toBe(terms);
      expect([...brushed([column], [brush]).entries()].flatMap(([run, inside]) => (inside === 1 ? [run] : []))).toEqual(
        Array.from({ length: 30 }, (_, index) => 35 + index),
      );
      expect(valueAt(scale, scale.place(brush.low) + 0.05)).toBeCloseTo(
        brush.low + 0.05 * (scale.max - scale.min),
        -Math.log10(each) + 0.5,
      );
    },
  );

  it('[PLT-4] is as fine along a logarithm at both ends, and has moments to the second or finer', () => {
    const scale = scaleOf({ kind: 'number', values: Float64Array.of(1e-6, 1e6), categories: [] }, true);
    for (const place of [0.01, 0.5, 0.99]) {
      const value = valueAt(scale, place);
      expect(Math.abs(scale.place(value) - place)).toBeLessThan(0.001);
      expect(String(value).replace(/e.*|^0\.0*|\.|0+$/g, '').length).toBeLessThan(5);
    }
    const moments = (...values: number[]) =>
      scaleOf({ kind: 'time', values: Float64Array.from(values), categories: [] }, false);
    const year = moments(Date.UTC(2026, 0), Date.UTC(2027, 0));
    expect(valueAt(year, 0.4321) % 1_000).toBe(0);
    const instant = moments(1_700_000_000_000, 1_700_000_002_000);
    expect(valueAt(instant, 0.5)).toBe(1_700_000_001_000);
    expect(valueAt(instant, 0.5) - valueAt(instant, 0.4)).toBeGreaterThan(150);
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
