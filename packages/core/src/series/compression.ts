import { gunzip } from 'hyparquet-compressors/src/gzip.js';
import { FieldbookError } from '../errors.ts';

/** How bytes are likely to be: `plain` have repetitions worth looking for; `noise` has none, only bytes more usual than others. */
export type Texture = 'plain' | 'noise';

/**
 * A platform's GZIP for the pages of segments. Core has none that compresses: without it pages are Snappy, which every
 * reader opens too, and are a third larger.
 */
export interface PageCompressor {
  /** `effort`: `fast` while a backlog waits, `small` for what is written once and kept. */
  gzip(bytes: Uint8Array, texture: Texture, effort: 'fast' | 'small'): Promise<Uint8Array>;
}

/** Undoes GZIP. `size` is what the page's header promises. Throws anything on broken bytes. */
export type Gunzip = (bytes: Uint8Array, size: number) => Uint8Array;

/** Inflates in plain JavaScript, about 100 MB/s: what browsers use. */
export const portableGunzip: Gunzip = (bytes, size) => {
  const result = gunzip(bytes, new Uint8Array(size));
  if (result.length !== size)
    throw new FieldbookError('segment_corrupt', 'A page of a segment inflates to another size.');
  return result;
};
