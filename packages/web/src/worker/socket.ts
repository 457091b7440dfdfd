import * as decoding from 'lib0/decoding';
import { LateSocket } from './late-socket.ts';

export const MESSAGE_SYNC = 0;
const STEP_2 = 1;
const UPDATE = 2;
/** Fieldbook's own message type in rooms: how many of this connection's updates are durable on the server. */
export const MESSAGE_ACK = 100;

/** True for a frame that carries document content (a sync step 2 or an update), which the server counts and acknowledges. */
export function carriesContent(frame: Uint8Array): boolean {
  try {
    const decoder = decoding.createDecoder(frame);
    if (decoding.readVarUint(decoder) !== MESSAGE_SYNC) return false;
    const kind = decoding.readVarUint(decoder);
    return kind === STEP_2 || kind === UPDATE;
  } catch {
    return false;
  }
}

/**
 * A WebSocket class that counts the content frames it sends and calls `onContent` with the count before each: what
 * a room acknowledges is exactly this number. One class per provider, because y-websocket makes its own sockets.
 */
export function countingSocket(
  protocols: () => Promise<string[]>,
  onOpen: () => void,
  onContent: (count: number) => void,
): typeof WebSocket {
  class CountingSocket extends LateSocket {
    #count = 0;

    constructor(url: string | URL) {
      super(url, protocols);
      onOpen();
    }

    override send(data: string | Blob | BufferSource): void {
      const bytes =
        data instanceof ArrayBuffer
          ? new Uint8Array(data)
          : ArrayBuffer.isView(data)
            ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
            : null;
      if (bytes !== null && carriesContent(bytes)) onContent((this.#count += 1));
      super.send(data);
    }
  }
  return CountingSocket as unknown as typeof WebSocket;
}
