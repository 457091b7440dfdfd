import type { BlobDigest, BlobStore, Clock, Log, RunId } from '@fieldbook/core';
import { asFieldbookError, FieldbookError, LIMITS, runDocumentName } from '@fieldbook/core';
import { pointBlobs } from '@fieldbook/core/files';
import type { SpoolOwner } from '@fieldbook/core/ingest';
import type { ObjectFile } from '@fieldbook/core/journal';
import type { Replica } from '@fieldbook/core/replica';
import { sha256 } from '../machine/blobs.ts';
import type { Disk } from './space.ts';
import { checkSpace } from './space.ts';
import type { SpoolFolder, Spools } from './spool.ts';
import { openSpooled, removeSpooled } from './spool.ts';

export interface ObjectFilesOptions {
  replica: Replica;
  blobs: BlobStore;
  spools: Spools;
  clock: Clock;
  log: Log;
  disk(): Promise<Disk>;
}

export const RETRY_FIRST = 5_000;
export const RETRY_LAST = 5 * 60_000;

/**
 * Files of object rows: one blob each, stored before the rows that name them are committed. Where that could not be, the row has the
 * digest and the spool the bytes, and they find each other when the spool is looked through.
 */
export class ObjectFiles {
  problem: { code: string; message: string } | null = null;
  readonly #options: ObjectFilesOptions;
  /** Runs with files that could not be stored, and when they are tried again. */
  readonly #unstored = new Map<RunId, { wait: number; retryAt: number }>();

  constructor(options: ObjectFilesOptions) {
    this.#options = options;
  }

  /** When something is to be tried again. */
  due(): number[] {
    return [...this.#unstored.values()].map(({ retryAt }) => retryAt);
  }

  dueRuns(now: number): RunId[] {
    return [...this.#unstored].filter(([, { retryAt }]) => retryAt <= now).map(([run]) => run);
  }

  /** Never rejects: rows are taken in whatever becomes of the bytes. */
  async store(owner: SpoolOwner, files: readonly ObjectFile[]): Promise<void> {
    const folders = await this.#options.spools.ofWriter(owner);
    for (const file of files) {
      try {
        await this.#store(folders, file);
      } catch (error) {
        this.#failed(owner.run, file.spool, error);
      }
    }
  }

  /** The rows are durable: what is a blob now leaves the home's spool. */
  async removeSpooled(owner: SpoolOwner, files: readonly ObjectFile[]): Promise<void> {
    const { spools, blobs, log } = this.#options;
    try {
      const own = (await spools.ofWriter(owner)).filter((folder) => folder.own);
      if (own.length === 0) return;
      for (const { spool, digest } of files) {
        // Whoever began to remove it while no row named it leaves it now, or has removed it: then the bytes are needed.
        if (!(await blobs.keep(digest))) continue;
        for (const folder of own) await removeSpooled(folder, spool);
      }
    } catch (error) {
      // The next look through the spool finds them.
      log.warn('spool_not_removed', { run: owner.run, error: String(error) });
    }
  }

  /** Of these files of a folder those that no row names; the others are blobs after it, or are tried again. */
  async storeNamed(folder: SpoolFolder, names: readonly string[]): Promise<string[]> {
    const { replica } = this.#options;
    const wanted = await replica.read(runDocumentName(folder.run), (doc) => new Set(pointBlobs(doc)));
    if (wanted.size === 0) return [...names];
    const unnamed: string[] = [];
    let failed = false;
    for (const name of names) {
      try {
        if (!(await this.#storeWanted(folder, name, wanted))) unnamed.push(name);
      } catch (error) {
        failed = true;
        this.#failed(folder.run, name, error);
      }
    }
    if (!failed) {
      this.#unstored.delete(folder.run);
      if (this.#unstored.size === 0) this.problem = null;
    }
    return unnamed;
  }

  async #store(folders: readonly SpoolFolder[], { spool, digest, size }: ObjectFile): Promise<void> {
    const { blobs } = this.#options;
    if ((await blobs.stat(digest)) !== undefined) return;
    for (const folder of folders) {
      const file = await openSpooled(folder, spool);
      if (file === undefined) continue;
      try {
        if ((await file.stat()).size !== size) continue;
        await checkSpace(this.#options, size);
        await blobs.write(new Uint8Array(await file.readFile()), digest);
        return;
      } finally {
        await file.close();
      }
    }
    throw new FieldbookError('not_found', `The file ${spool} of an object is not in the spool folder.`);
  }

  /** True when the file is that of an object row: then its blob is there, and it leaves the home's spool. */
  async #storeWanted(folder: SpoolFolder, name: string, wanted: ReadonlySet<BlobDigest>): Promise<boolean> {
    const file = await openSpooled(folder, name);
    if (file === undefined) return false;
    try {
      if ((await file.stat()).size > LIMITS.blobBytes) return false;
      const bytes = new Uint8Array(await file.readFile());
      const digest = Buffer.from(await sha256(bytes)).toString('hex') as BlobDigest;
      if (!wanted.has(digest)) return false;
      if (!(await this.#options.blobs.keep(digest))) {
        await checkSpace(this.#options, bytes.length);
        await this.#options.blobs.write(bytes, digest);
      }
    } finally {
      await file.close();
    }
    if (folder.own) await removeSpooled(folder, name);
    return true;
  }

  #failed(run: RunId, spool: string, error: unknown): void {
    const { log, clock } = this.#options;
    const { code, message } = asFieldbookError(error, 'storage_failed');
    if (code === 'disk_full') this.problem = { code, message };
    log.warn('object_file_not_stored', { run, spool, code, message });
    const wait = Math.min((this.#unstored.get(run)?.wait ?? RETRY_FIRST / 2) * 2, RETRY_LAST);
    this.#unstored.set(run, { wait, retryAt: clock.now() + wait });
  }
}
