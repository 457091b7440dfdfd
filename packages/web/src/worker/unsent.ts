import type { BlobDigest, DocumentName } from '@fieldbook/core';
import { FieldbookError } from '@fieldbook/core';
import type { BytesCache } from './bytes.ts';
import type { Http } from './http.ts';
import type { Keep } from './keep.ts';
import type { Shelf } from './shelf.ts';

interface Waiting {
  documents: DocumentName[];
  blobs: BlobDigest[];
}

interface UnsentOptions {
  keep: Keep;
  shelf: () => Shelf;
  http: Http;
  bytes: BytesCache;
  online: () => boolean;
  onChange: () => void;
}

const KEY = 'unsent-bundles';
const AT_ONCE = 4;
const LOCK = 'fieldbook-unsent';

/**
 * What a bundle brought into this browser and no server has acknowledged: documents that no page may ever open, and blobs. Kept over
 * reloads, sent when a server answers, a few at a time and by one tab of all; gone from the list only when the server has it on disk.
 */
export class Unsent {
  readonly #options: UnsentOptions;
  readonly #documents = new Set<DocumentName>();
  readonly #blobs = new Set<BlobDigest>();
  /** The last frame of this connection that left with content of a document since it changed. */
  readonly #frames = new Map<DocumentName, number>();
  readonly #acked = new Map<DocumentName, () => void>();
  #sending = false;
  #again = false;
  problem: string | null = null;

  private constructor(options: UnsentOptions, waiting: Waiting | undefined) {
    this.#options = options;
    for (const name of waiting?.documents ?? []) this.#documents.add(name);
    for (const digest of waiting?.blobs ?? []) this.#blobs.add(digest);
  }

  static async open(options: UnsentOptions): Promise<Unsent> {
    return new Unsent(options, await options.keep.get<Waiting>(KEY).catch(() => undefined));
  }

  get documents(): number {
    return this.#documents.size;
  }

  get blobs(): number {
    return this.#blobs.size;
  }

  has(name: DocumentName): boolean {
    return this.#documents.has(name);
  }

  /** Before the document is changed: the frame that carries the change may leave during the change. */
  async addDocument(name: DocumentName): Promise<void> {
    this.#documents.add(name);
    await this.#note(({ documents }) => documents.push(name));
    this.#options.onChange();
  }

  /** What was sent before this moment says nothing of what comes now. */
  changing(name: DocumentName): void {
    this.#documents.add(name);
    this.#frames.delete(name);
  }

  async addBlob(digest: BlobDigest): Promise<void> {
    this.#blobs.add(digest);
    await this.#note(({ blobs }) => blobs.push(digest));
    this.#options.onChange();
  }

  connected(name: DocumentName): void {
    this.#frames.delete(name);
  }

  sent(name: DocumentName, frame: number): void {
    if (this.#documents.has(name)) this.#frames.set(name, frame);
  }

  ackedFrames(name: DocumentName, frames: number): void {
    const last = this.#frames.get(name);
    if (last === undefined || frames < last) return;
    this.#frames.delete(name);
    this.#documents.delete(name);
    void this.#note((waiting) => (waiting.documents = waiting.documents.filter((each) => each !== name)));
    this.#acked.get(name)?.();
    this.#options.onChange();
  }

  /** Sends what waits; called when a server is reached. One tab does it. */
  send(): void {
    this.#again = true;
    if (this.#sending || !this.#options.online() || this.#documents.size + this.#blobs.size === 0) return;
    this.#sending = true;
    const work = async (): Promise<void> => {
      while (this.#again) {
        this.#again = false;
        await this.#sendAll();
      }
    };
    const locked =
      'locks' in navigator
        ? navigator.locks.request(LOCK, { ifAvailable: true }, (lock) => (lock === null ? undefined : work()))
        : work();
    void Promise.resolve(locked)
      .catch((error: unknown) => {
        this.problem = error instanceof Error ? error.message : String(error);
      })
      .finally(() => {
        this.#sending = false;
        this.#options.onChange();
      });
  }

  async #sendAll(): Promise<void> {
    const names = [...this.#documents];
    const lane = async (): Promise<void> => {
      for (let name = names.shift(); name !== undefined && this.#options.online(); name = names.shift())
        await this.#sendDocument(name);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    for (const digest of this.#blobs) {
      if (!this.#options.online()) return;
      await this.#sendBlob(digest);
    }
    this.problem = null;
  }

  /** Opens the document's room, which sends what the server lacks, until the server has acknowledged that. */
  async #sendDocument(name: DocumentName): Promise<void> {
    const shelf = this.#options.shelf();
    const acked = new Promise<void>((resolve) => this.#acked.set(name, resolve));
    const { provider } = shelf.take(name);
    let leave = (): void => undefined;
    const left = new Promise<void>((resolve) => (leave = resolve));
    const refused = ({ reason }: { reason: string }): void => {
      this.problem = `The server does not take ${name}: ${reason}`;
      leave();
    };
    provider.on('connection-close', leave);
    provider.on('closed', refused);
    try {
      if (this.#documents.has(name)) await Promise.race([acked, left]);
    } finally {
      provider.off('connection-close', leave);
      provider.off('closed', refused);
      this.#acked.delete(name);
      shelf.release(name);
    }
  }

  async #sendBlob(digest: BlobDigest): Promise<void> {
    const { http, bytes, onChange } = this.#options;
    const kept = await bytes.get(`blob/${digest}`).catch(() => undefined);
    if (kept === undefined) {
      this.problem = 'The browser has let go of files of a bundle before a server had them; import the bundle again.';
    } else {
      await http.putBlob(digest, kept.bytes);
      await bytes.put({ ...kept, used: Date.now(), note: null }).catch(() => undefined);
    }
    this.#blobs.delete(digest);
    await this.#note((waiting) => (waiting.blobs = waiting.blobs.filter((each) => each !== digest)));
    onChange();
  }

  async #note(change: (waiting: Waiting) => void): Promise<void> {
    try {
      await this.#options.keep.update<Waiting>(KEY, (before) => {
        const waiting = { documents: [...(before?.documents ?? [])], blobs: [...(before?.blobs ?? [])] };
        change(waiting);
        return { documents: [...new Set(waiting.documents)], blobs: [...new Set(waiting.blobs)] };
      });
    } catch (error) {
      throw new FieldbookError('storage_failed', 'This browser cannot keep what it has to send later.', {
        cause: error,
      });
    }
  }
}
