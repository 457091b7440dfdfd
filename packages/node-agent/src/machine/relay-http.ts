import type { Request } from '@fieldbook/core/replication';

/** A relay that says nothing for so long is not there; a blob of 64 MB gets through in it at 7 Mbit/s. */
const TIMEOUT_MS = 80_000;

/** `fetch` as replication uses it: bounded, and never led elsewhere by a redirect, which could carry the token along. */
export const request: Request = async (url, { extraMs = 0, body, ...init }) => {
  const isStream = typeof body === 'object' && !(body instanceof Uint8Array);
  return fetch(url, {
    ...init,
    redirect: 'error',
    signal: AbortSignal.timeout(TIMEOUT_MS + extraMs),
    ...(isStream
      ? { body: ReadableStream.from(body), duplex: 'half' as const }
      : body === undefined
        ? {}
        : { body: body as Uint8Array<ArrayBuffer> | string }),
  });
};
