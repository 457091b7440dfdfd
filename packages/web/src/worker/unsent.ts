import type { BlobDigest, DocumentName, ErrorCode } from '@fieldbook/core';
import { FieldbookError, isFieldbookError } from '@fieldbook/core';
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
/** What a server says, or does not, to every blob alike; and this browser, of its list. */
const ENDS: readonly ErrorCode[] = ['peer_unreachable', 'unauthorized', 'forbidden', 'disk_full', 'storage_failed'];

/** What tabs of one browser tell each other. */
interface Told {
  /** They wait from now on, and what was sent of them before says nothing. */
  add?: DocumentName[];
  addBlobs?: BlobDigest[];
  /** A server has them. */
  remove?: DocumentName[];
  removeBlobs?: BlobDigest[];
  /** A bundle is in as far as it goes: whoever can sends it. */
  ready?: boolean;
}

/**
 * What a bundle brought into this browser and no server has acknowledged: documents that no page may ever open, and blobs. Kept over
 * reloads, told to all tabs, sent when a server answers, a few at a time and by one tab, and by the next one when that is closed; gone
 * from the list only when the server has it on disk.
 */
export class Unsent {
  readonly #options: UnsentOptions;
  readonly #documents = new Set<DocumentName>();
  readonly #blobs = new Set<BlobDigest>();
  readonly #channel = new BroadcastChannel('fieldbook/unsent');
  /** Documents that a bundle which this tab is taking in has changed. */
  readonly #changing = new Set<DocumentName>();
  /** Those whose connection began after another tab had changed them for the last time: its frames carry all that is known here. */
  readonly #covered = new Set<DocumentName>();
  /** The last frame of this connection that left with content of a document since it changed. */
  readonly #frames = new Map<DocumentName, number>();
  readonly #acked = new Map<DocumentName, () => void>();
  #sending = false;
  #again = false;
  problem: string | null = null;

  private constructor(options: UnsentOptions) {
    this.#options = options;
    this.#channel.onmessage = ({ data }: MessageEvent<Told>) => this.#hear(data);
  }

  static async open(options: UnsentOptions): Promise<Unsent> {
    const unsent = new Unsent(options);
    await unsent.#read();
    return unsent;
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

  /** Before the document is changed: the frame that carries the change may leave during the change, and what left before says nothing. */
  async changing(name: DocumentName): Promise<void> {
    this.#frames.delete(name);
    this.#changing.add(name);
    const isNew = !this.#documents.has(name);
    this.#documents.add(name);
    this.#tell({ add: [name] });
    if (!isNew) return;
    await this.#note(({ documents }) => documents.push(name));
    this.#options.onChange();
  }

  async addBlob(digest: BlobDigest): Promise<void> {
    this.#blobs.add(digest);
    this.#tell({ addBlobs: [digest] });
    await this.#note(({ blobs }) => blobs.push(digest));
    this.#options.onChange();
  }

  /** The bundle that was taken in is in, as far as it goes. */
  ready(): void {
    this.#changing.clear();
    this.send();
    this.#tell({ ready: true });
  }

  /** Writes what is kept once more, after the browser has cleared it. */
  async keepAgain(): Promise<void> {
    if (this.#documents.size + this.#blobs.size === 0) return;
    await this.#note(({ documents, blobs }) => {
      documents.push(...this.#documents);
      blobs.push(...this.#blobs);
    });
  }

  connected(name: DocumentName): void {
    this.#frames.delete(name);
    this.#covered.add(name);
  }

  sent(name: DocumentName, frame: number): void {
    if (this.#documents.has(name) && (this.#covered.has(name) || this.#changing.has(name)))
      this.#frames.set(name, frame);
  }

  ackedFrames(name: DocumentName, frames: number): void {
    const last = this.#frames.get(name);
    if (last === undefined || frames < last) return;
    this.#frames.delete(name);
    this.#documents.delete(name);
    this.#tell({ remove: [name] });
    void this.#note((waiting) => (waiting.documents = waiting.documents.filter((each) => each !== name)));
    this.#acked.get(name)?.();
    this.#options.onChange();
  }

  /** Sends what waits; called when a server is reached. One tab does it, and the next one what that has left. */
  send(): void {
    this.#again = true;
    if (this.#sending || !this.#options.online()) return;
    this.#sending = true;
    const work = async (): Promise<void> => {
      while (this.#again) {
        this.#again = false;
        await this.#read();
        if (this.#documents.size + this.#blobs.size > 0) await this.#sendAll();
      }
    };
    const locked = 'locks' in navigator ? navigator.locks.request(LOCK, work) : work();
    void Promise.resolve(locked)
      .catch((error: unknown) => {
        this.problem = error instanceof Error ? error.message : String(error);
      })
      .finally(() => {
        this.#sending = false;
        this.#options.onChange();
      });
  }

  #tell(told: Told): void {
    this.#channel.postMessage(told);
  }

  #hear({ add = [], addBlobs = [], remove = [], removeBlobs = [], ready }: Told): void {
    for (const name of add) {
      this.#documents.add(name);
      this.#covered.delete(name);
      this.#frames.delete(name);
    }
    for (const digest of addBlobs) this.#blobs.add(digest);
    for (const name of remove) {
      // The other tab had what this one had changed until then.
      if (this.#changing.has(name) || this.#frames.has(name)) {
        void this.#note(({ documents }) => documents.push(name));
        continue;
      }
      this.#documents.delete(name);
      this.#acked.get(name)?.();
    }
    for (const digest of removeBlobs) this.#blobs.delete(digest);
    if (ready === true) this.send();
    this.#options.onChange();
  }

  /** What the browser keeps comes to what is known here. */
  async #read(): Promise<void> {
    const waiting = await this.#options.keep.get<Waiting>(KEY).catch(() => undefined);
    for (const name of waiting?.documents ?? []) this.#documents.add(name);
    for (const digest of waiting?.blobs ?? []) this.#blobs.add(digest);
  }

  async #sendAll(): Promise<void> {
    this.problem = null;
    const names = [...this.#documents];
    const lane = async (): Promise<void> => {
      for (let name = names.shift(); name !== undefined && this.#options.online(); name = names.shift())
        await this.#sendDocument(name);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    for (const digest of this.#blobs) {
      if (!this.#options.online()) return;
      try {
        await this.#sendBlob(digest);
      } catch (error) {
        // One that is refused holds no other back; where none would be taken, none is tried.
        if (ENDS.some((code) => isFieldbookError(error, code))) throw error;
        this.problem ??= error instanceof Error ? error.message : String(error);
      }
    }
  }

  /** Opens the document's room, which sends what the server lacks, until the server has acknowledged that. */
  async #sendDocument(name: DocumentName): Promise<void> {
    if (!this.#documents.has(name)) return;
    const shelf = this.#options.shelf();
    const acked = new Promise<void>((resolve) => this.#acked.set(name, resolve));
    const { provider } = shelf.take(name);
    let leave = (): void => undefined;
    const left = new Promise<void>((resolve) => (leave = resolve));
    const refused = ({ reason }: { reason: string }): void => {
      this.problem = `The server does not take ${name}: ${reason}`;
      leave();
    };
    let renewing = false;
    const closed = (): void => void (renewing || leave());
    // What another tab put into a document that is open here was in no frame of this connection; a new one asks for all of it. Once: a
    // viewer is asked for nothing.
    const renew = (): void => {
      if (renewing || !provider.synced || this.#frames.has(name) || !this.#documents.has(name)) return;
      renewing = true;
      provider.disconnect();
      renewing = false;
      provider.off('sync', renew);
      provider.connect();
    };
    provider.on('connection-close', closed);
    provider.on('closed', refused);
    provider.on('sync', renew);
    try {
      renew();
      if (this.#documents.has(name)) await Promise.race([acked, left]);
    } finally {
      provider.off('connection-close', closed);
      provider.off('closed', refused);
      provider.off('sync', renew);
      this.#acked.delete(name);
      shelf.release(name);
    }
  }

  async #sendBlob(digest: BlobDigest): Promise<void> {
    const { http, bytes, keep, onChange } = this.#options;
    const kept = await bytes.get(`blob/${digest}`).catch(() => undefined);
    if (kept !== undefined) {
      await http.putBlob(digest, kept.bytes);
      await bytes.put({ ...kept, used: Date.now(), note: null }).catch(() => undefined);
    } else if ((await keep.get<Waiting>(KEY).catch(() => undefined))?.blobs.includes(digest) !== false) {
      // Else another tab has sent it.
      this.problem ??= 'The browser has let go of files of a bundle before a server had them; import the bundle again.';
    }
    this.#blobs.delete(digest);
    this.#tell({ removeBlobs: [digest] });
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
