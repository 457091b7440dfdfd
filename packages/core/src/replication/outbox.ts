import type { DocumentName } from '../ids.ts';
import { asFieldbookError, FieldbookError } from '../errors.ts';
import { generationMismatch } from '../replica/open.ts';
import type { Log } from '../ports.ts';
import type { Adopted, Commit, Replica, WholeDocument } from '../replica/replica.ts';
import type { Channels } from './channels.ts';
import type { Follows } from './follows.ts';
import { NOT_FOLLOWED } from './follows.ts';
import type { PeerMemory } from './peer-memory.ts';
import type { Frame, ListedDocument } from './protocol.ts';
import { FEED_ENTRIES } from './protocol.ts';
import { PART_BYTES, splitUpdate } from './split.ts';

/** What the two halves of a session share. */
export interface Half {
  replica: Replica;
  memory: PeerMemory;
  log: Log;
  channels: Channels;
  /** Whether documents that the other side rebuilt are taken from it in the place of ours. */
  rebuilds: boolean;
  /** What this replica takes; everything without. */
  follows: Follows | undefined;
  /** Bytes of parts of whole documents that may wait here for the rest, but for one document. */
  stagedBytes: number;
  /** Marks commits that came over this connection. */
  origin: unknown;
  send(frame: Frame): void;
  /** Bytes not yet handed to the network. */
  buffered(): number;
  /** When what can wait should look again whether it may go, ms: somebody has set a limit. For what we send, and for what we ask for. */
  waitMs(direction: 'up' | 'down'): number;
  /** Calls `run` soon, unless the session ends before. */
  after(ms: number, run: () => void): void;
  /** What a status shows has changed. */
  changed(): void;
  /** Something here failed that ends the connection (and is worth another try). */
  fail(error: unknown): void;
  /** Whether the other side may read a document; undefined while nobody can say where it belongs. */
  reads(name: DocumentName): boolean | undefined;
  /** Applies what the other side sent, as far as it may. */
  apply(name: DocumentName, update: Uint8Array, generation: number): Promise<Commit | undefined>;
  /** Throws `forbidden` where it may not give whole documents: asked before they are. */
  checkAdopt(name: DocumentName): void;
  /** Adopts a whole document of the other side, as far as it may. */
  adopt(name: DocumentName, state: WholeDocument): Promise<Adopted>;
  /** An update of the other side was refused. */
  onRefused(name: DocumentName, error: FieldbookError): void;
}

/** Beyond this many unsent bytes we wait: a slow link must not become memory. */
const BUFFERED_MAX = 4 * 1024 * 1024;
/** Answers and run documents wait sooner: what is unsent is in front of the next edit, whatever it is. */
const BULK_BUFFERED_MAX = 512 * 1024;
/** An edit or a card, and not a month of them. */
const EARLY_BYTES = 256 * 1024;
/** Live updates sent and not yet acknowledged; beyond this the other side is slower than we are and gets names instead. */
const UNACKED_BYTES_MAX = 8 * 1024 * 1024;
/** What a small update costs besides its bytes. */
const UPDATE_OVERHEAD = 256;
/** Answers under way at once; each holds a document's state in memory. */
const SERVING_MAX = 2;
/** Questions that may wait for an answer; the asking side keeps to 32. */
const QUESTIONS_MAX = 1_024;
/** And what they hold in memory: 32 of the longest state vectors are 25 MB. */
const QUESTION_BYTES_MAX = 32 * 1024 * 1024;
const POLL_MS = 20;
/** Documents that nobody can place, remembered for one peer. */
const UNPLACED_MAX = 1_000;
/** How long commits that the other side made itself may leave its cursor behind. */
const IDLE_THROUGH_MS = 250;

interface Outstanding {
  /** The commit of ours that must be acknowledged. */
  want: number;
  /** The document's last commit that is accounted for, theirs included. */
  last: number;
  bytes: number;
}

/** What people wait for and what is small: edits and cards. The rest is points, texts and files of runs. */
function isUrgent(name: DocumentName): boolean {
  return name === 'workspace' || name.startsWith('book/');
}

interface Question {
  name: DocumentName;
  generation: number;
  stateVector: Uint8Array;
}

/**
 * What we give: names of documents that changed since the other side last heard (listing), then each commit as it
 * happens (live), and answers to its questions. Whenever the link or the other side cannot follow, live falls back to
 * listing from where it was, so nothing is queued in memory and bursts cost one state per document.
 */
export class Outbox {
  readonly #half: Half;
  readonly #outstanding = new Map<DocumentName, Outstanding>();
  readonly #questions: Question[] = [];
  #questionBytes = 0;
  /** Commits of urgent documents that went ahead of the list. */
  readonly #early = new Map<DocumentName, number>();
  /** Documents that they said they do not follow, and names of those that changed since they were last told. */
  readonly #unfollowed = new Set<DocumentName>();
  readonly #untold = new Map<DocumentName, ListedDocument>();
  #mode: 'waiting' | 'listing' | 'live' | 'stopped' = 'waiting';
  /** Through this seq the other side was told everything. */
  #through = 0;
  #more = false;
  #pumping = false;
  #serving = 0;
  #unackedBytes = 0;
  #throughScheduled = false;

  constructor(half: Half) {
    this.#half = half;
  }

  /** The other side holds our feed through `seq`; tell it the rest. */
  start(seq: number): void {
    if (this.#mode !== 'waiting') throw new FieldbookError('protocol_violation', 'RESUME came twice.');
    this.#through = seq;
    this.#mode = 'listing';
    this.#pump();
  }

  /** Everything committed here so far is at the other side. */
  get settled(): boolean {
    return this.#mode === 'live' && this.#outstanding.size === 0;
  }

  /** Documents that the other side was told of and has not acknowledged. */
  get outstanding(): number {
    return this.#outstanding.size;
  }

  stop(): void {
    this.#mode = 'stopped';
    this.#outstanding.clear();
    this.#early.clear();
    this.#unfollowed.clear();
    this.#untold.clear();
    this.#questions.length = 0;
    this.#questionBytes = 0;
  }

  committed(commit: Commit): void {
    if (this.#mode === 'listing') {
      this.#more = true;
      this.#sendAhead(commit);
    }
    if (this.#mode !== 'live' || commit.seq <= this.#through) return;
    if (commit.origin === this.#half.origin) {
      this.#theirOwn(commit);
      if (commit.name.startsWith('book/')) this.#place();
      return;
    }
    if (!this.#shows(commit.name)) {
      this.#passOver(commit.seq);
      return;
    }
    if (this.#unfollowed.has(commit.name)) {
      this.#name(commit);
      return;
    }
    this.#tellThrough('names');
    // One that was rebuilt is asked for by those who can take it.
    if (commit.rebuilt === true || commit.update.length > PART_BYTES || this.#congested(isUrgent(commit.name))) {
      this.#mode = 'listing';
      this.#sendAhead(commit);
      this.#pump();
      return;
    }
    this.#through = commit.seq;
    const { name, generation, seq, update } = commit;
    this.#expect(name, seq, update.length + UPDATE_OVERHEAD);
    const channel = this.#half.channels.busy(name, generation);
    this.#half.send({ kind: 'sync', channel, seq, message: { type: 'update', update } });
    if (name.startsWith('book/')) this.#place();
  }

  acked(channel: number, seq: number): void {
    const name = this.#half.channels.own(channel);
    this.#half.channels.idle(channel);
    if (name !== undefined) this.#held(name, seq);
  }

  refused(name: DocumentName, seq: number, code: string, reason: string): void {
    const { channels, memory } = this.#half;
    const outstanding = this.#outstanding.get(name);
    // Only of what was sent: names that they make up are not worth keeping.
    if (outstanding === undefined && !channels.names(name) && !memory.refusedThere.has(name)) return;
    channels.answered(name);
    if (code === NOT_FOLLOWED && outstanding !== undefined) this.#unfollowed.add(name);
    if (outstanding !== undefined && outstanding.want <= seq) this.#forget(name, outstanding);
    if (code === NOT_FOLLOWED) {
      this.#half.changed();
      this.#pump();
      return;
    }
    memory.refuse('there', name, { seq, code, reason });
    void memory.save().catch(this.#half.fail);
    this.#half.changed();
    this.#pump();
  }

  reached(seq: number, partial = false): void {
    this.#half.memory.reached(seq, partial);
    for (const [name, outstanding] of this.#outstanding) if (outstanding.want <= seq) this.#forget(name, outstanding);
    void this.#half.memory.save().catch(this.#half.fail);
    this.#half.changed();
    this.#pump();
  }

  /** They ask what they lack of a document. */
  asked(question: Question): void {
    this.#questionBytes += question.stateVector.length;
    if (this.#questions.length >= QUESTIONS_MAX || this.#questionBytes > QUESTION_BYTES_MAX) {
      throw new FieldbookError('protocol_violation', 'Too many questions are waiting.');
    }
    // Whoever asks follows it now.
    this.#unfollowed.delete(question.name);
    this.#questions.push(question);
    this.#serve();
  }

  // --- listing and live

  #pump(): void {
    if (this.#pumping || this.#mode !== 'listing') return;
    this.#pumping = true;
    this.#list()
      .catch(this.#half.fail)
      .finally(() => {
        this.#pumping = false;
      });
  }

  async #list(): Promise<void> {
    const { replica, memory, send } = this.#half;
    while (this.#mode === 'listing') {
      if (this.#congested(true)) {
        this.#half.after(POLL_MS, () => this.#pump());
        return;
      }
      this.#more = false;
      const changed = await replica.changedSince(this.#through, FEED_ENTRIES);
      if (this.#mode !== 'listing') return;
      const last = changed.at(-1);
      if (last === undefined) {
        // A commit that was announced while we looked may be one that we did not see.
        if (this.#more) continue;
        this.#mode = 'live';
        this.#place();
        send({ kind: 'feed', entries: [], through: this.#through, more: false });
        this.#half.changed();
        return;
      }
      const entries = changed.filter(({ name, seq }) => this.#shows(name) && !memory.holds(name, seq));
      this.#through = last.seq;
      for (const { name, seq } of entries) this.#expect(name, seq, 0);
      send({ kind: 'feed', entries, through: last.seq, more: true });
    }
  }

  #congested(urgent: boolean): boolean {
    const { buffered, waitMs } = this.#half;
    if (this.#unackedBytes > UNACKED_BYTES_MAX) return true;
    return urgent ? buffered() > BUFFERED_MAX : buffered() > BULK_BUFFERED_MAX || waitMs('up') > 0;
  }

  /**
   * An edit does not wait for the list of 100,000 other documents: it goes at once where the other side has everything
   * before it, with `seq` 0, so that it counts for nothing. The list names its document like any other, and the answer
   * to that is next to empty.
   */
  #sendAhead({ name, generation, seq, previous, update, origin, rebuilt }: Commit): void {
    if (!isUrgent(name) || update.length > EARLY_BYTES || previous === undefined || rebuilt === true) return;
    if (origin === this.#half.origin || this.#half.buffered() > BUFFERED_MAX) return;
    const { memory, channels, send } = this.#half;
    const isKnown = previous === 0 || this.#early.get(name) === previous || memory.holds(name, previous);
    if (!isKnown || memory.refusedThere.has(name) || this.#unfollowed.has(name)) return;
    this.#early.set(name, seq);
    const channel = channels.busy(name, generation);
    send({ kind: 'sync', channel, seq: 0, message: { type: 'update', update } });
    channels.idle(channel);
  }

  // --- what the other side may see

  /** Whether to tell of a document. One that nobody can place yet is remembered: it is told of once a card says where it belongs. */
  #shows(name: DocumentName): boolean {
    let reads: boolean | undefined;
    try {
      reads = this.#half.reads(name);
    } catch {
      return false;
    }
    const { unplaced } = this.#half.memory;
    if (reads === undefined && unplaced.size < UNPLACED_MAX) unplaced.add(name);
    return reads === true;
  }

  /** Cards have come: tells of documents that were passed over before anybody knew that they may be seen. */
  #place(): void {
    const { memory, fail } = this.#half;
    const placed: DocumentName[] = [];
    for (const name of memory.unplaced) {
      const reads = this.#half.reads(name);
      if (reads === undefined) continue;
      memory.unplaced.delete(name);
      if (reads) placed.push(name);
    }
    if (placed.length > 0) this.#tellOf(placed).catch(fail);
  }

  async #tellOf(names: readonly DocumentName[]): Promise<void> {
    const { replica, send } = this.#half;
    for (const name of names) {
      const info = await replica.info(name);
      if (info === undefined || this.#isStopped()) continue;
      this.#tellThrough('names');
      this.#expect(name, info.seq, 0);
      const entries = [{ name, generation: info.generation, seq: info.seq }];
      send({ kind: 'feed', entries, through: this.#through, more: this.#mode !== 'live' });
    }
  }

  #passOver(seq: number): void {
    this.#through = seq;
    this.#tellThroughSoon();
  }

  /** A commit that came from the other side: it has it, and all before it has been told. */
  #theirOwn({ name, seq }: Commit): void {
    this.#through = seq;
    const outstanding = this.#outstanding.get(name);
    if (outstanding !== undefined) outstanding.last = seq;
    else if (!this.#half.memory.refusedThere.has(name)) this.#half.memory.hold(name, seq);
    this.#tellThroughSoon();
  }

  /** A commit of a document that they do not follow: its name, together with those of the next moment. */
  #name({ name, generation, seq }: Commit): void {
    this.#through = seq;
    this.#expect(name, seq, 0);
    this.#untold.set(name, { name, generation, seq });
    if (this.#untold.size >= FEED_ENTRIES) this.#tellThrough('names');
    this.#tellThroughSoon();
  }

  #tellThroughSoon(): void {
    if (this.#throughScheduled) return;
    this.#throughScheduled = true;
    this.#half.after(IDLE_THROUGH_MS, () => {
      this.#throughScheduled = false;
      this.#tellThrough('always');
    });
  }

  /** `names`: only when some are untold, as they must be before anything is said of a later commit. */
  #tellThrough(when: 'always' | 'names'): void {
    if (this.#mode !== 'live' || (when === 'names' && this.#untold.size === 0)) return;
    const entries = [...this.#untold.values()];
    this.#untold.clear();
    this.#half.send({ kind: 'feed', entries, through: this.#through, more: false });
  }

  #expect(name: DocumentName, seq: number, bytes: number): void {
    const outstanding = this.#outstanding.get(name);
    this.#unackedBytes += bytes;
    if (outstanding === undefined) this.#outstanding.set(name, { want: seq, last: seq, bytes });
    else Object.assign(outstanding, { want: seq, last: seq, bytes: outstanding.bytes + bytes });
    this.#half.changed();
  }

  #held(name: DocumentName, seq: number): void {
    const { memory } = this.#half;
    const outstanding = this.#outstanding.get(name);
    if (outstanding === undefined || seq < outstanding.want) {
      memory.hold(name, seq);
    } else {
      memory.hold(name, Math.max(seq, outstanding.last));
      this.#forget(name, outstanding);
    }
    this.#half.changed();
    this.#pump();
  }

  #forget(name: DocumentName, outstanding: Outstanding): void {
    this.#unackedBytes -= outstanding.bytes;
    this.#outstanding.delete(name);
  }

  // --- answers

  #serve(): void {
    while (this.#mode !== 'stopped') {
      const urgent = this.#questions.findIndex(({ name }) => isUrgent(name));
      // One place more for them: those that are taken may wait long for a slow link.
      if (this.#serving >= (urgent === -1 ? SERVING_MAX : SERVING_MAX + 1)) return;
      const [question] = this.#questions.splice(Math.max(0, urgent), 1);
      if (question === undefined) return;
      this.#questionBytes -= question.stateVector.length;
      this.#serving += 1;
      this.#answer(question)
        .catch(this.#half.fail)
        .finally(() => {
          this.#serving -= 1;
          this.#serve();
        });
    }
  }

  async #answer({ name, generation, stateVector }: Question): Promise<void> {
    const { replica, channels, send } = this.#half;
    await this.#drained(name);
    let update: Uint8Array;
    // Read before the state: a commit made in between is in the state and told again, never the other way round.
    const info = await replica.info(name);
    const ours = info?.generation ?? 0;
    const seq = info?.seq ?? 0;
    try {
      if (this.#half.reads(name) === false)
        throw new FieldbookError('forbidden', `This token is for other projects than that of ${name.slice(0, 120)}.`);
      // An empty answer would look as if there were nothing anywhere.
      if (info === undefined) throw new FieldbookError('not_found', `There is no document ${name} on this side.`);
      if (ours !== generation) throw generationMismatch(name, ours, generation);
      await replica.noteClientIdSeen(name, stateVector);
      ({ update } = await replica.encodeState(name, stateVector));
    } catch (thrown) {
      const error = asFieldbookError(thrown);
      if (endsSession(error)) throw error;
      send({ kind: 'refuse', name, seq: 0, code: error.code, reason: error.message });
      if (error.code === 'generation_mismatch' && ours > generation) this.#relist(name, ours, seq);
      return;
    }
    const parts = splitUpdate(update);
    const lastPart = parts.pop()!;
    for (const part of parts) {
      if (this.#isStopped()) return;
      const channel = channels.busy(name, ours);
      send({ kind: 'sync', channel, seq: 0, message: { type: 'update', update: part } });
      // Parts are not acknowledged one by one; what follows them is.
      channels.idle(channel);
      await this.#drained(name);
    }
    if (this.#isStopped()) return;
    const channel = channels.busy(name, ours);
    send({ kind: 'sync', channel, seq, message: { type: 'step2', update: lastPart } });
  }

  /** They asked for a generation that is gone, and may not know of the one that is here. */
  #relist(name: DocumentName, generation: number, seq: number): void {
    if (this.#mode !== 'listing' && this.#mode !== 'live') return;
    this.#tellThrough('names');
    this.#expect(name, seq, 0);
    const more = this.#mode === 'listing';
    this.#half.send({ kind: 'feed', entries: [{ name, generation, seq }], through: this.#through, more });
  }

  #isStopped(): boolean {
    return this.#mode === 'stopped';
  }

  async #drained(name: DocumentName): Promise<void> {
    const { buffered, waitMs, after } = this.#half;
    while (!this.#isStopped()) {
      const limited = isUrgent(name) ? 0 : waitMs('up');
      if (limited === 0 && buffered() <= BULK_BUFFERED_MAX) return;
      await new Promise<void>((resolve) => after(Math.max(POLL_MS, limited), resolve));
    }
  }
}

/** Our own trouble, which says nothing about the document: end the connection and try again later. */
export function endsSession(error: FieldbookError): boolean {
  return ['disk_full', 'storage_failed', 'store_closed', 'internal', 'closed'].includes(error.code);
}
