import { describe, expect, it } from 'vitest';
import { ago, bytes, cell, count, date, duration, moment, number } from './format.ts';
import { setUnits } from './units.ts';

describe('how values look', () => {
  it('numbers keep four digits and use exponents where zeros would be counted', () => {
    const cases: [number, string][] = [
      [0, '0'],
      [0.1 + 0.2, '0.3'],
      [0.97341, '0.9734'],
      [1e-3, '0.001'],
      [3e-5, '3e-5'],
      [123456, '123,456'],
      [1234, '1234'],
      [-0.5, '−0.5'],
      [12345.678, '12,346'],
      [2.5e9, '2.5e9'],
      [NaN, 'NaN'],
      [-Infinity, '−∞'],
      [1e-10, '1e-10'],
    ];
    for (const [value, text] of cases) expect(number(value)).toBe(text);
  });

  it('durations and times in the unit that a person would use', () => {
    expect([40, 3_240, 59_400, 250_000, 7_500_000, 280_000_000].map(duration)).toEqual([
      '40 ms',
      '3.2 s',
      '59 s',
      '4m 10s',
      '2h 05m',
      '3d 5h',
    ]);
    const now = Date.UTC(2026, 10, 23, 12);
    expect(
      [0, 5 * 60_000, 3 * 3_600_000, 26 * 3_600_000, 12 * 86_400_000].map((before) => ago(now - before, now)),
    ).toEqual(['just now', '5 min ago', '3 h ago', 'yesterday', '12 days ago']);
  });

  it('cells of every kind', () => {
    expect(cell(undefined, 'a:x', 0)).toBe('');
    expect(cell(null, 'a:x', 0)).toBe('None');
    expect(cell(true, 'a:x', 0)).toBe('True');
    expect(cell(61_000, 'duration', 0)).toBe('1m 01s');
    expect(cell(['a', 'b'], 'tags', 0)).toBe('a, b');
    expect(count(1, 'run')).toBe('1 run');
    expect(count(10_000, 'run')).toBe('10,000 runs');
    expect([999, 1_500, 25_000_000].map(bytes)).toEqual(['999 B', '1.5 kB', '25 MB']);
  });
});

it('[BST-1] numbers, sizes, durations and times follow the units that the person chose, and go back to the usual ones', () => {
  setUnits({ bytes: 'binary', zone: 'utc', digits: 6, durations: 'clock' });
  expect(bytes(1_048_576)).toBe('1.0 MiB');
  expect(bytes(1_000)).toBe('1000 B');
  expect(moment(0)).toBe('1970-01-01 00:00:00 UTC');
  expect(date(1_768_478_400_000)).toBe('2026-01-15');
  expect(number(0.123456789)).toBe('0.123457');
  expect(duration(7_500_000)).toBe('2:05:00');
  setUnits({});
  expect([bytes(1_000_000), number(0.123456789), duration(7_500_000)]).toEqual(['1.0 MB', '0.1235', '2h 05m']);
});

it('[HLC-7] a time that lies ahead is shown as one that lies ahead', () => {
  const now = Date.UTC(2026, 10, 26, 12);
  expect([30_000, 5 * 60_000, 3 * 3_600_000, 12 * 86_400_000].map((later) => ago(now + later, now))).toEqual([
    'just now',
    'in 5 min',
    'in 3 h',
    'in 12 days',
  ]);
  expect(ago(Date.UTC(2101, 0, 2, 12), now)).toMatch(/^2101-01-0[1-3], ahead of this clock$/);
});
