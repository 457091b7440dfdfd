import type { Cell } from '../worker/api.ts';
import { units } from './units.ts';

/** How values look, by the person's units. `now` is given, so that tests and tables agree. */

/** Four significant digits unless the person wants others, trailing zeros dropped; exponents only where zeros would have to be counted. */
export function number(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e9) return minus(size < 10_000 ? String(value) : value.toLocaleString('en'));
  if (size >= 1e6 || size < 1e-4) {
    const [digits, exponent] = value.toExponential(units.digits - 1).split('e');
    return minus(`${trim(digits!)}e${Number(exponent)}`);
  }
  return minus(size < 10_000 ? trim(value.toPrecision(units.digits)) : Math.round(value).toLocaleString('en'));
}

/** All digits that a value has. */
export function exact(value: number): string {
  return Number.isNaN(value) ? 'NaN' : minus(String(value));
}

/** `3.2 s`, `4m 10s`, `2h 05m`, `3d 4h`. */
export function duration(ms: number): string {
  if (!(ms >= 0)) return '';
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  const seconds = Math.round(ms / 1_000);
  if (units.durations === 'clock')
    return `${Math.floor(seconds / 3_600)}:${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ${pad(seconds % 60)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)}h ${pad(minutes % 60)}m`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

/**
 * `just now`, `5 min ago`, `3 h ago`, `yesterday`, `12 days ago`, then the date. What lies ahead was made by a clock that is wrong, or
 * is read by one: `in 3 h`, `in 12 days`, `2031-05-03, ahead of this clock`.
 */
export function ago(time: number, now: number): string {
  const ms = now - time;
  if (ms < -60_000) return ahead(time, -ms);
  if (ms < 45_000) return 'just now';
  const minutes = Math.round(ms / 60_000);
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.round(minutes / 60);
  if (hours < 24) return `${hours} h ago`;
  const days = Math.round(hours / 24);
  if (days === 1) return 'yesterday';
  if (days < 30) return `${days} days ago`;
  return date(time);
}

function ahead(time: number, ms: number): string {
  const minutes = Math.round(ms / 60_000);
  if (minutes < 60) return `in ${minutes} min`;
  const hours = Math.round(minutes / 60);
  if (hours < 48) return `in ${hours} h`;
  const days = Math.round(hours / 24);
  return days < 30 ? `in ${days} days` : `${date(time)}, ahead of this clock`;
}

/** `2026-11-23`, local or UTC. */
export function date(time: number): string {
  const at = new Date(time);
  if (inUtc(at)) return at.toISOString().slice(0, 10);
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
}

/** `2026-11-23 21:05:09`, local, or with `UTC` behind it. */
export function moment(time: number): string {
  const at = new Date(time);
  if (inUtc(at)) return `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
  return `${date(time)} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

export function bytes(count: number): string {
  const step = units.bytes === 'binary' ? 1_024 : 1_000;
  if (count < step) return `${count} B`;
  const names = units.bytes === 'binary' ? ['KiB', 'MiB', 'GiB', 'TiB'] : ['kB', 'MB', 'GB', 'TB'];
  let value = count / step;
  let unit = 0;
  while (value >= step && unit < names.length - 1) {
    value /= step;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${names[unit]}`;
}

/** `1 run`, `2 runs`, `10,000 runs`. */
export function count(howMany: number, one: string, many = `${one}s`): string {
  return `${howMany.toLocaleString('en')} ${howMany === 1 ? one : many}`;
}

/** A table's cell as text. Durations are told apart by their column. */
export function cell(value: Cell, column: string, now: number): string {
  if (value === undefined) return '';
  if (value === null) return 'None';
  if (typeof value === 'number') return column === 'duration' ? duration(value) : number(value);
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'string') return value;
  if ('time' in value) return ago(value.time, now);
  // What an environment holds may be an object of its own.
  return Array.isArray(value) ? value.join(', ') : JSON.stringify(value);
}

/** The whole value, for a tooltip and for copying. */
export function cellExact(value: Cell): string {
  if (typeof value === 'number') return exact(value);
  if (typeof value === 'object' && value !== null && 'time' in value) return moment(value.time);
  return cell(value, '', 0);
}

function trim(digits: string): string {
  return digits.includes('.') ? digits.replace(/\.?0+$/, '') : digits;
}

/** A real minus sign, as wide as a plus. */
function minus(text: string): string {
  return text.startsWith('-') ? `−${text.slice(1)}` : text;
}

/** A time that a broken program wrote may be none. */
function inUtc(at: Date): boolean {
  return units.zone === 'utc' && !Number.isNaN(at.getTime());
}

function pad(value: number): string {
  return String(value).padStart(2, '0');
}
