import type { ProjectId, RunId } from '@fieldbook/core';
import type { Cell, View } from './api.ts';

/** What is done with many runs at once. */
export interface BulkApi {
  /** All tags of a project with the number of runs that have each, in every drawer, most used first. */
  tagCounts(project: ProjectId): Promise<[tag: string, runs: number][]>;
  /** All runs with a tag, in every drawer. */
  runsTagged(project: ProjectId, tag: string): Promise<RunId[]>;
  /** Cells of runs between two places of a view or of a list, for copying and exporting. */
  cells(
    project: ProjectId,
    of: View | readonly RunId[],
    columns: readonly string[],
    first: number,
    count: number,
  ): Promise<CellsOf>;
  /** Where chosen runs stand: which of them the project does not have any more, and how many others a view does not show. */
  standing(project: ProjectId, view: View, runs: readonly RunId[]): Promise<Standing>;
}

export interface Standing {
  /** Empty while runs are still coming. */
  gone: RunId[];
  outside: number;
}

export interface CellsOf {
  /** Runs of the view or list, on all pages. */
  total: number;
  rows: Cell[][];
}
