/** What the API answers, as far as commands read it; `/api/v1/openapi.json` says the rest. */

export type Float = number | 'NaN' | 'Infinity' | '-Infinity';

export interface MetricShape {
  count: number;
  last: Float;
  lastStep: Float;
  min: Float;
  minStep: Float;
  max: Float;
  maxStep: Float;
  nonFinite: number;
}

export interface RunShape {
  id: string;
  project: string;
  name: string;
  unnamed: boolean;
  group: string | null;
  notes: string;
  tags: string[];
  star: boolean;
  archived: boolean;
  trashed: boolean;
  status: string;
  created: number;
  updated: number;
  ended: number | null;
  user: string | null;
  host: string | null;
  attributes: Record<string, unknown>;
  metrics: Record<string, MetricShape>;
  conflicts: unknown[];
  /** Only when columns were asked for. */
  values?: Record<string, unknown>;
}

export interface ConflictShape {
  field: string;
  sides: { edit: string; op: string; value: unknown; by: string; device: string; at: number }[];
}

export interface EditedAttributeShape {
  edit: string;
  op: 'set' | 'remove';
  by: string;
  device: string;
  at: number;
  /** Absent when the scripts say nothing there. */
  scripted?: unknown;
}

export interface RunDetailShape extends RunShape {
  conflicts: ConflictShape[];
  /** Attributes that show what a person said, by path. */
  edited: Record<string, EditedAttributeShape>;
  writers: {
    writer: string;
    device: string;
    status: string;
    created: number;
    ended: number | null;
    host: string | null;
    user: string | null;
    /** `system` for a companion that captures for another writer. */
    role: string | null;
    environment: Record<string, unknown>;
    exitCode: number | null;
    signal: number | null;
    reason: string | null;
    traceback: string | null;
    dropped: number;
    damage: string | null;
  }[];
  segments: { count: number; bytes: number };
  files: { count: number; bytes: number };
  objects: { segments: number; bytes: number; tails: number };
  /** What was captured of each writer, by section. */
  captures: { writer: string; device: string; section: string; data: Record<string, unknown> }[];
  holders: string[];
  /** Where what it recorded is, when that is not here and cannot be had now. */
  elsewhere: ElsewhereShape | null;
}

export interface EditShape {
  id: string;
  field: string;
  op: string;
  path: string | null;
  value: unknown;
  by: string;
  device: string;
  at: number;
}

/** One series whose values are not numbers. */
export interface ObjectPathShape {
  path: string;
  kinds: Record<string, number>;
  rows: number;
  firstStep: Float;
  lastStep: Float;
}

export interface ObjectRowShape {
  writer: string;
  ordinal: number;
  part: number;
  time: number;
  text: string | null;
  /** A line that is still being written. */
  open: boolean;
  /** Not what was printed, but a notice of what was left out. */
  gap: boolean;
}

export interface ObjectRowsShape {
  rows: ObjectRowShape[];
  next: string | null;
  missing: { rows: number }[];
  corrupt: unknown[];
}

export interface PageShape {
  total: number;
  runs: RunShape[];
  groups: object[] | null;
  unknown: string[];
  next: string | null;
}

export interface ProjectShape {
  id: string;
  title: string;
  runs: number;
  running: number;
  trashed: number;
  updated: number;
}

export interface PeerShape {
  url: string;
  name: string | null;
  connected: boolean;
  since: number | null;
  problem: { code: string; message: string } | null;
  pendingDocuments: number;
  pendingBlobs: number;
  pendingBytes: number;
  limitBytesPerS: number | null;
  incoming: boolean;
  clockAheadMs: number | null;
}

/** `GET /runs/{run}/places`. */
export interface RunPlacesShape {
  run: string;
  peers: {
    url: string;
    name: string | null;
    connected: boolean;
    documents: { total: number; toGo: number };
    points: BlobPlacesShape | null;
    files: BlobPlacesShape | null;
    complete: boolean;
  }[];
}

export interface BlobPlacesShape {
  total: number;
  toGo: number;
  bytesToGo: number;
  elsewhere: number;
  stay: number;
}

export interface SyncShape {
  lastSeq: number;
  peers: PeerShape[];
  settled: boolean;
}

export interface EditedShape {
  run: RunShape;
  edits: (object | null)[];
}

export interface FileShape {
  version: string;
  path: string;
  name: string;
  kind: string;
  size: number | null;
  digest: string | null;
  mime: string | null;
  meta: Record<string, unknown> | null;
  at: number;
  writer: string;
  device: string;
  current: boolean;
  state: 'here' | 'elsewhere' | 'pending' | 'named' | 'removed';
  travel: 'now' | 'request' | 'never';
  requested: boolean;
  source: string | null;
  failure: string | null;
  holders: string[];
}

export interface EvictedShape {
  dryRun: boolean;
  evicted: { run: string; path: string; size: number }[];
  bytes: number;
  kept: { run: string; path: string; size: number; reason: string }[];
  replicas: string[];
}

export interface FileHealthShape {
  pending: number;
  pendingBytes: number;
  problem: { code: string; message: string } | null;
  failures: { run: string; path: string; code: string; message: string }[];
}

export interface BundleContentsShape {
  program: string;
  created: number;
  by: string;
  device: string;
  deviceName: string | null;
  workspace: { id: string; name: string | null };
  scope: { kind: 'workspace' | 'project' | 'runs'; project?: string; query?: string | null };
  projects: { id: string; title: string; runs: number }[];
  runCount: number;
  runs: { id: string; project: string; name: string; status: string; created: number }[];
  documents: number;
  blobs: number;
  documentBytes: number;
  blobBytes: number;
  beyond: { kind: 'peer' | 'bundle'; id: string } | null;
  absentBlobs: number;
  keptBack: number;
  damaged: number;
  withoutFiles: boolean;
}

export interface BundleImportShape {
  manifest: BundleContentsShape | null;
  bytes: number;
  documents: number;
  changed: number;
  purged: number;
  refused: { name: string; code: string; message: string }[];
  added: number;
  known: number;
  blobs: number;
  blobBytes: number;
  present: number;
  unwanted: number;
  noRoom: number;
  signer: { device: string; name: string | null; known: boolean } | null;
}

export interface ElsewhereShape {
  message: string;
  peers: { url: string; name: string | null; connected: boolean; since: number | null }[];
}

export interface FollowShape {
  projects: 'all' | string[];
  runDocuments: 'all' | 'on-demand';
  pinned: string[];
  elsewhere: { url: string; documents: number }[];
}
