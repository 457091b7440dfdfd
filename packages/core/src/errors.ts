/**
 * The one error of Fieldbook. `code` is stable and is what programs and tests read; `message` is for people and
 * says what happened, to what, and what to do. Messages may change between versions, codes may not.
 */
export class FieldbookError extends Error {
  readonly code: ErrorCode;
  /** Structured facts about the failure, safe to show and to send as JSON. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: Record<string, unknown> } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'FieldbookError';
    this.code = code;
    this.details = options.details ?? {};
  }

  /** The shape that crosses HTTP and `--json`: `{code, message, details}`. */
  toJSON(): { code: ErrorCode; message: string; details: Readonly<Record<string, unknown>> } {
    return { code: this.code, message: this.message, details: this.details };
  }
}

/** Every code there is. Add at the end of its group; never rename one. */
export type ErrorCode =
  // what a caller gave us
  | 'invalid_argument'
  | 'invalid_id'
  | 'invalid_path'
  | 'invalid_value'
  | 'query_syntax'
  | 'query_type'
  | 'not_found'
  | 'ambiguous'
  | 'too_large'
  // access
  | 'unauthorized'
  | 'forbidden'
  | 'bad_host'
  | 'bad_origin'
  | 'method_not_allowed'
  | 'rate_limited'
  // records, updates, documents
  | 'record_malformed'
  | 'record_too_large'
  | 'record_immutable'
  | 'update_malformed'
  | 'update_too_large'
  | 'update_forbidden_content'
  | 'missing_dependency'
  | 'generation_mismatch'
  | 'client_id_reused'
  // storage
  | 'store_locked'
  | 'store_closed'
  | 'store_version'
  | 'store_corrupt'
  | 'storage_failed'
  | 'document_quarantined'
  | 'disk_full'
  | 'blob_missing'
  | 'not_here'
  | 'blob_corrupt'
  | 'snapshot_unreadable'
  // journals and series
  | 'journal_corrupt'
  | 'journal_version'
  | 'segment_corrupt'
  // bundles
  | 'bundle_corrupt'
  | 'bundle_version'
  | 'bundle_passphrase'
  // replication
  | 'protocol_version'
  | 'protocol_violation'
  | 'workspace_mismatch'
  | 'peer_unreachable'
  | 'timeout'
  | 'closed'
  // programs
  | 'port_in_use'
  | 'agent_not_running'
  | 'agent_already_running'
  | 'config_invalid'
  | 'not_supported'
  | 'internal';

/** True for a `FieldbookError`, optionally of one code. */
export function isFieldbookError(error: unknown, code?: ErrorCode): error is FieldbookError {
  return error instanceof FieldbookError && (code === undefined || error.code === code);
}

/** Anything thrown, as a `FieldbookError`: its own kind unchanged, everything else wrapped under `code`. */
export function asFieldbookError(error: unknown, code: ErrorCode = 'internal'): FieldbookError {
  if (error instanceof FieldbookError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new FieldbookError(code, text, { cause: error });
}

/** What the platform threw while it wrote `what`: `disk_full` where there was no room, else `storage_failed`; ours as they are. */
export function diskErrorOf(error: unknown, what: string): FieldbookError {
  if (error instanceof FieldbookError) return error;
  const { code, message } = error as { code?: string; message?: string };
  return code === 'ENOSPC' || code === 'EDQUOT'
    ? new FieldbookError('disk_full', `${what} was not stored: the disk is full. Free space and try again.`, {
        cause: error,
      })
    : new FieldbookError('storage_failed', `${what} could not be stored: ${message ?? String(error)}`, {
        cause: error,
      });
}

/** What the platform threw while it read `what`: `storage_failed`; ours as they are. */
export function readErrorOf(error: unknown, what: string): FieldbookError {
  if (error instanceof FieldbookError) return error;
  const why = error instanceof Error ? error.message : String(error);
  const message = `${what} cannot be read (${why}); nothing was changed. Look after the disk or the permissions of the file, and try again.`;
  return new FieldbookError('storage_failed', message, { cause: error });
}
