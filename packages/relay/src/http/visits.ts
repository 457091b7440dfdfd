import type { IncomingMessage, ServerResponse } from 'node:http';
import { FieldbookError } from '@fieldbook/core';
import type { ApiResponse } from '@fieldbook/core/api';
import type { Token } from '../tokens.ts';
import type { AccessRules, Admission } from './access.ts';
import { LARGE } from './binding.ts';
import type { Caller } from './proxies.ts';
import { plainAddress } from './proxies.ts';

type Rules = Pick<AccessRules, 'tokens' | 'sessions' | 'limiter'>;

/**
 * Requests that were let in and are not answered yet. What they were let in by may end while a body is sent or an answer goes on:
 * then no more of either is taken or given.
 */
export class Visits {
  readonly #rules: Rules;
  readonly #open = new Set<Visit>();

  constructor(rules: Rules) {
    this.#rules = rules;
    const end = (which: (visit: Visit) => boolean, why: FieldbookError): void => {
      for (const visit of this.#open) if (which(visit)) visit.end(why);
    };
    rules.tokens.onEnded(({ id }, why) => end(({ token }) => token.id === id, ended(why === 'expired')));
    rules.tokens.onChanged(({ id }) =>
      end(
        ({ token }) => token.id === id,
        new FieldbookError('closed', 'What you may was changed in the meantime; ask again.'),
      ),
    );
    rules.sessions.onEnded((key) => end(({ session }) => session === key, signedOut()));
  }

  /** Follows a request until it is answered or given up. Throws `unauthorized` where that is too late already. */
  begin(
    { token: { id }, session }: Admission,
    caller: Caller,
    request: IncomingMessage,
    response: ServerResponse,
  ): Visit {
    const { tokens, sessions, limiter } = this.#rules;
    // Between the look at what was presented and this one it may have ended, or become something else, unheard.
    const token = tokens.get(id);
    if (token === undefined || tokens.isOver(token)) throw ended(token !== undefined);
    if (session !== undefined && !sessions.has(session)) throw signedOut();
    // Connections of proxies are not counted, those behind them are.
    const isDirect = caller.address === plainAddress(request.socket.remoteAddress ?? '');
    const count = (): (() => void) => {
      const left = [limiter.connect('token', id)];
      try {
        if (!isDirect) left.push(limiter.connect('address', caller.address));
      } catch (error) {
        left[0]!();
        throw error;
      }
      return () => {
        for (const each of left) each();
      };
    };
    const visit = new Visit(token, session, { request, response }, count);
    if (response.destroyed) return visit;
    this.#open.add(visit);
    response.once('close', () => this.#open.delete(visit));
    return visit;
  }
}

/** Whoever still sends then is told why at the next piece of it; who sends nothing is not waited for. */
const GRACE_MS = 2_000;

/** A request under way. */
export class Visit {
  /** As it is now; the gate is made of this one. */
  readonly token: Token;
  readonly session: string | undefined;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #count: () => () => void;
  #ended: FieldbookError | undefined;
  #isCounted = false;

  /** `count` takes a place among the connections of the token, and returns what gives it back; throws `rate_limited`. */
  constructor(
    token: Token,
    session: string | undefined,
    { request, response }: { request: IncomingMessage; response: ServerResponse },
    count: () => () => void,
  ) {
    this.#request = request;
    this.token = token;
    this.session = session;
    this.#response = response;
    this.#count = count;
  }

  /** Cuts an answer that is on its way, and a body that does not come on. An answer that is not begun may be that of the request that ended this. */
  end(why: FieldbookError): void {
    this.#ended ??= why;
    if (!this.#request.complete)
      setTimeout(() => {
        if (!this.#request.complete) this.#request.destroy();
      }, GRACE_MS).unref();
    if (this.#response.headersSent && !this.#response.writableFinished) this.#response.destroy();
  }

  /** Throws why the request is let in no more. */
  check(): void {
    if (this.#ended !== undefined) throw this.#ended;
  }

  /** Takes a place among the connections of the token until the answer is out, once. Throws `rate_limited`. */
  connect(): void {
    if (this.#isCounted || this.#response.destroyed) return;
    this.#response.once('close', this.#count());
    this.#isCounted = true;
  }

  /**
   * To be asked before an answer is written: what goes on or is large is a connection like a socket, and counted as one. Throws `rate_limited`,
   * and as `check` for what goes on or only reads.
   */
  async mayAnswer({ body }: ApiResponse, isReading: boolean): Promise<void> {
    const goesOn = body !== null && !(body instanceof Uint8Array);
    try {
      if (goesOn || isReading) this.check();
      if (goesOn || (body?.length ?? 0) > LARGE) this.connect();
    } catch (error) {
      if (goesOn) await body[Symbol.asyncIterator]().return?.();
      throw error;
    }
  }
}

function ended(isOver: boolean): FieldbookError {
  return new FieldbookError(
    'unauthorized',
    isOver ? "The token's time is over; ask for a new one." : 'The token was revoked.',
  );
}

function signedOut(): FieldbookError {
  return new FieldbookError('unauthorized', 'This browser is not signed in any more.');
}
