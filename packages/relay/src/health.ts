import { asFieldbookError } from '@fieldbook/core';
import type { Replica } from '@fieldbook/core/replica';

/** Why a relay is not ready: `draining`, or the code of a write that failed. */
export interface Readiness {
  ready: boolean;
  reasons: string[];
}

/** Anybody may ask; a write for each question would be a way to wear a disk out. */
const BELIEVED_MS = 2_000;
const WRITE_WITHIN_MS = 5_000;
const KEY = 'health/written';

/** Whether this relay should be given work: its store takes writes, its disk has room, and it is not ending. */
export class Health {
  readonly #replica: Replica;
  readonly #isFull: () => Promise<boolean>;
  #draining = false;
  #asked: { at: number; answer: Promise<string[]> } | undefined;

  constructor(replica: Replica, isFull: () => Promise<boolean>) {
    this.#replica = replica;
    this.#isFull = isFull;
  }

  get draining(): boolean {
    return this.#draining;
  }

  drain(): void {
    this.#draining = true;
  }

  async readiness(): Promise<Readiness> {
    if (this.#draining) return { ready: false, reasons: ['draining'] };
    const now = performance.now();
    if (this.#asked === undefined || now - this.#asked.at > BELIEVED_MS)
      this.#asked = { at: now, answer: this.#probe() };
    const reasons = await this.#asked.answer;
    return { ready: reasons.length === 0, reasons };
  }

  async #probe(): Promise<string[]> {
    if (await this.#isFull()) return ['disk_full'];
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string[]>((resolve) => {
      timer = setTimeout(() => resolve(['store_slow']), WRITE_WITHIN_MS);
    });
    // The truth about a disk is in a write that was fsynced.
    const written = this.#replica.putPrivate([[KEY, new Uint8Array([1])]]).then(
      () => [],
      (error: unknown) => [asFieldbookError(error).code],
    );
    try {
      return await Promise.race([written, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
