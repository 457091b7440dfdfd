import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Log } from '@fieldbook/core';
import type { DeviceId } from '@fieldbook/core';
import { asFieldbookError, FieldbookError, LIMITS } from '@fieldbook/core';
import { reaches } from '@fieldbook/core/access';
import { CLOSE, clipReason, linkOverSocket } from '@fieldbook/core/links';
import type { ReplicationServer } from '@fieldbook/core/replication';
import { SUBPROTOCOL } from '@fieldbook/core/replication';
import type { RoomServer } from '@fieldbook/core/rooms';
import { ACK_SUBPROTOCOL, generationIn } from '@fieldbook/core/rooms';
import type { WebSocket } from 'ws';
import { WebSocketServer } from 'ws';
import type { AccessRules } from './http/access.ts';
import { admitSocket, auditRefusal, gateOf, offeredProtocols } from './http/access.ts';
import { splitUrl } from './http/binding.ts';
import { plainAddress } from './http/proxies.ts';
import type { RelayMetrics } from './metrics/metrics.ts';
import type { LogContext } from './platform/context.ts';
import { inContext, linkInContext } from './platform/context.ts';
import type { Token } from './tokens.ts';

export interface Sockets {
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, refused?: FieldbookError): void;
  /** Open connections by kind. */
  counts(): Readonly<Record<SocketKind, number>>;
  close(): Promise<void>;
}

/** What a connection is for. */
export type SocketKind = 'replication' | 'room';

export interface SocketOptions {
  rules: AccessRules;
  rooms: RoomServer;
  replication: ReplicationServer;
  metrics: RelayMetrics;
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
  const { rules, log, metrics } = options;
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: MESSAGE_BYTES,
    perMessageDeflate: false,
    handleProtocols: chooseProtocol,
  });
  const holders = new Map<WebSocket, Entry>();
  const answered = new WeakSet<WebSocket>();
  const kinds = new Map<WebSocket, SocketKind>();

  const accepted = (socket: WebSocket, request: IncomingMessage, access: Entry | FieldbookError): void => {
    socket.on('error', (error) => log.debug('socket.error', { error: error.message }));
    if (access instanceof FieldbookError) {
      const { address } = rules.proxies.caller(request);
      metrics.refused(access.code);
      log.info('socket.refused', { code: access.code, address });
      auditRefusal(rules, access, { address, path: splitUrl(request.url ?? '/').path });
      socket.close(closingCode(access), clipReason(access.message));
      // Whoever does not say goodbye is not waited for.
      setTimeout(() => socket.terminate(), GOODBYE_MS).unref();
      return;
    }
    const { session, left } = access;
    // As it is now: it may have ended, or become something else, since it was looked at.
    const token = rules.tokens.get(access.token.id);
    if (token === undefined || (session !== undefined && !rules.sessions.has(session))) {
      left();
      socket.close(CLOSE.unauthorized, token === undefined ? 'the token was revoked' : 'this browser was signed out');
      return;
    }
    holders.set(socket, { ...access, token });
    answered.add(socket);
    socket.on('pong', () => answered.add(socket));
    slowDown(
      socket,
      rules.limiter.connection(token.id),
      () => answered.add(socket),
      () => log.info('socket.slowed', { token: token.id }),
    );
    const context = { connection: randomUUID().slice(0, 8), token: token.id };
    const began = performance.now();
    const kind = route(options, socket, request, token, context);
    if (kind !== undefined) {
      kinds.set(socket, kind);
      metrics.accepted(kind);
      log.info('socket.opened', { ...context, kind, by: access.by, address: rules.proxies.caller(request).address });
    }
    socket.on('close', (code) => {
      holders.delete(socket);
      kinds.delete(socket);
      left();
      if (kind === undefined) return;
      metrics.closed(kind, code);
      log.info('socket.closed', { ...context, kind, close: code, ms: Math.round(performance.now() - began) });
    });
  };

  rules.tokens.onEnded(({ id }, why) => {
    log.info(`token.${why}`, { id });
    const reason = why === 'revoked' ? 'the token was revoked' : "the token's time is over";
    for (const [socket, { token }] of holders) if (token.id === id) socket.close(CLOSE.unauthorized, reason);
  });
  rules.tokens.onChanged(({ id }) => {
    for (const [socket, { token }] of holders)
      if (token.id === id) socket.close(CLOSE.tryAgainLater, 'what you may was changed; connect again');
  });
  rules.sessions.onEnded((ended) => {
    for (const [socket, { session }] of holders)
      if (session === ended) socket.close(CLOSE.unauthorized, 'this browser was signed out');
  });
  const pings = setInterval(() => {
    for (const socket of server.clients) {
      if (answered.delete(socket)) socket.ping();
      else socket.terminate();
    }
  }, PING_MS);

  return {
    upgrade: (request, socket, head, refused) => {
      // Asked before the upgrade: nothing that a socket sends is read until it is known whose it is.
      void (refused === undefined ? enter(rules, request, socket) : Promise.reject(refused))
        .catch((error: unknown) => asFieldbookError(error))
        .then((access) => {
          server.handleUpgrade(request, socket, head, (websocket) => accepted(websocket, request, access));
        });
    },
    counts: () => {
      const counts = { replication: 0, room: 0 };
      for (const kind of kinds.values()) counts[kind] += 1;
      return counts;
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

/** Who has come in, and what to call when the connection has ended. */
interface Entry {
  token: Token;
  /** Of the browser that opened it with a ticket. */
  session: string | undefined;
  by: string;
  left(): void;
}

async function enter(rules: AccessRules, request: IncomingMessage, socket: Duplex): Promise<Entry> {
  const { limiter, proxies } = rules;
  const caller = proxies.caller(request);
  limiter.upgrade(caller.address);
  const { token, session, by } = await admitSocket(rules, request.headers, caller);
  const leftToken = limiter.connect('token', token.id);
  // Connections of proxies are not counted, those behind them are.
  const isDirect = caller.address === plainAddress(request.socket.remoteAddress ?? '');
  let leftAddress: () => void = () => undefined;
  try {
    if (!isDirect) leftAddress = limiter.connect('address', caller.address);
  } catch (error) {
    leftToken();
    throw error;
  }
  const left = (): void => {
    leftToken();
    leftAddress();
  };
  // Also of a handshake that is never completed.
  socket.once('close', left);
  return { token, session, by, left };
}

/** Reads no further from a connection that sends too much at once, for as long as it takes. Nothing is lost by it. */
function slowDown(
  socket: WebSocket,
  connection: { received(bytes: number): number },
  lives: () => void,
  slowed: () => void,
): void {
  let resume: NodeJS.Timeout | undefined;
  socket.on('message', (data) => {
    lives();
    const wait = connection.received((data as { byteLength?: number }).byteLength ?? 0);
    if (wait === 0) return;
    socket.pause();
    if (resume === undefined) slowed();
    clearTimeout(resume);
    resume = setTimeout(() => {
      lives();
      socket.resume();
    }, wait);
  });
  socket.on('close', () => clearTimeout(resume));
}

function closingCode({ code, details }: FieldbookError): number {
  if (details['ticket'] === true) return CLOSE.staleTicket;
  if (code === 'unauthorized') return CLOSE.unauthorized;
  if (code === 'storage_failed' || code === 'disk_full') return CLOSE.storage;
  return code === 'rate_limited' ? CLOSE.limited : code === 'internal' ? CLOSE.internal : CLOSE.forbidden;
}

/** Hands a connection to what it is for; undefined, and closed, when that is nothing. */
function route(
  { rooms, replication, rules, log }: SocketOptions,
  socket: WebSocket,
  request: IncomingMessage,
  token: Token,
  context: LogContext,
): SocketKind | undefined {
  const { path, query } = splitUrl(request.url ?? '/');
  const gate = gateOf(rules, token);
  const onRefused = (document: string, { code, message }: FieldbookError): void =>
    rules.audit.refused('update.refused', { document, code, reason: message, token: token.id, name: token.name });
  // Whose runs are whose matters to nobody else.
  const onProven = (device: DeviceId): void => {
    if (token.role === 'contributor' && !rules.use.bind(token.id, device))
      log.warn('token.too_many_devices', { id: token.id });
  };
  if (path === '/api/v1/replicate') {
    const link = linkInContext(context, linkOverSocket(socket));
    // A rebuilt document is one that its records do not explain; of some projects nobody decides that.
    const rebuilds = reaches(token.role, 'admin') && !gate.isScoped;
    const from = { tokenId: token.id, rebuilds, onProven, onRefused };
    inContext(context, () => replication.accept(link, gate, from));
    return 'replication';
  }
  if (path.startsWith('/rooms/')) {
    const link = linkInContext(context, linkOverSocket(socket));
    inContext(context, () =>
      rooms.enter(link, {
        name: decode(path.slice('/rooms/'.length)),
        gate,
        onRefused,
        generation: generationIn(query),
        token: token.id,
        acks: offeredProtocols(request.headers).includes(ACK_SUBPROTOCOL),
      }),
    );
    return 'room';
  }
  socket.close(CLOSE.notFound, clipReason(`there is no socket at ${path}`));
  return undefined;
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
