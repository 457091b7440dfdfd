import type { IncomingHttpHeaders } from 'node:http';
import { API_PREFIX, asFieldbookError, FieldbookError } from '@fieldbook/core';
import { SIGNED_IN } from '@fieldbook/core/access';
import type { ApiResponse } from '@fieldbook/core/api';
import type { Audit } from '../audit.ts';
import type { SessionCookie } from '../http/cookie.ts';
import type { Caller } from '../http/proxies.ts';
import type { Sessions } from '../http/sessions.ts';
import type { Tokens } from '../tokens.ts';
import { ATTEMPT_MS, attemptId, Attempts } from './attempts.ts';
import { redirection, refusal } from './page.ts';
import type { Provider } from './provider.ts';
import type { Identity, SignInRule } from './rules.ts';
import { ruleFor } from './rules.ts';

export interface SignInOptions {
  provider: Provider;
  rules: readonly SignInRule[];
  /** Where browsers reach this relay, without a slash at the end. */
  publicUrl: string;
  /** ms. */
  lifetime: number;
  tokens: Tokens;
  sessions: Sessions;
  cookie: SessionCookie;
  audit: Audit;
  now: () => number;
}

/** An answer to a browser on its way, with what it is to keep. */
export interface SignInAnswer {
  response: ApiResponse;
  cookies: readonly string[];
}

/** Where a browser begins, with `?to=` the page to return to. */
export const SIGN_IN_PATH = `${API_PREFIX}/sign-in/oidc`;
/** Where the provider sends it back to. */
export const CALLBACK_PATH = `${SIGN_IN_PATH}/callback`;

/** The way of a browser to the provider and back, with a session at its end. */
export class SignIn {
  readonly #options: SignInOptions;
  readonly #attempts: Attempts;

  constructor(options: SignInOptions) {
    this.#options = options;
    this.#attempts = new Attempts(options.now);
  }

  /** Answers a GET of `SIGN_IN_PATH` or `CALLBACK_PATH`. What goes wrong is a page that says so, and a line of the audit log. */
  async respond(path: string, query: string, headers: IncomingHttpHeaders, caller: Caller): Promise<SignInAnswer> {
    const parameters = new URLSearchParams(query);
    // Pictures and scripts of other pages lead nobody to the provider or back.
    const mode = headers['sec-fetch-mode'];
    if (mode !== undefined && mode !== 'navigate')
      throw new FieldbookError('bad_origin', 'Browsers go to this address; no page can load it.');
    return path === CALLBACK_PATH
      ? this.#finish(query, parameters, headers, caller)
      : this.#begin(parameters, headers, caller);
  }

  /** The page for what went wrong before or beside all that. */
  refuse(thrown: unknown, query: string, headers: Readonly<Record<string, string>>): ApiResponse {
    return refusal(thrown, againAt(pathWithin(new URLSearchParams(query).get('to'))), headers);
  }

  async #begin(parameters: URLSearchParams, headers: IncomingHttpHeaders, caller: Caller): Promise<SignInAnswer> {
    const { publicUrl, provider, cookie } = this.#options;
    const to = pathWithin(parameters.get('to'));
    // A browser that came by another name would keep the attempt under that, and come back by this one. Once only: a proxy may
    // hide the name.
    if (caller.host !== new URL(publicUrl).host.toLowerCase() && !parameters.has('moved'))
      return {
        response: redirection(`${publicUrl}${SIGN_IN_PATH}?${new URLSearchParams({ to, moved: '1' }).toString()}`),
        cookies: [],
      };
    const { attempt, sealed } = this.#attempts.begin(to);
    try {
      const address = await provider.address(attempt);
      const kept = this.#attempts.superfluous(cookie.readAttempts(headers, caller.secure));
      return {
        response: redirection(address),
        cookies: [
          ...kept.map((id) => cookie.writeAttempt(id, '', caller.secure, 0)),
          cookie.writeAttempt(attemptId(attempt.state)!, sealed, caller.secure, ATTEMPT_MS),
        ],
      };
    } catch (error) {
      return { response: this.#refusal(error, caller, to), cookies: [] };
    }
  }

  async #finish(
    query: string,
    parameters: URLSearchParams,
    headers: IncomingHttpHeaders,
    caller: Caller,
  ): Promise<SignInAnswer> {
    const { provider, cookie, sessions, lifetime } = this.#options;
    const state = parameters.get('state') ?? '';
    const id = attemptId(state);
    const sealed = id === undefined ? undefined : cookie.readAttempts(headers, caller.secure).get(id);
    const attempt = this.#attempts.take(sealed, state);
    const gone = sealed === undefined ? [] : [cookie.writeAttempt(id!, '', caller.secure, 0)];
    let identity: Identity | undefined;
    try {
      // No wrong token either: there is nothing to guess, and any page can send a browser here as often as it likes.
      if (attempt === undefined)
        throw new FieldbookError(
          'unauthorized',
          'This sign-in was begun in another browser, was used already, or took longer than ten minutes.',
        );
      identity = await provider.identify(query, attempt);
      const token = await this.#letIn(identity, caller);
      const { secret } = sessions.open(token, lifetime);
      return {
        response: redirection(`${attempt.to}#${SIGNED_IN}`),
        cookies: [...gone, cookie.write(secret, caller.secure, lifetime)],
      };
    } catch (error) {
      return { response: this.#refusal(error, caller, attempt?.to ?? '/', identity), cookies: gone };
    }
  }

  /** The token that stands for a person: the same each time, with what the rules say now. Throws `forbidden`. */
  async #letIn(identity: Identity, { address }: Caller): Promise<string> {
    const { rules, tokens, audit, lifetime, now } = this.#options;
    const { issuer, subject, email, name: called } = identity;
    const rule = ruleFor(rules, identity);
    const name = email ?? called ?? subject.slice(0, 128);
    if (rule === undefined) {
      const why = email === null ? ' Your provider has not confirmed an e-mail address for you.' : '';
      throw new FieldbookError(
        'forbidden',
        `Your provider knows you as ${name}, and no rule of this relay lets you in.${why} Ask whoever runs it.`,
      );
    }
    const { role, projects } = rule;
    const expires = now() + lifetime;
    const { token, isNew } = await tokens.signIn({ issuer, subject, email }, { role, projects, name, expires });
    audit.record('sign-in', { token: token.id, name, address, by: 'oidc', role, projects, first: isNew });
    return token.id;
  }

  #refusal(thrown: unknown, { address }: Caller, to: string, identity?: Identity): ApiResponse {
    const error = asFieldbookError(thrown);
    const { code, message } = error;
    this.#options.audit.refused('sign-in.refused', {
      code,
      reason: message,
      address,
      ...(identity === undefined ? {} : { subject: identity.subject, email: identity.email }),
    });
    return refusal(error, againAt(to));
  }
}

/** Where to begin anew, to return to that page. */
function againAt(to: string): string {
  return `${SIGN_IN_PATH}?${new URLSearchParams({ to }).toString()}`;
}

/** A path of this relay's own pages, whatever was asked for: nobody is led elsewhere by a link to here. */
export function pathWithin(to: string | null): string {
  const base = 'http://relay.invalid';
  if (to === null || to.length > 2_048 || !to.startsWith('/') || !URL.canParse(to, base)) return '/';
  const url = new URL(to, base);
  const path = url.pathname;
  // `//host` can also come of dots that were taken out.
  if (url.origin !== base || path.startsWith('//') || /^\/(api|rooms)(\/|$)/.test(path)) return '/';
  return path + url.search;
}
