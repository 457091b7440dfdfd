import type { DeviceLine } from '../worker/api.ts';
import type { LastWritten } from '../worker/sync-api.ts';
import { client } from './client.svelte.ts';
import { Repeated } from './repeated.ts';

/** Each look reads every record of every book: with 100,000 runs that takes a second. */
const PAUSE_MS = 3_000;

/** The devices and what each wrote last, for a part of a page. `follow` looks now, or soon after the last look; `close` when it is gone. */
export class Devices {
  readonly #reading: Repeated;
  #isClosed = false;

  constructor(take: (devices: readonly DeviceLine[], written: readonly LastWritten[]) => void) {
    this.#reading = new Repeated(async () => {
      if (this.#isClosed) return;
      const [devices, written] = await Promise.all([client.worker.devices(), client.worker.lastWritten()]);
      if (!this.#isClosed) take(devices, written);
    }, PAUSE_MS);
  }

  /** Something may have changed. What cannot be read now is read at the next change. */
  follow(): void {
    void this.#reading.run().catch(() => undefined);
  }

  close(): void {
    this.#isClosed = true;
  }
}
