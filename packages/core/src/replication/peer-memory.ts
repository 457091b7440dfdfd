import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import type { DeviceId, DocumentName } from '../ids.ts';
import { decodeRecord, encodeRecord } from '../record/index.ts';
import type { Value } from '../record/index.ts';
import type { Replica } from '../replica/replica.ts';
import type { ListedDocument } from './protocol.ts';

/** Why one side does not take a document from the other. */
export interface Refusal {
  seq: number;
  code: string;
  reason: string;
}

/** What is written down of refused documents by name: some 150 bytes each, written anew with each save. Of more than that only where they begin is kept. */
export const REFUSALS_MAX = 10_000;
/** Names and reasons of refused documents, in characters; beyond them as beyond their number. */
const REFUSAL_CHARS_MAX = 256 * 1024;
const MEMORY_BYTES = 16 * 1024 * 1024;

/** When another replica was met, and how it came. */
export interface Meeting {
  /** ms since the epoch: at first, and the last time that it was written down. */
  since: number;
  last: number;
  /** The id of the token that it showed, empty without one; null when we dialled it. */
  from: string | null;
}

/** Whose a memory is: a device's that proved itself, else of whoever comes with that token, `-` and its id. */
export function ownerOf(device: DeviceId | null, token: string | null): string {
  return device ?? `-${encodeURIComponent(token ?? '')}`;
}

export function memoryKey(id: string, owner: string): string {
  return `${owner}/${encodeURIComponent(id)}`;
}

/** Where older versions kept what they knew of a replica, whatever its device. */
const UNBOUND = 'peer/';

/** Refused documents, with how much their names and reasons are together. */
class Refusals extends Map<DocumentName, Refusal> {
  #chars = 0;

  /** As it would be with this one. */
  charsWith(name: DocumentName, refusal: Refusal): number {
    const before = this.get(name);
    return this.#chars + charsOf(name, refusal) - (before === undefined ? 0 : charsOf(name, before));
  }

  override set(name: DocumentName, refusal: Refusal): this {
    this.#chars = this.charsWith(name, refusal);
    return super.set(name, refusal);
  }

  override delete(name: DocumentName): boolean {
    const before = this.get(name);
    if (before !== undefined) this.#chars -= charsOf(name, before);
    return super.delete(name);
  }

  override clear(): void {
    this.#chars = 0;
    super.clear();
  }
}

function charsOf(name: DocumentName, { code, reason }: Refusal): number {
  return name.length + code.length + reason.length;
}

/**
 * What this replica knows of one other replica, kept over connections and restarts under `peers/<owner>/<replica id>`: how far
 * each has taken in the other's feed, and which documents one of them refused. Seqs count in the feed of the side that
 * made the commits. What they have and nobody here follows is kept by name, one small value each under
 * `passed/<owner>/<replica id>/`, and not in memory: there may be 100,000 of them.
 */
export class PeerMemory {
  readonly id: string;
  /** See `ownerOf`. */
  readonly owner: string;
  readonly key: string;
  /** How many connections and clients use it; while any does there is this one object of it. */
  users = 0;
  readonly #replica: Replica;
  readonly #refusals: number;
  readonly #onSaved: ((memory: PeerMemory) => void) | undefined;
  /** Of an older version, and not of this device yet: to be read only. */
  readonly #unbound: boolean;
  #passedUnder: string;
  #met: Meeting | undefined;
  #metToWrite = false;
  /** Their feed is durable here through this seq of theirs. */
  pulled = 0;
  /** Our feed is durable there through this seq of ours. */
  pushed = 0;
  /** They take only some documents: `pushed` says what they were told of, and only an acknowledgement that they hold it. */
  partial = false;
  /** Documents above `pushed` (any, when they take only some) that they hold through a seq of ours all the same. */
  readonly held = new Map<DocumentName, number>();
  /** Documents of ours that they refused. */
  readonly refusedThere = new Refusals();
  /** Documents of theirs that we refused; asked for again on each connection. */
  readonly refusedHere = new Refusals();
  /** Documents that were passed over because nobody could say whether they may see them. */
  readonly unplaced = new Set<DocumentName>();
  /** The first seqs of theirs and of ours that were refused without being remembered by name; from there on nothing is believed. */
  readonly #beyond: { here: number; there: number } = { here: Infinity, there: Infinity };
  readonly #holdListeners = new Set<(name: DocumentName | null) => void>();
  /** The revision of what is followed for which everything that was passed over was looked through; not kept over restarts. */
  looked: number | undefined;
  #saving: Promise<void> | undefined;
  #dirty = false;
  #hasPassed = false;
  /** What of the passed over is to be written next, and what is being written; null: it is here now. */
  #passing = new Map<DocumentName, ListedDocument | null>();
  #writing = new Map<DocumentName, ListedDocument | null>();

  constructor(
    id: string,
    replica: Replica,
    options: {
      owner?: string;
      refusals?: number;
      unbound?: boolean;
      onSaved?: (memory: PeerMemory) => void;
    } = {},
  ) {
    this.id = id;
    this.owner = options.owner ?? ownerOf(null, null);
    this.key = memoryKey(id, this.owner);
    this.#refusals = options.refusals ?? REFUSALS_MAX;
    this.#unbound = options.unbound ?? false;
    this.#onSaved = options.onSaved;
    this.#replica = replica;
    this.#passedUnder = this.#unbound ? passedBefore(id) : passedOf(this.key);
  }

  /** `inTurn` runs one thing at a time for all memories. */
  async load(inTurn: (work: () => Promise<void>) => Promise<void>): Promise<void> {
    const bytes = await this.#replica.getPrivate(this.#unbound ? UNBOUND + this.id : `peers/${this.key}`);
    if (bytes !== undefined) this.#read(bytes);
    else if (!this.owner.startsWith('-')) await inTurn(() => this.#bind());
    await this.lookForPassed();
  }

  /** What an older version knew of the replica becomes its who proves a device first, and is nobody else's from then on. */
  async #bind(): Promise<void> {
    const bytes = await this.#replica.getPrivate(UNBOUND + this.id);
    if (bytes === undefined) return;
    this.#passedUnder = passedBefore(this.id);
    this.#read(bytes);
    await this.#replica.putPrivate([
      [`peers/${this.key}`, this.#record()],
      [UNBOUND + this.id, null],
    ]);
  }

  /** Under which it is kept how far its blobs are known; older versions did so under the id alone. */
  get blobsUnder(): string {
    return this.#passedUnder === passedBefore(this.id) ? this.id : this.key;
  }

  get met(): Meeting | undefined {
    return this.#met;
  }

  /** The replica is there; `isNews`: to be written down though nothing else changes. */
  meet(met: Meeting, isNews: boolean): void {
    this.#met = met;
    this.#metToWrite = true;
    if (isNews) void this.save().catch(() => undefined);
  }

  #read(bytes: Uint8Array): void {
    const fields = decodeRecord(bytes, MEMORY_BYTES);
    if (fields === undefined) return;
    if (typeof fields['p'] === 'string') this.#passedUnder = fields['p'];
    this.pulled = Number(fields['i'] ?? 0);
    // A replica that proved to be a copy has a new id and a new feed; what they held of the old one says nothing.
    if (fields['s'] === this.#replica.id) {
      this.pushed = Number(fields['o'] ?? 0);
      this.partial = fields['f'] === true;
      readRefusals(fields['t'], this.refusedThere);
      if (Array.isArray(fields['u']))
        for (const name of fields['u']) if (typeof name === 'string') this.unplaced.add(name as DocumentName);
    }
    readRefusals(fields['h'], this.refusedHere);
    if (typeof fields['x'] === 'number') this.#beyond.here = fields['x'];
    if (typeof fields['y'] === 'number' && fields['s'] === this.#replica.id) this.#beyond.there = fields['y'];
  }

  /** Before a connection says how far this side has come: what was refused and not remembered is asked for again, with all behind it. */
  rewind(): void {
    this.pulled = Math.min(this.pulled, Math.max(0, this.#beyond.here - 1));
    this.#beyond.here = Infinity;
  }

  /** Called with a document of which they have just said that they hold it, and with null when that may be any. Returns the way to stop. */
  onHeld(listener: (name: DocumentName | null) => void): () => void {
    this.#holdListeners.add(listener);
    return () => this.#holdListeners.delete(listener);
  }

  /** They said, at the start of a connection, how far they hold our feed: whatever we thought before. */
  resumed(seq: number, partial = false): void {
    this.pushed = seq;
    this.partial = partial;
    this.#beyond.there = Infinity;
    this.held.clear();
    this.#tellHeld(null);
  }

  /** Our feed is durable there through `seq`. */
  reached(seq: number, partial = false): void {
    this.partial = partial;
    if (seq <= this.pushed) return;
    this.pushed = seq;
    if (partial) return;
    for (const [name, held] of this.held) if (held <= seq) this.held.delete(name);
    this.#tellHeld(null);
  }

  hold(name: DocumentName, seq: number): void {
    if ((this.partial || seq > this.pushed) && seq > (this.held.get(name) ?? 0)) this.held.set(name, seq);
    const refused = this.refusedThere.get(name);
    if (refused !== undefined && refused.seq <= seq) this.refusedThere.delete(name);
    this.#tellHeld(name);
  }

  #tellHeld(name: DocumentName | null): void {
    for (const listener of this.#holdListeners) listener(name);
  }

  /** The seq of ours through which they hold a document, as far as its last commit `seq` is concerned. */
  holds(name: DocumentName, seq: number): boolean {
    const refused = this.refusedThere.get(name);
    if (refused !== undefined) return false;
    return (!this.partial && seq <= this.pushed && seq < this.#beyond.there) || seq <= (this.held.get(name) ?? 0);
  }

  refuse(side: 'here' | 'there', name: DocumentName, refusal: Refusal): void {
    const map = side === 'here' ? this.refusedHere : this.refusedThere;
    const isRoom = map.has(name) || map.size < this.#refusals;
    if (isRoom && map.charsWith(name, refusal) <= REFUSAL_CHARS_MAX) map.set(name, refusal);
    else this.#beyond[side] = Math.min(this.#beyond[side], refusal.seq);
  }

  // --- what is there and not here

  /** Anything of theirs was passed over and is not here yet, as far as was last looked. */
  get hasPassed(): boolean {
    return this.#hasPassed;
  }

  /** They have a document that nobody here follows. Written down with the next `save`, in one batch with `pulled`. */
  pass({ name, generation, seq }: ListedDocument): void {
    this.#hasPassed = true;
    this.#passing.set(name, { name, generation, seq });
  }

  /** What was passed over is here now. */
  took(name: DocumentName): void {
    if (this.#hasPassed) this.#passing.set(name, null);
  }

  /** What was last said of a document that was passed over. */
  async passed(name: DocumentName): Promise<ListedDocument | undefined> {
    const fresh = this.#passing.get(name) ?? (this.#passing.has(name) ? null : this.#writing.get(name));
    if (fresh !== undefined) return fresh ?? undefined;
    if (!this.#hasPassed) return undefined;
    const bytes = await this.#replica.getPrivate(this.#passedKey(name));
    return bytes === undefined ? undefined : readPassed(name, bytes);
  }

  /** All of it that is written down, in order of names. */
  async *allPassed(): AsyncGenerator<ListedDocument> {
    await this.save();
    const prefix = this.#passedKey('');
    for await (const [key, bytes] of this.#replica.listPrivate(prefix))
      yield readPassed(key.slice(prefix.length) as DocumentName, bytes);
  }

  /** Brings `hasPassed` up to date and tells it. */
  async lookForPassed(): Promise<boolean> {
    if (this.#passing.size > 0 || this.#writing.size > 0) await this.save();
    let found = false;
    for await (const _each of this.#replica.listPrivate(this.#passedKey(''))) {
      found = true;
      break;
    }
    this.#hasPassed = found || [...this.#passing.values(), ...this.#writing.values()].some((each) => each !== null);
    return this.#hasPassed;
  }

  #passedKey(name: string): string {
    return this.#passedUnder + name;
  }

  /** Writes it down; calls made while one write is under way share the next. */
  save(): Promise<void> {
    if (this.#unbound) return Promise.resolve();
    this.#dirty = true;
    this.#saving ??= this.#write();
    return this.#saving;
  }

  #record(): Uint8Array {
    return encodeRecord({
      i: this.pulled,
      o: this.pushed,
      s: this.#replica.id,
      ...(this.#passedUnder !== passedOf(this.key) && { p: this.#passedUnder }),
      ...(this.partial && { f: true }),
      t: writeRefusals(this.refusedThere),
      h: writeRefusals(this.refusedHere),
      ...(Number.isFinite(this.#beyond.here) && { x: this.#beyond.here }),
      ...(Number.isFinite(this.#beyond.there) && { y: this.#beyond.there }),
      ...(this.unplaced.size === 0 ? {} : { u: [...this.unplaced] }),
    });
  }

  /** Resolves when nothing is being written; never rejects. */
  async whenIdle(): Promise<void> {
    while (this.#saving !== undefined) await this.#saving.catch(() => undefined);
  }

  async #write(): Promise<void> {
    try {
      await Promise.resolve();
      while (this.#dirty) {
        this.#dirty = false;
        const bytes = this.#record();
        this.#writing = this.#passing;
        this.#passing = new Map();
        const met = this.#metToWrite ? this.#met : undefined;
        await this.#replica.putPrivate([
          [`peers/${this.key}`, bytes],
          ...(met === undefined ? [] : [[`met/${this.key}`, writeMeeting(met)] as const]),
          ...[...this.#writing].map(
            ([name, passed]) => [this.#passedKey(name), passed === null ? null : writePassed(passed)] as const,
          ),
        ]);
        this.#writing = new Map();
        if (met !== undefined && met === this.#met) this.#metToWrite = false;
        if (met !== undefined) this.#onSaved?.(this);
      }
    } finally {
      // Of a write that failed nothing may be forgotten: the cursor in memory counts on it.
      this.#passing = new Map([...this.#writing, ...this.#passing]);
      this.#writing = new Map();
      // In the same turn that saw nothing more to write: whoever saves any later must start a write of its own.
      this.#saving = undefined;
    }
  }
}

/** Everything that is kept of a peer beside its record. */
export function passedOf(key: string): string {
  return `passed/${key}/`;
}

function passedBefore(id: string): string {
  return `passed/${id}/`;
}

/** Where what a peer of this record passed over is kept. */
export function passedIn(key: string, record: Uint8Array | undefined): string {
  const under = record === undefined ? undefined : decodeRecord(record, MEMORY_BYTES)?.['p'];
  return typeof under === 'string' ? under : passedOf(key);
}

function writeMeeting({ since, last, from }: Meeting): Uint8Array {
  return encodeRecord({ s: since, l: last, ...(from !== null && { t: from }) });
}

/** As `writeMeeting` wrote it. */
export function readMeeting(bytes: Uint8Array): Meeting {
  const { s, l, t } = decodeRecord(bytes, MEMORY_BYTES) ?? {};
  return { since: Number(s), last: Number(l), from: typeof t === 'string' ? t : null };
}

function writePassed({ generation, seq }: ListedDocument): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, seq);
  encoding.writeVarUint(encoder, generation);
  return encoding.toUint8Array(encoder);
}

function readPassed(name: DocumentName, bytes: Uint8Array): ListedDocument {
  const decoder = decoding.createDecoder(bytes);
  const seq = decoding.readVarUint(decoder);
  return { name, seq, generation: decoding.readVarUint(decoder) };
}

function writeRefusals(refusals: ReadonlyMap<DocumentName, Refusal>): Value[] {
  return [...refusals].map(([name, { seq, code, reason }]) => [name, seq, code, reason]);
}

function readRefusals(value: Value, into: Map<DocumentName, Refusal>): void {
  if (!Array.isArray(value)) return;
  for (const each of value) {
    if (!Array.isArray(each)) continue;
    const [name, seq, code, reason] = each;
    if (typeof name !== 'string' || typeof seq !== 'number') continue;
    if (typeof code !== 'string' || typeof reason !== 'string') continue;
    into.set(name as DocumentName, { seq, code, reason });
  }
}
