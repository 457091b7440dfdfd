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
  read({ cookie = '' }: IncomingHttpHeaders, isSecure: boolean): string | undefined {
    const name = this.#named(isSecure);
    for (const part of cookie.split(';')) {
      const mark = part.indexOf('=');
      if (mark !== -1 && part.slice(0, mark).trim() === name) return part.slice(mark + 1).trim();
    }
    return undefined;
  }

  /** `Set-Cookie` for a session; the empty secret takes it away. */
  write(secret: string, isSecure: boolean): string {
    const age = secret === '' ? 0 : SESSION_MS / 1_000;
    const attributes = `Path=/; Max-Age=${age}; HttpOnly; SameSite=Strict`;
    return `${this.#named(isSecure)}=${secret}; ${attributes}${isSecure ? '; Secure' : ''}`;
  }

  #named(isSecure: boolean): string {
    return isSecure ? `__Host-${this.#name}` : this.#name;
  }
}
