import type { ErrorCode, WorkspaceId } from '@fieldbook/core';
import { FieldbookError, parseWorkspaceId } from '@fieldbook/core';
import type { blobPeerOverHttp } from '@fieldbook/core/replication';

type Request = Parameters<typeof blobPeerOverHttp>[0]['request'];

/** A relay that says nothing for so long is not there; a blob of 64 MB gets through in it at 7 Mbit/s. */
const TIMEOUT_MS = 80_000;

/** `fetch` as replication uses it: bounded, and never led elsewhere by a redirect, which could carry the token along. */
export const request: Request = async (url, init) =>
  fetch(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) });

/**
 * Whose relay this is and which workspace it serves: the first thing to ask, as the answer says in words what is
 * wrong. Throws `unauthorized`, `forbidden`, `peer_unreachable`, `timeout`.
 */
export async function askWorkspace(
  url: string,
  token: string | null,
): Promise<{ id: WorkspaceId; name: string | null }> {
  const headers: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` };
  let response: Awaited<ReturnType<Request>>;
  try {
    response = await request(`${url}/api/v1/workspace`, { method: 'GET', headers });
  } catch (error) {
    throw unreachable(url, error);
  }
  const body = (await response.json().catch(() => null)) as {
    id?: unknown;
    name?: unknown;
    error?: { code?: ErrorCode; message?: string };
  } | null;
  if (response.status !== 200) {
    const { code = 'peer_unreachable', message = `HTTP ${response.status}; is it a Fieldbook relay?` } =
      body?.error ?? {};
    throw new FieldbookError(code, `${url}: ${message}`);
  }
  if (typeof body?.id !== 'string') throw new FieldbookError('peer_unreachable', `${url} is not a Fieldbook relay.`);
  return { id: parseWorkspaceId(body.id), name: typeof body.name === 'string' ? body.name : null };
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
