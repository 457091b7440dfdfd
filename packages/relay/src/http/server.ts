import { AsyncResource } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Log } from '@fieldbook/core';
import { API_PREFIX, asFieldbookError, FieldbookError, isFieldbookError } from '@fieldbook/core';
import type { Access, Api, ApiResponse, Place } from '@fieldbook/core/api';
import { errorResponse, json, Room } from '@fieldbook/core/api';
import type { Health } from '../health.ts';
import type { RelayMetrics } from '../metrics/metrics.ts';
import type { SignIn } from '../oidc/index.ts';
import { CALLBACK_PATH, SIGN_IN_PATH } from '../oidc/index.ts';
import { inContext } from '../platform/context.ts';
import { timers } from '../platform/ports.ts';
import type { AccessRules, Admission } from './access.ts';
import type { Token } from '../tokens.ts';
import { admitRequest, auditRefusal, checkHost, checkOrigin, gateOf } from './access.ts';
import { LARGE, readRequest, splitUrl, turnAway, writeResponse } from './binding.ts';
import type { Certificate } from './certificate.ts';
import { Crowd, nameOf } from './crowd.ts';
import type { Limiter } from './limiter.ts';
import type { Caller } from './proxies.ts';
import type { StaticSite } from './static.ts';
import type { Visitor } from './visitor.ts';
import type { Visit } from './visits.ts';
import { Visits } from './visits.ts';

export interface HttpOptions {
  api: Api;
  site: StaticSite;
  rules: AccessRules;
  health: Health;
  metrics: RelayMetrics;
  /** Where people sign in at a provider; undefined without one. */
  signIn: SignIn | undefined;
  log: Log;
  /** Encrypts; without it, plain HTTP. */
  certificate?: Certificate | undefined;
  /** Browsers are told to come over TLS only. */
  hsts?: boolean;
  /** `refused`: it is one connection too many. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, refused: FieldbookError | undefined): void;
}

/** Headers never take long; bodies are bounded in time as they are read. */
const HEADERS_MS = 10_000;
const HEADER_BYTES = 16 * 1024;
/** When a relay comes back, everybody comes at once; whom the kernel finds no room for tries again a second later. */
const BACKLOG = 4_096;
/** Longer than common proxies keep their side open, so that it is they who close. */
const KEEP_ALIVE_MS = 75_000;
const SWEEP_MS = 20;
/** A TLS handshake that takes longer holds a connection for nothing. */
const HANDSHAKE_MS = 10_000;
/** Browsers that saw this page over TLS ask for it in no other way for a year. */
const HSTS = 'max-age=31536000';
/** What a proxy may have named a request. */
const REQUEST_ID = /^[\w.-]{1,64}$/;
/** A whole error answer is shorter; what is longer has no code to count. */
const ERROR_BYTES = 64 * 1024;

/** When to ask again where too much was under way: a chunk is through by then. */
const ROOM_MS = 3_000;

/** Of each server the connections on which nothing was asked yet, by name. Browsers open some beforehand, and Node does not take them for idle. */
const UNASKED = new WeakMap<Server, Map<string, Socket>>();

/** The HTTP side of the relay, not yet listening. The API needs a token; the UI's files and `/healthz` do not. */
export function createHttpServer(options: HttpOptions): Server {
  const limits = {
    requestTimeout: 0,
    headersTimeout: HEADERS_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: HEADER_BYTES,
  };
  const unasked = new Map<string, Socket>();
  const respondTo: RequestListener = (request, response) => {
    unasked.delete(nameOf(request.socket));
    const named = request.headers['x-request-id'];
    const id = typeof named === 'string' && REQUEST_ID.test(named) ? named : randomUUID();
    response.setHeader('x-request-id', id);
    inContext({ request: id }, () => {
      follow(options, request, response);
      respond(options, { crowd, visits, bodies, answers }, request, response).catch((error: unknown) => {
        options.log.warn('http.failed', { error: String(error) });
        response.destroy();
      });
    });
  };
  const { certificate, rules } = options;
  const server: Server =
    certificate === undefined
      ? createServer(limits, respondTo)
      : createTlsServer(
          { ...limits, ...certificate.pair, minVersion: 'TLSv1.2', handshakeTimeout: HANDSHAKE_MS },
          respondTo,
        );
  // What is connected stays so under the certificate that it was shown.
  if (server instanceof TlsServer)
    certificate?.watch((pair) => server.setSecureContext({ ...pair, minVersion: 'TLSv1.2' }));
  UNASKED.set(server, unasked);
  server.on('connection', (socket: Socket) => {
    const name = nameOf(socket);
    unasked.set(name, socket);
    socket.once('close', () => {
      if (unasked.get(name) === socket) unasked.delete(name);
    });
  });
  const crowd = new Crowd(server, rules);
  const visits = new Visits(rules);
  const [bodies, answers] = [roomOf(rules.limiter, 'sent'), roomOf(rules.limiter, 'asked for')];
  options.metrics.watch(server);
  // Whoever asks first is told to go on when it is known that the body will be read.
  server.on('checkContinue', respondTo);
  server.on('upgrade', (request, socket, head) => {
    unasked.delete(nameOf(request.socket));
    socket.on('error', () => socket.destroy());
    options.upgrade(request, socket, head, crowd.refusal(request.socket));
  });
  server.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    else socket.destroy();
  });
  return server;
}

/** Counts an answer and logs it, without its query: people search for things. */
function follow({ metrics, log }: HttpOptions, request: IncomingMessage, response: ServerResponse): void {
  const began = performance.now();
  const { method, url = '/' } = request;
  const { path } = splitUrl(url);
  // Streams outlast the context that began them.
  response.once(
    'close',
    AsyncResource.bind(() => {
      const status = response.headersSent ? response.statusCode : 0;
      metrics.responded(status);
      log.debug('http.answered', { method, path, status, ms: Math.round(performance.now() - began) });
    }),
  );
}

/** Who is looked at, and what is counted, for each request. */
interface Doors {
  crowd: Crowd;
  visits: Visits;
  bodies: Room;
  answers: Room;
}

async function respond(
  options: HttpOptions,
  { crowd, visits, bodies, answers }: Doors,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { rules, site, health, metrics } = options;
  const { path } = splitUrl(request.url ?? '/');
  const method = request.method ?? 'GET';
  const headOnly = method === 'HEAD';
  const caller = rules.proxies.caller(request);
  const query = (request.url ?? '').slice(path.length);
  const signIn = path === SIGN_IN_PATH || path === CALLBACK_PATH ? options.signIn : undefined;
  let token: Token | undefined;
  response.setHeader('x-content-type-options', 'nosniff');
  if (options.certificate !== undefined && options.hsts === true) response.setHeader('strict-transport-security', HSTS);
  try {
    const refused = crowd.refusal(request.socket);
    if (refused !== undefined) throw refused;
    if (path === '/healthz') return await writeResponse(response, json(200, { ok: true }), headOnly);
    if (path === '/readyz') {
      const readiness = await health.readiness();
      return await writeResponse(response, json(readiness.ready ? 200 : 503, readiness), headOnly);
    }
    rules.limiter.request(caller.address);
    if (signIn !== undefined) {
      checkHost(rules, caller);
      // Addresses that are looked up beforehand, by whatever follows links, must not begin or use up anything.
      if (method !== 'GET') throw new FieldbookError('method_not_allowed', 'This is for browsers to go to.');
      const answer = await signIn.respond(path, query, request.headers, caller);
      if (answer.cookies.length > 0) response.setHeader('set-cookie', [...answer.cookies]);
      return await writeResponse(response, answer.response, false);
    }
    if (path === '/api' || path.startsWith('/api/')) {
      response.setHeader('cross-origin-resource-policy', 'same-origin');
      const admission = await admit(options, request, caller);
      const visit = admission === undefined ? undefined : visits.begin(admission, caller, request, response);
      token = visit?.token;
      if (admission?.cookie !== undefined) response.setHeader('set-cookie', admission.cookie);
      if (!path.startsWith(`${API_PREFIX}/`)) throw new FieldbookError('not_found', `The API is at ${API_PREFIX}.`);
      const holder = token?.id ?? caller.address;
      const given = answers.place(holder);
      response.once('close', () => given.leave());
      // Who has left by now says so no more.
      if (response.destroyed) given.leave();
      const answer = await answerTo(options, {
        request,
        response,
        visit,
        admission,
        caller,
        taken: bodies.place(holder),
        given,
      });
      if (answer.status >= 400) metrics.refused(codeOf(answer));
      if (answer.status === 403 && token !== undefined)
        auditRefusal(rules, refusalOf(answer), { address: caller.address, path, token });
      await visit?.mayAnswer(answer, method === 'GET' || headOnly);
      // What goes on has said itself what it holds.
      if (answer.body === null || answer.body instanceof Uint8Array) await given.fit(largeOf(answer.body), false);
      return await writeResponse(response, answer, headOnly);
    }
    checkHost(rules, caller);
    if (method !== 'GET' && !headOnly) throw new FieldbookError('method_not_allowed', 'Pages can only be read.');
    const page = await site.respond(path, request.headers['if-none-match'], caller.host);
    return await writeResponse(response, page, headOnly);
  } catch (error) {
    const who = { address: caller.address, path };
    auditRefusal(rules, error, token === undefined ? who : { ...who, token });
    metrics.refused(asFieldbookError(error).code);
    if (response.headersSent) throw error;
    // What is left of a refused body is not read, so the connection cannot be used again.
    const headers: Record<string, string> = request.complete ? {} : { connection: 'close' };
    if (isFieldbookError(error, 'rate_limited') && error.details['limit'] === 'connections-per-address')
      headers['connection'] = 'close';
    const answer = signIn === undefined ? errorResponse(error, headers) : signIn.refuse(error, query, headers);
    return turnAway(request, response, answer, headOnly);
  }
}

/** Reads a request as far as it may be read, and has it answered. Of its body nothing is kept longer. */
async function answerTo(
  { api, rules }: HttpOptions,
  {
    request,
    response,
    visit,
    admission,
    caller,
    taken,
    given,
  }: {
    request: IncomingMessage;
    response: ServerResponse;
    visit: Visit | undefined;
    admission: Admission | undefined;
    caller: Caller;
    /** Room for the body, and for what answering it takes. */
    taken: Place;
    given: Place;
  },
): Promise<ApiResponse> {
  const token = visit?.token;
  const visitor: Visitor = { caller, token, session: admission?.session };
  const pace = async (bytes: number): Promise<void> => {
    await pause(rules.limiter.received(token?.id ?? caller.address, bytes));
    visit?.check();
  };
  const goOn = (): void => {
    if (request.headers.expect !== undefined) response.writeContinue();
  };
  const gone = (): void => taken.leave();
  response.once('close', gone);
  try {
    const large = (): void => visit?.connect();
    const read = await readRequest(request, api, accessOf(rules, token), { place: taken, large, pace, goOn });
    visit?.check();
    return await api.handle({ ...read, visitor, hold: (bytes) => given.fit(bytes) });
  } finally {
    response.off('close', gone);
    taken.leave();
  }
}

/** Memory for what is under way in one direction. */
function roomOf(limiter: Limiter, what: string): Room {
  return new Room({
    perHolder: limiter.limits['bytes-under-way-per-token'],
    inAll: limiter.limits['bytes-under-way'],
    timers,
    refuse: (limit) =>
      limit === 'holder'
        ? limiter.refuse('bytes-under-way-per-token', `Too much is ${what} with this token at a time`, ROOM_MS)
        : limiter.refuse('bytes-under-way', `Too much is ${what} by everybody at a time`, ROOM_MS),
  });
}

/** What counts of a whole answer. */
function largeOf(body: Uint8Array | null): number {
  return body === null || body.length <= LARGE ? 0 : body.length;
}

/** Undefined for a route that is open to anybody. */
async function admit(
  { api, rules }: HttpOptions,
  request: IncomingMessage,
  caller: Caller,
): Promise<Admission | undefined> {
  if (api.isOpen(request.method ?? 'GET', splitUrl(request.url ?? '/').path)) {
    checkHost(rules, caller);
    checkOrigin(rules, request.headers, caller);
    return undefined;
  }
  const admission = await admitRequest(rules, request, caller);
  rules.limiter.tokenRequest(admission.token.id);
  return admission;
}

/** Whoever has no token reaches routes that need none, and may nothing. */
function accessOf(rules: AccessRules, token: Token | undefined): Access {
  if (token === undefined) return { role: 'viewer', name: null };
  const { role, name } = token;
  return { role, name, gate: gateOf(rules, token) };
}

/** The error that an answer of the API says. */
function refusalOf({ body }: ApiResponse): FieldbookError {
  const { error } = JSON.parse(new TextDecoder().decode(body as Uint8Array)) as { error: { message: string } };
  return new FieldbookError('forbidden', error.message);
}

function pause(ms: number): Promise<void> {
  return ms <= 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, ms));
}

/** The code that an error answer says. */
function codeOf({ status, body }: ApiResponse): string {
  if (!(body instanceof Uint8Array) || body.length > ERROR_BYTES) return `http_${status}`;
  try {
    const { error } = JSON.parse(new TextDecoder().decode(body)) as { error?: { code?: unknown } };
    return typeof error?.code === 'string' ? error.code : `http_${status}`;
  } catch {
    return `http_${status}`;
  }
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
    server.listen({ port, host, backlog: BACKLOG }, () => {
      server.off('error', failed);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** Takes no more connections and waits up to `ms` for the requests under way; then they are cut. False when some were. */
export async function closeServer(server: Server, ms: number): Promise<boolean> {
  if (!server.listening) return true;
  let whole = true;
  await new Promise<void>((resolve) => {
    const cut = setTimeout(() => {
      whole = false;
      server.closeAllConnections();
    }, ms);
    // A connection that answers its last request now is kept alive by both sides, and would be waited for.
    const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
    server.close(() => {
      clearTimeout(cut);
      clearInterval(sweep);
      resolve();
    });
    server.closeIdleConnections();
    for (const socket of UNASKED.get(server)?.values() ?? []) socket.destroy();
  });
  return whole;
}
