import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import type { Gate } from '../access/gate.ts';
import { asFieldbookError, FieldbookError, isFieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import { parseDocumentName } from '../ids.ts';
import { CLOSE } from '../links/index.ts';
import type { Link, Log, Timers } from '../ports.ts';
import type { Replica } from '../replica/replica.ts';
import type { SyncMessage } from '../replication/protocol.ts';
import type { CommitSource } from '../store/index.ts';
import { readSyncMessage, writeSyncMessage } from '../replication/protocol.ts';
import { splitUpdate } from '../replication/split.ts';
import type { Presence } from './presence.ts';
import { EMPTY_AWARENESS } from './presence.ts';

/** Message types of y-websocket, and ours. */
const MESSAGE_SYNC = 0;
const MESSAGE_AWARENESS = 1;
const MESSAGE_QUERY_AWARENESS = 3;
export const MESSAGE_ACK = 100;
/** The subprotocol whose speakers understand `MESSAGE_ACK`. */
export const ACK_SUBPROTOCOL = 'fieldbook.ack';

/** y-websocket gives a connection up when nothing arrives for 30 s, and its own pings are invisible to it. */
const KEEP_ALIVE_MS = 15_000;
/** A socket that has this much unsent beyond its first state is cut; it comes back and catches up. */
const BUFFERED_MAX = 16 * 1024 * 1024;
/** Live values are said again in a moment: what is behind this much is not worth keeping for a visitor. */
const EPHEMERAL_BUFFERED_MAX = 1024 * 1024;
/** Bytes of one socket that arrived and are not yet stored. */
const ARRIVED_MAX = 64 * 1024 * 1024;
/** What a message that waits costs besides its bytes. */
const ARRIVED_OVERHEAD = 1_024;
/** A state is read and sent when no more than this waits: whoever asks and does not read makes us hold one. */
const ANSWER_BUFFERED_MAX = 4 * 1024 * 1024;
const POLL_MS = 20;
/** How often in a row a socket may send what does not fit before it is believed to be broken. */
const GAPS_MAX = 5;

export interface RoomOptions {
  replica: Replica;
  timers: Timers;
  presence: Presence;
  log: Log;
}

export interface Visitor {
  /** The document, as in the address. */
  name: string;
  /** What the visitor may do: who may not read the document is closed at once with 4403, who may not write what it wrote then. */
  gate: Gate;
  /** The generation of the document that the visitor holds: what `?generation=` in the address says, 0 without. */
  generation?: number;
  /** The id of the token that the visitor showed. */
  token?: string | null;
  /** The visitor asked for acknowledgements (subprotocol `fieldbook.ack`). */
  acks: boolean;
  /** An update of the visitor was refused. */
  onRefused?(name: DocumentName, error: FieldbookError): void;
}

/**
 * Every document as a plain y-websocket room. Nothing of a room is kept but who is in it: states are read from the
 * replica when somebody asks, and what is committed, by whomever, goes to all who are in the room but its author.
 */
export class RoomServer {
  readonly #options: RoomOptions;
  readonly #rooms = new Map<DocumentName, Set<Socket>>();
  readonly #stops: (() => void)[];

  constructor(options: RoomOptions) {
    this.#options = options;
    this.#stops = [
      // One frame for a whole room: with a thousand visitors encoding costs more than sending.
      options.replica.onCommit(({ name, update, generation, origin }) => {
        const room = this.#rooms.get(name);
        if (room === undefined) return;
        const frame = syncFrame({ type: 'update', update });
        for (const socket of room) if (socket !== origin) socket.committed(frame, generation);
      }),
      options.presence.subscribe((name, update, origin) => {
        const room = this.#rooms.get(name);
        if (room === undefined) return;
        const frame = awarenessFrame(update);
        for (const socket of room) if (socket !== origin) socket.send(frame);
      }),
    ];
  }

  /** Rooms that somebody is in. */
  get size(): number {
    return this.#rooms.size;
  }

  /** Lets an accepted connection into a room until it closes. A name that is no document's is closed with 4404. */
  enter(link: Link, visitor: Visitor): void {
    let name: DocumentName;
    try {
      parseDocumentName(visitor.name);
      name = visitor.name as DocumentName;
    } catch (error) {
      link.close(CLOSE.notFound, asFieldbookError(error).message);
      return;
    }
    const room = this.#rooms.get(name) ?? new Set();
    this.#rooms.set(name, room);
    const socket = new Socket(this.#options, link, name, visitor, () => {
      room.delete(socket);
      if (room.size === 0 && this.#rooms.get(name) === room) this.#rooms.delete(name);
      this.#options.presence.gone(socket, name);
    });
    room.add(socket);
    socket.start();
  }

  /** Closes every connection and follows the replica no more. */
  close(code: number = CLOSE.goingAway, reason = 'shutting down'): void {
    for (const stop of this.#stops) stop();
    for (const room of this.#rooms.values()) for (const socket of room) socket.close(code, reason);
  }
}

class Socket {
  /** What the log of commits says of what comes from here. */
  readonly source: CommitSource;
  readonly #generation: number;
  readonly #options: RoomOptions;
  readonly #link: Link;
  readonly #name: DocumentName;
  readonly #visitor: Visitor;
  readonly #left: () => void;
  /** Messages are handled one after the other: acknowledgements count from the first. */
  #turn: Promise<void> = Promise.resolve();
  #arrived = 0;
  #open = true;
  /** Known to be allowed here. */
  #in = false;
  /** Frames of commits since the state that is being read for the visitor; null before it asked for one. */
  #since: Uint8Array[] | null = null;
  #live = false;
  #allowance = BUFFERED_MAX;
  #content = 0;
  #gap = true;
  #gaps = 0;
  #cancel: (() => void) | undefined;
  #stopWaiting: (() => void) | undefined;

  constructor(options: RoomOptions, link: Link, name: DocumentName, visitor: Visitor, left: () => void) {
    this.#options = options;
    this.#link = link;
    this.#name = name;
    this.#visitor = visitor;
    this.#left = left;
    this.#generation = visitor.generation ?? 0;
    this.source = { via: 'room', device: null, replica: null, token: visitor.token ?? null };
  }

  start(): void {
    this.#link.onClose = () => this.#end();
    this.#link.onMessage = (message) => this.#receive(message);
    if (!this.#open) return;
    this.#keepAlive();
    // In turn, so that nothing is read from or sent to somebody who may not be here.
    this.#do(0, () => this.#letIn());
  }

  async #letIn(): Promise<void> {
    const { gate } = this.#visitor;
    if (!(await gate.readsNow(this.#options.replica, this.#name))) gate.checkRead(this.#name);
    this.#in = true;
    await this.#askWhatWeLack();
    this.#sayWhoSpeaks();
  }

  /** True when somebody does. */
  #sayWhoSpeaks(): boolean {
    let speaks = false;
    for (const states of this.#options.presence.current(this.#name)) {
      speaks = true;
      if (this.#link.buffered() > EPHEMERAL_BUFFERED_MAX) break;
      this.send(awarenessFrame(states));
    }
    return speaks;
  }

  /** `frame` says what was committed; it is shared with others and not changed. */
  committed(frame: Uint8Array, generation: number): void {
    if (generation !== this.#generation) this.#rebuilt(generation);
    // Somebody else writes in what belonged to nobody. Whether the visitor may read that is seen when it comes again.
    else if (this.#in && this.#visitor.gate.reads(this.#name) !== true)
      this.close(CLOSE.tryAgainLater, 'somebody else writes here, and no card says yet whose run this is');
    else if (this.#live) this.send(frame);
    else this.#since?.push(frame);
  }

  close(code: number, reason: string): void {
    if (!this.#open) return;
    this.#link.close(code, reason);
    this.#end();
  }

  #end(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#cancel?.();
    this.#stopWaiting?.();
    this.#left();
  }

  #receive(message: Uint8Array): void {
    if (!this.#open) return;
    try {
      this.#read(message);
    } catch (error) {
      this.close(CLOSE.badData, `a message cannot be read: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #read(message: Uint8Array): void {
    const decoder = decoding.createDecoder(message);
    switch (decoding.readVarUint(decoder)) {
      case MESSAGE_SYNC: {
        const sync = readSyncMessage(decoder);
        if (sync.type === 'step1') this.#do(sync.stateVector.length, () => this.#answer(sync.stateVector));
        else this.#do(sync.update.length, () => this.#apply(sync.update, sync.type));
        return;
      }
      case MESSAGE_AWARENESS:
        // Viewers look on; what they say of themselves would be somebody's live values.
        if (this.#visitor.gate.writes) {
          const states = decoding.readVarUint8Array(decoder);
          if (this.#in) this.#options.presence.receive(this.#name, states, this);
          else this.#early(states.slice());
        }
        return;
      case MESSAGE_QUERY_AWARENESS:
        if (!this.#sayWhoSpeaks()) this.send(awarenessFrame(EMPTY_AWARENESS));
        return;
      default:
        // A newer client's.
        return;
    }
  }

  /** What was said of oneself before it was known whether one may be here. */
  #early(states: Uint8Array): void {
    this.#do(states.length, async () => {
      try {
        this.#options.presence.receive(this.#name, states, this);
      } catch {
        this.close(CLOSE.badData, 'an awareness message cannot be read');
      }
    });
  }

  #do(length: number, work: () => Promise<void>): void {
    const bytes = length + ARRIVED_OVERHEAD;
    this.#arrived += bytes;
    if (this.#arrived > ARRIVED_MAX) {
      this.close(CLOSE.slow, 'more arrives than can be stored');
      return;
    }
    this.#turn = this.#turn
      .then(() => (this.#open ? work() : undefined))
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#arrived -= bytes;
      });
  }

  /** The visitor's copy is of another generation: merged with ours, it would bring back what a repair took out. */
  #rebuilt(generation: number): void {
    this.close(CLOSE.generation, `${generation}: the document was rebuilt; come again with ?generation=${generation}`);
  }

  /** True when the document is of the visitor's generation. Closes the connection otherwise. */
  async #isSame(): Promise<boolean> {
    const info = await this.#options.replica.info(this.#name);
    if (info === undefined || info.generation === this.#generation) return true;
    this.#rebuilt(info.generation);
    return false;
  }

  /** Sync step 1 of ours. A viewer is not asked: it has nothing that we would take. */
  async #askWhatWeLack(): Promise<void> {
    if (!(await this.#isSame()) || !this.#visitor.gate.writes) return;
    const { stateVector, generation } = await this.#options.replica.stateVector(this.#name);
    if (generation !== this.#generation) this.#rebuilt(generation);
    this.#sendSync({ type: 'step1', stateVector });
  }

  async #answer(stateVector: Uint8Array): Promise<void> {
    await this.#drained();
    if (!this.#open) return;
    // Commits made while the state is read are sent after it, even those that are in it: twice is harmless.
    this.#live = false;
    this.#since = [];
    if (!(await this.#isSame())) return;
    await this.#options.replica.noteClientIdSeen(this.#name, stateVector);
    const { update, generation } = await this.#options.replica.encodeState(this.#name, stateVector);
    if (generation !== this.#generation) this.#rebuilt(generation);
    // Behind the reading, so that what came since the visitor was let in is judged, too.
    const { gate } = this.#visitor;
    if (gate.reads(this.#name) !== true && !(await gate.readsNow(this.#options.replica, this.#name)))
      gate.checkRead(this.#name);
    if (!this.#open) return;
    this.#allowance = BUFFERED_MAX + this.#link.buffered() + update.length;
    const parts = splitUpdate(update);
    const last = parts.pop()!;
    // Step 2 comes last: it is what makes a provider say that it is in sync.
    for (const part of parts) this.#sendSync({ type: 'update', update: part });
    this.#sendSync({ type: 'step2', update: last });
    const since = this.#since;
    this.#since = null;
    this.#live = true;
    for (const frame of since) this.send(frame);
  }

  async #drained(): Promise<void> {
    while (this.#open && this.#link.buffered() > ANSWER_BUFFERED_MAX) {
      await new Promise<void>((resolve) => {
        const cancel = this.#options.timers.after(POLL_MS, resolve);
        this.#stopWaiting = () => {
          cancel();
          resolve();
        };
      });
    }
  }

  async #apply(update: Uint8Array, type: 'step2' | 'update'): Promise<void> {
    this.#content += 1;
    const count = this.#content;
    if (!this.#visitor.gate.writes) {
      if (update.length > EMPTY_UPDATE_BYTES) throw new FieldbookError('forbidden', 'This token may only read.');
      return;
    }
    try {
      await this.#visitor.gate.apply(this.#options.replica, this.#name, update, this, this.#generation);
    } catch (error) {
      if (!isFieldbookError(error, 'missing_dependency')) throw error;
      this.#gaps += 1;
      this.#gap = true;
      if (this.#gaps > GAPS_MAX) throw error;
      await this.#askWhatWeLack();
      return;
    }
    // Only the answer to our step 1 proves that nothing older is still with the visitor.
    if (type === 'step2') {
      this.#gap = false;
      this.#gaps = 0;
    }
    if (!this.#gap && this.#visitor.acks) this.#acknowledge(count);
  }

  #acknowledge(count: number): void {
    const encoder = encoding.createEncoder();
    encoding.writeVarUint(encoder, MESSAGE_ACK);
    encoding.writeVarUint(encoder, count);
    this.send(encoding.toUint8Array(encoder));
  }

  #failed(thrown: unknown): void {
    if (!this.#open) return;
    const error = asFieldbookError(thrown);
    if (error.code === 'generation_mismatch') {
      this.#rebuilt(Number(error.details['ours']));
      return;
    }
    if (REFUSALS.has(closeCodeOf(error))) this.#visitor.onRefused?.(this.#name, error);
    this.#options.log.warn('room.closed', { name: this.#name, code: error.code, error: error.message });
    this.close(closeCodeOf(error), error.code === 'internal' ? 'internal error' : error.message);
  }

  #sendSync(message: SyncMessage): void {
    this.send(syncFrame(message));
  }

  /** Sends a frame, or closes the socket of a visitor that does not read. */
  send(frame: Uint8Array): void {
    // Nothing of the document to somebody who may not be here.
    if (!this.#in) return;
    if (!this.#open) return;
    if (this.#link.buffered() > this.#allowance) {
      this.close(CLOSE.slow, 'too slow to follow; come again and catch up');
      return;
    }
    this.#link.send(frame);
  }

  #keepAlive(): void {
    this.#cancel = this.#options.timers.after(KEEP_ALIVE_MS, () => {
      this.send(KEEP_ALIVE);
      if (this.#open) this.#keepAlive();
    });
  }
}

/** What a room's address says of the generation that the visitor holds; 0 when it says nothing, NaN for nonsense, which is nobody's. */
export function generationIn(query: readonly (readonly [string, string])[]): number {
  const said = query.find(([key]) => key === 'generation')?.[1];
  return said === undefined ? 0 : /^\d{1,16}$/.test(said) ? Number(said) : Number.NaN;
}

function syncFrame(message: SyncMessage): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, MESSAGE_SYNC);
  writeSyncMessage(encoder, message);
  return encoding.toUint8Array(encoder);
}

function awarenessFrame(update: Uint8Array): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, MESSAGE_AWARENESS);
  encoding.writeVarUint8Array(encoder, update);
  return encoding.toUint8Array(encoder);
}

const KEEP_ALIVE = awarenessFrame(EMPTY_AWARENESS);

/** No structs and no deletions. */
const EMPTY_UPDATE_BYTES = 2;

const REFUSALS: ReadonlySet<number> = new Set([CLOSE.forbidden, CLOSE.badData]);

/** Bad data and forbidden writes come back the same each time; trouble of ours may pass. */
function closeCodeOf(error: FieldbookError): number {
  switch (error.code) {
    case 'forbidden':
      return CLOSE.forbidden;
    case 'update_malformed':
    case 'update_too_large':
    case 'update_forbidden_content':
    case 'missing_dependency':
    case 'record_malformed':
    case 'record_too_large':
    case 'record_immutable':
      return CLOSE.badData;
    case 'disk_full':
    case 'storage_failed':
    case 'document_quarantined':
      return CLOSE.storage;
    case 'store_closed':
      return CLOSE.goingAway;
    default:
      return CLOSE.internal;
  }
}
