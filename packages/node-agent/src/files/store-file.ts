import type { FileHandle } from 'node:fs/promises';
import type { BlobDigest, BlobStore } from '@fieldbook/core';
import { FieldbookError, isFieldbookError } from '@fieldbook/core';
import { CHUNK_BYTES, chunkCount, CHUNKS_MAX, encodeChunkList } from '@fieldbook/core/files';
import { wholeHash } from './whole-hash.ts';

/** What a file became. */
export interface Stored {
  digest: BlobDigest;
  chunks: BlobDigest | null;
  size: number;
  /** Every blob that holds a part of it, the chunk list too. */
  blobs: readonly BlobDigest[];
}

type Source = Pick<FileHandle, 'read' | 'stat'>;
type Writing = Pick<BlobStore, 'write'>;

interface Said {
  size: number | null;
  digest: BlobDigest | null;
}

/** Chunks in the making: while one waits for the disk, the next one is read and hashed. */
const IN_FLIGHT = 2;

/**
 * Stores an open file as blobs: chunks, then the chunk list, all durable when this resolves. Holds two chunks in memory, whatever the
 * file has. What is there already is not written again. Throws `blob_corrupt` when the content is not what its record says (`size`,
 * `digest`) or changed while it was read, `disk_full`, `too_large`, `closed` when `stopped` says so.
 */
export async function storeFile(
  file: Source,
  blobs: Writing,
  said: Said,
  stopped: () => boolean = () => false,
): Promise<Stored> {
  const before = await file.stat();
  const { size } = before;
  if (said.size !== null && size !== said.size)
    throw changed(`it has ${size} bytes where its record says ${said.size}`);
  const count = chunkCount(size);
  if (count > CHUNKS_MAX)
    throw new FieldbookError('too_large', `A file of ${size} bytes is beyond what can be stored.`);
  const unchanged = async (): Promise<void> => {
    const after = await file.stat();
    if (after.size !== size || after.mtimeMs !== before.mtimeMs) throw changed('it was written to while it was read');
  };
  return count === 1
    ? storeOne(file, blobs, size, said, unchanged)
    : storeChunks(file, blobs, size, said, unchanged, stopped);
}

async function storeOne(
  file: Source,
  blobs: Writing,
  size: number,
  said: Said,
  unchanged: () => Promise<void>,
): Promise<Stored> {
  const bytes = await readChunk(file, 0, size);
  // Other bytes than recorded are refused by the store, before any of them is written.
  const digest = await blobs.write(bytes, said.digest ?? undefined).catch((error: unknown) => {
    throw isFieldbookError(error, 'blob_corrupt') ? otherDigest() : error;
  });
  await unchanged();
  return { digest, chunks: null, size, blobs: [digest] };
}

async function storeChunks(
  file: Source,
  blobs: Writing,
  size: number,
  said: Said,
  unchanged: () => Promise<void>,
  stopped: () => boolean,
): Promise<Stored> {
  const count = chunkCount(size);
  const chunks = new Array<BlobDigest>(count);
  const writing = new Set<Promise<void>>();
  const failures: unknown[] = [];
  const whole = wholeHash(size);
  try {
    for (let index = 0; index < count && failures.length === 0; index++) {
      if (stopped()) throw new FieldbookError('closed', 'Storing stopped; it goes on at the next start.');
      // A buffer of its own each time: the blob store hashes on another thread and may not see it change.
      const bytes = await readChunk(file, index * CHUNK_BYTES, Math.min(CHUNK_BYTES, size - index * CHUNK_BYTES));
      const written = blobs
        .write(bytes)
        .then((digest) => void (chunks[index] = digest))
        .catch((error: unknown) => void failures.push(error))
        .finally(() => writing.delete(written));
      writing.add(written);
      await whole.update(bytes);
      if (writing.size >= IN_FLIGHT) await Promise.race(writing);
    }
    await Promise.all(writing);
    if (failures.length > 0) throw failures[0];
    await unchanged();
    const digest = (await whole.digest()) as BlobDigest;
    if (said.digest !== null && digest !== said.digest) throw otherDigest();
    const list = await blobs.write(encodeChunkList({ size, chunks }));
    return { digest, chunks: list, size, blobs: [...new Set(chunks), list] };
  } finally {
    // Nothing is written for a file that was given up, and its handle may be closed.
    await Promise.all(writing);
    await whole.close();
  }
}

async function readChunk(file: Pick<FileHandle, 'read'>, at: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(bytes, done, length - done, at + done);
    if (bytesRead === 0) throw changed('it became shorter while it was read');
    done += bytesRead;
  }
  return bytes;
}

function otherDigest(): FieldbookError {
  return changed('its SHA-256 is not the one in its record');
}

function changed(why: string): FieldbookError {
  return new FieldbookError(
    'blob_corrupt',
    `The spooled file is not what was recorded: ${why}. Its bytes stay in the spool folder.`,
  );
}
