import { FieldbookError } from '../errors.ts';
import { CHUNK_BYTES, chunkCount } from './chunk-list.ts';

/** Half-open range of bytes. */
export interface ByteRange {
  start: number;
  end: number;
}

/** A piece of a file that lies in one chunk. */
export interface ChunkPart {
  /** Of the chunk. */
  index: number;
  /** Bytes of the whole chunk. */
  size: number;
  /** The piece's bytes within the chunk, half-open. */
  from: number;
  to: number;
}

/** The chunks of a file of `size` bytes that a range touches, in order. Throws `invalid_argument` for a range outside of the file. */
export function* planChunks(size: number, range: ByteRange = { start: 0, end: size }): Generator<ChunkPart> {
  const { start, end } = range;
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start || end > size)
    throw new FieldbookError('invalid_argument', `Bytes ${start} to ${end} are not within the ${size} of the file.`);
  const count = chunkCount(size);
  for (let index = Math.floor(start / CHUNK_BYTES); index < count; index++) {
    const at = index * CHUNK_BYTES;
    if (at >= end || start === end) return;
    yield {
      index,
      size: Math.min(CHUNK_BYTES, size - at),
      from: Math.max(0, start - at),
      to: Math.min(CHUNK_BYTES, end - at),
    };
  }
}
