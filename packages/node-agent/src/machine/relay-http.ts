import type { Request } from '@fieldbook/core/replication';

/** A relay that says nothing for so long is not there; a blob of 64 MB gets through in it at 7 Mbit/s. */
const TIMEOUT_MS = 80_000;

/** `fetch` as replication uses it: bounded, and never led elsewhere by a redirect, which could carry the token along. */
export const request: Request = async (url, init) =>
  fetch(url, { ...init, redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) });
