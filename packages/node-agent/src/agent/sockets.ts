import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ErrorCode, Log } from '@fieldbook/core';
import { API_PREFIX, asFieldbookError } from '@fieldbook/core';
import { Gate } from '@fieldbook/core/access';
import type { SocketLike } from '@fieldbook/core/links';
import { CLOSE, clipReason, linkOverSocket } from '@fieldbook/core/links';
import { ReplicationServer, SUBPROTOCOL } from '@fieldbook/core/replication';
import { ACK_SUBPROTOCOL, RoomServer, generationIn } from '@fieldbook/core/rooms';
import type { WebSocket } from 'ws';
import { WebSocketServer } from 'ws';
import { runOf } from '../machine/following.ts';
import type { Machine } from '../machine/machine.ts';
import { clock, random, timers } from '../machine/ports.ts';
import type { Services } from '../machine/services.ts';
import { VERSION } from '../version.ts';
import type { AccessRules } from './access.ts';
import { accessOf, presentedToken } from './access.ts';
import { splitUrl } from './binding.ts';
import type { PeerTokens } from './peer-tokens.ts';

export interface Sockets {
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  close(): Promise<void>;
}

/** The largest message that anybody sends; the replica refuses updates long before this. */
const FRAME_BYTES = 32 * 1024 * 1024;
/** Whoever shows the agent's token is its owner. */
const OWNER = Gate.open('admin');
const PEER = Gate.open('member');
/** Closed sockets get this long to say goodbye. */
const GOODBYE_MS = 1_000;
const ROOMS = '/rooms/';

/**
 * WebSocket upgrades: rooms and replication. A refusal is an accepted connection that is closed with a 44xx code and a
 * reason, because browsers hide the HTTP status of a refused upgrade from the page.
 */
export function createSockets(options: {
  rules: AccessRules;
  peers: PeerTokens;
  machine: Machine;
  services: Services;
  log: Log;
}): Sockets {
  const { machine, services, log, rules, peers } = options;
  const { replica, membership } = machine;
  const { presence } = services;
  const rooms = new RoomServer({ replica, timers, presence, log });
  const replication = new ReplicationServer({
    replica,
    memories: services.relays.memories,
    clock,
    timers,
    log,
    presence,
    follows: services.following,
    workspace: membership.view,
    program: `fieldbook/${VERSION}`,
    key: machine.device,
    random,
    onChange: () => services.relays.incomingChanged(),
  });
  services.relays.incoming = replication;
  /** Open connections of other machines, with the token that each showed. */
  const holders = new Map<WebSocket, string>();
  peers.onRevoked((id) => {
    log.info('peer.revoked', { id });
    for (const [socket, token] of holders) if (token === id) socket.close(CLOSE.unauthorized, 'the token was revoked');
  });
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: FRAME_BYTES,
    perMessageDeflate: false,
    handleProtocols: chooseProtocol,
  });

  const accept = async (request: IncomingMessage, websocket: WebSocket): Promise<void> => {
    const { path, query } = splitUrl(request.url ?? '/');
    const token = presentedToken(request.headers);
    const peer = token === null ? undefined : await peers.find(token);
    accessOf(rules, {
      method: 'GET',
      path,
      headers: request.headers,
      remoteAddress: request.socket.remoteAddress ?? '',
      token,
      peer: peer !== undefined,
      upgrade: true,
    });
    if (peer !== undefined) {
      holders.set(websocket, peer.id);
      websocket.once('close', () => holders.delete(websocket));
    }
    const link = linkOverSocket(websocket as unknown as SocketLike);
    if (path === `${API_PREFIX}/replicate`) {
      // Somebody shares this workspace now: its id must not be exchanged for a relay's any more.
      await membership.adopt(membership.info.id, membership.info.name);
      // Who has the agent's own token may do everything; a link to another machine is for exchanging only.
      replication.accept(link, peer === undefined ? OWNER : PEER, {
        rebuilds: peer === undefined,
        tokenId: peer?.id ?? null,
      });
    } else if (path.startsWith(ROOMS)) {
      const name = decodeURIComponent(path.slice(ROOMS.length));
      const run = runOf(name);
      if (run !== undefined) websocket.once('close', services.following.hold(run));
      rooms.enter(link, {
        name,
        gate: OWNER,
        generation: generationIn(query),
        acks: websocket.protocol === ACK_SUBPROTOCOL,
      });
    } else {
      link.close(CLOSE.notFound, `There is no socket at ${path}.`);
    }
  };

  return {
    upgrade: (request, socket, head) => {
      server.handleUpgrade(request, socket, head, (websocket) => {
        websocket.on('error', (error) => log.debug('socket.error', { error: error.message }));
        accept(request, websocket).catch((error: unknown) => {
          const { code, message } = asFieldbookError(error);
          websocket.close(closingCode(code), clipReason(message));
        });
      });
    },
    close: async () => {
      rooms.close();
      replication.close();
      server.close();
      await Promise.race([
        Promise.all([...server.clients].map((client) => new Promise((resolve) => client.once('close', resolve)))),
        new Promise((resolve) => setTimeout(resolve, GOODBYE_MS)),
      ]);
      for (const client of server.clients) client.terminate();
    },
  };
}

/** Trouble of this machine is worth another try. */
function closingCode(code: ErrorCode): number {
  if (code === 'unauthorized') return CLOSE.unauthorized;
  return code === 'storage_failed' || code === 'disk_full' ? CLOSE.storage : CLOSE.forbidden;
}

/** The better of what both speak; never a token, which a server must not repeat. */
function chooseProtocol(offered: ReadonlySet<string>): string | false {
  return [ACK_SUBPROTOCOL, SUBPROTOCOL].find((protocol) => offered.has(protocol)) ?? false;
}
