import { Book } from '../documents/index.ts';
import { isFieldbookError } from '../errors.ts';
import type { DocumentName, RunId } from '../ids.ts';
import type { BlobDigest, Log } from '../ports.ts';
import { decodeEdit, parseDigest } from '../record/index.ts';
import type { Replica } from '../replica/replica.ts';

/**
 * Which files people have asked for: the `request` edits of all books, each looked at once. Reads the books when it is first asked
 * and follows commits from then on.
 */
export class RequestedFiles {
  readonly #replica: Pick<Replica, 'list' | 'read' | 'onCommit'>;
  readonly #log: Log | undefined;
  readonly #seen = new Map<DocumentName, Set<string>>();
  readonly #dirty = new Set<DocumentName>();
  readonly #runs = new Map<BlobDigest, Set<RunId>>();
  readonly #listeners = new Set<(run: RunId) => void>();
  #stop: (() => void) | undefined;
  #reading: Promise<void> = Promise.resolve();

  constructor(replica: Pick<Replica, 'list' | 'read' | 'onCommit'>, log?: Log) {
    this.#replica = replica;
    this.#log = log;
  }

  /** True when an edit asks for the file with this digest. */
  async has(digest: BlobDigest): Promise<boolean> {
    await this.#refresh();
    return this.#runs.has(digest);
  }

  /** Runs of which a file was ever asked for. */
  async runs(): Promise<ReadonlySet<RunId>> {
    await this.#refresh();
    return new Set([...this.#runs.values()].flatMap((runs) => [...runs]));
  }

  /** Called with the run of each request that comes. Returns the way to stop. */
  onRequest(listener: (run: RunId) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#stop?.();
    this.#listeners.clear();
  }

  async #refresh(): Promise<void> {
    this.#reading = this.#reading.then(async () => {
      if (this.#stop === undefined) {
        this.#stop = this.#replica.onCommit(({ name }) => {
          if (!name.startsWith('book/')) return;
          this.#dirty.add(name);
          if (this.#listeners.size > 0) void this.#refresh();
        });
        for await (const { name, quarantined } of this.#replica.list('book/')) if (!quarantined) this.#dirty.add(name);
      }
      for (const name of this.#dirty) {
        this.#dirty.delete(name);
        await this.#read(name).catch((error: unknown) =>
          this.#log?.warn('requests_unread', { document: name, error: String(error) }),
        );
      }
    });
    await this.#reading;
  }

  async #read(name: DocumentName): Promise<void> {
    const seen = this.#seen.get(name) ?? new Set();
    this.#seen.set(name, seen);
    const fresh: RunId[] = [];
    await this.#replica.read(name, (doc) => {
      for (const [key, bytes] of new Book(doc).edits()) {
        if (seen.has(key)) continue;
        seen.add(key);
        const request = requestOf(bytes);
        if (request === undefined) continue;
        const runs = this.#runs.get(request.digest) ?? new Set();
        this.#runs.set(request.digest, runs.add(request.run));
        fresh.push(request.run);
      }
    });
    for (const run of fresh) for (const listener of this.#listeners) listener(run);
  }
}

function requestOf(bytes: Uint8Array): { run: RunId; digest: BlobDigest } | undefined {
  try {
    const edit = decodeEdit(bytes);
    if (edit?.field !== 'request' || edit.op !== 'add' || typeof edit.value !== 'string') return undefined;
    return { run: edit.run, digest: parseDigest(edit.value) };
  } catch (error) {
    if (isFieldbookError(error)) return undefined;
    throw error;
  }
}
