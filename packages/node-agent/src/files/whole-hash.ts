import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

/** The SHA-256 of bytes that come piece by piece. */
export interface WholeHash {
  /** Resolves when the piece is taken in; until then it must not change, and the next one waits. */
  update(bytes: Uint8Array): Promise<void>;
  /** In hexadecimal. */
  digest(): Promise<string>;
  /** Ends what it holds; always to be called. */
  close(): Promise<void>;
}

/** The event loop is held no longer than hashing so much takes: half a millisecond with SHA instructions, three without. */
const SLICE = 1024 * 1024;
/** A thread takes 50 ms to begin: below this, hashing between the turns of others is over sooner. */
const THREAD_FROM = 64 * 1024 * 1024;

/** For a file of `size` bytes: Node has no incremental hash off the main thread, so a large one is hashed by a thread of its own. */
export function wholeHash(size: number): WholeHash {
  return size > THREAD_FROM ? new ThreadHash() : new TurnsHash();
}

/** Hashes on this thread and lets others have their turn for each MiB. */
class TurnsHash implements WholeHash {
  readonly #hash = createHash('sha256');

  async update(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += SLICE) {
      this.#hash.update(bytes.subarray(at, at + SLICE));
      await setImmediate();
    }
  }

  digest(): Promise<string> {
    return Promise.resolve(this.#hash.digest('hex'));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** What the thread runs, as text: so it is the same from source and from what is built. Answers each message with one. */
const THREAD = `
const { parentPort } = require('node:worker_threads');
const hash = require('node:crypto').createHash('sha256');
parentPort.on('message', (bytes) => {
  if (bytes !== null) hash.update(bytes);
  parentPort.postMessage(bytes === null ? hash.digest('hex') : null);
});
`;

class ThreadHash implements WholeHash {
  readonly #worker = new Worker(THREAD, {
    eval: true,
    name: 'fieldbook-hash',
    resourceLimits: { maxOldGenerationSizeMb: 32 },
  });
  #answered: { resolve(answer: string | null): void; reject(error: Error): void } | undefined;
  #failure: Error | undefined;

  constructor() {
    this.#worker.on('message', (answer: string | null) => this.#answered?.resolve(answer));
    const failed = (error: Error): void => {
      this.#failure ??= error;
      this.#answered?.reject(error);
    };
    this.#worker.on('error', failed);
    this.#worker.on('exit', () => failed(new Error('The thread that hashes files has ended.')));
  }

  async update(bytes: Uint8Array): Promise<void> {
    // Sending copies: a copy of a whole chunk holds the event loop longer than one of a slice.
    for (let at = 0; at < bytes.length; at += SLICE) await this.#ask(bytes.slice(at, at + SLICE));
  }

  async digest(): Promise<string> {
    return (await this.#ask(null))!;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #ask(bytes: Uint8Array<ArrayBuffer> | null): Promise<string | null> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      this.#answered = { resolve, reject };
      this.#worker.postMessage(bytes, bytes === null ? [] : [bytes.buffer]);
    });
  }
}
