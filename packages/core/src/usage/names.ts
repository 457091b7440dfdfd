import type * as Y from 'yjs';
import { RunDocument } from '../documents/index.ts';
import { isFieldbookError } from '../errors.ts';
import type { StoredFile } from '../files/index.ts';
import { blobsOf } from '../files/index.ts';
import type { DocumentName, RunId } from '../ids.ts';
import { parseDocumentName } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { BlobDigest, BlobStore } from '../ports.ts';
import type { Entry, Value } from '../record/index.ts';
import { decodeEntry, decodeRecord, isDigest, unpackDigests } from '../record/index.ts';
import type { Replica } from '../replica/replica.ts';
import { readStates } from './aside-states.ts';

/** What the blobs of a run are for. */
export const BLOB_KINDS = ['points', 'objects', 'files'] as const;
export type BlobKind = (typeof BLOB_KINDS)[number];

/** The blobs that one run names. */
export interface RunNames extends Record<BlobKind, BlobDigest[]> {
  run: RunId;
  /** Parts that cannot be read, as they are damaged or of a newer version: they may name anything. */
  unreadable: number;
}

/** What is read in a document, synchronously. */
interface Named {
  points: BlobDigest[];
  objects: BlobDigest[];
  stored: StoredFile[];
  /** By names that this program knows nothing of. */
  others: BlobDigest[];
  unreadable: number;
}

/**
 * The blobs that each run names, one run at a time in the order of their names. Reads every run document: nothing is held but
 * one run's names. `pause` is called before each.
 */
export async function* namedByRuns(
  replica: Pick<Replica, 'list' | 'read'>,
  blobs: Pick<BlobStore, 'read'>,
  pause: () => Promise<void>,
): AsyncGenerator<RunNames> {
  for await (const { name, quarantined } of replica.list('run/')) {
    const run = runOf(name);
    if (run === undefined) continue;
    await pause();
    yield { run, ...(quarantined ? UNREADABLE : await namedIn(replica, blobs, name)) };
  }
}

/** The blobs that one run document names. */
export async function namedIn(
  replica: Pick<Replica, 'read'>,
  blobs: Pick<BlobStore, 'read'>,
  name: DocumentName,
): Promise<Omit<RunNames, 'run'>> {
  // Damage that nobody has met yet is met by this reading.
  const named = await orDamaged(replica.read(name, read));
  return named === undefined ? UNREADABLE : withChunks(named, blobs);
}

/**
 * Of these blobs, those that run documents other than `except` name, as they are or as they were before they were put aside. All of
 * them while a document cannot be read, for it may name anything. One pass over every run document, however many are asked about;
 * `changed`, into which somebody notes what changes meanwhile, is looked at again behind it.
 */
export async function namedElsewhere(
  replica: Pick<Replica, 'list' | 'read' | 'asides' | 'asideParts'>,
  blobs: Pick<BlobStore, 'read'>,
  candidates: ReadonlySet<BlobDigest>,
  except: ReadonlySet<DocumentName>,
  changed: Set<DocumentName>,
): Promise<Set<BlobDigest>> {
  const named = new Set<BlobDigest>();
  const take = (names: Omit<RunNames, 'run'>): void => {
    for (const kind of BLOB_KINDS) for (const digest of names[kind]) if (candidates.has(digest)) named.add(digest);
  };
  for await (const { name, quarantined } of replica.list('run/')) {
    if (except.has(name)) continue;
    const names = quarantined ? UNREADABLE : await namedIn(replica, blobs, name);
    if (names === UNREADABLE) return new Set(candidates);
    take(names);
    for await (const state of readStates(replica, runOf(name)!)) take(await namesOf(state, blobs));
  }
  for (const name of changed) {
    changed.delete(name);
    if (except.has(name)) continue;
    const names = await namedIn(replica, blobs, name);
    if (names === UNREADABLE) return new Set(candidates);
    take(names);
  }
  return named;
}

const UNREADABLE: Omit<RunNames, 'run'> = { points: [], objects: [], files: [], unreadable: 1 };

/** As `namedByRuns`, of a document in memory. */
export async function namesOf(doc: Y.Doc, blobs: Pick<BlobStore, 'read'>): Promise<Omit<RunNames, 'run'>> {
  return withChunks(read(doc), blobs);
}

function read(doc: Y.Doc): Named {
  const named: Named = { points: [], objects: [], stored: [], others: [], unreadable: 0 };
  for (const [key, bytes] of doc.getMap<Uint8Array>('entries').entries()) {
    // What a purge has left to be removed.
    if (RunDocument.isPurgeNote(key)) continue;
    const entry = decoded(bytes);
    if (entry !== undefined) note(entry, named);
    else {
      named.unreadable += 1;
      named.others.push(...digestsOfUnknown(bytes));
    }
  }
  return named;
}

function note(entry: Entry, named: Named): void {
  named.others.push(...digestsIn(entry.extra));
  switch (entry.kind) {
    case 'segment':
      named.points.push(entry.digest, ...entry.levels.map((level) => level.digest));
      return;
    case 'objects':
      named.objects.push(entry.digest, ...entry.files);
      return;
    case 'objecttail':
      for (const { digest } of entry.rows) if (digest !== '') named.objects.push(digest);
      return;
    case 'file':
      if (entry.digest !== null) named.stored.push({ digest: entry.digest, chunks: entry.chunks, size: entry.size });
      if (entry.expected !== null) named.others.push(entry.expected);
      return;
    default:
  }
}

async function withChunks(named: Named, blobs: Pick<BlobStore, 'read'>): Promise<Omit<RunNames, 'run'>> {
  const { points, objects, stored, others } = named;
  const files: BlobDigest[] = [...others];
  let { unreadable } = named;
  for (const file of stored) {
    const held = await blobsOf(blobs, file).catch((error: unknown) => {
      if (!isFieldbookError(error, 'blob_corrupt')) throw error;
      unreadable += 1;
      return undefined;
    });
    for (const digest of held ?? [file.chunks ?? file.digest]) files.push(digest);
  }
  return { points, objects, files, unreadable };
}

/** Whatever looks like a digest in fields of a newer version. */
function* digestsIn(value: Value): Generator<BlobDigest> {
  if (isDigest(value)) yield value;
  else if (value instanceof Uint8Array) {
    if (value.length > 0 && value.length % 32 === 0) yield* unpackDigests(value);
  } else if (Array.isArray(value)) for (const each of value) yield* digestsIn(each);
  else if (typeof value === 'object' && value !== null) for (const each of Object.values(value)) yield* digestsIn(each);
}

/** A record of a newer kind names what looks like a digest in it, and perhaps more. */
function digestsOfUnknown(bytes: Uint8Array): BlobDigest[] {
  try {
    return [...digestsIn(decodeRecord(bytes, LIMITS.entryBytes) ?? null)];
  } catch (error) {
    if (isFieldbookError(error)) return [];
    throw error;
  }
}

function decoded(bytes: Uint8Array): Entry | undefined {
  try {
    return decodeEntry(bytes);
  } catch (error) {
    if (isFieldbookError(error)) return undefined;
    throw error;
  }
}

function runOf(name: DocumentName): RunId | undefined {
  const parsed = parseDocumentName(name);
  return parsed.kind === 'run' ? parsed.run : undefined;
}

async function orDamaged<T>(reading: Promise<T>): Promise<T | undefined> {
  return reading.catch((error: unknown) => {
    if (isFieldbookError(error, 'document_quarantined')) return undefined;
    throw error;
  });
}
