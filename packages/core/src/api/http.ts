import type { Gate, Role } from '../access/index.ts';
import type { ErrorCode } from '../errors.ts';
import { asFieldbookError, FieldbookError } from '../errors.ts';
import { utf8 } from '../ids.ts';

/** A request as a binding hands it in: plain values, whatever the server. */
export interface ApiRequest {
  /** Upper case. */
  method: string;
  /** As on the wire: percent-encoded, without the query. */
  path: string;
  /** Decoded pairs, in order. */
  query: readonly (readonly [name: string, value: string])[];
  /** Names in lower case. */
  headers: Readonly<Record<string, string | undefined>>;
  /** Null when the request has none. The binding has kept to what `Api.admit` said. */
  body: Uint8Array | null;
  /** The body as it comes, of a route that takes it so; `body` is null then. */
  stream?: AsyncIterable<Uint8Array>;
  access: Access;
  /**
   * Says how many bytes the answer keeps in memory from now on, until it is written: asked before they are there, and again with fewer
   * when they go. Waits for others, and throws `rate_limited` when that takes too long. Without it nobody is counted.
   */
  hold?(bytes: number): Promise<void>;
  /** What the binding knows beyond that, for routes of its own program. */
  visitor?: unknown;
}

/** A request before its body. */
export type ApiHead = Omit<ApiRequest, 'body' | 'stream'>;

/** What a binding may read of a body. */
export interface BodyTerms {
  /** Bytes; 0 for none. */
  limit: number;
  /** It is to be handed in as `stream`. */
  streamed: boolean;
}

/** Who is asking, as the binding found out. An `owner` sits at the machine; a relay's tokens have the other roles. */
export interface Access {
  role: 'owner' | Role;
  /** The name that edits are made under, when it is not the program's own person. */
  name: string | null;
  /** What a token of a relay lets its holder do, beyond its role. */
  gate?: Gate;
}

export interface ApiResponse {
  status: number;
  /** Names in lower case. */
  headers: Readonly<Record<string, string>>;
  /** Chunks come from a response that goes on until its iterator is returned (server-sent events). */
  body: Uint8Array | AsyncIterable<Uint8Array> | null;
}

/**
 * Bytes of a JSON value. JSON has no NaN and no infinities and metrics do, so they become the strings `"NaN"`,
 * `"Infinity"` and `"-Infinity"`; typed arrays become arrays, maps objects.
 */
export function jsonBytes(value: unknown): Uint8Array {
  return utf8(JSON.stringify(value, plain));
}

function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (value instanceof Map) return Object.fromEntries(value as Map<string, unknown>);
  if (value instanceof Float64Array || value instanceof Uint32Array) return Array.from(value);
  return value;
}

/** A JSON answer. Nothing in it may be kept by a browser: it is true now. */
export function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): ApiResponse {
  return {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store', ...headers },
    body: jsonBytes(value),
  };
}

/** `{error: {code, message, details}}` with the status that fits the code. What nobody foresaw is `internal` and says nothing of the inside. */
export function errorResponse(thrown: unknown, headers: Readonly<Record<string, string>> = {}): ApiResponse {
  const error =
    thrown instanceof FieldbookError
      ? thrown
      : new FieldbookError('internal', 'Something went wrong inside Fieldbook; its log says what.', { cause: thrown });
  const { retryAfter } = error.details;
  const again: Record<string, string> = typeof retryAfter === 'number' ? { 'retry-after': String(retryAfter) } : {};
  const { allowed } = error.details;
  const allow: Record<string, string> = Array.isArray(allowed) ? { allow: allowed.join(', ') } : {};
  return json(statusOf(error.code), { error: error.toJSON() }, { ...again, ...allow, ...headers });
}

/** The HTTP status of an error code: what a program that knows only HTTP should make of it. */
export function statusOf(code: ErrorCode): number {
  return STATUS[code] ?? 500;
}

const STATUS: Partial<Record<ErrorCode, number>> = {
  invalid_argument: 400,
  invalid_id: 400,
  invalid_path: 400,
  invalid_value: 400,
  query_syntax: 400,
  query_type: 400,
  unauthorized: 401,
  forbidden: 403,
  bad_host: 403,
  bad_origin: 403,
  not_found: 404,
  blob_missing: 404,
  not_here: 404,
  method_not_allowed: 405,
  ambiguous: 409,
  workspace_mismatch: 409,
  generation_mismatch: 409,
  record_immutable: 409,
  too_large: 413,
  record_too_large: 413,
  update_too_large: 413,
  record_malformed: 422,
  blob_corrupt: 422,
  bundle_corrupt: 422,
  bundle_version: 422,
  bundle_passphrase: 422,
  not_supported: 501,
  peer_unreachable: 502,
  document_quarantined: 503,
  store_closed: 503,
  closed: 503,
  timeout: 504,
  rate_limited: 429,
  disk_full: 507,
};

/** Parses a JSON body; anything else is `invalid_argument`. */
export function parseJson(bytes: Uint8Array | null): unknown {
  if (bytes === null || bytes.length === 0) {
    throw new FieldbookError('invalid_argument', 'The request needs a JSON body.');
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
  } catch (error) {
    throw new FieldbookError('invalid_argument', `The body is not JSON: ${asFieldbookError(error).message}`);
  }
}
