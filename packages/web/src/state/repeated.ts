/**
 * A question that is asked again and again as runs change: one at a time, and once more when it was asked for meanwhile.
 * One that fails ends nothing: what changes later asks again.
 */
export class Repeated {
  readonly #ask: () => Promise<void>;
  readonly #pauseMs: number;
  #isAsking = false;
  #again = false;

  /** `pauseMs` after an answer is the soonest that what costs much is asked again. */
  constructor(ask: () => Promise<void>, pauseMs = 0) {
    this.#ask = ask;
    this.#pauseMs = pauseMs;
  }

  /** One is under way, or its pause. */
  get isAsking(): boolean {
    return this.#isAsking;
  }

  /** Asks now, or after the one under way, in which case it resolves at once. Rejects when the last one fails. */
  async run(): Promise<void> {
    if (this.#isAsking) {
      this.#again = true;
      return;
    }
    this.#isAsking = true;
    try {
      do {
        this.#again = false;
        try {
          await this.#ask();
        } catch (error) {
          if (!this.#again) throw error;
        }
        if (this.#pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, this.#pauseMs));
      } while (this.#again);
    } finally {
      this.#isAsking = false;
    }
  }
}
