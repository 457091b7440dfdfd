import { describe, expect, it } from 'vitest';
import { rank } from './ranking.ts';

const entries = [
  'Choose columns',
  'Select all runs that match',
  'Show the trash',
  'Übung: erster Lauf',
  'digits',
  'Tag 3 selected runs',
].map((label) => ({ label }));
const found = (text: string, recent: readonly string[] = []): string[] =>
  rank(entries, text, recent).map(({ label }) => label);

describe('what the palette finds', () => {
  it('finds words in any order and with a letter wrong', () => {
    expect(found('runs select')).toContain('Select all runs that match');
    expect(found('colmns')).toEqual(['Choose columns']);
    expect(found('übung')).toEqual(['Übung: erster Lauf']);
    expect(found('zebra')).toEqual([]);
  });

  it('puts what starts with the text first, and what was chosen lately before its equals', () => {
    expect(found('select')[0]).toBe('Select all runs that match');
    expect(found('', ['digits'])[0]).toBe('digits');
    expect(found('')).toEqual(entries.map(({ label }) => label));
  });

  it('takes any text as words', () => {
    for (const text of ['(', '[a', '\\', '*', '"', '.*+?^${}']) expect(() => found(text)).not.toThrow();
  });
});
