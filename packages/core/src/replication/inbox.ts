import { asFieldbookError, FieldbookError, isFieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import { parseDocumentName } from '../ids.ts';
import { documentLimit } from '../replica/admission.ts';
import { generationMismatch } from '../replica/open.ts';
import type { Channel } from './channels.ts';
import { NOT_FOLLOWED } from './follows.ts';
import type { Ticket } from './frontier.ts';
import { Frontier } from './frontier.ts';
import type { Half } from './outbox.ts';
import { endsSession } from './outbox.ts';
import type { ListedDocument } from './protocol.ts';

/** Documents asked for at once. A round trip of 50 ms then still brings 600 small documents a second. */
const ASKED_MAX = 32;
/** A book counts as this many: it may be megabytes, and its answer waits in memory. */
const BOOK_WEIGHT = 8;
/** Documents that one peer may have waiting here: names in memory, some 350 bytes each. */
const WANTED_MAX = 2_000_000;
/** Characters of their names: twice what minted ids take. */
const WANTED_NAMES_MAX = 128 * 1024 * 1024;
/** Longer than the name of any document. */
const NAME_MAX = 1_024;
/** Bytes that arrived and are not yet stored; the sending side waits for acknowledgements long before. */
const ARRIVED_BYTES_MAX = 256 * 1024 * 1024;
/** What a message that waits costs besides its bytes. */
const ARRIVED_OVERHEAD = 1_024;
/** Parts of whole documents that wait here for the rest, but for one document: that one may be as large as any. */
export const STAGED_BYTES_MAX = 64 * 1024 * 1024;
/** They are of a megabyte. */
const STAGED_PARTS_MAX = 65_536;
/** Questions wait while so much else does: their state vectors may be large, and nobody reads them. */
const ASK_BUFFERED_MAX = 4 * 1024 * 1024;
const POLL_MS = 20;

interface Want {
  name: DocumentName;
  generation: number;
  /** The commit of theirs that we need. */
  seq: number;
  ticket: Ticket | undefined;
  asked: boolean;
  /** What `seq` was then: an answer brings everything that was listed before the question. */
  askedSeq: number;
  /** Somebody waits for it. */
  urgent: boolean;
  /** Our channel that the question went out in. */
  channel: number | undefined;
  failure: FieldbookError | undefined;
  /** The parts so far of a whole document that is to replace ours; undefined when we ask for what ours lacks. */
  whole: Uint8Array[] | undefined;
  /** What they count for. */
  staged: number;
  /** There was no room for them: it is asked for once more, and then alone. */
  postponed: boolean;
  heavy: boolean;
  /** Refused once for what cards that are still under way may allow. */
  deferred: boolean;
}

/**
 * What we take: asks for each document that the other side lists, most needed kinds first and a bounded number at a
 * time, applies live updates of documents that are complete, acknowledges what is on disk, and remembers durably how
 * far the other feed is taken in. A document that we refuse is reported, remembered and passed over, so that it holds
 * nothing else up. One that nobody here follows is passed over, too, and remembered as there and not here.
 */
export class Inbox {
  readonly #half: Half;
  readonly #frontier: Frontier;
  readonly #wanted = new Map<DocumentName, Want>();
  /** Names waiting to be asked for: workspace, books, the rest; taken from the front. */
  readonly #queues: [Queue, Queue, Queue] = [new Queue(), new Queue(), new Queue()];
  /** To be asked for once more when nothing else is. */
  readonly #deferred = new Queue();
  /** To be asked for while nothing else is. */
  readonly #heavy = new Queue();
  /** Bytes of parts of whole documents, without those of the one that may be large. */
  #stagedBytes = 0;
  #large: Want | undefined;
  #nameLength = 0;
  /** The last apply of each document, so that updates of one are taken in the order they came. */
  readonly #applying = new Map<DocumentName, Promise<void>>();
  /** Who waits for a document, until it is here or the session ends. */
  readonly #takers = new Map<DocumentName, Set<(isOver: boolean) => void>>();
  #stopFollowing: (() => void) | undefined;
  /** Looks through what was passed over that are under way. */
  #looking = 0;
  #weight = 0;
  #arrivedBytes = 0;
  #complete = false;
  #stopped = false;
  #telling = false;
  readonly #stopWatching: () => void;
  #asksLater = false;

  constructor(half: Half) {
    this.#half = half;
    this.#frontier = new Frontier(half.memory.pulled);
    // What was refused is asked for once more: a newer program or a repaired document may settle it.
    for (const [name] of half.memory.refusedHere)
      if (this.#follows(name)) this.#want({ name, generation: 0, seq: 0 }, undefined);
    this.#stopWatching = half.replica.onDamage((name) => {
      this.#wantWhole(name);
      this.#ask();
    });
    // Whatever the other side lists.
    for (const name of half.replica.damaged()) this.#wantWhole(name);
  }

  #wantWhole(name: DocumentName): void {
    if (!this.#stopped && !this.#wanted.has(name)) this.#want({ name, generation: 0, seq: 0 }, undefined);
  }

  /** Everything that the other side listed so far is here. */
  get settled(): boolean {
    return this.#complete && this.#looking === 0 && this.#wanted.size === 0 && this.#applying.size === 0;
  }

  get waiting(): number {
    return this.#wanted.size;
  }

  start(): void {
    this.#ask();
    if (this.#half.memory.looked !== this.#revision) this.#look();
    this.#stopFollowing = this.#half.follows?.onChange((names) => this.#look(names));
  }

  stop(): void {
    this.#stopped = true;
    this.#stopWatching();
    this.#stopFollowing?.();
    // Some of them may have been passed over once, and are written down as such.
    if (this.#wanted.size > 0 || this.#looking > 0) this.#half.memory.looked = undefined;
    this.#wanted.clear();
    this.#large = undefined;
    for (const takers of this.#takers.values()) for (const tell of takers) tell(false);
    this.#takers.clear();
  }

  /**
   * Asks for a document that the other side has told of, before all others. Resolves to true when what it has is here
   * (or refused), to false when it never told of it or the session ends before.
   */
  async take(name: DocumentName): Promise<boolean> {
    const passed = await this.#half.memory.passed(name);
    if (this.#stopped || (passed === undefined && !this.#wanted.has(name))) return false;
    const over = new Promise<boolean>((resolve) => {
      const takers = this.#takers.get(name) ?? new Set();
      this.#takers.set(name, takers.add(resolve));
    });
    const want = this.#wanted.get(name);
    if (want === undefined) this.#want(passed!, undefined, true);
    else if (!want.asked && !want.urgent) {
      want.urgent = true;
      this.#queue(want);
    }
    this.#ask();
    return over;
  }

  listed(entries: readonly ListedDocument[], through: number, more: boolean): void {
    for (const entry of entries) {
      const before = this.#wanted.get(entry.name);
      if (before !== undefined) this.#raise(before, entry);
      else if (this.#follows(entry.name)) this.#want(entry, this.#frontier.begin(entry.seq));
      else this.#half.memory.pass(entry);
    }
    this.#complete = !more;
    this.#frontier.reach(through);
    this.#ask();
    this.#progress();
  }

  /** Content came in a channel of theirs: an update, or the answer to our question. */
  content(channel: Channel, number: number, seq: number, type: 'step2' | 'update', update: Uint8Array): void {
    const cost = update.length + ARRIVED_OVERHEAD;
    this.#arrivedBytes += cost;
    if (this.#arrivedBytes > ARRIVED_BYTES_MAX) {
      throw new FieldbookError('protocol_violation', 'More arrives than can be stored.');
    }
    const work =
      type === 'step2'
        ? () => this.#applyAnswer(channel, number, seq, update)
        : seq === 0
          ? () => this.#applyPart(channel, update)
          : this.#applyUpdate(channel, number, seq, update);
    if (work === undefined) {
      this.#arrivedBytes -= cost;
      return;
    }
    const { name } = channel;
    const before = this.#applying.get(name) ?? Promise.resolve();
    const after = before
      .then(() => (this.#stopped ? undefined : work()))
      .catch(this.#half.fail)
      .finally(() => {
        this.#arrivedBytes -= cost;
        if (this.#applying.get(name) === after) this.#applying.delete(name);
        if (this.#deferred.length > 0) this.#ask();
        this.#progress();
      });
    this.#applying.set(name, after);
  }

  /** They cannot give us a document that we asked for. */
  unanswered(name: DocumentName, code: string, reason: string): void {
    const want = this.#wanted.get(name);
    if (want === undefined) return;
    if (code !== 'not_found') return this.#give(want, { seq: want.seq, code, reason });
    // They have nothing of it: neither is there anything to take, nor anything left to be refused.
    this.#half.memory.refusedHere.delete(name);
    this.#give(want, undefined);
  }

  // --- following

  #follows(name: DocumentName): boolean {
    // What is no name at all is asked for, and refused as such.
    return name.length > NAME_MAX || (this.#half.follows?.wants(name) ?? true);
  }

  get #revision(): number {
    return this.#half.follows?.revision ?? 0;
  }

  /** Looks for what was passed over and is wanted now: among these, or among all of it. */
  #look(names?: readonly DocumentName[]): void {
    const { memory, fail } = this.#half;
    const revision = this.#revision;
    const isEnough = names === undefined || memory.looked === revision - 1;
    const looked = (): void => {
      if (isEnough && !this.#stopped) memory.looked = revision;
    };
    if (!memory.hasPassed) return looked();
    this.#looking += 1;
    this.#takePassed(names ?? memory.allPassed())
      .then(looked)
      .catch(fail)
      .finally(() => {
        this.#looking -= 1;
        this.#half.changed();
      });
  }

  async #takePassed(names: Iterable<DocumentName> | AsyncIterable<ListedDocument>): Promise<void> {
    const { memory } = this.#half;
    for await (const each of names) {
      if (this.#stopped) return;
      const passed = typeof each === 'string' ? await memory.passed(each) : each;
      if (passed === undefined || !this.#follows(passed.name) || this.#wanted.has(passed.name)) continue;
      this.#want(passed, undefined);
      this.#ask();
    }
  }

  // --- asking

  #want({ name, generation, seq }: ListedDocument, ticket: Ticket | undefined, urgent = false): void {
    this.#nameLength += name.length;
    if (this.#wanted.size >= WANTED_MAX || this.#nameLength > WANTED_NAMES_MAX)
      throw new FieldbookError('protocol_violation', 'Too many documents are listed.');
    const rest = {
      asked: false,
      askedSeq: 0,
      urgent,
      channel: undefined,
      failure: undefined,
      whole: undefined,
      staged: 0,
      postponed: false,
      heavy: false,
      deferred: false,
    };
    const want = { name, generation, seq, ticket, ...rest };
    this.#wanted.set(name, want);
    this.#queue(want);
    this.#half.changed();
  }

  #raise(want: Want, { generation, seq }: { generation: number; seq: number }): void {
    want.seq = Math.max(want.seq, seq);
    want.generation = generation;
    // Its ticket is older than this seq and keeps the frontier below both.
    want.ticket ??= this.#frontier.begin(seq);
    this.#frontier.reach(seq);
  }

  #queue(want: Want): void {
    this.#queues[want.urgent || want.name === 'workspace' ? 0 : want.name.startsWith('book/') ? 1 : 2].push(want);
  }

  /** What can wait is asked for when the limit allows, which is looked at again soon. */
  #askLater(): void {
    if (this.#asksLater) return;
    this.#asksLater = true;
    this.#half.after(Math.max(POLL_MS, this.#half.waitMs('down')), () => {
      this.#asksLater = false;
      this.#ask();
    });
  }

  #ask(): void {
    while (!this.#stopped && this.#weight < ASKED_MAX) {
      const queue = this.#nextQueue();
      if (queue === undefined) return;
      // Runs and notes can wait, and what nobody could place at first.
      const waits = queue !== this.#queues[0] && queue !== this.#queues[1] && this.#half.waitMs('down') > 0;
      if (waits || this.#half.buffered() > ASK_BUFFERED_MAX) {
        this.#askLater();
        return;
      }
      const want = queue.shift();
      if (want === undefined) return;
      if (this.#wanted.get(want.name) !== want || want.asked) continue;
      want.asked = true;
      want.askedSeq = want.seq;
      this.#weight += weightOf(want);
      this.#askFor(want).catch(this.#half.fail);
    }
  }

  #nextQueue(): Queue | undefined {
    const queue = this.#queues.find(({ length }) => length > 0);
    if (queue !== undefined || this.#weight > 0) return queue;
    if (this.#heavy.length > 0) return this.#heavy;
    return this.#deferred.length > 0 && this.#applying.size === 0 ? this.#deferred : undefined;
  }

  async #askFor(want: Want): Promise<void> {
    const { replica, channels, send } = this.#half;
    const { name } = want;
    let generation: number;
    let stateVector: Uint8Array = EMPTY_STATE_VECTOR;
    want.whole = undefined;
    try {
      parseDocumentName(name);
      const ours = await this.#ours(name);
      generation = want.seq > 0 ? want.generation : (ours?.generation ?? 0);
      if (ours === undefined) {
        if (generation > 0) want.whole = [];
      } else if (generation > ours.generation) {
        if (!this.#half.rebuilds && ours.whole) throw rebuiltByNobody(name, ours.generation, generation);
        want.whole = [];
      } else if (generation < ours.generation) throw generationMismatch(name, ours.generation, generation);
      else if (ours.whole) ({ stateVector, generation } = await replica.stateVector(name));
      else want.whole = [];
      // Before 512 MiB of it have come.
      if (want.whole !== undefined) this.#half.checkAdopt(name);
    } catch (error) {
      this.#failed(want, error);
      return;
    }
    if (this.#stopped) return;
    want.channel = channels.busy(name, generation);
    send({ kind: 'sync', channel: want.channel, seq: 0, message: { type: 'step1', stateVector } });
  }

  /** What is here of a document; not `whole` when it is damaged, which only reading it tells. */
  async #ours(name: DocumentName): Promise<{ generation: number; whole: boolean } | undefined> {
    const { replica } = this.#half;
    const info = await replica.info(name);
    if (info === undefined) return undefined;
    if (!info.quarantined) {
      try {
        return { generation: (await replica.stateVector(name)).generation, whole: true };
      } catch (error) {
        if (!isFieldbookError(error, 'document_quarantined')) throw error;
      }
    }
    return { generation: info.generation, whole: false };
  }

  // --- applying

  async #applyAnswer(channel: Channel, number: number, seq: number, update: Uint8Array): Promise<void> {
    const want = this.#wanted.get(channel.name);
    if (want?.postponed === true && want.asked) {
      this.#answered(want);
      want.heavy = true;
      this.#heavy.push(want);
      this.#ask();
      return;
    }
    try {
      if (want?.failure !== undefined) throw want.failure;
      if (want?.whole === undefined) await this.#apply(channel, update);
      else await this.#adopt(channel, [...want.whole.splice(0), update]);
    } catch (error) {
      if (want === undefined) this.#refuse(channel.name, seq, error);
      else this.#failed(want, error);
      return;
    }
    this.#half.memory.refusedHere.delete(channel.name);
    this.#half.send({ kind: 'ack', channel: number, seq });
    if (want === undefined || this.#wanted.get(channel.name) !== want) return;
    this.#answered(want);
    if (seq >= want.seq || want.seq <= want.askedSeq) this.#done(want);
    else this.#queue(want);
    this.#ask();
  }

  async #applyPart(channel: Channel, update: Uint8Array): Promise<void> {
    const want = this.#wanted.get(channel.name);
    if (want?.failure !== undefined || (want === undefined && !this.#follows(channel.name))) return;
    // Of a whole document nothing counts but what is asked for now.
    if (want?.whole !== undefined && (!want.asked || want.postponed)) return;
    try {
      if (want?.whole === undefined) await this.#apply(channel, update);
      else this.#stage(want, want.whole, update);
    } catch (error) {
      // The answer that the part belongs to ends the matter, once.
      if (want !== undefined) {
        want.failure = asFieldbookError(error);
        this.#unstage(want);
      } else this.#refuse(channel.name, 0, error);
    }
  }

  /** Undefined when the document is not complete here: the answer that is under way, or the next, brings this too. */
  #applyUpdate(channel: Channel, number: number, seq: number, update: Uint8Array): (() => Promise<void>) | undefined {
    const { name, generation } = channel;
    const want = this.#wanted.get(name);
    if (want !== undefined) {
      this.#raise(want, { generation, seq });
      return undefined;
    }
    if (!this.#follows(name)) {
      this.#half.memory.pass({ name, generation, seq });
      this.#frontier.reach(seq);
      const reason = 'Not followed here; its name is enough.';
      this.#half.send({ kind: 'refuse', name, seq: Math.max(1, seq), code: NOT_FOLLOWED, reason });
      this.#progress();
      return undefined;
    }
    if (this.#half.memory.refusedHere.has(name)) {
      // What was refused may not look like part of an acknowledged document: only the whole of it settles that.
      this.#want({ name, generation, seq }, this.#frontier.begin(seq));
      this.#ask();
      return undefined;
    }
    const ticket = this.#frontier.begin(seq);
    return async () => {
      const wanted = this.#wanted.get(name);
      if (wanted !== undefined) {
        // One before it did not fit, and now all of them are asked for together.
        this.#raise(wanted, { generation, seq });
        this.#frontier.finish(ticket);
        return;
      }
      try {
        await this.#apply(channel, update);
        this.#half.send({ kind: 'ack', channel: number, seq });
      } catch (error) {
        // Rebuilt there, damaged here, or more is missing: all of it is asked for.
        const isOlder = isFieldbookError(error, 'generation_mismatch') && Number(error.details['ours']) < generation;
        if (
          isOlder ||
          isFieldbookError(error, 'missing_dependency') ||
          isFieldbookError(error, 'document_quarantined') ||
          mayPassLater(error)
        ) {
          this.#want({ name, generation, seq }, ticket);
          this.#ask();
          return;
        }
        this.#refuse(name, seq, error);
      }
      this.#frontier.finish(ticket);
    };
  }

  async #apply({ name, generation }: Channel, update: Uint8Array): Promise<void> {
    parseDocumentName(name);
    await this.#half.apply(name, update, generation);
  }

  /** A whole document waits in memory until all of it is here: nothing of it may show before. One at a time may be large. */
  #stage(want: Want, parts: Uint8Array[], update: Uint8Array): void {
    const cost = update.length + ARRIVED_OVERHEAD;
    const bytes = want.staged + cost - (parts.length + 1) * ARRIVED_OVERHEAD;
    if (bytes > documentLimit(want.name) || parts.length >= STAGED_PARTS_MAX) {
      throw new FieldbookError(
        'update_too_large',
        `Document ${want.name} has more than ${documentLimit(want.name)} bytes.`,
      );
    }
    if (this.#large !== want && this.#stagedBytes + cost > this.#half.stagedBytes) {
      if (this.#large !== undefined) {
        this.#unstage(want);
        want.postponed = true;
        return;
      }
      this.#large = want;
      this.#stagedBytes -= want.staged;
    }
    parts.push(update);
    want.staged += cost;
    if (this.#large !== want) this.#stagedBytes += cost;
  }

  #unstage(want: Want): void {
    if (this.#large === want) this.#large = undefined;
    else this.#stagedBytes -= want.staged;
    want.staged = 0;
    if (want.whole !== undefined) want.whole = [];
  }

  async #adopt({ name, generation }: Channel, updates: readonly Uint8Array[]): Promise<void> {
    const { log } = this.#half;
    const { added, removed } = await this.#half.adopt(name, { generation, updates });
    log.info('replication.adopted', { name, generation, added, removed });
  }

  // --- endings

  #failed(want: Want, error: unknown): void {
    if (mayPassLater(error) && !want.deferred && this.#wanted.get(want.name) === want) {
      want.deferred = true;
      this.#answered(want);
      this.#deferred.push(want);
      this.#ask();
      return;
    }
    this.#refuse(want.name, want.seq, error);
    this.#give(want, undefined);
  }

  /** Passes a document over: why is either said by us (already) or by them. */
  #give(want: Want, theirs: { seq: number; code: string; reason: string } | undefined): void {
    if (theirs !== undefined) {
      this.#half.memory.refuse('here', want.name, theirs);
    }
    this.#answered(want);
    if (this.#wanted.get(want.name) === want) this.#done(want);
    this.#ask();
    this.#progress();
  }

  #answered(want: Want): void {
    if (!want.asked) return;
    want.asked = false;
    want.failure = undefined;
    want.postponed = false;
    this.#unstage(want);
    this.#weight -= weightOf(want);
    if (want.channel !== undefined) this.#half.channels.idle(want.channel);
    want.channel = undefined;
  }

  #done(want: Want): void {
    this.#wanted.delete(want.name);
    this.#nameLength -= want.name.length;
    if (want.ticket !== undefined) this.#frontier.finish(want.ticket);
    for (const tell of this.#takers.get(want.name) ?? []) tell(true);
    this.#takers.delete(want.name);
    if (this.#half.memory.hasPassed) {
      this.#half.memory.took(want.name);
      if (this.#wanted.size === 0 && !this.#stopped) this.#tellWhole().catch(this.#half.fail);
    }
    this.#half.changed();
  }

  /** With the last of what was passed over here, the cursor says that everything below it is. */
  async #tellWhole(): Promise<void> {
    const { memory, send } = this.#half;
    if (!(await memory.lookForPassed()) && !this.#stopped) send({ kind: 'cursor', seq: memory.pulled });
  }

  #refuse(name: DocumentName, seq: number, thrown: unknown): void {
    const error = asFieldbookError(thrown);
    if (endsSession(error)) throw error;
    this.#half.onRefused(name, error);
    this.#half.memory.refuse('here', name, { seq, code: error.code, reason: error.message });
    this.#half.send({ kind: 'refuse', name, seq: Math.max(1, seq), code: error.code, reason: error.message });
    this.#half.changed();
  }

  /** Writes down and tells how far we are, one write at a time. */
  #progress(): void {
    if (this.#telling || this.#stopped || this.#frontier.value <= this.#half.memory.pulled) return;
    this.#telling = true;
    this.#tell()
      .catch(this.#half.fail)
      .finally(() => {
        this.#telling = false;
      });
  }

  async #tell(): Promise<void> {
    const { memory, send, changed } = this.#half;
    while (!this.#stopped && this.#frontier.value > memory.pulled) {
      memory.pulled = this.#frontier.value;
      await memory.save();
      send({ kind: 'cursor', seq: memory.pulled, ...(memory.hasPassed && { partial: true }) });
      changed();
    }
  }
}

function rebuiltByNobody(name: DocumentName, ours: number, theirs: number): FieldbookError {
  return new FieldbookError(
    'generation_mismatch',
    `Document ${name} was rebuilt on the other side (generation ${theirs} there, ${ours} here), whose token may not ` +
      'rebuild documents here: only an administrator may. Use such a token, or rebuild it here.',
    { details: { name, ours, theirs } },
  );
}

/** What was refused only because cards that are still under way have not said whose a run is. */
function mayPassLater(error: unknown): boolean {
  return isFieldbookError(error, 'forbidden') && error.details['later'] === true;
}

/** What a replica without a document says it has of it. */
const EMPTY_STATE_VECTOR = new Uint8Array([0]);

function weightOf({ name, heavy }: Want): number {
  if (heavy) return ASKED_MAX;
  return name.startsWith('run/') ? 1 : BOOK_WEIGHT;
}

/** First in, first out, without moving what is left. */
class Queue {
  #items: Want[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: Want): void {
    this.#items.push(item);
  }

  shift(): Want | undefined {
    const item = this.#items[this.#head];
    if (item !== undefined) this.#head += 1;
    if (this.#head > 1_024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
