import { sha256 } from '@noble/hashes/sha2.js';
import type { PeerState } from '../api/index.ts';
import type { RequestedFiles, TravelRule } from '../files/index.ts';
import { isFieldbookError } from '../errors.ts';
import { base32, utf8 } from '../ids.ts';
import type { BlobStore, Link, Log } from '../ports.ts';
import type { BlobPeer, Request } from './blob-peer.ts';
import { blobPeerOverHttp } from './blob-peer.ts';
import { Bandwidth } from './bandwidth.ts';
import { BlobSync } from './blob-sync.ts';
import type { ClientOptions } from './client.ts';
import { ReplicationClient } from './client.ts';
import type { ReplicationSession } from './session.ts';

export interface PeerExchangeOptions extends ClientOptions {
  /** Presented to the peer in headers, never in an address; null where none is needed. */
  token: string | null;
  blobs: BlobStore;
  /** HTTP to the peer, bounded in time and never led elsewhere by a redirect. */
  request: Request;
  requested: RequestedFiles;
  travel?: readonly TravelRule[];
  /** Bytes per second in each direction, documents and blobs together; null or absent for as much as there is. */
  limit?: number | null;
}

/** Bytes of frames since this program began. */
interface Traffic {
  sent: number;
  received: number;
}

const ONLY_READS = {
  code: 'forbidden',
  message: 'The token only reads: what is made on this machine stays on it. Join again with the token of a member.',
};

/** Everything that a replica exchanges with one other that it dials: document frames, and blobs beside them. */
export class PeerExchange {
  readonly url: string;
  readonly client: ReplicationClient;
  readonly blobs: BlobSync;
  /** The blobs that lie at the peer. */
  readonly peer: BlobPeer;
  readonly #traffic: Traffic = { sent: 0, received: 0 };
  readonly #bandwidth: { up: Bandwidth; down: Bandwidth };
  readonly #name: () => string | null;

  constructor(options: PeerExchangeOptions) {
    const { url, token, replica, timers, random, log, workspace, request, requested, travel, onChange } = options;
    this.url = url;
    this.#name = () => workspace.name;
    const { clock, limit = null } = options;
    this.#bandwidth = { up: new Bandwidth({ clock, timers, limit }), down: new Bandwidth({ clock, timers, limit }) };
    this.client = new ReplicationClient({
      ...options,
      bandwidth: this.#bandwidth,
      onLosses: (losses) => this.blobs.hearLosses(losses),
      dial: async () => counted(await options.dial(), this.#traffic, this.#bandwidth),
    });
    this.peer = blobPeerOverHttp({ url, token, request, bandwidth: this.#bandwidth });
    this.blobs = new BlobSync({
      replica,
      blobs: options.blobs,
      peer: this.peer,
      memories: { of: (id) => this.client.memoryOf(id) },
      clock,
      timers,
      random,
      log,
      requested,
      documentsWait: () => this.client.documentsWait,
      ...(travel !== undefined && { travel }),
      ...(onChange !== undefined && { onChange }),
    });
  }

  start(): void {
    this.client.start();
    this.blobs.start();
  }

  /** Tries again now, whatever was said before. */
  retry(): void {
    this.client.retry();
    this.blobs.retry();
  }

  async stop(): Promise<void> {
    await Promise.all([this.client.stop(), this.blobs.stop()]);
  }

  /** Bytes per second in each direction; null for as much as there is. */
  get limit(): number | null {
    return this.#bandwidth.up.limit;
  }

  /** Holds at once, for what is under way too. */
  set limit(limit: number | null) {
    this.#bandwidth.up.limit = this.#bandwidth.down.limit = limit;
  }

  get settled(): boolean {
    return this.client.settled && this.blobs.status().settled;
  }

  /** As a person should see it. */
  async state(paused = false): Promise<PeerState> {
    const status = await this.client.status();
    const { url, connected, since, problem, readOnly, pushedThrough, pulledThrough, toPush, toPull } = status;
    const upload = this.blobs.status();
    const stays = readOnly && toPush > 0 ? ONLY_READS : null;
    return {
      url,
      name: this.#name(),
      connected,
      since,
      problem: paused ? null : (problem ?? stays ?? upload.problem),
      pushedThrough,
      pulledThrough,
      pendingDocuments: toPush + toPull,
      pendingBlobs: upload.pending,
      pendingBytes: upload.pendingBytes,
      sentBytes: this.#traffic.sent + upload.sentBytes,
      receivedBytes: this.#traffic.received + this.blobs.receivedBytes,
      paused,
      limitBytesPerS: this.limit,
      incoming: false,
      clockAheadMs: status.clockAheadMs,
    };
  }
}

/**
 * A replica that dialled us, as a person should see it; `session` must be connected. `name`: what its machine is called here. `url`:
 * see `hiddenAddress`.
 */
export function incomingState(
  session: ReplicationSession,
  name: string | null,
  url: string = incomingAddress(session),
): PeerState {
  const memory = session.memory!;
  const refused = [...memory.refusedHere, ...memory.refusedThere][0];
  return {
    url,
    name: name ?? session.proven ?? `${session.hello!.device} (unproven)`,
    connected: true,
    since: session.since,
    problem: refused === undefined ? null : { code: refused[1].code, message: `${refused[0]}: ${refused[1].reason}` },
    pushedThrough: memory.pushed,
    pulledThrough: memory.pulled,
    pendingDocuments: session.waiting + session.outstanding,
    pendingBlobs: 0,
    pendingBytes: 0,
    sentBytes: null,
    receivedBytes: null,
    paused: false,
    limitBytesPerS: null,
    incoming: true,
    clockAheadMs: session.clockAheadMs,
  };
}

/** Who dialled us has no address that we could dial: `replica:<id>`. */
export function incomingAddress(session: ReplicationSession): string {
  return `replica:${session.hello!.replica}`;
}

/** As `incomingAddress`, for those who have no business with the replica: the same for each connection of it, and not its id. */
export function hiddenAddress(session: ReplicationSession): string {
  const hash = sha256(utf8(`fieldbook replica address 1\n${session.memory!.key}`));
  return `replica:${base32(hash.subarray(0, 10))}`;
}

/** `blobs`, whose reads ask those peers in turn for what is not here, and keep it. `onFetched`: one has come so. */
export function fetchingBlobs(
  blobs: BlobStore,
  peers: () => Iterable<PeerExchange>,
  log: Log,
  onFetched?: () => void,
): BlobStore {
  const read: BlobStore['read'] = async (digest, range) => {
    // What the disk has changed is as good as absent: another replica may have it whole, and fetching it heals it.
    let damage: unknown;
    const here = await blobs.read(digest, range).catch((error: unknown) => {
      if (!isFieldbookError(error, 'blob_corrupt')) throw error;
      damage = error;
      return undefined;
    });
    if (here !== undefined) return here;
    for (const peer of peers()) {
      try {
        if ((await peer.blobs.fetch(digest)) === undefined) continue;
        onFetched?.();
        return await blobs.read(digest, range);
      } catch (error) {
        // Offline is normal: the reader says where the bytes are.
        log.info('blob.fetch_failed', { url: peer.url, digest, error: String(error) });
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

/** The same link, counting what goes over it. */
function counted(link: Link, traffic: Traffic, { up, down }: { up: Bandwidth; down: Bandwidth }): Link {
  return {
    send: (message) => {
      traffic.sent += message.length;
      up.charge(message.length);
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
              down.charge(message.length);
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
