import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import type { BlobDigest, BlobStore } from '@fieldbook/core';
import { FieldbookError } from '@fieldbook/core';
import { CHUNK_BYTES, chunkCount, CHUNKS_MAX, encodeChunkList } from '@fieldbook/core/files';

/** What a file became. */
export interface Stored {
  digest: BlobDigest;
  chunks: BlobDigest | null;
  size: number;
}

/** The event loop is held no longer than hashing so much takes: half a millisecond with SHA instructions, three without. */
const SLICE = 1024 * 1024;

/**
 * Stores an open file as blobs: chunks, then the chunk list, all durable when this resolves. Holds one chunk in memory, whatever the
 * file has. What is there already is not written again. Throws `blob_corrupt` when the content is not what its record says (`size`,
 * `digest`) or changed while it was read, `disk_full`, `too_large`, `closed` when `stopped` says so.
 */
export async function storeFile(
  file: Pick<FileHandle, 'read' | 'stat'>,
  blobs: Pick<BlobStore, 'write'>,
  said: { size: number | null; digest: BlobDigest | null },
  stopped: () => boolean = () => false,
): Promise<Stored> {
  const before = await file.stat();
  const { size } = before;
  if (said.size !== null && size !== said.size)
    throw changed(`it has ${size} bytes where its record says ${said.size}`);
  const count = chunkCount(size);
  if (count > CHUNKS_MAX)
    throw new FieldbookError('too_large', `A file of ${size} bytes is beyond what can be stored.`);
  const whole = createHash('sha256');
  const chunks: BlobDigest[] = [];
  for (let index = 0; index < count; index++) {
    if (stopped()) throw new FieldbookError('closed', 'Storing stopped; it goes on at the next start.');
    // A buffer of its own each time: the blob store hashes on another thread and may not see it change.
    const bytes = await readChunk(file, index * CHUNK_BYTES, Math.min(CHUNK_BYTES, size - index * CHUNK_BYTES));
    if (count > 1) await hashInSlices(whole, bytes);
    else if (said.digest !== null) {
      whole.update(bytes);
      // Before it is written: one blob of other bytes would be in nobody's way, but is of no use either.
      if (whole.copy().digest('hex') !== said.digest) throw changed('its SHA-256 is not the one in its record');
    }
    chunks.push(await blobs.write(bytes));
  }
  const after = await file.stat();
  if (after.size !== size || after.mtimeMs !== before.mtimeMs) throw changed('it was written to while it was read');
  if (count === 1) return { digest: chunks[0]!, chunks: null, size };
  const digest = whole.digest('hex') as BlobDigest;
  if (said.digest !== null && digest !== said.digest) throw changed('its SHA-256 is not the one in its record');
  return { digest, chunks: await blobs.write(encodeChunkList({ size, chunks })), size };
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

async function hashInSlices(hash: ReturnType<typeof createHash>, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; at += SLICE) {
    hash.update(bytes.subarray(at, at + SLICE));
    await setImmediate();
  }
}

function changed(why: string): FieldbookError {
  return new FieldbookError(
    'blob_corrupt',
    `The spooled file is not what was recorded: ${why}. Its bytes stay in the spool folder.`,
  );
}
