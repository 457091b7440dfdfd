/** A WebSocket's own bytes around a frame. */
const FRAME_HEAD = 4;
const STEP = 1_024;

/**
 * How many frames wait in a link, roughly: a link says how many bytes do, and a frame of three bytes costs a hundred
 * times as much while nobody reads it.
 */
export class UnreadFrames {
  /** Frames and bytes handed over so far, at every thousandth frame that may still wait. */
  readonly #marks: { frames: number; bytes: number }[] = [];
  #frames = 0;
  #bytes = 0;
  /** Frames that are gone for sure. */
  #gone = 0;

  /** Counts a frame of `bytes` that is handed over while `buffered` bytes wait; returns how many frames do, by a thousand too many at most. */
  sent(bytes: number, buffered: number): number {
    const left = this.#bytes - buffered;
    while (this.#marks.length > 0 && this.#marks[0]!.bytes <= left) this.#gone = this.#marks.shift()!.frames;
    this.#frames += 1;
    this.#bytes += bytes + FRAME_HEAD;
    if (this.#frames % STEP === 0) this.#marks.push({ frames: this.#frames, bytes: this.#bytes });
    return this.#frames - this.#gone;
  }
}
