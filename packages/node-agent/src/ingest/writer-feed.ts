import type { FileHandle } from 'node:fs/promises';
import { open, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '@fieldbook/core';
import { FieldbookError, isFieldbookError } from '@fieldbook/core';
import type { IntakeContext, LiveValue, Progress } from '@fieldbook/core/ingest';
import { WriterIntake } from '@fieldbook/core/ingest';
import { JOURNAL, salvage } from '@fieldbook/core/journal';
import type { WriterFiles } from './journal-tree.ts';
import type { Liveness } from './liveness.ts';

/** What is wrong with one journal; shown by `status` and `doctor` until it is not any more. */
export interface JournalProblem {
  path: string;
  code: string;
  message: string;
}

export interface FeedContext extends IntakeContext {
  liveness: Liveness;
  clock: Clock;
  /** Ask the disk to keep what is read: the client never does. */
  sync: boolean;
  /** Remove a rotated file so many ms after it was last written, once it is durable here; null keeps all. */
  removeRotatedAfter: number | null;
}

/** One read: parsing it takes about 10 ms, between which others have their turn. */
const CHUNK = 1024 * 1024;
/** The smallest buffer worth reading into. */
const LEAST = 4096;
/** What a power cut takes of a journal, in ms. */
const SYNC_EVERY = 1_000;
/** A damaged end is looked at again when the file has grown by so much. */
const RETRY_GROWTH = 64 * 1024;
/** A journal that may not be read is tried again after so many ms: its mode may have been put right. */
const RETRY_AFTER = 30_000;
/** Journals rotate at 16 MiB; more than this is not searched for what is behind damage. */
const SALVAGE_BYTES = 64 * 1024 * 1024;

/** Feeds one writer's files to its intake. */
export class WriterFeed {
  readonly files: WriterFiles;
  problem: JournalProblem | undefined;
  #context: FeedContext;
  #intake: WriterIntake | undefined;
  #progress: Progress | undefined;
  /** Size of the newest file when all of it had been looked at; -1 before. */
  #sizeSeen = -1;
  #inode: bigint | undefined;
  #directory: string;
  /** Files up to this number have been read to their end and have successors. */
  #passed = -1;
  #retryAt = 0;
  #stuckAt = -1;
  #syncedAt = 0;

  constructor(context: FeedContext, files: WriterFiles, progress: Progress | undefined) {
    this.#context = context;
    this.files = files;
    this.#progress = progress;
    this.#directory = dirname(this.#newest());
  }

  get purged(): boolean {
    return this.#intake?.purged ?? this.#progress?.purged ?? false;
  }

  /** False when nothing will happen until a file grows. */
  get active(): boolean {
    if (this.purged) return false;
    const intake = this.#intake;
    if (intake === undefined) return this.#progress?.done !== true && this.#sizeSeen === -1;
    // Before META there is nothing to say and nobody to ask about.
    return intake.state.run === null ? this.#sizeSeen === -1 : !intake.done;
  }

  get running(): boolean {
    return this.#intake?.state.status === 'running' && this.#intake.state.run !== null;
  }

  get bytes(): number {
    return this.#intake?.bytes ?? 0;
  }

  /** The directory that the newest file lies in, or lay in when it was last seen. */
  get directory(): string {
    if (this.files.files.size > 0) this.#directory = dirname(this.#newest());
    return this.#directory;
  }

  /** Identifies the run, once META has been read. */
  get run(): { run: string; project: string } | undefined {
    const state = this.#intake?.state;
    return state?.run == null || state.project === null ? undefined : { run: state.run, project: state.project };
  }

  /** True when `work` has something to do: new bytes, or a writer that has not ended. */
  async needsWork(): Promise<boolean> {
    if (this.purged) return false;
    if (this.active || (this.#retryAt > 0 && this.#context.clock.now() >= this.#retryAt)) return true;
    const info = await stat(this.#newest()).catch(() => undefined);
    if (info === undefined) return false;
    if (this.#sizeSeen === -1 && this.#progress !== undefined) {
      return this.#progress.file !== this.files.last || info.size !== this.#progress.offset;
    }
    return info.size !== this.#sizeSeen;
  }

  /**
   * Reads to the end of what is there and writes what is due; with `force` all of it. Rejects with what the store or the disk
   * of the store said; what is wrong with the journal itself becomes `problem`.
   */
  async work(force: boolean): Promise<void> {
    const context = this.#context;
    this.problem = undefined;
    this.#retryAt = 0;
    try {
      const intake = (this.#intake ??= await WriterIntake.open(context, this.files.writer));
      if (intake.purged) return;
      await this.#readAll(intake);
      await this.#askLiveness(intake);
      await intake.commit({ force });
      await this.#removeRotated(intake);
      if (intake.state.run === null && intake.state.next > 0) {
        this.#report(
          this.#newest(),
          new FieldbookError('journal_corrupt', 'The journal does not say which run of which project it is.'),
        );
      }
      // What has ended needs no memory: it is opened again should it grow.
      if (intake.done && !intake.purged) this.#rest(intake);
    } catch (error) {
      this.#intake = undefined;
      throw error;
    }
  }

  /** Seals unsealed points to free their memory. */
  async relieve(): Promise<void> {
    try {
      await this.#intake?.commit({ seal: true });
    } catch (error) {
      this.#intake = undefined;
      throw error;
    }
  }

  live(): Map<string, LiveValue> | undefined {
    return this.#intake?.live();
  }

  #rest(intake: WriterIntake): void {
    const { file, offset } = intake.durable;
    this.#progress = { file, offset, done: true, purged: false };
    this.#intake = undefined;
  }

  async #readAll(intake: WriterIntake): Promise<void> {
    for (;;) {
      const number = this.#current(intake);
      if (number === undefined) return;
      const path = this.files.files.get(number)!;
      let file: FileHandle;
      try {
        file = await open(path, 'r');
      } catch (error) {
        // A file that has vanished is missed by the next look around.
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
        this.#retryAt = this.#context.clock.now() + RETRY_AFTER;
        this.#sizeSeen = 0;
        return this.#report(path, error);
      }
      try {
        if (!(await this.#readFile(intake, number, path, file))) return;
      } finally {
        await file.close();
      }
      if (number === this.files.last) return;
    }
  }

  /** The file to read: the one that the intake stands in, or the next that exists. */
  #current(intake: WriterIntake): number | undefined {
    const from = Math.max(intake.place.file, this.#passed + 1);
    let next: number | undefined;
    for (const number of this.files.files.keys())
      if (number >= from && (next === undefined || number < next)) next = number;
    return next;
  }

  /** True when the file was taken in as far as it goes. */
  async #readFile(intake: WriterIntake, number: number, path: string, file: FileHandle): Promise<boolean> {
    const last = number === this.files.last;
    const { size, ino } = await file
      .stat({ bigint: true })
      .then((info) => ({ size: Number(info.size), ino: info.ino }));
    const isOpen = intake.reader !== null && intake.place.file === number;
    if (!isOpen || (last && ino !== this.#inode)) {
      if (!(await this.#openFile(intake, number, path, file, isOpen))) {
        if (last) this.#sizeSeen = size;
        else this.#passed = number;
        return !last;
      }
    }
    if (last) this.#inode = ino;
    const reader = intake.reader!;
    if (size < reader.offset) {
      intake.state.note(`File ${number} became shorter than it was.`);
      this.#report(
        path,
        new FieldbookError(
          'journal_corrupt',
          `The journal became shorter: ${size} bytes of ${reader.offset} are left.`,
        ),
      );
      if (last) this.#sizeSeen = size;
      else this.#passed = number;
      return true;
    }
    if (last && this.#stuckAt >= 0 && size < this.#stuckAt + RETRY_GROWTH) {
      this.#sizeSeen = size;
      return true;
    }
    // What did not look like a record may have been a write under way.
    if (reader.state !== 'corrupt') reader.rewind();
    await this.#readBytes(intake, file, last);
    await this.#judgeEnd(intake, path, file, last);
    // What was asked for before the reading may be more than was there by then, if a copy is being written over it.
    if (last) this.#sizeSeen = reader.state === 'corrupt' ? size : reader.next;
    else this.#passed = number;
    return true;
  }

  async #openFile(
    intake: WriterIntake,
    number: number,
    path: string,
    file: FileHandle,
    again: boolean,
  ): Promise<boolean> {
    const head = await readAt(file, 0, JOURNAL.headerLimit);
    try {
      if (again) {
        // The path leads to another file than before: a copy that goes on is welcome, anything else is not this journal.
        const nonce = intake.reader!.header!.nonce;
        if (nonce.some((byte, index) => byte !== head[8 + index])) {
          throw new FieldbookError('journal_corrupt', 'The journal was replaced by another file.');
        }
        return true;
      }
      return await intake.openFile(number, head);
    } catch (error) {
      if (!isFieldbookError(error, 'journal_corrupt') && !isFieldbookError(error, 'journal_version')) throw error;
      this.#report(path, error);
      intake.state.note(`File ${number} could not be read: ${error.message}`);
      return false;
    }
  }

  async #readBytes(intake: WriterIntake, file: FileHandle, last: boolean): Promise<void> {
    const context = this.#context;
    // Most looks find a few records: a thousand writers' looks must not cost a gigabyte of buffers.
    const { size } = await file.stat();
    const chunk = new Uint8Array(Math.min(CHUNK, Math.max(LEAST, size - intake.place.offset)));
    let read = 0;
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length, intake.place.offset);
      if (bytesRead === 0) break;
      read += bytesRead;
      if (intake.push(chunk.subarray(0, bytesRead)) === 'corrupt') break;
      await intake.commit({ more: true });
    }
    const now = context.clock.now();
    if (context.sync && last && read > 0 && now - this.#syncedAt >= SYNC_EVERY) {
      this.#syncedAt = now;
      // Best effort: a file system that cannot is no reason not to take the points in.
      await file.datasync().catch(() => undefined);
    }
  }

  /** Damage in the middle, and ends that nobody will write on. */
  async #judgeEnd(intake: WriterIntake, path: string, file: FileHandle, last: boolean): Promise<void> {
    for (;;) {
      const reader = intake.reader!;
      const ended = !last || intake.state.status !== 'running';
      let found = reader.state !== 'corrupt' && ended ? intake.finishFile().salvage : undefined;
      if (reader.state !== 'corrupt') {
        this.#stuckAt = -1;
        return;
      }
      const { offset, sequence, header, damage } = reader;
      if (header === undefined) return this.#report(path, damage);
      const { size } = await file.stat();
      found ??= salvage(await readAt(file, offset, size - offset), { offset, sequence, nonce: header.nonce });
      this.#report(path, damage);
      if (found === undefined) {
        this.#stuckAt = size;
        intake.state.note(`File ${header.number} cannot be read from byte ${offset} on.`);
        return;
      }
      await intake.skip(found);
      await this.#readBytes(intake, file, last);
    }
  }

  async #askLiveness(intake: WriterIntake): Promise<void> {
    const { state } = intake;
    if (state.closed || state.meta === null) return;
    const look = async (): Promise<ReturnType<Liveness['verdict']>> => {
      const { dev, ino, mtimeMs } = await stat(this.#newest(), { bigint: true });
      const traces = { dev, ino, mtimeMs: Number(mtimeMs), newest: state.updated };
      return await this.#context.liveness.verdict(state.meta!, traces, this.#context.clock.now());
    };
    try {
      const verdict = await look();
      // Its last words may have come between our reading and its end.
      if (verdict !== 'running' && state.status === 'running') await this.#readAll(intake);
      intake.judge(verdict);
      // Nobody will complete what is incomplete: a torn end may hide whole records.
      if (verdict !== 'running') await this.#readAll(intake);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      // Its files are gone, so nothing more can come.
      intake.judge('crashed');
    }
  }

  /** Rotated files go only on request, when they are durable here and a day old; the newest never. */
  async #removeRotated(intake: WriterIntake): Promise<void> {
    const { removeRotatedAfter, clock } = this.#context;
    if (removeRotatedAfter === null) return;
    for (const [number, path] of this.files.files) {
      if (number >= intake.durable.file || number === this.files.last) continue;
      const info = await stat(path).catch(() => undefined);
      if (info === undefined || clock.now() - info.mtimeMs < removeRotatedAfter) continue;
      await rm(path, { force: true });
      this.files.files.delete(number);
    }
  }

  #newest(): string {
    return this.files.files.get(this.files.last) ?? '';
  }

  #report(path: string, error: unknown): void {
    const code = isFieldbookError(error) ? error.code : ((error as NodeJS.ErrnoException).code ?? 'internal');
    this.problem = { path, code, message: error instanceof Error ? error.message : String(error) };
  }
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(Math.min(length, SALVAGE_BYTES));
  let filled = 0;
  while (filled < bytes.length) {
    const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}
