import type { ErrorCode, FieldbookError } from '@fieldbook/core';

/** Exit codes of every command; documented in docs/cli.md and never renumbered. */
export const EXIT = {
  ok: 0,
  /** It did not work. */
  failure: 1,
  /** The command was not understood. */
  usage: 2,
  /** No such run, project or file, or more than one. */
  notFound: 3,
  /** The agent, its store or the relay could not be reached. */
  unreachable: 4,
  /** A token is missing, wrong or not enough. */
  denied: 5,
} as const;

const BY_CODE: Partial<Record<ErrorCode, number>> = {
  invalid_argument: EXIT.usage,
  invalid_id: EXIT.usage,
  invalid_path: EXIT.usage,
  invalid_value: EXIT.usage,
  query_syntax: EXIT.usage,
  query_type: EXIT.usage,
  not_found: EXIT.notFound,
  ambiguous: EXIT.notFound,
  not_here: EXIT.unreachable,
  agent_not_running: EXIT.unreachable,
  peer_unreachable: EXIT.unreachable,
  store_locked: EXIT.unreachable,
  timeout: EXIT.unreachable,
  closed: EXIT.unreachable,
  unauthorized: EXIT.denied,
  forbidden: EXIT.denied,
};

export function exitCodeOf(error: FieldbookError): number {
  return BY_CODE[error.code] ?? EXIT.failure;
}
