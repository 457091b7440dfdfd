import type { ProjectId, RunId } from '@fieldbook/core';
import type { Absence, ConsoleLine, ConsoleSource } from '@fieldbook/core/objects';

export type { Absence, ConsoleLine, ConsoleSource };

/** What the run page asks besides the run itself: what was captured, relatives, the console. */
export interface RunApi {
  /** Captured sections, those named only: `<writer>/<section>`. */
  captures(run: RunId, keys: readonly string[]): Promise<Capture[]>;
  /** The run above and the runs below it, as far as they are here. */
  family(run: RunId): Promise<Family>;
  /** Where all of the run is known to be. Undefined while no server says so. */
  holders(run: RunId): Promise<Holders | undefined>;

  /** Undefined when nothing of the run can be had. */
  console(query: ConsoleQuery): Promise<ConsoleInfo | undefined>;
  /** Lines `[from, to)` of the console as it was last told of. */
  consoleLines(query: ConsoleQuery, from: number, to: number): Promise<ConsoleLine[]>;
  /**
   * Looks for a text in all lines from `from` on; the callback hears how it goes. Throws `invalid_argument` for a pattern that cannot
   * be read. Resolves when it is through, or was cancelled by its name.
   */
  consoleSearch(
    query: ConsoleQuery,
    search: ConsoleSearch,
    onProgress: (progress: SearchProgress) => void | Promise<void>,
  ): Promise<{ searched: number; cancelled: boolean }>;
  consoleCancel(name: string): Promise<void>;
  /**
   * Lines `[from, to)` as a text file, with its colours or without. The callback hears how many are through and says whether it goes on;
   * throws `closed` when it does not.
   */
  consoleText(
    query: ConsoleQuery,
    from: number,
    to: number,
    colours: boolean,
    goesOn?: (lines: number) => boolean | Promise<boolean>,
  ): Promise<Blob>;
}

/** A section of captures: what the client said of it, in its words. */
export interface Capture {
  writer: string;
  section: string;
  data: Readonly<Record<string, unknown>>;
}

export interface Relative {
  id: RunId;
  project: ProjectId;
  name: string;
  status: string;
}

export interface Family {
  parent: Relative | null;
  children: Relative[];
  /** There are more than are listed. */
  more: boolean;
}

/** What of a run is still to go to a replica. */
export interface ToGo {
  name: string;
  connected: boolean;
  documents: number;
  /** Of points and files that travel and are here. */
  blobs: number;
  bytes: number;
}

export interface Holders {
  /** Of the server that answers: `agent` or `relay`. */
  kind: string;
  /** Replicas beside it that have all of the run. */
  names: readonly string[];
  /** It talks to relays, so that the run can travel. */
  shares: boolean;
  /** What is still to go to each replica beside it; empty when the server does not say. */
  toGo: readonly ToGo[];
  /** Who has what the run recorded, when that is not on the agent's machine and cannot be had now; connected, or not, since then. */
  elsewhere: { name: string; connected: boolean; since: number | null }[];
}

export interface ConsoleQuery {
  run: RunId;
  /** Null: all of them. */
  streams: readonly string[] | null;
  writers: readonly string[] | null;
}

export interface ConsoleInfo {
  count: number;
  /** All there are, chosen or not. */
  sources: readonly ConsoleSource[];
  /** Not as the server has it now: none answers. */
  stale: boolean;
}

export interface ConsoleSearch {
  /** Names it, for whoever cancels it. */
  name: string;
  text: string;
  pattern: boolean;
  matchCase: boolean;
  from: number;
}

export interface SearchProgress {
  searched: number;
  /** Numbers of lines found since the last time, ascending. */
  found: Uint32Array;
}
