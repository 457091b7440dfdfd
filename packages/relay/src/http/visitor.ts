import type { Call } from '@fieldbook/core/api';
import type { Token } from '../tokens.ts';
import type { Caller } from './proxies.ts';

/** Who asks one of the relay's own routes. */
export interface Visitor {
  caller: Caller;
  /** Undefined where anybody may ask. */
  token: Token | undefined;
  /** The browser's session, when it came in by its cookie. */
  session: string | undefined;
}

export function visitorOf({ request }: Call): Visitor {
  return request.visitor as Visitor;
}

/** The token of a visitor whom the route's role let in. */
export function holderOf(call: Call): Token {
  return visitorOf(call).token!;
}
