import type { ProjectId, RunId } from '@fieldbook/core';
import type { Conflict, RunState } from '@fieldbook/core/fold';

/** What was, and what is not agreed on. */
export interface PastApi {
  /** The run as it was at a time (ms since the epoch): the same fold over the records made until then. */
  runAt(run: RunId, time: number): Promise<RunState | undefined>;
  /** Runs whose edits contradict each other. */
  conflicts(project: ProjectId): Promise<RunConflicts[]>;
}

export interface RunConflicts {
  run: RunId;
  name: string;
  conflicts: readonly Conflict[];
}
