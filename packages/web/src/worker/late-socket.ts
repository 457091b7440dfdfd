import { isFieldbookError } from '@fieldbook/core';
import { CLOSE, clipReason } from '@fieldbook/core/links';

const ABNORMAL = 1006;

/**
 * A WebSocket whose subprotocols must be asked for before it is opened: what y-websocket and `Watch` need of one. A refusal
 * to say them closes it as the server would have.
 */
export class LateSocket {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;
  readonly OPEN = 1;
  binaryType: BinaryType = 'arraybuffer';
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent<ArrayBuffer>) => void) | null = null;
  onerror: ((event: Event) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  #socket: WebSocket | null = null;
  #isClosed = false;

  constructor(url: string | URL, protocols: () => Promise<string[]>) {
    protocols().then(
      (list) => this.#open(url, list),
      (error: unknown) => {
        const isRefused = isFieldbookError(error, 'unauthorized');
        this.#end(isRefused ? CLOSE.unauthorized : ABNORMAL, isRefused ? clipReason(error.message) : '');
      },
    );
  }

  get readyState(): number {
    if (this.#socket !== null) return this.#socket.readyState;
    return this.#isClosed ? LateSocket.CLOSED : LateSocket.CONNECTING;
  }

  send(data: string | Blob | BufferSource): void {
    this.#socket?.send(data);
  }

  close(code?: number, reason?: string): void {
    if (this.#socket !== null) this.#socket.close(code, reason);
    else queueMicrotask(() => this.#end(ABNORMAL, ''));
  }

  #open(url: string | URL, protocols: string[]): void {
    if (this.#isClosed) return;
    const socket = new WebSocket(url, protocols);
    this.#socket = socket;
    socket.binaryType = this.binaryType;
    socket.onopen = (event) => this.onopen?.(event);
    socket.onmessage = (event: MessageEvent<ArrayBuffer>) => this.onmessage?.(event);
    socket.onerror = (event) => this.onerror?.(event);
    socket.onclose = ({ code, reason }) => this.#end(code, reason);
  }

  #end(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.onclose?.({ code, reason });
  }
}
