import * as Y from 'yjs';
import { RunDocument } from '../documents/index.ts';
import type { AttributePath, DeviceId, DocumentName, WriterId } from '../ids.ts';
import { runDocumentName } from '../ids.ts';
import type { RunId } from '../ids.ts';
import type { BlobDigest } from '../ports.ts';
import type { FileEntry, ObjectsEntry, SegmentEntry } from '../record/index.ts';
import { encodeRecord } from '../record/index.ts';
import type { Replica } from '../replica/index.ts';

const writer = '01kf000000000000000000000a' as WriterId;
/** The device that these entries are of. */
export const entryDevice = 'd000000000000000000000001' as DeviceId;
const device = entryDevice;
let ordinal = 0;

/** Entries of run documents that name blobs, each under a key of its own. */
export const entryOf = {
  segment: (digest: BlobDigest, levels: readonly BlobDigest[] = []): SegmentEntry => {
    const first = ordinal++;
    return {
      kind: 'segment',
      writer,
      device,
      first,
      last: first,
      digest,
      size: 1,
      points: 1,
      startTime: 0,
      endTime: 0,
      levels: levels.map((level) => ({ factor: 64, digest: level, size: 1 })),
      extra: {},
    };
  },
  objects: (digest: BlobDigest, files: readonly BlobDigest[] = []): ObjectsEntry => {
    const first = ordinal++;
    return {
      kind: 'objects',
      writer,
      device,
      first,
      last: first,
      digest,
      size: 1,
      rows: 1,
      startTime: 0,
      endTime: 0,
      paths: [],
      files: [...files].sort(),
      extra: {},
    };
  },
  file: (digest: BlobDigest, chunks: BlobDigest | null, size: number): FileEntry => ({
    kind: 'file',
    writer,
    device,
    ordinal: ordinal++,
    place: null,
    path: 'model' as AttributePath,
    name: 'model',
    size,
    time: 1,
    modified: null,
    fileKind: 'file',
    mime: null,
    meta: null,
    travel: null,
    digest,
    chunks,
    spool: null,
    expected: null,
    source: null,
    failure: null,
    extra: {},
  }),
};

/** An update of a run document with an entry of a kind that this program does not know. */
export function fromNewerVersion(): Uint8Array {
  const doc = new Y.Doc();
  doc.getMap('entries').set(`tensor/${writer}/${device}/0`, encodeRecord({ k: 'tensor', w: writer, d: device }));
  return Y.encodeStateAsUpdate(doc);
}

/** Adds entries to the document of a run. */
export async function putEntries(
  replica: Replica,
  run: string,
  ...entries: readonly (SegmentEntry | ObjectsEntry | FileEntry)[]
): Promise<DocumentName> {
  const name = runDocumentName(run as RunId);
  await replica.transact(name, (doc) => {
    const document = new RunDocument(doc);
    for (const entry of entries) {
      if (entry.kind === 'segment') document.putSegment(entry);
      else if (entry.kind === 'objects') document.putObjects(entry);
      else document.putFile(entry);
    }
  });
  return name;
}
