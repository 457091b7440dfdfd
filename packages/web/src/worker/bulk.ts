import type { RunId } from '@fieldbook/core';
import type { View } from './api.ts';
import type { CellsOf, Standing } from './bulk-api.ts';
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

/** Which of chosen runs are not there any more, and how many others a view does not have. */
export function standingOf(project: Project, view: View, runs: readonly RunId[], now: number): Standing {
  const { table, loading } = project;
  const chosen = table.rowsOf(runs);
  const shown = new Set(project.select(view, now).rows);
  const outside = chosen.reduce((sum, row) => sum + (shown.has(row) ? 0 : 1), 0);
  return { gone: loading ? [] : runs.filter((run) => !table.has(run)), outside };
}

function isList(of: View | readonly RunId[]): of is readonly RunId[] {
  return Array.isArray(of);
}
