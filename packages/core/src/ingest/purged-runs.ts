import { Book, clearNote, noteText, RunDocument } from '../documents/index.ts';
import { isFieldbookError } from '../errors.ts';
import { blobsOf, namedElsewhere, pointBlobs, storedFiles } from '../files/index.ts';
import type { DocumentName, ProjectId, RunId } from '../ids.ts';
import { noteDocumentName, parseDocumentName, runDocumentName, utf8 } from '../ids.ts';
import type { BlobDigest, BlobRemoval, BlobStore, Log } from '../ports.ts';
import { decodeEdit, packDigests, unpackDigests } from '../record/index.ts';
import type { Replica } from '../replica/replica.ts';

interface ProjectPurges {
  /** Edits already looked at, per book. */
  seen: Map<DocumentName, Set<string>>;
  dirty: Set<DocumentName>;
  runs: Set<RunId>;
  scanning: Promise<void> | undefined;
}

/** Blobs of an emptied document that are being removed. */
const PURGING_PREFIX = 'purging/';

/**
 * Which runs people have purged, and the sweeping up: when a purge arrives, or data of a purged run does, the run's
 * document and its note are emptied and its blobs are removed. Segments carry their writer's id, so no other run shares them; files, images and
 * chunks may be those of other runs too, and then stay.
 */
export class PurgedRuns {
  readonly #replica: Replica;
  readonly #blobs: Pick<BlobStore, 'read' | 'stat' | 'removal'>;
  readonly #log: Log | undefined;
  readonly #projects = new Map<ProjectId, ProjectPurges>();
  readonly #runs = new Set<RunId>();
  readonly #stop: () => void;
  #sweeping: Promise<void> = Promise.resolve();
  #closed = false;

  readonly #keepDocuments: boolean;

  /**
   * `keepDocuments`: take blobs only and leave emptying to the machines that ingest. A relay that emptied a document would send that to
   * machines which have not looked yet what blobs it names.
   */
  constructor(
    replica: Replica,
    blobs: Pick<BlobStore, 'read' | 'stat' | 'removal'>,
    log?: Log,
    { keepDocuments = false }: { keepDocuments?: boolean } = {},
  ) {
    this.#keepDocuments = keepDocuments;
    this.#replica = replica;
    this.#blobs = blobs;
    this.#log = log;
    this.#stop = replica.onCommit(({ name, origin }) => this.#changed(name, origin));
  }

  /** True when an edit of any of the project's books purges the run. Reads the books of a project once. */
  async has(run: RunId, project: ProjectId): Promise<boolean> {
    const purges = await this.#project(project);
    await this.#scan(purges);
    return purges.runs.has(run);
  }

  /** Looks at the books of every project, for who takes nothing in and would not ask. Never rejects. */
  async scanAll(): Promise<void> {
    try {
      const projects = new Set<ProjectId>();
      for await (const { name } of this.#replica.list('book/')) {
        const parsed = parseDocumentName(name);
        if (parsed.kind === 'book') projects.add(parsed.project);
      }
      for (const project of projects) if (!this.#closed) await this.#scan(await this.#project(project));
    } catch (error) {
      this.#log?.warn('purges_unread', { error: String(error) });
    }
  }

  /** Resolves when everything purged so far is swept up. */
  async settled(): Promise<void> {
    for (const purges of this.#projects.values()) await purges.scanning;
    await this.#sweeping;
  }

  /** Finishes removals that the end of an earlier process cut short. */
  resume(): void {
    const finish = async (): Promise<void> => {
      const left: [string, Uint8Array][] = [];
      for await (const entry of this.#replica.listPrivate(PURGING_PREFIX)) left.push(entry);
      for (const [mark, bytes] of left) {
        const digests = new Set(unpackDigests(bytes));
        const run = runDocumentName(mark.slice(PURGING_PREFIX.length) as RunId);
        const removal = this.#blobs.removal();
        try {
          // A run that was made since may have the same file.
          for (const digest of await namedElsewhere(this.#replica, this.#blobs, digests, run)) digests.delete(digest);
          await this.#remove(removal, mark, digests);
        } finally {
          removal.end();
        }
      }
    };
    this.#sweeping = this.#sweeping
      .then(finish)
      .catch((error: unknown) => this.#log?.warn('purge_unfinished', { error: String(error) }));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stop();
    await this.settled();
  }

  #changed(name: DocumentName, origin: unknown): void {
    const parsed = parseDocumentName(name);
    if ((parsed.kind === 'run' || parsed.kind === 'note') && origin !== 'local' && this.#runs.has(parsed.run))
      this.#sweep(parsed.run);
    if (parsed.kind !== 'book' || this.#closed) return;
    const purges = this.#projects.get(parsed.project);
    purges?.dirty.add(name);
    // A purge is swept up when it comes, not when its run is next heard of.
    void (purges === undefined ? this.#project(parsed.project) : Promise.resolve(purges))
      .then((project) => this.#scan(project))
      .catch((error: unknown) => this.#log?.warn('purges_unread', { document: name, error: String(error) }));
  }

  async #project(project: ProjectId): Promise<ProjectPurges> {
    let purges = this.#projects.get(project);
    if (purges === undefined) {
      purges = { seen: new Map(), dirty: new Set(), runs: new Set(), scanning: undefined };
      this.#projects.set(project, purges);
      const { dirty } = purges;
      purges.scanning = (async () => {
        for await (const { name, quarantined } of this.#replica.list(`book/${project}/`))
          if (!quarantined) dirty.add(name);
      })().finally(() => (purges!.scanning = undefined));
    }
    await purges.scanning;
    return purges;
  }

  /** Looks at the edits that came since the last look. */
  async #scan(purges: ProjectPurges): Promise<void> {
    while (purges.scanning !== undefined) await purges.scanning;
    if (purges.dirty.size === 0) return;
    purges.scanning = this.#read(purges).finally(() => (purges.scanning = undefined));
    await purges.scanning;
  }

  async #read(purges: ProjectPurges): Promise<void> {
    for (const name of purges.dirty) {
      purges.dirty.delete(name);
      const seen = purges.seen.get(name) ?? new Set();
      purges.seen.set(name, seen);
      await this.#replica.read(name, (doc) => {
        for (const [key, bytes] of new Book(doc).edits()) {
          if (seen.has(key)) continue;
          seen.add(key);
          const run = purgedRun(bytes);
          if (run === undefined || purges.runs.has(run)) continue;
          purges.runs.add(run);
          this.#runs.add(run);
          this.#sweep(run);
        }
      });
    }
  }

  #sweep(run: RunId): void {
    this.#sweeping = this.#sweeping
      .then(() => this.#empty(run))
      .catch((error: unknown) => this.#log?.warn('purge_unfinished', { run, error: String(error) }));
  }

  async #empty(run: RunId): Promise<void> {
    // Before it is looked what others name: a file that is being stored now may have the same chunks.
    const removal = this.#blobs.removal();
    try {
      await this.#emptyWith(removal, run);
    } finally {
      removal.end();
    }
    if (!this.#keepDocuments) await this.#emptyNote(run);
  }

  /** The text goes from the document, and by rewriting its log from the disk. */
  async #emptyNote(run: RunId): Promise<void> {
    const name = noteDocumentName(run);
    if ((await this.#replica.info(name)) === undefined) return;
    if ((await this.#replica.read(name, (doc) => noteText(doc).length)) === 0) return;
    await this.#replica.transact(name, clearNote);
    await this.#replica.compact(name);
  }

  async #emptyWith(removal: BlobRemoval, run: RunId): Promise<void> {
    const name = runDocumentName(run);
    if ((await this.#replica.info(name)) === undefined) return;
    const { own, files, noted, isCleared } = await this.#replica.read(name, (doc) => {
      const document = new RunDocument(doc);
      const segments: BlobDigest[] = [];
      for (const { digest, levels } of document.segments())
        segments.push(digest, ...levels.map((level) => level.digest));
      for (const { digest } of document.objects()) segments.push(digest);
      const noted = document.purgedBlobs();
      return { own: new Set(segments), files: storedFiles(doc), noted, isCleared: document.isCleared };
    });
    const digests = new Set([...own, ...noted, ...(await this.#replica.read(name, pointBlobs))]);
    for (const file of files) {
      const blobs = await blobsOf(this.#blobs, file).catch((error: unknown) => {
        if (isFieldbookError(error, 'blob_corrupt')) return undefined;
        throw error;
      });
      for (const digest of blobs ?? []) digests.add(digest);
    }
    const all = [...digests];
    const leave = this.#keepDocuments || isCleared;
    if (leave) {
      for (const digest of digests) if ((await this.#blobs.stat(digest)) === undefined) digests.delete(digest);
      if (digests.size === 0) return;
    }
    if ([...digests].some((digest) => !own.has(digest))) {
      const named = await namedElsewhere(this.#replica, this.#blobs, digests, name);
      for (const digest of named) digests.delete(digest);
    }
    // The list is durable with the emptying: whatever ends us now, the next one removes what nobody names any more.
    const mark = `${PURGING_PREFIX}${run}`;
    const value = packDigests([...digests]);
    if (leave) await this.#replica.putPrivate([[mark, value]]);
    else {
      const put = { type: 'put', key: utf8(`x/${mark}`), value } as const;
      await this.#replica.transact(name, (doc) => new RunDocument(doc).clear(all), [put]);
    }
    await this.#remove(removal, mark, digests);
  }

  async #remove(removal: BlobRemoval, mark: string, digests: Iterable<BlobDigest>): Promise<void> {
    for (const digest of digests) await removal.remove(digest);
    await this.#replica.putPrivate([[mark, null]]);
  }
}

function purgedRun(bytes: Uint8Array): RunId | undefined {
  try {
    const edit = decodeEdit(bytes);
    return edit?.field === 'purge' ? edit.run : undefined;
  } catch (error) {
    if (isFieldbookError(error)) return undefined;
    throw error;
  }
}
