import type { FieldbookError } from '../errors.ts';
import { asFieldbookError, isFieldbookError } from '../errors.ts';
import type { DocumentName } from '../ids.ts';
import { utf8 } from '../ids.ts';
import type { BlobDigest, BlobStore, Clock, Log, Random, Timers } from '../ports.ts';
import type { Replica } from '../replica/replica.ts';
import type { BlobPeer } from './blob-peer.ts';
import type { BlobSyncStatus } from './blob-sync.ts';
import { backoffMs } from './backoff.ts';
import type { PeerMemories } from './peer-memories.ts';
import type { PeerMemory } from './peer-memory.ts';
import { UnheldDocuments, WORD_MS } from './unheld.ts';

/** What one lane sends. */
export interface BlobLaneOptions {
  replica: Replica;
  blobs: BlobStore;
  peer: BlobPeer;
  /** Which documents the peer is known to hold. */
  memories: Pick<PeerMemories, 'of'>;
  clock: Clock;
  timers: Timers;
  random: Random;
  log: Log;
  /** Under which its place in the feed is kept, durably and per peer. */
  cursor: string;
  /** Blobs that a run document names and that are to be sent, in the order in which they are. */
  select(name: DocumentName): Promise<Iterable<BlobDigest>>;
  /** Blobs that nothing but this one names: the peer is asked for them again before it goes. */
  partsOf?(digest: BlobDigest): Promise<readonly BlobDigest[]>;
  /** True while something that goes first is on its way: the next blob waits for it, a little. */
  yields?(): boolean;
  onChange(): void;
}

const PAGE = 256;
const ASK_MAX = 1_000;
/** A running run's document changes every second; its manifest is worth a look less often. */
const REST_MS = 1_000;
/** All who are connected to a relay that lost blobs hear it at once: they ask it within so long, not at one moment. */
const SPREAD_MS = 2_000;
/** Digests that the peer is known to have: 72 bytes each. */
const PRESENT_MAX = 200_000;
/** So often it is looked whether what goes first is through … */
const YIELD_MS = 50;
/** … and so often at most for one blob: documents of running runs are never all through. */
const YIELDS_MAX = 4;
/** A peer that said so may be believed this long; see `WORD_MS`, a half of which is for what is settled on this ground. */
export const BELIEF_MS = WORD_MS / 2;

/**
 * Sends blobs that manifests name and the peer lacks, in the order of the feed. How far manifests were looked at is kept durably
 * per peer; a blob that was sent twice is one. What the peer has it keeps for good only when it holds a document that names it: when
 * one arrives there much later than its blobs, the peer is asked for these again.
 */
export class BlobLane {
  readonly #options: BlobLaneOptions;
  /** What the peer has, and when it said so. */
  readonly #present = new Map<BlobDigest, number>();
  readonly #pending = new Map<BlobDigest, number>();
  #peer: string | undefined;
  #losses = 0;
  /** What the peer said of its losses since it was last asked. */
  #toldLosses: number | undefined;
  #memory: PeerMemory | undefined;
  #unheld: UnheldDocuments | undefined;
  #through = 0;
  #more = true;
  #sent = 0;
  #failures = 0;
  #problem: BlobSyncStatus['problem'] = null;
  /** Documents to look at whatever the feed says, until it is done. */
  readonly #extra = new Set<DocumentName>();
  /** Documents whose blobs are just coming here by another way, and how many ways. */
  readonly #coming = new Map<DocumentName, number>();
  #state: 'new' | 'resting' | 'working' | 'stopped' = 'new';
  #running: Promise<void> | undefined;
  #cancel: (() => void) | undefined;
  #stopFollowing: (() => void) | undefined;
  #stopHearing: (() => void) | undefined;

  constructor(options: BlobLaneOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#state !== 'new') return;
    this.#stopFollowing = this.#options.replica.onCommit(({ name }) => {
      if (!name.startsWith('run/')) return;
      this.#more = true;
      if (this.#state === 'resting' && this.#cancel === undefined) this.#later(REST_MS);
    });
    this.#work();
  }

  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#cancel?.();
    this.#stopFollowing?.();
    await this.#running;
    this.#stopHearing?.();
    this.#changed();
  }

  /** Looks again now, after an outage or before a wait. */
  retry(): void {
    if (this.#state !== 'resting') return;
    this.#failures = 0;
    this.#cancel?.();
    this.#work();
  }

  status(): BlobSyncStatus {
    let pendingBytes = 0;
    for (const size of this.#pending.values()) pendingBytes += size;
    const { size } = this.#pending;
    return { pending: size, pendingBytes, sentBytes: this.#sent, settled: this.#settled, problem: this.#problem };
  }

  /** Looks at these documents again, though they did not change: what is to be sent has. */
  recheck(names: Iterable<DocumentName>): void {
    for (const name of names) this.#extra.add(name);
    if (this.#state === 'resting' && this.#cancel === undefined && this.#extra.size > 0) this.#later(0);
    this.#changed();
  }

  /** Until `arrived`, what the document names may not be here yet: that it was looked for says nothing. */
  expect(name: DocumentName): void {
    this.#coming.set(name, (this.#coming.get(name) ?? 0) + 1);
  }

  /** Writes down that these documents, as of their commits, are to be looked at again; of `peer` when none has answered yet. */
  async doubt(documents: readonly [DocumentName, number][], peer: string | null): Promise<void> {
    const { replica, cursor } = this.#options;
    for (let from = 0; from < documents.length; from += ASK_MAX) {
      const page = documents.slice(from, from + ASK_MAX);
      if (this.#unheld !== undefined) {
        for (const [name, seq] of page) this.#unheld.doubt(name, seq);
        await this.#save();
      }
      if (peer !== null && peer !== this.#peer)
        await replica.putPrivate(
          page.map(([name, seq]) => UnheldDocuments.entry(unheldAt(cursor, peer), name, { asked: Number.NaN, seq })),
        );
    }
  }

  arrived(names: ReadonlySet<DocumentName>, some: boolean): void {
    for (const name of names) {
      const left = (this.#coming.get(name) ?? 1) - 1;
      if (left > 0) this.#coming.set(name, left);
      else this.#coming.delete(name);
    }
    if (some) this.recheck(names);
    else for (const name of names) this.#heard(name);
  }

  /** The peer has said how often it lost blobs: it is asked when that is another number than it was. */
  hearLosses(losses: number): void {
    this.#toldLosses = losses;
    if (!this.#isNews) return;
    if (this.#state === 'resting' && this.#cancel === undefined) this.#laterForLosses();
    this.#changed();
  }

  /** The replica that was last reached, and another name for it when it has lost blobs. */
  get peer(): string | undefined {
    return this.#peer === undefined ? undefined : `${this.#peer} ${this.#losses}`;
  }

  /** True when the peer has the blob, as far as this lane has seen. */
  isThere(digest: BlobDigest): boolean {
    return this.#present.has(digest);
  }

  /** As `isThere`, and the peer said so a while ago at most: nobody there needs to name it yet. */
  isJustThere(digest: BlobDigest): boolean {
    const passed = this.#options.clock.now() - (this.#present.get(digest) ?? Number.NaN);
    return passed >= 0 && passed < BELIEF_MS;
  }

  /** True when the peer may lack blobs of the document: they have not come here yet, or it had them long ago and does not hold the document. */
  doubts(name: DocumentName): boolean {
    return this.#coming.has(name) || this.#unheld?.isOver(name) === true;
  }

  /** True when everything that the document named to be sent, as of its commit `seq`, is there. */
  hasPassed(seq: number): boolean {
    return this.#peer !== undefined && seq <= this.#through;
  }

  note(digest: BlobDigest): void {
    if (this.#present.size >= PRESENT_MAX) this.#present.clear();
    this.#present.set(digest, this.#options.clock.now());
  }

  get #settled(): boolean {
    return (
      this.#state === 'resting' &&
      !this.#more &&
      !this.#isNews &&
      this.#extra.size === 0 &&
      this.#problem === null &&
      this.#pending.size === 0
    );
  }

  /** The peer has lost blobs, or got others back, since it was asked. */
  get #isNews(): boolean {
    return this.#toldLosses !== undefined && this.#toldLosses !== this.#losses;
  }

  #work(): void {
    this.#cancel = undefined;
    this.#state = 'working';
    this.#running = this.#round().then(
      () => this.#rested(null),
      (error: unknown) => this.#rested(asFieldbookError(error)),
    );
  }

  #rested(error: FieldbookError | null): void {
    if (this.#state === 'stopped') return;
    this.#state = 'resting';
    this.#problem = error === null ? null : { code: error.code, message: error.message };
    if (error !== null) {
      this.#options.log.warn('blobs.failed', { code: error.code, error: error.message });
      this.#later(backoffMs(this.#failures, this.#options.random.bytes(1)[0]! / 256));
      this.#failures += 1;
    } else {
      this.#failures = 0;
      if (this.#more || this.#extra.size > 0 || this.#unheld?.isChanged === true)
        this.#later(this.#extra.size > 0 ? 0 : REST_MS);
      else if (this.#isNews) this.#laterForLosses();
    }
    this.#changed();
  }

  #later(ms: number): void {
    this.#cancel = this.#options.timers.after(ms, () => {
      if (this.#state === 'resting') this.#work();
    });
  }

  #laterForLosses(): void {
    this.#later((SPREAD_MS * this.#options.random.bytes(1)[0]!) / 256);
  }

  async #round(): Promise<void> {
    const { replica, peer, memories } = this.#options;
    // Whatever it says from now on may not be in its answer.
    this.#toldLosses = undefined;
    const { replica: id, losses } = await peer.about();
    // The connection says whether it is that replica.
    const memory = await memories.of(id);
    if (memory !== this.#memory || losses !== this.#losses) await this.#meet(memory, losses);
    const at = memory.blobsUnder;
    for (;;) {
      this.#more = false;
      const changed = await replica.changedSince(this.#through, PAGE);
      const last = changed.at(-1);
      if (last === undefined || this.#isStopped()) break;
      this.#more = true;
      await this.#offer(changed.map(({ name }) => name).filter((name) => name.startsWith('run/')));
      if (this.#isStopped()) return;
      const { cursor } = this.#options;
      await this.#save([`${cursor}/${at}`, utf8(String(last.seq))], [`${cursor}-losses/${at}`, utf8(String(losses))]);
      this.#through = last.seq;
    }
    for (const name of this.#extra) {
      if (this.#isStopped()) return;
      this.#extra.delete(name);
      await this.#offer([name]).catch((error: unknown) => {
        this.#extra.add(name);
        throw error;
      });
    }
    if (this.#unheld?.isChanged === true && !this.#isStopped()) await this.#save();
  }

  /** Another replica answers than before, or it has lost blobs since: what was known of its blobs is forgotten. */
  async #meet(memory: PeerMemory, losses: number): Promise<void> {
    const { replica, clock, cursor } = this.#options;
    const at = memory.blobsUnder;
    const unheld = await UnheldDocuments.load(replica, clock, unheldAt(cursor, at));
    const [through, before] = await Promise.all(
      [`${cursor}/${at}`, `${cursor}-losses/${at}`].map(async (key) => {
        const kept = await replica.getPrivate(key);
        return kept === undefined ? undefined : Number(new TextDecoder().decode(kept));
      }),
    );
    // Programs that did not count losses kept no account of documents that arrive late either: then all is looked at once more.
    const isKnown = through !== undefined && before === losses && through <= replica.lastSeq;
    if (!isKnown) unheld.clear();
    this.#stopHearing?.();
    this.#present.clear();
    [this.#peer, this.#losses, this.#memory, this.#unheld] = [at, losses, memory, unheld];
    this.#through = isKnown ? through : 0;
    this.#more = true;
    this.#stopHearing = memory.onHeld((name) => this.#heard(name));
    this.#heard(null);
  }

  /** The peer holds a document, or any, that it did not. */
  #heard(held: DocumentName | null): void {
    const [memory, unheld] = [this.#memory, this.#unheld];
    if (memory === undefined || unheld === undefined) return;
    for (const name of held === null ? unheld.names() : [held])
      if (!this.#coming.has(name) && unheld.look(name, (...document) => memory.holds(...document)) === 'lapsed')
        this.#extra.add(name);
    if (this.#extra.size === 0 && !unheld.isChanged) return;
    if (this.#state === 'resting' && this.#cancel === undefined) this.#later(this.#extra.size > 0 ? 0 : REST_MS);
    if (this.#extra.size > 0) this.#changed();
  }

  async #save(...entries: [string, Uint8Array][]): Promise<void> {
    await this.#unheld!.save((more) => this.#options.replica.putPrivate([...entries, ...more]));
  }

  /** Sends what these manifests name, what is here, and what the peer lacks. */
  async #offer(names: readonly DocumentName[]): Promise<void> {
    const { replica, clock } = this.#options;
    const named = new Set<BlobDigest>();
    const asked = clock.now();
    const naming: [DocumentName, number][] = [];
    const coming = new Set(names.filter((name) => this.#coming.has(name)));
    for (const name of names) {
      // A damaged document is reported by the replica, and must not hold the others up.
      const digests = await this.#options.select(name).catch((error: unknown) => {
        if (isFieldbookError(error, 'document_quarantined')) return [];
        throw error;
      });
      for (const digest of digests) if (!this.isJustThere(digest)) named.add(digest);
      naming.push([name, (await replica.info(name))?.seq ?? 0]);
    }
    await this.#ask(named);
    // One that takes only some documents is no relay, and lets go of no blobs by itself.
    const { partial } = this.#memory!;
    for (const [name, seq] of naming) {
      // What was not here was not asked for, and when it came meanwhile the document is still to be looked at.
      if (coming.has(name) || this.#coming.has(name) || this.#extra.has(name)) this.#unheld!.doubt(name, seq);
      else if (partial) this.#unheld!.forget(name);
      else this.#unheld!.note(name, asked, seq);
    }
    this.#changed();
    await this.#send();
    // It may have taken days.
    for (const [name] of naming) this.#heard(name);
  }

  /** Asks for those that are here; what is missing there is to be sent. */
  async #ask(digests: Iterable<BlobDigest>): Promise<BlobDigest[]> {
    const here: [BlobDigest, number][] = [];
    for (const digest of digests) {
      const stat = await this.#options.blobs.stat(digest);
      if (stat !== undefined) here.push([digest, stat.size]);
    }
    const lacking: BlobDigest[] = [];
    for (let from = 0; from < here.length; from += ASK_MAX) {
      const asked = here.slice(from, from + ASK_MAX);
      const missing = new Set(await this.#options.peer.missing(asked.map(([digest]) => digest)));
      for (const [digest, size] of asked) {
        if (missing.has(digest)) {
          this.#pending.set(digest, size);
          lacking.push(digest);
        } else this.note(digest);
      }
    }
    return lacking;
  }

  async #send(): Promise<void> {
    for (const digest of this.#pending.keys()) {
      await this.#yield();
      if (this.#isStopped()) return;
      const parts = (await this.#options.partsOf?.(digest).catch(ifCorrupt)) ?? [];
      if (parts.length > 0) await this.#sendAgain(parts);
      if (this.#isStopped()) return;
      await this.#put(digest);
    }
  }

  /** Until nothing is missing: nobody there knows what these are for, and those that went first may have waited for days. */
  async #sendAgain(parts: readonly BlobDigest[]): Promise<void> {
    const { clock } = this.#options;
    for (;;) {
      const since = clock.now();
      for (const digest of await this.#ask(parts)) {
        await this.#yield();
        if (this.#isStopped()) return;
        await this.#put(digest);
      }
      const passed = clock.now() - since;
      if (passed >= 0 && passed < BELIEF_MS) return;
    }
  }

  async #put(digest: BlobDigest): Promise<void> {
    const { blobs, peer, log } = this.#options;
    const bytes = await blobs.read(digest).catch(ifCorrupt);
    if (bytes === undefined) log.error('blobs.unreadable', { digest });
    else {
      await peer.put(digest, bytes);
      this.#sent += bytes.length;
    }
    this.#pending.delete(digest);
    if (bytes !== undefined) this.note(digest);
    this.#changed();
  }

  async #yield(): Promise<void> {
    const { yields, timers } = this.#options;
    for (let turn = 0; turn < YIELDS_MAX && yields?.() === true && !this.#isStopped(); turn++) {
      await new Promise<void>((resolve) => timers.after(YIELD_MS, resolve));
    }
  }

  #isStopped(): boolean {
    return this.#state === 'stopped';
  }

  #changed(): void {
    this.#options.onChange();
  }
}

/** Where it is written down of which documents a peer may let go of blobs, per lane. */
function unheldAt(cursor: string, peer: string): string {
  return `${cursor}-unheld/${peer}/`;
}

/** A blob that rotted is as good as absent: the other side may have it whole. */
export function ifCorrupt(error: unknown): undefined {
  if (isFieldbookError(error, 'blob_corrupt')) return undefined;
  throw error;
}
