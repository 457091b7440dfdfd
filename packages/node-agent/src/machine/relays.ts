import type { BlobDigest, BlobStore, DocumentName, Link, RunId } from '@fieldbook/core';
import { BANDWIDTH_MIN, FieldbookError, noteDocumentName, runDocumentName, WORKSPACE_DOCUMENT } from '@fieldbook/core';
import { INVITATION_PREFIX } from '@fieldbook/core/access';
import type { Elsewhere, FollowState, PeerState, SyncSource, SyncState } from '@fieldbook/core/api';
import type { BundleBase } from '@fieldbook/core/bundle';
import type { SocketLike } from '@fieldbook/core/links';
import { linkWhenOpen } from '@fieldbook/core/links';
import { Workspace } from '@fieldbook/core/documents';
import type { BlobArrival, BlobPeer, ReplicationServer, ReplicationSession } from '@fieldbook/core/replication';
import {
  arrivalFor,
  askWorkspace,
  fetchingBlobs,
  incomingAddress,
  incomingState,
  offerWorkspace,
  PeerExchange,
  PeerMemories,
  redeemInvitation,
  SUBPROTOCOL,
} from '@fieldbook/core/replication';
import type { Presence } from '@fieldbook/core/rooms';
import { VERSION } from '../version.ts';
import type { RelayConfig } from './config.ts';
import { changeConfig, checkRelayTokens, keepRelayToken, readConfig, readRelayTokens } from './config.ts';
import type { Following } from './following.ts';
import type { Machine } from './machine.ts';
import { clock, random, timers } from './ports.ts';
import { request } from './relay-http.ts';

interface Relay {
  paused: boolean;
  exchange: PeerExchange;
}

/** A join answers once the relay has let us in, or said why not. */
const JOIN_MS = 20_000;
const HANDSHAKE_MS = 15_000;
/** Who opens a run waits so long for it to come; it goes on coming after that. */
const BRING_MS = 10_000;
/** Commits come by the thousand; who looks at the exchange wants to know a few times a second. */
const TELL_MS = 300;
/** What was fetched within so long is offered on at once. */
const OFFER_MS = 1_000;
/** Runs that were opened last: what is fetched one by one is of one of them. */
const OPENED_MAX = 256;
/** One frame; a relay splits what is larger. */
const FRAME_BYTES = 32 * 1024 * 1024;

/** The replicas that this machine exchanges with: those that it dials, relays or other machines, and those that dial it. */
export class Relays implements SyncSource {
  readonly memories: PeerMemories;
  /** Who dialled this machine; set by the server that accepts them. */
  incoming: ReplicationServer | undefined;
  readonly #machine: Machine;
  readonly #presence: Presence;
  readonly #following: Following;
  readonly #relays = new Map<string, Relay>();
  readonly #listeners = new Set<() => void>();
  #started = false;
  #stopFollowing: (() => void) | undefined;
  #cancelTell: (() => void) | undefined;
  #cancelOffer: (() => void) | undefined;
  /** The last one last. */
  readonly #opened = new Set<DocumentName>();

  private constructor(machine: Machine, presence: Presence, following: Following) {
    this.#machine = machine;
    this.#presence = presence;
    this.#following = following;
    this.memories = new PeerMemories(machine.replica);
  }

  /** The configured relays, not yet connected. */
  static async open(machine: Machine, presence: Presence, following: Following): Promise<Relays> {
    const relays = new Relays(machine, presence, following);
    const tokens = await readRelayTokens(machine.home);
    for (const relay of machine.config.relays) relays.#add(relay, tokens[relay.url] ?? null);
    // What waits for a relay that is away or paused grows without a word from it.
    relays.#stopFollowing = machine.replica.onCommit(() => relays.#tellSoon());
    return relays;
  }

  /** Connects, and stays so. */
  start(): void {
    this.#started = true;
    for (const { exchange, paused } of this.#relays.values()) if (!paused) exchange.start();
  }

  async state(): Promise<SyncState> {
    const sessions = this.#connected();
    const names = sessions.length === 0 ? new Map<string, string>() : await this.#deviceNames();
    const peers = [
      ...(await Promise.all([...this.#relays.values()].map(({ exchange, paused }) => exchange.state(paused)))),
      ...sessions.map((session) => incomingState(session, names.get(session.hello!.device) ?? null)),
    ];
    // A session with a token that only reads is settled when it has read everything; what was made here is not there.
    const settled =
      [...this.#relays.values()].every(({ exchange }) => exchange.settled) &&
      sessions.every((session) => session.settled) &&
      peers.every(({ pendingDocuments }) => pendingDocuments === 0);
    return { lastSeq: this.#machine.replica.lastSeq, peers, settled };
  }

  async holders(document: DocumentName): Promise<readonly string[]> {
    const urls: string[] = [];
    for (const [url, { exchange }] of this.#relays) if (await exchange.client.holds(document)) urls.push(url);
    const seq = (await this.#machine.replica.info(document))?.seq;
    for (const session of this.#connected())
      if (seq !== undefined && session.memory!.holds(document, seq)) urls.push(incomingAddress(session));
    return urls;
  }

  async lacking(through: number, limit: number): Promise<ReadonlySet<DocumentName>> {
    let lacking: Set<DocumentName> | undefined;
    for (const { exchange } of this.#relays.values()) {
      const there = await exchange.client.lacking(through, limit);
      lacking = lacking === undefined ? there : new Set([...lacking].filter((name) => there.has(name)));
    }
    const all =
      lacking === undefined
        ? (await this.#machine.replica.changedSince(0, limit)).flatMap(({ name, seq }) => (seq <= through ? name : []))
        : [...lacking];
    const sessions = this.#connected();
    const nowhere = new Set<DocumentName>();
    for (const name of all) {
      const seq = sessions.length === 0 ? 0 : ((await this.#machine.replica.info(name))?.seq ?? 0);
      if (!sessions.some((session) => session.memory!.holds(name, seq))) nowhere.add(name);
    }
    return nowhere;
  }

  async fileHolders(digest: BlobDigest, document: DocumentName, sent: boolean): Promise<readonly string[]> {
    const info = await this.#machine.replica.info(document);
    const seq = info?.seq ?? Number.POSITIVE_INFINITY;
    return [...this.#relays]
      .filter(([, { exchange }]) => exchange.blobs.isThere(digest, document, seq, sent))
      .map(([url]) => url);
  }

  /** See `SyncSource.blobsComing`. */
  blobsComing(): BlobArrival {
    return arrivalFor(this.#machine.replica, () => [...this.#relays.values()].map(({ exchange }) => exchange));
  }

  /** See `SyncSource.blobsLacking`. */
  async blobsLacking(
    url: string,
    document: DocumentName,
    blobs: readonly { digest: BlobDigest; travels: boolean }[],
  ): Promise<ReadonlySet<BlobDigest> | undefined> {
    const relay = this.#relays.get(url);
    if (relay === undefined) return undefined;
    const seq = (await this.#machine.replica.info(document))?.seq ?? Number.POSITIVE_INFINITY;
    const { exchange } = relay;
    return new Set(
      blobs.flatMap(({ digest, travels }) =>
        exchange.blobs.isKnownThere(digest, document, seq, travels) ? [] : digest,
      ),
    );
  }

  async missingBlobs(digests: readonly BlobDigest[]): Promise<ReadonlySet<BlobDigest> | undefined> {
    if (this.#relays.size === 0) return new Set(digests);
    let missing: ReadonlySet<BlobDigest> | undefined;
    for (const { paused, exchange } of this.#relays.values()) {
      const { client, peer } = exchange;
      if (paused || !client.isConnected) continue;
      // A relay that goes away meanwhile says nothing; another may.
      missing = await peer.missing(missing === undefined ? digests : [...missing]).then(
        (absent) => new Set(absent),
        () => missing,
      );
      if (missing?.size === 0) break;
    }
    return missing;
  }

  /** See `SyncSource.known`. */
  async known(peer: string): Promise<BundleBase> {
    const joined = [...this.#relays].find(([url]) => url === peer || url === urlOrNull(peer))?.[1];
    const blobs = joined?.exchange.blobs;
    const memory =
      joined === undefined ? await this.memories.find(replicaIdOf(peer)) : await joined.exchange.client.recalled();
    return {
      of: { kind: 'peer', id: memory?.id ?? (joined === undefined ? replicaIdOf(peer) : peer) },
      holds: (name, seq) => memory?.holds(name, seq) === true,
      hasBlob: (digest, document, seq, travels) => blobs?.isKnownThere(digest, document, seq, travels) === true,
    };
  }

  /** The blobs of each joined relay, by url. */
  blobPeers(): ReadonlyMap<string, BlobPeer> {
    return new Map([...this.#relays].map(([url, { exchange }]) => [url, exchange.peer]));
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** See `ApiActions.join`. Nothing is kept unless the relay let us in. */
  async join(asked: { url: string; token: string | null; bytesPerS?: number | null }): Promise<PeerState> {
    const url = normalUrl(asked.url);
    const presented = asked.token ?? (await readRelayTokens(this.#machine.home))[url] ?? null;
    const token = presented?.startsWith(INVITATION_PREFIX) === true ? await this.#redeem(url, presented) : presented;
    const { membership } = this.#machine;
    const theirs = await askWorkspace(url, token, request);
    const ours = membership.info;
    // Whoever shares a workspace already gives it to the machine that shares none yet, whichever of them dialled.
    if (theirs.private && !ours.private && theirs.id !== ours.id) await offerWorkspace(url, token, ours, request);
    else await membership.adopt(theirs.id, theirs.name);
    await keepRelayToken(this.#machine.home, url, token);
    await this.#keepUrls((urls) => urls.add(url));
    if (asked.bytesPerS !== undefined) await this.#keepLimit(url, asked.bytesPerS);
    const configured = await this.#configured(url);
    await this.#remove(url);
    this.#started = true;
    const relay = this.#add(configured, token);
    return this.#whenConnected(relay).catch(async (error: unknown) => {
      await this.leave({ url });
      throw error;
    });
  }

  /** Kept at once: an invitation is good for one, and what goes wrong after this can be tried again without it. */
  async #redeem(url: string, secret: string): Promise<string> {
    await checkRelayTokens(this.#machine.home);
    const token = await redeemInvitation(url, secret, this.#machine.device.name, request);
    await keepRelayToken(this.#machine.home, url, token);
    return token;
  }

  /** See `ApiActions.pause`. */
  async pause({ url: asked, paused }: { url: string; paused: boolean }): Promise<PeerState> {
    const url = normalUrl(asked);
    const before = this.#relays.get(url);
    if (before === undefined) throw new FieldbookError('not_found', `${url} is not joined.`);
    if (before.paused !== paused) {
      await this.#configure(url, (relay) => {
        const { paused: _before, ...others } = relay;
        return { ...others, ...(paused && { paused }) };
      });
      const [configured, tokens] = [await this.#configured(url), await readRelayTokens(this.#machine.home)];
      // A client that was stopped stays so: another one goes on from what both sides have kept.
      await this.#remove(url);
      this.#add(configured, tokens[url] ?? null);
      this.#changed();
    }
    return this.#relays.get(url)!.exchange.state(paused);
  }

  /** See `ApiActions.limit`. */
  async limit({ url: asked, bytesPerS }: { url: string; bytesPerS: number | null }): Promise<PeerState> {
    const url = normalUrl(asked);
    const relay = this.#relays.get(url);
    if (relay === undefined) throw new FieldbookError('not_found', `${url} is not joined.`);
    await this.#keepLimit(url, bytesPerS);
    relay.exchange.limit = bytesPerS;
    this.#changed();
    return relay.exchange.state(relay.paused);
  }

  /** See `ApiActions.retry`. */
  async retry(): Promise<void> {
    for (const { exchange, paused } of this.#relays.values()) if (!paused) exchange.retry();
  }

  /** See `ApiActions.leave`. */
  async leave({ url: asked }: { url: string | null }): Promise<boolean> {
    const url = asked === null ? this.#only() : normalUrl(asked);
    if (url === null || !this.#relays.has(url)) return false;
    // What cannot be written down would be joined again at the next start; until it can, it is joined.
    await this.#keepUrls((urls) => urls.delete(url));
    await keepRelayToken(this.#machine.home, url, null);
    await this.#remove(url);
    this.#changed();
    return true;
  }

  /** See `FollowSource.bring`. */
  async bring(run: RunId): Promise<Elsewhere | null> {
    this.#open(runDocumentName(run));
    if (this.#following.isEverything) return null;
    this.#following.look(run);
    const { replica } = this.#machine;
    const document = runDocumentName(run);
    const deadline = clock.now() + BRING_MS;
    // A run of one's own is here; one that is followed comes by itself, and most of the time has.
    const names = [document, noteDocumentName(run)];
    for (;;) {
      const there = await this.#passedAt(names);
      if (there.length === 0) return null;
      const taken = Promise.all(names.map((name) => firstTrue(there.map(({ take }) => take(name)))));
      const [isHere] = await within(taken, deadline - clock.now(), [false]);
      if (isHere === true || (await replica.info(document)) !== undefined) return null;
      const peers = there.map(({ take: _take, isComing: _isComing, ...peer }) => peer);
      if (!this.#started || clock.now() >= deadline || !there.some(({ isComing }) => isComing))
        return peers.length === 0 ? null : { message: elsewhereInWords(run, peers), peers };
      await this.#nextChange(deadline - clock.now());
    }
  }

  /** Documents of each peer that were passed over and are not here. */
  async elsewhere(): Promise<FollowState['elsewhere']> {
    return Promise.all(
      [...this.#relays].map(async ([url, { exchange }]) => ({ url, documents: await exchange.client.countPassed() })),
    );
  }

  /** Peers that told of any of the documents, which were passed over. */
  async #passedAt(names: readonly DocumentName[]): Promise<Holder[]> {
    const holders: Holder[] = [];
    for (const { exchange, paused } of this.#relays.values()) {
      const { client } = exchange;
      const has = await Promise.all(names.map((name) => client.hasPassed(name)));
      if (!has.includes(true)) continue;
      const { url, connected, since, stopped } = await client.status();
      const { name } = await exchange.state(paused);
      // Before the first try has ended nobody can say that it is away.
      const isComing = connected || (!paused && !stopped && since === null);
      holders.push({ url, name, connected, since, isComing, take: (document) => client.take(document) });
    }
    for (const session of this.#connected()) {
      const { memory } = session;
      const passed = await Promise.all(names.map(async (name) => memory?.passed(name)));
      if (passed.every((each) => each === undefined)) continue;
      const { url, name, since } = incomingState(session, null);
      holders.push({ url, name, connected: true, since, isComing: true, take: (each) => session.take(each) });
    }
    return holders;
  }

  /** `blobs`, whose reads ask the relays for what is not here and keep it; the relays that lack it get it in turn. */
  fetching(blobs: BlobStore): BlobStore {
    const exchanges = (): PeerExchange[] => [...this.#relays.values()].map(({ exchange }) => exchange);
    return fetchingBlobs(blobs, exchanges, this.#machine.log, () => {
      if (this.#relays.size < 2) return;
      this.#cancelOffer ??= timers.after(OFFER_MS, () => {
        this.#cancelOffer = undefined;
        this.offer(this.#opened);
      });
    });
  }

  /** Blobs that these documents name have come from one relay: another may lack them. */
  offer(names: Iterable<DocumentName>): void {
    if (this.#relays.size < 2) return;
    for (const { exchange } of this.#relays.values()) exchange.blobs.recheck(names);
  }

  #open(name: DocumentName): void {
    this.#opened.delete(name);
    this.#opened.add(name);
    for (const oldest of this.#opened) {
      if (this.#opened.size <= OPENED_MAX) break;
      this.#opened.delete(oldest);
    }
  }

  /** A session with one that dialled us has begun, has ended, or has moved on. */
  incomingChanged(): void {
    this.#tellSoon();
  }

  async close(): Promise<void> {
    this.#stopFollowing?.();
    this.#cancelTell?.();
    this.#cancelOffer?.();
    await Promise.all([...this.#relays.keys()].map((url) => this.#remove(url)));
  }

  #add({ url, paused = false, limit }: RelayConfig, token: string | null): Relay {
    const { replica, membership, log, blobs, requested, config, device } = this.#machine;
    const exchange = new PeerExchange({
      url,
      token,
      replica,
      memories: this.memories,
      timers,
      clock,
      random,
      log,
      workspace: membership.view,
      program: `fieldbook/${VERSION}`,
      key: device,
      presence: this.#presence,
      follows: this.#following,
      dial: () => dial(url, token),
      blobs,
      request,
      requested,
      travel: config.files,
      limit: limit ?? null,
      onChange: () => this.#changed(),
    });
    const relay = { exchange, paused };
    this.#relays.set(url, relay);
    if (this.#started && !paused) exchange.start();
    return relay;
  }

  async #remove(url: string): Promise<void> {
    const relay = this.#relays.get(url);
    this.#relays.delete(url);
    await relay?.exchange.stop();
  }

  #connected(): ReplicationSession[] {
    return [...(this.incoming?.sessions ?? [])].filter((session) => session.connected);
  }

  async #deviceNames(): Promise<Map<string, string>> {
    const devices = await this.#machine.replica.read(WORKSPACE_DOCUMENT, (doc) => [...new Workspace(doc).devices()]);
    return new Map(devices.map(({ device, name }) => [device, name]));
  }

  async #whenConnected(relay: Relay): Promise<PeerState> {
    const deadline = clock.now() + JOIN_MS;
    for (;;) {
      const state = await relay.exchange.state(relay.paused);
      if (state.connected || clock.now() > deadline) return state;
      const { stopped, problem } = await relay.exchange.client.status();
      if (stopped && problem !== null) throw new FieldbookError(problem.code as 'unauthorized', problem.message);
      await this.#nextChange(deadline - clock.now());
    }
  }

  #nextChange(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        stop();
        cancel();
        resolve();
      };
      const stop = this.onChange(done);
      const cancel = timers.after(Math.max(0, ms), done);
    });
  }

  #only(): string | null {
    const urls = [...this.#relays.keys()];
    if (urls.length > 1)
      throw new FieldbookError('ambiguous', `Several relays are joined; say which: ${urls.join(', ')}.`);
    return urls[0] ?? null;
  }

  async #keepUrls(change: (urls: Set<string>) => void): Promise<void> {
    const { relays } = await readConfig(this.#machine.home);
    const urls = new Set(relays.map(({ url }) => url));
    change(urls);
    const before = new Map(relays.map((relay) => [relay.url, relay]));
    await changeConfig(this.#machine.home, { relays: [...urls].map((url) => before.get(url) ?? { url }) });
  }

  async #keepLimit(url: string, limit: number | null): Promise<void> {
    if (limit !== null && limit < BANDWIDTH_MIN)
      throw new FieldbookError('invalid_argument', `The least that can be set is ${BANDWIDTH_MIN / 1_000} kB/s.`);
    await this.#configure(url, (relay) => {
      const { limit: _before, ...others } = relay;
      return { ...others, ...(limit !== null && { limit }) };
    });
  }

  async #configured(url: string): Promise<RelayConfig> {
    return (await readConfig(this.#machine.home)).relays.find((relay) => relay.url === url) ?? { url };
  }

  async #configure(url: string, change: (relay: RelayConfig) => RelayConfig): Promise<void> {
    const { relays } = await readConfig(this.#machine.home);
    await changeConfig(this.#machine.home, {
      relays: relays.map((relay) => (relay.url === url ? change(relay) : relay)),
    });
  }

  #tellSoon(): void {
    if (this.#listeners.size === 0) return;
    this.#cancelTell ??= timers.after(TELL_MS, () => {
      this.#cancelTell = undefined;
      this.#changed();
    });
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

interface Holder {
  url: string;
  name: string | null;
  connected: boolean;
  since: number | null;
  /** Worth waiting for. */
  isComing: boolean;
  take(name: DocumentName): Promise<boolean>;
}

/** Resolves to true with the first that does, else to false with the last. */
async function firstTrue(promises: readonly Promise<boolean>[]): Promise<boolean> {
  return new Promise((resolve) => {
    for (const each of promises)
      each.then(
        (value) => {
          if (value) resolve(true);
        },
        () => undefined,
      );
    void Promise.allSettled(promises).then(() => resolve(false));
  });
}

/** What a promise resolves to, or something else after a while. */
function within<T>(promise: Promise<T>, ms: number, otherwise: T): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = timers.after(Math.max(0, ms), () => resolve(otherwise));
    promise.then(resolve, reject).finally(cancel);
  });
}

function elsewhereInWords(run: RunId, peers: Elsewhere['peers']): string {
  const where = peers.map(({ url, connected, since }) => {
    if (connected) return `${url}, which did not answer in time`;
    return since === null ? url : `${url}, which has not been connected since ${new Date(since).toISOString()}`;
  });
  return `What run ${run} recorded is not on this machine. It is at ${where.join(', and at ')}. "fieldbook pin ${run}" keeps it here once it has come.`;
}

/** One spelling for one relay, also for one written as `ws://` or `wss://`. Throws `invalid_argument`. */
export function normalUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text.replace(/^ws(s?):/i, 'http$1:'));
  } catch {
    throw new FieldbookError('invalid_argument', `${text.slice(0, 200)} is not an address.`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new FieldbookError('invalid_argument', 'A relay’s address starts with https:// or http://.');
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new FieldbookError(
      'invalid_argument',
      'A relay’s address has no user, query or fragment; the token is given apart.',
    );
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

function urlOrNull(text: string): string | null {
  try {
    return normalUrl(text);
  } catch {
    return null;
  }
}

/** Throws `not_found` for an address: only a joined one has a replica behind it. */
function replicaIdOf(peer: string): string {
  const id = peer.replace(/^replica:/, '');
  if (/^[0-9A-Za-z_-]{8,64}$/.test(id)) return id;
  throw new FieldbookError(
    'not_found',
    `${peer.slice(0, 200)} is not joined; name a joined relay, or a replica by its id.`,
  );
}

async function dial(url: string, token: string | null): Promise<Link> {
  const { WebSocket } = await import('ws');
  const address = `${url.replace(/^http/, 'ws')}/api/v1/replicate`;
  const socket = new WebSocket(address, [SUBPROTOCOL], {
    headers: token === null ? {} : { authorization: `Bearer ${token}` },
    handshakeTimeout: HANDSHAKE_MS,
    maxPayload: FRAME_BYTES,
    perMessageDeflate: false,
  });
  return linkWhenOpen(socket as unknown as SocketLike);
}
