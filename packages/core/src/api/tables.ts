import { FieldbookError } from '../errors.ts';
import type { RunState } from '../fold/index.ts';
import type { ProjectId, RunId } from '../ids.ts';
import type { Library } from '../library/index.ts';
import type { Clock } from '../ports.ts';

export interface Listing {
  /** Runs that match, all pages. */
  total: number;
  rows: readonly RunId[];
  groups: readonly object[] | null;
  state(run: RunId): RunState;
  /** What the run has in a column; null when it lacks it. */
  value(run: RunId, column: string): unknown;
}

/** Answers queries over the library. */
export class RunTables {
  readonly #library: Library;
  constructor(library: Library, _clock: Clock) {
    this.#library = library;
  }

  async list(project: ProjectId, _request: { q: string; sort: string; group: string | null }): Promise<Listing> {
    const states = (await this.#library.runs(project))
      .filter((run) => !run.trashed)
      .sort((a, b) => b.created - a.created);
    const byId = new Map(states.map((state) => [state.id, state]));
    return {
      total: states.length,
      rows: states.map((state) => state.id),
      groups: null,
      state: (run) => byId.get(run)!,
      value: () => null,
    };
  }

  close(): void {}

  parse(_q: string): object {
    throw new FieldbookError('not_supported', 'Not yet.');
  }
}
