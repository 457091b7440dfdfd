import type { RunId } from '@fieldbook/core';

/** What the compare page asks of what was captured of several runs. */
export interface CompareApi {
  /** Captured sections of runs (git, packages, python, …), in the order asked for. */
  surroundings(runs: readonly RunId[]): Promise<Surroundings[]>;
  /** How the captured source of two runs differs. */
  sourceDiff(before: RunId, after: RunId): Promise<SourceDiff>;
  /** How a data version differs between two runs, file by file. */
  dataDiff(before: RunId, after: RunId, path: string): Promise<DataDifference>;
}

export interface Surroundings {
  run: RunId;
  /** Something of its document is here; without it nothing is known, which is not the same as nothing captured. */
  here: boolean;
  /** Section → what was captured. Of several processes, the first that has the section. */
  sections: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  exitCode: number | null;
  signal: number | null;
  reason: string | null;
  traceback: string | null;
}

export interface SourceEnd {
  run: RunId;
  here: boolean;
  commit: string | null;
  message: string | null;
  branch: string | null;
  dirty: boolean | null;
  /** Captured files. */
  files: number;
  /** Captured, but the bytes are on another machine. */
  absent: readonly string[];
  /** The patch was captured and is not here, or was too large to be captured. */
  patchMissing: boolean;
}

export interface SourceChange {
  path: string;
  /** `unknown`: one side is only known as part of a commit whose content is not here. */
  kind: 'added' | 'removed' | 'changed' | 'renamed' | 'unknown';
  /** Of what was renamed, its path on the first side. */
  from: string | null;
  /** Null where it is not known, or no text. */
  before: string | null;
  after: string | null;
  /** Of pieces, the numbers of their lines. */
  numbers: { before: readonly (number | null)[]; after: readonly (number | null)[] } | null;
}

export interface SourceDiff {
  before: SourceEnd;
  after: SourceEnd;
  changes: readonly SourceChange[];
}

export interface DataFileLine {
  path: string;
  size: number;
  /** As its list names it: `sha256:…`, `md5:…`; `none:` and why where it could not be read. */
  content: string;
}

export interface DataDifference {
  /** Null when a list is not here: then only the digests say that the data differ. */
  diff: {
    added: readonly DataFileLine[];
    removed: readonly DataFileLine[];
    changed: readonly { path: string; before: DataFileLine; after: DataFileLine }[];
    moved: readonly { from: string; to: string; size: number }[];
    unknown: readonly { path: string; before: DataFileLine; after: DataFileLine }[];
    kept: number;
    keptBytes: number;
    counts: { added: number; removed: number; changed: number; moved: number; unknown: number };
  } | null;
  /** Why not, in words. */
  problem: string | null;
}
