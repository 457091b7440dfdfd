import { bytes, number } from '../app/format.ts';
import { units } from '../app/units.ts';
import { logTicks, niceTicks, tickY } from './ticks.ts';

/*
 * Values along a height by their unit: bytes count in kB, MB, GB or in KiB, MiB, GiB, as the person set; everything else is a number.
 */

const DECIMAL = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

export function isBytes(unit: string | null): boolean {
  return unit === 'B' || unit === 'B/s';
}

/** About `count` values that are round in the unit. */
export function ticksOf(unit: string | null, log: boolean, min: number, max: number, count: number): number[] {
  if (log) return logTicks(min, max, count);
  if (!isBytes(unit)) return niceTicks(min, max, count);
  const { size } = prefixOf(Math.max(Math.abs(min), Math.abs(max)));
  return niceTicks(min / size, max / size, count).map((tick) => tick * size);
}

/** Words beside an axis, all of one size, so that they compare at a glance. */
export function tickWords(unit: string | null, ticks: readonly number[]): string[] {
  if (!isBytes(unit)) return ticks.map(tickY);
  const { size, name } = prefixOf(Math.max(0, ...ticks.map(Math.abs)));
  return ticks.map((tick) => (tick === 0 ? '0' : `${tickY(tick / size)} ${name}`));
}

/** One value in words. */
export function quantity(value: number, unit: string | null): string {
  if (!isBytes(unit) || !Number.isFinite(value)) return number(value);
  const words = `${value < 0 ? '−' : ''}${bytes(Number(Math.abs(value).toPrecision(4)))}`;
  return unit === 'B/s' ? `${words}/s` : words;
}

function prefixOf(largest: number): { size: number; name: string } {
  const step = units.bytes === 'binary' ? 1_024 : 1_000;
  const names = units.bytes === 'binary' ? BINARY : DECIMAL;
  let power = 0;
  while (power < names.length - 1 && largest >= step ** (power + 1)) power += 1;
  return { size: step ** power, name: names[power]! };
}
