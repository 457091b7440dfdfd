import { RunDocument } from '../documents/index.ts';
import { FieldbookError, isFieldbookError } from '../errors.ts';
import type { DeviceId, RunId, WriterId } from '../ids.ts';
import { parseRunId, parseWriterId, runDocumentName } from '../ids.ts';
import type { BatchOperation, BlobDigest, BlobStore, Clock, Log } from '../ports.ts';
import type { SegmentEntry } from '../record/index.ts';
import { decodeRecord, encodeRecord, parseDigest, segmentKey } from '../record/index.ts';
import type { Replica } from '../replica/replica.ts';
import type { Gunzip, PageCompressor } from '../series/compression.ts';
import { mergeSegments } from '../series/merge-segments.ts';
import { planMerge } from './merge-plan.ts';
import { putPrivate } from './saved.ts';

/**
 * Blobs that no entry names any more are kept so long: readers under way have their digests, and peers that know the old
 * entries may still be fetching them.
 */
export const REPLACED_GRACE = 60 * 60_000;
/** Blobs removed at one look around. */
const SWEEP_MAX = 64;

export interface CompactionContext {
  replica: Pick<Replica, 'transact' | 'read' | 'info' | 'listPrivate' | 'putPrivate'>;
  blobs: Pick<BlobStore, 'read' | 'write' | 'remove'>;
  device: DeviceId;
  clock: Clock;
  log?: Log | undefined;
  pause?: (() => Promise<void>) | undefined;
  compressor?: PageCompressor | undefined;
  gunzip?: Gunzip | undefined;
}

interface Job {
  run: RunId;
  writer: WriterId;
  ended: boolean;
}

interface Replaced {
  digest: BlobDigest;
  run: RunId;
  at: number;
}

const jobKey = (writer: WriterId): string => `${JOB_PREFIX}${writer}`;
const replacedKey = (digest: BlobDigest): string => `${REPLACED_PREFIX}${digest}`;
const JOB_PREFIX = 'ingest/m/';
/** Of the private values that name blobs which were replaced, by their digests. */
export const REPLACED_PREFIX = 'ingest/g/';

/** For the batch that seals the last points of a writer: its segments are merged even if the agent ends before that. */
export function endedMark(run: RunId, writer: WriterId): BatchOperation {
  return putPrivate(jobKey(writer), encodeRecord({ r: run }));
}

/**
 * Merges this device's small neighbouring segments into larger ones, one merge at a time behind everything else, and
 * removes the blobs that are then named nowhere, after a grace.
 *
 * The merged bytes are durable before the transaction that names them and takes the old entries away; that transaction
 * also notes the old digests as replaced. So a crash leaves the old entries or the new one, and at worst a blob that
 * nothing names. Whoever has the old segments and the new entry reads the new one when its bytes come, and
 * what the manifest says is missing until then. What counts as work is bounded: see `planMerge`.
 */
export class Compactor {
  readonly #context: CompactionContext;
  readonly #jobs = new Map<WriterId, Job>();
  /** Oldest first. */
  readonly #replaced: Replaced[] = [];
  #working: Promise<void> = Promise.resolve();
  #idle = true;
  #closed = false;
  /** Bytes of merged segments written since the start, for measuring. */
  written = 0;

  private constructor(context: CompactionContext) {
    this.#context = context;
  }

  /** Knows what was left to do. */
  static async open(context: CompactionContext): Promise<Compactor> {
    const compactor = new Compactor(context);
    for await (const [key, bytes] of context.replica.listPrivate(REPLACED_PREFIX)) {
      const note = decoded(bytes);
      if (note !== undefined) {
        const digest = parseDigest(key.slice(REPLACED_PREFIX.length));
        compactor.#replaced.push({ digest, run: note.run, at: note.at });
      }
    }
    compactor.#replaced.sort((a, b) => a.at - b.at);
    for await (const [key, bytes] of context.replica.listPrivate(JOB_PREFIX)) {
      const note = decoded(bytes);
      if (note !== undefined) {
        compactor.note(note.run, parseWriterId(key.slice(JOB_PREFIX.length)), true);
      }
    }
    return compactor;
  }

  /** A segment of the writer was sealed; `ended`: it was the last one, and `endedMark` is on disk. */
  note(run: RunId, writer: WriterId, ended: boolean): void {
    if (this.#closed) return;
    this.#jobs.set(writer, { run, writer, ended: ended || this.#jobs.get(writer)?.ended === true });
    if (!this.#idle) return;
    this.#idle = false;
    this.#working = this.#work();
  }

  /** Resolves when nothing is left to merge. */
  async settled(): Promise<void> {
    while (!this.#idle) await this.#working;
  }

  /** Removes blobs that were replaced long ago and that no entry of their run names. A few at a time; nothing when none is due. */
  async sweep(): Promise<void> {
    const { replica, blobs, clock, log } = this.#context;
    const now = clock.now();
    for (let count = 0; count < SWEEP_MAX; count++) {
      const oldest = this.#replaced[0];
      if (oldest === undefined || (now - oldest.at < REPLACED_GRACE && now >= oldest.at)) return;
      this.#replaced.shift();
      try {
        const named = await replica.read(runDocumentName(oldest.run), (doc) => {
          for (const { digest } of new RunDocument(doc).segments()) if (digest === oldest.digest) return true;
          return false;
        });
        if (!named) await blobs.remove(oldest.digest);
        await replica.putPrivate([[replacedKey(oldest.digest), null]]);
      } catch (error) {
        // Its document may be damaged, or the disk: later, and not before the others.
        this.#replaced.push({ ...oldest, at: now });
        log?.warn('blob_not_removed', { digest: oldest.digest, error: String(error) });
      }
    }
  }

  /** Stops after the merge under way; what is left is done at the next start. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#working;
  }

  async #work(): Promise<void> {
    try {
      for (;;) {
        const [job] = this.#jobs.values();
        if (job === undefined || this.#closed) return;
        this.#jobs.delete(job.writer);
        await this.#merge(job);
      }
    } finally {
      this.#idle = true;
    }
  }

  async #merge(job: Job): Promise<void> {
    const { replica, log } = this.#context;
    const { run, writer } = job;
    try {
      for (;;) {
        const { ended } = job;
        const segments = await this.#segments(job);
        const plan = planMerge(segments, ended);
        if (plan === undefined) break;
        if (this.#closed) return;
        if (!(await this.#mergeInto(job, segments.slice(plan[0], plan[1])))) break;
      }
      if (job.ended) await replica.putPrivate([[jobKey(writer), null]]);
    } catch (error) {
      // The segments are as good unmerged; they are looked at again when the next one comes.
      const known = isFieldbookError(error) ? error.code : 'internal';
      log?.warn('segments_not_merged', { run, writer, code: known, error: String(error) });
    }
  }

  async #segments({ run, writer }: Job): Promise<SegmentEntry[]> {
    const { replica, device } = this.#context;
    const name = runDocumentName(run);
    if ((await replica.info(name)) === undefined) return [];
    const segments = await replica.read(name, (doc) => [...new RunDocument(doc).segments({ writer, device })]);
    return segments.sort((a, b) => a.first - b.first);
  }

  /** False when the entries were not what they had been any more. */
  async #mergeInto({ run, writer }: Job, old: readonly SegmentEntry[]): Promise<boolean> {
    const { replica, blobs, device, clock, compressor, gunzip, pause } = this.#context;
    const inputs: Uint8Array[] = [];
    for (const { digest } of old) {
      const bytes = await blobs.read(digest);
      if (bytes === undefined) throw new FieldbookError('blob_missing', `The blob ${digest} of a segment is not here.`);
      inputs.push(bytes);
    }
    const [first, last] = [old[0]!.first, old.at(-1)!.last];
    const sealed = await mergeSegments({ run, writer, first, last }, inputs, { compressor, gunzip, pause });
    const points = old.reduce((sum, entry) => sum + entry.points, 0);
    if (sealed.points !== points) {
      throw new FieldbookError('segment_corrupt', `Segments of ${points} points would become one of ${sealed.points}.`);
    }
    const digest = await blobs.write(sealed.bytes);
    this.written += sealed.bytes.length;
    const at = clock.now();
    const gone = old.filter((entry) => entry.digest !== digest);
    let changed = true;
    await replica.transact(
      runDocumentName(run),
      (doc) => {
        const document = new RunDocument(doc);
        for (const entry of old) {
          const now = document.get(segmentKey(entry));
          if (now?.kind !== 'segment' || now.digest !== entry.digest) changed = false;
        }
        if (!changed) return;
        for (const entry of old) document.remove(segmentKey(entry));
        const { startTime, endTime } = sealed;
        const size = sealed.bytes.length;
        const cover = { writer, device, first, last };
        document.putSegment({
          kind: 'segment',
          ...cover,
          digest,
          size,
          points,
          startTime,
          endTime,
          levels: [],
          extra: {},
        });
      },
      gone.map((entry) => putPrivate(replacedKey(entry.digest), encodeRecord({ r: run, t: at }))),
    );
    for (const entry of gone) this.#replaced.push({ digest: entry.digest, run, at });
    return changed;
  }
}

function decoded(bytes: Uint8Array): { run: RunId; at: number } | undefined {
  try {
    const note = decodeRecord(bytes, 4_096);
    return note === undefined || typeof note.r !== 'string'
      ? undefined
      : { run: parseRunId(note.r), at: typeof note.t === 'number' ? note.t : 0 };
  } catch {
    return undefined;
  }
}
