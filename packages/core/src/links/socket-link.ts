import { FieldbookError } from '../errors.ts';
import type { Link } from '../ports.ts';
import { CLOSE, clipReason } from './close-codes.ts';

/** The part of a WebSocket that a link needs; browsers' and `ws` sockets both have it. */
export interface SocketLike {
  binaryType: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: 'open' | 'error', listener: (event: { message?: string }) => void): void;
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void;
  addEventListener(type: 'close', listener: (event: { code: number; reason: string }) => void): void;
}

const CONNECTING = 0;
const OPEN = 1;

/**
 * The Link port over a WebSocket that is open. What arrives before somebody listens is kept, in order; a text message
 * closes the connection.
 */
export function linkOverSocket(socket: SocketLike): Link {
  return new SocketLink(socket);
}

/** A link as soon as `socket` is open. Rejects with `peer_unreachable` when it closes or fails first. */
export function linkWhenOpen(socket: SocketLike): Promise<Link> {
  return new Promise((resolve, reject) => {
    // Made at once: a server may speak, or refuse, in the same tick in which the socket opens.
    const link = new SocketLink(socket);
    if (socket.readyState === OPEN) {
      resolve(link);
      return;
    }
    let problem = '';
    const failed = (event: { message?: string }): void => {
      problem = event.message ?? '';
    };
    const closed = (event: { code: number; reason: string }): void => {
      if (socket.readyState === CONNECTING) return;
      const why = event.reason || problem || `code ${event.code}`;
      reject(new FieldbookError('peer_unreachable', `No connection: ${why}.`, { details: { code: event.code } }));
    };
    socket.addEventListener('error', failed);
    socket.addEventListener('close', closed);
    socket.addEventListener('open', () => resolve(link));
  });
}

class SocketLink implements Link {
  readonly #socket: SocketLike;
  #onMessage: Link['onMessage'] = null;
  #onClose: Link['onClose'] = null;
  #early: Uint8Array[] = [];
  #closed: { code: number; reason: string } | undefined;
  #closing = false;

  constructor(socket: SocketLike) {
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('message', ({ data }) => this.#message(data));
    socket.addEventListener('close', ({ code, reason }) => {
      if (this.#closed !== undefined) return;
      this.#closed = { code, reason: String(reason) };
      this.#onClose?.(code, String(reason));
    });
    // A `ws` socket without an error listener throws; what happened is said by the close that follows.
    socket.addEventListener('error', () => undefined);
  }

  send(message: Uint8Array): void {
    if (this.#closing || this.#socket.readyState !== OPEN) return;
    this.#socket.send(message as Uint8Array<ArrayBuffer>);
  }

  close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#socket.close(code, clipReason(reason));
  }

  buffered(): number {
    return this.#socket.bufferedAmount;
  }

  get onMessage(): Link['onMessage'] {
    return this.#onMessage;
  }

  set onMessage(listener: Link['onMessage']) {
    this.#onMessage = listener;
    if (listener === null) return;
    for (const message of this.#early.splice(0)) this.#onMessage?.(message);
  }

  get onClose(): Link['onClose'] {
    return this.#onClose;
  }

  set onClose(listener: Link['onClose']) {
    this.#onClose = listener;
    if (this.#closed !== undefined) listener?.(this.#closed.code, this.#closed.reason);
  }

  #message(data: unknown): void {
    // After we closed, what is still under way is nobody's.
    if (this.#closing) return;
    if (!(data instanceof ArrayBuffer)) {
      this.close(CLOSE.badData, 'messages must be binary');
      return;
    }
    const message = new Uint8Array(data);
    if (this.#onMessage === null) this.#early.push(message);
    else this.#onMessage(message);
  }
}
