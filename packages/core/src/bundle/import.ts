import { RunDocument } from '../documents/index.ts';
import { asFieldbookError, FieldbookError, isFieldbookError } from '../errors.ts';
import { decodeChunkList, pointBlobs, storedFiles } from '../files/index.ts';
import type { DocumentName, ProjectId, RunId } from '../ids.ts';
import { parseDocumentName, WORKSPACE_DOCUMENT } from '../ids.ts';
import type { BlobDigest, BlobStore } from '../ports.ts';
import { documentLimit } from '../replica/admission.ts';
import { OpenDocument } from '../replica/open-document.ts';
import type { Replica } from '../replica/replica.ts';
import type { BlobArrival } from '../replication/blob-arrival.ts';
import type { Carried } from '../repair/carry-over.ts';
import { carryOver } from '../repair/carry-over.ts';
import { compareCards } from '../fold/index.ts';
import { collectedBook, heldRecords } from './collection.ts';
import { bestCard, cardOf, editRun } from './export.ts';
import type { BundlePlatform, DocumentPart, RecordGroup } from './format.ts';
import type { BundleManifest } from './manifest.ts';
import { readBundle } from './reader.ts';
import type { BundleSignature } from './signature.ts';

/** Where a bundle is taken in: a replica with its blobs, or a browser's documents, which judge updates by the same rules. */
export interface BundleTarget {
  replica: Pick<Replica, 'list' | 'read' | 'info' | 'transact' | 'apply'> & Partial<Pick<Replica, 'adopt'>>;
  blobs: Pick<BlobStore, 'read' | 'stat' | 'write'>;
  /** Whether people have purged the run, as far as it is known here now. */
  isPurged(run: RunId, project?: ProjectId): Promise<boolean>;
  /** Whether rebuilt documents are taken from bundles in the place of those here. */
  rebuilds?: boolean;
}

/** What became of a bundle, or of as much of it as has been read. */
export interface BundleImport {
  manifest: BundleManifest | null;
  /** Whose signature holds for all of it; null while that is not read, and of a bundle without one. */
  signer: BundleSignature | null;
  /** Bytes of the bundle read. */
  bytes: number;
  /** Documents read, those that brought something new, and those not taken in because their run is purged here. */
  documents: number;
  changed: number;
  purged: number;
  /** Documents that this replica does not take, and why. */
  refused: { name: string; code: string; message: string }[];
  /** Single records that were new, and those that were here already or are older than what is. */
  added: number;
  known: number;
  /** Blobs stored, blobs that were here, and blobs that nothing here names. */
  blobs: number;
  blobBytes: number;
  present: number;
  unwanted: number;
  /** Blobs for which there was no room; the rest of the bundle is in. Only where the target says so by `disk_full`. */
  noRoom: number;
}

export interface ImportOptions {
  onProgress?(so: BundleImport): void;
  /** Told what comes, for who hands blobs on. */
  arrival?: BlobArrival | undefined;
  /** Thrown in between two pieces, when somebody wants no more. */
  cancelled?(): boolean;
  /** A full disk ends blobs, not documents: what a browser does. A machine stops. */
  toleratesFullDisk?: boolean;
}

/** Applies under way at once: they share a write to the disk. */
const AT_ONCE = 64;
const AT_ONCE_BYTES = 32 * 1024 * 1024;
/** Refusals that are told one by one. */
const REFUSALS_MAX = 1_000;
/** Who changed documents here. */
export const BUNDLE_ORIGIN = 'bundle';

/**
 * Takes a bundle in, piece by piece as it is read: what is whole is kept whatever comes after, and the same bundle again changes
 * nothing. Every document passes admission as from any other replica, and one that is refused holds nothing else up. Throws what
 * `readBundle` throws and what ends a store (`disk_full`, …), with what was taken in under `details.imported`; `closed` when cancelled.
 */
export async function importBundle(
  platform: BundlePlatform,
  target: BundleTarget,
  chunks: AsyncIterable<Uint8Array>,
  options: ImportOptions = {},
): Promise<BundleImport> {
  const so: BundleImport = {
    manifest: null,
    signer: null,
    bytes: 0,
    documents: 0,
    changed: 0,
    purged: 0,
    refused: [],
    added: 0,
    known: 0,
    blobs: 0,
    blobBytes: 0,
    present: 0,
    unwanted: 0,
    noRoom: 0,
  };
  const work = new Import(target, so, options);
  try {
    const counted = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of chunks) {
        so.bytes += chunk.length;
        yield chunk;
        options.onProgress?.(so);
      }
    };
    for await (const piece of readBundle(platform, counted())) {
      if (options.cancelled?.() === true) throw new FieldbookError('closed', 'The import was stopped.');
      switch (piece.kind) {
        case 'manifest':
          so.manifest = piece.manifest;
          break;
        case 'records':
          await work.records(piece.group);
          break;
        case 'document':
          await work.document(piece.part);
          break;
        case 'blob':
          await work.blob(piece.digest, piece.bytes);
          break;
        case 'signature':
          so.signer = piece.signature;
          break;
        case 'end':
          await work.settled();
      }
      options.onProgress?.(so);
    }
    return so;
  } catch (error) {
    await work.settled().catch(() => undefined);
    throw told(asFieldbookError(error), so);
  } finally {
    // Those that were here too: an earlier import of them may have been cut short.
    options.arrival?.end(so.blobs + so.present > 0);
  }
}

/** The same failure, saying what is in and that nothing is lost by doing it again. */
function told(error: FieldbookError, so: BundleImport): FieldbookError {
  const some = so.changed + so.added + so.blobs > 0;
  const words = some
    ? ' What came before that is taken in, each record whole; import the bundle again for the rest, nothing is doubled.'
    : ' Nothing was changed.';
  return new FieldbookError(error.code, `${error.message}${words}`, {
    cause: error,
    details: { ...error.details, imported: { ...so, manifest: null, signer: null } },
  });
}

class Import {
  readonly #target: BundleTarget;
  readonly #so: BundleImport;
  readonly #options: ImportOptions;
  /** The last apply of each document, so that its parts go in in order. */
  readonly #applying = new Map<DocumentName, Promise<void>>();
  readonly #refused = new Set<DocumentName>();
  readonly #changed = new Set<DocumentName>();
  readonly #seen = new Set<DocumentName>();
  /** Run documents of the bundle. */
  readonly #runs = new Set<DocumentName>();
  readonly #others = new Map<DocumentName, { generation: number; updates: Uint8Array[]; bytes: number }>();
  #bytesUnderWay = 0;
  #failure: unknown;
  /** What the run documents of this bundle name; made when the first blob comes. */
  #wanted: Set<BlobDigest> | undefined;
  #lists: Map<BlobDigest, number | null> | undefined;
  #full = false;
  /** What is told of the blobs that come is durable. */
  #isKept = false;

  constructor(target: BundleTarget, so: BundleImport, options: ImportOptions) {
    this.#target = target;
    this.#so = so;
    this.#options = options;
  }

  async document({ name: text, generation, update }: DocumentPart): Promise<void> {
    const name = text as DocumentName;
    if (!this.#seen.has(name)) {
      this.#seen.add(name);
      this.#so.documents += 1;
    }
    if (this.#refused.has(name)) return;
    const parsed = this.#parse(name);
    if (parsed === undefined) return;
    // Books come first, so a purge that the bundle itself brings holds too.
    if (parsed.kind === 'run') {
      await this.#booksSettled();
      if (await this.#target.isPurged(parsed.run)) {
        this.#refused.add(name);
        this.#so.purged += 1;
        return;
      }
      this.#runs.add(name);
      this.#options.arrival?.expect(name);
    }
    while (this.#applying.size >= AT_ONCE || this.#bytesUnderWay > AT_ONCE_BYTES)
      await Promise.race(this.#applying.values());
    if (this.#failure !== undefined) throw this.#failure;
    this.#bytesUnderWay += update.length;
    const before = this.#applying.get(name) ?? Promise.resolve();
    const after: Promise<void> = before
      .then(() => this.#apply(name, generation, update))
      .catch((error: unknown) => this.#refuse(name, error))
      .finally(() => {
        this.#bytesUnderWay -= update.length;
        if (this.#applying.get(name) === after) this.#applying.delete(name);
      });
    this.#applying.set(name, after);
  }

  async records({ document, records }: RecordGroup): Promise<void> {
    const name = document as DocumentName;
    const parsed = this.#parse(name);
    if (parsed === undefined) return;
    try {
      if (parsed.kind === 'workspace') await this.#directory(records);
      else if (parsed.kind === 'book' && name === collectedBook(parsed.project))
        await this.#collect(parsed.project, name, records);
      else throw new FieldbookError('update_forbidden_content', `Single records of ${name} cannot be taken in.`);
    } catch (error) {
      this.#refuse(name, error);
      if (this.#failure !== undefined) throw this.#failure;
    }
  }

  async blob(digest: BlobDigest, bytes: Uint8Array): Promise<void> {
    await this.settled();
    await this.#learn();
    if (!this.#wanted!.has(digest)) {
      this.#so.unwanted += 1;
      return;
    }
    if (!this.#isKept) {
      await this.#options.arrival?.keep();
      this.#isKept = true;
    }
    const { blobs } = this.#target;
    if ((await blobs.stat(digest)) !== undefined) this.#so.present += 1;
    else if (this.#full) {
      this.#so.noRoom += 1;
      return;
    } else if (!(await this.#store(digest, bytes))) return;
    const size = this.#lists!.get(digest);
    if (size !== undefined) this.#chunksOf(bytes, size);
  }

  /** Waits for what is being applied. Throws what ends the import. */
  async settled(): Promise<void> {
    await Promise.all(this.#applying.values());
    await this.#settleOthers();
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #store(digest: BlobDigest, bytes: Uint8Array): Promise<boolean> {
    try {
      await this.#target.blobs.write(bytes, digest);
    } catch (error) {
      if (isFieldbookError(error, 'blob_corrupt')) {
        this.#tell(`blob ${digest}`, error);
        return false;
      }
      if (this.#options.toleratesFullDisk !== true || !isFieldbookError(error, 'disk_full')) throw error;
      this.#full = true;
      this.#so.noRoom += 1;
      return false;
    }
    this.#so.blobs += 1;
    this.#so.blobBytes += bytes.length;
    return true;
  }

  async #booksSettled(): Promise<void> {
    for (const [name, applying] of this.#applying) if (!name.startsWith('run/')) await applying;
    await this.#settleOthers('book/');
  }

  async #apply(name: DocumentName, generation: number, update: Uint8Array): Promise<void> {
    const { replica, rebuilds = false } = this.#target;
    if (this.#refused.has(name)) return;
    const ours = (await replica.info(name))?.generation ?? 0;
    if (generation < ours || (generation > ours && rebuilds && replica.adopt !== undefined)) {
      // All of it is needed first: the parts of a rebuilt document may not show one by one.
      const parts = this.#others.get(name) ?? { generation, updates: [], bytes: 0 };
      this.#others.set(name, parts);
      parts.updates.push(update);
      parts.bytes += update.length;
      if (parts.bytes <= documentLimit(name)) return;
    }
    if (ours !== generation)
      throw new FieldbookError(
        'generation_mismatch',
        `${name} was rebuilt where the bundle was made (generation ${generation} there, ${ours} here), and is not taken in ` +
          'unasked. From somebody whom you trust, "fieldbook bundle import --rebuilt" takes it, and "repair --from" this document alone.',
      );
    const commit = await replica.apply(name, update, BUNDLE_ORIGIN);
    if (commit === undefined || this.#changed.has(name)) return;
    this.#changed.add(name);
    this.#so.changed += 1;
  }

  /** Documents of other generations than ours, now that they are whole. */
  async #settleOthers(which = ''): Promise<void> {
    const { replica } = this.#target;
    for (const [name, { generation, updates }] of this.#others) {
      if (!name.startsWith(which)) continue;
      this.#others.delete(name);
      if (this.#refused.has(name)) continue;
      try {
        const ours = await replica.info(name);
        if (ours !== undefined && ours.generation > generation) {
          await this.#addOld(name, generation, updates);
          continue;
        }
        await replica.adopt!(name, { generation, updates });
        this.#so.changed += 1;
      } catch (error) {
        this.#refuse(name, error);
      }
    }
  }

  /** A document of before it was rebuilt here: the records that the rebuilding did not know. */
  async #addOld(name: DocumentName, generation: number, updates: readonly Uint8Array[]): Promise<void> {
    const old = new OpenDocument(name, [], 0);
    try {
      for (const update of updates) old.apply(update, () => old.doc.clientID, true);
      let carried: Carried = { added: 0, removed: 0 };
      await this.#target.replica.transact(name, (doc) => {
        carried = carryOver(name, old.doc, doc, { generation, device: null });
      });
      this.#so.added += carried.added;
      if (carried.added > 0) this.#so.changed += 1;
    } finally {
      old.destroy();
    }
  }

  /** What the workspace's directory lists: only what is not there, so that no title is changed back. */
  async #directory(records: RecordGroup['records']): Promise<void> {
    await this.#target.replica.transact(WORKSPACE_DOCUMENT, (doc) => {
      for (const { map, key, bytes } of records) {
        if (map !== 'books' && map !== 'devices') continue;
        const held = doc.getMap<Uint8Array>(map);
        if (held.has(key)) this.#so.known += 1;
        else {
          held.set(key, bytes);
          this.#so.added += 1;
        }
      }
    });
  }

  /** Cards and edits of single runs: edits that no book has, cards that are better than those here. */
  async #collect(project: ProjectId, name: DocumentName, records: RecordGroup['records']): Promise<void> {
    const runs = new Set<RunId>();
    for (const { map, key, bytes } of records) {
      const run = map === 'cards' ? (key.slice(0, key.indexOf('/')) as RunId) : editRun(bytes)?.run;
      if (run !== undefined) runs.add(run);
    }
    const { replica, isPurged } = this.#target;
    const held = await heldRecords(
      replica,
      project,
      (run) => runs.has(run),
      (bytes) => editRun(bytes)?.run,
    );
    const fresh: { map: string; key: string; bytes: Uint8Array }[] = [];
    for (const record of records) {
      const { map, key, bytes } = record;
      if (map === 'edits' ? !held.edits.has(key) : map === 'cards' && isBetter(bytes, held.cards.get(key)))
        fresh.push(record);
      else this.#so.known += 1;
    }
    if (fresh.length === 0) return;
    // A purged run's card is harmless, but nothing of it is to arrive again.
    const taken: typeof fresh = [];
    for (const record of fresh) {
      const run = record.key.slice(0, record.key.indexOf('/')) as RunId;
      const purged = record.map === 'cards' && (await isPurged(run, project));
      if (!purged) taken.push(record);
    }
    await replica.transact(name, (doc) => {
      for (const { map, key, bytes } of taken) doc.getMap<Uint8Array>(map).set(key, bytes);
    });
    this.#so.added += taken.length;
  }

  /** The blobs that the run documents of this bundle name here, now that they are in. */
  async #learn(): Promise<void> {
    if (this.#wanted !== undefined) return;
    this.#wanted = new Set();
    this.#lists = new Map();
    const { replica, blobs } = this.#target;
    for (const name of this.#runs) {
      if (this.#refused.has(name)) continue;
      const { points, files } = await replica.read(name, (doc) =>
        new RunDocument(doc).isCleared
          ? { points: [], files: [] }
          : { points: pointBlobs(doc), files: storedFiles(doc) },
      );
      for (const digest of points) this.#wanted.add(digest);
      for (const { digest, chunks, size } of files) {
        this.#wanted.add(chunks ?? digest);
        if (chunks === null) continue;
        this.#lists.set(chunks, size);
        const list = await blobs.read(chunks).catch(ifCorrupt);
        if (list !== undefined) this.#chunksOf(list, size);
      }
    }
  }

  #chunksOf(list: Uint8Array, size: number | null): void {
    try {
      for (const chunk of decodeChunkList(list, size ?? undefined).chunks) this.#wanted!.add(chunk);
    } catch (error) {
      if (!isFieldbookError(error, 'blob_corrupt')) throw error;
    }
  }

  #parse(name: DocumentName): ReturnType<typeof parseDocumentName> | undefined {
    try {
      return parseDocumentName(name);
    } catch (error) {
      this.#refuse(name, error);
      return undefined;
    }
  }

  #refuse(name: DocumentName, thrown: unknown): void {
    const error = asFieldbookError(thrown);
    if (['disk_full', 'storage_failed', 'store_closed', 'closed', 'internal'].includes(error.code)) {
      this.#failure ??= error;
      return;
    }
    if (this.#refused.has(name)) return;
    this.#refused.add(name);
    this.#tell(name, error);
  }

  #tell(name: string, { code, message }: FieldbookError): void {
    if (this.#so.refused.length < REFUSALS_MAX) this.#so.refused.push({ name: name.slice(0, 256), code, message });
  }
}

function isBetter(bytes: Uint8Array, held: readonly Uint8Array[] | undefined): boolean {
  const card = cardOf(bytes);
  const best = bestCard(held ?? []);
  // One that this program cannot read is kept for those that can, if there is none.
  if (card === undefined) return held === undefined;
  return best === undefined || compareCards(card, best.card) > 0;
}

function ifCorrupt(error: unknown): undefined {
  if (isFieldbookError(error, 'blob_corrupt')) return undefined;
  throw error;
}
