import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Log } from '@fieldbook/core';
import { API_PREFIX, FieldbookError } from '@fieldbook/core';
import type { Access, Api, ApiResponse, Place } from '@fieldbook/core/api';
import { errorResponse, Room } from '@fieldbook/core/api';
import type { AccessRules } from './access.ts';
import { accessOf, checkHost, presentedToken } from './access.ts';
import { readRequest, splitUrl, turnAway, writeResponse } from './binding.ts';
import { timers } from '../machine/ports.ts';
import type { PeerTokens } from './peer-tokens.ts';
import type { StaticSite } from './static.ts';

export interface HttpOptions {
  api: Api;
  site: StaticSite;
  rules: AccessRules;
  peers: PeerTokens;
  log: Log;
  /** A checked WebSocket upgrade. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

/** Whose requests those of the machine's own person are. */
const OWNER = 'owner';
const HEADERS_MS = 10_000;
const HEADER_BYTES = 16 * 1024;
/** Browsers reuse connections; a little longer than the relay's proxies do. */
const KEEP_ALIVE_MS = 65_000;

/** What is held of bodies that are not taken in yet, and as much again of answers to other machines that they do not read. */
const UNDER_WAY = { perHolder: 128 * 1024 * 1024, inAll: 256 * 1024 * 1024 } as const;

interface Doors {
  /** Requests of other machines that are not answered yet, with the token that each showed. */
  holders: Map<ServerResponse, string>;
  bodies: Room;
  answers: Room;
}

/** The HTTP side of the agent, not yet listening. Access is checked here, once, for everything. */
export function createHttpServer(options: HttpOptions): Server {
  const holders = new Map<ServerResponse, string>();
  const doors = { holders, bodies: newRoom(), answers: newRoom() };
  options.peers.onRevoked((id) => {
    for (const [response, token] of holders) if (token === id) response.destroy();
  });
  const respondTo: RequestListener = (request, response) => {
    respond(options, doors, request, response).catch((error: unknown) => {
      options.log.warn('http.failed', { error: String(error) });
      response.destroy();
    });
  };
  const server = createServer(
    {
      // Bodies are bounded in time as they are read: a bundle of gigabytes may take as long as it goes on.
      requestTimeout: 0,
      headersTimeout: HEADERS_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: HEADER_BYTES,
    },
    respondTo,
  );
  // Whoever asks first is told to go on when it is known that the body will be read.
  server.on('checkContinue', respondTo);
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    try {
      checkHost(options.rules, request.headers);
    } catch {
      socket.end('HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
      return;
    }
    options.upgrade(request, socket, head);
  });
  server.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    else socket.destroy();
  });
  return server;
}

async function respond(
  options: HttpOptions,
  { holders, bodies, answers }: Doors,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { api, rules, site, peers } = options;
  const { path } = splitUrl(request.url ?? '/');
  const method = request.method ?? 'GET';
  response.setHeader('x-content-type-options', 'nosniff');
  try {
    if (path !== '/api' && !path.startsWith('/api/')) {
      checkHost(rules, request.headers);
      if (method !== 'GET' && method !== 'HEAD')
        throw new FieldbookError('method_not_allowed', 'Pages can only be read.');
      const answer = await site.respond(path, request.headers['if-none-match'], request.headers.host ?? '');
      return await writeResponse(response, answer, method === 'HEAD');
    }
    const token = presentedToken(request.headers);
    const peer = token === null ? undefined : await peers.find(token);
    const access = accessOf(rules, {
      method,
      path,
      headers: request.headers,
      remoteAddress: request.socket.remoteAddress ?? '',
      token,
      peer: peer !== undefined,
      upgrade: false,
    });
    if (peer !== undefined && !response.destroyed) {
      holders.set(response, peer.id);
      response.once('close', () => holders.delete(response));
    }
    if (!path.startsWith(`${API_PREFIX}/`)) throw new FieldbookError('not_found', `The API is at ${API_PREFIX}.`);
    response.setHeader('cross-origin-resource-policy', 'same-origin');
    const taken = bodies.place(peer?.id ?? OWNER);
    // Who sits at the machine may read as slowly as they like.
    const given = peer === undefined ? undefined : answers.place(peer.id);
    response.once('close', () => {
      taken.leave();
      given?.leave();
    });
    // Who has left by now says so no more.
    if (response.destroyed) given?.leave();
    const answer = await answerTo(api, access, { request, response, taken, given });
    return await writeResponse(response, answer, method === 'HEAD');
  } catch (error) {
    if (response.headersSent) throw error;
    // What is left of a refused body is not read, so the connection cannot be used again.
    const headers: Record<string, string> = request.complete ? {} : { connection: 'close' };
    return turnAway(request, response, errorResponse(error, headers), method === 'HEAD');
  }
}

/** Reads a request as far as it may be read, and has it answered. Of its body nothing is kept longer. */
async function answerTo(
  api: Api,
  access: Access,
  way: { request: IncomingMessage; response: ServerResponse; taken: Place; given: Place | undefined },
): Promise<ApiResponse> {
  const { request, response, taken, given } = way;
  const goOn = (): void => {
    if (request.headers.expect !== undefined) response.writeContinue();
  };
  try {
    const read = await readRequest(request, api, access, { place: taken, goOn });
    return await api.handle(given === undefined ? read : { ...read, hold: (bytes) => given.fit(bytes) });
  } finally {
    taken.leave();
  }
}

function newRoom(): Room {
  return new Room({
    ...UNDER_WAY,
    timers,
    refuse: () => {
      throw new FieldbookError('rate_limited', 'Too much is under way at a time; try again in 3 s.', {
        details: { retryAfter: 3 },
      });
    },
  });
}

/** Listens; resolves with the port. Throws `port_in_use`. */
export function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      server.off('listening', listening);
      if (error.code === 'EADDRINUSE')
        reject(new FieldbookError('port_in_use', `Port ${port} is taken.`, { details: { port } }));
      else if (error.code === 'EACCES')
        reject(new FieldbookError('port_in_use', `Port ${port} may not be used by this user.`, { details: { port } }));
      else
        reject(
          new FieldbookError('invalid_argument', `Cannot listen on ${host}:${port}: ${error.message}`, {
            cause: error,
          }),
        );
    };
    const listening = (): void => {
      server.off('error', failed);
      resolve((server.address() as AddressInfo).port);
    };
    server.once('error', failed);
    server.once('listening', listening);
    server.listen(port, host);
  });
}
