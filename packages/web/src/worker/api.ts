import type { DeviceId, DocumentName, EditId, ProjectId, RunId } from '@fieldbook/core';
import type { Change, RunState } from '@fieldbook/core/fold';
import type { AttributeValue, Edit, MetricSummary, RegisterName, RunStatus, Value } from '@fieldbook/core/record';
import type { BulkApi } from './bulk-api.ts';
import type { BundleApi } from './bundle-api.ts';
import type { CompareApi } from './compare-api.ts';
import type { FilesApi } from './files-api.ts';
import type { GroupsApi } from './groups-api.ts';
import type { NotesApi } from './notes-api.ts';
import type { PastApi } from './past-api.ts';
import type { PlotsApi } from './plots-api.ts';
import type { ChartsApi, OddMarks } from './charts/api.ts';
import type { RunApi } from './run-api.ts';
import type { Connection } from './shelf.ts';
import type { StorageApi } from './storage-api.ts';
import type { AloneCount, AloneSummary, SyncApi } from './sync-api.ts';
import type { ViewsApi } from './views-api.ts';

/** What the page and its worker say to each other. The worker has the documents; the page asks for what is visible. */
export interface FieldbookWorker
  extends
    CompareApi,
    ChartsApi,
    PlotsApi,
    FilesApi,
    RunApi,
    BundleApi,
    GroupsApi,
    ViewsApi,
    BulkApi,
    NotesApi,
    PastApi,
    SyncApi,
    StorageApi {
  /** Once per page. `token` comes from the address bar, once. */
  start(options: StartOptions, listener: (event: WorkerEvent) => void): Promise<Session>;
  projects(): Promise<ProjectLine[]>;
  /** Starts following a project; resolves when its first books are folded. */
  openProject(id: ProjectId): Promise<void>;
  columns(id: ProjectId): Promise<ColumnInfo[]>;
  window(id: ProjectId, request: WindowRequest): Promise<Window>;
  /** Ids of a view's runs in its order, between two places; what shift-click, select all and compare need. */
  idsOf(id: ProjectId, view: View, first: number, count: number): Promise<RunId[]>;
  /** Full ids for the short ones of an address, in the same order, unknown ones left out. */
  resolveIds(id: ProjectId, short: readonly string[]): Promise<RunId[]>;
  /** Rows of chosen runs, in the order given. */
  rows(id: ProjectId, runs: readonly RunId[], columns: readonly string[]): Promise<Row[]>;
  readQuery(id: ProjectId, text: string): Promise<QueryReading>;
  /** A query that also asks for a term. */
  refine(id: ProjectId, text: string, term: string): Promise<string>;
  /** A term about a cell; null where it would say nothing. */
  term(id: ProjectId, column: string, value: Cell, kind: TermKind): Promise<string | null>;
  complete(id: ProjectId, text: string, cursor: number): Promise<Completion[]>;
  /** All tags of a project, most used first. */
  tags(id: ProjectId): Promise<string[]>;

  run(id: RunId): Promise<RunDetail | undefined>;
  /** Full states, for the side-by-side page. */
  states(project: ProjectId, runs: readonly RunId[]): Promise<RunState[]>;

  edit(project: ProjectId, runs: readonly RunId[], changes: readonly Change[]): Promise<EditReceipt>;
  undo(receipt: EditReceipt): Promise<EditReceipt>;

  series(request: SeriesQuery): Promise<SeriesAnswer>;

  devices(): Promise<DeviceLine[]>;
  loadExamples(): Promise<void>;
  setPerson(name: string): Promise<void>;
  /** A token, or an invitation to one; null forgets it and signs out. */
  setToken(token: string | null): Promise<void>;
  /** Where people sign in besides, as the relay says. */
  signInWay(): Promise<SignInWay | null>;
  retry(): Promise<void>;
  /** A request of the server's API, by whoever this browser is: for what no document has and nobody keeps. Throws the server's error. */
  ask(path: string, init: { method: string; body?: unknown }): Promise<unknown>;
  persist(): Promise<boolean>;
}

export interface SignInWay {
  /** What people call the provider. */
  label: string;
  /** A path of the relay, which takes the page to return to as `?to=`. */
  start: string;
}

export interface StartOptions {
  origin: string;
  token: string | null;
  /** What this browser is called. */
  browser: string;
}

export type WorkerEvent =
  | { kind: 'session'; session: Session }
  | { kind: 'projects' }
  /** Somebody saved, renamed or removed a view, here or elsewhere. */
  | { kind: 'views' }
  /** A document was rebuilt: everything that is open is of before, and the page begins anew. */
  | { kind: 'rebuilt' }
  | { kind: 'project'; id: ProjectId; runs: readonly RunId[] }
  | { kind: 'live'; id: ProjectId; runs: readonly RunId[] };

export interface Session {
  connection: Connection;
  /** Null until the server has said what it is, and offline from the first start. */
  server: ServerInfo | null;
  device: { id: DeviceId; name: string };
  /** Who writes: null until somebody said so. */
  person: string | null;
  /** A good guess for `person`: the user of the agent's machine. */
  suggestedPerson: string | null;
  hasToken: boolean;
  /** Who signed in at a provider, also when that is over; null for a token, and after signing out. */
  signedInAs: string | null;
  /** Why the invitation of the address did not let this browser in; null when there was none, or it did. */
  entryProblem: string | null;
  /** Why the server did not take an edit, in its words; null while it takes them. */
  refusal: string | null;
  /** Edits made in this browser that no server has acknowledged. */
  unsaved: number;
  /** Books listed and books folded. */
  books: { listed: number; loaded: number };
  /** `problem`: what is not kept; `notice`: what was lost and is kept again. */
  storage: {
    problem: string | null;
    notice: string | null;
    persisted: boolean | null;
    usage: number | null;
    quota: number | null;
  };
  /** What a bundle brought into this browser and no server has yet. */
  carried: { documents: number; blobs: number; problem: string | null };
  /** What is on the agent's machine and on no relay; null where there is no relay to have it, or nobody can say. */
  alone: AloneSummary | null;
}

export interface ServerInfo {
  kind: 'agent' | 'relay';
  name: string;
  version: string;
  workspace: string | null;
  /** Absent when an older page asked. */
  workspaceId?: string;
  device?: DeviceId;
  /** The server takes edits of this browser; absent when it has not said. */
  mayWrite?: boolean;
  /** It lets people in and out for this browser; absent when it has not said. */
  mayAdmit?: boolean;
}

export interface ProjectLine {
  id: ProjectId;
  title: string;
  runs: number;
  running: number;
  archived: number;
  trashed: number;
  /** Runs with a conflict. */
  conflicts: number;
  /** ms since the epoch; 0 with nothing in it. */
  updated: number;
  /** Edits in it that no server has acknowledged. */
  unsaved: number;
  /** What of it is on the agent's machine and on no relay. */
  alone: AloneCount;
  loading: boolean;
}

/** Which runs a table shows besides its query. */
export type Drawer = 'runs' | 'archive' | 'trash';

export interface SortKey {
  column: string;
  descending: boolean;
}

export interface View {
  drawer: Drawer;
  query: string;
  sort: readonly SortKey[];
}

export interface WindowRequest extends View {
  columns: readonly string[];
  first: number;
  count: number;
  /** Ids of runs whose places the page wants to know: it keeps its own place by them. */
  places?: readonly string[];
}

export interface Window {
  /** Rows that match, and rows in the drawer. */
  total: number;
  all: number;
  first: number;
  rows: Row[];
  /** Of the runs asked about, in the same order; null for one that is not in the view. */
  places?: (number | null)[];
  /** The query could not be read; `rows` are those of the last one that could. */
  error: QueryProblem | null;
  loading: boolean;
}

export type Cell = AttributeValue | undefined;

/** One visible row: what every row shows, and the cells asked for. */
export interface Row {
  id: RunId;
  name: string;
  unnamed: boolean;
  status: RunStatus;
  created: number;
  ended: number | null;
  star: boolean;
  archived: boolean;
  trashed: boolean;
  notes: string;
  tags: readonly string[];
  conflicts: readonly RegisterName[];
  /** The only place that has it, or the newest of it: an edit in this browser, anything on the agent's machine. */
  unsaved: 'browser' | 'machine' | false;
  cells: Cell[];
}

export interface ColumnInfo {
  /** A field (`created`), an attribute (`a:params/lr`) or a metric's aggregate (`m:val/acc.max`). */
  id: string;
  source: 'field' | 'attribute' | 'metric';
  path: string;
  aggregate: Aggregate | null;
  numeric: boolean;
  /** How many runs have it. */
  filled: number;
  /** False when all runs that have it say the same. */
  varies: boolean;
}

export type Aggregate = 'last' | 'min' | 'max' | 'count' | 'step' | 'minStep' | 'maxStep' | 'best' | 'bestStep';

export interface QueryProblem {
  message: string;
  position: number;
  length: number;
  expected: readonly string[];
}

export interface QueryToken {
  start: number;
  end: number;
  kind: string;
}

export interface QueryReading {
  error: QueryProblem | null;
  tokens: QueryToken[];
  /** Terms joined by `and` at the top, as places in the text. */
  chips: Chip[];
}

/** A term of a query, as a place in its text. */
export interface Chip {
  start: number;
  end: number;
  text: string;
  /** Its parts as they were typed; null for a word or anything nested. */
  test: ChipTest | null;
}

export interface ChipTest {
  path: string;
  op: string;
  /** Null where the operator takes none. */
  value: string | null;
}

/** What a term says of a cell's value. */
export type TermKind = 'only' | 'not' | 'above' | 'below' | 'exists';

export interface Completion {
  text: string;
  kind: string;
  detail: string;
  /** The part of the text that it replaces. */
  start: number;
  end: number;
}

export interface RunDetail {
  state: RunState;
  /** Oldest first. */
  history: Edit[];
  unsaved: readonly EditId[];
  /** What writers said at length: all attributes, environment, tracebacks. */
  writers: WriterDetail[];
  /** Points of the run that are recorded. */
  points: number | null;
  /** Of its sealed points. */
  bytes: number;
  /** What was captured of which writer; the page asks for the content of those that it shows. `version` changes with it. */
  captures: readonly { writer: string; section: string; version: string }[];
  /** Metrics of the machine, under `sys/`. */
  system: ReadonlyMap<string, MetricSummary>;
  /** Lines of its console, about. */
  consoleLines: number;
  /** How many files it has now, and how many series of images, texts and the like. */
  files: number;
  media: number;
  documents: readonly DocumentName[];
}

export interface WriterDetail {
  writer: string;
  attributes: Record<string, Value>;
  environment: Record<string, Value>;
  exitCode: number | null;
  /** What ended it, or announced its end. */
  signal: number | null;
  /** What announced the end of a preempted writer. */
  reason: string | null;
  traceback: string | null;
  dropped: number;
  damage: string | null;
}

/** What `undo` takes back. */
export interface EditReceipt {
  project: ProjectId;
  edits: { run: RunId; id: EditId }[];
  /** Of an undo that made no edit: nobody has overruled it, only everything says already what it would say. */
  same?: boolean;
}

export interface SeriesQuery {
  run: RunId;
  metric: string;
  x: 'step' | 'time';
  from: number | null;
  to: number | null;
  /** The run's `updated`: a cached answer of an older state is shown first and asked for again. */
  updated: number;
  /** Points of the whole series by the run's card; 0 when nobody says. An answer with fewer is not kept as the last word. */
  count?: number;
  /** Up to so many points come as they are; 2,000 unless said otherwise. */
  points?: number;
}

/** A polyline of one series. With buckets, each contributes its first, least, greatest and last point, so no spike is lost. */
export interface SeriesAnswer {
  x: Float64Array;
  y: Float64Array;
  /** Points in the range. */
  total: number;
  /** 0 when every point is drawn. */
  buckets: number;
  /** Envelope per bucket, with mean and number of its finite values; null when every point is drawn. */
  band: { x: Float64Array; low: Float64Array; high: Float64Array; mean: Float64Array; count: Float64Array } | null;
  nonFinite: number;
  odd: OddMarks;
  /** `fresh` from the server just now, `kept` from this browser, `absent` nowhere. */
  origin: 'fresh' | 'kept' | 'absent';
  /** In words, when something of it is missing. */
  note: string | null;
}

export interface DeviceLine {
  id: DeviceId;
  name: string;
  role: string;
  created: number;
  /** It is this browser. */
  here: boolean;
}
