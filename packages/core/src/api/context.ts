import type { FilePresence, RequestedFiles } from '../files/index.ts';
import type { RunState } from '../fold/index.ts';
import type { ProjectId } from '../ids.ts';
import type { ApiOptions } from './options.ts';
import type { RunLibrary } from './scope.ts';
import type { RunTables } from './tables.ts';

/** What handlers work with. */
export interface ApiContext extends Omit<ApiOptions, 'library'> {
  library: RunLibrary;
  /** The projects that whoever asks may see; null for all. */
  scope: ReadonlySet<ProjectId> | null;
  tables: RunTables;
  /** Which files are whole here, and which ones people have asked for. */
  presence: FilePresence;
  requested: RequestedFiles;
  /** A run by id, beginning of an id, or name. Throws `not_found`, `ambiguous`. */
  findRun(reference: string, project?: string): Promise<RunState>;
  /** Called when the API closes, to end answers that would go on for ever. */
  streams: Set<() => void>;
  /** Runs `work` after all work given before it: an edit must see the one before. */
  inTurn<T>(work: () => Promise<T>): Promise<T>;
}
