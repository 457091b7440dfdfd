import { Repeated } from './repeated.ts';

interface Asked<T> {
  key: string;
  read: () => Promise<T>;
  repeated: Repeated;
}

/**
 * What one part of a page asks. The same question waits for the answer under way and is then asked once more, so that a
 * project that changes all the time keeps no answer from coming; of another one the answer to the one before is dropped.
 */
export class Question<T> {
  readonly #take: (answer: T) => void;
  readonly #fail: (error: unknown) => void;
  #asked: Asked<T> | null = null;

  constructor(take: (answer: T) => void, fail: (error: unknown) => void) {
    this.#take = take;
    this.#fail = fail;
  }

  /** `key` tells questions apart; `read` asks. */
  ask(key: string, read: () => Promise<T>): void {
    if (this.#asked?.key === key) this.#asked.read = read;
    else {
      const asked: Asked<T> = { key, read, repeated: new Repeated(() => this.#read(asked)) };
      this.#asked = asked;
    }
    void this.#asked!.repeated.run();
  }

  /** Nobody waits for an answer any more. */
  drop(): void {
    this.#asked = null;
  }

  async #read(asked: Asked<T>): Promise<void> {
    if (this.#asked !== asked) return;
    let answer: T;
    try {
      answer = await asked.read();
    } catch (error) {
      if (this.#asked === asked) this.#fail(error);
      return;
    }
    if (this.#asked === asked) this.#take(answer);
  }
}
