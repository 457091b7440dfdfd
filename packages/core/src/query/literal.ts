import type { Literal } from './ast.ts';

/** What a literal can be read as. Quoted ones are text and read as nothing else. */

const NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i;
const INFINITE = /^([+-]?)inf(?:inity)?$/i;
const DURATION = /^([+-]?)((?:\d+(?:\.\d+)?(?:ms|s|min|mo|m|h|d|w|y))+)$/;
const DURATION_PART = /(\d+(?:\.\d+)?)(ms|s|min|mo|m|h|d|w|y)/g;
const DATE =
  /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,3}))?)?(Z|[+-]\d{2}:?\d{2})?)?)?)?$/i;

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Months and years of a duration are 30 and 365 days: `-1y` is a distance, not a date. */
const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: SECOND,
  m: MINUTE,
  min: MINUTE,
  h: HOUR,
  d: DAY,
  w: 7 * DAY,
  mo: 30 * DAY,
  y: 365 * DAY,
};

/** A number, an infinity or NaN; undefined for anything else. */
export function numberOf({ text, quoted }: Literal): number | undefined {
  if (quoted) return undefined;
  if (NUMBER.test(text)) return Number(text);
  const infinite = INFINITE.exec(text);
  if (infinite !== null) return infinite[1] === '-' ? -Infinity : Infinity;
  return text.toLowerCase() === 'nan' ? Number.NaN : undefined;
}

export function booleanOf({ text, quoted }: Literal): boolean | undefined {
  if (quoted) return undefined;
  const lower = text.toLowerCase();
  return lower === 'true' ? true : lower === 'false' ? false : undefined;
}

export function isNull({ text, quoted }: Literal): boolean {
  return !quoted && (text === 'null' || text === 'None');
}

/** Milliseconds of `90s`, `1h30m`, `-7d`; undefined for text that has no unit. */
export function durationOf({ text, quoted }: Literal): number | undefined {
  const match = quoted ? null : DURATION.exec(text);
  if (match === null) return undefined;
  let total = 0;
  for (const [, count, unit] of match[2]!.matchAll(DURATION_PART)) total += Number(count) * UNITS[unit!]!;
  return match[1] === '-' ? -total : total;
}

/** From `from` until just before `until`, in ms since the epoch. A moment has both equal. */
export interface Period {
  from: number;
  until: number;
}

/** What times are read against. */
export interface TimeFrame {
  /** ms since the epoch. */
  now: number;
  /** Minutes east of UTC of dates that name no zone; UTC unless said otherwise. */
  zone?: number;
}

/**
 * The time a literal names: a moment (`-7d`, `now`) or a whole period (`2026`, `2026-11`, `2026-11-01`,
 * `2026-11-01T12:30`, `today`, `yesterday`). Undefined when it is none.
 */
export function periodOf(literal: Literal, frame: TimeFrame): Period | undefined {
  const { text, quoted } = literal;
  if (quoted) return undefined;
  const zone = (frame.zone ?? 0) * MINUTE;
  const word = text.toLowerCase();
  if (word === 'now') return { from: frame.now, until: frame.now };
  if (word === 'today' || word === 'yesterday') {
    const midnight = Math.floor((frame.now + zone) / DAY) * DAY - zone - (word === 'today' ? 0 : DAY);
    return { from: midnight, until: midnight + DAY };
  }
  const distance = durationOf(literal);
  // Only with its sign: `created > 7d` could mean either direction.
  if (distance !== undefined) {
    const moment = frame.now + distance;
    return /^[+-]/.test(text) ? { from: moment, until: moment } : undefined;
  }
  return dateOf(text, zone);
}

function dateOf(text: string, zoneMs: number): Period | undefined {
  const match = DATE.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction, zone] = match;
  const y = Number(year);
  const mo = month === undefined ? 1 : Number(month);
  const d = day === undefined ? 1 : Number(day);
  const h = Number(hour ?? 0);
  const m = Number(minute ?? 0);
  const s = Number(second ?? 0);
  if (mo < 1 || mo > 12 || d < 1 || d > daysIn(y, mo) || h > 23 || m > 59 || s > 59) return undefined;
  const offset = zone === undefined ? zoneMs : zoneOf(zone);
  const at = (days: number): number => days * DAY - offset;
  if (month === undefined) return { from: at(daysFromCivil(y, 1, 1)), until: at(daysFromCivil(y + 1, 1, 1)) };
  if (day === undefined) {
    return { from: at(daysFromCivil(y, mo, 1)), until: at(daysFromCivil(mo === 12 ? y + 1 : y, (mo % 12) + 1, 1)) };
  }
  const midnight = at(daysFromCivil(y, mo, d));
  if (hour === undefined) return { from: midnight, until: midnight + DAY };
  const from =
    midnight + h * HOUR + m * MINUTE + s * SECOND + (fraction === undefined ? 0 : Number(fraction.padEnd(3, '0')));
  return { from, until: from + (second === undefined ? MINUTE : fraction === undefined ? SECOND : 1) };
}

function zoneOf(text: string): number {
  if (text.toUpperCase() === 'Z') return 0;
  const digits = text.replace(':', '');
  return (text.startsWith('-') ? -1 : 1) * (Number(digits.slice(1, 3)) * HOUR + Number(digits.slice(3, 5)) * MINUTE);
}

function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** Days since 1970-01-01 of a civil date, without `Date` (Hinnant, "chrono-compatible low-level date algorithms"). */
export function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}
