import type { BlobStore, Log, Storage } from '@fieldbook/core';
import { FieldbookError } from '@fieldbook/core';

export interface DiskOptions {
  /** Bytes that can still be written. */
  freeBytes(): Promise<number>;
  /** Below this nothing is taken in any more … */
  reserve: number;
  log: Log;
  /** There is room again. */
  onRoom?(): void;
}

/** How often it is looked for room while there is none, and only then. */
const LOOK_AGAIN_MS = 2_000;
/** How long an answer about the free space is believed while there is plenty. A gigabit brings 60 MB in that. */
const BELIEVED_MS = 500;
/** … until there is this much more than the reserve, so that it does not go back and forth with every file. */
const ROOM_FACTOR = 1.25;

/**
 * Refuses writes with `disk_full` before the disk refuses them. LevelDB on a disk that is really full cannot compact and
 * hardly opens again, and a person who has to make room needs some; so the last bytes are kept for that. Reads go on.
 * Nobody has to end this mode: it is looked for room by itself.
 */
export class DiskGuard {
  readonly #options: DiskOptions;
  #armed = false;
  #watch: NodeJS.Timeout | undefined;
  #full = false;
  #looked = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;

  constructor(options: DiskOptions) {
    this.#options = options;
  }

  /** From now on writes are refused while the disk is full. Before, a store on a full disk is opened, so that it can be read. */
  arm(): void {
    this.#armed = true;
  }

  /** As of the last look. */
  get full(): boolean {
    return this.#armed && this.#full;
  }

  close(): void {
    clearInterval(this.#watch);
  }

  /** Looks, unless somebody just did. */
  async isFull(): Promise<boolean> {
    if (performance.now() - this.#looked > BELIEVED_MS) {
      this.#looking ??= this.#look().finally(() => {
        this.#looking = undefined;
      });
      await this.#looking;
    }
    return this.#full;
  }

  /** The storage, refusing while the disk is full. */
  storage(inner: Storage): Storage {
    return {
      ...inner,
      batch: async (operations, durability) => {
        await this.#check();
        await inner.batch(operations, durability);
      },
      recover: async () => {
        await this.#check();
        await inner.recover?.();
      },
    };
  }

  /** The blob store, refusing while the disk is full. What is here already is not written again and stays readable. */
  blobs<T extends BlobStore>(inner: T): T {
    return new Proxy(inner, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        if (name !== 'write') return (value as () => unknown).bind(target);
        return async (...args: Parameters<BlobStore['write']>) => {
          await this.#check();
          return target.write(...args);
        };
      },
    });
  }

  async #check(): Promise<void> {
    if (this.#armed && (await this.isFull()))
      throw new FieldbookError(
        'disk_full',
        "The relay's disk is full: nothing can be stored until somebody makes room. Reading goes on.",
      );
  }

  async #look(): Promise<void> {
    const { freeBytes, reserve, log, onRoom } = this.#options;
    const free = await freeBytes();
    this.#looked = performance.now();
    const full = free < (this.#full ? reserve * ROOM_FACTOR : reserve);
    if (full === this.#full) return;
    this.#full = full;
    clearInterval(this.#watch);
    if (full) {
      log.error('disk.full', { free, reserve });
      this.#watch = setInterval(() => void this.isFull().catch(() => undefined), LOOK_AGAIN_MS).unref();
    } else {
      log.warn('disk.has_room', { free, reserve });
      onRoom?.();
    }
  }
}
