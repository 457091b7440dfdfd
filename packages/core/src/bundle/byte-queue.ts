/** Takes bytes off a stream in the pieces that somebody needs, not in those that come. */
export class ByteQueue {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #chunk = new Uint8Array(0);
  #at = 0;
  #ended = false;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** Exactly `length` bytes; undefined when the stream ends before. Memory grows with what came, not with what was asked. */
  async take(length: number): Promise<Uint8Array | undefined> {
    const pieces: Uint8Array[] = [];
    let left = length;
    while (left > 0) {
      const piece = await this.takeSome(left);
      if (piece === undefined) return undefined;
      if (piece.length === length) return piece;
      pieces.push(piece);
      left -= piece.length;
    }
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const piece of pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }

  /** `length` bytes, or as many as there are until the end of the stream. */
  async takeUpTo(length: number): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    let size = 0;
    while (size < length) {
      const piece = await this.takeSome(length - size);
      if (piece === undefined) break;
      pieces.push(piece);
      size += piece.length;
    }
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const piece of pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }

  /** Between one byte and `most`; undefined at the end of the stream. */
  async takeSome(most: number): Promise<Uint8Array | undefined> {
    while (this.#at >= this.#chunk.length) {
      if (this.#ended) return undefined;
      const next = await this.#chunks.next();
      if (next.done === true) {
        this.#ended = true;
        return undefined;
      }
      const { buffer, byteOffset, byteLength } = next.value;
      // Plain bytes whatever the platform hands in: Yjs refuses Node's own kind.
      this.#chunk = new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
      this.#at = 0;
    }
    const piece = this.#chunk.subarray(this.#at, this.#at + most);
    this.#at += piece.length;
    return piece;
  }

  /** Tells the stream that nothing more is wanted of it. */
  async close(): Promise<void> {
    if (!this.#ended) await this.#chunks.return?.();
    this.#ended = true;
  }
}
