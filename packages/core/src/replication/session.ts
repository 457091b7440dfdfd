import type { DeviceKey } from '../access/device-key.ts';
import { isSignedBy, proofText } from '../access/device-key.ts';
import type { Gate } from '../access/gate.ts';
import { asFieldbookError, FieldbookError } from '../errors.ts';
import type { DeviceId, DocumentName } from '../ids.ts';
import { CLOSE } from '../links/index.ts';
import type { Clock, Link, Log, Random, Timers } from '../ports.ts';
import type { Replica } from '../replica/replica.ts';
import type { CommitSource } from '../store/index.ts';
import type { Presence } from '../rooms/presence.ts';
import type { Bandwidth } from './bandwidth.ts';
import { Channels } from './channels.ts';
import type { Follows } from './follows.ts';
import { Inbox, STAGED_BYTES_MAX } from './inbox.ts';
import type { Half } from './outbox.ts';
import { Outbox } from './outbox.ts';
import type { PeerMemories } from './peer-memories.ts';
import type { PeerMemory } from './peer-memory.ts';
import type { Frame, Hello } from './protocol.ts';
import { UnreadFrames } from './unread-frames.ts';
import { decodeFrame, encodeFrame, NONCE_BYTES, commonVersion, PROTOCOL_VERSIONS } from './protocol.ts';

export interface SessionOptions {
  replica: Replica;
  memories: PeerMemories;
  link: Link;
  timers: Timers;
  clock: Clock;
  log: Log;
  workspace: { id: string; name: string | null };
  /** `fieldbook/0.1.0` */
  program: string;
  /** Versions of the protocol that this side speaks; all that it knows without. */
  versions?: readonly number[];
  /** What the other side may do here; null on the side that dialled, which lets the one it chose do everything. */
  grants: Gate | null;
  /**
   * True while nothing can be stored here: then this side gives, takes nothing, and says why. Looked at when both sides have
   * greeted; whoever sees room again closes the session (`ReplicationServer.takeAgain`), and the next one takes.
   */
  isFull?(): boolean;
  /** How often this side has found that it lost blobs; without, the other side is told nothing of that. */
  losses?(): number;
  /** The other side may replace documents by ones that were rebuilt. Without: when we dialled it. */
  rebuilds?: boolean;
  /** Bytes of parts of whole documents that wait here for the rest, but for one document; 64 MiB without. */
  stagedBytes?: number;
  /** What this side takes of what the other has; everything without. */
  follows?: Follows;
  /** The id of the token that the other side showed, for the log of commits; null when we dialled it. Never a token itself. */
  tokenId?: string | null;
  /** With which this side proves its device, and fresh nonces for the other's proof; without them nobody proves anything. */
  key?: DeviceKey | undefined;
  random?: Random | undefined;
  /** Limits of what is sent to the other side and of what is asked of it. */
  bandwidth?: { up: Bandwidth; down: Bandwidth };
  /** Live values that nobody stores; joined with the rooms of this program. */
  presence?: Presence;
  /** Status has changed. */
  onChange?(): void;
  /** The other side proved to be this device: before anything that it sends is taken in. */
  onProven?(device: DeviceId): void;
  /** How often the other side has found that it lost blobs: at the beginning, and when it finds more. */
  onLosses?(losses: number): void;
  /** An update of the other side was refused. */
  onRefused?(name: DocumentName, error: FieldbookError): void;
}

/** How a session ended. */
export interface SessionEnd {
  code: number;
  reason: string;
  /** True when the other side closed, or the network did. */
  remote: boolean;
}

/** Silence after which we ask whether the other side is there … */
const PING_AFTER_MS = 15_000;
/** … and after which it is not. Shorter than the 60 s that proxies give an idle connection. */
const SILENT_AFTER_MS = 45_000;
const HELLO_WITHIN_MS = 15_000;
const EPHEMERAL_BUFFERED_MAX = 1024 * 1024;
const EPHEMERAL_AGAIN_MS = 250;
const PONG_BUFFERED_MAX = 64 * 1024;
/** 4 MiB, a part in each of three answers, which may hold one large change each, and what is small. */
const UNREAD_BYTES_MAX = 64 * 1024 * 1024;
/** Some 400 bytes each. Of 8 MiB of the smallest changes there are 32,768, with their channels three times as many. */
const UNREAD_FRAMES_MAX = 131_072;
/** What comes before our RESUME waits in memory. */
const EARLY_FRAMES_MAX = 64;
const EARLY_BYTES_MAX = 8 * 1024 * 1024;

/** `isSure`: the other side has proved its device, or will not. */
interface Remembering {
  at: 'remembering';
  hello: Hello;
  early: Frame[];
  isSure: boolean;
}

type State =
  | { at: 'greeting' }
  | Remembering
  | { at: 'exchanging'; hello: Hello; memory: PeerMemory; inbox: Inbox; outbox: Outbox }
  | { at: 'closed'; end: SessionEnd };

/**
 * One connection between two replicas, the same on both sides: greet, say how far each holds the other's feed, then
 * give (outbox) and take (inbox) until somebody closes. It holds nothing that a cut could lose: whatever matters is in
 * the two stores and in the peer's memory.
 */
export class ReplicationSession {
  /** Resolves when the session is over. */
  readonly ended: Promise<SessionEnd>;
  readonly #options: SessionOptions;
  readonly #channels: Channels;
  readonly #cancels = new Set<() => void>();
  readonly #stops: (() => void)[] = [];
  #state: State = { at: 'greeting' };
  #resolveEnded!: (end: SessionEnd) => void;
  #heard = true;
  #silentMs = 0;
  #since: number | null = null;
  readonly #began: number;
  #clockAheadMs: number | null = null;
  #version: number | undefined;
  #full = false;
  #saidFull = false;
  #proven: DeviceId | null = null;
  #earlyBytes = 0;
  readonly #unread = new UnreadFrames();
  readonly #nonce: Uint8Array | undefined;
  /** Kept in memory while this session uses it. */
  #used: PeerMemory | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    // Who proves nothing asks for no proof: else each of two such sides would wait for the other's.
    if (options.key !== undefined) this.#nonce = options.random?.bytes(NONCE_BYTES);
    this.#channels = new Channels((frame) => this.#send(frame));
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    const { link, replica, presence } = options;
    // Before anything is read: a commit that happens during the greeting must not be missed.
    this.#stops.push(
      replica.onCommit((commit) => {
        if (this.#state.at === 'exchanging') this.#state.outbox.committed(commit);
      }),
    );
    if (presence !== undefined) {
      this.#stops.push(
        presence.subscribe((name, bytes, origin) => {
          // Said again in a moment: what a slow link cannot take now is not worth keeping for it.
          const congested = link.buffered() > EPHEMERAL_BUFFERED_MAX;
          if (origin !== this && this.#state.at === 'exchanging' && !congested && this.#reads(name))
            this.#send({ kind: 'ephemeral', name, bytes });
        }),
      );
    }
    this.#began = options.clock.now();
    link.onClose = (code, reason) => this.#end({ code, reason, remote: true });
    // A link hands over what came early at once, and the greeting goes before every answer.
    this.#send({ kind: 'hello', hello: this.#hello() });
    link.onMessage = (message) => this.#receive(message);
    this.#after(HELLO_WITHIN_MS, () => {
      const state = this.#state;
      if (state.at === 'greeting' || (state.at === 'remembering' && !state.isSure))
        this.close(CLOSE.silent, 'no greeting');
    });
    this.#watch();
  }

  get #versions(): readonly number[] {
    return this.#options.versions ?? PROTOCOL_VERSIONS;
  }

  /** The version that both sides speak from their greetings on; undefined before. */
  get version(): number | undefined {
    return this.#version;
  }

  /** Who the other side is, once it has said so. */
  get hello(): Hello | undefined {
    return this.#state.at === 'exchanging' || this.#state.at === 'remembering' ? this.#state.hello : undefined;
  }

  /** What the log of commits says of what comes over this connection. */
  get source(): CommitSource {
    const { hello } = this;
    return {
      via: 'replication',
      device: hello?.device ?? null,
      replica: hello?.replica ?? null,
      token: this.#options.tokenId ?? null,
    };
  }

  /** The device that the other side has proved to be; null while it has not, which older programs never do. */
  get proven(): DeviceId | null {
    return this.#proven;
  }

  get memory(): PeerMemory | undefined {
    return this.#state.at === 'exchanging' ? this.#state.memory : undefined;
  }

  get connected(): boolean {
    return this.#state.at === 'exchanging';
  }

  /** ms since the epoch when both sides had greeted; null before. */
  get since(): number | null {
    return this.#since;
  }

  /**
   * How far the other side's wall clock is ahead of ours, ms, negative when it is behind; null when it did not say. Off by no
   * more than the way there and back: fine for telling people, too coarse for ordering anything.
   */
  get clockAheadMs(): number | null {
    return this.#clockAheadMs;
  }

  /** Documents here that the other side was told of and has not acknowledged. */
  get outstanding(): number {
    return this.#state.at === 'exchanging' ? this.#state.outbox.outstanding : 0;
  }

  /** True when the other side takes nothing from us. */
  get readOnly(): boolean {
    return this.hello?.role === 'viewer';
  }

  /** Everything of each side is durable at the other, as far as both know now. */
  get settled(): boolean {
    const state = this.#state;
    if (state.at !== 'exchanging') return false;
    return !this.#full && (!this.#takes || state.inbox.settled) && (this.readOnly || state.outbox.settled);
  }

  /** This side takes nothing for want of room. */
  get full(): boolean {
    return this.#full;
  }

  /** Documents that the other side listed and that are not here yet. */
  get waiting(): number {
    return this.#state.at === 'exchanging' ? this.#state.inbox.waiting : 0;
  }

  /** See `Inbox.take`. */
  async take(name: DocumentName): Promise<boolean> {
    return this.#state.at === 'exchanging' && this.#takes && !this.#full && (await this.#state.inbox.take(name));
  }

  /** Says to the other side how often this one has lost blobs; before both have greeted it is said then. */
  tellLosses(): void {
    const losses = this.#options.losses?.();
    if (this.#state.at === 'exchanging' && losses !== undefined) this.#send({ kind: 'losses', losses });
  }

  close(code: number, reason: string): void {
    if (this.#state.at === 'closed') return;
    this.#options.link.close(code, reason);
    this.#end({ code, reason, remote: false });
  }

  // --- receiving

  #receive(message: Uint8Array): void {
    this.#heard = true;
    if (this.#state.at === 'closed') return;
    try {
      const frame = decodeFrame(message);
      if (frame !== undefined) this.#handle(frame, message.length);
    } catch (error) {
      this.#fail(error);
    }
  }

  #handle(frame: Frame, bytes: number): void {
    const state = this.#state;
    if (frame.kind === 'ping') {
      this.#send({ kind: 'pong', nonce: frame.nonce });
      return;
    }
    switch (state.at) {
      case 'greeting':
        if (frame.kind !== 'hello') throw violation(`${frame.kind} before the greeting`);
        this.#greeted(frame.hello);
        return;
      case 'remembering':
        this.#earlyBytes += bytes;
        if (frame.kind === 'proof' && !state.isSure) this.#proved(frame.publicKey, frame.signature);
        // Live values are said again.
        else if (frame.kind !== 'ephemeral' || this.#earlyBytes <= EARLY_BYTES_MAX / 2) state.early.push(frame);
        else this.#earlyBytes -= bytes;
        if (state.early.length > EARLY_FRAMES_MAX || this.#earlyBytes > EARLY_BYTES_MAX)
          throw violation('too much before the answer to the greeting');
        // Whoever proves its device does so before anything else.
        if (frame.kind !== 'pong') this.#recall(state);
        return;
      case 'exchanging':
        this.#exchange(frame, state);
        return;
      case 'closed':
        return;
    }
  }

  #greeted(hello: Hello): void {
    const { replica, workspace, clock } = this.#options;
    if (hello.time !== undefined) {
      const now = clock.now();
      // Half of the way there and back has passed since it was said. Our own clock may have been set meanwhile.
      const away = Math.min(HELLO_WITHIN_MS, Math.max(0, now - this.#began));
      this.#clockAheadMs = Math.round(hello.time + away / 2 - now);
    }
    this.#version = commonVersion(this.#versions, hello.versions);
    if (this.#version === undefined) {
      const [ours, theirs] = [this.#versions, hello.versions].map((versions) => versions.join(', '));
      this.close(CLOSE.version, `this side speaks version ${ours}, the other ${theirs}`);
      return;
    }
    if (hello.workspace !== workspace.id) {
      this.close(CLOSE.workspaceMismatch, `this side belongs to workspace ${workspace.id}`);
      return;
    }
    if (hello.replica === replica.id) {
      this.close(CLOSE.workspaceMismatch, 'this is the same replica: one store, or a copy of it');
      return;
    }
    const state: Remembering = { at: 'remembering', hello, early: [], isSure: false };
    this.#state = state;
    this.#prove(hello);
    if (this.#nonce === undefined || hello.nonce === undefined) this.#recall(state);
  }

  /** A replica id is only said; what is remembered under it is of the device that proved itself, or of nobody's. */
  #recall(state: Remembering): void {
    if (state.isSure) return;
    state.isSure = true;
    const { memories, grants, tokenId, clock } = this.#options;
    const met = { from: grants === null ? null : (tokenId ?? ''), at: clock.now() };
    memories
      .of(state.hello.replica, this.#proven, met)
      .then(async (memory) => {
        this.#used = memory;
        await grants?.ready();
        if (this.#state.at === 'closed') this.#letGo();
        else this.#remembered(memory);
      })
      // What came early is handled in there, and may be anything.
      .catch((error: unknown) => this.#fail(error));
  }

  #letGo(): void {
    if (this.#used !== undefined) this.#options.memories.leave(this.#used);
    this.#used = undefined;
  }

  #remembered(memory: PeerMemory): void {
    const before = this.#state;
    if (before.at !== 'remembering') return;
    const { grants, replica } = this.#options;
    memory.rewind();
    const half: Half = {
      replica,
      memory,
      log: this.#options.log,
      rebuilds: this.#options.rebuilds ?? this.#options.grants === null,
      channels: this.#channels,
      follows: this.#options.follows,
      stagedBytes: this.#options.stagedBytes ?? STAGED_BYTES_MAX,
      origin: this,
      send: (frame) => this.#send(frame),
      buffered: () => this.#options.link.buffered(),
      waitMs: (direction) => this.#options.bandwidth?.[direction].waitMs ?? 0,
      after: (ms, run) => this.#after(ms, run),
      changed: () => this.#options.onChange?.(),
      fail: (error) => this.#fail(error),
      reads: (name) => (grants === null ? true : grants.reads(name)),
      apply: (name, update, generation) =>
        grants === null
          ? replica.apply(name, update, this, generation)
          : grants.apply(replica, name, update, this, generation),
      checkAdopt: (name) => grants?.checkAdopt(name),
      adopt: async (name, state) => {
        grants?.checkAdopt(name);
        return replica.adopt(name, state);
      },
      onRefused: (name, error) => this.#options.onRefused?.(name, error),
    };
    const state = {
      at: 'exchanging',
      hello: before.hello,
      memory,
      inbox: new Inbox(half),
      outbox: new Outbox(half),
    } as const;
    this.#state = state;
    this.#since = this.#options.clock.now();
    this.#full = this.#takes && (this.#options.isFull?.() ?? false);
    this.#send({ kind: 'resume', seq: memory.pulled, ...(memory.hasPassed && { partial: true }) });
    this.tellLosses();
    this.#sayWhoSpeaks(this.#options.presence?.snapshot());
    if (this.#takes && !this.#full) state.inbox.start();
    this.#options.onChange?.();
    for (const frame of before.early) {
      if (this.#state === state) this.#handle(frame, 0);
    }
  }

  /** What is said already, as fast as the link takes it. */
  #sayWhoSpeaks(said: Iterator<{ name: DocumentName; bytes: Uint8Array }> | undefined): void {
    if (said === undefined) return;
    while (this.#options.link.buffered() <= EPHEMERAL_BUFFERED_MAX) {
      const next = said.next();
      if (next.done === true || this.#state.at !== 'exchanging') return;
      const { name, bytes } = next.value;
      if (this.#reads(name)) this.#send({ kind: 'ephemeral', name, bytes });
    }
    this.#after(EPHEMERAL_AGAIN_MS, () => this.#sayWhoSpeaks(said));
  }

  #exchange(frame: Frame, { inbox, outbox, memory }: Extract<State, { at: 'exchanging' }>): void {
    switch (frame.kind) {
      case 'resume':
        this.#resume(frame, memory, outbox);
        return;
      case 'feed': {
        const first = frame.entries[0];
        if (this.#full) this.#refuseFull(first?.name, first?.seq);
        else if (this.#takes) inbox.listed(frame.entries, frame.through, frame.more);
        else if (first !== undefined) this.#refuseWrite(first.name, first.seq);
        return;
      }
      case 'open':
        this.#channels.opened(frame.channel, { name: frame.name, generation: frame.generation });
        return;
      case 'close':
        this.#channels.closed(frame.channel);
        return;
      case 'sync': {
        const channel = this.#channels.theirs(frame.channel);
        const { message } = frame;
        if (message.type === 'step1') outbox.asked({ ...channel, stateVector: message.stateVector });
        else if (this.#full) this.#refuseFull(channel.name, frame.seq);
        else if (this.#takes) inbox.content(channel, frame.channel, frame.seq, message.type, message.update);
        else this.#refuseWrite(channel.name, frame.seq);
        return;
      }
      case 'ack':
        outbox.acked(frame.channel, frame.seq);
        return;
      case 'refuse':
        if (frame.seq === 0) inbox.unanswered(frame.name, frame.code, frame.reason);
        else outbox.refused(frame.name, frame.seq, frame.code, frame.reason);
        return;
      case 'cursor':
        outbox.reached(frame.seq, frame.partial);
        return;
      case 'ephemeral':
        if (this.#takes && this.#reads(frame.name)) this.#options.presence?.receive(frame.name, frame.bytes, this);
        return;
      case 'proof':
        // Too late to be of use to anybody; who asked for none may get one all the same.
        if (this.#nonce !== undefined) throw violation('a proof behind other frames');
        return;
      case 'losses':
        this.#options.onLosses?.(frame.losses);
        return;
      case 'pong':
      case 'ping':
        return;
      case 'hello':
        throw violation('a second greeting');
    }
  }

  #resume({ seq, partial }: { seq: number; partial?: true }, memory: PeerMemory, outbox: Outbox): void {
    const { replica, log } = this.#options;
    const start = (from: number): void => {
      memory.resumed(from, partial);
      if (!this.readOnly) outbox.start(from);
    };
    if (seq <= replica.lastSeq || !this.#takes) {
      // A viewer's word is not enough to renew this replica for.
      start(seq <= replica.lastSeq ? seq : 0);
      return;
    }
    // They hold more of our feed than there is: this store was put back to an earlier state and nobody noticed.
    log.warn('replication.peer_ahead', { peer: memory.id, theirs: seq, ours: replica.lastSeq });
    replica.noteFeedSeen(seq).then(
      (renewed) => {
        if (renewed)
          this.close(CLOSE.internal, 'this store was restored from an earlier state; it comes back under a new id');
        else if (this.#state.at !== 'closed') start(0);
      },
      (error: unknown) => this.#fail(error),
    );
  }

  /** Whether the other side may change anything here. */
  get #takes(): boolean {
    return this.#options.grants?.writes !== false;
  }

  #reads(name: DocumentName): boolean {
    const { grants } = this.#options;
    if (grants?.isScoped !== true) return true;
    try {
      return grants.reads(name) === true;
    } catch {
      // A name of a newer version.
      return false;
    }
  }

  // --- proving

  /** Before anything else is sent: whatever this side may do as its device, it may from its first document on. */
  #prove(theirs: Hello): void {
    const { key, workspace, replica } = this.#options;
    if (key === undefined || this.#nonce === undefined || theirs.nonce === undefined) return;
    const prover = { replica: replica.id, nonce: this.#nonce };
    const verifier = { replica: theirs.replica, nonce: theirs.nonce };
    const signature = key.sign(proofText({ workspace: workspace.id, prover, verifier }));
    this.#send({ kind: 'proof', publicKey: key.publicKey, signature });
  }

  #proved(publicKey: Uint8Array, signature: Uint8Array): void {
    const theirs = this.hello!;
    const { workspace, replica, log, onProven } = this.#options;
    if (this.#nonce === undefined || theirs.nonce === undefined || this.#proven !== null) return;
    const prover = { replica: theirs.replica, nonce: theirs.nonce };
    const verifier = { replica: replica.id, nonce: this.#nonce };
    const text = proofText({ workspace: workspace.id, prover, verifier });
    if (!isSignedBy(theirs.device, publicKey, text, signature)) {
      log.warn('replication.proof_failed', { peer: theirs.replica, device: theirs.device });
      throw violation('a proof that is not one of the device in the greeting');
    }
    this.#proven = theirs.device as DeviceId;
    onProven?.(this.#proven);
  }

  #refuseWrite(name: DocumentName, seq: number): void {
    const reason = 'This token may only read; ask for one of a member.';
    this.#options.onRefused?.(name, new FieldbookError('forbidden', reason));
    this.#send({ kind: 'refuse', name, seq: Math.max(1, seq), code: 'forbidden', reason });
  }

  /** Said once, of whatever comes first: what is not acknowledged stays with the other side anyhow. */
  #refuseFull(name: DocumentName | undefined, seq = 1): void {
    if (name === undefined || this.#saidFull) return;
    this.#saidFull = true;
    const reason = 'The disk is full: nothing is stored until somebody makes room. Reading goes on.';
    this.#send({ kind: 'refuse', name, seq: Math.max(1, seq), code: 'disk_full', reason });
  }

  // --- sending, waiting, ending

  #hello(): Hello {
    const { replica, workspace, program, grants, clock } = this.#options;
    return {
      versions: this.#versions,
      replica: replica.id,
      device: replica.device,
      workspace: workspace.id,
      workspaceName: workspace.name,
      program,
      role: grants?.role ?? null,
      time: clock.now(),
      ...(this.#nonce === undefined ? {} : { nonce: this.#nonce }),
    };
  }

  #send(frame: Frame): void {
    const { link } = this.#options;
    if (this.#state.at === 'closed') return;
    const buffered = link.buffered();
    // What waits shows as well that we are there.
    if (frame.kind === 'pong' && buffered > PONG_BUFFERED_MAX) return;
    const bytes = encodeFrame(frame);
    // What can wait does so long before: this is somebody who makes us answer and does not read.
    if (this.#unread.sent(bytes.length, buffered) > UNREAD_FRAMES_MAX || buffered > UNREAD_BYTES_MAX)
      this.close(CLOSE.slow, 'what this side says is not read');
    else link.send(bytes);
  }

  #after(ms: number, run: () => void): void {
    const cancel = this.#options.timers.after(ms, () => {
      this.#cancels.delete(cancel);
      if (this.#state.at !== 'closed') run();
    });
    this.#cancels.add(cancel);
  }

  /** A connection whose other end is gone without a word shows itself only by silence. */
  #watch(): void {
    this.#after(PING_AFTER_MS, () => {
      this.#silentMs = this.#heard ? 0 : this.#silentMs + PING_AFTER_MS;
      if (this.#silentMs >= SILENT_AFTER_MS) {
        this.close(CLOSE.silent, `nothing heard for ${this.#silentMs / 1000} s`);
        return;
      }
      if (!this.#heard) this.#send({ kind: 'ping', nonce: this.#silentMs });
      this.#heard = false;
      this.#watch();
    });
  }

  #fail(thrown: unknown): void {
    if (this.#state.at === 'closed') return;
    const error = asFieldbookError(thrown);
    this.#options.log.warn('replication.failed', { peer: this.hello?.replica, code: error.code, error: error.message });
    if (error.code === 'protocol_violation') this.close(CLOSE.badData, error.message);
    else if (error.code === 'disk_full' || error.code === 'storage_failed') this.close(CLOSE.storage, error.message);
    else if (error.code === 'store_closed') this.close(CLOSE.goingAway, 'shutting down');
    else this.close(CLOSE.internal, 'internal error');
  }

  #end(end: SessionEnd): void {
    const before = this.#state;
    if (before.at === 'closed') return;
    if (before.at === 'exchanging') {
      before.inbox.stop();
      before.outbox.stop();
    }
    this.#state = { at: 'closed', end };
    for (const stop of this.#stops) stop();
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
    this.#letGo();
    this.#options.presence?.gone(this);
    this.#options.onChange?.();
    this.#resolveEnded(end);
  }
}

function violation(what: string): FieldbookError {
  return new FieldbookError('protocol_violation', `Unexpected: ${what}.`);
}
