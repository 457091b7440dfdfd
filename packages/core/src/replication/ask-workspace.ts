import type { ErrorCode } from '../errors.ts';
import { FieldbookError } from '../errors.ts';
import type { WorkspaceId } from '../ids.ts';
import { parseWorkspaceId } from '../ids.ts';
import type { Request } from './blob-peer.ts';

/**
 * Which workspace a peer belongs to: the first thing to ask, as the answer says in words what is wrong. `private`: it has
 * never met anybody. Throws `unauthorized`, `forbidden`, `peer_unreachable`, `timeout`.
 */
export async function askWorkspace(
  url: string,
  token: string | null,
  request: Request,
): Promise<{ id: WorkspaceId; name: string | null; private: boolean }> {
  const body = await workspaceOf(url, token, request, { method: 'GET', headers: {} });
  if (typeof body?.id !== 'string') throw new FieldbookError('peer_unreachable', `${url} is not a Fieldbook relay.`);
  const name = typeof body.name === 'string' ? body.name : null;
  return { id: parseWorkspaceId(body.id), name, private: body.private === true };
}

/**
 * Gives a workspace to a peer that belongs to none yet, so that both are in it. Throws as `askWorkspace`, and
 * `workspace_mismatch` when it shares another one by now.
 */
export async function offerWorkspace(
  url: string,
  token: string | null,
  { id, name }: { id: WorkspaceId; name: string | null },
  request: Request,
): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  await workspaceOf(url, token, request, { method: 'POST', headers, body: JSON.stringify({ id, name }) });
}

/** The token that an invitation becomes, for a machine of that name. Throws as `askWorkspace`; `unauthorized` when it is used up. */
export async function redeemInvitation(url: string, secret: string, device: string, request: Request): Promise<string> {
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ secret, device: device.slice(0, 128) || 'a machine' });
  const told = await ask(url, '/invitations/redeem', request, { method: 'POST', headers, body });
  if (typeof told?.token !== 'string') throw new FieldbookError('peer_unreachable', `${url} is not a Fieldbook relay.`);
  return told.token;
}

interface Told {
  id?: unknown;
  name?: unknown;
  private?: unknown;
  token?: unknown;
  error?: { code?: ErrorCode; message?: string };
}

function workspaceOf(
  url: string,
  token: string | null,
  request: Request,
  init: Parameters<Request>[1],
): Promise<Told | null> {
  const headers = token === null ? init.headers : { ...init.headers, authorization: `Bearer ${token}` };
  return ask(url, '/workspace', request, { ...init, headers });
}

async function ask(url: string, path: string, request: Request, init: Parameters<Request>[1]): Promise<Told | null> {
  let response: Awaited<ReturnType<Request>>;
  try {
    response = await request(`${url}/api/v1${path}`, init);
  } catch (error) {
    throw unreachable(url, error);
  }
  const body = (await response.json().catch(() => null)) as Told | null;
  if (response.status !== 200) {
    const { code = 'peer_unreachable', message = `HTTP ${response.status}; is it a Fieldbook relay?` } =
      body?.error ?? {};
    throw new FieldbookError(code, `${url}: ${message}`);
  }
  return body;
}

const UNTRUSTED: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

function unreachable(url: string, error: unknown): FieldbookError {
  const { name, message, cause } = error as Error & { cause?: { code?: string; message?: string } };
  if (name === 'TimeoutError') return new FieldbookError('timeout', `${url} does not answer.`, { cause: error });
  const why = cause?.code ?? cause?.message ?? message;
  if (UNTRUSTED.has(why)) {
    return new FieldbookError(
      'peer_unreachable',
      `This machine does not know the authority that signed the certificate of ${url} (${why}). If it is your own, name its ` +
        'certificate in NODE_EXTRA_CA_CERTS and start this, and the agent, again.',
      { cause: error },
    );
  }
  return new FieldbookError('peer_unreachable', `${url} cannot be reached (${why}).`, { cause: error });
}
