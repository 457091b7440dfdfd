import { describe, expect, it } from 'vitest';
import { PatternFault } from './pattern-syntax.ts';
import { Pattern } from './pattern.ts';

const test = (source: string, text: string, ignoreCase = false): boolean => new Pattern(source, ignoreCase).test(text);

describe('patterns', () => {
  it('[QRY-19] finds what is anywhere in the text', () => {
    expect(test('res.*', 'a resnet')).toBe(true);
    expect(test('^res', 'a resnet')).toBe(false);
    expect(test('(a|b)+c$', 'xabac')).toBe(true);
    expect(test('\\bnet\\b', 'res net-1')).toBe(true);
    expect(test('[^\\d\\s]{3}', 'a1 b2c')).toBe(false);
    expect(test('^.$', '🙂')).toBe(true);
    expect(test('\\u{1F642}|\\x41', 'xA')).toBe(true);
    expect(test('a{2,3}b', 'aab')).toBe(true);
    expect(test('a{,3}', 'a{,3}')).toBe(true);
  });

  it('[QRY-19] knows cases of single characters, and that ß is no S', () => {
    expect(test('größe', 'GRÖßE', true)).toBe(true);
    expect(test('^[a-z]$', 'ß', true)).toBe(false);
    expect(test('ö\\W', 'größe', true)).toBe(true);
    expect(test('[^a]', 'A', true)).toBe(false);
  });

  it('[QRY-20] takes time linear in the text, whatever the pattern', () => {
    // Each takes longer than the universe has lasted in an engine that backtracks.
    const evil = ['(a+)+$', '(a|aa)+$', '(.*a){12}b', '^(([a-z])+.)+[A-Z]([a-z])+$', '(a*)*(a*)*(a*)*b'];
    const text = `${'a'.repeat(20_000)}!`;
    for (const source of evil) expect(test(source, text), source).toBe(false);
  });

  it('[QRY-20] stays bounded when a pattern makes more states than are kept', () => {
    const pattern = new Pattern('[ab]*a[ab]{14}c', false);
    let text = '';
    for (let index = 0; index < 20_000; index++) text += (index * 2_654_435_761) & 1024 ? 'a' : 'b';
    expect(pattern.test(text)).toBe(false);
    expect(pattern.test(`${text}${'a'.repeat(15)}c`)).toBe(true);
  });

  it('[QRY-2] says where a pattern breaks', () => {
    const place = (source: string): number => {
      try {
        void new Pattern(source, false);
      } catch (error) {
        if (error instanceof PatternFault) return error.position;
      }
      return -1;
    };
    const faults: Record<string, number> = {
      'a(b': 1,
      'a)': 1,
      '[a': 0,
      '*a': 0,
      'a**': 2,
      '\\1': 0,
      'a\\q': 1,
      '(?=a)': 0,
      'x{3,2}': 1,
      '[b-a]': 1,
      '\\': 0,
      '\\u12': 0,
    };
    for (const [source, position] of Object.entries(faults)) expect(place(source), source).toBe(position);
  });
});
