import { expect, it } from 'vitest';
import { joinLine } from './discover.ts';

it('[DSC-7] the command that is printed is one that a shell takes as it stands', () => {
  expect(joinLine('http://10.0.0.4:4280')).toBe('fieldbook join http://10.0.0.4:4280 --token -');
  expect(joinLine('http://[fd00::4]:4280')).toBe("fieldbook join 'http://[fd00::4]:4280' --token -");
});
