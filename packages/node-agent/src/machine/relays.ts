import type { BlobDigest, BlobStore, DocumentName, Link } from '@fieldbook/core';
import { FieldbookError, isFieldbookError } from '@fieldbook/core';
import type { PeerState, SyncSource, SyncState } from '@fieldbook/core/api';
import type { SocketLike } from '@fieldbook/core/links';
import { linkWhenOpen } from '@fieldbook/core/links';
import type { BlobPeer } from '@fieldbook/core/replication';
import { blobPeerOverHttp, BlobSync, PeerMemories, ReplicationClient, SUBPROTOCOL } from '@fieldbook/core/replication';
import type { Presence } from '@fieldbook/core/rooms';
import { VERSION } from '../version.ts';
import { changeConfig, keepRelayToken, readConfig, readRelayTokens } from './config.ts';
import type { Machine } from './machine.ts';
import { clock, random, timers } from './ports.ts';
import { askWorkspace, request } from './relay-http.ts';

interface Relay {
  paused: boolean;
  traffic: Traffic;
  client: ReplicationClient;
  blobs: BlobSync;
  peer: BlobPeer;
}

/** A join answers once the relay has let us in, or said why not. */
const JOIN_MS = 20_000;
const HANDSHAKE_MS = 15_000;
/** Commits come by the thousand; who looks at the exchange wants to know a few times a second. */
const TELL_MS = 300;
/** One frame; a relay splits what is larger. */
const FRAME_BYTES = 32 * 1024 * 1024;

/** The relays that this machine exchanges with. */
export class Relays implements SyncSource {
  readonly memories: PeerMemories;
  readonly #machine: Machine;
  readonly #presence: Presence;
  readonly #relays = new Map<string, Relay>();
  readonly #listeners = new Set<() => void>();
  #started = false;
  #stopFollowing: (() => void) | undefined;
  #cancelTell: (() => void) | undefined;

  private constructor(machine: Machine, presence: Presence) {
    this.#machine = machine;
    this.#presence = presence;
    this.memories = new PeerMemories(machine.replica);
  }

  /** The configured relays, not yet connected. */
  static async open(machine: Machine, presence: Presence): Promise<Relays> {
    const relays = new Relays(machine, presence);
    const tokens = await readRelayTokens(machine.home);
    for (const { url, paused } of machine.config.relays) relays.#add(url, tokens[url] ?? null, paused === true);
    // What waits for a relay that is away or paused grows without a word from it.
    relays.#stopFollowing = machine.replica.onCommit(() => relays.#tellSoon());
    return relays;
  }

  /** Connects, and stays so. */
  start(): void {
    this.#started = true;
    for (const relay of this.#relays.values()) if (!relay.paused) startBoth(relay);
  }

  async state(): Promise<SyncState> {
    const peers = await Promise.all([...this.#relays.values()].map((relay) => this.#peerState(relay)));
    // A session with a token that only reads is settled when it has read everything; what was made here is not there.
    const settled =
      [...this.#relays.values()].every(({ client, blobs }) => client.settled && blobs.status().settled) &&
      peers.every(({ pendingDocuments }) => pendingDocuments === 0);
    return { lastSeq: this.#machine.replica.lastSeq, peers, settled };
  }

  async holders(document: DocumentName): Promise<readonly string[]> {
    const urls: string[] = [];
    for (const [url, { client }] of this.#relays) if (await client.holds(document)) urls.push(url);
    return urls;
  }

  async lacking(through: number, limit: number): Promise<ReadonlySet<DocumentName>> {
    let lacking: Set<DocumentName> | undefined;
    for (const { client } of this.#relays.values()) {
      const there = await client.lacking(through, limit);
      lacking = lacking === undefined ? there : new Set([...lacking].filter((name) => there.has(name)));
    }
    if (lacking !== undefined) return lacking;
    const all = await this.#machine.replica.changedSince(0, limit);
    return new Set(all.flatMap(({ name, seq }) => (seq <= through ? name : [])));
  }

  async fileHolders(digest: BlobDigest, document: DocumentName, sent: boolean): Promise<readonly string[]> {
    const info = await this.#machine.replica.info(document);
    const seq = info?.seq ?? Number.POSITIVE_INFINITY;
    return [...this.#relays].filter(([, { blobs }]) => blobs.isThere(digest, seq, sent)).map(([url]) => url);
  }

  async missingBlobs(digests: readonly BlobDigest[]): Promise<ReadonlySet<BlobDigest> | undefined> {
    if (this.#relays.size === 0) return new Set(digests);
    let missing: ReadonlySet<BlobDigest> | undefined;
    for (const { paused, client, peer } of this.#relays.values()) {
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

  /** The blobs of each joined relay, by url. */
  blobPeers(): ReadonlyMap<string, BlobPeer> {
    return new Map([...this.#relays].map(([url, { peer }]) => [url, peer]));
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** See `ApiActions.join`. Nothing is kept unless the relay let us in. */
  async join(asked: { url: string; token: string | null }): Promise<PeerState> {
    const url = normalUrl(asked.url);
    const token = asked.token ?? (await readRelayTokens(this.#machine.home))[url] ?? null;
    const workspace = await askWorkspace(url, token);
    await this.#machine.membership.adopt(workspace.id, workspace.name);
    await keepRelayToken(this.#machine.home, url, token);
    await this.#keepUrls((urls) => urls.add(url));
    await this.#remove(url);
    this.#started = true;
    const relay = this.#add(url, token);
    return this.#whenConnected(relay).catch(async (error: unknown) => {
      await this.leave({ url });
      throw error;
    });
  }

  /** See `ApiActions.pause`. */
  async pause({ url: asked, paused }: { url: string; paused: boolean }): Promise<PeerState> {
    const url = normalUrl(asked);
    const before = this.#relays.get(url);
    if (before === undefined) throw new FieldbookError('not_found', `${url} is not joined.`);
    if (before.paused !== paused) {
      const relays = (await readConfig(this.#machine.home)).relays;
      await changeConfig(this.#machine.home, {
        relays: relays.map((relay) => (relay.url === url ? { url, ...(paused && { paused }) } : relay)),
      });
      // A client that was stopped stays so: another one goes on from what both sides have kept.
      await this.#remove(url);
      this.#add(url, (await readRelayTokens(this.#machine.home))[url] ?? null, paused);
      this.#changed();
    }
    return this.#peerState(this.#relays.get(url)!);
  }

  /** See `ApiActions.retry`. */
  async retry(): Promise<void> {
    for (const { client, blobs, paused } of this.#relays.values()) {
      if (paused) continue;
      client.retry();
      blobs.retry();
    }
  }

  /** See `ApiActions.leave`. */
  async leave({ url: asked }: { url: string | null }): Promise<boolean> {
    const url = asked === null ? this.#only() : normalUrl(asked);
    if (url === null || !this.#relays.has(url)) return false;
    await this.#remove(url);
    await this.#keepUrls((urls) => urls.delete(url));
    await keepRelayToken(this.#machine.home, url, null);
    this.#changed();
    return true;
  }

  /** `blobs`, whose reads ask the relays for what is not here and keep it. */
  fetching(blobs: BlobStore): BlobStore {
    const read: BlobStore['read'] = async (digest, range) => {
      // What the disk has changed is as good as absent: another replica may have it whole, and fetching it heals it.
      let damage: unknown;
      const here = await blobs.read(digest, range).catch((error: unknown) => {
        if (!isFieldbookError(error, 'blob_corrupt')) throw error;
        damage = error;
        return undefined;
      });
      if (here !== undefined) return here;
      for (const relay of this.#relays.values()) {
        try {
          if ((await relay.blobs.fetch(digest)) !== undefined) return await blobs.read(digest, range);
        } catch (error) {
          // Offline is normal: the reader says where the bytes are.
          this.#machine.log.info('blob.fetch_failed', { url: relay.client.url, digest, error: String(error) });
        }
      }
      if (damage !== undefined) throw damage;
      return undefined;
    };
    return {
      read,
      stat: (digest) => blobs.stat(digest),
      write: (bytes, expected) => blobs.write(bytes, expected),
      remove: (digest) => blobs.remove(digest),
      removal: () => blobs.removal(),
      keep: (digest) => blobs.keep(digest),
      list: (options) => blobs.list(options),
    };
  }

  async close(): Promise<void> {
    this.#stopFollowing?.();
    this.#cancelTell?.();
    await Promise.all([...this.#relays.keys()].map((url) => this.#remove(url)));
  }

  #add(url: string, token: string | null, paused = false): Relay {
    const traffic: Traffic = { sent: 0, received: 0 };
    const { replica, membership, log } = this.#machine;
    const client = new ReplicationClient({
      url,
      replica,
      memories: this.memories,
      timers,
      clock,
      random,
      log,
      workspace: membership.view,
      program: `fieldbook/${VERSION}`,
      presence: this.#presence,
      dial: async () => counted(await dial(url, token), traffic),
      onChange: () => this.#changed(),
    });
    const peer = blobPeerOverHttp({ url, token, request });
    const blobs = new BlobSync({
      replica,
      blobs: this.#machine.blobs,
      peer,
      timers,
      random,
      log,
      requested: this.#machine.requested,
      travel: this.#machine.config.files,
      onChange: () => this.#changed(),
    });
    const relay = { client, blobs, peer, paused, traffic };
    this.#relays.set(url, relay);
    if (this.#started && !paused) startBoth(relay);
    return relay;
  }

  async #remove(url: string): Promise<void> {
    const relay = this.#relays.get(url);
    this.#relays.delete(url);
    await Promise.all([relay?.client.stop(), relay?.blobs.stop()]);
  }

  async #peerState({ client, blobs, paused, traffic }: Relay): Promise<PeerState> {
    const { url, connected, since, problem, readOnly, pushedThrough, pulledThrough, toPush, toPull } =
      await client.status();
    const upload = blobs.status();
    const stays = readOnly && toPush > 0 ? ONLY_READS : null;
    return {
      url,
      name: this.#machine.membership.info.name,
      connected,
      since,
      problem: paused ? null : (problem ?? stays ?? upload.problem),
      pushedThrough,
      pulledThrough,
      pendingDocuments: toPush + toPull,
      pendingBlobs: upload.pending,
      pendingBytes: upload.pendingBytes,
      sentBytes: traffic.sent + upload.sentBytes,
      receivedBytes: traffic.received + blobs.receivedBytes,
      paused,
    };
  }

  async #whenConnected(relay: Relay): Promise<PeerState> {
    const deadline = clock.now() + JOIN_MS;
    for (;;) {
      const state = await this.#peerState(relay);
      if (state.connected || clock.now() > deadline) return state;
      const { stopped, problem } = await relay.client.status();
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

const ONLY_READS = {
  code: 'forbidden',
  message: 'The token only reads: what is made on this machine stays on it. Join again with the token of a member.',
};

/** Bytes of frames since this program began. */
interface Traffic {
  sent: number;
  received: number;
}

/** The same link, counting what goes over it. */
function counted(link: Link, traffic: Traffic): Link {
  return {
    send: (message) => {
      traffic.sent += message.length;
      link.send(message);
    },
    close: (code, reason) => link.close(code, reason),
    buffered: () => link.buffered(),
    get onMessage() {
      return link.onMessage;
    },
    set onMessage(listener) {
      link.onMessage =
        listener === null
          ? null
          : (message) => {
              traffic.received += message.length;
              listener(message);
            };
    },
    get onClose() {
      return link.onClose;
    },
    set onClose(listener) {
      link.onClose = listener;
    },
  };
}

function startBoth({ client, blobs }: Relay): void {
  client.start();
  blobs.start();
}

/** One spelling for one relay. Throws `invalid_argument`. */
export function normalUrl(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
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
