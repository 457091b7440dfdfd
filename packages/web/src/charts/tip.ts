import type { Line } from './line.ts';
import { nearest } from './line.ts';
import type { Pointer } from './plot.ts';
import { quantity } from './quantity.ts';
import type { Axis } from './settings.ts';
import { wordsX } from './ticks.ts';

export interface ReadoutRow {
  line: Line;
  x: number;
  raw: number;
  /** As drawn in front: smoothed when it is. */
  y: number;
  /** Of a group: its band, how many runs count there, and how many have NaN or infinities there. */
  band: { low: number; high: number; runs: number; odd: number } | null;
}

/** What is under the crosshair. */
export interface Readout {
  x: number;
  /** The highest first, those around the nearest when there are more than fit. */
  rows: readonly ReadoutRow[];
  more: number;
  /** The id of the line that the pointer is on, if it is on one. */
  close: string | null;
}

/** A pointer this near to a line is on it, in CSS pixels. */
const NEAR = 30;
/** Lines of a tooltip that hides no more than half of a panel. */
const ROWS = 9;

export function readoutOf(
  lines: readonly Line[],
  { x, top, left }: Pointer,
  place: { topOf: (y: number) => number; leftOf: (x: number) => number },
): Readout {
  const rows: (ReadoutRow & { away: number })[] = [];
  for (const line of lines) {
    const at = line.ascending ? nearest(line, x) : closestOf(line, left, top, place);
    if (at === -1) continue;
    const raw = line.y[at]!;
    const { smooth, band, runs, oddRuns } = line;
    const near = smooth === null ? -1 : line.ascending ? nearest({ ...smooth, ascending: true }, x) : at;
    const y = smooth === null ? raw : (smooth.y[near] ?? raw);
    const its =
      runs === null || band === null
        ? null
        : { low: band.low[at]!, high: band.high[at]!, runs: runs[at]!, odd: oddRuns?.[at] ?? 0 };
    rows.push({ line, x: line.x[at]!, raw, y, band: its, away: top < 0 ? Infinity : Math.abs(place.topOf(y) - top) });
  }
  rows.sort((a, b) => (Number.isNaN(a.y) ? 1 : Number.isNaN(b.y) ? -1 : b.y - a.y));
  let close: (typeof rows)[number] | undefined;
  for (const row of rows) if (row.away < NEAR && (close === undefined || row.away < close.away)) close = row;
  const around = close === undefined ? 0 : Math.max(0, Math.min(rows.length - ROWS, rows.indexOf(close) - (ROWS >> 1)));
  return {
    x: (close ?? rows[0])?.x ?? x,
    rows: rows.slice(around, around + ROWS),
    more: Math.max(0, rows.length - ROWS),
    close: close?.line.id ?? null,
  };
}

/** Of a path that goes back and forth: the point that is nearest on the screen. */
function closestOf(
  { x, y }: Line,
  left: number,
  top: number,
  place: { topOf: (y: number) => number; leftOf: (x: number) => number },
): number {
  let best = -1;
  let least = Infinity;
  for (let row = 0; row < x.length; row++) {
    if (!Number.isFinite(y[row]!)) continue;
    const away = Math.hypot(place.leftOf(x[row]!) - left, top < 0 ? 0 : place.topOf(y[row]!) - top);
    if (away < least) {
      least = away;
      best = row;
    }
  }
  return best;
}

/** The readout for a screen reader. */
export function sentenceOf({ x, rows, more }: Readout, axis: Axis, unit: string | null = null): string {
  const values = rows.map(({ line, y }) => `${line.name} ${quantity(y, unit)}`).join(', ');
  return `${wordsX(axis, x)}: ${values === '' ? 'no values' : values}${more > 0 ? ` and ${more} more` : ''}`;
}
