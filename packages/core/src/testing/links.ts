import type { Link } from '../ports.ts';

/** One end of a link in memory. */
class MemoryLink implements Link {
  onMessage: ((message: Uint8Array) => void) | null = null;
  onClose: ((code: number, reason: string) => void) | null = null;
  /** What was sent here and the other end has not received. */
  readonly queue: Uint8Array[] = [];
  open = true;
  readonly #close: (code: number, reason: string) => void;

  constructor(close: (code: number, reason: string) => void) {
    this.#close = close;
  }

  send(message: Uint8Array): void {
    // A copy, as a socket makes one: the sender may reuse its buffer.
    if (this.open) this.queue.push(message.slice());
  }

  close(code: number, reason: string): void {
    if (this.open) this.#close(code, reason);
  }

  buffered(): number {
    return this.queue.reduce((sum, message) => sum + message.length, 0);
  }
}

export type LinkEnd = 'a' | 'b';

/** Two ends of one connection, and the hand that moves the messages. `from` names the sender. */
export interface LinkPair {
  a: Link;
  b: Link;
  /** Messages on their way. */
  waiting(from: LinkEnd): number;
  /** Hands over the next message; false when there is none. */
  deliver(from: LinkEnd): boolean;
  /** Hands over messages of both ends, also those sent meanwhile, until none is left; returns how many. Throws after `most`. */
  deliverAll(most?: number): number;
  /** Both ends learn of the end, as of a broken connection; what was on its way is lost. */
  cut(code?: number, reason?: string): void;
}

/** A connection in memory whose messages move only when the test says so. */
export function linkPair(): LinkPair {
  const end = (closer: LinkEnd | null, code: number, reason: string): void => {
    const ends = { a, b };
    if (!a.open) return;
    a.open = b.open = false;
    if (closer !== null) {
      // Like a WebSocket: what was sent before `close` still arrives.
      const other = ends[closer === 'a' ? 'b' : 'a'];
      for (const message of ends[closer].queue.splice(0)) other.onMessage?.(message);
    }
    a.queue.length = b.queue.length = 0;
    a.onClose?.(code, reason);
    b.onClose?.(code, reason);
  };
  // `onClose` is never called from inside of `close`: it comes with the next hand-over, or at once from `cut`.
  let closing: (() => void) | undefined;
  const a = new MemoryLink((code, reason) => (closing ??= () => end('a', code, reason)));
  const b = new MemoryLink((code, reason) => (closing ??= () => end('b', code, reason)));
  const settle = (): boolean => {
    const run = closing;
    closing = undefined;
    run?.();
    return run !== undefined;
  };
  const deliver = (from: LinkEnd): boolean => {
    if (settle()) return true;
    const [sender, receiver] = from === 'a' ? [a, b] : [b, a];
    const message = sender.queue.shift();
    if (message === undefined) return false;
    receiver.onMessage?.(message);
    return true;
  };
  return {
    a,
    b,
    waiting: (from) => (from === 'a' ? a : b).queue.length,
    deliver,
    deliverAll(most = 100_000) {
      let count = 0;
      while (deliver('a') || deliver('b')) {
        count += 1;
        if (count > most) throw new Error(`The two ends did not come to rest within ${most} messages.`);
      }
      return count;
    },
    cut(code = 1006, reason = '') {
      closing = undefined;
      end(null, code, reason);
    },
  };
}
