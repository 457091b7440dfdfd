import { RunIndex } from '../access/run-index.ts';
import { Book, clearNote, noteText, RunDocument } from '../documents/index.ts';
import { isFieldbookError } from '../errors.ts';
import { blobsOf, pointBlobs, storedFiles } from '../files/index.ts';
import type { DeviceId, DocumentName, ProjectId, RunId } from '../ids.ts';
import { noteDocumentName, parseDocumentName, runDocumentName, utf8 } from '../ids.ts';
import type { BlobDigest, BlobRemoval, BlobStore, Log } from '../ports.ts';
import { decodeEdit, packDigests, unpackDigests } from '../record/index.ts';
import type { Replica } from '../replica/replica.ts';
import { namedElsewhere } from '../usage/names.ts';

interface ProjectPurges {
  /** Edits already looked at, per book. */
  seen: Map<DocumentName, Set<string>>;
  dirty: Set<DocumentName>;
  runs: Set<RunId>;
  scanning: Promise<void> | undefined;
}

/** Blobs of an emptied document that are being removed. */
const PURGING_PREFIX = 'purging/';
/** Blobs, beyond which no further run joins those that are swept up together: some 10 MB. */
const TOGETHER = 100_000;

/** Blobs of a purged run that are to go. */
interface Emptied {
  run: RunId;
  name: DocumentName;
  mark: string;
  digests: Set<BlobDigest>;
}

/** Takes out what other runs name: all runs but those whose documents are `gone`. */
type Spare = (emptied: readonly Emptied[], gone: readonly DocumentName[]) => Promise<void>;

interface Found extends Emptied {
  /** What its document named, here or not. */
  all: readonly BlobDigest[];
  /** The document stays, or is empty already. */
  leave: boolean;
}

/**
 * Which runs people have purged, and the sweeping up: when a purge arrives, or data of a purged run does, the run's
 * document and its note are emptied and its blobs are removed. What another run names as well stays, whatever it is: an entry names
 * what its author wrote into it, so a purge of one run must not reach what is another's.
 *
 * A purge counts in its own project. A run is swept up when every device that wrote in its document has a card of it here, and every
 * project that has one of such a device purges it: so whoever may write in a project only empties no run of another, also where a machine has some
 * projects only, and it does not matter whether card or purge comes first.
 */
export class PurgedRuns {
  readonly #replica: Replica;
  readonly #blobs: Pick<BlobStore, 'read' | 'stat' | 'removal'>;
  readonly #log: Log | undefined;
  readonly #projects = new Map<ProjectId, ProjectPurges>();
  readonly #runs = new Set<RunId>();
  /** To be swept up at the next turn. */
  readonly #waiting = new Set<RunId>();
  readonly #cards: RunIndex;
  readonly #stops: (() => void)[];
  readonly #closeCards: () => void;
  #sweeping: Promise<void> = Promise.resolve();
  #closed = false;

  readonly #keepDocuments: boolean;

  /**
   * `keepDocuments`: take blobs only and leave emptying to the machines that ingest. A relay that emptied a document would send that to
   * machines which have not looked yet what blobs it names. `cards`: an index of the same replica that somebody has.
   */
  constructor(
    replica: Replica,
    blobs: Pick<BlobStore, 'read' | 'stat' | 'removal'>,
    log?: Log,
    { keepDocuments = false, cards }: { keepDocuments?: boolean; cards?: RunIndex } = {},
  ) {
    this.#cards = cards ?? new RunIndex(replica);
    this.#keepDocuments = keepDocuments;
    this.#replica = replica;
    this.#blobs = blobs;
    this.#log = log;
    this.#stops = [
      replica.onCommit(({ name, rebuilt }) => this.#changed(name, rebuilt === true)),
      this.#cards.onFound((run) => {
        if (this.#runs.has(run)) this.#sweep(run);
      }),
    ];
    this.#closeCards = () => {
      if (cards === undefined) this.#cards.close();
    };
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
      const left: Emptied[] = [];
      for await (const [mark, bytes] of this.#replica.listPrivate(PURGING_PREFIX)) {
        const run = mark.slice(PURGING_PREFIX.length) as RunId;
        left.push({ run, name: runDocumentName(run), mark, digests: new Set(unpackDigests(bytes)) });
      }
      if (left.length === 0) return;
      await this.#removing(async (spare, removal) => {
        const gone = [];
        for (const each of left) if (await this.#isGone(each.run)) gone.push(each.name);
        // A run that was made since may have the same file.
        await spare(left, gone);
        for (const each of left) await this.#remove(removal, each);
      });
    };
    this.#sweeping = this.#sweeping
      .then(finish)
      .catch((error: unknown) => this.#log?.warn('purge_unfinished', { error: String(error) }));
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const stop of this.#stops) stop();
    await this.settled();
    this.#closeCards();
  }

  #changed(name: DocumentName, rebuilt: boolean): void {
    if (this.#closed) return;
    const parsed = parseDocumentName(name);
    if ((parsed.kind === 'run' || parsed.kind === 'note') && this.#runs.has(parsed.run)) this.#sweep(parsed.run);
    if (parsed.kind !== 'book') return;
    // It may be the one that could not be read.
    if (rebuilt) for (const run of this.#runs) this.#sweep(run);
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

  /** All that wait when the turn comes are swept up together: looking at what others name costs a pass over all runs. */
  #sweep(run: RunId): void {
    this.#waiting.add(run);
    if (this.#waiting.size > 1) return;
    this.#sweeping = this.#sweeping
      .then(() => this.#sweepAll())
      .catch((error: unknown) => this.#log?.warn('purge_unfinished', { error: String(error) }));
  }

  async #sweepAll(): Promise<void> {
    while (this.#waiting.size > 0) {
      const runs: RunId[] = [];
      try {
        await this.#removing((spare, removal) => this.#sweepSome(runs, spare, removal));
      } catch (error) {
        this.#log?.warn('purge_unfinished', { runs, error: String(error) });
      }
    }
  }

  async #sweepSome(runs: RunId[], spare: Spare, removal: BlobRemoval): Promise<void> {
    const found: Found[] = [];
    let count = 0;
    for (const run of this.#waiting) {
      this.#waiting.delete(run);
      await this.#orWarn(run, async () => {
        if (!(await this.#isGone(run))) return;
        runs.push(run);
        const purged = await this.#find(run);
        if (purged === undefined) return;
        found.push(purged);
        count += purged.digests.size;
      });
      if (count >= TOGETHER) break;
    }
    await spare(
      found,
      found.map(({ name }) => name),
    );
    for (const each of found) await this.#orWarn(each.run, () => this.#empty(each, removal));
    if (!this.#keepDocuments) for (const run of runs) await this.#orWarn(run, () => this.#emptyNote(run));
  }

  async #orWarn(run: RunId, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#log?.warn('purge_unfinished', { run, error: String(error) });
    }
  }

  /** A removal begins before it is looked what others name: a file that is being stored now may have the same chunks. */
  async #removing(work: (spare: Spare, removal: BlobRemoval) => Promise<void>): Promise<void> {
    const changed = new Set<DocumentName>();
    const stop = this.#replica.onCommit(({ name }) => {
      if (name.startsWith('run/')) changed.add(name);
    });
    const removal = this.#blobs.removal();
    try {
      await work((emptied, gone) => this.#spare(emptied, new Set(gone), changed), removal);
    } finally {
      removal.end();
      stop();
    }
  }

  /** Takes out what other runs name, those that came or `changed` meanwhile included. */
  async #spare(
    emptied: readonly Emptied[],
    gone: ReadonlySet<DocumentName>,
    changed: Set<DocumentName>,
  ): Promise<void> {
    const candidates = new Set<BlobDigest>();
    for (const { digests } of emptied) for (const digest of digests) candidates.add(digest);
    if (candidates.size === 0) return;
    const named = await namedElsewhere(this.#replica, this.#blobs, candidates, gone, changed);
    for (const { digests } of emptied) for (const digest of digests) if (named.has(digest)) digests.delete(digest);
  }

  /** The text goes from the document, and by rewriting its log from the disk. */
  async #emptyNote(run: RunId): Promise<void> {
    const name = noteDocumentName(run);
    if ((await this.#replica.info(name)) === undefined) return;
    if ((await this.#replica.read(name, (doc) => noteText(doc).length)) === 0) return;
    await this.#replica.transact(name, clearNote);
    await this.#replica.compact(name);
  }

  /** Whether nobody shows the run any more, as far as is known here. */
  async #isGone(run: RunId): Promise<boolean> {
    await this.#cards.ready();
    const owners = this.#cards.of(run);
    if (owners === undefined || !this.#cards.isWhole) return false;
    const name = runDocumentName(run);
    const isHere = (await this.#replica.info(name)) !== undefined;
    const writers = isHere
      ? await this.#replica.read(name, (doc) => new RunDocument(doc).devices())
      : new Set<DeviceId>();
    for (const device of writers) if (!owners.devices.has(device)) return false;
    for (const project of owners.projects) {
      // A card of a device that recorded nothing here keeps nothing.
      const keeps = writers.size === 0 || [...writers].some((device) => owners.pairs.has(`${project} ${device}`));
      if (keeps && !(await this.has(run, project))) return false;
    }
    return true;
  }

  /** The blobs of a purged run that are here; undefined when there is nothing to do. */
  async #find(run: RunId): Promise<Found | undefined> {
    const name = runDocumentName(run);
    if ((await this.#replica.info(name)) === undefined) return undefined;
    const { points, files, noted, isCleared } = await this.#replica.read(name, (doc) => {
      const document = new RunDocument(doc);
      const [points, noted] = [pointBlobs(doc), document.purgedBlobs()];
      return { points, files: storedFiles(doc), noted, isCleared: document.isCleared };
    });
    const digests = new Set([...points, ...noted]);
    for (const file of files) {
      const blobs = await blobsOf(this.#blobs, file).catch((error: unknown) => {
        if (isFieldbookError(error, 'blob_corrupt')) return undefined;
        throw error;
      });
      for (const digest of blobs ?? []) digests.add(digest);
    }
    const all = [...digests];
    for (const digest of digests) if ((await this.#blobs.stat(digest)) === undefined) digests.delete(digest);
    const leave = this.#keepDocuments || isCleared;
    if (leave && digests.size === 0) return undefined;
    return { run, name, mark: `${PURGING_PREFIX}${run}`, digests, all, leave };
  }

  async #empty({ run, name, mark, digests, all, leave }: Found, removal: BlobRemoval): Promise<void> {
    // The list is durable with the emptying: whatever ends us now, the next one removes what nobody names any more.
    const value = packDigests([...digests]);
    if (!leave) {
      const put = { type: 'put', key: utf8(`x/${mark}`), value } as const;
      await this.#replica.transact(name, (doc) => new RunDocument(doc).clear(all), [put]);
    } else if (digests.size > 0) await this.#replica.putPrivate([[mark, value]]);
    else return;
    await this.#remove(removal, { run, name, mark, digests });
  }

  async #remove(removal: BlobRemoval, { mark, digests }: Emptied): Promise<void> {
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
