import { FieldbookError } from '../errors.ts';

/**
 * What an update (V1 encoding of Yjs 13) holds, read without Yjs, without building anything, and without believing any
 * count: time is linear in its bytes whatever they are. Only what our documents are made of is let through (items with
 * byte content or deleted content in maps; in a note, text or deleted content in a list); everything else ends the scan
 * before its content is looked at.
 */
export interface UpdateScan {
  /** Structs in all. */
  readonly structs: number;
  /** For each client with structs in the update: the first clock it holds and the one behind the last. */
  readonly spans: ReadonlyMap<number, { readonly start: number; readonly end: number }>;
  /** For each client, the highest clock that anything in the update refers to: origins, parents, deletes. */
  readonly needs: ReadonlyMap<number, number>;
  /** Names of the top-level types that items name as their parent. */
  readonly maps: ReadonlySet<string>;
}

export interface ScanLimits {
  structs: number;
  /** Bytes of a key. */
  keyBytes: number;
  /** What the document is made of: byte records in maps, unless said otherwise. */
  holds?: 'records' | 'text';
}

/** Clocks are added and compared as doubles; nothing of ours comes near. */
const CLOCK_MAX = 2 ** 40;

const DELETED = 1;
const BINARY = 3;
const STRING = 4;
const SKIP = 10;
const CONTENT_NAMES = ['GC', 'deleted', 'JSON', 'binary', 'string', 'embed', 'format', 'type', 'any', 'document'];

/** Throws `update_malformed`, `update_forbidden_content`, `update_too_large`, `missing_dependency`. */
export function scanUpdate(update: Uint8Array, limits: ScanLimits): UpdateScan {
  return new Scanner(update, limits).scan();
}

class Scanner {
  readonly #bytes: Uint8Array;
  readonly #limits: ScanLimits;
  #at = 0;
  #structs = 0;
  readonly #spans = new Map<number, { start: number; end: number }>();
  readonly #needs = new Map<number, number>();
  readonly #maps = new Set<string>();

  constructor(bytes: Uint8Array, limits: ScanLimits) {
    this.#bytes = bytes;
    this.#limits = limits;
  }

  scan(): UpdateScan {
    for (let clients = this.#varUint(); clients > 0; clients--) this.#client();
    for (let clients = this.#varUint(); clients > 0; clients--) {
      const client = this.#varUint();
      for (let ranges = this.#varUint(); ranges > 0; ranges--) {
        const clock = this.#varUint();
        this.#need(client, clock + this.#length(clock) - 1);
      }
    }
    if (this.#at !== this.#bytes.length) throw malformed('bytes follow its end');
    return { structs: this.#structs, spans: this.#spans, needs: this.#needs, maps: this.#maps };
  }

  #client(): void {
    let structs = this.#varUint();
    const client = this.#varUint();
    const start = this.#varUint();
    if (this.#spans.has(client)) throw malformed('it names a client twice');
    if (structs === 0) throw malformed('it names a client for nothing');
    let clock = start;
    for (; structs > 0; structs--) {
      this.#structs += 1;
      if (this.#structs > this.#limits.structs) {
        throw new FieldbookError('update_too_large', `An update has more than ${this.#limits.structs} parts.`);
      }
      clock += this.#struct(clock);
    }
    this.#spans.set(client, { start, end: clock });
  }

  /** One struct; returns how many clocks it takes. */
  #struct(clock: number): number {
    const info = this.#byte();
    const kind = info & 31;
    if (info === SKIP) throw new FieldbookError('missing_dependency', 'An update has a gap.');
    const holds = this.#limits.holds ?? 'records';
    // In flat maps of bytes and in a flat text Yjs itself never makes a GC; a forged one hides its victim's later changes.
    if (kind !== DELETED && kind !== (holds === 'text' ? STRING : BINARY))
      throw forbidden(`${CONTENT_NAMES[kind] ?? 'unknown'} content`, holds);
    const hasOrigin = (info & 128) !== 0;
    const hasRightOrigin = (info & 64) !== 0;
    if (hasOrigin) this.#id();
    if (hasRightOrigin) this.#id();
    if (!hasOrigin && !hasRightOrigin) {
      const parent = this.#varUint();
      // By id: inside of another item, which our flat maps do not have.
      if (parent !== 1)
        throw parent === 0 ? forbidden('a nested type', holds) : malformed('it has an unknown kind of parent');
      this.#maps.add(this.#text(this.#limits.keyBytes));
      const isKeyed = (info & 32) !== 0;
      if (isKeyed !== (holds === 'records')) throw forbidden(isKeyed ? 'a record' : 'list content', holds);
      if (isKeyed) this.#text(this.#limits.keyBytes);
    }
    if (kind === DELETED) return this.#length(clock);
    if (kind === STRING) {
      // A clock counts UTF-16 units.
      const { length } = this.#text(Infinity);
      if (length === 0) throw malformed('a length is out of range');
      return length;
    }
    this.#skip(this.#varUint());
    return 1;
  }

  #id(): void {
    const client = this.#varUint();
    this.#need(client, this.#varUint());
  }

  #need(client: number, clock: number): void {
    if (clock > CLOCK_MAX) throw malformed('a clock is out of range');
    if (clock > (this.#needs.get(client) ?? -1)) this.#needs.set(client, clock);
  }

  #length(clock: number): number {
    const length = this.#varUint();
    if (length === 0 || clock + length > CLOCK_MAX) throw malformed('a length is out of range');
    return length;
  }

  #text(limit: number): string {
    const length = this.#varUint();
    if (length > limit) throw forbidden(`a name of ${length} bytes`);
    const start = this.#at;
    this.#skip(length);
    try {
      return decoder.decode(this.#bytes.subarray(start, this.#at));
    } catch {
      throw malformed('a name is not UTF-8');
    }
  }

  #skip(length: number): void {
    if (length > this.#bytes.length - this.#at) throw malformed('it ends too early');
    this.#at += length;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw malformed('it ends too early');
    return byte;
  }

  /** As lib0 writes it: seven bits a byte, least significant first. */
  #varUint(): number {
    let value = 0;
    for (let factor = 1; factor <= 2 ** 49; factor *= 128) {
      const byte = this.#byte();
      value += (byte & 127) * factor;
      if (byte < 128) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
    }
    throw malformed('a number is out of range');
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function malformed(why: string): FieldbookError {
  return new FieldbookError('update_malformed', `An update cannot be decoded: ${why}.`);
}

function forbidden(what: string, holds: 'records' | 'text' = 'records'): FieldbookError {
  const instead = holds === 'text' ? 'only text' : 'only byte records';
  return new FieldbookError('update_forbidden_content', `An update holds ${what} where ${instead} may be.`);
}
