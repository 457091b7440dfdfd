import { createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import type { DataFile, DataList } from '@fieldbook/core/data';

export type CheckVerdict = 'same' | 'changed' | 'missing' | 'unreadable' | 'unchecked';

export interface CheckedFile {
  path: string;
  verdict: CheckVerdict;
  /** What is wrong, in words; null of a file that is as listed. */
  reason: string | null;
}

/** Reading beyond this many files at once gains nothing from a disk, and each holds a buffer. */
const AT_ONCE = 4;
const LFS_BYTES = 1_024;

/**
 * Holds the files below `root` against a list, in the order of the list. Files that the list does not name are not looked
 * for: it may have been made of a part of the folder.
 */
export async function checkData(
  list: DataList,
  root: string,
  progress: (files: number, bytes: number) => void,
): Promise<CheckedFile[]> {
  const results: CheckedFile[] = [];
  let next = 0;
  let files = 0;
  let bytes = 0;
  const work = async (): Promise<void> => {
    while (next < list.files.length) {
      const index = next++;
      const file = list.files[index]!;
      const [verdict, reason] = await checkFile(file, root, (size) => progress(files, (bytes += size)));
      results[index] = { path: file.path, verdict, reason };
      files += 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return results;
}

type Checked = readonly [CheckVerdict, string | null];

async function checkFile(file: DataFile, root: string, progress: (bytes: number) => void): Promise<Checked> {
  const { path, size, algorithm, digest } = file;
  if (algorithm === 'none') return ['unchecked', `it could not be read when it was listed (${digest})`];
  // A list of somebody else must not make us read what lies outside of the folder.
  if (!resolve(root, path).startsWith(root === sep ? sep : root + sep))
    return ['unchecked', 'its path leads out of the folder'];
  const found = await findFile(root, path);
  if (found === undefined) return ['missing', 'it is not there'];
  const { place, about } = found;
  if (about.isDirectory()) return ['unchecked', 'it is a folder that a pointer of DVC stands for'];
  if (!about.isFile()) return ['changed', 'it is no file'];
  try {
    if (about.size < LFS_BYTES && algorithm === 'sha256' && (await isPointerTo(place, digest, size)))
      return ['same', null];
    if (about.size !== size) return ['changed', `it has ${about.size} bytes, not ${size}`];
    const named = algorithm === 'etag' ? (/^[0-9a-f]{32}$/.test(digest) ? 'md5' : null) : algorithm;
    if (named === null) return ['unchecked', 'an object sent in parts has no digest that could be computed here'];
    return (await digestOf(place, named, progress)) === digest ? ['same', null] : ['changed', 'its content is another'];
  } catch (error) {
    return ['unreadable', (error as NodeJS.ErrnoException).code ?? String(error)];
  }
}

/** A name in a list is composed Unicode with bytes that are no UTF-8 as `\xNN`; on disk it may be decomposed, or those bytes. */
async function findFile(root: string, path: string): Promise<{ place: string | Buffer; about: Stats } | undefined> {
  const places: (string | Buffer)[] = [resolve(root, path), resolve(root, path.normalize('NFD'))];
  if (/\\x[0-9a-f]{2}/.test(path)) places.push(rawBytes(resolve(root, path)));
  for (const place of places) {
    try {
      return { place, about: await stat(place) };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
    }
  }
  return undefined;
}

function rawBytes(path: string): Buffer {
  const parts = path.split(/(\\\\|\\x[0-9a-f]{2})/);
  return Buffer.concat(
    parts.map((part) => {
      if (part === '\\\\') return Buffer.from('\\');
      return /^\\x[0-9a-f]{2}$/.test(part) ? Buffer.from(part.slice(2), 'hex') : Buffer.from(part);
    }),
  );
}

/** A clone without the content has the pointer that names it. */
async function isPointerTo(place: string | Buffer, digest: string, size: number): Promise<boolean> {
  const file = await open(place, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(LFS_BYTES), 0, LFS_BYTES, 0);
    const text = buffer.subarray(0, bytesRead).toString('utf8');
    return (
      text.startsWith('version https://git-lfs.github.com/spec/v1\n') &&
      text.split('\n').includes(`oid sha256:${digest}`) &&
      text.split('\n').includes(`size ${size}`)
    );
  } finally {
    await file.close();
  }
}

async function digestOf(place: string | Buffer, algorithm: string, progress: (bytes: number) => void): Promise<string> {
  const hash = createHash(algorithm);
  for await (const chunk of createReadStream(place, { highWaterMark: 1024 * 1024 })) {
    hash.update(chunk as Buffer);
    progress((chunk as Buffer).length);
  }
  return hash.digest('hex');
}
