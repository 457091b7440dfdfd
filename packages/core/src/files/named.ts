import { RunDocument } from '../documents/index.ts';
import type { BlobDigest } from '../ports.ts';
import type { FileEntry } from '../record/index.ts';

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
