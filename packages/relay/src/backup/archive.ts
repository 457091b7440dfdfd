import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import type { DocumentName, Log } from '@fieldbook/core';
import { FieldbookError } from '@fieldbook/core';
import type { Commit, Replica } from '@fieldbook/core/replica';
import type { ArchivedCommit } from '@fieldbook/core/store';
import { FrameWriter, readFrames } from './frames.ts';

/** A segment ends when it is this large, or when a backup wants it. */
const SEGMENT_BYTES = 32 * 1024 * 1024;
/** What is committed is in the archive this soon; what a crash takes of it is caught up on from the store. */
const SYNC_MS = 1_000;
const FEED_PAGE = 1_000;
const NAME = /^(\d{10})-(\d{16})\.fba$/;

/** A commit with the time at which the relay had it on disk, ms since the epoch. */
export interface TimedCommit extends ArchivedCommit {
  time: number;
}

/** A file of the archive. */
export interface Segment {
  path: string;
  file: string;
  /** Consecutive; a gap is a file that is missing. */
  index: number;
  /** The last commit before it. */
  after: number;
}

interface SegmentHead {
  format: 1;
  index: number;
  after: number;
  /** Names the archive: those of two stores have the same numbers. */
  archive: string;
  replica: string;
  created: number;
}

/** The segments of a directory, oldest first. Throws `storage_failed` when one is missing between others. */
export async function listSegments(directory: string): Promise<Segment[]> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [] as string[];
    throw error;
  });
  const segments: Segment[] = [];
  for (const file of names.sort()) {
    const match = NAME.exec(file);
    if (match === null) continue;
    const [index, after] = [Number(match[1]), Number(match[2])];
    const before = segments.at(-1);
    if (before !== undefined && index !== before.index + 1)
      throw new FieldbookError('storage_failed', `The archive in ${directory} lacks segment ${before.index + 1}.`);
    segments.push({ path: join(directory, file), file, index, after });
  }
  return segments;
}

/** The id of the archive that segments are of; undefined without any that can be read. */
export async function archiveIdOf(segments: readonly Segment[]): Promise<string | undefined> {
  for (const { path } of segments) {
    for await (const payload of readFrames(path, { torn: true })) {
      const { archive } = JSON.parse(new TextDecoder().decode(payload)) as SegmentHead;
      if (/^[0-9a-f]{16}$/.test(archive)) return archive;
      break;
    }
  }
  return undefined;
}

/**
 * The commits of segments, in order. What a crash cut off at the end of one the next has again; where it has not, something
 * is lost, and this throws `storage_failed`. Only the end of the last may be missing without a sign.
 */
export async function* readCommits(segments: readonly Segment[]): AsyncGenerator<TimedCommit> {
  let last: number | undefined;
  for (const { path, index, after } of segments) {
    if (last !== undefined && after > last)
      throw new FieldbookError(
        'storage_failed',
        `${path} follows commit ${after}, and the archive before it ends at ${last}.`,
      );
    last ??= after;
    let first = true;
    for await (const payload of readFrames(path, { torn: true })) {
      if (first) {
        const head = JSON.parse(new TextDecoder().decode(payload)) as SegmentHead;
        if (head.format !== 1 || head.index !== index)
          throw new FieldbookError('storage_failed', `${path} is no segment ${index} that this program can read.`);
        first = false;
        continue;
      }
      const commit = decodeCommit(payload);
      last = Math.max(last, commit.seq);
      yield commit;
    }
  }
}

/**
 * Every commit of a replica, appended to files beside the store with the time, so that the store of any moment can be made
 * from a backup before it. It is behind the store by a second at most, and catches up at the next start on what a crash took.
 */
export class Archive {
  readonly #directory: string;
  readonly #replica: Replica;
  readonly #log: Log;
  readonly #keepMs: number;
  readonly #stop: () => void;
  #writer: FrameWriter | undefined;
  #id = '';
  #index = 0;
  /** The last commit that is on disk here. */
  #durable = 0;
  #queue: { seq: number; payload: Uint8Array }[] = [];
  #working: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  /** No segment is open: the next work begins one, with what the archive lacks. */
  #failed = true;
  #complained = false;
  #sealed: { path: string; ended: number }[] = [];

  private constructor(options: ArchiveOptions) {
    this.#directory = options.directory;
    this.#replica = options.replica;
    this.#log = options.log;
    this.#keepMs = options.keepMs;
    this.#stop = options.replica.onCommit((commit) => this.#committed(commit));
  }

  /**
   * Begins a new segment, with what the store has and the archive does not. An archive that cannot be read is put aside, and a
   * disk that takes nothing is tried again: neither keeps a relay from running.
   */
  static async open(options: ArchiveOptions): Promise<Archive> {
    const { directory, replica, log } = options;
    await mkdir(directory, { recursive: true, mode: 0o700 }).catch(() => undefined);
    const archive = new Archive(options);
    try {
      await archive.#look(await listSegments(directory));
    } catch (error) {
      const aside = `${directory}.unreadable-${Date.now()}`;
      log.error('archive.unreadable', { error: String(error), aside });
      await rename(directory, aside);
      await mkdir(directory, { mode: 0o700 });
      archive.#durable = replica.lastSeq;
    }
    archive.#id ||= randomBytes(8).toString('hex');
    await archive.#work(async () => {});
    return archive;
  }

  async #look(segments: readonly Segment[]): Promise<void> {
    this.#id = (await archiveIdOf(segments)) ?? '';
    this.#index = segments.at(-1)?.index ?? 0;
    // Without segments everything of before is in no archive; a backup has it.
    this.#durable = segments[0]?.after ?? this.#replica.lastSeq;
    for (const segment of segments) {
      // One without commits is as old as what follows it.
      let ended = Number.POSITIVE_INFINITY;
      for await (const { seq, time } of readCommits([segment])) {
        this.#durable = Math.max(this.#durable, seq);
        ended = time;
      }
      this.#sealed.push({ path: segment.path, ended });
    }
  }

  /** Seals the segment that is being written, so that whole files can be copied. */
  async rotate(): Promise<void> {
    await this.#work(() => this.#rotate());
  }

  async close(): Promise<void> {
    this.#stop();
    clearTimeout(this.#timer);
    await this.#work(async () => {
      await this.#drain();
      await this.#writer?.close();
      this.#writer = undefined;
    });
  }

  #committed(commit: Commit): void {
    // A document that was replaced is announced with all of it.
    const whole = (commit as Commit & { rebuilt?: boolean }).rebuilt === true;
    this.#queue.push({ seq: commit.seq, payload: encodeCommit({ ...commit, whole, time: Date.now() }) });
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#work(async () => {
        await this.#drain();
        if ((this.#writer?.bytes ?? 0) > SEGMENT_BYTES) await this.#rotate();
      });
    }, SYNC_MS);
  }

  /** One after the other. A disk that refuses makes the archive late and nobody else anything: what it lacks is in the store. */
  #work(work: () => Promise<void>): Promise<void> {
    const run = async (): Promise<void> => {
      if (this.#failed) {
        await this.#writer?.close().catch(() => undefined);
        this.#queue = [];
        await this.#begin();
        await this.#catchUp();
        this.#failed = false;
        if (this.#complained) this.#log.warn('archive.goes_on', {});
        this.#complained = false;
      }
      await work();
    };
    this.#working = this.#working.then(run).catch((error: unknown) => {
      if (!this.#complained) this.#log.error('archive.unwritable', { error: String(error) });
      this.#failed = this.#complained = true;
    });
    return this.#working;
  }

  async #drain(): Promise<void> {
    const queue = this.#queue.splice(0);
    for (const { payload } of queue) await this.#writer!.append(payload);
    await this.#writer!.sync();
    this.#durable = Math.max(this.#durable, queue.at(-1)?.seq ?? 0);
  }

  async #rotate(): Promise<void> {
    await this.#drain();
    const { path } = this.#writer!;
    await this.#writer!.close();
    this.#sealed.push({ path, ended: Date.now() });
    await this.#begin();
    // Oldest first and no further than the first that stays: an archive has no holes.
    while ((this.#sealed[0]?.ended ?? Number.POSITIVE_INFINITY) < Date.now() - this.#keepMs) {
      const { path: old } = this.#sealed.shift()!;
      await unlink(old);
      this.#log.info('archive.segment_removed', { path: old });
    }
  }

  async #begin(): Promise<void> {
    this.#index += 1;
    const after = this.#durable;
    const file = `${String(this.#index).padStart(10, '0')}-${String(after).padStart(16, '0')}.fba`;
    this.#writer = await FrameWriter.create(join(this.#directory, file));
    const head: SegmentHead = {
      format: 1,
      index: this.#index,
      after,
      archive: this.#id,
      replica: this.#replica.id,
      created: Date.now(),
    };
    this.#writer.add(new TextEncoder().encode(JSON.stringify(head)));
    await this.#writer.sync();
  }

  /** What was committed and never archived: each such document, whole, at its last commit. */
  async #catchUp(): Promise<void> {
    let from = this.#durable;
    for (;;) {
      const changed = await this.#replica.changedSince(from, FEED_PAGE);
      if (changed.length === 0) break;
      for (const { name, seq, generation } of changed) {
        from = seq;
        const { update } = await this.#replica.encodeState(name).catch((error: unknown) => {
          this.#log.warn('archive.document_left_out', { name, error: String(error) });
          return { update: undefined };
        });
        if (update === undefined) continue;
        await this.#writer!.append(encodeCommit({ name, seq, generation, update, whole: true, time: Date.now() }));
      }
    }
    await this.#writer!.sync();
    this.#durable = Math.max(this.#durable, from);
  }
}

export interface ArchiveOptions {
  directory: string;
  replica: Replica;
  log: Log;
  /** Segments that ended longer ago are removed. */
  keepMs: number;
}

function encodeCommit({ name, seq, generation, whole, update, time }: TimedCommit): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, seq);
  encoding.writeVarUint(encoder, time);
  encoding.writeVarUint(encoder, generation);
  encoding.writeVarUint(encoder, whole ? 1 : 0);
  encoding.writeVarString(encoder, name);
  encoding.writeVarUint8Array(encoder, update);
  return encoding.toUint8Array(encoder);
}

function decodeCommit(payload: Uint8Array): TimedCommit {
  const decoder = decoding.createDecoder(payload);
  const seq = decoding.readVarUint(decoder);
  const time = decoding.readVarUint(decoder);
  const generation = decoding.readVarUint(decoder);
  const whole = decoding.readVarUint(decoder) === 1;
  const name = decoding.readVarString(decoder) as DocumentName;
  return { seq, time, generation, whole, name, update: decoding.readVarUint8Array(decoder).slice() };
}
