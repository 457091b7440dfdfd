import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import type { DocumentName } from '../ids.ts';
import type { Clock } from '../ports.ts';

/** One speaker's state in one document; `state` is JSON that nobody here reads. */
interface Spoken {
  clock: number;
  state: string;
  /** ms since the epoch when it was last said. */
  at: number;
  /** The connection it came by. */
  origin: unknown;
}

/** y-protocols drops a state that was not renewed for 30 s; we keep it no longer. */
const OUTDATED_MS = 30_000;
/** The newest values of a run's metrics are a few kB. */
const STATE_BYTES = 256 * 1024;
const UPDATE_BYTES = 1024 * 1024;
/** Speakers of one document: machines that train, not browsers that look. */
const SPEAKERS_MAX = 1_000;
const NOBODY = 'null';

type Listener = (name: DocumentName, update: Uint8Array, origin: unknown) => void;

/**
 * What is true only now: y-protocols awareness states of every document, passed between rooms and replication sessions
 * and kept by nobody. States are opaque; a speaker's clock decides which of two is newer, so that an update that comes
 * round a circle of replicas stops.
 */
export class Presence {
  readonly #clock: Clock;
  readonly #documents = new Map<DocumentName, Map<number, Spoken>>();
  readonly #listeners = new Set<Listener>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `listener` gets every update that said something new; returns the way to stop. */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes an awareness update in and passes on what is new of it. Throws for bytes that are not one. */
  receive(name: DocumentName, update: Uint8Array, origin: unknown): void {
    const spoken = this.#documents.get(name) ?? new Map<number, Spoken>();
    const fresh: number[] = [];
    for (const { client, clock, state } of readAwareness(update)) {
      const before = spoken.get(client);
      const newer =
        before === undefined ||
        before.clock < clock ||
        (before.clock === clock && state === NOBODY && before.state !== NOBODY);
      if (!newer || (before === undefined && spoken.size >= SPEAKERS_MAX)) continue;
      spoken.set(client, { clock, state, at: this.#clock.now(), origin });
      fresh.push(client);
    }
    if (fresh.length === 0) return;
    this.#documents.set(name, spoken);
    this.#tell(name, fresh, spoken, origin);
    this.#prune(name, spoken);
  }

  /** The states of a document that are not outdated, as one awareness update; undefined when nobody speaks. */
  current(name: DocumentName): Uint8Array | undefined {
    const spoken = this.#documents.get(name);
    if (spoken === undefined) return undefined;
    this.#prune(name, spoken);
    const clients = [...spoken].filter(([, { state }]) => state !== NOBODY).map(([client]) => client);
    return clients.length === 0 ? undefined : writeAwareness(clients, spoken);
  }

  *snapshot(): Generator<{ name: DocumentName; bytes: Uint8Array }> {
    for (const name of this.#documents.keys()) {
      const bytes = this.current(name);
      if (bytes !== undefined) yield { name, bytes };
    }
  }

  /** A connection is gone, and with it everybody who spoke through it (in one document, or in all). */
  gone(origin: unknown, only?: DocumentName): void {
    for (const [name, spoken] of this.#documents) {
      if (only !== undefined && name !== only) continue;
      const left: number[] = [];
      for (const [client, each] of spoken) {
        if (each.origin !== origin || each.state === NOBODY) continue;
        spoken.set(client, { ...each, state: NOBODY, at: this.#clock.now() });
        left.push(client);
      }
      if (left.length > 0) this.#tell(name, left, spoken, origin);
    }
  }

  #tell(name: DocumentName, clients: readonly number[], spoken: ReadonlyMap<number, Spoken>, origin: unknown): void {
    const update = writeAwareness(clients, spoken);
    for (const listener of this.#listeners) listener(name, update, origin);
  }

  #prune(name: DocumentName, spoken: Map<number, Spoken>): void {
    const now = this.#clock.now();
    for (const [client, { at }] of spoken) if (now - at > OUTDATED_MS) spoken.delete(client);
    if (spoken.size === 0) this.#documents.delete(name);
  }
}

/** An awareness update with no states: changes nothing and shows that the server is alive. */
export const EMPTY_AWARENESS = new Uint8Array([0]);

function readAwareness(update: Uint8Array): { client: number; clock: number; state: string }[] {
  if (update.length > UPDATE_BYTES) throw new Error('an awareness update is too large');
  const decoder = decoding.createDecoder(update);
  const states = [];
  for (let left = decoding.readVarUint(decoder); left > 0; left--) {
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
