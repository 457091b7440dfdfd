import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { FieldbookError, isFieldbookError } from '@fieldbook/core';
import type { RunIndex } from '@fieldbook/core/access';
import { Gate } from '@fieldbook/core/access';
import { TICKET_SUBPROTOCOL, TOKEN_SUBPROTOCOL } from '@fieldbook/core/replication';
import type { Audit } from '../audit.ts';
import type { TokenUse } from '../token-use.ts';
import type { Token, Tokens } from '../tokens.ts';
import type { SessionCookie } from './cookie.ts';
import type { Limiter } from './limiter.ts';
import type { Caller, Proxies } from './proxies.ts';
import type { Sessions } from './sessions.ts';

export interface AccessRules {
  tokens: Tokens;
  use: TokenUse;
  audit: Audit;
  /** To whom each run belongs. */
  runs: RunIndex;
  /** Host names that requests may use; any without. Behind a proxy that checks them this adds nothing. */
  hosts: readonly string[];
  /** Origins of pages, besides the relay's own, that may connect. */
  origins: readonly string[];
  /** Whose word about callers counts. */
  proxies: Proxies;
  limiter: Limiter;
  sessions: Sessions;
  cookie: SessionCookie;
}

/** Throws `bad_host` for a request to a name that this relay was not given. */
export function checkHost({ hosts }: AccessRules, { host }: Caller): void {
  if (hosts.length === 0 || hosts.includes(host) || hosts.includes(host.replace(/:\d+$/, ''))) return;
  throw new FieldbookError('bad_host', `This relay does not answer to the name ${JSON.stringify(host.slice(0, 80))}.`);
}

/** What a token lets its holder do here. */
export function gateOf({ use, runs }: AccessRules, { id, role, projects, name }: Token): Gate {
  return new Gate({ role, projects, token: id, name, devices: use.devices(id) }, runs);
}

/** Writes down that somebody was not let in, or not let do something. */
export function auditRefusal(
  { audit }: AccessRules,
  thrown: unknown,
  who: { address: string | undefined; path: string; token?: Token },
): void {
  if (!isFieldbookError(thrown) || !REFUSALS.has(thrown.code)) return;
  const id = who.token?.id ?? thrown.details['token'];
  audit.refused('access.refused', {
    code: thrown.code,
    reason: thrown.message,
    path: who.path.slice(0, 120),
    address: who.address ?? null,
    token: typeof id === 'string' ? id : null,
  });
}

const REFUSALS: ReadonlySet<string> = new Set(['unauthorized', 'forbidden', 'bad_host', 'bad_origin']);

/** Throws `bad_origin` for what a page of somebody else's sends, whatever it presents. */
export function checkOrigin({ origins }: AccessRules, { origin }: IncomingHttpHeaders, caller: Caller): void {
  if (origin === undefined || origins.includes(origin) || isOwn(origin, caller)) return;
  throw new FieldbookError('bad_origin', `Pages of ${JSON.stringify(origin.slice(0, 80))} may not use this relay.`);
}

/** Who was let in, and how. */
export interface Admission {
  token: Token;
  by: 'token' | 'cookie' | 'ticket';
  /** The browser's session: of the cookie, or of the ticket that it got by it. */
  session: string | undefined;
  /** `Set-Cookie`, when the browser should be told to keep the cookie longer. */
  cookie: string | undefined;
}

/**
 * Whoever asks the API. Rejects with `bad_host`, `bad_origin` (a page of somebody else's), `unauthorized`, and `rate_limited`
 * for an address that has presented too many wrong tokens. A cookie counts for requests of this relay's own page only, because
 * browsers send it along with everybody's.
 */
export async function admitRequest(rules: AccessRules, request: IncomingMessage, caller: Caller): Promise<Admission> {
  const { headers } = request;
  checkHost(rules, caller);
  checkOrigin(rules, headers, caller);
  const secret = headers.authorization === undefined ? rules.cookie.read(headers, caller.secure) : undefined;
  if (secret === undefined || secret === '')
    return {
      token: inForce(rules, await presented(rules, headers, caller)),
      by: 'token',
      session: undefined,
      cookie: undefined,
    };
  checkOwnPage(request, caller);
  const session = rules.sessions.use(secret);
  const token = session === undefined ? undefined : rules.tokens.get(session.token);
  if (session === undefined || token === undefined)
    throw new FieldbookError('unauthorized', 'This browser is not signed in any more.');
  const cookie = session.tell ? rules.cookie.write(secret, caller.secure) : undefined;
  return { token: inForce(rules, token), by: 'cookie', session: session.key, cookie };
}

/**
 * Whoever opens a WebSocket; rejects as `admitRequest`. Browsers cannot set headers on WebSockets and addresses end up in logs,
 * so tickets and tokens travel as subprotocols. A cookie opens none.
 */
export async function admitSocket(
  rules: AccessRules,
  headers: IncomingHttpHeaders,
  caller: Caller,
): Promise<Admission> {
  checkHost(rules, caller);
  checkOrigin(rules, headers, caller);
  const ticket = offered(headers, TICKET_SUBPROTOCOL);
  if (headers.authorization !== undefined || ticket === undefined)
    return {
      token: inForce(rules, await presented(rules, headers, caller)),
      by: 'token',
      session: undefined,
      cookie: undefined,
    };
  const taken = rules.sessions.take(ticket);
  const token = taken === undefined ? undefined : rules.tokens.get(taken.token);
  if (token === undefined)
    throw new FieldbookError('unauthorized', 'The ticket was used already, or came too late.', {
      details: { ticket: true },
    });
  return { token: inForce(rules, token), by: 'ticket', session: taken?.session, cookie: undefined };
}

/** Throws `bad_origin` unless this relay's own page asks, as far as its browser says. */
function checkOwnPage({ headers, method = 'GET' }: IncomingMessage, caller: Caller): void {
  const site = headers['sec-fetch-site'];
  const isReading = method === 'GET' || method === 'HEAD';
  const isOwnSite = site === 'same-origin' || (site === 'none' && isReading);
  // Browsers that do not say the site say the origin of everything that could change something.
  const isOwnOrigin = headers.origin === undefined ? isReading || site !== undefined : isOwn(headers.origin, caller);
  if ((site === undefined || isOwnSite) && isOwnOrigin) return;
  throw new FieldbookError('bad_origin', "Only this relay's own page is signed in here.");
}

function inForce(rules: AccessRules, token: Token): Token {
  if (rules.tokens.isOver(token)) {
    const day = new Date(token.expires!).toISOString().slice(0, 10);
    throw new FieldbookError('unauthorized', `The token's time was over on ${day}; ask for a new one.`, {
      details: { token: token.id },
    });
  }
  rules.use.note(token.id, Date.now());
  return token;
}

async function presented(rules: AccessRules, headers: IncomingHttpHeaders, caller: Caller): Promise<Token> {
  const secret = /^Bearer\s+(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? offered(headers, TOKEN_SUBPROTOCOL);
  if (secret === undefined) {
    throw new FieldbookError(
      'unauthorized',
      'This relay needs a token; whoever runs it makes one with "fieldbook-relay token create".',
    );
  }
  return lookUp(rules, secret, caller);
}

async function lookUp({ tokens, limiter }: AccessRules, presented: string, caller: Caller): Promise<Token> {
  // One that is in force is never held up by the mistakes of others behind the same address.
  const known = tokens.known(presented);
  if (known !== undefined) return known;
  limiter.mayFail(caller.address);
  const token = await tokens.find(presented);
  if (token !== undefined) return token;
  limiter.failed(caller.address, presented);
  throw new FieldbookError('unauthorized', 'The token is unknown or was revoked.');
}

function offered(headers: IncomingHttpHeaders, prefix: string): string | undefined {
  return offeredProtocols(headers)
    .find((protocol) => protocol.startsWith(prefix))
    ?.slice(prefix.length);
}

export function offeredProtocols(headers: IncomingHttpHeaders): string[] {
  return (headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim());
}

/** Of the host that was asked for, and over TLS where the caller is known to use it. */
function isOwn(origin: string, { host, secure }: Caller): boolean {
  try {
    const url = new URL(origin);
    return url.host === new URL(`${url.protocol}//${host}`).host && (!secure || url.protocol === 'https:');
  } catch {
    return false;
  }
}
