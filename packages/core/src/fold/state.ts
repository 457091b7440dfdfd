import type { Hlc } from '../hlc.ts';
import type { AttributePath, DeviceId, EditId, ProjectId, RunId, WriterId } from '../ids.ts';
import type { AttributeValue, BaseId, MetricSummary, RegisterName, RunStatus } from '../record/index.ts';

/**
 * What a person sees of a run: the pure fold of its cards and edits. Two replicas that hold the same records hold
 * equal states; `foldDigest` compares them by bytes.
 */
export interface RunState {
  id: RunId;
  project: ProjectId;
  /** The name in force: the last rename, else what the script said, else the run id. */
  name: string;
  /** True when nobody ever named it, so `name` is the id. */
  unnamed: boolean;
  group: string | null;
  notes: string;
  /** Sorted by code units. */
  tags: readonly string[];
  star: boolean;
  archived: boolean;
  trashed: boolean;
  /** Purged runs keep an empty state so that late data stays hidden. */
  purged: boolean;
  /** Of the writer that is still running, else of the one that ended last. */
  status: RunStatus;
  /** ms since the epoch. */
  created: number;
  updated: number;
  ended: number | null;
  user: string | null;
  host: string | null;
  /** What the scripts said, under what people edited. */
  attributes: ReadonlyMap<AttributePath, AttributeValue>;
  /** Attributes that show what a person said, and not what the scripts did. */
  edited: ReadonlyMap<AttributePath, EditedAttribute>;
  metrics: ReadonlyMap<AttributePath, MetricSummary>;
  writers: readonly WriterState[];
  /** Registers whose concurrent edits disagree. */
  conflicts: readonly Conflict[];
  /** Ids that the next edit of each register must name as seen. */
  heads: Readonly<Partial<Record<RegisterName, readonly BaseId[]>>>;
  /** For each tag in force, the adds that a remove must name. */
  tagAdds: ReadonlyMap<string, readonly BaseId[]>;
  /** False while only edits of it have arrived, no card. */
  known: boolean;
}

export interface WriterState {
  writer: WriterId;
  /** The ingesting device whose card holds. */
  device: DeviceId;
  status: RunStatus;
  created: number;
  updated: number;
  ended: number | null;
  host: string | null;
  user: string | null;
  ordinal: number;
  /** `system`: a companion, whose end says nothing of the run; null else. */
  role: string | null;
}

/** Two or more values set without knowledge of each other. The first side is the one in force. */
export interface Conflict {
  field: RegisterName;
  sides: readonly ConflictSide[];
}

export interface ConflictSide {
  edit: EditId;
  /** `set`; of an attribute also `remove` and `clear`. */
  op: string;
  value: AttributeValue;
  by: string;
  device: DeviceId;
  at: Hlc;
}

/** The edit of an attribute that is in force. */
export interface EditedAttribute {
  edit: EditId;
  op: 'set' | 'remove';
  by: string;
  device: DeviceId;
  at: Hlc;
  /** What the scripts said there; undefined when nothing. */
  scripted: AttributeValue | undefined;
}
