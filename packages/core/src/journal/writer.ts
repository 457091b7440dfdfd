import type { WriterId } from '../ids.ts';
import { utf8 } from '../ids.ts';
import { crc32 } from './crc32.ts';
import { encodeHeader, recordCheck, TYPE } from './format.ts';
import type { JsonObject } from './records.ts';

/**
 * Makes the bytes of a journal in memory, for tests, benchmarks and the demo. Training scripts have the Python
 * client's writer, which owns files, locks and failures; this one owns a growing buffer.
 */
export class JournalWriter {
  sequence: number;
  #bytes = new Uint8Array(64 * 1024);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  #nonceCheck: number;

  constructor(options: { writer: WriterId; nonce: Uint8Array; number?: number; first?: number }) {
    const { writer, nonce, number = 0, first = 0 } = options;
    this.sequence = first;
    this.#nonceCheck = crc32(nonce);
    const header = encodeHeader({ writer, nonce, number, first });
    this.#bytes.set(header);
    this.#length = header.length;
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** A copy of the file. */
  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  json(
    type: 'META' | 'ATTRS' | 'TAGS' | 'STATUS' | 'GAP' | 'CLOSE' | 'FILE' | 'OBJECT' | 'CAPTURE',
    data: JsonObject,
  ): void {
    this.raw(TYPE[type], utf8(JSON.stringify(data)));
  }

  declare(names: readonly (readonly [number: number, path: string])[]): void {
    const paths = names.map(([number, path]) => [number, utf8(path)] as const);
    const payload = new Uint8Array(paths.reduce((sum, [, path]) => sum + 6 + path.length, 0));
    const view = new DataView(payload.buffer);
    let position = 0;
    for (const [number, path] of paths) {
      view.setUint32(position, number, true);
      view.setUint16(position + 4, path.length, true);
      payload.set(path, position + 6);
      position += 6 + path.length;
    }
    this.raw(TYPE.DECLARE, payload);
  }

  /** One step for all metrics; `metrics` and `values` are parallel. */
  scalars(time: number, step: number, metrics: ArrayLike<number>, values: ArrayLike<number>): void {
    const count = metrics.length;
    const start = this.#open(TYPE.SCALARS, 16 + 12 * count);
    this.#view.setFloat64(start, time, true);
    this.#view.setFloat64(start + 8, step, true);
    for (let index = 0; index < count; index++) {
      this.#view.setUint32(start + 16 + 4 * index, metrics[index]!, true);
      this.#view.setFloat64(start + 16 + 4 * count + 8 * index, values[index]!, true);
    }
    this.#close();
  }

  /** Lines of `stream` (1 stdout, 2 stderr, 3 both); flag 1 an unfinished line, flag 2 a notice. */
  console(time: number, stream: number, flags: number, text: string): void {
    const bytes = utf8(text);
    const payload = new Uint8Array(10 + bytes.length);
    new DataView(payload.buffer).setFloat64(0, time, true);
    payload[8] = stream;
    payload[9] = flags;
    payload.set(bytes, 10);
    this.raw(TYPE.CONSOLE, payload);
  }

  heartbeat(time: number): void {
    this.#view.setFloat64(this.#open(TYPE.HEARTBEAT, 8), time, true);
    this.#close();
  }

  rotated(time: number, number: number): void {
    const start = this.#open(TYPE.ROTATED, 12);
    this.#view.setFloat64(start, time, true);
    this.#view.setUint32(start + 8, number, true);
    this.#close();
  }

  /** A record of any type. */
  raw(type: number, payload: Uint8Array): void {
    // Opened first: making room may replace the buffer.
    const start = this.#open(type, payload.length);
    this.#bytes.set(payload, start);
    this.#close();
  }

  /** Makes room for a record and writes length and type; the payload's place is returned. */
  #open(type: number, payloadLength: number): number {
    const needed = this.#length + 9 + payloadLength;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#view.setUint32(this.#length, payloadLength + 1, true);
    this.#bytes[this.#length + 8] = type;
    return this.#length + 9;
  }

  #close(): void {
    const start = this.#length;
    const end = start + 8 + this.#view.getUint32(start, true);
    this.#view.setUint32(start + 4, recordCheck(this.#nonceCheck, this.sequence, this.#bytes, start + 8, end), true);
    this.#length = end;
    this.sequence++;
  }
}
