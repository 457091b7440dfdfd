import { createHash, webcrypto } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { FileBlobStore } from '@fieldbook/core/blobs';
import { random } from './ports.ts';

/** Below this, going to another thread and back takes longer than hashing. */
const SMALL = 64 * 1024;

/** A home's blobs. */
export function fileBlobs(root: string): FileBlobStore {
  return new FileBlobStore({ fs, root, random, sha256 });
}

/** SHA-256 by OpenSSL, of large blobs in Node's thread pool: a chunk of 8 MiB must not hold up whoever else waits for the agent. */
export async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  if (bytes.length <= SMALL) return new Uint8Array(createHash('sha256').update(bytes).digest());
  return new Uint8Array(await webcrypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
}
