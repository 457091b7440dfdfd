import { crc32 } from '@fieldbook/core/journal';
import { CLOSE } from '@fieldbook/core/links';
import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import * as Y from 'yjs';
import { readLive } from './live.ts';
import { LateSocket } from './late-socket.ts';
import { MESSAGE_SYNC } from './socket.ts';

/** How much of a document somebody has without having it open. */
export interface Covered {
  stateVector: Uint8Array;
  /** Checksum of its deletions, which no state vector shows. */
  deletes: number;
  /** The last key of its store when that was so. */
  key: number;
}

/** What `doc` covers now. */
export function coveredBy(doc: Y.Doc, key: number): Covered {
  const stateVector = Y.encodeStateVector(doc);
  return { stateVector, deletes: crc32(Y.encodeStateAsUpdate(doc, stateVector)), key };
}

const STEP_1 = 0;
const MESSAGE_AWARENESS = 1;

/**
 * Looks into a document's room without the document: asks what is missing since a state vector and takes any answer
 * but "nothing" as news. Then whoever wants to know opens the document. A project of years so costs a socket a month
 * of it, and no memory.
 */
export class Watch {
  readonly #url: string;
  readonly #covered: Covered;
  readonly #protocols: () => Promise<string[]>;
  readonly #onNews: () => void;
  #socket: LateSocket | null = null;
  #told = false;
  #closed = false;

  constructor(url: string, covered: Covered, protocols: () => Promise<string[]>, onNews: () => void) {
    this.#url = url;
    this.#covered = covered;
    this.#protocols = protocols;
    this.#onNews = onNews;
  }

  news(): void {
    if (this.#told || this.#closed) return;
    this.#told = true;
    this.#onNews();
  }

  connect(): void {
    if (this.#socket !== null || this.#closed) return;
    const socket = new LateSocket(this.#url, this.#protocols);
    this.#socket = socket;
    socket.onopen = () => {
      const encoder = encoding.createEncoder();
      encoding.writeVarUint(encoder, MESSAGE_SYNC);
      encoding.writeVarUint(encoder, STEP_1);
      encoding.writeVarUint8Array(encoder, this.#covered.stateVector);
      socket.send(encoding.toUint8Array(encoder));
    };
    socket.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
      if (this.#isNews(new Uint8Array(data))) this.news();
    };
    // The next connection of the workspace comes back for it.
    socket.onclose = ({ code }) => {
      if (code === CLOSE.generation) this.news();
      if (this.#socket === socket) this.#socket = null;
    };
  }

  disconnect(): void {
    this.#socket?.close();
    this.#socket = null;
  }

  close(): void {
    this.#closed = true;
    this.disconnect();
  }

  /** What cannot be read is news, too: the document's own provider says what is wrong. */
  #isNews(message: Uint8Array): boolean {
    try {
      const decoder = decoding.createDecoder(message);
      switch (decoding.readVarUint(decoder)) {
        case MESSAGE_SYNC: {
          const step = decoding.readVarUint(decoder);
          const bytes = decoding.readVarUint8Array(decoder);
          return step === STEP_1 ? this.#lacks(bytes) : this.#differs(bytes);
        }
        case MESSAGE_AWARENESS:
          return speaks(decoding.readVarUint8Array(decoder));
        default:
          return false;
      }
    } catch {
      return true;
    }
  }

  /** The server lacks something of ours. */
  #lacks(stateVector: Uint8Array): boolean {
    const theirs = Y.decodeStateVector(stateVector);
    for (const [client, clock] of Y.decodeStateVector(this.#covered.stateVector))
      if (clock > (theirs.get(client) ?? 0)) return true;
    return false;
  }

  #differs(update: Uint8Array): boolean {
    // The first number is that of clients with something new.
    return decoding.readVarUint(decoding.createDecoder(update)) !== 0 || crc32(update) !== this.#covered.deletes;
  }
}

/** Whether anybody in an awareness update says what a running run does: those values come with the document's room. */
function speaks(update: Uint8Array): boolean {
  const decoder = decoding.createDecoder(update);
  for (let left = decoding.readVarUint(decoder); left > 0; left--) {
    decoding.readVarUint(decoder);
    decoding.readVarUint(decoder);
    if (readLive(JSON.parse(decoding.readVarString(decoder))).length > 0) return true;
  }
  return false;
}
