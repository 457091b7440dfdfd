import type { BlobDigest, BlobStore, Clock, DeviceId } from '@fieldbook/core';
import { isFieldbookError } from '@fieldbook/core';
import type { BlobCheck, BlobRepair, Incomplete } from '@fieldbook/core/api';
import type { FileBlobStore } from '@fieldbook/core/blobs';
import { RunDocument } from '@fieldbook/core/documents';
import { blobsOf, storedFiles } from '@fieldbook/core/files';
import type { Replica } from '@fieldbook/core/replica';
import { EVICTED_PREFIX } from './evict.ts';

export interface BlobCareOptions {
  replica: Replica;
  blobs: FileBlobStore;
  /** As `blobs`, but reading asks other replicas for what is not here. */
  fetching: BlobStore;
  device: DeviceId;
  clock: Clock;
}

/** One request answers after so long, so that whoever asks can show how far it is. */
const BUDGET_MS = 2_000;
/** A write takes seconds at most: what has lain in `tmp` for an hour was left by a crash. */
const STRAY_MS = 60 * 60_000;

/** Reads and hashes blobs in the order of their digests, from behind `after` on, for a while; `next` is null at the end. */
export async function checkBlobs({ blobs, clock }: BlobCareOptions, after: string): Promise<BlobCheck> {
  const corrupt: BlobDigest[] = [];
  const deadline = clock.now() + BUDGET_MS;
  let checked = 0;
  let bytes = 0;
  for await (const { digest, size } of blobs.list({ after })) {
    checked++;
    bytes += size;
    try {
      await blobs.read(digest);
    } catch (error) {
      // A disk that cannot read it holds it no better than one that has changed it.
      if (!isFieldbookError(error) && (error as NodeJS.ErrnoException).code !== 'EIO') throw error;
      corrupt.push(digest);
    }
    if (clock.now() >= deadline) return { checked, bytes, corrupt, next: digest };
  }
  return { checked, bytes, corrupt, next: null };
}

/**
 * Files and segments that ought to be here and are not: of which a part is here, or which this device stored and nobody evicted.
 * What other machines have and this one never had is not missing.
 */
export async function findIncomplete({ replica, blobs, device }: BlobCareOptions): Promise<Incomplete[]> {
  const found: Incomplete[] = [];
  const isEvicted = async (blob: BlobDigest): Promise<boolean> =>
    (await replica.getPrivate(`${EVICTED_PREFIX}${blob}`)) !== undefined;
  for await (const { name, quarantined } of replica.list('run/')) {
    if (quarantined) continue;
    const run = name.slice('run/'.length);
    const { files, segments } = await replica.read(name, (doc) => ({
      files: storedFiles(doc),
      segments: [...new RunDocument(doc).segments()].filter((segment) => segment.device === device),
    }));
    for (const file of files) {
      const named = await blobsOf(blobs, file).catch((error: unknown) => {
        if (isFieldbookError(error, 'blob_corrupt')) return undefined;
        throw error;
      });
      const needed = named ?? [file.chunks ?? file.digest];
      const missing: BlobDigest[] = [];
      for (const blob of needed) {
        if ((await blobs.stat(blob)) === undefined && !(await isEvicted(blob))) missing.push(blob);
      }
      const isOurs = file.device === device || missing.length < needed.length;
      if (missing.length > 0 && isOurs) found.push({ run, path: file.path, missing });
    }
    const missing: BlobDigest[] = [];
    for (const { digest } of segments) {
      if ((await blobs.stat(digest)) === undefined && !(await isEvicted(digest))) missing.push(digest);
    }
    if (missing.length > 0) found.push({ run, path: '(points)', missing });
  }
  return found;
}

/** Sets damaged blobs aside and fetches these from other replicas; sweeps what crashes left of writes. */
export async function repairBlobs(
  { blobs, fetching, clock }: BlobCareOptions,
  digests: readonly BlobDigest[],
): Promise<BlobRepair> {
  const repaired: BlobDigest[] = [];
  const failed: BlobDigest[] = [];
  let setAside = 0;
  for (const digest of new Set(digests)) {
    if (await blobs.setAside(digest)) setAside++;
    const bytes = await fetching.read(digest);
    (bytes === undefined ? failed : repaired).push(digest);
  }
  return { repaired, failed, setAside, swept: await blobs.sweep(clock.now() - STRAY_MS) };
}
