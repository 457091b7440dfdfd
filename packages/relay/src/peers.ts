import type { BlobStore, DocumentName, Log } from '@fieldbook/core';
import { asFieldbookError } from '@fieldbook/core';
import type { DeviceKey } from '@fieldbook/core/access';
import type { PeerState } from '@fieldbook/core/api';
import type { RequestedFiles } from '@fieldbook/core/files';
import type { SocketLike } from '@fieldbook/core/links';
import { linkWhenOpen } from '@fieldbook/core/links';
import type { Replica } from '@fieldbook/core/replica';
import type { BlobArrival, PeerMemories, Request } from '@fieldbook/core/replication';
import {
  arrivalFor,
  askWorkspace,
  backoffMs,
  BlobPull,
  fetchingBlobs,
  PeerExchange,
  SUBPROTOCOL,
} from '@fieldbook/core/replication';
import type { Presence } from '@fieldbook/core/rooms';
import { LIMITS } from '@fieldbook/core';
import { WebSocket } from 'ws';
import type { PeerList, RelayPeer } from './peer-list.ts';
import { followDirectory } from './platform/followed-directory.ts';
import { clock, random, timers } from './platform/ports.ts';
import { VERSION } from './version.ts';
import type { RelayWorkspace } from './workspace.ts';

export interface PeersOptions {
  list: PeerList;
  replica: Replica;
  memories: PeerMemories;
  blobs: BlobStore;
  requested: RequestedFiles;
  presence: Presence;
  workspace: RelayWorkspace;
  /** With which this relay proves its device to the others. */
  device: DeviceKey;
  log: Log;
  onChange(): void;
}

interface Peer {
  of: RelayPeer;
  exchange: PeerExchange;
  pull: BlobPull;
  /** Why the other relay was not let in yet; null once the exchange itself says how it is. */
  problem: PeerState['problem'];
  since: number;
  failures: number;
  cancel: (() => void) | undefined;
  removed: boolean;
}

const HANDSHAKE_MS = 15_000;
const TIMEOUT_MS = 80_000;
const FRAME_BYTES = LIMITS.updateBytes + 64 * 1024;

/** `fetch`, bounded, and never led elsewhere by a redirect, which could carry the token along. */
const request: Request = async (url, init) =>
  fetch(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) });

/**
 * The relays that this one dials. It is to each of them what an agent is, and fetches the blobs that they have besides: two relays
 * that exchange are two copies. One that serves another workspace is asked again, ever more rarely, and told why it is refused.
 */
export class Peers {
  readonly #options: PeersOptions;
  readonly #peers = new Map<string, Peer>();
  #unfollow: (() => void) | undefined;
  #again = false;
  #looking: Promise<void> | undefined;
  #stopped = false;

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** Follows the list of peers until `close`. */
  start(): void {
    const look = (): void => {
      this.#again = true;
      this.#looking ??= this.#lookWhileAsked().finally(() => {
        this.#looking = undefined;
      });
    };
    look();
    this.#unfollow ??= followDirectory(
      this.#options.list.directory,
      async () => look(),
      () => undefined,
    );
  }

  async states(): Promise<PeerState[]> {
    return Promise.all(
      [...this.#peers.values()].map(async ({ exchange, problem, since }) => {
        const state = await exchange.state();
        return problem === null ? state : { ...state, problem, since };
      }),
    );
  }

  get settled(): boolean {
    return [...this.#peers.values()].every(({ exchange, pull }) => exchange.settled && pull.waiting === 0);
  }

  async holders(document: Parameters<PeerExchange['client']['holds']>[0]): Promise<string[]> {
    const urls: string[] = [];
    for (const [url, { exchange }] of this.#peers) if (await exchange.client.holds(document)) urls.push(url);
    return urls;
  }

  /** See `SyncSource.blobsComing`. */
  blobsComing(): BlobArrival {
    return arrivalFor(this.#options.replica, () => [...this.#peers.values()].map(({ exchange }) => exchange));
  }

  /** Blobs that were here are gone: the peers may have them. */
  fetchLost(): void {
    for (const { pull } of this.#peers.values()) pull.rescan();
  }

  /** `blobs`, whose reads ask the peers for what is not here and keep it. */
  fetching(blobs: BlobStore): BlobStore {
    return fetchingBlobs(blobs, () => [...this.#peers.values()].map(({ exchange }) => exchange), this.#options.log);
  }

  async close(): Promise<void> {
    this.#stopped = true;
    this.#unfollow?.();
    await this.#looking;
    await Promise.all([...this.#peers.keys()].map((url) => this.#remove(url)));
  }

  /** What changes while it is looked is looked at again. */
  async #lookWhileAsked(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      await this.#look().catch((error: unknown) =>
        this.#options.log.warn('peers.unreadable', { error: String(error) }),
      );
    }
  }

  async #look(): Promise<void> {
    const listed = new Map((await this.#options.list.list()).map((peer) => [peer.url, peer]));
    for (const [url, { of }] of this.#peers) if (listed.get(url)?.token !== of.token) await this.#remove(url);
    for (const [url, peer] of listed) if (!this.#peers.has(url) && !this.#stopped) this.#add(peer);
  }

  #add(of: RelayPeer): void {
    const { replica, memories, presence, workspace, device, log, blobs, requested, onChange } = this.#options;
    const { url, token } = of;
    const exchange = new PeerExchange({
      url,
      token,
      replica,
      memories,
      timers,
      clock,
      random,
      log,
      workspace,
      program: `fieldbook-relay/${VERSION}`,
      key: device,
      presence,
      dial: () => dial(url, token),
      blobs,
      request,
      requested,
      onChange,
    });
    const fetch = exchange.blobs.fetch.bind(exchange.blobs);
    const onFetched = (name: DocumentName): void => {
      for (const other of this.#peers.values()) if (other.exchange !== exchange) other.exchange.blobs.recheck([name]);
    };
    const pull = new BlobPull({ replica, blobs, fetch, requested, onFetched, timers, log });
    const peer: Peer = {
      of,
      exchange,
      pull,
      problem: null,
      since: clock.now(),
      failures: 0,
      cancel: undefined,
      removed: false,
    };
    this.#peers.set(url, peer);
    log.info('peer.added', { url });
    void this.#greet(peer);
  }

  /** The exchange begins once both are in one workspace. */
  async #greet(peer: Peer): Promise<void> {
    const { workspace, log, onChange } = this.#options;
    const { url, token } = peer.of;
    try {
      const { id } = await askWorkspace(url, token, request);
      if (peer.removed) return;
      if (id !== workspace.id) {
        await workspace.adopt(id);
        log.info('workspace.adopted', { id, from: url });
      }
      peer.problem = null;
      peer.exchange.start();
      peer.pull.start();
    } catch (thrown) {
      if (peer.removed) return;
      const { code, message } = asFieldbookError(thrown, 'peer_unreachable');
      if (peer.problem?.code !== code) log.warn('peer.refused', { url, code, message });
      peer.problem = { code, message };
      const ms = backoffMs(peer.failures, random.bytes(1)[0]! / 256);
      peer.failures += 1;
      peer.cancel = timers.after(ms, () => void this.#greet(peer));
    }
    onChange();
  }

  async #remove(url: string): Promise<void> {
    const peer = this.#peers.get(url);
    if (peer === undefined) return;
    this.#peers.delete(url);
    peer.removed = true;
    peer.cancel?.();
    await Promise.all([peer.exchange.stop(), peer.pull.stop()]);
    this.#options.log.info('peer.removed', { url });
    this.#options.onChange();
  }
}

function dial(url: string, token: string): ReturnType<typeof linkWhenOpen> {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/api/v1/replicate`, [SUBPROTOCOL], {
    headers: { authorization: `Bearer ${token}` },
    handshakeTimeout: HANDSHAKE_MS,
    maxPayload: FRAME_BYTES,
    perMessageDeflate: false,
  });
  return linkWhenOpen(socket as unknown as SocketLike);
}
