import { expect, it } from 'vitest';
import { clockWords } from './clock.ts';

it('[HLC-5] a clock that is wrong is told per peer, in words, and small differences are not', () => {
  expect(clockWords({ clockAheadMs: -3 * 3_600_000, incoming: false })).toContain('3h 00m ahead of the relay’s');
  expect(clockWords({ clockAheadMs: 86_400_000, incoming: true })).toContain('24h 00m behind that machine’s');
  expect(clockWords({ clockAheadMs: 59_000, incoming: false })).toBeNull();
  expect(clockWords({ clockAheadMs: null, incoming: false })).toBeNull();
  expect(clockWords({} as { clockAheadMs: null; incoming: boolean })).toBeNull();
});
