import { FieldbookError } from '../errors.ts';
import type { BlobDigest } from '../ports.ts';

const DIGEST = /^[0-9a-f]{64}$/;

export function isDigest(text: unknown): text is BlobDigest {
  return typeof text === 'string' && DIGEST.test(text);
}

/** Throws `invalid_id` unless `text` is a lower-case hex SHA-256. */
export function parseDigest(text: string): BlobDigest {
  if (!isDigest(text)) throw new FieldbookError('invalid_id', 'A digest must be 64 lower-case hexadecimal digits.');
  return text;
}

/** Digests as 32 bytes each, in the order given. */
export function packDigests(digests: readonly BlobDigest[]): Uint8Array {
  const bytes = new Uint8Array(digests.length * 32);
  digests.forEach((digest, index) => {
    for (let byte = 0; byte < 32; byte++) {
      bytes[index * 32 + byte] = Number.parseInt(digest.slice(byte * 2, byte * 2 + 2), 16);
    }
  });
  return bytes;
}

/** The digests that `packDigests` packed. Throws `record_malformed`. */
export function unpackDigests(bytes: Uint8Array): BlobDigest[] {
  if (bytes.length % 32 !== 0) throw new FieldbookError('record_malformed', 'A list of digests ends early.');
  const digests: BlobDigest[] = [];
  for (let start = 0; start < bytes.length; start += 32) {
    let digest = '';
    for (const byte of bytes.subarray(start, start + 32)) digest += byte.toString(16).padStart(2, '0');
    digests.push(digest as BlobDigest);
  }
  return digests;
}
