import { describe, expect, it } from 'vitest';
import { treeLines } from './tree.ts';

const values = new Map<string, unknown>([
  ['params/optim/lr', 0.1],
  ['params/optim/name', 'adam'],
  ['params/seed', 3],
  ['data', 'digits'],
]);
const show = (words = '', closed: string[] = []) =>
  treeLines(values, words, new Set(closed)).map(
    ({ depth, label, value, children }) => `${' '.repeat(depth)}${label}${value === undefined ? ` (${children})` : ''}`,
  );

describe('the tree of attributes', () => {
  it('has a line for each namespace and each value', () => {
    expect(show()).toEqual(['data', 'params (3)', ' optim (2)', '  lr', '  name', ' seed']);
  });
  it('folds namespaces and counts what is in them', () => {
    expect(show('', ['params/optim'])).toEqual(['data', 'params (3)', ' optim (2)', ' seed']);
    expect(show('', ['params'])).toEqual(['data', 'params (3)']);
  });
  it('finds by path and by value, whatever is closed', () => {
    expect(show('adam', ['params'])).toEqual(['params (1)', ' optim (1)', '  name']);
    expect(show('nothing')).toEqual([]);
  });
});
