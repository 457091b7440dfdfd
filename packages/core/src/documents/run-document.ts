import type * as Y from 'yjs';
import { isFieldbookError } from '../errors.ts';
import type { DeviceId } from '../ids.ts';
import type { BlobDigest } from '../ports.ts';
import type {
  CaptureEntry,
  Entry,
  FileEntry,
  ObjectsEntry,
  ObjectTailEntry,
  SegmentEntry,
  TailEntry,
  WriterEntry,
} from '../record/index.ts';
import {
  captureKey,
  decodeEntry,
  encodeEntry,
  fileKey,
  objectsKey,
  objectTailKey,
  packDigests,
  segmentKey,
  tailKey,
  unpackDigests,
  writerKey,
} from '../record/index.ts';

/** Keys under which `clear` notes blobs: by the first of each piece, so that pieces of several machines stand side by side. */
const PURGED = 'purged/';
/** Digests of one piece. */
const NOTED = 1_000;
/** Stands before digests of which none can stand first. */
const NO_BLOB = 'f'.repeat(64) as BlobDigest;

/** Typed access to a run document: one flat map of manifest entries. */
export class RunDocument {
  readonly #entries: Y.Map<Uint8Array>;

  constructor(doc: Y.Doc) {
    this.#entries = doc.getMap<Uint8Array>('entries');
  }

  /** True for the key of what `clear` has noted, which is no entry. */
  static isPurgeNote(key: string): boolean {
    return key.startsWith(PURGED);
  }

  /** Every entry that this program can read; others stay in the document untouched. */
  *entries(): Generator<[key: string, entry: Entry]> {
    for (const [key, bytes] of this.#entries.entries()) {
      const entry = key.startsWith(PURGED) ? undefined : read(bytes);
      if (entry !== undefined) yield [key, entry];
    }
  }

  /** All segments, or those that one device sealed of one writer. */
  *segments(of?: Pick<SegmentEntry, 'writer' | 'device'>): Generator<SegmentEntry> {
    const prefix = of === undefined ? 'segment/' : `segment/${of.writer}/${of.device}/`;
    for (const [, entry] of this.#withPrefix(prefix)) if (entry.kind === 'segment') yield entry;
  }

  *tails(): Generator<TailEntry> {
    for (const [, entry] of this.#withPrefix('tail/')) if (entry.kind === 'tail') yield entry;
  }

  *writers(): Generator<WriterEntry> {
    for (const [, entry] of this.#withPrefix('writer/')) if (entry.kind === 'writer') yield entry;
  }

  /** Every version of every file, pending ones and removals included; in no order. `except` names keys that need not be decoded again. */
  *files(except?: ReadonlySet<string>): Generator<FileEntry> {
    for (const [, entry] of this.#withPrefix('file/', except)) if (entry.kind === 'file') yield entry;
  }

  *objects(): Generator<ObjectsEntry> {
    for (const [, entry] of this.#withPrefix('objects/')) if (entry.kind === 'objects') yield entry;
  }

  *objectTails(): Generator<ObjectTailEntry> {
    for (const [, entry] of this.#withPrefix('objecttail/')) if (entry.kind === 'objecttail') yield entry;
  }

  *captures(): Generator<CaptureEntry> {
    for (const [, entry] of this.#withPrefix('capture/')) if (entry.kind === 'capture') yield entry;
  }

  get(key: string): Entry | undefined {
    const bytes = this.#entries.get(key);
    return bytes === undefined ? undefined : read(bytes);
  }

  putSegment(entry: SegmentEntry): void {
    this.#entries.set(segmentKey(entry), encodeEntry(entry));
  }

  /** `slot` numbers are reused, so that a long run's tail leaves few dead keys. */
  putTail(entry: TailEntry, slot: number): void {
    this.#entries.set(tailKey(entry.writer, entry.device, slot), encodeEntry(entry));
  }

  putWriter(entry: WriterEntry): void {
    this.#entries.set(writerKey(entry), encodeEntry(entry));
  }

  putFile(entry: FileEntry): void {
    this.#entries.set(fileKey(entry), encodeEntry(entry));
  }

  putObjects(entry: ObjectsEntry): void {
    this.#entries.set(objectsKey(entry), encodeEntry(entry));
  }

  /** `slot` numbers are reused, as those of tails. */
  putObjectTail(entry: ObjectTailEntry, slot: number | 'open'): void {
    this.#entries.set(objectTailKey(entry.writer, entry.device, slot), encodeEntry(entry));
  }

  putCapture(entry: CaptureEntry): void {
    this.#entries.set(captureKey(entry), encodeEntry(entry));
  }

  /** The devices that wrote in it. */
  devices(): Set<DeviceId> {
    const devices = new Set<DeviceId>();
    for (const key of this.#entries.keys()) {
      const device = key.split('/', 3)[2];
      if (device !== undefined) devices.add(device as DeviceId);
    }
    return devices;
  }

  remove(key: string): void {
    this.#entries.delete(key);
  }

  /**
   * Empties the document: what a purge leaves of a run. `blobs` are noted, for replicas that hear of the purge and of the emptying at
   * once and could not know any more what they may remove.
   */
  clear(blobs: readonly BlobDigest[] = []): void {
    this.#entries.clear();
    for (let at = 0; at < blobs.length; at += NOTED) {
      const piece = blobs.slice(at, at + NOTED);
      // The first byte of an entry is its version: 0 is none, and behind 1 would have to come a record.
      const head = piece.find((digest) => !/^0[01]/.test(digest)) ?? NO_BLOB;
      const noted = [head, ...piece.filter((digest) => digest !== head)];
      this.#entries.set(`${PURGED}${blobs[at]}`, packDigests(noted));
    }
  }

  /** What `clear` has noted. */
  purgedBlobs(): Set<BlobDigest> {
    const noted = new Set<BlobDigest>();
    for (const [key, bytes] of this.#entries.entries()) {
      if (!key.startsWith(PURGED) || !(bytes instanceof Uint8Array) || bytes.length % 32 !== 0) continue;
      for (const digest of unpackDigests(bytes)) noted.add(digest);
    }
    noted.delete(NO_BLOB);
    return noted;
  }

  /** True when nothing but what `clear` has noted is left. */
  get isCleared(): boolean {
    for (const key of this.#entries.keys()) if (!key.startsWith(PURGED)) return false;
    return true;
  }

  *#withPrefix(prefix: string, except?: ReadonlySet<string>): Generator<[string, Entry]> {
    for (const [key, bytes] of this.#entries.entries()) {
      if (!key.startsWith(prefix) || except?.has(key) === true) continue;
      const entry = read(bytes);
      if (entry !== undefined) yield [key, entry];
    }
  }
}

function read(bytes: Uint8Array): Entry | undefined {
  try {
    return decodeEntry(bytes);
  } catch (error) {
    if (isFieldbookError(error)) return undefined;
    throw error;
  }
}
