import { FieldbookError } from '../errors.ts';
import { crc32 } from './crc32.ts';
import type { JournalHeader } from './format.ts';
import { decodeHeader, TYPE } from './format.ts';
import type { JournalRecord, RecordBody } from './records.ts';
import { decodeBody } from './records.ts';
import type { Salvage } from './salvage.ts';
import { CLEAN, CORRUPT, onlyZeros, probe, salvage, TORN, ZEROS } from './salvage.ts';

/**
 * Receives what a journal says, in its order. `point` is called once per value, millions of times: it gets numbers
 * and must not keep anything alive.
 */
export interface JournalSink {
  /** One value of one metric. `time` in ms since the epoch; `ordinal` is the record's sequence number. */
  point(metric: number, step: number, time: number, value: number, ordinal: number): void;
  /** Any other record, DECLARE included; also those of unknown type and those whose payload is malformed. */
  record(record: JournalRecord): void;
}

/** Where a reader stands; all of it is needed to go on later. */
export interface JournalPosition {
  /** End of the last whole record, in bytes from the start of the file. */
  offset: number;
  /** Sequence number of the record that comes next. */
  sequence: number;
  nonce: Uint8Array;
  /** Metrics declared so far in this file. */
  names: readonly (readonly [number: number, path: string])[];
}

/**
 * `open`: everything was taken in, or a record is incomplete. `torn`, `zeros`: what is there is no record, but a write
 * under way would look the same; read again from `offset` later. `corrupt`: damage, see `damage`; nothing more is
 * taken in until `skipTo`.
 */
export type JournalState = 'open' | 'torn' | 'zeros' | 'corrupt';

/** How a file ended that nobody writes any more. */
export interface JournalEnd {
  state: 'clean' | 'torn' | 'zeros' | 'corrupt';
  offset: number;
  sequence: number;
  /** Where reading can go on, when a torn tail turned out to hide whole records. */
  salvage: Salvage | undefined;
}

const NO_BYTES = new Uint8Array(0);

/**
 * Reads one journal file piece by piece. The caller reads bytes at `next` and pushes them; records go to the sink as
 * soon as they are whole and valid. It holds at most one incomplete record, never throws for what the bytes say,
 * and takes a record in once or not at all.
 */
export class JournalReader {
  header: JournalHeader | undefined;
  state: JournalState = 'open';
  /** Why reading stopped: `journal_corrupt` with `details.offset`, or `journal_version`. */
  damage: FieldbookError | undefined;
  /** End of the last whole record. */
  offset = 0;
  /** Sequence number of the record that comes next. */
  sequence = 0;
  /** Metric number to path, of this file. */
  readonly names = new Map<number, string>();
  /** Records of a type that this program does not know. */
  unknown = 0;
  /** Records whose payload is not what their type says. */
  malformed = 0;
  /** Points of undeclared metrics or without a finite step. */
  dropped = 0;

  #nonceCheck = 0;
  #rest = NO_BYTES;
  /** Zeros seen at `offset`, not kept. */
  #zeros = 0;
  /** 1 at the number of each declared metric: a point costs one array access, not a map lookup. */
  #declared = new Uint8Array(64);

  /**
   * A reader that goes on where another stood. `head` are the first bytes of the file, header included.
   * Throws `journal_corrupt` when the file is not the one the position was taken from.
   */
  static resume(head: Uint8Array, position: JournalPosition): JournalReader {
    const header = decodeHeader(head);
    if (header === undefined || header.nonce.some((byte, index) => byte !== position.nonce[index])) {
      throw new FieldbookError('journal_corrupt', 'A journal is not the file that it was: its nonce has changed.', {
        details: { offset: 0 },
      });
    }
    const reader = new JournalReader();
    reader.#start(header);
    reader.offset = position.offset;
    reader.sequence = position.sequence;
    for (const [number, path] of position.names) reader.#declare(number, path);
    return reader;
  }

  /** Where to read the next bytes from. */
  get next(): number {
    return this.offset + this.#rest.length + this.#zeros;
  }

  /** What `resume` needs; undefined before the header is read. */
  get position(): JournalPosition | undefined {
    if (this.header === undefined) return undefined;
    return { offset: this.offset, sequence: this.sequence, nonce: this.header.nonce, names: [...this.names] };
  }

  /** Takes in the bytes at `next`. */
  push(chunk: Uint8Array, sink: JournalSink): JournalState {
    if (this.state === 'corrupt' || chunk.length === 0) return this.state;
    if (this.#zeros > 0) {
      if (!onlyZeros(chunk, 0)) return this.#corrupt('zeros with other bytes behind them');
      this.#zeros += chunk.length;
      return this.state;
    }
    const bytes = this.#rest.length === 0 ? chunk : joined(this.#rest, chunk);
    let start = 0;
    if (this.header === undefined) {
      start = this.#readHeader(bytes);
      if (this.header === undefined) {
        // A header has at most 4 kB, so this never grows.
        this.#rest = bytes.slice();
        return this.state;
      }
    }
    return this.#readRecords(bytes, start, sink);
  }

  /** Forgets the bytes behind `offset`, so that they are read again: a write under way may have changed them. */
  rewind(): void {
    this.#rest = NO_BYTES;
    this.#zeros = 0;
    if (this.state !== 'corrupt') this.state = 'open';
  }

  /** Goes on behind damage, with what `salvage` found. */
  skipTo(found: Salvage): void {
    this.state = 'open';
    this.damage = undefined;
    this.rewind();
    this.offset = found.offset;
    this.sequence = found.sequence;
  }

  /** The verdict when no more bytes will come: the file is finished or its writer is dead. */
  finish(): JournalEnd {
    const place = { offset: this.offset, sequence: this.sequence };
    if (this.state === 'corrupt') return { state: 'corrupt', ...place, salvage: undefined };
    if (this.#zeros > 0) return { state: 'zeros', ...place, salvage: undefined };
    if (this.#rest.length === 0) return { state: 'clean', ...place, salvage: undefined };
    const found = this.header === undefined ? undefined : salvage(this.#rest, { ...place, nonce: this.header.nonce });
    if (found === undefined) return { state: 'torn', ...place, salvage: undefined };
    this.#corrupt('a length that reaches beyond the end');
    return { state: 'corrupt', ...place, salvage: found };
  }

  #readHeader(bytes: Uint8Array): number {
    try {
      const header = decodeHeader(bytes);
      if (header === undefined) return 0;
      this.#start(header);
      return header.size;
    } catch (error) {
      if (!(error instanceof FieldbookError)) throw error;
      this.state = 'corrupt';
      this.damage = error;
      return 0;
    }
  }

  #start(header: JournalHeader): void {
    this.header = header;
    this.offset = header.size;
    this.sequence = header.first;
    this.#nonceCheck = crc32(header.nonce);
  }

  #readRecords(bytes: Uint8Array, from: number, sink: JournalSink): JournalState {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let start = from;
    for (;;) {
      const found = probe(bytes, view, start, this.sequence, this.#nonceCheck);
      if (found > 0) {
        this.#take(bytes, view, start, found, sink);
        this.offset += found - start;
        this.sequence++;
        start = found;
        continue;
      }
      this.#rest = NO_BYTES;
      switch (found) {
        case CLEAN:
          this.state = 'open';
          break;
        case ZEROS:
          this.#zeros = bytes.length - start;
          this.state = 'zeros';
          break;
        case TORN:
          // Copied: the caller may reuse its buffer.
          this.#rest = bytes.slice(start);
          this.state = isWhole(view, start) ? 'torn' : 'open';
          break;
        case CORRUPT:
          this.#corrupt('bytes that are no record');
      }
      return this.state;
    }
  }

  #take(bytes: Uint8Array, view: DataView, start: number, end: number, sink: JournalSink): void {
    const type = bytes[start + 8]!;
    const payload = start + 9;
    if (type === TYPE.SCALARS) {
      const count = (end - payload - 16) / 12;
      // A step that is not finite is no step: the record is malformed as a whole.
      if (Number.isInteger(count) && count >= 0 && Number.isFinite(view.getFloat64(payload + 8, true))) {
        return this.#scalars(view, payload, count, sink);
      }
    } else if (type === TYPE.STEPPED) {
      const count = (end - payload - 8) / 20;
      if (Number.isInteger(count) && count >= 0) return this.#stepped(view, payload, count, sink);
    }
    let body: RecordBody =
      type === TYPE.SCALARS || type === TYPE.STEPPED
        ? { type: 'malformed', code: type }
        : decodeBody(type, bytes, view, payload, end);
    if (body.type === 'DECLARE' && !this.#declareAll(body.names)) body = { type: 'malformed', code: type };
    if (body.type === 'unknown') this.unknown++;
    if (body.type === 'malformed') this.malformed++;
    sink.record({ sequence: this.sequence, offset: this.offset, ...body });
  }

  #scalars(view: DataView, payload: number, count: number, sink: JournalSink): void {
    const time = view.getFloat64(payload, true);
    const step = view.getFloat64(payload + 8, true);
    const declared = this.#declared;
    const ordinal = this.sequence;
    let number = payload + 16;
    let value = number + 4 * count;
    for (let index = 0; index < count; index++, number += 4, value += 8) {
      const metric = view.getUint32(number, true);
      if (declared[metric] === 1) sink.point(metric, step, time, view.getFloat64(value, true), ordinal);
      else this.dropped++;
    }
  }

  #stepped(view: DataView, payload: number, count: number, sink: JournalSink): void {
    const time = view.getFloat64(payload, true);
    const ordinal = this.sequence;
    let number = payload + 8;
    let step = number + 4 * count;
    let value = step + 8 * count;
    for (let index = 0; index < count; index++, number += 4, step += 8, value += 8) {
      const metric = view.getUint32(number, true);
      const at = view.getFloat64(step, true);
      if (this.#declared[metric] === 1 && Number.isFinite(at)) {
        sink.point(metric, at, time, view.getFloat64(value, true), ordinal);
      } else this.dropped++;
    }
  }

  /** False, and nothing declared, when a number already has or is given another name. */
  #declareAll(names: readonly (readonly [number, string])[]): boolean {
    const fresh = new Map<number, string>();
    for (const [number, path] of names) {
      if ((this.names.get(number) ?? fresh.get(number) ?? path) !== path) return false;
      fresh.set(number, path);
    }
    for (const [number, path] of fresh) this.#declare(number, path);
    return true;
  }

  #declare(number: number, path: string): void {
    this.names.set(number, path);
    if (number >= this.#declared.length) {
      const grown = new Uint8Array(Math.max(number + 1, this.#declared.length * 2));
      grown.set(this.#declared);
      this.#declared = grown;
    }
    this.#declared[number] = 1;
  }

  #corrupt(what: string): JournalState {
    this.rewind();
    this.state = 'corrupt';
    this.damage = new FieldbookError(
      'journal_corrupt',
      `A journal is damaged at byte ${this.offset}: ${what}. Everything before is good.`,
      { details: { offset: this.offset, sequence: this.sequence, writer: this.header?.writer } },
    );
    return this.state;
  }
}

/** True when all bytes that the length asks for are there: then waiting alone does not complete the record. */
function isWhole(view: DataView, start: number): boolean {
  const rest = view.byteLength - start;
  return rest >= 8 && rest >= 8 + view.getUint32(start, true);
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const result = new Uint8Array(first.length + second.length);
  result.set(first);
  result.set(second, first.length);
  return result;
}
