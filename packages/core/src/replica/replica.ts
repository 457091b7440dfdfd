import type * as Y from 'yjs';
import type { DocumentName, DeviceId } from '../ids.ts';
import type { BatchOperation } from '../ports.ts';
import type { Carried, Rebuilding, Without } from '../repair/index.ts';
import type { Aside, Expired, Expiry, LoggedCommit } from '../store/index.ts';
import type { Sender } from './admission.ts';

/**
 * All documents of one machine: the store plus the Yjs documents in memory. The agent and the relay each have one;
 * rooms, replication, ingest and the HTTP API are written against this interface and nothing below it.
 *
 * Ordering and durability, which everything else relies on:
 * - A change is visible in memory at once, but `onCommit` listeners, `encodeState` and the promises of `transact` and
 *   `apply` speak only of state that is fsynced. Whatever leaves the machine comes from those.
 * - Commits have one total order per replica: the feed sequence `seq`, starting at 1, never reused.
 * - A rejected `apply` leaves memory and disk as if it had never been called. After `disk_full` and `storage_failed` a
 *   change may turn out to be on disk all the same; it is then announced as a commit of its own.
 */
export interface Replica {
  /** Minted when the store was created; names this replica to its peers. Changes when the store proves to be a copy. */
  readonly id: string;
  readonly device: DeviceId;

  /** Documents that exist here, in name order. */
  list(prefix?: string): AsyncIterable<DocumentInfo>;
  info(name: DocumentName): Promise<DocumentInfo | undefined>;

  /** Reads a document synchronously inside `read`; it must not be kept or changed. An absent document reads as empty. */
  read<T>(name: DocumentName, read: (doc: Y.Doc) => T): Promise<T>;

  /**
   * A local change in one Yjs transaction; what admission would refuse is refused here, too. `also` goes into the same atomic batch (ingest offsets and the like; keys
   * under the `x/` prefix). Resolves after fsync; undefined when the document did not change and `also` is empty.
   */
  transact(
    name: DocumentName,
    change: (doc: Y.Doc) => void,
    also?: readonly BatchOperation[],
  ): Promise<Commit | undefined>;

  /**
   * A remote update. Rejects with `update_malformed`, `update_too_large`, `update_forbidden_content`, `record_*`,
   * `missing_dependency` or `document_quarantined`; resolves after fsync, with undefined when it held nothing new.
   * `origin` names the connection, so that its own commits are not sent back to it; its `source`, if it has one, is what
   * the log says of where the update came from. With `generation`, rejects with `generation_mismatch` when the document
   * is of another. `sender` says on whose word it is: rejects with `forbidden` for what that one may not change.
   */
  apply(
    name: DocumentName,
    update: Uint8Array,
    origin: unknown,
    generation?: number,
    sender?: Sender,
  ): Promise<Commit | undefined>;

  /**
   * Takes a whole document from elsewhere in the place of ours: one of a higher generation, one of the same when ours is
   * damaged, or any when we have none. What ours holds that whoever rebuilt it did not know is added to it, our bytes go
   * aside, and all of that is one commit. Rejects with what `apply` does, and with `generation_mismatch` when ours is
   * whole and not older.
   */
  adopt(name: DocumentName, state: WholeDocument): Promise<Adopted>;
  /**
   * Writes a document anew from its records under the next generation, without those that `without` says. What was there
   * goes aside. Also of a damaged document: then what is left of it.
   */
  rebuild(name: DocumentName, request: RebuildRequest): Promise<Rebuilt>;
  /** What is kept of a document's commits, oldest first; those of its generation without another. */
  history(name: DocumentName, generation?: number): AsyncIterable<LoggedCommit>;
  /** What was put aside of a document when it was replaced, newest first. */
  asides(name: DocumentName): Promise<Aside[]>;
  /** The bytes of one, in parts, oldest first; damaged ones are left out. */
  asideParts(aside: Aside): Promise<Uint8Array[]>;

  /** Lets go of what is kept for repair only and is too old or too much. */
  expire(expiry: Expiry): Promise<Expired>;

  /** What a peer with this state vector lacks (all of it without one), from committed state; `seq` is the document's last commit. */
  encodeState(name: DocumentName, stateVector?: Uint8Array): Promise<EncodedState>;
  /** The committed state vector. */
  stateVector(name: DocumentName): Promise<{ stateVector: Uint8Array; seq: number; generation: number }>;

  /** The last seq of the feed (0 when empty). */
  readonly lastSeq: number;
  /** Documents whose last commit lies after `seq`, oldest first, each once. */
  changedSince(seq: number, limit: number): Promise<FeedEntry[]>;
  /** Called in seq order after each fsync; a listener that throws is logged and does not stop others. Returns the way to stop. */
  onCommit(listener: (commit: Commit) => void): () => void;

  /** Documents that are damaged here now; cheap with 100,000 others. */
  damaged(): readonly DocumentName[];
  /** Called when a document turns out to be damaged, which its first reading tells. Returns the way to stop. */
  onDamage(listener: (name: DocumentName) => void): () => void;

  /**
   * A peer said how far it has this document. When it has our client id further than we do, this store was restored or
   * copied and the guard did not see it: later changes here get another client id. Resolves to whether that was so.
   */
  noteClientIdSeen(name: DocumentName, stateVector: Uint8Array): Promise<boolean>;
  /**
   * A peer holds our feed through `seq`. When that is more than we ever committed, this store was put back to an earlier
   * state: `id` and all client ids are renewed. Resolves to whether that was so; connections must then begin anew.
   */
  noteFeedSeen(seq: number): Promise<boolean>;

  /** Small private values beside the documents (cursors, settings, ingest state), under the `x/` prefix. */
  getPrivate(key: string): Promise<Uint8Array | undefined>;
  listPrivate(prefix: string): AsyncIterable<[key: string, value: Uint8Array]>;
  putPrivate(entries: readonly (readonly [key: string, value: Uint8Array | null])[]): Promise<void>;

  /** Resolves when everything changed so far is fsynced. */
  flush(): Promise<void>;
  /** Rewrites the document's log as one snapshot when that is worth it and nothing is pending. */
  compact(name: DocumentName): Promise<void>;
  close(): Promise<void>;
}

export interface DocumentInfo {
  name: DocumentName;
  /** The seq of its last commit here. */
  seq: number;
  /** Replicas of different generations never merge. */
  generation: number;
  /** Bytes stored. */
  size: number;
  quarantined: boolean;
}

/** A document as one side gave it: all of it. */
export interface WholeDocument {
  generation: number;
  /** Together the whole, each needing only those before it. */
  updates: readonly Uint8Array[];
}

export interface Adopted extends Carried {
  commit: Commit;
}

export interface RebuildRequest {
  without?: Without;
  /** `repair` or `compaction`; noted in the document. */
  reason: string;
  /** ms since the epoch. */
  time: number;
  /** Only say what would happen. */
  dryRun?: boolean;
  /** Instead of what the store has: what was put aside, or the parts of a copy. */
  source?: { parts: readonly Uint8Array[]; generation: number };
}

export interface Rebuilt extends Omit<Rebuilding, 'kept'> {
  /** Records of the new document. */
  records: number;
  /** What of the old one could not be read, in words. */
  damage: string[];
  generation: number;
  bytesAfter: number;
  /** Undefined for a dry run. */
  commit: Commit | undefined;
}

export interface FeedEntry {
  seq: number;
  name: DocumentName;
  generation: number;
}

export interface Commit extends FeedEntry {
  update: Uint8Array;
  /** What `apply` was given; `'local'` for `transact`; `'surfaced'` for a write that failed and was on disk all the same; `'rebuilt'`. */
  origin: unknown;
  /** The document was replaced, and `update` is all of it: nothing of what was known of it before holds. */
  rebuilt?: true;
  /** The document's commit before this one, 0 when it is the first; absent where that is not known. */
  previous?: number;
}

export interface EncodedState {
  update: Uint8Array;
  seq: number;
  generation: number;
}
