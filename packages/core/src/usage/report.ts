import { RunIndex } from '../access/index.ts';
import type { ProjectId, RunId } from '../ids.ts';
import type { BlobStore, Clock, Storage, Timers } from '../ports.ts';
import { parseDigest } from '../record/index.ts';
import type { Replica } from '../replica/replica.ts';
import { BlobTable, TABLE_MAX } from './blob-table.ts';
import type { FolderUsage } from './folders.ts';
import type { BlobKind } from './names.ts';
import { BLOB_KINDS, namedByRuns } from './names.ts';
import type { Amount, StoreKind } from './store-usage.ts';
import { measureStore, STORE_KINDS } from './store-usage.ts';

/** Bytes of one run or of the runs of one project. A blob that several name counts with the first of them. */
export interface RunsUsage extends Record<BlobKind, number> {
  /** Its document and its note, as they lie in the store. */
  documents: number;
  bytes: number;
}

export interface ProjectUsage extends RunsUsage {
  /** Null for runs of which no card has come. */
  project: ProjectId | null;
  runs: number;
}

export interface RunUsage extends RunsUsage {
  run: RunId;
  project: ProjectId | null;
}

/** What takes how much of the disk, in bytes as measured. */
export interface StorageReport {
  /** ms since the epoch, and how long it took. */
  at: number;
  tookMs: number;
  disk: { free: number; total: number };
  /** Everything in the directory. */
  bytes: number;
  /** `bytes` on disk; `live`: keys and values that are read. What is in between goes when LevelDB compacts. */
  store: { files: number; bytes: number; live: number; kinds: ({ kind: StoreKind } & Amount)[] };
  blobs: Amount &
    Record<BlobKind, Amount> & {
      /** No run names them. */
      unnamed: Amount;
      /** Of the unnamed those that are written down to be removed when their time is over. */
      waiting: Amount;
      /** Named by more than one run. */
      shared: Amount;
    };
  /** Files beside store and blobs, by what they are. */
  folders: ({ name: string } & FolderUsage)[];
  projects: ProjectUsage[];
  /** The largest. */
  runs: RunUsage[];
  /** Parts of run documents that cannot be read, as they are damaged or of a newer version: they may name anything. */
  unreadable: number;
}

export interface NamedReport extends StorageReport {
  runs: (RunUsage & { name: string | null })[];
}

export interface UsageContext {
  storage: Pick<Storage, 'range'>;
  replica: Replica;
  blobs: Pick<BlobStore, 'list' | 'read'>;
  clock: Clock;
  timers: Timers;
  /** Keys of private values that end in the digest of a blob which is to go. */
  waiting: readonly string[];
  disk(): Promise<{ free: number; total: number }>;
  /** Files of the directory by what they are, `store` among them and blobs that are whole not. */
  folders(pause: () => Promise<void>): Promise<Map<string, FolderUsage>>;
  /** Blobs looked at together; `TABLE_MAX` without. */
  tableMax?: number;
}

/** Runs listed by themselves. */
const TOP = 10;
/** Nobody waits longer for who measures. */
const SLICE_MS = 10;

/** Lets others work whenever `SLICE_MS` have gone by; for walks over everything. */
export function slices(clock: Clock, timers: Timers): () => Promise<void> {
  let since = clock.now();
  return async () => {
    const passed = clock.now() - since;
    if (passed >= 0 && passed < SLICE_MS) return;
    await new Promise<void>((resolve) => timers.after(0, resolve));
    since = clock.now();
  };
}

/**
 * Measures the store, the blobs and what else lies in the directory: reads every entry of the store, every run document and the
 * directories, in slices. It holds 21 bytes a blob, of a million at a time, and some 200 a run. What changes meanwhile is counted as
 * it is met.
 */
export async function measureUsage(context: UsageContext): Promise<StorageReport> {
  const { storage, replica, blobs, clock, timers } = context;
  const at = clock.now();
  const pause = slices(clock, timers);
  const { live, kinds, runs: documents } = await measureStore(storage, pause);
  const runs = new Map<RunId, RunsUsage>();
  for (const [run, bytes] of documents) runs.set(run, { ...NOTHING, documents: bytes, bytes });
  documents.clear();
  const sums = { ...amount(), points: amount(), objects: amount(), files: amount() };
  const [unnamed, waiting, shared] = [amount(), amount(), amount()];
  let unreadable = 0;
  for (let after: string | undefined = ''; after !== undefined;) {
    const table = await BlobTable.fill(blobs, after, pause, context.tableMax ?? TABLE_MAX);
    for (const prefix of context.waiting)
      for await (const [key] of replica.listPrivate(prefix)) table.note(parseDigest(key.slice(prefix.length)));
    unreadable = 0;
    let owner = 0;
    for await (const named of namedByRuns(replica, blobs, pause)) {
      owner += 1;
      unreadable += named.unreadable;
      const usage = runs.get(named.run) ?? { ...NOTHING };
      runs.set(named.run, usage);
      for (const kind of BLOB_KINDS) {
        for (const digest of named[kind]) {
          const size = table.take(digest, owner);
          if (size === null) continue;
          usage[kind] += size;
          usage.bytes += size;
          sums[kind].count += 1;
          sums[kind].bytes += size;
        }
      }
    }
    const left = table.unnamed();
    for (const [sum, more] of [
      [sums, table],
      [unnamed, left],
      [waiting, left.noted],
      [shared, table.shared],
    ] as const) {
      sum.count += more.count;
      sum.bytes += more.bytes;
    }
    after = table.count >= (context.tableMax ?? TABLE_MAX) ? table.last : undefined;
  }
  const folders = await context.folders(pause);
  const disk = await context.disk();
  const { files, bytes } = folders.get('store') ?? { files: 0, bytes: 0 };
  folders.delete('store');
  const others = [...folders].map(([name, usage]) => ({ name, ...usage })).sort((a, b) => b.bytes - a.bytes);
  return {
    at,
    tookMs: Math.max(0, clock.now() - at),
    disk,
    bytes: bytes + sums.bytes + others.reduce((sum, each) => sum + each.bytes, 0),
    store: { files, bytes, live, kinds: STORE_KINDS.map((kind) => ({ kind, ...kinds[kind] })) },
    blobs: { ...sums, unnamed, waiting, shared },
    folders: others,
    ...(await byProject(replica, runs, pause)),
    unreadable,
  };
}

/** The report with the names of its runs. */
export async function withNames(
  report: StorageReport,
  nameOf: (project: ProjectId, run: RunId) => Promise<string | null | undefined>,
): Promise<NamedReport> {
  const runs = [];
  for (const usage of report.runs) {
    const name = usage.project === null ? null : await nameOf(usage.project, usage.run);
    runs.push({ ...usage, name: name ?? null });
  }
  return { ...report, runs };
}

async function byProject(
  replica: Replica,
  runs: ReadonlyMap<RunId, RunsUsage>,
  pause: () => Promise<void>,
): Promise<Pick<StorageReport, 'projects' | 'runs'>> {
  const index = new RunIndex(replica);
  try {
    await index.ready();
    const projects = new Map<ProjectId | null, ProjectUsage>();
    let top: RunUsage[] = [];
    for (const [run, usage] of runs) {
      // Of several projects that one where a run's bytes are counted.
      const [project = null] = index.of(run)?.projects ?? [];
      const sum = projects.get(project) ?? { project, runs: 0, ...NOTHING };
      projects.set(project, sum);
      sum.runs += 1;
      for (const key of ['documents', 'bytes', ...BLOB_KINDS] as const) sum[key] += usage[key];
      if (top.length < TOP || usage.bytes > top.at(-1)!.bytes)
        top = [...top, { run, project, ...usage }].sort((a, b) => b.bytes - a.bytes).slice(0, TOP);
      if (sum.runs % 256 === 0) await pause();
    }
    return { projects: [...projects.values()].sort((a, b) => b.bytes - a.bytes), runs: top };
  } finally {
    index.close();
  }
}

const NOTHING: RunsUsage = { documents: 0, points: 0, objects: 0, files: 0, bytes: 0 };
const amount = (): Amount => ({ count: 0, bytes: 0 });
