import { RunDocument } from '../documents/index.ts';
import { isFieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import type { BlobDigest, BlobStore } from '../ports.ts';
import type { FileEntry } from '../record/index.ts';
import type { Replica } from '../replica/replica.ts';
import { blobsOf } from './content.ts';

type Doc = ConstructorParameters<typeof RunDocument>[0];

/** The blobs that the points of a run need: segments and their levels, object segments, and the files of object rows. */
export function pointBlobs(doc: Doc): BlobDigest[] {
  const document = new RunDocument(doc);
  const digests: BlobDigest[] = [];
  for (const { digest, levels } of document.segments()) digests.push(digest, ...levels.map((level) => level.digest));
  for (const { digest, files } of document.objects()) digests.push(digest, ...files);
  for (const { rows } of document.objectTails()) for (const { digest } of rows) if (digest !== '') digests.push(digest);
  return digests;
}

/** Entries of files whose bytes somebody has stored; removed versions are history and among them. `except`: keys of no interest. */
export function storedFiles(doc: Doc, except?: ReadonlySet<string>): (FileEntry & { digest: BlobDigest })[] {
  const stored = [];
  for (const entry of new RunDocument(doc).files(except))
    if (entry.digest !== null) stored.push({ ...entry, digest: entry.digest });
  return stored;
}

/**
 * Of these blobs, those that run documents other than `except` name: their points, files, and chunks of files. Reads every run
 * document, so it is for what happens rarely.
 */
export async function namedElsewhere(
  replica: Pick<Replica, 'list' | 'read'>,
  blobs: Pick<BlobStore, 'read'>,
  candidates: ReadonlySet<BlobDigest>,
  except: DocumentName,
): Promise<Set<BlobDigest>> {
  const named = new Set<BlobDigest>();
  for await (const { name, quarantined } of replica.list('run/')) {
    if (name === except) continue;
    // What cannot be read may name anything.
    if (quarantined) return new Set(candidates);
    const { points, files } = await replica.read(name, (doc) => ({ points: pointBlobs(doc), files: storedFiles(doc) }));
    for (const digest of points) if (candidates.has(digest)) named.add(digest);
    for (const file of files) {
      const held = await blobsOf(blobs, file).catch((error: unknown) => {
        if (isFieldbookError(error, 'blob_corrupt')) return undefined;
        throw error;
      });
      for (const digest of held ?? []) if (candidates.has(digest)) named.add(digest);
    }
  }
  return named;
}
