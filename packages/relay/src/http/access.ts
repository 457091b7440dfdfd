import type { IncomingHttpHeaders } from 'node:http';
import { FieldbookError } from '@fieldbook/core';
import { TOKEN_SUBPROTOCOL } from '@fieldbook/core/replication';
import type { Token, Tokens } from '../tokens.ts';

export interface AccessRules {
  tokens: Tokens;
  /** Host names that requests may use; any without. Behind a proxy that checks them this adds nothing. */
  hosts: readonly string[];
  /** Origins of pages, besides the relay's own, that may connect. */
  origins: readonly string[];
}

/** Throws `bad_host` for a request to a name that this relay was not given. */
export function checkHost({ hosts }: AccessRules, headers: IncomingHttpHeaders): void {
  const host = (headers.host ?? '').toLowerCase();
  if (hosts.length === 0 || hosts.includes(host) || hosts.includes(host.replace(/:\d+$/, ''))) return;
  throw new FieldbookError('bad_host', `This relay does not answer to the name ${JSON.stringify(host.slice(0, 80))}.`);
}

/**
 * The token of a request to the API or of a WebSocket. Rejects with `bad_host`, `bad_origin` (a page of somebody else's) and
 * `unauthorized`. Browsers cannot set headers on WebSockets and addresses end up in logs, so a token may also travel
 * as a subprotocol.
 */
export async function tokenOf(rules: AccessRules, headers: IncomingHttpHeaders): Promise<Token> {
  checkHost(rules, headers);
  const { origin } = headers;
  if (
    origin !== undefined &&
    !rules.origins.includes(origin) &&
    hostOf(origin) !== (headers.host ?? '').toLowerCase()
  ) {
    throw new FieldbookError('bad_origin', `Pages of ${JSON.stringify(origin.slice(0, 80))} may not use this relay.`);
  }
  const presented = presentedToken(headers);
  const token = presented === undefined ? undefined : await rules.tokens.find(presented);
  if (token !== undefined) return token;
  throw new FieldbookError(
    'unauthorized',
    presented === undefined
      ? 'This relay needs a token; whoever runs it makes one with "fieldbook-relay token create".'
      : 'The token is unknown or was revoked.',
  );
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

function hostOf(origin: string): string | undefined {
  try {
    return new URL(origin).host;
  } catch {
    return undefined;
  }
}
