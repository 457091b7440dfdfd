import type { ErrorCode } from '../errors.ts';

/**
 * Why a connection ended, as WebSocket close codes. 4400–4499 are decisions that trying again cannot change (the range
 * in which y-websocket stops too); 4500–4599 and everything below 4000 are worth another try.
 */
export const CLOSE = {
  normal: 1000,
  goingAway: 1001,
  tryAgainLater: 1013,
  unauthorized: 4401,
  forbidden: 4403,
  notFound: 4404,
  workspaceMismatch: 4409,
  /** In a room: the document was rebuilt, and what the visitor holds is of before. The reason begins with the generation that is here. */
  generation: 4412,
  badData: 4422,
  version: 4426,
  internal: 4500,
  storage: 4507,
  slow: 4508,
  silent: 4509,
  replaced: 4510,
  limited: 4511,
  staleTicket: 4512,
} as const;

/** True for a close that nothing but a person can change. */
export function isTerminal(code: number): boolean {
  return code >= 4400 && code < 4500;
}

/** The error code that fits a closing code. */
export function errorCodeOf(code: number): ErrorCode {
  switch (code) {
    case CLOSE.unauthorized:
      return 'unauthorized';
    case CLOSE.forbidden:
      return 'forbidden';
    case CLOSE.notFound:
      return 'not_found';
    case CLOSE.workspaceMismatch:
      return 'workspace_mismatch';
    case CLOSE.generation:
      return 'generation_mismatch';
    case CLOSE.badData:
      return 'protocol_violation';
    case CLOSE.version:
      return 'protocol_version';
    case CLOSE.limited:
      return 'rate_limited';
    default:
      return 'peer_unreachable';
  }
}

/** What a closing code and its reason mean, in words for a person. */
export function closeInWords(code: number, reason: string): string {
  const said = reason === '' ? '' : ` It said: ${reason}`;
  switch (code) {
    case CLOSE.unauthorized:
      return `The relay does not accept the token.${said}`;
    case CLOSE.forbidden:
      return `The token may not do this.${said}`;
    case CLOSE.workspaceMismatch:
      return `The other side belongs to another workspace.${said}`;
    case CLOSE.generation:
      return `The document was rebuilt on the other side.${said}`;
    case CLOSE.badData:
      return `The other side could not read what was sent.${said}`;
    case CLOSE.version:
      return `The two programs speak no common version of the protocol; update the older one.${said}`;
    case CLOSE.storage:
      return `The other side cannot store anything now.${said}`;
    case CLOSE.silent:
      return 'The connection fell silent.';
    case CLOSE.slow:
      return 'The connection is too slow for what there is to send; it starts again from where it was.';
    case CLOSE.limited:
      return `The other side is asked for too much at once; it is tried again by itself.${said}`;
    case CLOSE.goingAway:
      return `The other side is shutting down.${said}`;
    default:
      return `The connection broke (${code}).${said}`;
  }
}

/** A close reason fits into one control frame: 123 bytes of UTF-8, cut at a character. */
export function clipReason(reason: string): string {
  let length = 0;
  let text = '';
  for (const character of reason) {
    const point = character.codePointAt(0)!;
    length += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    if (length > 123) return text;
    text += character;
  }
  return text;
}
