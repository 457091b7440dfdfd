import type { AttributePath } from '@fieldbook/core';
import type { AttributeValue } from '@fieldbook/core/record';
import { describe, expect, it } from 'vitest';
import { cell, cellExact } from './format.ts';
import { editWords, readValue, registerWords, valueWords } from './words.ts';

describe('words for edits', () => {
  it('[WEB-14] read a typed value as what it looks like, and show one so that reading it gives it back', () => {
    const values: AttributeValue[] = [0, -0, 0.1, 1e-7, 1e21, Number.NaN, Infinity, -Infinity, true, false, null];
    values.push(
      '',
      'text',
      'true',
      'null',
      '1.10',
      'nan',
      '"quoted"',
      '["a"]',
      '[oops]',
      'two\nlines',
      [],
      ['a', '"b"'],
    );
    for (const value of values) expect(readValue(valueWords(value)), valueWords(value)).toEqual(value);
    expect(readValue('.5')).toBe(0.5);
    expect(readValue('[1]')).toBe('[1]');
  });

  it('[WEB-14] tell what was done to an attribute', () => {
    const path = 'params/lr' as AttributePath;
    const words = (op: string, value: AttributeValue = null): string =>
      editWords({ field: 'attribute', op, path, value });
    expect(words('set', 'nan')).toBe('set params/lr to "nan"');
    expect(words('set', Number.NaN)).toBe('set params/lr to NaN');
    expect(words('remove')).toBe('took params/lr off');
    expect(words('clear')).toBe('brought back what the script said of params/lr');
    expect(words('swing')).toBe('changed params/lr');
    expect(editWords({ field: 'mood', op: 'set', path: null, value: 1 })).toBe('changed mood');
    expect([registerWords('name'), registerWords('attribute:params/lr')]).toEqual(['the name', 'params/lr']);
  });

  it('[WEB-14] show what is no value of an attribute, as an environment holds it, instead of failing', () => {
    const environment = { branch: 'main', commit: '22fbfb47' } as unknown as AttributeValue;
    expect(cell(environment, '', 0)).toBe('{"branch":"main","commit":"22fbfb47"}');
    expect(cellExact(environment)).toBe(cell(environment, '', 0));
    expect(cellExact(['a', 'b'])).toBe('a, b');
  });
});
