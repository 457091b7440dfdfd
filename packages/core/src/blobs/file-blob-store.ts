import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { FieldbookError } from '../errors.ts';
import { base32 } from '../ids.ts';
import type { BlobDigest, BlobRemoval, BlobStat, BlobStore, Random } from '../ports.ts';
import { parseDigest } from '../record/index.ts';
import { Removals } from './removals.ts';

/** What the blob store needs of a file system; the promises of `node:fs` have this shape. */
export interface BlobFileSystem {
  mkdir(path: string, options: { recursive: true }): Promise<unknown>;
  open(path: string, flags: string): Promise<BlobFile>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { force: true }): Promise<void>;
  readdir(path: string): Promise<string[]>;
  stat(path: string): Promise<{ size: number; mtimeMs: number; isFile(): boolean }>;
}

export interface BlobFile {
  write(bytes: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>;
  read(bytes: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  sync(): Promise<void>;
  stat(): Promise<{ size: number }>;
  close(): Promise<void>;
}

export interface FileBlobStoreOptions {
  fs: BlobFileSystem;
  /** The directory that holds `sha256/` and `tmp/`; created when absent. */
  root: string;
  random: Random;
  /** A faster SHA-256 than the portable one, where the platform has it; it may work on another thread. */
  sha256?: (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;
}

/**
 * Blobs as files: `<root>/sha256/<first two digits>/<digest>`. A blob is written to `<root>/tmp`, fsynced, renamed,
 * and its directory fsynced; a crash leaves a stray file in `tmp` or the whole blob.
 */
export class FileBlobStore implements BlobStore {
  readonly #fs: BlobFileSystem;
  readonly #root: string;
  readonly #random: Random;
  readonly #sha256: (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;
  readonly #removals = new Removals();

  constructor(options: FileBlobStoreOptions) {
    this.#fs = options.fs;
    this.#root = options.root;
    this.#random = options.random;
    this.#sha256 = options.sha256 ?? sha256;
  }

  async stat(digest: BlobDigest): Promise<BlobStat | undefined> {
    const stat = await this.#orAbsent(this.#fs.stat(this.#path(digest)));
    return stat === undefined ? undefined : { digest, size: stat.size };
  }

  async read(digest: BlobDigest, range?: { start: number; end: number }): Promise<Uint8Array | undefined> {
    const file = await this.#orAbsent(this.#fs.open(this.#path(digest), 'r'));
    if (file === undefined) return undefined;
    try {
      const { size } = await file.stat();
      const start = Math.min(Math.max(0, range?.start ?? 0), size);
      const end = Math.min(Math.max(start, range?.end ?? size), size);
      const bytes = new Uint8Array(end - start);
      for (let done = 0; done < bytes.length;) {
        const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done);
        if (bytesRead === 0) throw this.#corrupt(digest);
        done += bytesRead;
      }
      if (range === undefined && (await this.#digest(bytes)) !== digest) throw this.#corrupt(digest);
      return bytes;
    } finally {
      await file.close();
    }
  }

  async write(bytes: Uint8Array, expected?: BlobDigest): Promise<BlobDigest> {
    const digest = await this.#digest(bytes);
    if (expected !== undefined && expected !== digest) {
      throw new FieldbookError(
        'blob_corrupt',
        `The bytes for blob ${expected} have another digest, ${digest}; nothing was stored.`,
      );
    }
    await this.#removals.keep(digest);
    const directory = `${this.#root}/sha256/${digest.slice(0, 2)}`;
    const temporary = `${this.#root}/tmp/${base32(this.#random.bytes(10))}`;
    try {
      if (!(await this.#holds(digest, bytes.length))) {
        await this.#fs.mkdir(directory, { recursive: true });
        await this.#fs.mkdir(`${this.#root}/tmp`, { recursive: true });
        await this.#writeFile(temporary, bytes);
        await this.#fs.rename(temporary, this.#path(digest));
      }
      // Also when it is there: somebody may have renamed it a moment ago and not come further.
      await this.#syncDirectories(directory);
      return digest;
    } catch (error) {
      await this.#fs.rm(temporary, { force: true }).catch(() => {});
      throw diskError(error, digest);
    }
  }

  async remove(digest: BlobDigest): Promise<void> {
    await this.#fs.rm(this.#path(digest), { force: true });
  }

  removal(): BlobRemoval {
    return this.#removals.begin((digest) => this.remove(digest));
  }

  async keep(digest: BlobDigest): Promise<boolean> {
    await this.#removals.keep(digest);
    return (await this.stat(digest)) !== undefined;
  }

  async *list({ after = '' }: { after?: string } = {}): AsyncGenerator<BlobStat> {
    const heads = (await this.#orAbsent(this.#fs.readdir(`${this.#root}/sha256`))) ?? [];
    for (const head of heads.filter((name) => name >= after.slice(0, 2)).sort()) {
      const names = (await this.#orAbsent(this.#fs.readdir(`${this.#root}/sha256/${head}`))) ?? [];
      for (const name of names.filter((one) => one > after && /^[0-9a-f]{64}$/.test(one)).sort()) {
        const stat = await this.stat(name as BlobDigest);
        if (stat !== undefined) yield stat;
      }
    }
  }

  /**
   * Moves a blob whose bytes are not what its name says to `<root>/corrupt/`, where nobody takes it for whole and somebody can look
   * at what the disk did. False when the bytes are good or nothing is there.
   */
  async setAside(digest: BlobDigest): Promise<boolean> {
    if (await this.#readable(digest)) return false;
    const moved = `${this.#root}/corrupt/${digest}.${base32(this.#random.bytes(5))}`;
    await this.#fs.mkdir(`${this.#root}/corrupt`, { recursive: true });
    return (await this.#orAbsent(this.#fs.rename(this.#path(digest), moved).then(() => true))) ?? false;
  }

  /** Removes what writes that a crash cut short have left in `tmp`: files not written to since `before` (ms since the epoch). How many. */
  async sweep(before: number): Promise<number> {
    let swept = 0;
    for (const name of (await this.#orAbsent(this.#fs.readdir(`${this.#root}/tmp`))) ?? []) {
      const path = `${this.#root}/tmp/${name}`;
      const stat = await this.#orAbsent(this.#fs.stat(path));
      if (stat === undefined || stat.mtimeMs >= before) continue;
      await this.#fs.rm(path, { force: true });
      swept++;
    }
    return swept;
  }

  #path(digest: BlobDigest): string {
    parseDigest(digest);
    return `${this.#root}/sha256/${digest.slice(0, 2)}/${digest}`;
  }

  async #digest(bytes: Uint8Array): Promise<BlobDigest> {
    return bytesToHex(await this.#sha256(bytes)) as BlobDigest;
  }

  async #writeFile(path: string, bytes: Uint8Array): Promise<void> {
    const file = await this.#fs.open(path, 'wx');
    try {
      for (let done = 0; done < bytes.length;) {
        done += (await file.write(bytes, done, bytes.length - done, done)).bytesWritten;
      }
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** True when the blob is here as it should be; one that the disk has changed is written again. */
  async #holds(digest: BlobDigest, size: number): Promise<boolean> {
    return (await this.stat(digest))?.size === size && (await this.#readable(digest));
  }

  /** A whole read has checked the digest. A disk that cannot read a blob does not hold it. */
  async #readable(digest: BlobDigest): Promise<boolean> {
    const there = await this.read(digest).catch((error: unknown) => {
      if (error instanceof FieldbookError) return undefined;
      const { code } = error as { code?: string };
      if (code === 'EIO') return undefined;
      throw error;
    });
    return there !== undefined;
  }

  /** Without this the rename itself, or a directory just made, may be lost with the power. */
  async #syncDirectories(directory: string): Promise<void> {
    for (const path of [directory, `${this.#root}/sha256`, this.#root]) {
      const opened = await this.#fs.open(path, 'r');
      try {
        await opened.sync();
      } finally {
        await opened.close();
      }
    }
  }

  async #orAbsent<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await work;
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
      throw diskError(error);
    }
  }

  #corrupt(digest: BlobDigest): FieldbookError {
    return new FieldbookError(
      'blob_corrupt',
      `Blob ${digest} has other bytes than its name says. Fetch it again from another replica, or run "fieldbook doctor".`,
    );
  }
}

function diskError(error: unknown, digest?: BlobDigest): FieldbookError {
  if (error instanceof FieldbookError) return error;
  const { code, message } = error as { code?: string; message?: string };
  const what = digest === undefined ? 'A blob' : `Blob ${digest}`;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new FieldbookError('disk_full', `${what} was not stored: the disk is full.`, { cause: error });
  }
  return new FieldbookError('storage_failed', `${what} could not be read or written: ${message ?? String(error)}`, {
    cause: error,
  });
}
