import { Book, RunDocument } from '../documents/index.ts';
import { isFieldbookError } from '../errors.ts';
import type { DocumentName, ProjectId, RunId } from '../ids.ts';
import { parseDocumentName, runDocumentName } from '../ids.ts';
import type { BlobDigest, BlobStore, Log } from '../ports.ts';
import { decodeEdit } from '../record/index.ts';
import type { Replica } from '../replica/replica.ts';

interface ProjectPurges {
  /** Edits already looked at, per book. */
  seen: Map<DocumentName, Set<string>>;
  dirty: Set<DocumentName>;
  runs: Set<RunId>;
  scanning: Promise<void> | undefined;
}

/**
 * Which runs people have purged, and the sweeping up: when a purge arrives, or data of a purged run does, the run's
 * document is emptied and the blobs of its segments are removed. Segments carry their writer's id, so no other run shares them;
 * files and images may be those of other runs too, and stay.
 */
export class PurgedRuns {
  readonly #replica: Replica;
  readonly #blobs: Pick<BlobStore, 'remove'>;
  readonly #log: Log | undefined;
  readonly #projects = new Map<ProjectId, ProjectPurges>();
  readonly #runs = new Set<RunId>();
  readonly #stop: () => void;
  #sweeping: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(replica: Replica, blobs: Pick<BlobStore, 'remove'>, log?: Log) {
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

  /** Resolves when everything purged so far is swept up. */
  async settled(): Promise<void> {
    for (const purges of this.#projects.values()) await purges.scanning;
    await this.#sweeping;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stop();
    await this.settled();
  }

  #changed(name: DocumentName, origin: unknown): void {
    const parsed = parseDocumentName(name);
    if (parsed.kind === 'run' && origin !== 'local' && this.#runs.has(parsed.run)) this.#sweep(parsed.run);
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
    const name = runDocumentName(run);
    if ((await this.#replica.info(name)) === undefined) return;
    const digests = await this.#replica.read(name, (doc) => {
      const document = new RunDocument(doc);
      const found: BlobDigest[] = [];
      for (const { digest, levels } of document.segments()) found.push(digest, ...levels.map((level) => level.digest));
      for (const { digest } of document.objects()) found.push(digest);
      return found;
    });
    await this.#replica.transact(name, (doc) => new RunDocument(doc).clear());
    for (const digest of digests) await this.#blobs.remove(digest);
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
