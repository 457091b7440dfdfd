import { afterEach, describe, expect, it } from 'vitest';
import { setUnits } from '../app/units.ts';
import { quantity, ticksOf, tickWords } from './quantity.ts';

afterEach(() => setUnits({}));

describe('heights by their unit', () => {
  it('[CHT-21] bytes are marked at round sizes in words, by thousands or by 1,024', () => {
    const ticks = ticksOf('B', false, 0, 4.3e9, 4);
    expect(tickWords('B', ticks)).toEqual(['0', '2 GB', '4 GB']);
    expect(tickWords('B/s', ticksOf('B/s', false, 0, 1_500, 3))).toEqual(['0', '0.5 kB', '1 kB', '1.5 kB']);
    setUnits({ bytes: 'binary' });
    const binary = ticksOf('B', false, 0, 4.3e9, 4);
    expect(binary).toEqual([0, 2 * 2 ** 30, 4 * 2 ** 30]);
    expect(tickWords('B', binary)).toEqual(['0', '2 GiB', '4 GiB']);
  });

  it('[CHT-21] values are read in the unit, and other numbers as they are', () => {
    expect([quantity(4.2e9, 'B'), quantity(1_500, 'B/s'), quantity(0.25, null), quantity(NaN, 'B')]).toEqual([
      '4.2 GB',
      '1.5 kB/s',
      '0.25',
      'NaN',
    ]);
    expect(tickWords('°C', ticksOf('°C', false, 0, 100, 2))).toEqual(['0', '50', '100']);
  });
});
