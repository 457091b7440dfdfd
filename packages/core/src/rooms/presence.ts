import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import type { DocumentName } from '../ids.ts';
import { parseDocumentName } from '../ids.ts';
import type { Clock } from '../ports.ts';

/** One speaker's state in one document; `state` is JSON that nobody here reads. */
interface Spoken {
  clock: number;
  state: string;
  /** ms since the epoch when it was last said. */
  at: number;
  /** The connection it came by. */
  origin: unknown;
  /** What it counts for, bytes. */
  cost: number;
}

/** Bytes of live values that are kept at once, as they lie in memory. */
export interface PresenceLimits {
  /** Of one connection, which may bring those of a thousand machines. */
  connection: number;
  all: number;
}

/** y-protocols drops a state that was not renewed for 30 s; we keep it no longer. */
const OUTDATED_MS = 30_000;
/** The newest values of a run's metrics are a few kB. */
const STATE_BYTES = 256 * 1024;
const UPDATE_BYTES = 1024 * 1024;
/** What we put into one: with the state that goes over it others still take it. */
const TOLD_BYTES = 512 * 1024;
const LIMITS: PresenceLimits = { connection: 16 * 1024 * 1024, all: 64 * 1024 * 1024 };
/** Of a state without its text: its place in the maps. */
const STATE_COST = 512;
/** Speakers of one document: machines that train, not browsers that look. */
const SPEAKERS_MAX = 1_000;
const UPDATE_STATES = 4 * SPEAKERS_MAX;
const NOBODY = 'null';

type Listener = (name: DocumentName, update: Uint8Array, origin: unknown) => void;

/**
 * What is true only now: y-protocols awareness states of every document, passed between rooms and replication sessions
 * and kept by nobody. States are opaque; a speaker's clock decides which of two is newer, so that an update that comes
 * round a circle of replicas stops. What one connection says, and all together, takes bounded memory: beyond that of a
 * connection its states are not taken, and where all is full whoever holds most makes room.
 */
export class Presence {
  readonly #clock: Clock;
  readonly #limits: PresenceLimits;
  readonly #documents = new Map<DocumentName, Map<number, Spoken>>();
  readonly #listeners = new Set<Listener>();
  /** Cost of what came by each connection. */
  readonly #held = new Map<unknown, number>();
  #bytes = 0;
  #swept: number;

  constructor(clock: Clock, limits: PresenceLimits = LIMITS) {
    this.#clock = clock;
    this.#limits = limits;
    this.#swept = clock.now();
  }

  /** Bytes that all states count for. */
  get bytes(): number {
    return this.#bytes;
  }

  /** `listener` gets every update that said something new; returns the way to stop. */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Takes an awareness update in and passes on what is new of it; one of a document of another name than ours, as a newer
   * version may have, is passed over. Throws for bytes that are not one.
   */
  receive(name: DocumentName, update: Uint8Array, origin: unknown): void {
    const states = readAwareness(update);
    if (!isDocumentName(name)) return;
    this.#sweep();
    const spoken = this.#documents.get(name) ?? new Map<number, Spoken>();
    const fresh: number[] = [];
    for (const { client, clock, state } of states) {
      const before = spoken.get(client);
      const newer =
        before === undefined ||
        before.clock < clock ||
        (before.clock === clock && state === NOBODY && before.state !== NOBODY);
      if (!newer || (before === undefined && spoken.size >= SPEAKERS_MAX)) continue;
      const cost = costOf(name, state);
      if (!this.#hasRoom(cost - (before !== undefined && before.origin === origin ? before.cost : 0), origin)) continue;
      this.#put(spoken, client, { clock, state, at: this.#clock.now(), origin, cost });
      fresh.push(client);
    }
    if (fresh.length === 0) return;
    this.#documents.set(name, spoken);
    this.#tell(name, fresh, spoken, origin);
    this.#prune(name, spoken);
  }

  /** The states of a document that are not outdated, as awareness updates that others take; none when nobody speaks. */
  *current(name: DocumentName): Generator<Uint8Array> {
    const spoken = this.#documents.get(name);
    if (spoken === undefined) return;
    this.#prune(name, spoken);
    let clients: number[] = [];
    let bytes = 0;
    for (const [client, { state }] of spoken) {
      if (state === NOBODY) continue;
      // A character is three bytes at most.
      if (clients.length > 0 && bytes + 3 * state.length > TOLD_BYTES) {
        yield writeAwareness(clients, spoken);
        clients = [];
        bytes = 0;
      }
      clients.push(client);
      bytes += 3 * state.length;
    }
    if (clients.length > 0) yield writeAwareness(clients, spoken);
  }

  *snapshot(): Generator<{ name: DocumentName; bytes: Uint8Array }> {
    for (const name of this.#documents.keys()) for (const bytes of this.current(name)) yield { name, bytes };
  }

  /** A connection is gone, and with it everybody who spoke through it (in one document, or in all). */
  gone(origin: unknown, only?: DocumentName): void {
    if (!this.#held.has(origin)) return;
    for (const [name, spoken] of this.#documents) {
      if (only !== undefined && name !== only) continue;
      const left: number[] = [];
      for (const [client, each] of spoken) {
        if (each.origin !== origin || each.state === NOBODY) continue;
        const cost = costOf(name, NOBODY);
        this.#put(spoken, client, { ...each, state: NOBODY, at: this.#clock.now(), cost });
        left.push(client);
      }
      if (left.length > 0) this.#tell(name, left, spoken, origin);
    }
  }

  #tell(name: DocumentName, clients: readonly number[], spoken: ReadonlyMap<number, Spoken>, origin: unknown): void {
    const update = writeAwareness(clients, spoken);
    for (const listener of this.#listeners) listener(name, update, origin);
  }

  // --- what is kept

  /** Whether a connection may say so much more. Where all is full, those that hold more than it are silenced first. */
  #hasRoom(cost: number, origin: unknown): boolean {
    const held = (this.#held.get(origin) ?? 0) + cost;
    if (held > this.#limits.connection) return false;
    while (this.#bytes + cost > this.#limits.all) {
      let most = held;
      let largest: { origin: unknown } | undefined;
      for (const [other, bytes] of this.#held) {
        if (other === origin || bytes <= most) continue;
        most = bytes;
        largest = { origin: other };
      }
      if (largest === undefined) return false;
      this.gone(largest.origin);
      this.#drop((each) => each.origin === largest.origin);
    }
    return true;
  }

  #put(spoken: Map<number, Spoken>, client: number, said: Spoken): void {
    this.#count(spoken.get(client), -1);
    spoken.set(client, said);
    this.#count(said, 1);
  }

  #count(said: Spoken | undefined, sign: 1 | -1): void {
    if (said === undefined) return;
    const held = (this.#held.get(said.origin) ?? 0) + sign * said.cost;
    if (held > 0) this.#held.set(said.origin, held);
    else this.#held.delete(said.origin);
    this.#bytes += sign * said.cost;
  }

  /** Documents that nobody speaks of any more are looked at by nobody else. */
  #sweep(): void {
    const now = this.#clock.now();
    if (Math.abs(now - this.#swept) <= OUTDATED_MS) return;
    this.#swept = now;
    for (const [name, spoken] of this.#documents) this.#prune(name, spoken);
  }

  #prune(name: DocumentName, spoken: Map<number, Spoken>): void {
    const now = this.#clock.now();
    this.#dropOf(name, spoken, ({ at }) => now - at > OUTDATED_MS);
  }

  #drop(goes: (said: Spoken) => boolean): void {
    for (const [name, spoken] of this.#documents) this.#dropOf(name, spoken, goes);
  }

  #dropOf(name: DocumentName, spoken: Map<number, Spoken>, goes: (said: Spoken) => boolean): void {
    for (const [client, said] of spoken) {
      if (!goes(said)) continue;
      spoken.delete(client);
      this.#count(said, -1);
    }
    if (spoken.size === 0) this.#documents.delete(name);
  }
}

function costOf(name: DocumentName, state: string): number {
  return STATE_COST + 2 * (name.length + state.length);
}

function isDocumentName(name: string): boolean {
  try {
    parseDocumentName(name);
    return true;
  } catch {
    return false;
  }
}

/** An awareness update with no states: changes nothing and shows that the server is alive. */
export const EMPTY_AWARENESS = new Uint8Array([0]);

function readAwareness(update: Uint8Array): { client: number; clock: number; state: string }[] {
  if (update.length > UPDATE_BYTES) throw new Error('an awareness update is too large');
  const decoder = decoding.createDecoder(update);
  const states = [];
  const count = decoding.readVarUint(decoder);
  if (count > UPDATE_STATES) throw new Error('an awareness update has too many states');
  for (let left = count; left > 0; left--) {
    const client = decoding.readVarUint(decoder);
    const clock = decoding.readVarUint(decoder);
    const state = decoding.readVarString(decoder);
    if (state.length > STATE_BYTES) throw new Error('an awareness state is too large');
    states.push({ client, clock, state });
  }
  return states;
}

/** An awareness update of these speakers, as y-protocols writes it. */
export function writeAwareness(
  clients: readonly number[],
  spoken: ReadonlyMap<number, { clock: number; state: string }>,
): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, clients.length);
  for (const client of clients) {
    const { clock, state } = spoken.get(client)!;
    encoding.writeVarUint(encoder, client);
    encoding.writeVarUint(encoder, clock);
    encoding.writeVarString(encoder, state);
  }
  return encoding.toUint8Array(encoder);
}
