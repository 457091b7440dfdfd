import { FieldbookError } from '@fieldbook/core';
import { INVITATION_PREFIX, SIGNED_IN } from '@fieldbook/core/access';
import { TICKET_SUBPROTOCOL, TOKEN_SUBPROTOCOL } from '@fieldbook/core/replication';
import type { Keep } from './keep.ts';

/** A server that does not answer at once is asked again at the next visit. */
const ASK_MS = 20_000;
/** Whoever waits for a session goes on with the token when none can be had. */
const SESSION_ASK_MS = 8_000;
/** A project of years opens some dozen sockets at once. */
const TICKETS = 16;
/** A ticket must still be good when it arrives. */
const SPARE_MS = 10_000;

/** `token` where the server knows no sessions: an agent, or a relay of before. */
type Way = 'unknown' | 'session' | 'token';

interface Answer {
  ok: boolean;
  status: number;
  body: {
    token?: string;
    tickets?: string[];
    person?: string | null;
    error?: { code?: string; message?: string };
  } | null;
}

/**
 * How this browser comes in. It keeps a token, or an invitation that becomes one; where the server knows sessions the token is
 * sent once to open one, a cookie stands for it from then on, and sockets are opened with tickets. Whoever signed in at a provider
 * has the cookie alone; when that is over, it takes signing in again.
 */
export class Entry {
  readonly #keep: Keep;
  readonly #origin: string;
  /** What people call this browser. */
  readonly #browser: string;
  #token: string | null = null;
  /** Who signed in at a provider, also when that is over. */
  #person: string | null = null;
  #problem: string | null = null;
  #way: Way = 'unknown';
  #opening: Promise<void> | undefined;
  #tickets: { ticket: string; until: number }[] = [];
  #asking: Promise<void> | undefined;

  private constructor(keep: Keep, origin: string, browser: string) {
    this.#keep = keep;
    this.#origin = origin;
    this.#browser = browser;
  }

  /** With what the address carried, or what was kept. An invitation is kept until a server has answered. */
  static async open(keep: Keep, origin: string, given: string | null, browser: string): Promise<Entry> {
    const entry = new Entry(keep, origin, browser);
    const [token, invitation, person, arriving] = await Promise.all([
      keep.get<string>('token'),
      keep.get<string>('invitation'),
      keep.get<string>('signed-in'),
      keep.get<true>('arriving'),
    ]);
    entry.#token = token ?? null;
    entry.#person = person ?? null;
    if (given === SIGNED_IN || (given === null && arriving === true)) await entry.#arrive();
    else if (given !== null) await entry.present(given);
    else if (invitation !== undefined) await entry.#redeem(invitation);
    return entry;
  }

  get token(): string | null {
    return this.#token;
  }

  /** Who signed in at a provider, and has not signed out. */
  get person(): string | null {
    return this.#person;
  }

  /** Why the invitation did not become a token, in words. */
  get problem(): string | null {
    return this.#problem;
  }

  /** Takes a token or an invitation, or forgets both and signs out. Never rejects for a browser that cannot keep them. */
  async present(given: string | null): Promise<void> {
    this.#problem = null;
    await this.#signOut();
    if (given?.startsWith(INVITATION_PREFIX) === true) {
      await this.#keep.put('invitation', given).catch(() => undefined);
      await this.#redeem(given);
      return;
    }
    this.#token = given;
    this.#person = null;
    await this.#keep.remove('signed-in').catch(() => undefined);
    if (given === null) await this.#keep.remove('token');
    else await this.#keep.put('token', given).catch(() => undefined);
    await this.#keep.remove('invitation').catch(() => undefined);
  }

  /** Once more, when the browser has lost what was kept. */
  async keepAgain(): Promise<void> {
    if (this.#token !== null) await this.#keep.put('token', this.#token);
  }

  /** What a request carries beside the cookie. */
  async headers(): Promise<Record<string, string>> {
    await this.#ready();
    return this.#way === 'session' || this.#token === null ? {} : { authorization: `Bearer ${this.#token}` };
  }

  /** After a request that was not let in: true when it may be tried once more, the session having ended with the relay. */
  async again(): Promise<boolean> {
    if (this.#token === null || this.#way === 'token') return false;
    if (this.#way === 'session') {
      this.#way = 'unknown';
      this.#tickets = [];
    }
    await this.#ready();
    return this.#isOpen();
  }

  /** What a socket offers to come in. Throws `unauthorized`, and `peer_unreachable` when nobody answers. */
  async subprotocols(): Promise<string[]> {
    await this.#ready();
    if (this.#person !== null) return [`${TICKET_SUBPROTOCOL}${await this.#ticket()}`];
    if (this.#token === null) return [];
    if (this.#way !== 'session') return [`${TOKEN_SUBPROTOCOL}${this.#token}`];
    return [`${TICKET_SUBPROTOCOL}${await this.#ticket()}`];
  }

  async #ticket(): Promise<string> {
    for (;;) {
      const next = this.#tickets.pop();
      if (next !== undefined && next.until > Date.now()) return next.ticket;
      if (next === undefined) {
        // All who wait for one share the answer; who finds it empty asks again.
        this.#asking ??= this.#askTickets().finally(() => {
          this.#asking = undefined;
        });
        await this.#asking;
      }
    }
  }

  async #askTickets(): Promise<void> {
    const ask = (): Promise<Answer> => this.#ask('POST', '/ticket', { count: TICKETS }, {});
    const asked = Date.now();
    let answer = await ask();
    if (answer.status === 401 && (await this.again())) answer = await ask();
    if (!answer.ok) throw refusalOf(answer);
    // By our own clock: the server's may be another.
    const until = asked + 30_000 - SPARE_MS;
    this.#tickets = (answer.body?.tickets ?? []).map((ticket) => ({ ticket, until }));
    if (this.#tickets.length === 0) throw new FieldbookError('peer_unreachable', 'The server gave no tickets.');
  }

  /** Opens a session unless there is one, or the server is known to have none. What fails is said by what comes after. */
  #ready(): Promise<void> {
    if (this.#token === null || this.#way !== 'unknown') return Promise.resolve();
    this.#opening ??= this.#openSession(this.#token).finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  /** Apart, for what was awaited has changed it. */
  #isOpen(): boolean {
    return this.#way === 'session';
  }

  async #openSession(token: string): Promise<void> {
    const answer = await this.#ask('POST', '/session', {}, { authorization: `Bearer ${token}` }, SESSION_ASK_MS).catch(
      () => undefined,
    );
    if (answer?.ok === true) this.#way = 'session';
    else if (answer?.status === 404 || answer?.status === 405) this.#way = 'token';
  }

  /** A link can say so too: the relay is asked before the token that this browser has is given up for it. */
  async #arrive(): Promise<void> {
    // Until a server has answered: a page may be left, or reloaded, before.
    await this.#keep.put('arriving', true).catch(() => undefined);
    const answer = await this.#ask('GET', '/session', undefined, {}).catch(() => undefined);
    const person = answer?.body?.person;
    if (typeof person === 'string') {
      this.#person = person;
      this.#token = null;
      await this.#keep.put('signed-in', person).catch(() => undefined);
      await this.#keep.remove('token').catch(() => undefined);
    }
    if (answer !== undefined) await this.#keep.remove('arriving').catch(() => undefined);
  }

  async #signOut(): Promise<void> {
    if (this.#way === 'session' || this.#person !== null)
      await this.#ask('DELETE', '/session', undefined, {}).catch(() => undefined);
    this.#way = 'unknown';
    this.#tickets = [];
  }

  async #redeem(secret: string): Promise<void> {
    const device = this.#browser.slice(0, 128);
    const answer = await this.#ask('POST', '/invitations/redeem', { secret, device }, {}).catch(() => undefined);
    if (answer === undefined) {
      this.#problem = 'The relay does not answer now. The invitation is tried again when this page is opened again.';
      return;
    }
    if (answer.ok && typeof answer.body?.token === 'string') {
      this.#token = answer.body.token;
      // The token is kept before the invitation goes: the other way round a crash would lose both.
      await this.#keep.put('token', this.#token).catch(() => undefined);
      await this.#keep.remove('invitation').catch(() => undefined);
      return;
    }
    this.#problem = answer.body?.error?.message ?? `The relay answered ${answer.status} to the invitation.`;
    // Too many have asked: this one has not been looked at.
    if (answer.status !== 429) await this.#keep.remove('invitation').catch(() => undefined);
  }

  async #ask(
    method: string,
    path: string,
    body: unknown,
    headers: Record<string, string>,
    ms = ASK_MS,
  ): Promise<Answer> {
    try {
      const response = await fetch(`${this.#origin}/api/v1${path}`, {
        method,
        headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        cache: 'no-store',
        signal: AbortSignal.timeout(ms),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const { ok, status } = response;
      return { ok, status, body: (await response.json().catch(() => null)) as Answer['body'] };
    } catch (error) {
      throw new FieldbookError('peer_unreachable', 'Nobody answers at the address of this page.', { cause: error });
    }
  }
}

function refusalOf({ status, body }: Answer): FieldbookError {
  const message = body?.error?.message ?? `The server answered ${status}.`;
  return new FieldbookError(status === 401 ? 'unauthorized' : 'peer_unreachable', message);
}
