import { asFieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import type { Log } from '../ports.ts';
import { decodeRecord, encodeRecord } from '../record/index.ts';
import { seal, unseal } from './checked.ts';

/** What the store knows of a document without reading it. Never changed in place: a commit makes the next one. */
export interface DocumentMeta {
  readonly name: DocumentName;
  /** Seq of the last commit. */
  readonly seq: number;
  readonly generation: number;
  /** The Yjs client id of this device in this document and the clock it will use next; valid for `epoch`. */
  readonly clientId: number | null;
  readonly nextClock: number;
  readonly epoch: number;
  /** The snapshot that holds everything up to this seq; 0 for none. */
  readonly snapshotSeq: number;
  readonly snapshotBytes: number;
  readonly logCount: number;
  readonly logBytes: number;
  /** Why the document is not served, in words. Not stored: every opening judges the bytes anew. */
  readonly quarantined: string | null;
}

/** The head of the store. */
export interface StoreInfo {
  id: string;
  epoch: number;
  fingerprint: string;
  counter: number;
  /** False while a process has the store; still false at the next opening when that one was killed. */
  clean: boolean;
}

const HEAD_BYTES = 4 * 1024;

export function emptyMeta(name: DocumentName): DocumentMeta {
  return {
    name,
    seq: 0,
    generation: 0,
    clientId: null,
    nextClock: 0,
    epoch: 0,
    snapshotSeq: 0,
    snapshotBytes: 0,
    logCount: 0,
    logBytes: 0,
    quarantined: null,
  };
}

export function encodeMeta(meta: DocumentMeta): Uint8Array {
  const { name: _, quarantined: __, ...stored } = meta;
  return seal(encodeRecord(stored));
}

/** A damaged entry is a document in quarantine, not an error: the rest of the store opens. */
export function decodeMeta(name: DocumentName, sealed: Uint8Array, log?: Log): DocumentMeta {
  try {
    const stored = decodeRecord(unseal(sealed, 'Its entry'), HEAD_BYTES) as unknown as DocumentMeta;
    return { ...stored, name, quarantined: null };
  } catch (error) {
    const reason = asFieldbookError(error).message;
    log?.error('store.document_quarantined', { name, reason });
    return { ...emptyMeta(name), quarantined: reason };
  }
}

export function encodeInfo(info: StoreInfo): Uint8Array {
  return seal(encodeRecord({ ...info }));
}

/** Throws `store_corrupt`. */
export function decodeInfo(sealed: Uint8Array): StoreInfo {
  return decodeRecord(unseal(sealed, 'The head of the store'), HEAD_BYTES) as unknown as StoreInfo;
}
