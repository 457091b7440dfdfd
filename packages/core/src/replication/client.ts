import { asFieldbookError, FieldbookError, isFieldbookError } from '../errors.ts';
import { utf8 } from '../ids.ts';
import type { DocumentName } from '../ids.ts';
import { closeInWords, errorCodeOf, isTerminal } from '../links/index.ts';
import type { Link, Random } from '../ports.ts';
import { backoffMs } from './backoff.ts';
import type { PeerMemory } from './peer-memory.ts';
import type { SessionEnd, SessionOptions } from './session.ts';
import { ReplicationSession } from './session.ts';

export interface ClientOptions extends Omit<SessionOptions, 'link' | 'grants' | 'onChange'> {
  /** Names this peer in the store and in statuses: its URL, without a token. */
  url: string;
  random: Random;
  /** Opens a connection. Rejects with `peer_unreachable` when nobody answers. */
  dial(): Promise<Link>;
  onChange?(): void;
}

/** One peer as a person should see it. */
export interface PeerStatus {
  url: string;
  /** Its replica id, once it was ever reached. */
  peer: string | null;
  connected: boolean;
  /** ms since the epoch: connected or not connected since then; null before the first try ended. */
  since: number | null;
  /** Why not connected, or what one side refused, in words. */
  problem: { code: string; message: string } | null;
  /** True when nobody tries again until `retry` or a new token: the other side said no. */
  stopped: boolean;
  /** True when the other side takes nothing from us (a viewer's token). */
  readOnly: boolean;
  /** Our feed is durable there through this seq; theirs here through that one. */
  pushedThrough: number;
  pulledThrough: number;
  /** Documents here whose last change is not acknowledged there, and documents listed there that are not here yet. */
  toPush: number;
  toPull: number;
  /** How far its clock is ahead of ours, ms, as of the last greeting since this program began; null before, or when it does not say. */
  clockAheadMs: number | null;
}

/** A connection that lasted this long was a good one: the next failure starts from the shortest wait. */
const GOOD_AFTER_MS = 10_000;
/** Counting further than this tells a person nothing more. */
const COUNT_MAX = 10_000;

/**
 * Keeps one replica connected to another that it dials: tries again after every loss, ever more rarely and never at
 * the same moment as others, and stops when the other side says that trying is of no use.
 */
export class ReplicationClient {
  readonly url: string;
  readonly #options: ClientOptions;
  #session: ReplicationSession | undefined;
  #memory: PeerMemory | undefined;
  #state: 'new' | 'dialling' | 'connected' | 'waiting' | 'refused' | 'stopped' = 'new';
  #failures = 0;
  #since: number | null = null;
  #problem: PeerStatus['problem'] = null;
  #clockAheadMs: number | null = null;
  #cancelWait: (() => void) | undefined;
  #run: Promise<void> | undefined;
  #remembered: Promise<void> | undefined;
  readonly #waiters = new Set<() => void>();

  constructor(options: ClientOptions) {
    this.#options = options;
    this.url = options.url;
  }

  /** Starts connecting; returns at once. */
  start(): void {
    if (this.#state !== 'new') return;
    this.#remembered ??= this.#recall();
    this.#dial();
  }

  /** Tries again now, whatever was said before: the token changed, the network came back, a person asked. */
  retry(): void {
    if (this.#state !== 'waiting' && this.#state !== 'refused') return;
    this.#failures = 0;
    this.#cancelWait?.();
    this.#dial();
  }

  /** Closes the connection and stays closed. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#cancelWait?.();
    this.#session?.close(1000, 'leaving');
    await this.#run;
    await this.#memory?.save().catch(() => undefined);
    this.#changed();
  }

  /** True when everything on each side is durable on the other, as far as both know. */
  get settled(): boolean {
    return this.#session?.settled ?? false;
  }

  /** Resolves when `settled`, and rejects with the problem when the other side refuses us for good. */
  async whenSettled(): Promise<void> {
    while (!this.settled) {
      if (this.#state === 'refused' || this.#state === 'stopped') {
        const problem = this.#problem ?? { code: 'closed', message: 'Replication is stopped.' };
        throw asFieldbookError(new Error(problem.message), 'peer_unreachable');
      }
      await new Promise<void>((resolve) => this.#waiters.add(resolve));
    }
  }

  async status(): Promise<PeerStatus> {
    await (this.#remembered ??= this.#recall());
    const memory = this.#memory;
    return {
      url: this.url,
      peer: memory?.id ?? null,
      connected: this.#state === 'connected',
      since: this.#since,
      problem: this.#problem ?? refusalInWords(memory),
      stopped: this.#state === 'refused' || this.#state === 'stopped',
      readOnly: this.#session?.readOnly ?? false,
      pushedThrough: memory?.pushed ?? 0,
      pulledThrough: memory?.pulled ?? 0,
      toPush: await this.#toPush(),
      toPull: this.#session?.waiting ?? 0,
      clockAheadMs: this.#clockAheadMs,
    };
  }

  /** True when the peer has acknowledged the document's last commit; also said from memory while it is away. */
  async holds(name: DocumentName): Promise<boolean> {
    await (this.#remembered ??= this.#recall());
    const info = await this.#options.replica.info(name);
    return info !== undefined && (this.#memory?.holds(name, info.seq) ?? false);
  }

  /** Documents whose last commit, of seq `through` or before, the peer has not acknowledged; at most `limit`. Also said while it is away. */
  async lacking(through: number, limit: number): Promise<Set<DocumentName>> {
    await (this.#remembered ??= this.#recall());
    const memory = this.#memory;
    const lacking = new Set<DocumentName>();
    // One that takes only some documents was told of more than it holds.
    for (let after = memory?.partial === true ? 0 : (memory?.pushed ?? 0); lacking.size < limit;) {
      const changed = await this.#options.replica.changedSince(after, limit);
      for (const { name, seq } of changed)
        if (seq <= through && lacking.size < limit && memory?.holds(name, seq) !== true) lacking.add(name);
      const last = changed.at(-1);
      if (last === undefined || last.seq >= through || changed.length < limit) break;
      after = last.seq;
    }
    for (const [name, { seq }] of memory?.refusedThere ?? [])
      if (seq <= through && lacking.size < limit) lacking.add(name);
    return lacking;
  }

  /** Asks the peer for a document that it told of and that was passed over; see `Inbox.take`. False while it is away. */
  async take(name: DocumentName): Promise<boolean> {
    return (await this.#session?.take(name)) ?? false;
  }

  /** Whether the peer has a document that was passed over here; also said while it is away. */
  async hasPassed(name: DocumentName): Promise<boolean> {
    await (this.#remembered ??= this.#recall());
    return (await this.#memory?.passed(name)) !== undefined;
  }

  /** How many documents of the peer were passed over and are not here; looks at all of them. */
  async countPassed(): Promise<number> {
    await (this.#remembered ??= this.#recall());
    let count = 0;
    if (this.#memory !== undefined) for await (const _each of this.#memory.allPassed()) count += 1;
    return count;
  }

  async #toPush(): Promise<number> {
    const memory = this.#memory;
    const changed = await this.#options.replica.changedSince(memory?.pushed ?? 0, COUNT_MAX);
    const refused = memory?.refusedThere.size ?? 0;
    return (
      refused +
      changed.filter(({ name, seq }) => !(memory?.holds(name, seq) ?? false) && !memory?.refusedThere.has(name)).length
    );
  }

  /** What is known of this peer from before the program started. */
  async #recall(): Promise<void> {
    const { replica, memories, log } = this.#options;
    try {
      const key = await replica.getPrivate(`peer-at/${this.url}`);
      if (key !== undefined) this.#memory ??= await memories.recall(new TextDecoder().decode(key));
    } catch (error) {
      log.warn('replication.recall_failed', { url: this.url, error: String(error) });
    }
  }

  #dial(): void {
    this.#state = 'dialling';
    this.#run = this.#connect().catch((error: unknown) => this.#lost(asFieldbookError(error)));
  }

  async #connect(): Promise<void> {
    const { dial, url, clock, replica, log } = this.#options;
    const link = await dial();
    if (this.#state !== 'dialling') {
      link.close(1000, 'leaving');
      return;
    }
    const session = new ReplicationSession({
      ...this.#options,
      link,
      grants: null,
      onChange: () => this.#sessionChanged(),
    });
    this.#session = session;
    const end = await session.ended;
    this.#session = undefined;
    const memory = this.#memory;
    if (this.isConnected) {
      log.info('replication.disconnected', { url, peer: memory?.id, code: end.code });
      if (memory !== undefined) await replica.putPrivate([[`peer-at/${url}`, utf8(memory.key)]]).catch(() => undefined);
      if (clock.now() - (this.#since ?? 0) >= GOOD_AFTER_MS) this.#failures = 0;
    }
    this.#ended(end);
  }

  #sessionChanged(): void {
    const session = this.#session;
    if (session?.memory !== undefined && this.#state === 'dialling') {
      this.#state = 'connected';
      this.#since = this.#options.clock.now();
      this.#remember(session.memory);
      this.#clockAheadMs = session.clockAheadMs;
      this.#problem = null;
      this.#options.log.info('replication.connected', { url: this.url, peer: session.memory.id });
      const { replica } = this.#options;
      void replica.putPrivate([[`peer-at/${this.url}`, utf8(session.memory.key)]]).catch(() => undefined);
    }
    if (session?.settled === true) this.#failures = 0;
    this.#changed();
  }

  /** The session lets go of it at its end, and a status shows it all the same. */
  #remember(memory: PeerMemory): void {
    const { memories } = this.#options;
    const before = this.#memory;
    if (before === memory) return;
    memories.keep(memory);
    this.#memory = memory;
    if (before !== undefined) memories.leave(before);
  }

  /**
   * What is known of the replica `id`, once that is who answers here: what else says that it is `id` may be told anything. Rejects with
   * `peer_unreachable` when another one answers, or nobody any more.
   */
  async memoryOf(id: string): Promise<PeerMemory> {
    while (this.#state !== 'connected') {
      if (this.#state === 'stopped' || this.#state === 'refused')
        throw new FieldbookError('peer_unreachable', this.#problem?.message ?? 'The exchange is stopped.');
      await new Promise<void>((resolve) => this.#waiters.add(resolve));
    }
    if (this.#memory?.id !== id)
      throw new FieldbookError('peer_unreachable', 'Another replica answers there than a moment ago.');
    return this.#memory;
  }

  /** What is known of this peer, also while it is away; undefined when it was never reached. */
  async recalled(): Promise<PeerMemory | undefined> {
    await (this.#remembered ??= this.#recall());
    return this.#memory;
  }

  get isConnected(): boolean {
    return this.#state === 'connected';
  }

  /** True while documents are on their way in either direction. */
  get documentsWait(): boolean {
    return (this.#session?.outstanding ?? 0) + (this.#session?.waiting ?? 0) > 0;
  }

  #ended(end: SessionEnd): void {
    if (this.#state === 'stopped') return;
    this.#problem = { code: errorCodeOf(end.code), message: closeInWords(end.code, end.reason) };
    if (isTerminal(end.code)) {
      this.#state = 'refused';
      this.#since = this.#options.clock.now();
      this.#options.log.warn('replication.refused', { url: this.url, code: end.code, reason: end.reason });
      this.#changed();
      return;
    }
    this.#wait();
  }

  #lost(error: Error): void {
    if (this.#state === 'stopped') return;
    const code = isFieldbookError(error) ? error.code : 'peer_unreachable';
    this.#problem = { code, message: error.message };
    this.#wait();
  }

  #wait(): void {
    if (this.#state === 'connected' || this.#since === null) this.#since = this.#options.clock.now();
    this.#state = 'waiting';
    const ms = backoffMs(this.#failures, this.#options.random.bytes(1)[0]! / 256);
    this.#failures += 1;
    this.#cancelWait = this.#options.timers.after(ms, () => this.#dial());
    this.#changed();
  }

  #changed(): void {
    for (const wake of this.#waiters) wake();
    this.#waiters.clear();
    this.#options.onChange?.();
  }
}

function refusalInWords(memory: PeerMemory | undefined): PeerStatus['problem'] {
  const there = memory?.refusedThere.entries().next().value;
  if (there !== undefined) {
    const [name, { code, reason }] = there;
    return { code, message: `The other side does not take ${name}: ${reason}` };
  }
  const here = memory?.refusedHere.entries().next().value;
  if (here === undefined) return null;
  const [name, { code, reason }] = here;
  return { code, message: `${name} of the other side is not taken in here: ${reason}` };
}
