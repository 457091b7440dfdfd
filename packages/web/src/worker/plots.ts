import type { RunId } from '@fieldbook/core';
import type { Cell, RunTable } from '@fieldbook/core/query';
import { compareNatural } from '@fieldbook/core/query';
import type { MetricGoal, PlotCategory, PlotColumn, PlotData } from './plots-api.ts';

/** More different texts than this are no categories that a chart could show; the rest share the last one. */
const CATEGORIES = 500;
const OTHERS: PlotCategory = { label: 'others', literal: '' };
const GOAL = /^metric\/(.+)\/goal$/;

/** Columns of runs as typed arrays. Runs that the table does not have are left out. */
export function plotData(table: RunTable, runs: Iterable<RunId>, columns: readonly string[], now: number): PlotData {
  const ids: RunId[] = [];
  const rows: number[] = [];
  for (const id of runs) {
    const row = table.row(id);
    if (row === undefined) continue;
    ids.push(id);
    rows.push(row);
  }
  return {
    ids: ids.join('\n'),
    count: ids.length,
    columns: columns.map((id) => plotColumn(id, table.cells(rows, id, { now }))),
  };
}

/** A column of numbers, of times, or of whatever else as categories. What is of several kinds is categories. */
export function plotColumn(id: string, cells: readonly Cell[]): PlotColumn {
  let [numbers, times, others, missing] = [0, 0, 0, 0];
  for (const cell of cells) {
    if (cell === undefined || cell === null) missing += 1;
    else if (typeof cell === 'number') numbers += 1;
    else if (isTime(cell)) times += 1;
    else others += 1;
  }
  const values = new Float64Array(cells.length).fill(NaN);
  const base = { id, values, categories: [], missing, nonFinite: 0 };
  if (numbers + times + others === 0) return { ...base, kind: 'empty' };
  if (others === 0 && times === 0) {
    let nonFinite = 0;
    for (let index = 0; index < cells.length; index++) {
      const cell = cells[index];
      if (typeof cell !== 'number') continue;
      if (Number.isFinite(cell)) values[index] = cell;
      else nonFinite += 1;
    }
    return { ...base, kind: id === 'duration' ? 'duration' : 'number', nonFinite };
  }
  if (others === 0 && numbers === 0) {
    for (let index = 0; index < cells.length; index++) {
      const cell = cells[index];
      if (isTime(cell)) values[index] = cell.time;
    }
    return { ...base, kind: 'time' };
  }
  return { ...base, ...categorise(cells, values), kind: 'category' };
}

/** Fills `values` with places of categories. A null is a value here: `None` is something that somebody chose. */
function categorise(cells: readonly Cell[], values: Float64Array): Pick<PlotColumn, 'categories' | 'missing'> {
  const found = new Map<string, { category: PlotCategory; runs: number }>();
  let missing = 0;
  const keys = cells.map((cell) => {
    if (cell === undefined) {
      missing += 1;
      return null;
    }
    const key = typeof cell === 'number' ? String(cell) : JSON.stringify(cell);
    const seen = found.get(key);
    if (seen === undefined) found.set(key, { category: categoryOf(cell), runs: 1 });
    else seen.runs += 1;
    return key;
  });
  const kept = [...found]
    .sort(([, a], [, b]) => b.runs - a.runs)
    .slice(0, CATEGORIES)
    .sort(([, a], [, b]) => compareNatural(a.category.label, b.category.label));
  const places = new Map(kept.map(([key], place) => [key, place]));
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index]!;
    if (key !== null) values[index] = places.get(key) ?? kept.length;
  }
  const categories = kept.map(([, { category }]) => category);
  if (found.size > kept.length) categories.push(OTHERS);
  return { categories, missing };
}

function categoryOf(cell: NonNullable<Cell> | null): PlotCategory {
  if (cell === null) return { label: 'None', literal: 'null' };
  if (typeof cell === 'boolean') return { label: cell ? 'True' : 'False', literal: String(cell) };
  if (typeof cell === 'number') return { label: String(cell), literal: String(cell) };
  if (typeof cell === 'string') return { label: cell, literal: JSON.stringify(cell) };
  if (isTime(cell)) {
    const text = new Date(cell.time).toISOString();
    return { label: text, literal: text };
  }
  // Of a list, a query names an element; several runs with one list share all of them.
  return { label: cell.join(', '), literal: cell.length === 0 ? '' : JSON.stringify(cell[0]) };
}

function isTime(cell: Cell): cell is { time: number } {
  return typeof cell === 'object' && cell !== null && 'time' in cell;
}

/** Ids of the columns that `goalsOf` reads. */
export function goalColumns(table: RunTable): string[] {
  return table.columns().flatMap(({ id, source, path }) => (source === 'attribute' && GOAL.test(path) ? [id] : []));
}

/** What scripts said by `define_metric`: the attributes `metric/<name>/goal`, each as most runs have it. */
export function goalsOf(table: RunTable, now: number): MetricGoal[] {
  return table.columns().flatMap(({ id, source, path }) => {
    const name = source === 'attribute' ? GOAL.exec(path)?.[1] : undefined;
    if (name === undefined) return [];
    const value = table.stats(id, { now }).values[0]?.value;
    return value === 'min' || value === 'max' ? [{ name, goal: value }] : [];
  });
}
