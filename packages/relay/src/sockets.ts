import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Log } from '@fieldbook/core';
import { asFieldbookError, FieldbookError, LIMITS } from '@fieldbook/core';
import { reaches } from '@fieldbook/core/access';
import { CLOSE, clipReason, linkOverSocket } from '@fieldbook/core/links';
import type { ReplicationServer } from '@fieldbook/core/replication';
import { SUBPROTOCOL } from '@fieldbook/core/replication';
import type { RoomServer } from '@fieldbook/core/rooms';
import { ACK_SUBPROTOCOL } from '@fieldbook/core/rooms';
import type { WebSocket } from 'ws';
import { WebSocketServer } from 'ws';
import type { AccessRules } from './http/access.ts';
import { auditRefusal, offeredProtocols, tokenOf } from './http/access.ts';
import { splitUrl } from './http/binding.ts';
import type { Token } from './tokens.ts';

export interface Sockets {
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  close(): Promise<void>;
}

export interface SocketOptions {
  rules: AccessRules;
  rooms: RoomServer;
  replication: ReplicationServer;
  log: Log;
}

/** The largest update and the frame around it. */
const MESSAGE_BYTES = LIMITS.updateBytes + 64 * 1024;
/** A socket that does not answer a ping until the next one is gone. */
const PING_MS = 25_000;
/** Connections get this long to say goodbye. */
const GOODBYE_MS = 1_000;

/**
 * WebSockets: rooms at `/rooms/<document>`, replication at `/api/v1/replicate`. A refusal is an accepted connection
 * that is closed with a 44xx code and a reason, because browsers hide the HTTP status of a refused upgrade.
 */
export function createSockets(options: SocketOptions): Sockets {
  const { rules, log } = options;
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: MESSAGE_BYTES,
    perMessageDeflate: false,
    handleProtocols: chooseProtocol,
  });
  const holders = new Map<WebSocket, Token>();
  const answered = new WeakSet<WebSocket>();

  const accepted = (socket: WebSocket, request: IncomingMessage, access: Token | FieldbookError): void => {
    socket.on('error', (error) => log.debug('socket.error', { error: error.message }));
    if (access instanceof FieldbookError) {
      const address = request.socket.remoteAddress;
      log.info('socket.refused', { code: access.code, address });
      auditRefusal(rules, access, { address, path: splitUrl(request.url ?? '/').path });
      socket.close(access.code === 'unauthorized' ? CLOSE.unauthorized : CLOSE.forbidden, clipReason(access.message));
      return;
    }
    holders.set(socket, access);
    answered.add(socket);
    socket.on('pong', () => answered.add(socket));
    socket.on('close', () => holders.delete(socket));
    route(options, socket, request, access);
  };

  rules.tokens.onEnded(({ id }, why) => {
    log.info(`token.${why}`, { id });
    const reason = why === 'revoked' ? 'the token was revoked' : "the token's time is over";
    for (const [socket, token] of holders) if (token.id === id) socket.close(CLOSE.unauthorized, reason);
  });
  const pings = setInterval(() => {
    for (const socket of server.clients) {
      if (answered.delete(socket)) socket.ping();
      else socket.terminate();
    }
  }, PING_MS);

  return {
    upgrade: (request, socket, head) => {
      // Asked before the upgrade: nothing that a socket sends is read until it is known whose it is.
      void tokenOf(rules, request.headers)
        .catch((error: unknown) => asFieldbookError(error))
        .then((access) =>
          server.handleUpgrade(request, socket, head, (websocket) => accepted(websocket, request, access)),
        );
    },
    close: async () => {
      clearInterval(pings);
      options.replication.close();
      options.rooms.close();
      await Promise.race([allClosed(server), new Promise((resolve) => setTimeout(resolve, GOODBYE_MS).unref())]);
      for (const socket of server.clients) socket.terminate();
      server.close();
    },
  };
}

function route({ rooms, replication }: SocketOptions, socket: WebSocket, request: IncomingMessage, token: Token): void {
  const { path } = splitUrl(request.url ?? '/');
  if (path === '/api/v1/replicate') {
    replication.accept(linkOverSocket(socket), reaches(token.role, 'member') ? 'member' : 'viewer');
    return;
  }
  if (path.startsWith('/rooms/')) {
    rooms.enter(linkOverSocket(socket), {
      name: decode(path.slice('/rooms/'.length)),
      mayWrite: reaches(token.role, 'member'),
      acks: offeredProtocols(request.headers).includes(ACK_SUBPROTOCOL),
    });
    return;
  }
  socket.close(CLOSE.notFound, clipReason(`there is no socket at ${path}`));
}

/** Never the token: what a server chooses is repeated in the answer. */
function chooseProtocol(offered: ReadonlySet<string>): string | false {
  return [SUBPROTOCOL, ACK_SUBPROTOCOL].find((protocol) => offered.has(protocol)) ?? false;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function allClosed(server: WebSocketServer): Promise<void> {
  await Promise.all([...server.clients].map((socket) => new Promise((resolve) => socket.once('close', resolve))));
}
