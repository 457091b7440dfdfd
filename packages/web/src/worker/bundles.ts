import type { BlobDigest } from '@fieldbook/core';
import { FieldbookError, isFieldbookError, WORKSPACE_DOCUMENT } from '@fieldbook/core';
import type { BundleImport, BundlePlatform, BundleTarget } from '@fieldbook/core/bundle';
import {
  checkTail,
  HEADER_BYTES,
  importBundle,
  isSealed,
  openSealed,
  peekBundle,
  TAIL_BYTES,
} from '@fieldbook/core/bundle';
import { Workspace } from '@fieldbook/core/documents';
import type { DeviceRecord } from '@fieldbook/core/record';
import { sha256 } from '@noble/hashes/sha2.js';
import type {
  BundleContents,
  BundleOutcome,
  BundlePreview,
  BundleProgress,
  BundleWhich,
  SealedBundle,
} from './bundle-api.ts';
import { BundleDocuments } from './bundle-documents.ts';
import type { BytesCache, KeptBytes } from './bytes.ts';
import { LAST_TO_GO } from './bytes.ts';
import type { Http } from './http.ts';
import { joinBytes } from './joined.ts';
import type { Shelf } from './shelf.ts';
import type { Unsent } from './unsent.ts';

export interface BundlesOptions {
  shelf: Shelf;
  http: Http;
  bytes: BytesCache;
  unsent: Unsent;
  /** The agent of this machine answers: it takes the file, and durably. */
  agent(): boolean;
  online(): boolean;
  workspaceId(): string | null;
}

/** What a browser leaves free for itself and for what is edited later. */
const QUOTA_PART = 0.9;
const PIECE = 1024 * 1024;
const PROGRESS_MS = 100;

/** Bundles taken in by this browser: sent to its agent, or read into its own documents by the rules of every replica. */
export class Bundles {
  readonly #options: BundlesOptions;
  #cancel: (() => void) | null = null;
  #stopExport: (() => void) | null = null;

  constructor(options: BundlesOptions) {
    this.#options = options;
  }

  async peek(file: Blob, passphrase: string | null): Promise<BundlePreview | SealedBundle> {
    const start = new Uint8Array(await file.slice(0, HEADER_BYTES).arrayBuffer());
    if (start.length < HEADER_BYTES || !isSealed(start)) return this.#preview(file, null);
    if (passphrase === null) return { sealed: true, wrong: null };
    let plain: Blob;
    try {
      plain = await opened(file, passphrase);
    } catch (error) {
      if (isFieldbookError(error, 'bundle_passphrase')) return { sealed: true, wrong: error.message };
      throw error;
    }
    return this.#preview(plain, plain);
  }

  async #preview(file: Blob, plain: Blob | null): Promise<BundlePreview> {
    const { manifest } = await peekBundle(platform, pieces(file));
    checkTail(new Uint8Array(await file.slice(Math.max(0, file.size - TAIL_BYTES)).arrayBuffer()), file.size);
    const here = this.#options.workspaceId();
    return {
      manifest,
      plain,
      size: file.size,
      into: this.#options.agent() ? 'agent' : 'browser',
      sameWorkspace: here === null ? null : here === manifest.workspace.id,
    };
  }

  async take(file: Blob, onProgress: (progress: BundleProgress) => void): Promise<BundleOutcome> {
    if (this.#cancel !== null)
      throw new FieldbookError('invalid_argument', 'Another bundle is being taken in; wait for it.');
    const tell = throttled(onProgress, file.size);
    try {
      return this.#options.agent() ? await this.#send(file, tell) : await this.#takeIn(file, tell);
    } finally {
      this.#cancel = null;
    }
  }

  cancel(): void {
    this.#cancel?.();
  }

  contents(which: BundleWhich): Promise<BundleContents> {
    return this.#options.http.json(`/bundles/contents${searchOf(which)}`, { timeoutMs: 120_000 });
  }

  async export(
    which: BundleWhich,
    onPiece: (piece: Uint8Array<ArrayBuffer>, about: number) => void | Promise<void>,
  ): Promise<void> {
    const stop = new AbortController();
    this.#stopExport = () => stop.abort();
    const { headers, body } = await this.#options.http.stream(`/bundles${searchOf(which)}`, stop.signal);
    const about = Number(headers.get('fieldbook-bundle-bytes') ?? 0);
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      await onPiece(value, about);
    }
  }

  stopExport(): void {
    this.#stopExport?.();
  }

  async #send(file: Blob, tell: (bytes: number) => void): Promise<BundleOutcome> {
    const upload = this.#options.http.upload<Imported>('/bundles', 'application/vnd.fieldbook.bundle', file, tell);
    this.#cancel = upload.abort;
    const { manifest: _manifest, ...told } = await upload.answer;
    return { ...told, into: 'agent', unsentDocuments: 0, unsentBlobs: 0 };
  }

  async #takeIn(file: Blob, tell: (bytes: number) => void): Promise<BundleOutcome> {
    const { unsent, shelf, bytes } = this.#options;
    let cancelled = false;
    this.#cancel = () => (cancelled = true);
    const documents = new BundleDocuments(shelf, {
      changing: (name) => unsent.changing(name),
      stored: async (name, state) => {
        // Where charts look for the manifest of a run whose document is not open.
        const kept = { key: `state/${name}`, bytes: state as KeptBytes['bytes'], used: Date.now(), note: null };
        if (name.startsWith('run/')) await bytes.put({ ...kept, size: state.length }).catch(() => undefined);
      },
    });
    try {
      // Before: a bundle can list its own maker.
      const devices = await documents.read(WORKSPACE_DOCUMENT, (doc) => new Workspace(doc).devices());
      const imported = await importBundle(
        platform,
        { replica: documents, blobs: this.#blobs(), isPurged: (run, project) => documents.isPurged(run, project) },
        pieces(file),
        { cancelled: () => cancelled, onProgress: ({ bytes }) => tell(bytes), toleratesFullDisk: true },
      );
      const { manifest: _manifest, signer, ...told } = imported;
      const signedBy = signer === null ? null : signerAmong(devices, signer);
      await documents.close();
      return {
        ...told,
        signer: signedBy,
        into: 'browser',
        unsentDocuments: unsent.documents,
        unsentBlobs: unsent.blobs,
      };
    } finally {
      await documents.close().catch(() => undefined);
      unsent.ready();
    }
  }

  /** To the relay at once when it answers; else kept here until it does. */
  #blobs(): BundleTarget['blobs'] {
    const { bytes, http, unsent, online } = this.#options;
    const kept = (digest: BlobDigest): Promise<KeptBytes | undefined> =>
      bytes.get(`blob/${digest}`).catch(() => undefined);
    return {
      read: async (digest) => (await kept(digest))?.bytes,
      stat: async (digest) => {
        const here = await kept(digest);
        if (here !== undefined) return { digest, size: here.size };
        if (!online()) return undefined;
        return (await http.has(digest).catch(() => false)) ? { digest, size: 0 } : undefined;
      },
      write: async (content, digest) => {
        const named = digest!;
        if (hex(sha256(content)) !== named)
          throw new FieldbookError('blob_corrupt', `The bytes for blob ${named} have another digest.`);
        if (online()) {
          try {
            await http.putBlob(named, content);
            return named;
          } catch (error) {
            if (!isFieldbookError(error, 'peer_unreachable')) throw error;
          }
        }
        await this.#keep(named, content);
        await unsent.addBlob(named);
        return named;
      },
    };
  }

  async #keep(digest: BlobDigest, content: Uint8Array): Promise<void> {
    const { bytes } = this.#options;
    const full = (cause?: unknown): FieldbookError =>
      new FieldbookError('disk_full', 'The browser allows no more space for files.', { cause });
    const estimate = await navigator.storage?.estimate().catch(() => undefined);
    if (estimate?.quota !== undefined && (estimate.usage ?? 0) + content.length > estimate.quota * QUOTA_PART)
      throw full();
    const own = content.slice();
    try {
      await bytes.put({ key: `blob/${digest}`, bytes: own, used: LAST_TO_GO, size: own.length, note: 'unsent' });
    } catch (error) {
      throw full(error);
    }
  }
}

/** As the agent answers. */
type Imported = Omit<BundleImport, 'signer'> & Pick<BundleOutcome, 'signer'>;

function signerAmong(
  devices: readonly DeviceRecord[],
  { device, publicKey }: NonNullable<BundleImport['signer']>,
): BundleOutcome['signer'] {
  const listed = devices.find((each) => each.device === device);
  const known = listed !== undefined && hex(listed.publicKey) === hex(publicKey);
  return { device, name: known ? listed.name : null, known };
}

/** The plain bundle; the browser keeps large ones on the disk. Nothing of a damaged one comes out: all of it is opened first. */
async function opened(file: Blob, passphrase: string): Promise<Blob> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for await (const piece of openSealed(pieces(file), passphrase)) parts.push(piece as Uint8Array<ArrayBuffer>);
  return new Blob(parts);
}

function searchOf({ project, query, files }: BundleWhich): string {
  const search = new URLSearchParams();
  if (project !== null) search.set('project', project);
  if (query !== null) search.set('q', query);
  if (!files) search.set('files', 'false');
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}

const platform: BundlePlatform = {
  deflate: async (bytes) => bodyOf(bytes, new CompressionStream('deflate-raw'), Number.POSITIVE_INFINITY),
  inflate: async (bytes, size) => bodyOf(bytes, new DecompressionStream('deflate-raw'), size),
  sha256: () => {
    const hash = sha256.create();
    return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest() };
  },
};

/** What comes out of a transformation; it is stopped as soon as that is more than `limit` bytes. */
async function bodyOf(
  bytes: Uint8Array,
  through: ReadableWritablePair<Uint8Array, BufferSource>,
  limit: number,
): Promise<Uint8Array> {
  const reader = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(through).getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > limit) {
      await reader.cancel().catch(() => undefined);
      throw new Error('there is more than was promised');
    }
    parts.push(value);
  }
  return joinBytes(parts);
}

/** A file a piece at a time, each read when it is wanted. */
async function* pieces(file: Blob): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < file.size; at += PIECE) yield new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer());
}

function throttled(tell: (progress: BundleProgress) => void, size: number): (bytes: number) => void {
  let last = 0;
  return (bytes) => {
    const now = Date.now();
    if (now - last < PROGRESS_MS && bytes < size) return;
    last = now;
    tell({ bytes: Math.min(bytes, size), size });
  };
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
