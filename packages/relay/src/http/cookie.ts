import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { SESSION_MS } from './sessions.ts';

/**
 * The cookie of a browser's session. Cookies do not tell ports apart, so its name tells relays of one host apart; over TLS
 * the prefix keeps whoever can speak as this host without it from planting one.
 */
export class SessionCookie {
  readonly #name: string;

  constructor(workspace: string) {
    this.#name = `fieldbook-${createHash('sha256').update(workspace).digest('hex').slice(0, 12)}`;
  }

  /** The secret that a request carries. */
  read(headers: IncomingHttpHeaders, isSecure: boolean): string | undefined {
    const name = this.#named(isSecure);
    for (const [each, value] of cookiesOf(headers)) if (each === name) return value;
    return undefined;
  }

  /** What a browser keeps while its person is at the provider, by attempt: each of its tabs may have one. */
  readAttempts(headers: IncomingHttpHeaders, isSecure: boolean): Map<string, string> {
    const prefix = `${this.#named(isSecure)}-attempt-`;
    const named = [...cookiesOf(headers)].filter(([name]) => name.startsWith(prefix));
    const kept = named.map(([name, sealed]): [string, string] => [name.slice(prefix.length), sealed]);
    return new Map(kept.filter(([id]) => ATTEMPT_ID.test(id)));
  }

  /**
   * `Set-Cookie` for an attempt; the empty one takes it away. It has to come along when the provider's page leads back, which
   * `Strict` would not.
   */
  writeAttempt(id: string, sealed: string, isSecure: boolean, ms: number): string {
    const attributes = `Path=/; Max-Age=${sealed === '' ? 0 : ms / 1_000}; HttpOnly; SameSite=Lax`;
    return `${this.#named(isSecure)}-attempt-${id}=${sealed}; ${attributes}${isSecure ? '; Secure' : ''}`;
  }

  /** `Set-Cookie` for a session, kept for `ms`; the empty secret takes it away. */
  write(secret: string, isSecure: boolean, ms = SESSION_MS): string {
    const age = secret === '' ? 0 : Math.ceil(ms / 1_000);
    const attributes = `Path=/; Max-Age=${age}; HttpOnly; SameSite=Strict`;
    return `${this.#named(isSecure)}=${secret}; ${attributes}${isSecure ? '; Secure' : ''}`;
  }

  #named(isSecure: boolean): string {
    return isSecure ? `__Host-${this.#name}` : this.#name;
  }
}

const ATTEMPT_ID = /^[\w-]{8}$/;

function* cookiesOf({ cookie = '' }: IncomingHttpHeaders): Generator<[name: string, value: string]> {
  for (const part of cookie.split(';')) {
    const mark = part.indexOf('=');
    if (mark !== -1) yield [part.slice(0, mark).trim(), part.slice(mark + 1).trim()];
  }
}
