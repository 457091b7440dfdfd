import type { Role } from '../access/index.ts';
import type { BundleBase, BundlePlatform, BundleSigner } from '../bundle/index.ts';
import type { Author } from '../fold/index.ts';
import type { DeviceId, DocumentName, ProjectId, RunId, WorkspaceId } from '../ids.ts';
import type { Library } from '../library/index.ts';
import type { FilePresence, RequestedFiles, TravelRule } from '../files/index.ts';
import type { BlobDigest, BlobStore, Clock, Log, Random, Timers } from '../ports.ts';
import type { Replica } from '../replica/replica.ts';
import type { BlobArrival } from '../replication/blob-arrival.ts';
import type { SeriesReader } from '../series/index.ts';
import type { StorageReport } from '../usage/index.ts';
import type { Route } from './route.ts';

/** What a program hands to its API. Agent and relay differ in what they put here, not in the API. */
export interface ApiOptions {
  program: { name: 'fieldbook' | 'fieldbook-relay'; version: string };
  role: 'agent' | 'relay';
  replica: Replica;
  library: Library;
  author: Author;
  series: Pick<SeriesReader, 'read'>;
  blobs: BlobStore;
  /** How often it was found that blobs were lost; see `DeviceInfo`. */
  losses?(): number;
  /** As `blobs`, but reading asks other replicas for what is not here; `blobs` without it. */
  fetching?: BlobStore;
  /** A faster SHA-256 than the portable one. */
  sha256?(bytes: Uint8Array): Uint8Array | Promise<Uint8Array>;
  /** Shared with who else looks at files; one of its own without. */
  presence?: FilePresence;
  requested?: RequestedFiles;
  /** When files travel that said nothing about it themselves. */
  travel?: readonly TravelRule[];
  clock: Clock;
  timers: Timers;
  log: Log;
  workspace(): Promise<WorkspaceInfo>;
  sync: SyncSource;
  live: LiveSource;
  /** Where not everything is taken that others have; everything is without it. */
  follow?: FollowSource;
  /** What bundles need of the platform, and randomness for their ids; without it there are none. */
  bundles?: BundlePlatform & { random: Random; signer?: BundleSigner };
  /** Makes a gzip member; documents are sent as they are without it. */
  gzip?(bytes: Uint8Array): Promise<Uint8Array>;
  /** What becomes of the journals; a relay has none. */
  journals?(): JournalHealth;
  /** What waits in the spool; a relay has none. */
  files?(): FileHealth;
  /** Measures what takes how much of the disk. */
  storage?(): Promise<StorageReport>;
  /** Routes of one program only. */
  routes?: readonly Route[];
  /** What only an agent's owner can ask for; absent, these answer `not_supported`. */
  actions?: ApiActions;
}

export interface WorkspaceInfo {
  id: WorkspaceId;
  name: string | null;
  /** True until the machine joins others. */
  private: boolean;
}

/** One other replica that this one exchanges with, as a person should see it. */
export interface PeerState {
  /** Where it is; never with a token. */
  url: string;
  name: string | null;
  connected: boolean;
  /** ms since the epoch: connected or disconnected since then. */
  since: number | null;
  /** Why not connected, or why something was refused, in words; null when all is well. */
  problem: { code: string; message: string } | null;
  /** Our feed is durable at the peer through this seq; theirs here through that one. Null for tokens of some projects. */
  pushedThrough: number | null;
  pulledThrough: number | null;
  /** Documents with changes that the peer has not acknowledged, and those known to wait there for us. */
  pendingDocuments: number;
  /** Blobs (and their bytes) that the peer still lacks. */
  pendingBlobs: number;
  pendingBytes: number;
  /** Bytes exchanged with it since this program began, documents and blobs; null where nobody counts. */
  sentBytes: number | null;
  receivedBytes: number | null;
  /** Somebody has stopped the exchange until it is resumed. */
  paused: boolean;
  /** The most that is sent and that is fetched, bytes per second each; null for as much as there is. */
  limitBytesPerS: number | null;
  /** It dialled this replica, which has no address to dial it by: `url` is `replica:<id>`, and it is listed while it is connected. */
  incoming: boolean;
  /** How far its clock is ahead of this one's, ms, negative when it is behind; null when that is not known. */
  clockAheadMs: number | null;
}

export interface SyncState {
  /** The seq of the last commit here; null for tokens of some projects. */
  lastSeq: number | null;
  peers: readonly PeerState[];
  /** Everything here is durable at every peer, and the other way round. True without peers only in the sense that nothing waits. */
  settled: boolean;
}

export interface SyncSource {
  state(): Promise<SyncState>;
  /** Peers that have acknowledged a document's last commit, by url. */
  holders(document: DocumentName): Promise<readonly string[]>;
  /** Documents whose last commit, of seq `through` or before, no peer is known to have; at most `limit`. Absent where nobody is pushed to. */
  lacking?(through: number, limit: number): Promise<ReadonlySet<DocumentName>>;
  /** Peers that are known to have a file, by url; nobody is asked. `sent`: it is one that travels. Named by its list, or the file itself. */
  fileHolders?(digest: BlobDigest, document: DocumentName, sent: boolean): Promise<readonly string[]>;
  /**
   * Which of these blobs of a document a peer is not known to have; nobody is asked. `travels`: it is one that is sent unasked.
   * Undefined for who dialled this replica: nobody sends it blobs.
   */
  blobsLacking?(
    url: string,
    document: DocumentName,
    blobs: readonly { digest: BlobDigest; travels: boolean }[],
  ): Promise<ReadonlySet<BlobDigest> | undefined>;
  /** Which of these (at most 1,000) no peer has, by their own word; undefined when none of them answers. */
  missingBlobs?(digests: readonly BlobDigest[]): Promise<ReadonlySet<BlobDigest> | undefined>;
  /** Blobs begin to come by another way than from a peer: whoever is sent blobs is offered them. */
  blobsComing?(): BlobArrival | undefined;
  /** What a peer, named by its url or replica id, is known to have; a peer that was never met has nothing. */
  known?(peer: string): Promise<BundleBase>;
  onChange(listener: () => void): () => void;
}

/** What is taken of what others have; what is made here goes to all of them whatever this says. */
export interface FollowSettings {
  /** Projects whose books are kept here. Books with runs of this machine are, whatever this says. */
  projects: 'all' | readonly ProjectId[];
  /** What runs recorded: of all runs of those projects, or of pinned ones and those that somebody opens. Of this machine's runs always. */
  runDocuments: 'all' | 'on-demand';
}

export interface FollowState extends FollowSettings {
  /** Runs that are kept here because somebody said so, by id. */
  pinned: readonly RunId[];
  /** Documents of each peer that it told of and that are not here. */
  elsewhere: readonly { url: string; documents: number }[];
}

/** Where that is which is not here. */
export interface Elsewhere {
  message: string;
  peers: readonly { url: string; name: string | null; connected: boolean; since: number | null }[];
}

export interface FollowSource {
  state(): Promise<FollowState>;
  /** Holds from now on, over restarts. Nothing that is here goes away. */
  change(settings: FollowSettings): Promise<void>;
  pin(run: RunId, pinned: boolean): Promise<void>;
  /**
   * Brings what a run recorded here, if a peer has it that can be reached within seconds, and keeps it up to date for some
   * minutes. Null when it is here, or nobody is known to have it.
   */
  bring(run: RunId): Promise<Elsewhere | null>;
}

/** The newest values of running runs, before any card says them. Nobody stores these. */
export interface LiveValues {
  run: RunId;
  /** ms since the epoch. */
  at: number;
  metrics: Readonly<Record<string, { step: number; value: number }>>;
}

export interface LiveSource {
  onLive(listener: (values: LiveValues) => void): () => void;
}

export interface ApiActions {
  /** Connects to a relay. Throws `unauthorized`, `peer_unreachable`, `workspace_mismatch`, `invalid_argument`. */
  join(request: { url: string; token: string | null; bytesPerS?: number | null }): Promise<PeerState>;
  /** Makes a workspace this machine's. Throws `workspace_mismatch` when it shares another one already. */
  adopt(id: WorkspaceId, name: string | null): Promise<void>;
  /** Forgets a relay; false when it was not joined. Records stay. */
  leave(request: { url: string | null }): Promise<boolean>;
  /** Stops or resumes the exchange with a relay, also over restarts. Throws `not_found`. */
  pause(request: { url: string; paused: boolean }): Promise<PeerState>;
  /** Sets how much may be sent to a relay and fetched from it, bytes per second each, also over restarts. Throws `not_found`, `invalid_argument`. */
  limit(request: { url: string; bytesPerS: number | null }): Promise<PeerState>;
  /** Tries all relays again now. */
  retry(): Promise<void>;
  /** Loads the recorded example runs. */
  demo(): Promise<{ project: string; runs: number }>;
  /** Resolves when everything in the journals is taken in and durable. */
  drain(): Promise<void>;
  /** Removes local bytes of files that enough other replicas prove to hold. Throws `peer_unreachable`. */
  evict(request: EvictRequest): Promise<Evicted>;
  /** Reads and hashes blobs from behind a digest on, for a while. */
  checkBlobs(after: string): Promise<BlobCheck>;
  /** What ought to be here and is not. */
  findIncomplete(): Promise<readonly Incomplete[]>;
  /** Sets damaged blobs aside and fetches them, and those that are missing, from other replicas. */
  repairBlobs(digests: readonly BlobDigest[]): Promise<BlobRepair>;
}

export interface EvictRequest {
  /** Only what is older, in ms; null for everything. */
  olderThanMs: number | null;
  /** So much of the newest stays; null for none of it. */
  keepBytes: number | null;
  /** How many other replicas must prove that they hold a file. */
  replicas: number;
  /** Points too. */
  points: boolean;
  /** Everything but the removal. */
  dryRun: boolean;
}

export interface Evicted {
  dryRun: boolean;
  evicted: { run: string; path: string; size: number }[];
  /** Freed, which is less than the sizes when files share chunks. */
  bytes: number;
  /** What stays although it was asked for. */
  kept: { run: string; path: string; size: number; reason: string }[];
  /** Who was asked. */
  replicas: string[];
}

export interface BlobCheck {
  checked: number;
  bytes: number;
  corrupt: readonly BlobDigest[];
  /** Where to go on; null at the end. */
  next: BlobDigest | null;
}

export interface Incomplete {
  run: string;
  /** `(points)` for segments. */
  path: string;
  missing: readonly BlobDigest[];
}

export interface BlobRepair {
  repaired: readonly BlobDigest[];
  /** No reachable replica has them. */
  failed: readonly BlobDigest[];
  /** Damaged blobs that were moved to `blobs/corrupt`. */
  setAside: number;
  /** Strays of crashes that were removed. */
  swept: number;
}

export interface DeviceInfo {
  device: DeviceId;
  replica: string;
  role: 'agent' | 'relay';
  by: string;
  program: string;
  version: string;
  api: string;
  /** What whoever asks may do here. */
  access: 'owner' | Role;
  /** How often it has found that it lost blobs which it had; absent where nobody counts. */
  losses?: number;
}

export interface JournalHealth {
  /** Writers with journals here, and those that have not ended. */
  writers: number;
  running: number;
  /** Journals and directories that cannot be read or taken in. */
  problems: readonly { path: string; code: string; message: string }[];
}

export interface FileHealth {
  /** Files that wait to be stored, and their bytes as far as they are known. */
  pending: number;
  pendingBytes: number;
  /** Why files are not stored now; null when nothing hinders. */
  problem: { code: string; message: string } | null;
  /** Files that could not be stored, with the reason of each. */
  failures: readonly { run: RunId; path: string; code: string; message: string }[];
}
