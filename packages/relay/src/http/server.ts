import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Log } from '@fieldbook/core';
import { FieldbookError } from '@fieldbook/core';
import { reaches } from '@fieldbook/core/access';
import type { Api, ApiResponse } from '@fieldbook/core/api';
import { API_PREFIX, errorResponse, json } from '@fieldbook/core/api';
import type { AccessRules } from './access.ts';
import type { Token } from '../tokens.ts';
import { auditRefusal, checkHost, tokenOf } from './access.ts';
import { readRequest, splitUrl, writeResponse } from './binding.ts';
import type { StaticSite } from './static.ts';

export interface HttpOptions {
  api: Api;
  site: StaticSite;
  rules: AccessRules;
  log: Log;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

/** Headers never take long; bodies are bounded in time as they are read. */
const HEADERS_MS = 10_000;
const HEADER_BYTES = 16 * 1024;
/** Longer than common proxies keep their side open, so that it is they who close. */
const KEEP_ALIVE_MS = 75_000;
/** Open requests get this long to end before their connections are cut. */
const DRAIN_MS = 3_000;

/** The HTTP side of the relay, not yet listening. The API needs a token; the UI's files and `/healthz` do not. */
export function createHttpServer(options: HttpOptions): Server {
  const limits = {
    requestTimeout: 0,
    headersTimeout: HEADERS_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: HEADER_BYTES,
  };
  const server = createServer(limits, (request, response) => {
    respond(options, request, response).catch((error: unknown) => {
      options.log.warn('http.failed', { error: String(error) });
      response.destroy();
    });
  });
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    options.upgrade(request, socket, head);
  });
  server.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    else socket.destroy();
  });
  return server;
}

async function respond(options: HttpOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { api, rules, site } = options;
  const { path } = splitUrl(request.url ?? '/');
  const method = request.method ?? 'GET';
  const headOnly = method === 'HEAD';
  let token: Token | undefined;
  response.setHeader('x-content-type-options', 'nosniff');
  try {
    if (path === '/healthz') return await writeResponse(response, json(200, { ok: true }), headOnly);
    if (path === '/api' || path.startsWith('/api/')) {
      token = await tokenOf(rules, request.headers);
      const { role, name } = token;
      if (!path.startsWith(`${API_PREFIX}/`)) throw new FieldbookError('not_found', `The API is at ${API_PREFIX}.`);
      response.setHeader('cross-origin-resource-policy', 'same-origin');
      const access = { role: reaches(role, 'member') ? 'member' : 'viewer', name } as const;
      const answer = await api.handle(await readRequest(request, api, access));
      if (answer.status === 403)
        auditRefusal(rules, refusalOf(answer), { address: request.socket.remoteAddress, path, token });
      return await writeResponse(response, answer, headOnly);
    }
    checkHost(rules, request.headers);
    if (method !== 'GET' && !headOnly) throw new FieldbookError('method_not_allowed', 'Pages can only be read.');
    const page = await site.respond(path, request.headers['if-none-match'], request.headers.host ?? '');
    return await writeResponse(response, page, headOnly);
  } catch (error) {
    const who = { address: request.socket.remoteAddress, path };
    auditRefusal(rules, error, token === undefined ? who : { ...who, token });
    if (response.headersSent) throw error;
    // What is left of a refused body is not read, so the connection cannot be used again.
    const headers: Record<string, string> = request.complete ? {} : { connection: 'close' };
    return writeResponse(response, errorResponse(error, headers), headOnly);
  }
}

/** The error that an answer of the API says. */
function refusalOf({ body }: ApiResponse): FieldbookError {
  const { error } = JSON.parse(new TextDecoder().decode(body as Uint8Array)) as { error: { message: string } };
  return new FieldbookError('forbidden', error.message);
}

/** Listens; resolves with the port. Throws `port_in_use`. */
export function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      const taken = error.code === 'EADDRINUSE' || error.code === 'EACCES';
      const why =
        error.code === 'EADDRINUSE'
          ? 'is taken'
          : error.code === 'EACCES'
            ? 'may not be used by this user'
            : error.message;
      reject(
        new FieldbookError(taken ? 'port_in_use' : 'invalid_argument', `${host}:${port} ${why}.`, { cause: error }),
      );
    };
    server.once('error', failed);
    server.listen(port, host, () => {
      server.off('error', failed);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** Takes no more requests and waits, for a while, for those under way. */
export async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  await new Promise<void>((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}
