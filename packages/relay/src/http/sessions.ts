import { createHash, randomBytes } from 'node:crypto';

interface Session {
  token: string;
  /** Last used. */
  used: number;
  /** When the browser was last told to keep the cookie; `Infinity` when it was told of all of it at the beginning. */
  told: number;
  /** It is over when it is not used for so long, in ms. */
  idle: number;
  /** When it is over however much it is used. */
  ends: number;
  /** Ends it then, with its sockets; only where nothing else would. */
  timer?: NodeJS.Timeout;
}

interface Ticket {
  token: string;
  session: string | undefined;
  expires: number;
}

/** A browser that is not opened for so long signs in again, with the token that it keeps. */
export const SESSION_MS = 12 * 60 * 60_000;
/** And all of them after so long. */
const LONGEST_MS = 30 * 24 * 60 * 60_000;
export const TICKET_MS = 30_000;
/** The cookie is sent anew when it is so much older than the session's last use. */
const TELL_MS = 60 * 60_000;
/** Timers hold no longer. */
const TIMER_MS_MAX = 2 ** 31 - 1;
/** Browsers of one token; beyond them the one that was not used for longest signs in again. */
const SESSIONS_PER_TOKEN = 100;
/** Sockets that one token is about to open. */
const TICKETS_PER_TOKEN = 1_000;

/**
 * Sessions of browsers and tickets for their sockets, under SHA-256 of their secrets, in memory only: after a restart of the
 * relay a page opens another session with the token that it keeps.
 */
export class Sessions {
  readonly #now: () => number;
  readonly #sessions = new Map<string, Session>();
  readonly #tickets = new Map<string, Ticket>();
  readonly #listeners = new Set<(session: string) => void>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** How many there are: sessions and tickets. */
  get size(): number {
    return this.#sessions.size + this.#tickets.size;
  }

  /**
   * A session of a token; the secret is for a cookie. With `lifetime` (ms) it is over after that, used or not, and its sockets
   * are closed then.
   */
  open(token: string, lifetime?: number): { secret: string; expires: number } {
    const now = this.#now();
    for (const [key, session] of this.#sessions) if (isOver(session, now)) this.end(key);
    const own = [...this.#sessions].filter(([, session]) => session.token === token);
    const oldest = own.reduce((a, b) => (b[1].used < a[1].used ? b : a), own[0]!);
    if (own.length >= SESSIONS_PER_TOKEN) this.end(oldest[0]);
    const secret = `fbs_${randomBytes(32).toString('base64url')}`;
    const key = keyOf(secret);
    const isFixed = lifetime !== undefined;
    const idle = lifetime ?? SESSION_MS;
    const ends = now + (lifetime ?? LONGEST_MS);
    this.#sessions.set(key, { token, used: now, told: isFixed ? Infinity : now, idle, ends });
    if (isFixed) this.#endInTime(key);
    return { secret, expires: now + idle };
  }

  /** The session of a cookie, which is used by this. `tell`: the browser should be told again to keep it. */
  use(secret: string): { key: string; token: string; tell: boolean } | undefined {
    const key = keyOf(secret);
    const session = this.#sessions.get(key);
    const now = this.#now();
    if (session === undefined) return undefined;
    if (isOver(session, now)) {
      this.end(key);
      return undefined;
    }
    session.used = now;
    const tell = now - session.told >= TELL_MS;
    if (tell) session.told = now;
    return { key, token: session.token, tell };
  }

  has(key: string): boolean {
    return this.#sessions.has(key);
  }

  /** Signs a browser out: its tickets too, and listeners close its sockets. */
  end(key: string): void {
    clearTimeout(this.#sessions.get(key)?.timer);
    if (!this.#sessions.delete(key)) return;
    for (const [each, ticket] of this.#tickets) if (ticket.session === key) this.#tickets.delete(each);
    for (const listener of this.#listeners) listener(key);
  }

  #endInTime(key: string): void {
    const session = this.#sessions.get(key);
    if (session === undefined) return;
    const left = session.ends - this.#now();
    if (left <= 0) this.end(key);
    else session.timer = setTimeout(() => this.#endInTime(key), Math.min(left, TIMER_MS_MAX)).unref();
  }

  /** Ends everything of a token. */
  endOf(token: string): void {
    for (const [key, session] of this.#sessions) if (session.token === token) this.end(key);
    for (const [key, ticket] of this.#tickets) if (ticket.token === token) this.#tickets.delete(key);
  }

  /** A ticket for one socket, good for `TICKET_MS`. */
  ticket(token: string, session: string | undefined): { ticket: string; expires: number } {
    const now = this.#now();
    // They are in the order of their making, which is that of their end.
    for (const [key, { expires }] of this.#tickets) {
      if (expires > now) break;
      this.#tickets.delete(key);
    }
    const own = [...this.#tickets].filter(([, each]) => each.token === token);
    if (own.length >= TICKETS_PER_TOKEN) this.#tickets.delete(own[0]![0]);
    const secret = randomBytes(32).toString('base64url');
    const expires = now + TICKET_MS;
    this.#tickets.set(keyOf(secret), { token, session, expires });
    return { ticket: secret, expires };
  }

  /** Takes a ticket: the second time, or too late, there is none. */
  take(secret: string): { token: string; session: string | undefined } | undefined {
    const key = keyOf(secret);
    const ticket = this.#tickets.get(key);
    this.#tickets.delete(key);
    return ticket === undefined || ticket.expires <= this.#now() ? undefined : ticket;
  }

  /** Calls `listener` with each session that ends. */
  onEnded(listener: (session: string) => void): void {
    this.#listeners.add(listener);
  }
}

function isOver({ used, idle, ends }: Session, now: number): boolean {
  return now >= ends || now - used >= idle;
}

function keyOf(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url');
}
