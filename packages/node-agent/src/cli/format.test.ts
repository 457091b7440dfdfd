import { describe, expect, it } from 'vitest';
import { formatAgo, formatBytes, formatDuration, formatNumber, formatValue, plural } from './format.ts';

describe('values as people read them', () => {
  it('numbers with five digits, whole ones whole', () => {
    expect([0.1 + 0.2, 1e-5, 123456.789, 1.5e9, 60_000, -0, Number.NaN, -Infinity].map(formatNumber)).toEqual([
      '0.3',
      '1e-5',
      '1.235e5',
      '1500000000',
      '60000',
      '-0',
      'NaN',
      '-∞',
    ]);
  });

  it('durations in their two largest units', () => {
    expect([300, 41_000, 65_000, 7_500_000, 90_000_000, -5].map(formatDuration)).toEqual([
      '0.3 s',
      '41 s',
      '1 min 5 s',
      '2 h 5 min',
      '1 d 1 h',
      '0 s',
    ]);
  });

  it('times by how long ago they were, in both directions', () => {
    expect([0, 5_000, 3_600_000, 86_400_000 * 40, -60_000].map((ms) => formatAgo(1e12 - ms, 1e12))).toEqual([
      'just now',
      '5 s ago',
      '1 h ago',
      '1 mo ago',
      'in 1 min',
    ]);
  });

  it('bytes in decimal units', () => {
    expect([0, 999, 1_000, 1_234_567, 999_950].map(formatBytes)).toEqual(['0 B', '999 B', '1 kB', '1.23 MB', '1 MB']);
  });

  it('attributes of every kind', () => {
    expect([null, 'text', true, ['a', 'b'], 'NaN', 0.5].map(formatValue)).toEqual([
      '–',
      'text',
      'true',
      'a, b',
      'NaN',
      '0.5',
    ]);
    expect(formatValue({ time: 0 })).toMatch(/^(1969|1970)-/);
    expect([plural(1, 'run'), plural(2, 'run')]).toEqual(['1 run', '2 runs']);
  });
});
