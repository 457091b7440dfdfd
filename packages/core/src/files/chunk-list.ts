import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { FieldbookError } from '../errors.ts';
import type { BlobDigest } from '../ports.ts';

/** Bytes of every chunk but the last; a file of at most so many is one blob. */
export const CHUNK_BYTES = 8 * 1024 * 1024;
/** A list of so many has 32 MB, half of what one blob may have, and names 8 TB. */
export const CHUNKS_MAX = 1_000_000;

/** What a file of more than one chunk consists of. */
export interface ChunkList {
  /** Bytes of the file. */
  size: number;
  /** SHA-256 of each chunk, in order. */
  chunks: readonly BlobDigest[];
}

/** `FBC1`, then the size (u64) and 32 bytes a chunk; docs/formats/files.md. */
const MAGIC = [0x46, 0x42, 0x43, 0x31];
const HEAD = 12;
const DIGEST = 32;

/** How many chunks a file of `size` bytes has; an empty one has one. */
export function chunkCount(size: number): number {
  return Math.max(1, Math.ceil(size / CHUNK_BYTES));
}

/** Bytes of a chunk list. Throws `too_large` beyond `CHUNKS_MAX` chunks and `invalid_argument` when size and number disagree. */
export function encodeChunkList({ size, chunks }: ChunkList): Uint8Array {
  if (chunks.length > CHUNKS_MAX)
    throw new FieldbookError('too_large', `A file has at most ${CHUNKS_MAX} chunks of ${CHUNK_BYTES} bytes.`);
  if (chunks.length !== chunkCount(size))
    throw new FieldbookError('invalid_argument', `${size} bytes are not ${chunks.length} chunks.`);
  const bytes = new Uint8Array(HEAD + chunks.length * DIGEST);
  bytes.set(MAGIC);
  new DataView(bytes.buffer).setBigUint64(4, BigInt(size), true);
  chunks.forEach((digest, index) => bytes.set(hexToBytes(digest), HEAD + index * DIGEST));
  return bytes;
}

/**
 * A chunk list from its bytes; with `size`, that of the entry which names it. Throws `blob_corrupt` for bytes that are no chunk
 * list, that has another number of chunks than its size says, or that is of a file of another size.
 */
export function decodeChunkList(bytes: Uint8Array, size?: number): ChunkList {
  const broken = (why: string): FieldbookError =>
    new FieldbookError('blob_corrupt', `A chunk list is damaged: ${why}. Run "fieldbook doctor --repair".`);
  if (bytes.length < HEAD || MAGIC.some((byte, index) => bytes[index] !== byte)) throw broken('it is none');
  const told = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(4, true);
  if (told > BigInt(CHUNKS_MAX) * BigInt(CHUNK_BYTES)) throw broken('its size is beyond what a file may have');
  const list = Number(told);
  if (size !== undefined && list !== size) throw broken(`it is of ${list} bytes, the file has ${size}`);
  const count = chunkCount(list);
  if (bytes.length !== HEAD + count * DIGEST) throw broken(`${list} bytes are ${count} chunks`);
  const chunks = Array.from(
    { length: count },
    (_, index) => bytesToHex(bytes.subarray(HEAD + index * DIGEST, HEAD + (index + 1) * DIGEST)) as BlobDigest,
  );
  return { size: list, chunks };
}
