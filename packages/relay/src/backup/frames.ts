import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { FieldbookError } from '@fieldbook/core';
import { crc32 } from '@fieldbook/core/journal';

/** Longer frames are damage: the largest holds one value of the store. */
const FRAME_BYTES_MAX = 768 * 1024 * 1024;
const HEAD_BYTES = 8;
const WRITE_BYTES = 1024 * 1024;

/** Appends frames: u32 little-endian length, u32 CRC-32 of the payload, payload. The file is new and for its owner only. */
export class FrameWriter {
  readonly path: string;
  readonly #file: FileHandle;
  readonly #hash = createHash('sha256');
  #parts: Uint8Array[] = [];
  #buffered = 0;
  #bytes = 0;

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  static async create(path: string): Promise<FrameWriter> {
    return new FrameWriter(path, await open(path, 'wx', 0o600));
  }

  /** Bytes so far, written or not. */
  get bytes(): number {
    return this.#bytes + this.#buffered;
  }

  /** Bytes that wait to be written. */
  get buffered(): number {
    return this.#buffered;
  }

  add(payload: Uint8Array): void {
    this.#parts.push(headOf(payload), payload);
    this.#buffered += HEAD_BYTES + payload.length;
  }

  /** `add`, and writes when enough has come together. */
  async append(payload: Uint8Array): Promise<void> {
    this.add(payload);
    if (this.#buffered >= WRITE_BYTES) await this.write();
  }

  async write(): Promise<void> {
    const bytes = Buffer.concat(this.#parts.splice(0));
    this.#buffered -= bytes.length;
    this.#bytes += bytes.length;
    this.#hash.update(bytes);
    for (let done = 0; done < bytes.length;) done += (await this.#file.write(bytes, done)).bytesWritten;
  }

  /** Resolves when everything so far is on disk. */
  async sync(): Promise<void> {
    await this.write();
    await this.#file.datasync();
  }

  /** Syncs and closes; the digest of the whole file. */
  async close(): Promise<string> {
    await this.sync();
    await this.#file.close();
    return this.#hash.digest('hex');
  }
}

function headOf(payload: Uint8Array): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES);
  const view = new DataView(head.buffer);
  view.setUint32(0, payload.length, true);
  view.setUint32(4, crc32(payload), true);
  return head;
}

/** Payloads as bytes of a stream. */
export async function* framesOf(payloads: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const payload of payloads) yield Buffer.concat([headOf(payload), payload]);
}

/**
 * The payloads of a file of frames, in order. An incomplete or damaged frame ends it when `torn` is allowed (the file of a process that
 * was killed ends so), and else throws `storage_failed` with the place.
 */
export function readFrames(path: string, { torn }: { torn: boolean }): AsyncGenerator<Uint8Array> {
  return payloadsOf(createReadStream(path, { highWaterMark: WRITE_BYTES }) as AsyncIterable<Buffer>, path, torn);
}

/** The payloads of frames in a stream; `what` names it in errors. */
export async function* payloadsOf(
  chunks: AsyncIterable<Uint8Array>,
  what: string,
  torn = false,
): AsyncGenerator<Uint8Array> {
  let rest: Buffer = Buffer.alloc(0);
  let parts: Uint8Array[] = [];
  let waiting = 0;
  let need = HEAD_BYTES;
  let offset = 0;
  const damaged = (): FieldbookError =>
    new FieldbookError('storage_failed', `${what} is damaged at byte ${offset}. Use another copy of it.`);
  for await (const chunk of chunks) {
    parts.push(chunk);
    waiting += chunk.length;
    if (rest.length + waiting < need) continue;
    rest = Buffer.concat([rest, ...parts]);
    parts = [];
    waiting = 0;
    for (;;) {
      need = HEAD_BYTES;
      if (rest.length < need) break;
      const length = rest.readUInt32LE(0);
      if (length > FRAME_BYTES_MAX) {
        if (torn) return;
        throw damaged();
      }
      need += length;
      if (rest.length < need) break;
      const payload = new Uint8Array(rest.subarray(HEAD_BYTES, need));
      if (crc32(payload) !== rest.readUInt32LE(4)) {
        if (torn) return;
        throw damaged();
      }
      yield payload;
      rest = rest.subarray(need);
      offset += need;
    }
  }
  if (rest.length + waiting > 0 && !torn) throw damaged();
}

/** SHA-256 of a file, as hex. */
export async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: WRITE_BYTES }) as AsyncIterable<Buffer>)
    hash.update(chunk);
  return hash.digest('hex');
}
