import { FieldbookError } from '../errors.ts';
import type { BlobDigest, BlobStore } from '../ports.ts';
import { decodeChunkList } from './chunk-list.ts';
import type { ByteRange } from './plan.ts';
import { planChunks } from './plan.ts';

/** What names the bytes of a stored file; a `FileEntry` with a digest has this shape. */
export interface StoredFile {
  /** SHA-256 of the whole. */
  digest: BlobDigest;
  /** SHA-256 of the chunk list when there is more than one chunk. */
  chunks: BlobDigest | null;
  size: number | null;
}

type Reading = Pick<BlobStore, 'read'>;

/**
 * The blobs that hold a file: itself, or its chunk list first and then each chunk once. Undefined while the list is not here, as
 * nobody knows the chunks then. Throws `blob_corrupt`.
 */
export async function blobsOf(blobs: Reading, file: StoredFile): Promise<BlobDigest[] | undefined> {
  if (file.chunks === null) return [file.digest];
  const list = await blobs.read(file.chunks);
  if (list === undefined) return undefined;
  return [...new Set([file.chunks, ...decodeChunkList(list, file.size ?? undefined).chunks])];
}

/** A file whose list is read: its size is known, its bytes come on demand. */
export interface OpenFile {
  size: number;
  /**
   * Its bytes, a chunk at a time and each verified against its digest before any of it is given. Throws `blob_missing` and
   * `blob_corrupt`, which name the chunk in `details`; what came before is good.
   */
  read(range?: ByteRange): AsyncGenerator<Uint8Array>;
}

/** Opens a stored file over a blob store. Throws `blob_missing` when its list is not here, `blob_corrupt` when that is damaged. */
export async function openFile(blobs: Reading, file: StoredFile): Promise<OpenFile> {
  const { chunks: list, digest } = file;
  if (list === null) {
    // One blob, whatever its size: files of object rows may have 64 MiB.
    let whole: Uint8Array | undefined;
    const load = async (): Promise<Uint8Array> => (whole ??= await chunk(blobs, digest, file.size));
    const size = file.size ?? (await load()).length;
    return {
      size,
      async *read(range = { start: 0, end: size }) {
        for (const _checked of planChunks(size, range)) break;
        const bytes = (await load()).subarray(range.start, range.end);
        whole = undefined;
        if (bytes.length > 0) yield bytes;
      },
    };
  }
  const bytes = await blobs.read(list);
  if (bytes === undefined) throw missing(list);
  const { size, chunks } = decodeChunkList(bytes, file.size ?? undefined);
  return {
    size,
    async *read(range) {
      for (const part of planChunks(size, range)) {
        const whole = await chunk(blobs, chunks[part.index]!, part.size);
        if (part.to > part.from) yield whole.subarray(part.from, part.to);
      }
    },
  };
}

/** The bytes of a stored file, or of a range of it. See `OpenFile.read`. */
export async function* readFile(blobs: Reading, file: StoredFile, range?: ByteRange): AsyncGenerator<Uint8Array> {
  yield* (await openFile(blobs, file)).read(range);
}

/** A whole read of a blob store has checked the digest; the size is checked here, as an entry may lie. */
async function chunk(blobs: Reading, digest: BlobDigest, size: number | null): Promise<Uint8Array> {
  const bytes = await blobs.read(digest);
  if (bytes === undefined) throw missing(digest);
  if (size !== null && bytes.length !== size) {
    throw new FieldbookError('blob_corrupt', `Blob ${digest} has ${bytes.length} bytes where the file says ${size}.`, {
      details: { digest },
    });
  }
  return bytes;
}

function missing(digest: BlobDigest): FieldbookError {
  return new FieldbookError('blob_missing', `The blob ${digest} of this file is not here.`, { details: { digest } });
}
