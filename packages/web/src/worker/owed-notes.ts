import type { ProjectId, RunId } from '@fieldbook/core';
import type { Keep } from './keep.ts';

/** Where it lies among what the browser keeps. */
export const OWED = 'notes';

/** What this browser still owes: kept over the end of the tab. */
export interface Owed {
  project: ProjectId;
  /** Something typed here that no edit says. */
  unsaid: boolean;
  /** Something typed here that no server has acknowledged. */
  unsent: boolean;
}

/** The notes that an earlier tab of this browser was closed over. */
export async function owedNotes(keep: Keep): Promise<[RunId, Owed][]> {
  return (await keep.get<[RunId, Owed][]>(OWED).catch(() => undefined)) ?? [];
}
