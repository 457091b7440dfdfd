import { expect, it } from 'vitest';
import { commitOf, environmentOf } from './environment.ts';

it('shows where the script ran, not its companion, whichever wrote last', () => {
  const script = { environment: { pid: 10, argv: ['train.py'] } };
  const companion = { environment: { pid: 11, role: 'system', forked: false } };
  const evaluation = { environment: { pid: 20, argv: ['eval.py'] } };
  expect(environmentOf([script, companion])).toEqual({ pid: 10, argv: ['train.py'] });
  expect(environmentOf([companion, script, evaluation])).toEqual({ pid: 20, argv: ['eval.py'] });
  expect(environmentOf([companion])).toEqual(companion.environment);
  expect(environmentOf([])).toEqual({});
});

it('finds the commit where the client says it, and under other names', () => {
  expect(commitOf({ git: { branch: 'main', commit: 'abc' } })).toBe('abc');
  expect(commitOf({ git: { branch: 'main', commit: null }, commit: 'def' })).toBe('def');
  expect(commitOf({ git_commit: 'abc' })).toBe('abc');
  expect([commitOf({}), commitOf({ git: null }), commitOf({ commit: '' })]).toEqual([null, null, null]);
});
