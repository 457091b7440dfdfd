import type { RunId } from '@fieldbook/core';
import { isFieldbookError, runDocumentName } from '@fieldbook/core';
import { RunDocument } from '@fieldbook/core/documents';
import type { Entry } from '@fieldbook/core/record';
import * as Y from 'yjs';
import type { BytesCache } from './bytes.ts';
import type { Http } from './http.ts';

/** What a run's document lists, and whether it is what the server has now. */
export interface Manifest {
  entries: readonly Entry[];
  fresh: boolean;
}

/** A run document that this tab has open. */
export interface HeldDocument {
  doc: Y.Doc;
  /** The server sent all it has since this connection began. */
  synced: boolean;
  loaded: Promise<void>;
}

/** Within this time charts of one run share one look at the server. */
const LOOK_MS = 2_000;
/** Decoded manifests in memory: more runs than a screen compares. */
const DECODED = 64;

/**
 * Manifests of runs: of the document that a tab has open and a room keeps current, else of its state over HTTP, which is kept, and
 * answered with "nothing new" while nothing is.
 */
export class Manifests {
  readonly #http: Pick<Http, 'since'>;
  readonly #cache: BytesCache;
  readonly #held: (run: RunId) => HeldDocument | undefined;
  readonly #decoded = new Map<RunId, { etag: string | null; entries: readonly Entry[] }>();
  readonly #documents = new WeakMap<Y.Doc, readonly Entry[]>();
  readonly #looks = new Map<RunId, { until: number; manifest: Promise<Manifest | undefined> }>();

  constructor(http: Pick<Http, 'since'>, cache: BytesCache, held: (run: RunId) => HeldDocument | undefined) {
    this.#http = http;
    this.#cache = cache;
    this.#held = held;
  }

  /** Undefined when nothing of the run's document can be had. Throws what the server says, but for not being there. */
  async of(run: RunId): Promise<Manifest | undefined> {
    const held = this.#held(run);
    if (held?.synced === true) return { entries: this.#entriesOf(held.doc), fresh: true };
    const look = this.#looks.get(run);
    if (look !== undefined && look.until > Date.now()) return look.manifest;
    const manifest = this.#look(run, held);
    this.#looks.set(run, { until: Date.now() + LOOK_MS, manifest });
    if (this.#looks.size > DECODED) this.#looks.delete(this.#looks.keys().next().value!);
    // A look that failed is worth another at once.
    manifest.catch(() => this.#looks.delete(run));
    return manifest;
  }

  /** What a reader makes of the run's whole document, captures included, as new as `of` has it. */
  async document<T>(run: RunId, read: (document: RunDocument) => T): Promise<T | undefined> {
    const held = this.#held(run);
    if (held?.synced === true) return read(new RunDocument(held.doc));
    // Brings what is kept up to date; a look that fails leaves what there is.
    await this.of(run).catch(() => undefined);
    const kept = await this.#cache.get(`state/${runDocumentName(run)}`).catch(() => undefined);
    if (kept === undefined) {
      if (held === undefined) return undefined;
      await held.loaded;
      return read(new RunDocument(held.doc));
    }
    const doc = new Y.Doc();
    Y.applyUpdate(doc, kept.bytes);
    const result = read(new RunDocument(doc));
    doc.destroy();
    return result;
  }

  async #look(run: RunId, held: HeldDocument | undefined): Promise<Manifest | undefined> {
    const name = runDocumentName(run);
    const key = `state/${name}`;
    const kept = await this.#cache.get(key).catch(() => undefined);
    const path = `/documents/${name.split('/').map(encodeURIComponent).join('/')}`;
    try {
      const answer = await this.#http.since(path, kept?.note ?? null);
      if (answer === undefined) return undefined;
      if (answer === 'same') return { entries: this.#decode(run, kept!.bytes, kept!.note), fresh: true };
      const { bytes, etag } = answer;
      const entries = this.#decode(run, bytes, etag);
      void this.#cache.put({ key, bytes, used: Date.now(), size: bytes.length, note: etag }).catch(() => undefined);
      return { entries, fresh: true };
    } catch (error) {
      if (!isFieldbookError(error, 'peer_unreachable')) throw error;
    }
    if (held !== undefined) {
      await held.loaded;
      const entries = this.#entriesOf(held.doc);
      if (entries.length > 0) return { entries, fresh: false };
    }
    return kept === undefined ? undefined : { entries: this.#decode(run, kept.bytes, kept.note), fresh: false };
  }

  #entriesOf(doc: Y.Doc): readonly Entry[] {
    const known = this.#documents.get(doc);
    if (known !== undefined) return known;
    const entries = listOf(doc);
    this.#documents.set(doc, entries);
    doc.once('update', () => this.#documents.delete(doc));
    return entries;
  }

  #decode(run: RunId, state: Uint8Array, etag: string | null): readonly Entry[] {
    const known = this.#decoded.get(run);
    if (known !== undefined && etag !== null && known.etag === etag) return known.entries;
    const doc = new Y.Doc();
    Y.applyUpdate(doc, state);
    const entries = listOf(doc);
    doc.destroy();
    this.#decoded.delete(run);
    this.#decoded.set(run, { etag, entries });
    if (this.#decoded.size > DECODED) this.#decoded.delete(this.#decoded.keys().next().value!);
    return entries;
  }
}

/** Everything that names bytes; captures, up to half a megabyte each, are read by whoever shows them. */
function listOf(doc: Y.Doc): readonly Entry[] {
  return [...new RunDocument(doc).entries()].flatMap(([, entry]) =>
    entry.kind === 'capture' || entry.kind === 'writer' ? [] : [entry],
  );
}
