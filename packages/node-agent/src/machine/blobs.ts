import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import type { BlobStore } from '@fieldbook/core';
import { FileBlobStore } from '@fieldbook/core/blobs';
import { random } from './ports.ts';

/** A home's blobs; hashed by OpenSSL, five times as fast as the portable SHA-256. */
export function fileBlobs(root: string): BlobStore {
  return new FileBlobStore({
    fs,
    root,
    random,
    sha256: (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest()),
  });
}
