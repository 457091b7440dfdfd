import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { isFieldbookError } from '../errors.ts';
import { blobStoreContract } from '../testing/contracts/index.ts';
import { MemoryBlobStore, SeededRandom } from '../testing/index.ts';
import type { BlobFileSystem } from './file-blob-store.ts';
import { FileBlobStore } from './file-blob-store.ts';

const random = new SeededRandom(5);
const nodeFs = fs as unknown as BlobFileSystem;
const codeOf = async (work: Promise<unknown>): Promise<string | undefined> =>
  work.then(
    () => undefined,
    (error: unknown) => (isFieldbookError(error) ? error.code : String(error)),
  );

async function temporary(): Promise<{ root: string; teardown(): Promise<void> }> {
  const root = await fs.mkdtemp(join(tmpdir(), 'fieldbook-blobs-'));
  return { root, teardown: () => fs.rm(root, { recursive: true }) };
}

blobStoreContract('in memory', () =>
  Promise.resolve({ blobs: new MemoryBlobStore(), teardown: () => Promise.resolve() }),
);
blobStoreContract('files, portable SHA-256', async () => {
  const { root, teardown } = await temporary();
  return { blobs: new FileBlobStore({ fs: nodeFs, root, random }), teardown };
});
blobStoreContract("files, the platform's SHA-256", async () => {
  const { root, teardown } = await temporary();
  const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();
  return { blobs: new FileBlobStore({ fs: nodeFs, root, random, sha256 }), teardown };
});

describe('file blob store', () => {
  it('[BLB-3] notices bytes that changed on disk, and heals them when they are written again', async () => {
    const { root, teardown } = await temporary();
    const blobs = new FileBlobStore({ fs: nodeFs, root, random });
    const bytes = new SeededRandom(1).bytes(1000);
    const digest = await blobs.write(bytes);
    const path = join(root, 'sha256', digest.slice(0, 2), digest);
    const damages = [
      () => fs.truncate(path, 999),
      () =>
        fs.writeFile(
          path,
          bytes.map((byte) => byte ^ 1),
        ),
    ];
    for (const damage of damages) {
      await damage();
      expect(await codeOf(blobs.read(digest))).toBe('blob_corrupt');
      await blobs.write(bytes);
      expect(await blobs.read(digest)).toEqual(bytes);
    }
    await teardown();
  });

  it('[BLB-4] leaves nothing under the name when the disk fails half-way, and says that it is full', async () => {
    const { root, teardown } = await temporary();
    for (const [code, expected] of [
      ['ENOSPC', 'disk_full'],
      ['EDQUOT', 'disk_full'],
      ['EIO', 'storage_failed'],
    ] as const) {
      const failing: BlobFileSystem = {
        ...nodeFs,
        open: async (path, flags) => {
          const file = await nodeFs.open(path, flags);
          let written = 0;
          return {
            read: file.read.bind(file),
            sync: file.sync.bind(file),
            stat: file.stat.bind(file),
            close: file.close.bind(file),
            async write(bytes, offset, length, position) {
              if (written > 0) throw Object.assign(new Error(code), { code });
              const done = await file.write(bytes, offset, Math.min(length, 100), position);
              written += done.bytesWritten;
              return done;
            },
          };
        },
      };
      const blobs = new FileBlobStore({ fs: failing, root, random });
      expect(await codeOf(blobs.write(new SeededRandom(2).bytes(1000)))).toBe(expected);
      for await (const { digest } of blobs.list()) throw new Error(`${digest} was left behind`);
      expect(await fs.readdir(join(root, 'tmp'))).toEqual([]);
    }
    await teardown();
  });

  it('[BLB-5] resolves only after the bytes and every directory on the way were fsynced, also for a blob that is there', async () => {
    const { root, teardown } = await temporary();
    const said: string[] = [];
    const watching: BlobFileSystem = {
      ...nodeFs,
      rename: async (from, to) => {
        said.push('rename');
        await nodeFs.rename(from, to);
      },
      open: async (path, flags) => {
        const file = await nodeFs.open(path, flags);
        const name = path.startsWith(join(root, 'tmp')) ? 'bytes' : path.slice(root.length + 1);
        return {
          read: file.read.bind(file),
          write: file.write.bind(file),
          stat: file.stat.bind(file),
          close: file.close.bind(file),
          async sync() {
            await file.sync();
            said.push(`sync ${name}`);
          },
        };
      },
    };
    const blobs = new FileBlobStore({ fs: watching, root, random });
    const digest = await blobs.write(new SeededRandom(3).bytes(100));
    const directories = [`sync sha256/${digest.slice(0, 2)}`, 'sync sha256', 'sync '];
    expect(said).toEqual(['sync bytes', 'rename', ...directories]);
    said.length = 0;
    await blobs.write(new SeededRandom(3).bytes(100));
    expect(said).toEqual(directories);
    await teardown();
  });

  it('[BLB-6] sets a damaged blob aside where nobody takes it for whole, and never a good one', async () => {
    const { root, teardown } = await temporary();
    const blobs = new FileBlobStore({ fs: nodeFs, root, random });
    const bytes = new SeededRandom(4).bytes(1000);
    const digest = await blobs.write(bytes);
    expect(await blobs.setAside(digest)).toBe(false);
    expect(await blobs.read(digest)).toEqual(bytes);
    const path = join(root, 'sha256', digest.slice(0, 2), digest);
    for (const size of [999, 0]) {
      await fs.truncate(path, size);
      expect(await blobs.setAside(digest)).toBe(true);
      expect(await blobs.stat(digest)).toBeUndefined();
      expect(await blobs.read(digest)).toBeUndefined();
      await blobs.write(bytes);
    }
    const aside = await fs.readdir(join(root, 'corrupt'));
    expect(aside.map((name) => name.slice(0, 64))).toEqual([digest, digest]);
    const sizes = await Promise.all(aside.map(async (name) => (await fs.stat(join(root, 'corrupt', name))).size));
    expect(sizes.sort((a, b) => a - b)).toEqual([0, 999]);
    expect(await blobs.setAside('f'.repeat(64) as typeof digest)).toBe(false);
    await teardown();
  });

  it('[BLB-9] a blob that is being removed is not taken for there by who writes it', async () => {
    const { root, teardown } = await temporary();
    let release = (): void => undefined;
    let begun = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const reached = new Promise<void>((resolve) => (begun = resolve));
    const slow: BlobFileSystem = {
      ...nodeFs,
      rm: async (path, options) => {
        begun();
        await held;
        await nodeFs.rm(path, options);
      },
    };
    const blobs = new FileBlobStore({ fs: slow, root, random });
    const bytes = new SeededRandom(8).bytes(100);
    const digest = await blobs.write(bytes);
    const removal = blobs.removal();
    const removed = removal.remove(digest);
    await reached;
    const said: string[] = [];
    const written = blobs.write(bytes).then(() => said.push('written'));
    const kept = blobs.keep(digest).then((there) => said.push(`kept ${there}`));
    // Long enough for a write that does not wait: it opens, reads and syncs.
    await new FileBlobStore({ fs: nodeFs, root: join(root, 'other'), random }).write(bytes);
    expect(said).toEqual([]);
    release();
    expect(await removed).toBe(true);
    await Promise.all([written, kept]);
    removal.end();
    expect(await blobs.read(digest)).toEqual(bytes);
    await teardown();
  });

  it('[BLB-7] sweeps what crashes left of writes, and nothing that is being written', async () => {
    const { root, teardown } = await temporary();
    const blobs = new FileBlobStore({ fs: nodeFs, root, random });
    const digest = await blobs.write(new SeededRandom(6).bytes(10));
    for (const [name, ms] of [
      ['old', 1_000_000],
      ['new', 2_000_000],
    ] as const) {
      await fs.writeFile(join(root, 'tmp', name), 'half');
      await fs.utimes(join(root, 'tmp', name), ms / 1000, ms / 1000);
    }
    expect(await blobs.sweep(1_500_000)).toBe(1);
    expect(await fs.readdir(join(root, 'tmp'))).toEqual(['new']);
    expect(await blobs.read(digest)).toHaveLength(10);
    await teardown();
  });
});
