import type { PlotColumn } from '../worker/plots-api.ts';
import { ownColour } from './colours.ts';
import type { Inks, Rgb } from './scatter/paint.ts';
import { between, rgbOf } from './scatter/paint.ts';
import { scaleOf } from './scale.ts';

const SHADES = 64;
const RUN_COLOURS = 10;
const SCALE_STOPS = 5;

export type Colouring =
  | { by: 'run'; ids: readonly string[]; colours: ReadonlyMap<string, number> }
  | { by: 'column'; column: PlotColumn }
  /** By point, the group's colour in the palette; -1 for a run of no group. */
  | { by: 'group'; colours: Int16Array };

/**
 * A colour per point: its run's where lines are drawn of it too, its group's, or that of a third column: shades of one scale for
 * numbers and times, the palette for categories. What has none is grey.
 */
export function inksOf(style: CSSStyleDeclaration, count: number, colouring: Colouring): Inks {
  const grey = rgbOf(style, '--point');
  const palette = paletteOf(style);
  const ink = new Uint8Array(count);
  if (colouring.by === 'run') {
    const { ids, colours } = colouring;
    for (let index = 0; index < count; index++) ink[index] = (colours.get(ids[index]!) ?? -1) + 1;
    return { ink, colours: [grey, ...palette] };
  }
  if (colouring.by === 'group') {
    for (let index = 0; index < count; index++) ink[index] = colouring.colours[index]! + 1;
    return { ink, colours: [grey, ...palette] };
  }
  const { column } = colouring;
  if (column.kind === 'category') {
    const own = column.categories.map((_category, place) => place % RUN_COLOURS);
    for (let index = 0; index < count; index++) {
      const value = column.values[index]!;
      ink[index] = Number.isNaN(value) ? 0 : own[value]! + 1;
    }
    return { ink, colours: [grey, ...palette] };
  }
  const scale = scaleOf(column, wantsLog(column), 0);
  for (let index = 0; index < count; index++) {
    const at = scale.place(column.values[index]!);
    ink[index] = Number.isNaN(at) ? 0 : 1 + Math.round(Math.min(1, Math.max(0, at)) * (SHADES - 1));
  }
  const stops = scaleStops(style);
  return {
    ink,
    colours: [grey, ...Array.from({ length: SHADES }, (_, shade) => between(stops, shade / (SHADES - 1)))],
  };
}

export function paletteOf(style: CSSStyleDeclaration): Rgb[] {
  return Array.from({ length: RUN_COLOURS }, (_, index) => rgbOf(style, `--run-${index}`));
}

export function scaleStops(style: CSSStyleDeclaration): Rgb[] {
  return Array.from({ length: SCALE_STOPS }, (_, index) => rgbOf(style, `--scale-${index}`));
}

/** Positive numbers over more than two powers of ten are told apart by their logarithm. */
export function wantsLog({ kind, values }: Pick<PlotColumn, 'kind' | 'values'>): boolean {
  if (kind !== 'number' && kind !== 'duration') return false;
  let min = Infinity;
  let max = 0;
  for (const value of values) {
    if (value !== value) continue;
    if (value <= 0) return false;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return max / min > 100;
}

/** The palette's place of a group: its own, whoever else is shown. */
export function groupColour(id: string, colours: ReadonlyMap<string, number>): number {
  return colours.get(id) ?? ownColour(id);
}
