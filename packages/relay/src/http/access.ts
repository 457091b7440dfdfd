import type { IncomingHttpHeaders } from 'node:http';
import { FieldbookError, isFieldbookError } from '@fieldbook/core';
import type { RunIndex } from '@fieldbook/core/access';
import { Gate } from '@fieldbook/core/access';
import { TOKEN_SUBPROTOCOL } from '@fieldbook/core/replication';
import type { Audit } from '../audit.ts';
import type { TokenUse } from '../token-use.ts';
import type { Token, Tokens } from '../tokens.ts';
import type { Limiter } from './limiter.ts';
import type { Caller, Proxies } from './proxies.ts';

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

/**
 * The token of a request to the API or of a WebSocket. Rejects with `bad_host`, `bad_origin` (a page of somebody else's),
 * `unauthorized`, and `rate_limited` for an address that has presented too many wrong ones. Browsers cannot set headers on
 * WebSockets and addresses end up in logs, so a token may also travel as a subprotocol.
 */
export async function tokenOf(rules: AccessRules, headers: IncomingHttpHeaders, caller: Caller): Promise<Token> {
  checkHost(rules, caller);
  checkOrigin(rules, headers, caller);
  const presented = presentedToken(headers);
  if (presented === undefined) {
    throw new FieldbookError(
      'unauthorized',
      'This relay needs a token; whoever runs it makes one with "fieldbook-relay token create".',
    );
  }
  const token = await lookUp(rules, presented, caller);
  if (rules.tokens.isOver(token)) {
    const day = new Date(token.expires!).toISOString().slice(0, 10);
    throw new FieldbookError('unauthorized', `The token's time was over on ${day}; ask for a new one.`, {
      details: { token: token.id },
    });
  }
  rules.use.note(token.id, Date.now());
  return token;
}

async function lookUp({ tokens, limiter }: AccessRules, presented: string, caller: Caller): Promise<Token> {
  // One that is in force is never held up by the mistakes of others behind the same address.
  const known = tokens.known(presented);
  if (known !== undefined) return known;
  limiter.mayFail(caller.address);
  const token = await tokens.find(presented);
  if (token !== undefined) return token;
  limiter.failed(caller.address);
  throw new FieldbookError('unauthorized', 'The token is unknown or was revoked.');
}

function presentedToken(headers: IncomingHttpHeaders): string | undefined {
  const bearer = /^Bearer\s+(\S+)$/i.exec(headers.authorization ?? '')?.[1];
  if (bearer !== undefined) return bearer;
  for (const protocol of offeredProtocols(headers)) {
    if (protocol.startsWith(TOKEN_SUBPROTOCOL)) return protocol.slice(TOKEN_SUBPROTOCOL.length);
  }
  return undefined;
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
