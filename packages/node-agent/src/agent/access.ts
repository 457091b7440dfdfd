import { timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { API_PREFIX } from '@fieldbook/core';
import type { Access } from '@fieldbook/core/api';
import { FieldbookError } from '@fieldbook/core';

/**
 * Who may ask an agent for what. It listens on loopback, where every page in the owner's browser and every user of the
 * machine can reach it, so:
 * - the Host must be one of ours, or a page that rebinds its own name to 127.0.0.1 could read everything;
 * - a browser's request must come from our own page (Sec-Fetch-Site, Origin), or any page could write;
 * - everything that is not our own page in a browser shows the token, which only the owner can read.
 */
export interface AccessRules {
  port: number;
  /** Names besides the loopback ones, for those who bind to more than loopback. */
  hosts: readonly string[];
  /** Other machines may reach it, so it answers to its addresses too: a page that rebinds a name never asks for a number. */
  remote: boolean;
  token: string;
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;

const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]'];
const OWNER: Access = { role: 'owner', name: null };
const PEER: Access = { role: 'member', name: null };
/** What the exchange of two field books asks for, and all that a peer's token is good for. */
const FOR_PEERS: readonly (readonly [method: string, path: RegExp])[] = [
  ['GET', /^\/(workspace|device)$/],
  ['POST', /^\/workspace$/],
  ['POST', /^\/blobs\/(missing|prove)$/],
  ['GET', /^\/blobs\/[0-9a-f]{64}$/],
  ['PUT', /^\/blobs\/[0-9a-f]{64}$/],
];

/** Throws `bad_host` unless the request names this agent. */
export function checkHost(rules: AccessRules, headers: Headers): void {
  const host = one(headers['host']).toLowerCase();
  const names = [...LOOPBACK_NAMES, ...rules.hosts];
  if (names.some((name) => host === `${name}:${rules.port}` || (rules.port === 80 && host === name))) return;
  if (rules.remote && isIP(host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')) !== 0) return;
  throw new FieldbookError('bad_host', `This agent does not answer to the name ${JSON.stringify(host.slice(0, 80))}.`);
}

/**
 * Access for a request to the API, or for a WebSocket (`upgrade`). Throws `bad_host`, `bad_origin`, `unauthorized`.
 * `token` is what was presented in `Authorization` or as a subprotocol; `peer` that it is one of another machine's, which is good
 * for the exchange only (`forbidden` for anything else).
 */
export function accessOf(
  rules: AccessRules,
  request: {
    method: string;
    path: string;
    headers: Headers;
    remoteAddress: string;
    token: string | null;
    peer: boolean;
    upgrade: boolean;
  },
): Access {
  const { headers, method } = request;
  checkHost(rules, headers);
  const origin = one(headers['origin']);
  if (origin !== '' && !isOwnOrigin(rules, origin, one(headers['host']))) {
    throw new FieldbookError('bad_origin', `Pages of ${JSON.stringify(origin.slice(0, 80))} may not use this agent.`);
  }
  if (request.token !== null) {
    if (equalInConstantTime(request.token, rules.token)) return OWNER;
    if (!request.peer)
      throw new FieldbookError(
        'unauthorized',
        'The token is neither the one in agent.token nor one of "fieldbook share"; it may have been revoked.',
      );
    if (mayPeer(request)) return PEER;
    throw new FieldbookError('forbidden', 'This token lets another machine exchange with this one, and nothing else.');
  }
  const site = one(headers['sec-fetch-site']);
  if (site !== '' && site !== 'same-origin' && site !== 'none') {
    throw new FieldbookError('bad_origin', 'Only the agent’s own pages may use this agent.');
  }
  const fromOwnPage = origin !== '' || (!request.upgrade && site === 'same-origin');
  // A person who types an address into a browser may look (`none`), and nothing can make a browser send it for a page.
  const typedIn = site === 'none' && (method === 'GET' || method === 'HEAD') && !request.upgrade;
  if (isLoopback(request.remoteAddress) && (fromOwnPage || typedIn)) return OWNER;
  throw new FieldbookError('unauthorized', 'Send the token of agent.token as "Authorization: Bearer …".');
}

function mayPeer({ method, path, upgrade }: { method: string; path: string; upgrade: boolean }): boolean {
  if (upgrade) return path === `${API_PREFIX}/replicate`;
  const route = path.startsWith(`${API_PREFIX}/`) ? path.slice(API_PREFIX.length) : '';
  return FOR_PEERS.some(([allowed, pattern]) => allowed === method && pattern.test(route));
}

/** The token of an `Authorization` header, or of a `fieldbook.token.…` subprotocol; null when there is neither. */
export function presentedToken(headers: Headers): string | null {
  const bearer = /^Bearer\s+(\S+)$/i.exec(one(headers['authorization']))?.[1];
  if (bearer !== undefined) return bearer;
  for (const protocol of one(headers['sec-websocket-protocol']).split(',')) {
    const token = /^\s*fieldbook\.token\.(\S+)\s*$/.exec(protocol)?.[1];
    if (token !== undefined) return token;
  }
  return null;
}

function isOwnOrigin(rules: AccessRules, origin: string, host: string): boolean {
  // The host has been checked; behind an address only what has the token gets any further.
  if (rules.remote && origin === `http://${host}`) return true;
  const names = [...LOOPBACK_NAMES, ...rules.hosts];
  return names.some(
    (name) => origin === `http://${name}:${rules.port}` || (rules.port === 80 && origin === `http://${name}`),
  );
}

function isLoopback(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address);
}

function equalInConstantTime(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}

function one(header: string | string[] | undefined): string {
  return Array.isArray(header) ? header.join(', ') : (header ?? '');
}
