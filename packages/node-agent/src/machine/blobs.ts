import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobDigest, BlobStore } from '@fieldbook/core';
import { FieldbookError } from '@fieldbook/core';

/** Stand-in until core's FileBlobStore lands. */
export function fileBlobs(root: string): BlobStore {
  const pathOf = (digest: string): string => join(root, 'sha256', digest.slice(0, 2), digest);
  return {
    stat: async (digest) => {
      const found = await stat(pathOf(digest)).catch(() => undefined);
      return found === undefined ? undefined : { digest, size: found.size };
    },
    read: async (digest, range) => {
      const bytes = await readFile(pathOf(digest)).catch(() => undefined);
      return bytes === undefined
        ? undefined
        : new Uint8Array(range === undefined ? bytes : bytes.subarray(range.start, range.end));
    },
    write: async (bytes, expected) => {
      const digest = createHash('sha256').update(bytes).digest('hex') as BlobDigest;
      if (expected !== undefined && expected !== digest)
        throw new FieldbookError('blob_corrupt', 'The bytes do not have that digest.');
      const path = pathOf(digest);
      await mkdir(join(path, '..'), { recursive: true });
      const temporary = `${path}.${randomBytes(4).toString('hex')}`;
      const file = await open(temporary, 'wx');
      await file.writeFile(bytes);
      await file.sync();
      await file.close();
      await rename(temporary, path);
      return digest;
    },
    remove: async (digest) => void (await unlink(pathOf(digest)).catch(() => undefined)),
    list: async function* () {
      for (const entry of await readdir(join(root, 'sha256'), { recursive: true, withFileTypes: true }).catch(
        () => [],
      )) {
        if (entry.isFile()) yield { digest: entry.name as BlobDigest, size: 0 };
      }
    },
  };
}
