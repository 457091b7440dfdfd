import type { DeviceId, ProjectId, RunId } from '../ids.ts';
import type { BlobStore, Clock } from '../ports.ts';
import type { Replica } from '../replica/replica.ts';
import type { PageCompressor } from '../series/compression.ts';
import type { Compactor } from './compaction.ts';
import type { Spool } from './spool.ts';

/** What the intakes of all writers of a replica share. */
export interface IntakeContext {
  replica: Pick<Replica, 'transact' | 'read' | 'getPrivate' | 'putPrivate'>;
  blobs: Pick<BlobStore, 'write'>;
  device: DeviceId;
  clock: Clock;
  /** True when people have purged the run. */
  isPurged(run: RunId, project: ProjectId): Promise<boolean>;
  /** Awaited between pieces of long computations. */
  pause?: (() => Promise<void>) | undefined;
  /** Makes segments a third smaller where the platform has it. */
  compressor?: PageCompressor | undefined;
  /** Told of each segment: it merges small ones. */
  compactor?: Pick<Compactor, 'note'> | undefined;
  /** Stores the files that journals name; without it their entries stay pending. */
  spool?: Spool | undefined;
  /** Books that the workspace is known to list; shared by all intakes of a replica. */
  listed: Set<string>;
}
