import { FieldbookError } from '../errors.ts';
import { utf8 } from '../ids.ts';
import { parseAddress, printAddress } from './address.ts';

/** A DNS name: its labels, without the root. */
export type Name = readonly string[];

/** Types of records that discovery knows. */
export const TYPE = { A: 1, PTR: 12, TXT: 16, AAAA: 28, SRV: 33, ANY: 255 } as const;

export interface Question {
  readonly name: Name;
  readonly type: number;
  /** The answer may come to the asker alone. */
  readonly unicast: boolean;
}

/** What a record says. */
export type RecordData =
  | { readonly kind: 'pointer'; readonly target: Name }
  | { readonly kind: 'service'; readonly port: number; readonly target: Name }
  | { readonly kind: 'text'; readonly bytes: Uint8Array }
  | { readonly kind: 'address'; readonly address: string };

export interface DnsRecord {
  readonly name: Name;
  /** Seconds; 0 takes it back. */
  readonly ttl: number;
  /** There are no others of this name and type. */
  readonly flush: boolean;
  readonly data: RecordData;
}

export interface Message {
  readonly id: number;
  readonly isResponse: boolean;
  readonly questions: readonly Question[];
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
}

/** RFC 6762 section 17: no message of multicast DNS is longer. */
export const MESSAGE_BYTES = 9_000;
/** Questions and records of one message that are looked at. A busy printer tells of some twenty. */
const RECORDS = 256;
/** Parts of all names of a message together: pointers make 65,000 of 9,000 bytes, which would take 10 ms to read. Ours have some 40. */
const LABELS = 4_096;
const NAME_BYTES = 255;
const LABEL_BYTES = 63;
const CLASS_IN = 1;
const CLASS_ANY = 255;
const TOP_BIT = 0x8000;
const RESPONSE = 0x8000;
const AUTHORITATIVE = 0x0400;
/** Operation and result of whatever is not a plain question or answer. */
const OTHER = 0x780f;

/** The type of a record by what it says. */
export function typeOf(data: RecordData): number {
  switch (data.kind) {
    case 'pointer':
      return TYPE.PTR;
    case 'service':
      return TYPE.SRV;
    case 'text':
      return TYPE.TXT;
    case 'address':
      return data.address.includes(':') ? TYPE.AAAA : TYPE.A;
  }
}

/** Names are equal whatever the case of their ASCII letters. */
export function nameKey(name: Name): string {
  return name
    .map((label) => label.replace(/[A-Z]/g, (letter) => letter.toLowerCase()).replaceAll('.', '\\.'))
    .join('.');
}

/** Any bytes as a message; null for what is none. Records of types and classes that discovery does not know are passed over. */
export function decodeMessage(bytes: Uint8Array): Message | null {
  if (bytes.length > MESSAGE_BYTES) return null;
  const reader = new Reader(bytes);
  try {
    const id = reader.u16();
    const flags = reader.u16();
    if ((flags & OTHER) !== 0) return null;
    const [asked, ...counts] = [reader.u16(), reader.u16(), reader.u16(), reader.u16()];
    if (asked! + counts[0]! + counts[1]! + counts[2]! > RECORDS) return null;
    const questions: Question[] = [];
    for (let index = 0; index < asked!; index++) {
      const [name, type, of] = [reader.name(), reader.u16(), reader.u16()];
      const inClass = of & ~TOP_BIT;
      if (inClass === CLASS_IN || inClass === CLASS_ANY) questions.push({ name, type, unicast: (of & TOP_BIT) !== 0 });
    }
    const [answers, authorities, additionals] = counts.map((count) => reader.records(count));
    return {
      id,
      isResponse: (flags & RESPONSE) !== 0,
      questions,
      answers: answers!,
      authorities: authorities!,
      additionals: additionals!,
    };
  } catch (error) {
    if (error === TORN) return null;
    throw error;
  }
}

/** What a message that ends too early, or points forwards, comes to. */
const TORN = new Error('torn');

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;
  #labels = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  u16(): number {
    return (this.#byte() << 8) | this.#byte();
  }

  u32(): number {
    return this.u16() * 0x10000 + this.u16();
  }

  name(): Name {
    const labels: string[] = [];
    let total = 1;
    /** Where to go on when the name has jumped. */
    let after = -1;
    /** A pointer leads to before everything read so far, so there is no circle. */
    let least = this.#at;
    for (;;) {
      const length = this.#byte();
      if (length === 0) break;
      if (length >= 0xc0) {
        const target = ((length & 0x3f) << 8) | this.#byte();
        if (after === -1) after = this.#at;
        if (target >= least) throw TORN;
        least = target;
        this.#at = target;
        continue;
      }
      total += length + 1;
      if (length > LABEL_BYTES || total > NAME_BYTES || ++this.#labels > LABELS) throw TORN;
      labels.push(decoder.decode(this.#take(length)));
    }
    if (after !== -1) this.#at = after;
    return labels;
  }

  records(count: number): DnsRecord[] {
    const records: DnsRecord[] = [];
    for (let index = 0; index < count; index++) {
      const name = this.name();
      const [type, of, ttl, length] = [this.u16(), this.u16(), this.u32(), this.u16()];
      const end = this.#at + length;
      if (end > this.#bytes.length) throw TORN;
      const data = (of & ~TOP_BIT) === CLASS_IN ? this.#data(type, length) : null;
      if (data !== null && this.#at !== end) throw TORN;
      this.#at = end;
      if (data !== null) records.push({ name, ttl, flush: (of & TOP_BIT) !== 0, data });
    }
    return records;
  }

  #data(type: number, length: number): RecordData | null {
    if (type === TYPE.PTR) return { kind: 'pointer', target: this.name() };
    if (type === TYPE.TXT) return { kind: 'text', bytes: this.#take(length).slice() };
    if (type === TYPE.SRV) {
      const [, , port] = [this.u16(), this.u16(), this.u16()];
      return { kind: 'service', port: port!, target: this.name() };
    }
    if ((type === TYPE.A && length === 4) || (type === TYPE.AAAA && length === 16))
      return { kind: 'address', address: printAddress(this.#take(length)) };
    return null;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw TORN;
    return byte;
  }

  #take(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw TORN;
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }
}

// Not fatal: one name that is no UTF-8 must not take the rest of a message along.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The bytes of a message. Throws `invalid_argument` for a label that is too long. */
export function encodeMessage(message: Partial<Message>): Uint8Array {
  const { id = 0, isResponse = false, questions = [], answers = [], authorities = [], additionals = [] } = message;
  const bytes: number[] = [];
  const u16 = (value: number): void => void bytes.push((value >> 8) & 255, value & 255);
  for (const head of [
    id,
    isResponse ? RESPONSE | AUTHORITATIVE : 0,
    questions.length,
    answers.length,
    authorities.length,
    additionals.length,
  ])
    u16(head);
  for (const { name, type, unicast } of questions) {
    bytes.push(...encodeName(name));
    u16(type);
    u16(CLASS_IN | (unicast ? TOP_BIT : 0));
  }
  for (const { name, ttl, flush, data } of [...answers, ...authorities, ...additionals]) {
    const said = encodeData(data);
    bytes.push(...encodeName(name));
    u16(typeOf(data));
    u16(CLASS_IN | (flush ? TOP_BIT : 0));
    u16(Math.floor(ttl / 0x10000));
    u16(ttl & 0xffff);
    u16(said.length);
    bytes.push(...said);
  }
  return Uint8Array.from(bytes);
}

function encodeName(name: Name): number[] {
  const bytes: number[] = [];
  for (const label of name) {
    const text = utf8(label);
    if (text.length === 0 || text.length > LABEL_BYTES)
      throw new FieldbookError('invalid_argument', `A part of a name has 1 to ${LABEL_BYTES} bytes.`);
    bytes.push(text.length, ...text);
  }
  return [...bytes, 0];
}

/** What a record says, with names in full, as it is compared where two machines claim one name. */
export function encodeData(data: RecordData): Uint8Array {
  switch (data.kind) {
    case 'pointer':
      return Uint8Array.from(encodeName(data.target));
    case 'service':
      return Uint8Array.from([0, 0, 0, 0, data.port >> 8, data.port & 255, ...encodeName(data.target)]);
    case 'text':
      return data.bytes;
    case 'address':
      return parseAddress(data.address) ?? new Uint8Array(4);
  }
}
