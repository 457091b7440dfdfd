import type { RunId } from '@fieldbook/core';
import type { View } from './api.ts';
import type { CellsOf } from './bulk-api.ts';
import type { Project } from './project.ts';

/** Cells of runs between two places of a view, or of a list of runs. Runs that the project does not have are left out. */
export function cellsOf(
  project: Project,
  of: View | readonly RunId[],
  columns: readonly string[],
  first: number,
  count: number,
  now: number,
): CellsOf {
  const { table } = project;
  const rows = isList(of) ? table.rowsOf(of) : project.select(of, now).rows;
  return { total: rows.length, rows: table.runs.values(rows.subarray(first, first + count), columns, { now }) };
}

function isList(of: View | readonly RunId[]): of is readonly RunId[] {
  return Array.isArray(of);
}
