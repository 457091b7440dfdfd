import { describe, expect, it } from 'vitest';
import type { GroupCell } from '../worker/groups-api.ts';
import { copiedGroupText } from './groupcell.ts';

const numbers = (values: Partial<Extract<GroupCell, { kind: 'numbers' }>>): GroupCell => ({
  kind: 'numbers',
  time: false,
  count: 2,
  nonFinite: 0,
  mean: 0.15000000000000002,
  std: 0.07071067811865477,
  min: 0.1,
  max: 0.2,
  best: null,
  ...values,
});

describe("a group's cell", () => {
  it('[WEB-41] is copied as it is summed up, with all digits', () => {
    const copied = (cell: GroupCell, summary: 'mean' | 'range' | 'best' = 'mean', column = 'm:loss.last') =>
      copiedGroupText(cell, column, summary);
    expect(copied(numbers({}))).toBe('0.15000000000000002 ± 0.07071067811865477');
    expect(copied(numbers({ std: null }))).toBe('0.15000000000000002');
    expect(copied(numbers({}), 'range')).toBe('0.1 – 0.2');
    expect(copied(numbers({}), 'best')).toBe('');
    expect(copied(numbers({ best: { value: 0.1, run: 'r' as never } }), 'best')).toBe('0.1');
    expect(copied(numbers({ min: 0.1, max: 0.1 }), 'best')).toBe('0.1');
    expect(copied(numbers({ mean: 90_061, std: 1_000 }), 'mean', 'duration')).toBe('1m 30s ± 1.0 s');
    expect(copied(numbers({ time: true, mean: 1_000, std: 5 }), 'mean', 'created')).toBe('1970-01-01T00:00:01.000Z');
    expect(copied({ kind: 'same', value: 0.1 + 0.2 })).toBe('0.30000000000000004');
    expect(copied({ kind: 'same', value: ['a', 'b'] }, 'mean', 'tags')).toBe('a, b');
    expect(copied({ kind: 'several', distinct: 40, more: true })).toBe('40+ values');
    expect(copied(null)).toBe('');
  });
});
