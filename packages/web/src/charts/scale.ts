import { duration, number } from '../app/format.ts';
import type { PlotColumn, PlotKind } from '../worker/plots-api.ts';
import { niceTicks } from './ticks.ts';

export interface Tick {
  /** From 0 at the low end to 1. */
  at: number;
  label: string;
}

/** From the values of a column to places on an axis and back. */
export interface Scale {
  kind: PlotKind;
  log: boolean;
  min: number;
  max: number;
  /** 0 to 1; NaN for what has no place, as zero on a log axis. */
  place: (value: number) => number;
  value: (place: number) => number;
  /** At most about `room` of them. */
  ticks: (room: number) => Tick[];
}

const AIR = 0.04;

/** The scale that shows all of a column, with air at both ends; of colours without. */
export function scaleOf(
  column: Pick<PlotColumn, 'kind' | 'values' | 'categories'>,
  log: boolean,
  share: number = AIR,
): Scale {
  if (column.kind === 'category') return categoryScale(column.categories.map(({ label }) => label));
  const logged = log && (column.kind === 'number' || column.kind === 'duration');
  let min = Infinity;
  let max = -Infinity;
  for (const value of column.values) {
    if (!(logged ? value > 0 : value === value)) continue;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  if (min > max) [min, max] = logged ? [0.1, 1] : [0, 1];
  if (min === max) {
    const air = logged ? 2 : Math.abs(min) * 0.1 || 1;
    [min, max] = logged ? [min / air, max * air] : [min - air, max + air];
  } else if (logged) {
    const air = (max / min) ** share;
    [min, max] = [min / air, max * air];
  } else {
    const air = (max - min) * share;
    [min, max] = [min - air, max + air];
  }
  return numberScale(column.kind, logged, min, max);
}

export function numberScale(kind: PlotKind, log: boolean, min: number, max: number): Scale {
  const [low, high] = log ? [Math.log(min), Math.log(max)] : [min, max];
  const place = (value: number): number => ((log ? (value > 0 ? Math.log(value) : NaN) : value) - low) / (high - low);
  return {
    kind,
    log,
    min,
    max,
    place,
    value: (at) => (log ? Math.exp(low + at * (high - low)) : low + at * (high - low)),
    ticks: (room) => {
      const values =
        kind === 'time' ? timeTicks(min, max, room) : log ? logTicks(min, max, room) : stepTicks(kind, min, max, room);
      return values.map((value) => ({ at: place(value), label: tickLabel(kind, value, max - min) }));
    },
  };
}

/**
 * The value at a place, in no more digits than a thousandth of the axis needs there: a hand draws no finer, and values that lie close
 * together far from zero stay apart.
 */
export function valueAt(scale: Scale, place: number): number {
  const value = scale.value(place);
  const step = scale.value(place + 0.0005) - scale.value(place - 0.0005);
  if (scale.kind === 'category' || !(step > 0)) return value;
  // Moments are never coarser than a second, which is how people write them.
  const power = Math.min(Math.floor(Math.log10(step)), scale.kind === 'time' ? 3 : Infinity);
  if (power >= 0) return Number(`${Math.round(value / 10 ** power)}e${power}`);
  // As many as `toFixed` has; whatever needs more lies by zero.
  return power >= -100 ? Number(value.toFixed(-power)) : value;
}

function categoryScale(labels: readonly string[]): Scale {
  const size = Math.max(1, labels.length);
  return {
    kind: 'category',
    log: false,
    min: 0,
    max: size - 1,
    place: (value) => (value + 0.5) / size,
    value: (at) => Math.max(0, Math.min(size - 1, Math.floor(at * size))),
    ticks: (room) => {
      const every = Math.max(1, Math.ceil(size / Math.max(1, room)));
      return labels.flatMap((label, index) => (index % every === 0 ? [{ at: (index + 0.5) / size, label }] : []));
    },
  };
}

/** What a value of a column reads as, to as many digits as can be told apart in a span. */
export function valueLabel(column: Pick<PlotColumn, 'kind' | 'categories'>, value: number): string {
  if (Number.isNaN(value)) return '–';
  if (column.kind === 'category') return column.categories[value]?.label ?? '–';
  if (column.kind === 'time') return clock(value, 0);
  return column.kind === 'duration' ? duration(value) : number(value);
}

function tickLabel(kind: PlotKind, value: number, span: number): string {
  if (kind === 'time') return clock(value, span);
  return kind === 'duration' ? (value === 0 ? '0' : duration(value)) : number(value);
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const TIME_STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
  ...[1, 2, 7, 14, 30, 60, 90, 180, 365].map((count) => count * DAY),
];

/** Round moments of the viewer's own clock. */
function timeTicks(min: number, max: number, room: number): number[] {
  const step = TIME_STEPS.find((each) => (max - min) / each <= room) ?? Math.ceil((max - min) / room / DAY) * DAY;
  const zone = new Date(min).getTimezoneOffset() * MINUTE;
  const ticks: number[] = [];
  for (let tick = Math.ceil((min - zone) / step) * step + zone; tick <= max; tick += step) ticks.push(tick);
  return ticks;
}

function stepTicks(kind: PlotKind, min: number, max: number, room: number): number[] {
  if (kind !== 'duration' || max - min < 2 * MINUTE) return niceTicks(min, max, room);
  const step = TIME_STEPS.find((each) => (max - min) / each <= room) ?? (max - min) / room;
  const ticks: number[] = [];
  for (let multiple = Math.ceil(min / step); multiple * step <= max; multiple++) ticks.push(multiple * step);
  return ticks;
}

/** Powers of ten; with few of them in sight also their doubles and fives. */
function logTicks(min: number, max: number, room: number): number[] {
  const decades = Math.log10(max / min);
  const digits = decades < room / 3 ? [1, 2, 5] : [1];
  const every = Math.max(1, Math.ceil(decades / Math.max(1, room)));
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(min)); power <= Math.log10(max); power++) {
    if (power % every !== 0) continue;
    for (const digit of digits) {
      const value = Number(`${digit}e${power}`);
      if (value >= min && value <= max) ticks.push(value);
    }
  }
  return ticks.length > 1 ? ticks : niceTicks(min, max, room).filter((value) => value > 0);
}

function clock(time: number, span: number): string {
  const at = new Date(time);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  if (span > 300 * DAY) return `${at.getFullYear()}-${two(at.getMonth() + 1)}`;
  if (span > 4 * DAY) return day;
  const hour = `${two(at.getHours())}:${two(at.getMinutes())}`;
  if (span > DAY) return `${day} ${hour}`;
  if (span > 10 * MINUTE) return hour;
  return span > 0 ? `${hour}:${two(at.getSeconds())}` : `${at.getFullYear()}-${day} ${hour}:${two(at.getSeconds())}`;
}
