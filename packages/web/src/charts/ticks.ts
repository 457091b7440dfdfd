import { duration, moment, number } from '../app/format.ts';
import type { Axis } from './settings.ts';

/** About `count` round values from `min` to `max`: steps of 1, 2 or 5 times a power of ten, however large or small. */
export function niceTicks(min: number, max: number, count: number): number[] {
  const span = max - min;
  if (!(span > 0) || !Number.isFinite(span)) return [min];
  const rough = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough * 0.999) ?? 10 * power;
  return multiples(min, max, step);
}

/**
 * Values for a logarithmic axis: powers of ten, every n-th of them when there are many; with 2 and 5 between them when there are few, and
 * round values when all lies within less than a decade.
 */
export function logTicks(min: number, max: number, count: number): number[] {
  if (!(min > 0) || !(max > min)) return [min];
  const [low, high] = [Math.log10(min), Math.log10(max)];
  const decades = high - low;
  if (decades < 1) return niceTicks(min, max, count).filter((tick) => tick > 0);
  const every = Math.max(1, Math.ceil(decades / Math.max(1, count)));
  const factors = every > 1 || decades > count / 2 ? [1] : decades > count / 3 ? [1, 3] : [1, 2, 5];
  const ticks: number[] = [];
  for (let power = Math.floor(low / every) * every; power <= high && ticks.length < 100; power += every)
    for (const factor of factors) {
      const tick = Number(`${factor}e${power}`);
      if (tick >= min * (1 - 1e-12) && tick <= max * (1 + 1e-12)) ticks.push(tick);
    }
  return ticks.length > 1 ? ticks : [min, ...ticks, max];
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STRIDES = [
  SECOND,
  2 * SECOND,
  5 * SECOND,
  10 * SECOND,
  15 * SECOND,
  30 * SECOND,
  MINUTE,
  2 * MINUTE,
  5 * MINUTE,
  10 * MINUTE,
  15 * MINUTE,
  30 * MINUTE,
  HOUR,
  2 * HOUR,
  3 * HOUR,
  6 * HOUR,
  12 * HOUR,
  DAY,
  2 * DAY,
  5 * DAY,
  10 * DAY,
  30 * DAY,
  100 * DAY,
  365 * DAY,
];

/** Round stretches of time; of the clock they begin where the local day does. */
export function timeTicks(min: number, max: number, count: number, clock: boolean): number[] {
  const rough = (max - min) / Math.max(1, count);
  if (rough < SECOND / 2) return niceTicks(min, max, count);
  const step = STRIDES.find((each) => each >= rough * 0.999) ?? rough;
  const zone = clock ? new Date(min).getTimezoneOffset() * MINUTE : 0;
  return multiples(min - zone, max - zone, step).map((tick) => tick + zone);
}

function multiples(min: number, max: number, step: number): number[] {
  const ticks: number[] = [];
  // Multiples, not sums: sums drift.
  for (let multiple = Math.ceil(min / step); multiple * step <= max + step * 1e-9 && ticks.length < 100; multiple++)
    ticks.push(Number((multiple * step).toPrecision(15)));
  return ticks;
}

export function ticksX(axis: Axis, log: boolean, min: number, max: number, count: number): number[] {
  if (log) return logTicks(min, max, count);
  return axis === 'relative' || axis === 'time'
    ? timeTicks(min, max, count, axis === 'time')
    : niceTicks(min, max, count);
}

/** A tick's words beside an axis. */
export function tickX(axis: Axis, tick: number, ticks: readonly number[]): string {
  if (axis === 'time') {
    const span = (ticks.at(-1) ?? tick) - (ticks[0] ?? tick);
    const at = new Date(tick);
    const two = (value: number): string => String(value).padStart(2, '0');
    if (span > 3 * DAY) return `${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    const minutes = `${two(at.getHours())}:${two(at.getMinutes())}`;
    return span > 5 * MINUTE ? minutes : `${minutes}:${two(at.getSeconds())}`;
  }
  if (axis === 'relative') {
    if (tick === 0) return '0';
    const span = Math.abs(ticks.at(-1) ?? tick);
    if (span >= 2 * DAY) return `${trimmed(tick / DAY)} d`;
    if (span >= 2 * HOUR) return `${trimmed(tick / HOUR)} h`;
    if (span >= 2 * MINUTE) return `${trimmed(tick / MINUTE)} min`;
    return span >= SECOND ? `${trimmed(tick / SECOND)} s` : `${trimmed(tick)} ms`;
  }
  return tickY(tick);
}

export function tickY(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  const sign = value < 0 ? '−' : '';
  if (size >= 1e6 || size < 1e-3) {
    const [digits = '', exponent] = size.toExponential(6).split('e');
    return `${sign}${Number(Number(digits).toPrecision(4))}e${Number(exponent)}`;
  }
  return sign + (size >= 10_000 ? `${trimmed(size / 1_000)}k` : trimmed(size));
}

function trimmed(value: number): string {
  return String(Number(value.toPrecision(6)));
}

/** A place on the axis in words. */
export function wordsX(axis: Axis, x: number): string {
  if (axis === 'step') return `step ${number(x)}`;
  if (axis === 'relative') return x < 0 ? `${duration(-x)} before` : `after ${duration(x)}`;
  return axis === 'time' ? moment(x) : `${axis.slice('metric:'.length)} ${number(x)}`;
}

/** What an axis is called. */
export function nameX(axis: Axis): string {
  return axis === 'step'
    ? 'step'
    : axis === 'relative'
      ? 'elapsed'
      : axis === 'time'
        ? 'clock'
        : axis.slice('metric:'.length);
}
