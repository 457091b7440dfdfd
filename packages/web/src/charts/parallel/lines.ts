import type { PlotColumn } from '../../worker/plots-api.ts';
import type { Brush } from '../definition.ts';
import type { Scale } from '../scale.ts';

/** Places of runs on the axes of parallel coordinates: 0 at the low end to 1; NaN where a run has none. */
export interface Placed {
  count: number;
  /** By axis. */
  at: readonly Float64Array[];
}

export function placeLines(columns: readonly PlotColumn[], scales: readonly Scale[]): Placed {
  const count = columns[0]?.values.length ?? 0;
  return {
    count,
    at: columns.map(({ values, kind }, axis) => {
      const places = new Float64Array(count);
      const scale = scales[axis]!;
      for (let run = 0; run < count; run++) {
        const place = scale.place(values[run]!);
        // Runs of one category fan out a little: else a thousand lines look like one.
        places[run] = kind === 'category' && place === place ? place + spread(run) / Math.max(4, scale.max + 1) : place;
      }
      return places;
    }),
  };
}

/** -0.3 to 0.3, the same for a run each time. */
function spread(run: number): number {
  return ((Math.imul(run + 1, 0x9e3779b1) >>> 8) / 2 ** 24 - 0.5) * 0.6;
}

/** 1 for the runs that lie within every brush. A run without a value on a brushed axis is outside, as in a query. */
export function brushed(columns: readonly PlotColumn[], brushes: readonly (Brush | null)[]): Uint8Array {
  const count = columns[0]?.values.length ?? 0;
  const inside = new Uint8Array(count).fill(1);
  for (const [axis, brush] of brushes.entries()) {
    const column = columns[axis];
    if (brush === null || column === undefined) continue;
    const { values, categories } = column;
    if ('values' in brush) {
      const wanted = new Set(brush.values);
      const fits = Uint8Array.from(categories, ({ literal }) => Number(wanted.has(literal)));
      for (let run = 0; run < count; run++) {
        const value = values[run]!;
        if (value !== value || fits[value] !== 1) inside[run] = 0;
      }
    } else {
      for (let run = 0; run < count; run++) {
        const value = values[run]!;
        if (!(value >= brush.low && value <= brush.high)) inside[run] = 0;
      }
    }
  }
  return inside;
}

/** Moves an element of a list; the others close up. */
export function moved<T>(list: readonly T[], from: number, to: number): T[] {
  const next = [...list];
  const [element] = next.splice(from, 1);
  if (element !== undefined) next.splice(Math.max(0, Math.min(next.length, to)), 0, element);
  return next;
}

/** The run whose line passes nearest to a place between two axes; -1 beyond `reach` pixels. */
export function nearestLine(
  { at, count }: Placed,
  axes: readonly number[],
  height: number,
  x: number,
  y: number,
  reach: number,
  inside: Uint8Array,
): number {
  let segment = axes.findIndex((place) => place > x) - 1;
  if (segment < 0) segment = x <= (axes[0] ?? 0) ? 0 : axes.length - 2;
  const [left, right] = [axes[segment], axes[segment + 1]];
  if (left === undefined || right === undefined) return -1;
  const share = Math.max(0, Math.min(1, (x - left) / (right - left)));
  let best = -1;
  let least = reach;
  for (let run = 0; run < count; run++) {
    if (inside[run] !== 1) continue;
    const place = at[segment]![run]! * (1 - share) + at[segment + 1]![run]! * share;
    const away = Math.abs((1 - place) * height - y);
    if (away < least) {
      least = away;
      best = run;
    }
  }
  return best;
}
