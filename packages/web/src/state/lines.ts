import type { Cell, Row } from '../worker/api.ts';
import type { Line } from '../worker/groups-api.ts';

/**
 * Lines of a new answer, each as the object that it was before where it says the same: what crossed from the worker is
 * new every time, and a row that is painted again for nothing is time that scrolling lacks.
 */
export function sameLines(before: readonly Line[], after: readonly Line[]): Line[] {
  const known = new Map(before.map((line) => [line.id, line]));
  return after.map((line) => {
    const old = known.get(line.id);
    return old !== undefined && isSame(old, line) ? old : line;
  });
}

function isSame(a: Line, b: Line): boolean {
  if (a.kind !== 'run' || b.kind !== 'run') return false;
  return a.id === b.id && a.depth === b.depth && a.group === b.group && isSameRow(a.row, b.row);
}

function isSameRow(a: Row, b: Row): boolean {
  for (const key of Object.keys(b) as (keyof Row)[]) {
    if (a[key] === b[key]) continue;
    const [one, other] = [a[key], b[key]];
    if (!Array.isArray(one) || !Array.isArray(other) || !areSame(one as Cell[], other as Cell[])) return false;
  }
  return Object.keys(a).length === Object.keys(b).length;
}

function areSame(a: readonly Cell[], b: readonly Cell[]): boolean {
  return a.length === b.length && a.every((cell, index) => isSameCell(cell, b[index]));
}

function isSameCell(a: Cell, b: Cell): boolean {
  if (Object.is(a, b)) return true;
  // Times, lists of words, and what an environment holds.
  return typeof a === 'object' && typeof b === 'object' && JSON.stringify(a) === JSON.stringify(b);
}
