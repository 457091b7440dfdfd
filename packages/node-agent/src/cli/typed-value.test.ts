import { describe, expect, it } from 'vitest';
import { readAssignment, readValue } from './typed-value.ts';

describe('values on a command line', () => {
  it('[CLI-39] are what they look like, and texts when they look like nothing else', () => {
    const read: [word: string, value: unknown][] = [
      ['0', 0],
      ['-0.5', -0.5],
      ['+3', 3],
      ['.5', 0.5],
      ['5.', 5],
      ['1e-3', 0.001],
      ['0x10', '0x10'],
      ['1_000', '1_000'],
      ['1.2.3', '1.2.3'],
      ['nan', { number: 'NaN' }],
      ['NaN', { number: 'NaN' }],
      ['-inf', { number: '-Infinity' }],
      ['Infinity', { number: 'Infinity' }],
      ['true', true],
      ['false', false],
      ['True', 'True'],
      ['null', null],
      ['', ''],
      ['"0.5"', '0.5'],
      ['"say \\"hi\\""', 'say "hi"'],
      ['"', '"'],
      ['5" nails', '5" nails'],
      ['["a","b"]', ['a', 'b']],
      ['[]', []],
      ['[oops', '[oops'],
      ['two words', 'two words'],
    ];
    for (const [word, value] of read) expect(readValue(word), word).toEqual(value);
    expect(Object.is(readValue('-0'), -0)).toBe(true);
    for (const word of ['1e999', '[1]', '[a]', '"a" "b"'])
      expect(() => readValue(word), word).toThrowError(expect.objectContaining({ code: 'invalid_argument' }));
  });

  it('[CLI-39] are all texts or all times when that is asked for', () => {
    for (const word of ['0.5', 'true', '"a"', '[1]']) expect(readValue(word, 'text')).toBe(word);
    expect(readValue('2026-01-31T12:00:00Z', 'time')).toEqual({ time: 1_769_860_800_000 });
    expect(readValue('5', 'time')).toEqual({ time: 5 });
    expect(() => readValue('noon', 'time')).toThrowError(expect.objectContaining({ code: 'invalid_argument' }));
  });

  it('[CLI-39] follow a path up to the first equals sign, unless the path is quoted', () => {
    expect(readAssignment('a/b=c=d')).toEqual({ path: 'a/b', value: 'c=d' });
    expect(readAssignment('"a=b"=1')).toEqual({ path: 'a=b', value: 1 });
    expect(readAssignment('a=')).toEqual({ path: 'a', value: '' });
    for (const word of ['a', '=1', ''])
      expect(() => readAssignment(word), word).toThrowError(expect.objectContaining({ code: 'invalid_argument' }));
  });
});
